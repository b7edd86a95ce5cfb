// ProgressBar: one line on a terminal that says how far long work is, how fast it goes and how long
// it has left; nothing at all where there is no terminal.
//
//   load  [################----------------]  51 %  32,411 records  21,034/s  0:02 left
//
// Rendering is a pure function of numbers; the bar itself adds when to redraw. One thread.

#ifndef GYRE_API_CLI_PROGRESS_BAR_H_
#define GYRE_API_CLI_PROGRESS_BAR_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "api/cli/terminal.h"

namespace gyre {

struct Progress {
  std::string title;  // "load"
  std::string unit;   // "records"
  uint64_t done = 0;  // in units
  double share = -1;  // of the whole, 0 to 1; negative: unknown, as for a pipe
  absl::Duration elapsed = {};
};

// At most `columns` wide. The bar itself shrinks first, and goes when there is no room for it.
[[nodiscard]] std::string RenderProgress(const Progress& progress, int columns, bool unicode);

// 1234567 as "1,234,567".
[[nodiscard]] std::string WithThousands(uint64_t number);

class ProgressBar {
 public:
  // Draws on `err` if that is a terminal. `start` is the time at which the work begins.
  ProgressBar(std::ostream* err, const Terminal& terminal, std::string title, std::string unit,
              absl::Time start);
  // Wipes the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Redraws, ten times a second at most.
  void Update(uint64_t done, double share, absl::Time now);

 private:
  std::ostream* const err_;
  const Terminal terminal_;
  const absl::Time start_;
  Progress progress_;
  absl::Time drawn_at_ = absl::InfinitePast();
};

}  // namespace gyre

#endif  // GYRE_API_CLI_PROGRESS_BAR_H_
