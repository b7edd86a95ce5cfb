#include "test/bench/bench_options.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "CLI/CLI.hpp"
#include "test/bench/mix.h"

namespace gyre {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 all went well; 1 requests failed, after all retries; 2 bad usage; 3 the target\n"
    "cannot be reached or refuses the table; 4 open loop: over 1 % of what was due was not sent;\n"
    "5 a workload that judges found something wrong (and never mind the rest).\n\n"
    "The last line of the text is for scripts: gyre-bench: per_s=... p50_ms=... p99_ms=...\n"
    "p999_ms=... max_ms=... failed=... unsent=... wrong=...\n\n"
    "docs/benchmarks.md says what each figure means.";

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const Mix& mix : AllMixes()) names.emplace_back(mix.name);
  names.insert(names.end(), {"cart", "mixed"});
  return names;
}

void List(std::ostream* out) {
  for (const Mix& mix : AllMixes()) {
    std::string about(mix.about);
    for (size_t at = about.find('\n'); at != std::string::npos; at = about.find('\n', at + 1)) {
      about.insert(at + 1, 10, ' ');
    }
    *out << mix.name << std::string(10 - mix.name.size(), ' ') << about << "\n";
  }
  *out
      << "cart      the shopping cart of test/workload: get, add a thing, put; judged at the end\n"
         "mixed     the gets, puts and deletes of the simulator, each read judged; costs the load\n"
         "          generator more than any other\n";
}

// "n1=42" as its two halves.
std::optional<std::pair<std::string, std::string>> Halves(const std::string& word) {
  const size_t at = word.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == word.size()) return std::nullopt;
  return std::pair(word.substr(0, at), word.substr(at + 1));
}

std::string TakeProcesses(const std::vector<std::string>& words, BenchOptions* options) {
  for (const std::string& word : words) {
    const auto halves = Halves(word);
    int pid = 0;
    if (halves.has_value()) {
      const std::string& text = halves->second;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), pid);
      if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) pid = 0;
    }
    if (pid <= 0) return "--pids: '" + word + "' is not NAME=PID";
    options->processes.push_back({halves->first, pid});
  }
  return "";
}

std::string TakeFolders(const std::vector<std::string>& words, BenchOptions* options) {
  for (const std::string& word : words) {
    const auto halves = Halves(word);
    if (!halves.has_value()) return "--folders: '" + word + "' is not NAME=FOLDER";
    options->folders.push_back({halves->first, halves->second});
  }
  return "";
}

void AddLoadOptions(CLI::App* app, BenchOptions* options) {
  app->add_option("--workload", options->workload, "What is asked; --list tells of each")
      ->check(CLI::IsMember(WorkloadNames()))
      ->capture_default_str();
  app->add_option("--keys", options->keys, "How keys are drawn; default: as the workload says")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, KeyLaw>{{"uniform", KeyLaw::kUniform},
                                                                {"zipfian", KeyLaw::kZipfian},
                                                                {"latest", KeyLaw::kLatest}}))
      ->option_text("uniform|zipfian|latest");
  app->add_option("--records", options->records,
                  "Records that are there, or that load writes; carts of cart, keys of mixed")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}))
      ->capture_default_str();
  app->add_option("--value-bytes", options->value_bytes,
                  "Bytes of a value; default: 1024, and 102400 for large")
      ->check(CLI::Range(uint64_t{8}, uint64_t{1} << 20));
  app->add_option("--in-flight", options->in_flight,
                  "Requests under way: always so many (closed loop), at most so many (open loop)")
      ->check(CLI::Range(1, 16'000))
      ->capture_default_str();
  app->add_option("--rate", options->rate_per_s,
                  "Requests a second (open loop; latency counts from when each was due);\n"
                  "0: as fast as they are answered (closed loop)")
      ->check(CLI::Range(0.0, 10'000'000.0))
      ->capture_default_str();
  app->add_option("--seconds", options->seconds, "Measured time, in seconds; load needs none")
      ->check(CLI::Range(0.1, 604'800.0))
      ->capture_default_str();
  app->add_option("--warm-up", options->warm_up_seconds,
                  "Seconds under load before that, which do not count; load has none")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app->add_option("--interval-ms", options->interval_ms,
                  "Milliseconds between points over time; default: a sixtieth of --seconds")
      ->check(CLI::Range(10, 3'600'000));
  app->add_option(
         "--exclude", options->exclude_s,
         "Two times in seconds of the measured time, 0 or more: latency is told once more\n"
         "without the requests that were due between them")
      ->expected(2)
      ->check(CLI::Range(0.0, 604'800.0));
  app->add_option("--seed", options->seed, "Of what is drawn: the same seed asks the same")
      ->capture_default_str();
}

void AddTargetOptions(CLI::App* app, BenchOptions* options) {
  app->add_option(
         "--target", options->target,
         "gyre (default), the same by unary calls without the SDK, or a peer: the bare gRPC\n"
         "echo by unary calls (callback API or completion queue) or by a stream, a cluster of\n"
         "Cassandra or etcd, a Redis primary, or a Redis Cluster. Peers take gets, puts and\n"
         "deletes alone; an echo returns what it is sent")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, TargetKind>{{"gyre", TargetKind::kGyre},
                                            {"gyre-unary", TargetKind::kGyreUnary},
                                            {"echo-callback", TargetKind::kEchoCallback},
                                            {"echo-queue", TargetKind::kEchoQueue},
                                            {"echo-stream", TargetKind::kEchoStream},
                                            {"cassandra", TargetKind::kCassandra},
                                            {"etcd", TargetKind::kEtcd},
                                            {"redis", TargetKind::kRedis},
                                            {"redis-cluster", TargetKind::kRedisCluster}}))
      ->option_text(
          "gyre|gyre-unary|echo-callback|echo-queue|echo-stream|cassandra|etcd|redis|redis-"
          "cluster");
  app->add_option("--redis-replicas", options->redis_replicas,
                  "Replicas that acknowledge each write to Redis (WAIT)")
      ->check(CLI::Range(0, 5))
      ->capture_default_str();
  app->add_option("--connections", options->connections,
                  "TCP connections, over all nodes, of gyre-unary and echo-callback")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app->add_option(
         "--connect", options->connect,
         "host:port of some nodes, with commas between; of echo and redis one, of redis-cluster\n"
         "all primaries in the order of their slots")
      ->delimiter(',')
      ->capture_default_str();
}

void AddTableOptions(CLI::App* app, BenchOptions* options) {
  app->add_option("--timeout-ms", options->timeout_ms,
                  "Milliseconds that a request may take, with all its attempts")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();
  app->add_option("--table", options->table, "The table; it is made if it is not there")
      ->capture_default_str();
  app->add_option("--replicas", options->replicas, "N of the table")
      ->check(CLI::Range(1, 5))
      ->capture_default_str();
  app->add_option("--r", options->read_quorum, "R of the table")
      ->check(CLI::Range(1, 5))
      ->capture_default_str();
  app->add_option("--w", options->write_quorum, "W of the table")
      ->check(CLI::Range(1, 5))
      ->capture_default_str();
  app->add_flag("--periodic", options->periodic,
                "The table's durability is periodic; default: fsync before an acknowledgement");
  app->add_flag("--last-write-wins", options->last_write_wins,
                "The table keeps the newest of concurrent writes; default: all, as siblings");
}

}  // namespace

BenchOptionsOutcome ParseBenchOptions(std::vector<std::string> words, std::ostream* out,
                                      std::ostream* err) {
  BenchOptions options;
  std::vector<std::string> pids, folders;
  bool list = false;
  CLI::App app("Puts a running Gyre cluster, or a peer, under load and measures it", "gyre-bench");
  app.footer(kFooter);
  AddLoadOptions(&app, &options);
  AddTargetOptions(&app, &options);
  AddTableOptions(&app, &options);
  app.add_option("--pids", pids, "NAME=PID of processes whose CPU, memory and writes are told")
      ->delimiter(',');
  app.add_option("--folders", folders, "NAME=FOLDER of data whose size on disk is told")
      ->delimiter(',');
  app.add_flag("--json", options.json, "Print one JSON object in place of the text");
  app.add_option("--svg", options.svg_file, "Write plots to this file: throughput, latency");
  app.add_flag("--list", list, "Tell of each workload, and end");
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    const bool bad = app.exit(error, *out, *err) != 0;
    return {std::nullopt, bad ? BenchExit::kBadUsage : BenchExit::kOk};
  }
  if (list) {
    List(out);
    return {};
  }
  std::string wrong = TakeProcesses(pids, &options);
  if (wrong.empty()) wrong = TakeFolders(folders, &options);
  if (wrong.empty() && !options.exclude_s.empty() && options.exclude_s[0] >= options.exclude_s[1]) {
    wrong = "--exclude: the second time must be after the first";
  }
  if (wrong.empty() && std::max(options.read_quorum, options.write_quorum) > options.replicas) {
    wrong = "--r and --w are at most --replicas";
  }
  if (wrong.empty() && options.target != TargetKind::kGyre &&
      FindMix(options.workload) == nullptr) {
    wrong = "--workload " + options.workload + " judges what only gyre can answer";
  }
  if (wrong.empty()) return {std::move(options), BenchExit::kOk};
  *err << "gyre-bench: " << wrong << "\n";
  return {std::nullopt, BenchExit::kBadUsage};
}

}  // namespace gyre
