// RunBench: one run of gyre-bench, from its options to its exit code.

#ifndef GYRE_TEST_BENCH_BENCH_H_
#define GYRE_TEST_BENCH_BENCH_H_

#include <ostream>

#include "test/bench/bench_options.h"

namespace gyre {

[[nodiscard]] BenchExit RunBench(const BenchOptions& options, std::ostream* out, std::ostream* err);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_BENCH_H_
