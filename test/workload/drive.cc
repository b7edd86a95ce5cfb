// gyre_drive: runs a workload of the simulator against a real cluster and judges it.
//
//   gyre_drive --connect 127.0.0.1:7100,127.0.0.1:7101 --workload mixed --seconds 20 --rate 3000
//
//   gyre_drive --connect 127.0.0.1:7100 --compare catalogue --seconds 60
//
// The second form waits until all owners of every slice hold the same, and says so.
//
// Last line: gyre-compare: items=<n> different=<n> after_s=<x>, or gyre-drive: requests=<n>
// failed=<n> lost_writes=<n> p50_ms=<x> p99_ms=<x> max_ms=<x> Exit code 0 when nothing failed and
// nothing was lost, 1 otherwise, 2 for bad usage.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/client/client.h"
#include "test/workload/cart_workload.h"
#include "test/workload/cluster_driver.h"
#include "test/workload/mixed_workload.h"
#include "test/workload/replica_compare.h"

namespace gyre {
namespace {

double PercentileMs(const std::vector<uint32_t>& sorted_us, double share) {
  if (sorted_us.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(sorted_us.size() - 1));
  return sorted_us[at] / 1000.0;
}

std::unique_ptr<Workload> MakeWorkload(const std::string& name, const std::string& table, int keys,
                                       size_t value_bytes) {
  TableSpec spec;
  spec.name = table;
  spec.quorum = QuorumKind::kStrict;
  if (name == "cart") return std::make_unique<CartWorkload>(spec, keys, 1);
  MixedOptions options;
  options.table = spec;
  options.keys = keys;
  options.max_value_bytes = value_bytes;
  return std::make_unique<MixedWorkload>(options);
}

int Compare(Client* client, const std::string& table, double seconds) {
  const absl::Time started = absl::Now();
  for (;;) {
    const absl::StatusOr<ReplicaComparison> found = CompareReplicas(client, table);
    const double after_s = absl::ToDoubleSeconds(absl::Now() - started);
    const bool same = found.ok() && found->different == 0;
    if (!same && after_s < seconds) continue;
    if (!found.ok()) {
      std::fprintf(stderr, "gyre_drive: %s\n", found.status().ToString().c_str());
      return 1;
    }
    std::printf("gyre-compare: items=%llu different=%llu after_s=%.1f\n",
                static_cast<unsigned long long>(found->items),
                static_cast<unsigned long long>(found->different), after_s);
    return same ? 0 : 1;
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Runs a workload against a cluster and judges it");
  std::vector<std::string> seeds;
  std::string name = "mixed";
  std::string table = "drive";
  int keys = 2000;
  size_t value_bytes = 512;
  double seconds = 10;
  DriverOptions options;
  app.add_option("--connect", seeds, "host:port of some nodes")->delimiter(',')->required();
  app.add_option("--workload", name, "mixed or cart")->check(CLI::IsMember({"mixed", "cart"}));
  app.add_option("--table", table, "the table that it creates and uses; must be its own");
  app.add_option("--keys", keys, "keys, or carts")->check(CLI::Range(1, 1'000'000));
  app.add_option("--value-bytes", value_bytes, "largest value")->check(CLI::Range(8, 1 << 20));
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
  const std::unique_ptr<Workload> workload = MakeWorkload(name, table, keys, value_bytes);
  ClusterDriver driver(options, client->get(), workload.get());
  DriverReport report = driver.Run();
  std::sort(report.latencies_us.begin(), report.latencies_us.end());
  for (const std::string& failure : report.failures) std::printf("failed: %s\n", failure.c_str());
  for (const std::string& wrong : report.violations) std::printf("broken: %s\n", wrong.c_str());
  std::printf(
      "gyre-drive: requests=%llu failed=%llu lost_writes=%zu p50_ms=%.2f p99_ms=%.2f "
      "max_ms=%.1f\n",
      static_cast<unsigned long long>(report.requests),
      static_cast<unsigned long long>(report.failed), report.violations.size(),
      PercentileMs(report.latencies_us, 0.5), PercentileMs(report.latencies_us, 0.99),
      PercentileMs(report.latencies_us, 1));
  return report.failed == 0 && report.violations.empty() ? 0 : 1;
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) { return gyre::Main(argc, argv); }
