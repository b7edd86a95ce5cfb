#include "api/cli/ttl.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

constexpr int64_t kLongestDays = 100 * 365;

std::string InTwoUnits(int64_t s, int64_t large_s, const char* large, int64_t small_s,
                       const char* small) {
  const int64_t rest = s % large_s / small_s;
  return absl::StrCat(s / large_s, large, rest > 0 ? absl::StrCat(rest, small) : "");
}

}  // namespace

absl::StatusOr<absl::Duration> ParseTtl(std::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      "\"", std::string(text), "\"; such as 90s, 1h30m or 7d, up to 36500d, or never"));
  if (text == "never") return absl::InfiniteDuration();
  absl::Duration ttl;
  if (const size_t days_end = text.find('d'); days_end != std::string_view::npos) {
    int64_t days = 0;
    if (!absl::SimpleAtoi(std::string(text.substr(0, days_end)), &days)) return wrong;
    if (days < 0 || days > kLongestDays) return wrong;
    ttl = absl::Hours(24 * days);
    text.remove_prefix(days_end + 1);
  }
  if (!text.empty() || ttl == absl::ZeroDuration()) {
    absl::Duration rest;
    // Nothing signed, and not "inf".
    if (text.empty() || text.front() < '0' || text.front() > '9') return wrong;
    if (!absl::ParseDuration(std::string(text), &rest)) return wrong;
    ttl += rest;
  }
  if (ttl < absl::Milliseconds(1) || ttl > absl::Hours(24 * kLongestDays)) return wrong;
  return ttl;
}

std::string TtlText(absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return "never";
  const int64_t s = absl::ToInt64Seconds(ttl);
  if (s >= 86'400) return InTwoUnits(s, 86'400, "d", 3600, "h");
  if (s >= 3600) return InTwoUnits(s, 3600, "h", 60, "m");
  if (s >= 60) return InTwoUnits(s, 60, "m", 1, "s");
  return absl::FormatDuration(absl::Trunc(ttl, absl::Milliseconds(1)));
}

}  // namespace gyre
