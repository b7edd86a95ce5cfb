// What may fail in a SimCluster, beside crashes and stops: links, disks that are slow or damaged,
// bursts, topologies that change meanwhile; and the count of it all.

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "storage/hint_log.h"
#include "storage/partition_state.h"
#include "test/sim/sim_cluster.h"

namespace gyre {
namespace {

// What a client may be that is none of a workload's.
constexpr int kCrowd = 1000;

constexpr Duration kJustStarted = Duration::Millis(500);

}  // namespace

// ------------------------------------------------------------------------------------------- links

void SimCluster::SlowLink(int from, int to, Duration more) {
  Trace("SLOW " + NodeName(nodes_[from].id) + " -> " + NodeName(nodes_[to].id));
  Count(FaultKind::kLinkSlow);
  network_.Slow(from, to, more);
}

void SimCluster::BreakConnection(int one, int other) {
  if (one == other || !reachable(one) || !reachable(other)) return;
  Trace("BREAK " + NodeName(nodes_[one].id) + " - " + NodeName(nodes_[other].id));
  Count(FaultKind::kConnectionBroken);
  network_.Disconnect(one, other);
  for (const auto& [at, about] : {std::pair(one, other), std::pair(other, one)}) {
    AtNode(at, Duration::Millis(random_.Between(1, 20)), [this, about = about](SimNode& node) {
      for (int shard = 0; shard < options_.shards; ++shard) {
        node.node->shard(shard).OnPeer(nodes_[about].id, false, NowAt(node));
        PerformShard(IndexOf(node.id), shard);
      }
      node.node->control().OnPeer(nodes_[about].id, false, NowAt(node));
      PerformControl(IndexOf(node.id));
      if (reachable(about)) Tell(IndexOf(node.id), about, true);
    });
  }
}

// ------------------------------------------------------------------------------------------- disks

void SimCluster::SlowDisk(int index, std::optional<Duration> each) {
  if (each.has_value()) {
    Trace("SLOW DISK " + NodeName(nodes_[index].id));
    Count(FaultKind::kDiskSlow);
  }
  nodes_[index].disk = each;
}

void SimCluster::GarbleRecord(int index, Random* random) {
  SimNode& node = nodes_[index];
  std::vector<std::string> keys;
  const absl::Status scanned = node.engine->TakeSnapshot()->Scan(
      Family::kRecords, "", "", [&](std::string_view key, std::string_view) {
        keys.emplace_back(key);
        return true;
      });
  GYRE_CHECK(scanned.ok(), "memory can be read");
  if (keys.empty()) return;
  const std::string& key = keys[random->Below(keys.size())];
  if (!HasAnotherCopy(index, *DecodeItemKey(key))) return;
  Trace("GARBLE " + NodeName(node.id) + " " + DecodeItemKey(key)->key);
  Count(FaultKind::kRecordDamaged);
  node.engine->Garble(Family::kRecords, key);
  // Until it is fetched from the others it is no copy: what was not synced elsewhere may be gone.
  observer_.OnPowerCut(index, Time(), scheduler_.now());
}

bool SimCluster::HasAnotherCopy(int index, const ItemKey& item) const {
  const auto clock_of = [&](int node) {
    const absl::StatusOr<PartitionState> state =
        ReadPartitionState(*nodes_[node].engine->TakeSnapshot(), item.partition);
    GYRE_CHECK(state.ok(), "clocks are whole");
    return state->clock;
  };
  const PartitionClock mine = clock_of(index);
  const std::vector<Dot> dots = observer_.Dots(item);
  const std::vector<int> owners = OwnersOf(item.partition);
  return std::any_of(owners.begin(), owners.end(), [&](int other) {
    if (other == index) return false;
    const PartitionClock theirs = clock_of(other);
    return std::all_of(dots.begin(), dots.end(),
                       [&](Dot dot) { return !mine.Contains(dot) || theirs.Contains(dot); });
  });
}

std::vector<std::string> SimCluster::GarbledKeys(const SimNode& node) {
  std::vector<std::string> keys;
  const std::unique_ptr<MemoryEngine> written = node.engine->Copy();  // damaged or not
  const absl::Status scanned = written->TakeSnapshot()->Scan(
      Family::kRecords, "", "", [&](std::string_view key, std::string_view value) {
        if (MemoryEngine::IsGarbled(value)) keys.emplace_back(key);
        return true;
      });
  GYRE_CHECK(scanned.ok(), "memory can be read");
  return keys;
}

std::optional<int> SimCluster::damaged_node() const {
  for (int node = 0; node < size(); ++node) {
    if (!GarbledKeys(nodes_[node]).empty()) return node;
  }
  return std::nullopt;
}

void SimCluster::ReadDamaged(int index) {
  for (const std::string& key : GarbledKeys(nodes_[index])) {
    const ItemKey item = *DecodeItemKey(key);
    const int other = (index + 1) % size();
    const Epoch epoch = nodes_[other].node->control().view()->epoch();
    Post(other, {nodes_[index].id, {0, epoch, item.partition, Fetch{item, {}}}});
  }
}

void SimCluster::JudgeScan(const SimNode& node, const char* what, const absl::Status& status) {
  if (status.ok()) return;
  const bool damaged = node.engine->damaged() > 0 || !GarbledKeys(node).empty();
  if (absl::IsDataLoss(status) && damaged) return;
  Violate(std::string(what) + ": " + std::string(status.message()));
}

void SimCluster::NoteHeld() {
  held_.clear();
  std::set<std::pair<PartitionId, Dot>> hinted;
  std::vector<std::unique_ptr<Snapshot>> snapshots;
  for (const SimNode& node : nodes_) {
    snapshots.push_back(node.engine->TakeSnapshot());
    const absl::Status scanned = snapshots.back()->Scan(
        Family::kHints, "", "", [&](std::string_view key, std::string_view value) {
          const absl::StatusOr<KeptHint> hint = DecodeHint(key, value);
          GYRE_CHECK(hint.ok(), "hints are whole");
          for (const Minted& minted : hint->minted) {
            hinted.emplace(hint->key.item.partition, minted.dot);
          }
          return true;
        });
    GYRE_CHECK(scanned.ok(), "memory can be read");
  }
  for (uint32_t slice = 0; slice < options_.slices; ++slice) {
    const PartitionId id(3, slice);
    std::vector<PartitionClock> clocks;
    for (const auto& snapshot : snapshots) {
      const absl::StatusOr<PartitionState> state = ReadPartitionState(*snapshot, id);
      GYRE_CHECK(state.ok(), "clocks are whole");
      clocks.push_back(state->clock);
    }
    for (const Dot dot : observer_.Dots(id)) {
      const bool held = hinted.contains({id, dot}) ||
                        std::any_of(clocks.begin(), clocks.end(),
                                    [dot](const PartitionClock& c) { return c.Contains(dot); });
      if (held) held_[id].push_back(dot);
    }
  }
}

bool SimCluster::HasRecovered() const {
  for (const auto& [id, dots] : held_) {
    const std::vector<int> owners = OwnersOf(id);
    if (owners.empty()) return false;  // all nodes are down
    for (const int owner : owners) {
      const absl::StatusOr<PartitionState> state =
          ReadPartitionState(*nodes_[owner].engine->TakeSnapshot(), id);
      if (!state.ok() || state->filling || nodes_[owner].lost_state) return false;
      for (const Dot dot : dots) {
        if (!state->clock.Contains(dot)) return false;
      }
    }
  }
  return true;
}

// ------------------------------------------------------------------------------ load and topology

void SimCluster::Burst(int index, const std::string& table, int reads) {
  Trace("BURST " + NodeName(nodes_[index].id));
  for (int i = 0; i < reads; ++i) {
    const std::string key = "burst-" + std::to_string(i);
    if (!Read(kCrowd, index, table, key, Duration::Seconds(1), [](const Outcome&) {})) return;
  }
}

void SimCluster::ChangeTopology(int index, const std::string& table, bool make) {
  SimNode& node = nodes_[index];
  if (!up(index) || node.left) return;
  Trace((make ? "MAKE " : "DROP ") + table);
  const uint64_t token = next_token_++;
  node.proposals[token] = [this](const absl::StatusOr<Topology>& changed) {
    const bool missed = std::any_of(nodes_.begin(), nodes_.end(),
                                    [](const SimNode& each) { return each.node == nullptr; });
    if (changed.ok() && missed) Count(FaultKind::kTopologyMissed);
  };
  const auto change = [table, make](const Topology& current) {
    TableSpec spec;
    spec.name = table;
    return make ? gyre::CreateTable(current, spec) : DropTable(current, table);
  };
  AtNode(index, Duration(), [this, token, change](SimNode& n) {
    n.node->control().Propose(token, change, NowAt(n));
    PerformControl(IndexOf(n.id));
  });
}

// ------------------------------------------------------------------------------------- what it was

void SimCluster::CountCrash(const SimNode& node) {
  Count(FaultKind::kCrash);
  // Not those of the beginning, before anything was written.
  const bool first = node.life == 0;
  if (!first && scheduler_.now() - node.started < kJustStarted) Count(FaultKind::kCrashAsItStarts);
  bool keeps = false;
  for (int shard = 0; shard < options_.shards; ++shard) {
    for (const auto& [owner, count] : node.node->shard(shard).figures().hints) {
      keeps = keeps || (count.hints > 0 && !up(IndexOf(owner)));
    }
  }
  if (keeps) Count(FaultKind::kCrashOfHintKeeper);
}

FaultCounts SimCluster::Faults() const {
  FaultCounts counts = faults_;
  const SimNetwork::Counters& peers = network_.counters();
  counts.Add(FaultKind::kMessageLost, peers.lost);
  counts.Add(FaultKind::kMessageDoubled, peers.doubled);
  counts.Add(FaultKind::kMessageLate, peers.late);
  counts.Add(FaultKind::kMessageOvertaken, peers.overtaken);
  counts.Add(FaultKind::kMessageCutOff, peers.cut_off);
  const SimNetwork::Counters& clients = client_network_.counters();
  counts.Add(FaultKind::kRequestLost, clients.lost);
  counts.Add(FaultKind::kRequestDoubled, clients.doubled);
  const ShardFigures figures = Figures();
  counts.Add(FaultKind::kPeersRefused, figures.sheds);
  counts.Add(FaultKind::kNoRoomForHints, figures.stand_in.refused);
  counts.Add(FaultKind::kLogOutgrown, figures.repair.log_dropped);
  return counts;
}

}  // namespace gyre
