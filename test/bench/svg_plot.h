// ReportAsSvg: a run as two plots in one image: throughput over time, and latency by percentile, on
// axes where each nine of the percentile takes as much room as the one before (after the plots of
// HdrHistogram). SVG 1.1; any browser shows it. Pure.

#ifndef GYRE_TEST_BENCH_SVG_PLOT_H_
#define GYRE_TEST_BENCH_SVG_PLOT_H_

#include <string>

#include "test/bench/report.h"

namespace gyre {

[[nodiscard]] std::string ReportAsSvg(const RunReport& report);

// The least of 1, 2 or 5 times a power of ten that is not under `value`; 1 for what is not
// positive. Where an axis may end.
[[nodiscard]] double RoundUp(double value);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_SVG_PLOT_H_
