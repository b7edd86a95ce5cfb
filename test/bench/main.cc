// gyre-bench: puts a running cluster under load and measures it. See docs/benchmarks.md.

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "api/mutex_checks.h"
#include "test/bench/bench.h"
#include "test/bench/bench_options.h"

int main(int argc, char** argv) {
  gyre::TurnOffMutexChecks();
  gyre::BenchOptionsOutcome parsed = gyre::ParseBenchOptions(
      std::vector<std::string>(argv + 1, argv + argc), &std::cout, &std::cerr);
  if (!parsed.run.has_value()) return static_cast<int>(parsed.exit_code);
  return static_cast<int>(gyre::RunBench(*parsed.run, &std::cout, &std::cerr));
}
