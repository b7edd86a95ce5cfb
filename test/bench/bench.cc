#include "test/bench/bench.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "api/client/client.h"
#include "test/bench/cassandra_target.h"
#include "test/bench/echo/echo_target.h"
#include "test/bench/etcd_target.h"
#include "test/bench/gyre_target.h"
#include "test/bench/gyre_unary_target.h"
#include "test/bench/judged_source.h"
#include "test/bench/load_run.h"
#include "test/bench/mix.h"
#include "test/bench/redis_cluster_target.h"
#include "test/bench/redis_target.h"
#include "test/bench/report.h"
#include "test/bench/svg_plot.h"
#include "test/workload/cart_workload.h"
#include "test/workload/mixed_workload.h"

namespace gyre {
namespace {

constexpr int64_t kLoadAtMostUs = int64_t{30} * 86'400 * 1'000'000;

int64_t Micros(double seconds) { return static_cast<int64_t>(seconds * 1e6); }

const char* NameOf(KeyLaw law) {
  switch (law) {
    case KeyLaw::kUniform:
      return "uniform";
    case KeyLaw::kZipfian:
      return "zipfian";
    case KeyLaw::kLatest:
      break;
  }
  return "latest";
}

v1::Table TableOf(const BenchOptions& options) {
  v1::Table table;
  table.set_name(options.table);
  table.set_replicas(options.replicas);
  table.set_read_quorum(options.read_quorum);
  table.set_write_quorum(options.write_quorum);
  table.set_durability(options.periodic ? v1::DURABILITY_PERIODIC : v1::DURABILITY_FSYNC);
  table.set_conflict(options.last_write_wins ? v1::CONFLICT_POLICY_LAST_WRITE_WINS
                                             : v1::CONFLICT_POLICY_SIBLINGS);
  table.set_quorum(v1::QUORUM_KIND_STRICT);  // the judged workloads count on it
  return table;
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const BenchOptions& options) {
  ClientOptions client_options;
  client_options.seeds = options.connect;
  client_options.timeout = absl::Milliseconds(options.timeout_ms);
  // Each may be a multi get of a hundred items.
  client_options.max_outstanding = static_cast<uint64_t>(options.in_flight) * 100 + 1000;
  client_options.max_outstanding_bytes = size_t{4} << 30;
  auto client = Client::Connect(std::move(client_options));
  if (!client.ok()) return client;
  if (auto table = (*client)->CreateTable(TableOf(options)); !table.ok()) return table.status();
  return client;
}

RedisOptions RedisOptionsOf(const BenchOptions& options) {
  RedisOptions redis;
  redis.address = options.connect.front();
  redis.replicas = static_cast<int>(options.redis_replicas);
  redis.timeout_ms = static_cast<int>(options.timeout_ms);
  return redis;
}

// What is under load; `client` outlives `target`, which may use it.
struct OpenTarget {
  std::unique_ptr<Client> client;  // of gyre alone
  std::unique_ptr<Target> target;
};

absl::StatusOr<OpenTarget> Open(const BenchOptions& options, std::string* name) {
  OpenTarget open;
  const std::string& first = options.connect.front();
  switch (options.target) {
    case TargetKind::kGyre: {
      *name = "gyre";
      auto client = Connect(options);
      if (!client.ok()) return client.status();
      open.client = *std::move(client);
      open.target = std::make_unique<GyreTarget>(open.client.get(), options.table);
      return open;
    }
    case TargetKind::kGyreUnary: {
      *name = "gyre-unary";
      if (auto client = Connect(options); !client.ok()) return client.status();  // makes the table
      open.target =
          std::make_unique<GyreUnaryTarget>(options.connect, options.connections, options.table,
                                            static_cast<int>(options.timeout_ms));
      return open;
    }
    case TargetKind::kEchoCallback:
      *name = "echo-callback";
      open.target = EchoByCallback(first, options.connections);
      return open;
    case TargetKind::kEchoQueue:
      *name = "echo-queue";
      open.target = EchoByQueue(first);
      return open;
    case TargetKind::kEchoStream:
      *name = "echo-stream";
      open.target = EchoByStream(first);
      return open;
    case TargetKind::kEtcd:
      *name = "etcd";
      open.target =
          std::make_unique<EtcdTarget>(options.connect, static_cast<int>(options.timeout_ms));
      return open;
    case TargetKind::kCassandra: {
      *name = "cassandra";
      auto cassandra = CassandraTarget::Connect({.addresses = options.connect});
      if (!cassandra.ok()) return cassandra.status();
      open.target = *std::move(cassandra);
      return open;
    }
    case TargetKind::kRedisCluster: {
      *name = "redis-cluster";
      auto redis = RedisClusterTarget::Connect(options.connect, RedisOptionsOf(options));
      if (!redis.ok()) return redis.status();
      open.target = *std::move(redis);
      return open;
    }
    case TargetKind::kRedis:
      break;
  }
  *name = "redis";
  auto redis = RedisTarget::Connect(RedisOptionsOf(options));
  if (!redis.ok()) return redis.status();
  open.target = *std::move(redis);
  return open;
}

// The source of the workload, and what the report says of it.
std::unique_ptr<RequestSource> MakeSource(const BenchOptions& options, RunReport* report) {
  report->workload = options.workload;
  report->records = options.records;
  report->in_flight = options.in_flight;
  report->rate_per_s = options.rate_per_s;
  if (const Mix* found = FindMix(options.workload)) {
    Mix mix = *found;
    if (options.keys.has_value()) mix.keys = *options.keys;
    if (options.value_bytes.has_value()) mix.value_bytes = *options.value_bytes;
    report->keys = mix.is_load() ? "all" : NameOf(mix.keys);
    report->value_bytes = mix.value_bytes;
    return std::make_unique<MixSource>(MixOptions{
        .mix = mix, .records = options.records, .slots = options.in_flight, .seed = options.seed});
  }
  report->keys = "uniform";
  TableSpec table;
  table.name = options.table;
  table.quorum = QuorumKind::kStrict;
  const int keys = static_cast<int>(std::min<uint64_t>(options.records, 1'000'000'000));
  std::unique_ptr<Workload> workload;
  if (options.workload == "cart") {
    workload = std::make_unique<CartWorkload>(table, keys, 1);
  } else {
    MixedOptions mixed;
    mixed.table = table;
    mixed.keys = keys;
    mixed.max_value_bytes = options.value_bytes.value_or(1024);
    mixed.strict = !options.last_write_wins && !options.periodic &&
                   options.read_quorum + options.write_quorum > options.replicas;
    report->value_bytes = mixed.max_value_bytes;
    workload = std::make_unique<MixedWorkload>(std::move(mixed));
  }
  return std::make_unique<JudgedSource>(std::move(workload), options.in_flight);
}

LoadRunOptions RunOptionsOf(const BenchOptions& options) {
  LoadRunOptions run;
  const bool load = options.workload == "load";
  run.slots = options.in_flight;
  run.rate_per_s = options.rate_per_s;
  run.warm_up_us = load ? 0 : Micros(options.warm_up_seconds);
  run.length_us = load ? kLoadAtMostUs : Micros(options.seconds);
  run.interval_us = int64_t{options.interval_ms} * 1000;
  if (run.interval_us == 0) {
    run.interval_us = load ? 1'000'000 : std::max<int64_t>(run.length_us / 60, 100'000);
  }
  run.seed = options.seed;
  return run;
}

RecorderOptions RecorderOptionsOf(const BenchOptions& options, const LoadRunOptions& run) {
  RecorderOptions recorder;
  recorder.measure_from_us = run.warm_up_us;
  recorder.measure_until_us = run.warm_up_us + run.length_us;
  if (!options.exclude_s.empty()) {
    recorder.exclude_from_us = run.warm_up_us + Micros(options.exclude_s[0]);
    recorder.exclude_until_us = run.warm_up_us + Micros(options.exclude_s[1]);
  }
  return recorder;
}

// What a workload that judges says in the end, reading through the same client.
void Judge(RequestSource* source, Client* client, const std::string& table, RunReport* report) {
  std::vector<std::string> unread;
  report->wrong = source->Judge([&](const std::string& key) {
    absl::StatusOr<GetResult> got = client->Get(table, key).get();
    if (got.ok()) return std::move(got->values);
    unread.push_back("reading " + key + " in the end: " + got.status().ToString());
    return std::vector<std::string>();
  });
  report->wrong.insert(report->wrong.end(), unread.begin(), unread.end());
}

BenchExit ExitOf(const RunReport& report) {
  if (!report.wrong.empty()) return BenchExit::kWrong;
  if (report.measured.failed > 0) return BenchExit::kFailed;
  return report.fell_behind() ? BenchExit::kFellBehind : BenchExit::kOk;
}

}  // namespace

BenchExit RunBench(const BenchOptions& options, std::ostream* out, std::ostream* err) {
  RunReport report;
  const auto open = Open(options, &report.target);
  if (!open.ok()) {
    *err << "gyre-bench: " << open.status().ToString(absl::StatusToStringMode::kWithNoExtraData)
         << "\n";
    return BenchExit::kNoTarget;
  }
  const std::unique_ptr<RequestSource> source = MakeSource(options, &report);

  std::vector<NamedProcess> processes = options.processes;
  processes.push_back({"gyre-bench", getpid()});
  const ResourceMeter meter(std::move(processes), options.folders);
  std::vector<ResourceReading> readings;

  const LoadRunOptions run_options = RunOptionsOf(options);
  Recorder recorder(RecorderOptionsOf(options, run_options));
  LoadRun run(run_options, open->target.get(), source.get(), &recorder);
  const MeasuredTime time = run.Run([&] { readings.push_back(meter.Read()); });

  report.seconds = static_cast<double>(time.until_us - time.from_us) / 1e6;
  report.warm_up_seconds = static_cast<double>(time.from_us) / 1e6;
  if (!options.exclude_s.empty()) {
    report.exclude_from_s = options.exclude_s[0];
    report.exclude_until_s = options.exclude_s[1];
  }
  report.measured = std::move(*recorder.Finish());
  report.use = meter.Between(readings.front(), readings.back());
  Judge(source.get(), open->client.get(), options.table, &report);

  *out << (options.json ? ReportAsJson(report) + "\n"
                        : ReportAsText(report) + ReportAsLine(report) + "\n");
  if (!options.svg_file.empty()) {
    std::ofstream file(options.svg_file);
    file << ReportAsSvg(report) << std::flush;
    if (!file) {
      *err << "gyre-bench: cannot write " << options.svg_file << "\n";
      return BenchExit::kBadUsage;
    }
  }
  return ExitOf(report);
}

}  // namespace gyre
