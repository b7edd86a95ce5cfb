#include "api/cli/progress_bar.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gyre {
namespace {

constexpr absl::Duration kRedrawEvery = absl::Milliseconds(100);
constexpr int kLongestBar = 32;
constexpr int kShortestBar = 8;

std::string TimeLeft(const Progress& progress) {
  if (progress.share <= 0) return "";
  const double elapsed_s = absl::ToDoubleSeconds(progress.elapsed);
  const double left_s = elapsed_s / progress.share * (1 - std::min(progress.share, 1.0));
  const auto whole_s = static_cast<int64_t>(std::ceil(left_s));
  if (whole_s >= 3600) {
    return absl::StrFormat("  %d:%02d:%02d left", whole_s / 3600, whole_s / 60 % 60, whole_s % 60);
  }
  return absl::StrFormat("  %d:%02d left", whole_s / 60, whole_s % 60);
}

std::string Bar(double share, int cells, bool unicode) {
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * cells);
  std::string bar = "[";
  for (int i = 0; i < cells; ++i) {
    if (unicode) {
      bar += i < filled ? "█" : "░";
    } else {
      bar += i < filled ? '#' : '-';
    }
  }
  return bar + "]";
}

}  // namespace

std::string WithThousands(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string RenderProgress(const Progress& progress, int columns, bool unicode) {
  const double elapsed_s = absl::ToDoubleSeconds(progress.elapsed);
  const auto rate =
      elapsed_s > 0 ? static_cast<uint64_t>(static_cast<double>(progress.done) / elapsed_s) : 0;
  std::string numbers = absl::StrCat(WithThousands(progress.done), " ", progress.unit, "  ",
                                     WithThousands(rate), "/s");
  if (progress.share >= 0) {
    const int percent = static_cast<int>(std::min(progress.share, 1.0) * 100);
    numbers = absl::StrFormat("%3d %%  %s%s", percent, numbers, TimeLeft(progress));
  }
  // Title, two blanks, bar with its brackets, two blanks, numbers.
  const int around = static_cast<int>(progress.title.size() + numbers.size()) + 6;
  const int cells = std::min(columns - around, kLongestBar);
  std::string line = progress.title + "  ";
  if (progress.share >= 0 && cells >= kShortestBar) {
    absl::StrAppend(&line, Bar(progress.share, cells, unicode), "  ");
    return line + numbers;
  }
  line += numbers;
  return line.substr(0, static_cast<size_t>(std::max(columns, 0)));
}

ProgressBar::ProgressBar(std::ostream* err, const Terminal& terminal, std::string title,
                         std::string unit, absl::Time start)
    : err_(err), terminal_(terminal), start_(start) {
  progress_.title = std::move(title);
  progress_.unit = std::move(unit);
}

ProgressBar::~ProgressBar() {
  if (terminal_.err) *err_ << "\r\x1b[K" << std::flush;
}

void ProgressBar::Update(uint64_t done, double share, absl::Time now) {
  if (!terminal_.err || now - drawn_at_ < kRedrawEvery) return;
  drawn_at_ = now;
  progress_.done = done;
  progress_.share = share;
  progress_.elapsed = now - start_;
  // One column less than there are, or some terminals wrap.
  *err_ << '\r' << RenderProgress(progress_, terminal_.columns - 1, terminal_.unicode) << "\x1b[K"
        << std::flush;
}

}  // namespace gyre
