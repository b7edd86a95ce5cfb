// BenchOptions: the command line of gyre-bench.

#ifndef GYRE_TEST_BENCH_BENCH_OPTIONS_H_
#define GYRE_TEST_BENCH_BENCH_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "test/bench/key_chooser.h"
#include "test/bench/resource_meter.h"

namespace gyre {

// Told in `gyre-bench --help`; scripts rely on them. Of several the one that is named first here.
enum class BenchExit : int {
  kOk = 0,
  kBadUsage = 2,    // a wrong command line
  kNoTarget = 3,    // it cannot be reached, or refuses the table
  kWrong = 5,       // a workload that judges found an acknowledged write missing, or the like
  kFailed = 1,      // requests failed, after all retries
  kFellBehind = 4,  // open loop: over 1 % of what was due was not sent by the end
};

// What is under load.
enum class TargetKind : uint8_t {
  kGyre,
  kGyreUnary,
  kEchoCallback,
  kEchoQueue,
  kEchoStream,
  kCassandra,
  kEtcd,
  kRedis,
  kRedisCluster,
};

struct BenchOptions {
  TargetKind target = TargetKind::kGyre;
  std::vector<std::string> connect = {"127.0.0.1:7100"};
  std::string workload = "a";
  std::optional<KeyLaw> keys;  // nothing: the workload's
  uint64_t records = 100'000;
  std::optional<uint64_t> value_bytes;  // nothing: the workload's

  int in_flight = 256;
  double rate_per_s = 0;
  double seconds = 10;
  double warm_up_seconds = 2;
  int interval_ms = 0;            // 0: a sixtieth of the measured time, at least 100
  std::vector<double> exclude_s;  // from, until
  uint64_t seed = 1;
  uint32_t timeout_ms = 2000;
  int connections = 1;          // of kGyreUnary and kEchoCallback
  uint32_t redis_replicas = 1;  // that acknowledge each write

  std::string table = "bench";
  uint32_t replicas = 3;
  uint32_t read_quorum = 2;
  uint32_t write_quorum = 2;
  bool periodic = false;
  bool last_write_wins = false;

  std::vector<NamedProcess> processes;
  std::vector<NamedFolder> folders;
  bool json = false;
  std::string svg_file;  // empty: none
};

struct BenchOptionsOutcome {
  std::optional<BenchOptions> run;       // nothing: end with the code
  BenchExit exit_code = BenchExit::kOk;  // after --help, --list, or an error that has been printed
};

// `words` without the program's name.
[[nodiscard]] BenchOptionsOutcome ParseBenchOptions(std::vector<std::string> words,
                                                    std::ostream* out, std::ostream* err);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_BENCH_OPTIONS_H_
