// RunReport: one run of gyre-bench, in figures; and what it looks like as text and as JSON.
//
// Pure.

#ifndef GYRE_TEST_BENCH_REPORT_H_
#define GYRE_TEST_BENCH_REPORT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "test/bench/recorder.h"
#include "test/bench/resource_meter.h"

namespace gyre {

struct RunReport {
  std::string target;
  std::string workload;
  std::string keys;  // the law that they are drawn by
  uint64_t records = 0;
  uint64_t value_bytes = 0;
  int in_flight = 0;
  double rate_per_s = 0;  // 0: closed loop
  double seconds = 0;     // of the measured time
  double warm_up_seconds = 0;
  double exclude_from_s = 0;  // of the measured time; what `measured.outside` leaves out
  double exclude_until_s = 0;
  Measured measured;
  ResourceUse use;
  std::vector<std::string> wrong;  // what a workload that judges found

  double per_second() const;
  // A count divided by the requests that ended; 0 when none did.
  double PerRequest(int64_t count) const;
  // Open loop: less than 99 % of what was due was sent.
  bool fell_behind() const;
  bool excludes() const { return exclude_until_s > exclude_from_s; }
};

[[nodiscard]] std::string ReportAsText(const RunReport& report);
// One object, on one line without its end.
[[nodiscard]] std::string ReportAsJson(const RunReport& report);
// gyre-bench: per_s=... p50_ms=... p99_ms=... p999_ms=... max_ms=... failed=... unsent=...
// wrong=...
[[nodiscard]] std::string ReportAsLine(const RunReport& report);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REPORT_H_
