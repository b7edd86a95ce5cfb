// gyre_sim: runs seeds of the scenario over several processes' worth of cores and names the ones
// that break a promise.
//
//   gyre_sim --seeds 500 --first 1 --jobs 2     many seeds
//   gyre_sim --seeds 120 --fresh                seeds that no run has had before
//   gyre_sim --seeds 400 --every-fault          fails, too, if some kind of fault is never hit
//   gyre_sim --replay 17                        one seed, with a readable trace
//   gyre_sim --digest 17                        one seed's digest alone

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "CLI/CLI.hpp"
#include "test/sim/scenario.h"

namespace gyre {
namespace {

struct Tally {
  uint64_t failed = 0;
  int64_t simulated_us = 0;
  FaultCounts faults;
};
// A share is told through a pipe at one stroke.
static_assert(std::is_trivially_copyable_v<Tally> && sizeof(Tally) <= PIPE_BUF);

// One process's share: every jobs-th seed.
Tally RunShare(uint64_t first, uint64_t seeds, uint64_t job, uint64_t jobs) {
  Tally tally;
  for (uint64_t i = job; i < seeds; i += jobs) {
    ScenarioOptions options;
    options.seed = first + i;
    const ScenarioResult result = RunScenario(options);
    tally.simulated_us += result.simulated.micros();
    tally.faults.Join(result.faults);
    if (!result.violation.has_value()) continue;
    ++tally.failed;
    std::printf("seed %llu: %s\n  replay: test/sim.sh --replay %llu\n",
                static_cast<unsigned long long>(options.seed), result.violation->c_str(),
                static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
  }
  return tally;
}

// Out of 2^48, so that runs share none, and short enough to be typed.
uint64_t DrawFirst() {
  std::random_device device;
  const uint64_t high = device();
  return (high << 16 ^ device()) & ((uint64_t{1} << 48) - 1);
}

void PrintFaults(const FaultCounts& faults) {
  std::printf("faults:");
  for (size_t i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    std::printf(" %s=%llu", std::string(FaultName(kind)).c_str(),
                static_cast<unsigned long long>(faults.Of(kind)));
  }
  std::printf("\n");
}

// Names the kinds of fault that were not carried out; false: there are some.
bool EveryFaultHit(const FaultCounts& faults) {
  const std::vector<FaultKind> unhit = faults.Unhit();
  for (const FaultKind kind : unhit) {
    std::printf("no seed had the fault %s\n", std::string(FaultName(kind)).c_str());
  }
  return unhit.empty();
}

int RunMany(uint64_t first, uint64_t seeds, uint64_t jobs, bool every_fault) {
  const auto started = std::chrono::steady_clock::now();
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) {
    std::perror("pipe");
    return 2;
  }
  for (uint64_t job = 0; job < jobs; ++job) {
    const pid_t child = fork();
    if (child < 0) {
      std::perror("fork");
      return 2;
    }
    if (child == 0) {
      const Tally tally = RunShare(first, seeds, job, jobs);
      const bool told = write(pipe_ends[1], &tally, sizeof tally) == sizeof tally;
      _exit(told ? 0 : 2);
    }
  }
  close(pipe_ends[1]);
  Tally sum;
  Tally part;
  uint64_t heard = 0;
  while (read(pipe_ends[0], &part, sizeof part) == sizeof part) {
    sum.failed += part.failed;
    sum.simulated_us += part.simulated_us;
    sum.faults.Join(part.faults);
    ++heard;
  }
  while (wait(nullptr) > 0) {
  }
  if (heard != jobs) sum.failed += jobs - heard;  // a share that died has failed
  PrintFaults(sum.faults);
  const bool complete = !every_fault || EveryFaultHit(sum.faults);
  const double wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf(
      "gyre-sim: seeds=%llu failed=%llu kinds=%zu faults=%llu seeds_per_min=%.0f "
      "simulated_per_wall=%.0f\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(sum.failed),
      kFaultKinds - sum.faults.Unhit().size(), static_cast<unsigned long long>(sum.faults.Sum()),
      static_cast<double>(seeds) * 60 / wall_s,
      static_cast<double>(sum.simulated_us) / 1e6 / wall_s);
  return sum.failed == 0 && complete ? 0 : 1;
}

int RunOne(uint64_t seed, bool trace) {
  ScenarioOptions options;
  options.seed = seed;
  options.trace = trace;
  const ScenarioResult result = RunScenario(options);
  std::printf(
      "seed %llu digest %016llx steps %llu operations %llu succeeded %llu "
      "read_repairs %llu repaired_items %llu disk_reads %llu kept_bytes %llu "
      "hints %llu delivered %llu guests %llu expired %llu copied %llu log_cuts %llu mended %llu "
      "scrubbed %llu differing %llu: %s\n",
      static_cast<unsigned long long>(seed), static_cast<unsigned long long>(result.digest),
      static_cast<unsigned long long>(result.steps),
      static_cast<unsigned long long>(result.operations),
      static_cast<unsigned long long>(result.succeeded),
      static_cast<unsigned long long>(result.read_repairs),
      static_cast<unsigned long long>(result.repaired_items),
      static_cast<unsigned long long>(result.disk_reads),
      static_cast<unsigned long long>(result.cache.bytes),
      static_cast<unsigned long long>(result.hints_kept),
      static_cast<unsigned long long>(result.hints_delivered),
      static_cast<unsigned long long>(result.guest_writes),
      static_cast<unsigned long long>(result.expired),
      static_cast<unsigned long long>(result.copied),
      static_cast<unsigned long long>(result.log_cuts),
      static_cast<unsigned long long>(result.mended),
      static_cast<unsigned long long>(result.scrubbed.slices),
      static_cast<unsigned long long>(result.scrubbed.differing),
      result.violation.value_or("all promises kept").c_str());
  return result.violation.has_value() ? 1 : 0;
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  CLI::App app("Runs the simulator over seeds");
  uint64_t seeds = 100, first = 1, jobs = 2, replay = 0, digest = 0;
  app.add_option("--seeds", seeds, "how many seeds")->check(CLI::PositiveNumber);
  auto* first_option = app.add_option("--first", first, "the first seed");
  app.add_option("--jobs", jobs, "processes")->check(CLI::Range(1, 64));
  bool fresh = false;
  app.add_flag("--fresh", fresh, "draws the first seed, and says which")->excludes(first_option);
  bool every_fault = false;
  app.add_flag("--every-fault", every_fault, "fails where some kind of fault is never carried out");
  auto* replay_option = app.add_option("--replay", replay, "one seed, with a readable trace");
  auto* digest_option = app.add_option("--digest", digest, "one seed, its digest alone");
  CLI11_PARSE(app, argc, argv);
  if (replay_option->count() > 0) return gyre::RunOne(replay, true);
  if (digest_option->count() > 0) return gyre::RunOne(digest, false);
  if (fresh) {
    first = gyre::DrawFirst();
    std::printf("first seed: %llu\n", static_cast<unsigned long long>(first));
    std::fflush(stdout);  // before there are more processes to say it
  }
  return gyre::RunMany(first, seeds, std::min(jobs, seeds), every_fault);
}
