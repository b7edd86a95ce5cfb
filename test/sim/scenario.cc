#include "test/sim/scenario.h"

#include <memory>
#include <vector>

#include "test/sim/nemesis.h"
#include "test/sim/sim_clients.h"
#include "test/sim/sim_cluster.h"
#include "test/workload/cart_workload.h"
#include "test/workload/mixed_workload.h"

namespace gyre {
namespace {

TableSpec Table(const std::string& name) {
  TableSpec table;
  table.name = name;
  table.quorum = QuorumKind::kStrict;
  return table;
}

// With a table of periodic durability an unclean stop starts new lives: every other seed goes
// without, so that nodes go on under their ids, and has tables with sloppy quorums, and one whose
// values expire, instead.
std::vector<std::unique_ptr<Workload>> Workloads(uint64_t seed, SimCluster* cluster) {
  const bool with_periodic = seed % 2 == 0;
  std::vector<std::unique_ptr<Workload>> workloads;
  MixedOptions mixed;
  mixed.table = Table("mixed");
  workloads.push_back(std::make_unique<MixedWorkload>(mixed));
  workloads.push_back(std::make_unique<CartWorkload>(Table("carts"), 6, EventId{1} << 40));
  MixedOptions last;
  last.table = Table("last");
  last.table.conflict = ConflictPolicy::kLastWriteWins;
  last.keys = 6;
  last.first_event = EventId{2} << 40;
  workloads.push_back(std::make_unique<MixedWorkload>(last));
  if (!with_periodic) {
    MixedOptions sloppy;
    sloppy.table = Table("sloppy");
    sloppy.table.quorum = QuorumKind::kSloppy;
    sloppy.keys = 12;
    sloppy.first_event = EventId{4} << 40;
    workloads.push_back(std::make_unique<MixedWorkload>(sloppy));
    TableSpec carts = Table("sloppy-carts");
    carts.quorum = QuorumKind::kSloppy;
    workloads.push_back(std::make_unique<CartWorkload>(carts, 6, EventId{5} << 40));
    MixedOptions expiring;
    expiring.table = Table("expiring");
    if (seed % 16 >= 8) expiring.table.quorum = QuorumKind::kSloppy;
    expiring.table.ttl_ms = 12'000;
    expiring.keys = 10;
    expiring.first_event = EventId{6} << 40;
    expiring.min_ttl = Duration::Seconds(2);
    expiring.max_ttl = Duration::Seconds(15);
    expiring.apart = [cluster] { return cluster->TimesApart(); };
    workloads.push_back(std::make_unique<MixedWorkload>(expiring));
    return workloads;
  }
  MixedOptions periodic;
  periodic.table = Table("periodic");
  periodic.table.durability = Durability::kPeriodic;
  periodic.keys = 6;
  periodic.first_event = EventId{3} << 40;
  workloads.push_back(std::make_unique<MixedWorkload>(periodic));
  return workloads;
}

void SetUp(SimCluster* cluster, const std::vector<std::unique_ptr<Workload>>& workloads) {
  int through = 0;
  for (const std::unique_ptr<Workload>& workload : workloads) {
    for (const TableSpec& wanted : workload->SetUp()) {
      absl::StatusOr<TableSpec> table = cluster->CreateTable(through, wanted);
      do {
        through = (through + 1) % cluster->size();
      } while (cluster->is_stranger(through));
      if (!table.ok()) {
        return cluster->Violate("table " + wanted.name + ": " +
                                std::string(table.status().message()));
      }
      cluster->observer().AddTable(
          table->id, {table->name, workload->history(), table->durability == Durability::kFsync});
    }
  }
}

// How much of its records a shard keeps in memory: nothing, a few of them, or all. What is not kept
// is read from the store, which leaves one in ten of those to the disk. A few records take at least
// the room of sixteen, and so little is driven out unless a node has one shard alone.
void DrawCache(uint64_t seed, SimOptions* sim) {
  switch (seed % 3) {
    case 0:
      sim->cached_bytes = 0;
      break;
    case 1:
      sim->cached_bytes = size_t{7} << 10;
      sim->shards = 1;
      break;
    default:
      sim->cached_bytes = size_t{1} << 20;
  }
}

// Whether a node is away for longer than the others' logs reach back. No more of them may go than
// what clients retry, of which they tell as well.
bool OutgrowsLogs(uint64_t seed) { return seed % 5 == 4; }

// Whether nodes leave, or are declared dead, where members change at all. Two more wait to take the
// place of some.
bool GoForGood(uint64_t seed) { return seed / 10 % 2 == 0; }

// Whether a process that is new joins, where members change at all.
bool ANewOneJoins(uint64_t seed) { return seed / 20 % 2 == 0; }

// Bounds that stories reach now and then, and no others.
void DrawBounds(uint64_t seed, SimOptions* sim) {
  sim->max_exchanges = 60;
  sim->max_waiting_reads = 24;
  if (seed % 8 == 3) sim->max_hint_bytes = 1500;
  if (OutgrowsLogs(seed)) {
    sim->slices = 2;  // so that there is much of each
    sim->log_most = 60;
  }
}

// Whether the nodes are upgraded in the midst of it, and some of them go back.
bool HasLevels(const ScenarioOptions& options) { return options.faults && options.seed % 3 == 1; }

// Which faults a story has besides those that all have.
NemesisOptions DrawFaults(const ScenarioOptions& options, int nodes) {
  NemesisOptions faults;
  const uint64_t seed = options.seed;
  // Which write is the last can be told from outside only while all clocks are equal.
  faults.wrong_clocks = seed % 4 < 2 ? nodes : 0;
  // What expires does so in time as long as most clocks are right.
  if (seed % 8 == 5) faults.wrong_clocks = 1;
  const uint64_t disks = seed % 5;
  faults.disk_losses = options.damage ? 0 : disks == 2 ? 2 : disks < 2 ? 1 : 0;
  // A damaged record is a lost copy, which a lost disk must not come on top of. And who voted for a
  // change of the topology and lost its disk has forgotten that it did.
  faults.damage = faults.disk_losses == 0 && !options.damage;
  faults.topology = faults.disk_losses == 0;
  faults.members = faults.topology && seed % 2 == 1;
  // One that is declared dead takes a copy along, too.
  faults.departures = faults.members && !options.damage && GoForGood(seed);
  faults.damage = faults.damage && !faults.departures;
  faults.joins = faults.members && ANewOneJoins(seed);
  faults.levels = HasLevels(options);
  faults.long_away = OutgrowsLogs(seed);
  faults.story = options.length;
  return faults;
}

// A record of some node, where another owner has all of it and can read it, and unless two wait to
// be mended. Until it is mended it is no copy: what was not synced elsewhere may be gone.
bool DamageSome(SimCluster* cluster, Random* random) {
  if (cluster->damaged() > 1) return false;
  const auto node = static_cast<int>(random->Below(cluster->size()));
  const std::vector<ItemKey> records = cluster->Records(node);
  if (records.empty()) return false;
  const ItemKey& item = records[random->Below(records.size())];
  if (!cluster->HasAnotherCopy(node, item) || !cluster->DamageRecord(node, item)) return false;
  cluster->observer().OnPowerCut(node, Time(), cluster->scheduler().now());
  return true;
}

}  // namespace

ScenarioResult RunScenario(const ScenarioOptions& options) {
  SimOptions sim;
  sim.seed = options.seed;
  sim.trace = options.trace;
  DrawCache(options.seed, &sim);
  sim.false_loads = options.faults && options.seed % 7 < 3;
  DrawBounds(options.seed, &sim);
  if (HasLevels(options)) sim.level = kFirstLevel;
  // Some compare what they hold all the time, others now and then.
  if (options.seed % 4 == 3) sim.scrub_pass = Duration::Seconds(1);
  const NemesisOptions faults = DrawFaults(options, sim.nodes);
  if (options.faults && faults.departures) {
    sim.nodes += 2;
    sim.waiting = 2;
  }
  if (options.faults && faults.joins) {
    sim.nodes += 1;
    sim.strangers = 1;
  }
  if (!options.faults) {
    sim.client_network.slow_per_mille = sim.client_network.loss_per_mille = 0;
  }
  SimCluster cluster(sim);
  const std::vector<std::unique_ptr<Workload>> workloads = Workloads(options.seed, &cluster);
  SetUp(&cluster, workloads);
  // Where nothing is to fail, nobody asks before all nodes have heard of each other.
  if (!options.faults) cluster.RunFor(Duration::Seconds(1));

  std::vector<std::unique_ptr<SimClients>> clients;
  for (size_t i = 0; i < workloads.size(); ++i) {
    ClientOptions client;
    client.clients = i == 0 ? 8 : 2;
    clients.push_back(
        std::make_unique<SimClients>(client, &cluster, workloads[i].get(), cluster.Fork()));
    clients.back()->Start();
  }
  Nemesis nemesis(faults, &cluster, cluster.Fork());
  if (options.faults) nemesis.Start();
  const Duration slice = Duration::Seconds(5);
  Random damage = cluster.Fork();
  uint64_t damaged = 0;
  for (Duration run; run < options.length && !cluster.violation().has_value(); run = run + slice) {
    if (options.damage) damaged += DamageSome(&cluster, &damage) ? 1 : 0;
    cluster.RunFor(slice);
    cluster.JudgeClaims();
    cluster.JudgeKept();
  }
  for (auto& each : clients) each->Stop();
  cluster.RunFor(Duration::Seconds(5));  // what is under way ends
  const ShardFigures figures = cluster.Figures();
  nemesis.StopAndHeal();
  cluster.RunFor(options.settle);
  if (!cluster.violation().has_value()) cluster.JudgeClaims();
  if (!cluster.violation().has_value()) cluster.JudgeKept();
  if (cluster.damaged() > 0) cluster.Violate("the scrub has not mended what was damaged");
  if (cluster.ClusterLevel() != kBuildLevel) cluster.Violate("the level was not raised");
  if (!cluster.violation().has_value()) cluster.JudgePlaced();
  if (!cluster.violation().has_value()) cluster.JudgeConvergence();
  if (!cluster.violation().has_value()) cluster.JudgeHandedOver();
  if (!cluster.violation().has_value()) cluster.JudgeLiveness();
  if (!cluster.violation().has_value()) cluster.JudgeSwept();
  for (const auto& workload : workloads) {
    if (cluster.violation().has_value()) break;
    auto wrong = workload->Check([&](const std::string& table, const std::string& key) {
      return cluster.Settled(table, key);
    });
    if (wrong.has_value()) cluster.Violate("settled: " + *wrong);
  }

  ScenarioResult result;
  result.violation = cluster.violation();
  result.digest = cluster.Digest();
  result.simulated = cluster.scheduler().now() - Time();
  result.steps = cluster.scheduler().steps();
  for (const auto& each : clients) {
    result.operations += each->operations();
    result.succeeded += each->succeeded();
  }
  // Where no owner lost its state, or is new, there is nothing that a log no longer tells.
  const bool logs_reach_back = !faults.long_away && !faults.members;
  if (faults.disk_losses == 0 && logs_reach_back && figures.repair.log_cuts > 0 &&
      !result.violation.has_value()) {
    result.violation = "a dot log was cut before all owners had what it tells";
  }
  // Nothing was corrupt: owners differed only as long as writes were on their way. But where a log
  // was outgrown nobody tells an owner that was away that one of its writes was minted again
  // elsewhere, and gave way: there the scrub is right (decision 0012), and ends it.
  const Scrub::Figures scrub = cluster.Figures().scrub;
  if (scrub.contradictions > 0 && !faults.long_away && !result.violation.has_value()) {
    result.violation = "the scrub takes what is on its way for a contradiction";
  }
  result.scrubbed = scrub;
  result.damaged = damaged;
  result.mended = cluster.Figures().mended;
  result.read_repairs = figures.read_repairs;
  result.repaired_items = figures.repair.items;
  result.disk_reads = figures.disk_reads;
  result.hints_kept = figures.stand_in.kept;
  result.hints_delivered = figures.stand_in.delivered;
  result.copied = figures.repair.copied;
  result.log_cuts = figures.repair.log_cuts;
  result.guest_writes = figures.stand_in.guests;
  result.expired = figures.expired;
  result.cache = figures.record_cache;
  result.faults = cluster.Faults();
  return result;
}

}  // namespace gyre
