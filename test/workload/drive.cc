// gyre_drive: runs a workload of the simulator against a real cluster and judges it.
//
//   gyre_drive --connect 127.0.0.1:7100,127.0.0.1:7101 --workload mixed --seconds 20 --rate 3000
//
//   gyre_drive --connect 127.0.0.1:7100 --compare catalogue --seconds 60
//
// The second form waits until all owners of every slice hold the same, and says so.
//
// With --settle SECONDS the cluster suffers faults meanwhile: requests may fail, and before all is
// read back in the end the owners have so long to become equal. Then a line says what the judge
// found: gyre-judged: acked=<n> lost=<n> resurrected=<n> false_siblings=<n> other=<n> diverged=<n>
//
// With --latencies a line before the last, gyre-latencies: counts them (test/workload/
// latency_counts.h), for who adds up runs. Last line: gyre-compare: items=<n> different=<n>
// after_s=<x>, or gyre-drive: requests=<n> failed=<n> lost_writes=<n> p50_ms=<x> p99_ms=<x>
// max_ms=<x> Exit code 0 when nothing was lost and nothing failed that may not, 1 otherwise, 2 for
// bad usage.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/client/client.h"
#include "test/workload/cart_workload.h"
#include "test/workload/cluster_driver.h"
#include "test/workload/latency_counts.h"
#include "test/workload/mixed_workload.h"
#include "test/workload/replica_compare.h"

namespace gyre {
namespace {

constexpr absl::Duration kBetweenComparisons = absl::Milliseconds(100);

// With --expiring: of puts that do not say, and of those that do.
constexpr Duration kTableTtl = Duration::Seconds(12);
constexpr Duration kLeastTtl = Duration::Seconds(2);
constexpr Duration kMostTtl = Duration::Seconds(15);

double PercentileMs(const std::vector<uint32_t>& sorted_us, double share) {
  if (sorted_us.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(sorted_us.size() - 1));
  return sorted_us[at] / 1000.0;
}

struct WorkloadChoice {
  std::string name = "mixed";
  std::string table = "drive";
  bool sloppy = false;
  bool last_write_wins = false;
  bool expiring = false;
  int keys = 2000;
  size_t value_bytes = 512;
};

std::unique_ptr<Workload> MakeWorkload(const WorkloadChoice& choice) {
  TableSpec spec;
  spec.name = choice.table;
  if (choice.last_write_wins) spec.conflict = ConflictPolicy::kLastWriteWins;
  spec.quorum = choice.sloppy ? QuorumKind::kSloppy : QuorumKind::kStrict;
  if (choice.name == "cart") return std::make_unique<CartWorkload>(spec, choice.keys, 1);
  MixedOptions options;
  options.table = spec;
  options.keys = choice.keys;
  options.max_value_bytes = choice.value_bytes;
  options.mints_seen = false;
  if (choice.expiring) {
    options.table.ttl_ms = static_cast<uint64_t>(kTableTtl.millis());
    options.min_ttl = kLeastTtl;
    options.max_ttl = kMostTtl;
  }
  return std::make_unique<MixedWorkload>(options);
}

// As soon as all owners hold the same, or else when the time is over.
absl::StatusOr<ReplicaComparison> CompareWithin(Client* client, const std::string& table,
                                                absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  for (;;) {
    absl::StatusOr<ReplicaComparison> found = CompareReplicas(client, table);
    if (found.ok() && found->different == 0) return found;
    if (absl::Now() >= end) return found;
    absl::SleepFor(kBetweenComparisons);
  }
}

int Compare(Client* client, const std::string& table, double seconds) {
  const absl::Time started = absl::Now();
  const auto found = CompareWithin(client, table, absl::Seconds(seconds));
  if (!found.ok()) {
    std::fprintf(stderr, "gyre_drive: %s\n", found.status().ToString().c_str());
    return 1;
  }
  std::printf("gyre-compare: items=%llu different=%llu after_s=%.1f\n",
              static_cast<unsigned long long>(found->items),
              static_cast<unsigned long long>(found->different),
              absl::ToDoubleSeconds(absl::Now() - started));
  return found->different == 0 ? 0 : 1;
}

// Prints what the judge found; whether that is nothing.
bool Judged(const DriverReport& report, const absl::StatusOr<ReplicaComparison>& compared) {
  uint64_t counts[4] = {};
  for (const std::string& wrong : report.violations) ++counts[static_cast<int>(BreachOf(wrong))];
  if (!compared.ok()) {
    std::printf("broken: comparing the owners: %s\n", compared.status().ToString().c_str());
    ++counts[static_cast<int>(Breach::kOther)];
  }
  const uint64_t diverged = compared.ok() ? compared->different : 0;
  const auto count = [&](Breach breach) {
    return static_cast<unsigned long long>(counts[static_cast<int>(breach)]);
  };
  std::printf(
      "gyre-judged: acked=%llu lost=%llu resurrected=%llu false_siblings=%llu other=%llu "
      "diverged=%llu\n",
      static_cast<unsigned long long>(report.acknowledged), count(Breach::kLost),
      count(Breach::kResurrected), count(Breach::kFalseSibling), count(Breach::kOther),
      static_cast<unsigned long long>(diverged));
  return report.violations.empty() && compared.ok() && diverged == 0;
}

void PrintSummary(const DriverReport& report, bool with_latencies) {
  std::vector<uint32_t> latencies_us = report.latencies_us;
  std::sort(latencies_us.begin(), latencies_us.end());
  if (with_latencies) {
    LatencyCounts counts;
    for (uint32_t us : latencies_us) counts.Add(us);
    std::printf("gyre-latencies: %s\n", counts.ToString().c_str());
  }
  std::printf(
      "gyre-drive: requests=%llu failed=%llu lost_writes=%zu p50_ms=%.2f p99_ms=%.2f "
      "max_ms=%.1f\n",
      static_cast<unsigned long long>(report.requests),
      static_cast<unsigned long long>(report.failed), report.violations.size(),
      PercentileMs(latencies_us, 0.5), PercentileMs(latencies_us, 0.99),
      PercentileMs(latencies_us, 1));
}

// `settle_s` below 0: the cluster suffers no faults that requests may fail by.
int Drive(Client* client, const WorkloadChoice& choice, const DriverOptions& options,
          double settle_s, bool with_latencies) {
  const std::unique_ptr<Workload> workload = MakeWorkload(choice);
  ClusterDriver driver(options, client, workload.get());
  driver.Run();
  std::optional<absl::StatusOr<ReplicaComparison>> compared;
  if (settle_s >= 0) compared = CompareWithin(client, choice.table, absl::Seconds(settle_s));
  driver.Check();
  const DriverReport& report = driver.report();
  for (const std::string& failure : report.failures) std::printf("failed: %s\n", failure.c_str());
  for (const std::string& wrong : report.violations) std::printf("broken: %s\n", wrong.c_str());
  const bool sound = compared.has_value() ? Judged(report, *compared)
                                          : report.failed == 0 && report.violations.empty();
  PrintSummary(report, with_latencies);
  return sound ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs a workload against a cluster and judges it");
  std::vector<std::string> seeds;
  WorkloadChoice choice;
  double seconds = 10;
  double settle_s = -1;
  DriverOptions options;
  app.add_option("--connect", seeds, "host:port of some nodes")->delimiter(',')->required();
  app.add_option("--workload", choice.name, "mixed or cart")
      ->check(CLI::IsMember({"mixed", "cart"}));
  app.add_option("--table", choice.table, "the table that it creates and uses; must be its own");
  app.add_flag("--sloppy", choice.sloppy, "a sloppy quorum for it");
  app.add_flag("--last-write-wins", choice.last_write_wins, "of siblings it keeps the newest");
  app.add_flag("--expiring", choice.expiring, "what is put lives for 2 to 15 s; not for carts");
  app.add_option("--keys", choice.keys, "keys, or carts")->check(CLI::Range(1, 1'000'000));
  app.add_option("--value-bytes", choice.value_bytes, "largest value")
      ->check(CLI::Range(8, 1 << 20));
  app.add_option("--settle", settle_s, "seconds for the owners to become equal; requests may fail")
      ->check(CLI::Range(0.0, 3600.0));
  bool with_latencies = false;
  app.add_flag("--latencies", with_latencies, "prints counts of them, to be added up over runs");
  std::string compare;
  app.add_option("--compare", compare, "wait until all replicas of this table are equal");
  app.add_option("--seconds", seconds, "how long")->check(CLI::Range(0.1, 86'400.0));
  app.add_option("--rate", options.rate_per_s, "actions a second; 0: as fast as it goes");
  app.add_option("--clients", options.clients, "clients")->check(CLI::Range(1, 10'000));
  app.add_option("--seed", options.seed, "of what they do");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.length = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));

  ClientOptions client_options;
  client_options.seeds = seeds;
  client_options.timeout = absl::Seconds(10);
  auto client = Client::Connect(client_options);
  if (!client.ok()) {
    std::fprintf(stderr, "gyre_drive: %s\n", client.status().ToString().c_str());
    return 1;
  }
  if (!compare.empty()) return Compare(client->get(), compare, seconds);
  return Drive(client->get(), choice, options, settle_s, with_latencies);
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) { return gyre::Main(argc, argv); }
