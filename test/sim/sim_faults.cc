// What may fail in a SimCluster: processes, links, disks that are slow or damaged, bursts,
// topologies that change meanwhile; and the count of it all.

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "storage/hint_log.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"
#include "test/sim/sim_cluster.h"

namespace gyre {
namespace {

// What a client may be that is none of a workload's.
constexpr int kCrowd = 1000;

constexpr Duration kJustStarted = Duration::Millis(500);

// Whether a batch, which the engine has whole or not at all, is still there.
bool Survived(const MemoryEngine& engine, const WriteBatch& batch) {
  for (const WriteBatch::Change& change : batch.changes()) {
    if (change.kind != WriteBatch::Kind::kPut || change.family != Family::kDotLog) continue;
    return engine.Get(change.family, change.key).ok();
  }
  return false;  // it minted nothing
}

}  // namespace

// ----------------------------------------------------------------------- processes and their disks

void SimCluster::Crash(int index) {
  SimNode& node = nodes_[index];
  if (node.node == nullptr) return;
  Trace("CRASH " + NodeName(node.id));
  CountCrash(node);
  // What was on its way to the disk may have arrived, unsynced and unacknowledged.
  std::vector<WriteBatch> arrived;
  for (ShardSlot& slot : node.shards) {
    if (!slot.writing.has_value()) continue;
    if (random_.Chance(1, 2)) {
      Count(FaultKind::kWriteUnderWayLost);
      continue;
    }
    if (!node.engine->Write(slot.writing->batch, WalSync::kNo).ok()) break;  // a failed disk
    arrived.push_back(std::move(slot.writing->batch));
  }
  End(index);
  Random draw(random_.Next());
  const MemoryEngine::Counters before = node.engine->counters();
  node.engine->Crash(&draw);
  TellAgain(&node);
  const MemoryEngine::Counters& after = node.engine->counters();
  if (after.lost_batches > before.lost_batches) Count(FaultKind::kUnsyncedLost);
  if (after.failed_found > before.failed_found) Count(FaultKind::kFailedWriteFoundStored);
  observer_.OnPowerCut(index, std::exchange(node.synced, scheduler_.now()), scheduler_.now());
  // What the power cut took after all has never been minted: no message spoke of it.
  for (const WriteBatch& batch : arrived) {
    if (!Survived(*node.engine, batch)) continue;
    Count(FaultKind::kWriteUnderWayStored);
    Observe(node, batch);
  }
  TellReachability(index, false);
}

void SimCluster::Wipe(int index) {
  Trace("WIPE " + NodeName(nodes_[index].id));
  Count(FaultKind::kDiskWiped);
  LoseDisk(index, std::make_unique<MemoryEngine>());
  nodes_[index].standing = Standing::kUnproven;
}

void SimCluster::Keep(int index) {
  nodes_[index].kept = nodes_[index].engine->Copy();
  nodes_[index].kept_standing = nodes_[index].standing;
}

void SimCluster::PutBack(int index) {
  if (nodes_[index].kept == nullptr) return;
  Trace("PUT BACK " + NodeName(nodes_[index].id));
  Count(FaultKind::kDiskPutBack);
  LoseDisk(index, std::move(nodes_[index].kept));
  nodes_[index].standing = nodes_[index].kept_standing;
}

// As peers do until a node has passed what they remember of it: what it was told may not have been
// durable.
void SimCluster::TellAgain(SimNode* node) {
  if (!node->told_life.has_value()) return;
  const absl::StatusOr<Control::Durable> durable = Control::Load(
      *node->engine->Copy()->TakeSnapshot(), node->joined.value_or(initial_), node->standing);
  GYRE_CHECK(durable.ok(), "memory can be read");
  if (durable->acceptor.life != *node->told_life) node->lost_state = true;
}

void SimCluster::LoseDisk(int index, std::unique_ptr<MemoryEngine> successor) {
  SimNode& node = nodes_[index];
  Crash(index);
  node.engine = std::move(successor);
  if (options_.needs_disk_one_in > 0) {
    node.engine->AnswerNeedsDisk(options_.needs_disk_one_in, random_.Next());
  }
  if (disk_lost_) Count(FaultKind::kSecondDiskLost);
  node.replaced = node.lost_state = disk_lost_ = true;
  node.told_life.reset();
  node.stopped_clean = false;
  // Of what was not synced elsewhere this copy is gone, however long it was on this disk.
  observer_.OnPowerCut(index, Time(), scheduler_.now());
  NoteHeld();
}

// As gyred does: the store takes what was handed to it, and nobody steps the shards any more; what
// they had not handed on yet was not acknowledged.
void SimCluster::Stop(int index) {
  SimNode& node = nodes_[index];
  if (node.node == nullptr || node.paused) return;
  Trace("STOP " + NodeName(node.id));
  Count(FaultKind::kStop);
  for (ShardSlot& slot : node.shards) {
    if (!slot.writing.has_value()) continue;
    if (node.engine->Write(slot.writing->batch, slot.writing->sync).ok()) {
      Observe(node, slot.writing->batch);
    }
  }
  const bool synced = node.engine->Write(WriteBatch(), WalSync::kYes).ok();
  if (!synced) return Crash(index);  // the disk had failed
  node.stopped_clean = true;
  for (int shard = 0; shard < options_.shards; ++shard) {
    node.stopped_clean = node.stopped_clean && node.node->shard(shard).AllConfirmed();
  }
  node.synced = scheduler_.now();
  End(index);
  TellReachability(index, false);
}

void SimCluster::End(int index) {
  SimNode& node = nodes_[index];
  AddFigures(node, &past_);
  past_.exchanges = past_.record_cache.bytes = past_.repair.filling = 0;  // what is no sum
  past_.damaged = past_.scrub.standing = 0;
  node.node.reset();
  node.shards.clear();
  node.deferred.clear();
  node.proposals.clear();
  node.stored.clear();
  node.paused = false;
  node.disk_failed = false;
  node.left = false;
  node.in_flight = node.answered = 0;
  ++node.life;
}

void SimCluster::Restart(int index, std::optional<BuildLevel> level) {
  if (up(index) || IsOutside(nodes_[index])) return;
  SimNode& node = nodes_[index];
  if (level.has_value() && *level < node.level) Count(FaultKind::kOlderBuild);
  node.level = level.value_or(node.level);
  Trace("RESTART " + NodeName(node.id) + " of level " + std::to_string(node.level));
  Open(index);
  if (up(index)) TellReachability(index, true);
}

void SimCluster::Upgrade(int index) {
  scheduler_.After(Duration::Millis(10), [this, index] {
    if (nodes_[index].level == kBuildLevel) return;  // it was said more than once
    Trace("OUTGROWN " + NodeName(nodes_[index].id));
    Count(FaultKind::kOutgrown);
    Crash(index);
    Restart(index, kBuildLevel);
  });
}

// The others' connections break, or come back, each in its own time.
void SimCluster::TellReachability(int about, bool reachable) {
  for (int other = 0; other < options_.nodes; ++other) {
    if (other != about && up(other)) Tell(other, about, reachable);
  }
}

void SimCluster::Tell(int index, int about, bool reachable) {
  const auto tell = [this, about, reachable](SimNode& node) {
    if (this->reachable(about) != reachable) return;
    SimNode& other = nodes_[about];
    node.connected[about] = 0;
    if (reachable) {
      // As the two find out by their hellos.
      const auto cluster_at = [](const SimNode& one) {
        return one.node->control().view()->topology().level;
      };
      if (node.level < cluster_at(other)) return Upgrade(IndexOf(node.id));
      if (other.level < cluster_at(node)) return;
      node.connected[about] = other.life + 1;
      node.node->control().OnLevel(other.id, other.level);
    }
    // As a peer says that has met other data under this node's name, or later ones.
    const bool told = reachable && std::exchange(node.lost_state, false);
    for (int shard = 0; shard < options_.shards; ++shard) {
      if (told) node.node->shard(shard).OnForgetful(NowAt(node));
      node.node->shard(shard).OnPeer(nodes_[about].id, reachable, NowAt(node));
      PerformShard(IndexOf(node.id), shard);
    }
    if (told) {
      node.node->control().OnForgetful();
      node.standing = Standing::kReplaced;
      node.told_life = node.node->control().life();
    }
    node.node->control().OnPeer(nodes_[about].id, reachable, NowAt(node));
    PerformControl(IndexOf(node.id));
    if (!reachable) return;
    node.node->movement().OnPeer(*node.node->control().view(), NowAt(node).monotonic);
    PerformMovement(IndexOf(node.id));
    // As the peer says when it lets this node in.
    node.node->OnClock(nodes_[about].id, NowAt(nodes_[about]).wall_ms, NowAt(node).monotonic);
    TellTime(IndexOf(node.id));
  };
  AtNode(index, Duration::Millis(random_.Between(1, kConnected.millis())), tell);
}

void SimCluster::Pause(int index) {
  if (!up(index)) return;
  Trace("PAUSE " + NodeName(nodes_[index].id));
  Count(FaultKind::kPause);
  nodes_[index].paused = true;
}

void SimCluster::Resume(int index) {
  SimNode& node = nodes_[index];
  if (!node.paused) return;
  Trace("RESUME " + NodeName(node.id));
  node.paused = false;
  std::vector<std::function<void()>> deferred = std::exchange(node.deferred, {});
  for (std::function<void()>& action : deferred) action();
}

void SimCluster::Cut(int from, int to) {
  Trace("CUT " + NodeName(nodes_[from].id) + " -> " + NodeName(nodes_[to].id));
  network_.Cut(from, to);
}

void SimCluster::HealNetwork() {
  Trace("HEAL");
  network_.HealAll();
}

void SimCluster::FailDisk(int index) {
  if (!up(index)) return;
  Trace("DISK FAILS " + NodeName(nodes_[index].id));
  nodes_[index].disk_failed = true;
  nodes_[index].engine->FailNextWrite(absl::InternalError("simulated device error"));
}

bool SimCluster::IsAtHand(const SimNode& node, const ItemKey& item) const {
  if (node.node == nullptr) return false;
  const int shard = node.node->ShardOf(item.partition);
  return node.node->shard(shard).store().AtHand(item).has_value();
}

bool SimCluster::Spoil(int index, const ItemKey& item, const char* what,
                       absl::FunctionRef<bool(MemoryEngine*, const std::string&)> deed) {
  SimNode& node = nodes_[index];
  if (IsAtHand(node, item) || !deed(node.engine.get(), EncodeItemKey(item))) return false;
  Trace(absl::StrCat(what, " ", NodeName(node.id), " ", item.key));
  return true;
}

bool SimCluster::DamageRecord(int index, const ItemKey& item) {
  return Spoil(index, item, "DAMAGE", [](MemoryEngine* engine, const std::string& key) {
    return engine->Damage(Family::kRecords, key);
  });
}

bool SimCluster::LoseRecord(int index, const ItemKey& item) {
  return Spoil(index, item, "LOSE", [](MemoryEngine* engine, const std::string& key) {
    return engine->Lose(Family::kRecords, key);
  });
}

bool SimCluster::ChangeRecord(int index, const ItemKey& item, const std::string& value) {
  return Spoil(index, item, "CHANGE", [&](MemoryEngine* engine, const std::string& key) {
    absl::StatusOr<Record> record = ReplicaStore::Decode(engine->Get(Family::kRecords, key));
    if (!record.ok() || record->versions.empty()) return false;
    record->versions.front().value = Value(value);
    return engine->Change(Family::kRecords, key, EncodeRecord(*record));
  });
}

void SimCluster::KeepRecord(int index, const ItemKey& item) {
  SimNode& node = nodes_[index];
  absl::StatusOr<std::string> stored = node.engine->Get(Family::kRecords, EncodeItemKey(item));
  if (stored.ok()) node.kept_record.emplace(item, *std::move(stored));
}

bool SimCluster::BringRecordBack(int index) {
  SimNode& node = nodes_[index];
  if (!node.kept_record.has_value()) return false;
  const auto [item, stored] = *std::exchange(node.kept_record, std::nullopt);
  if (IsAtHand(node, item)) return false;
  Trace("BRING BACK " + NodeName(node.id) + " " + item.key);
  WriteBatch batch;
  batch.Put(Family::kRecords, EncodeItemKey(item), stored);
  return node.engine->Write(batch, WalSync::kYes).ok();
}

std::vector<ItemKey> SimCluster::Records(int index) const {
  std::vector<ItemKey> items;
  const std::unique_ptr<MemoryEngine> written = nodes_[index].engine->Copy();  // damaged or not
  const absl::Status scanned = written->TakeSnapshot()->Scan(
      Family::kRecords, "", "", [&](std::string_view key, std::string_view) {
        items.push_back(*DecodeItemKey(key));
        return true;
      });
  GYRE_CHECK(scanned.ok(), "memory can be read");
  return items;
}

size_t SimCluster::damaged() const {
  size_t sum = 0;
  for (const SimNode& node : nodes_) sum += node.engine->damaged();
  return sum;
}

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
      node.connected[about] = 0;
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
  const auto garbled = [&](const SimNode& one, const std::string& key) {
    const absl::StatusOr<std::string> held = one.engine->Get(Family::kRecords, key);
    return held.ok() && MemoryEngine::IsGarbled(*held);
  };
  const auto elsewhere = [&](const std::string& key) {
    return !garbled(node, key) &&
           std::any_of(nodes_.begin(), nodes_.end(),
                       [&](const SimNode& other) { return garbled(other, key); });
  };
  std::vector<std::string> again;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(again), elsewhere);
  const bool second = !again.empty();
  if (second) keys = std::move(again);
  if (keys.empty()) return;
  const std::string& key = keys[random->Below(keys.size())];
  if (!HasAnotherCopy(index, *DecodeItemKey(key))) return;
  Trace("GARBLE " + NodeName(node.id) + " " + DecodeItemKey(key)->key);
  Count(FaultKind::kRecordDamaged);
  if (second) Count(FaultKind::kSecondCopyDamaged);
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
  // Who gives its copy to this very node drops it.
  const auto gives = [&](int other) {
    return std::any_of(nodes_.begin(), nodes_.end(), [&](const SimNode& node) {
      if (node.node == nullptr) return false;
      const Move* const move = node.node->control().view()->FindMove(item.partition);
      return move != nullptr && move->from == nodes_[other].id && move->to == nodes_[index].id;
    });
  };
  return std::any_of(owners.begin(), owners.end(), [&](int other) {
    if (other == index || gives(other)) return false;
    const absl::StatusOr<std::string> held =
        nodes_[other].engine->Get(Family::kRecords, EncodeItemKey(item));
    if (absl::IsDataLoss(held.status())) return false;
    if (held.ok() && MemoryEngine::IsGarbled(*held)) return false;
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

std::vector<int> SimCluster::damaged_nodes() const {
  std::vector<int> damaged;
  for (int node = 0; node < size(); ++node) {
    if (!GarbledKeys(nodes_[node]).empty()) damaged.push_back(node);
  }
  return damaged;
}

std::optional<int> SimCluster::damaged_node() const {
  const std::vector<int> damaged = damaged_nodes();
  return damaged.empty() ? std::nullopt : std::optional(damaged.front());
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

void SimCluster::NoteHeld(std::optional<int> except) {
  held_.clear();
  std::set<std::pair<PartitionId, Dot>> hinted;
  std::vector<std::unique_ptr<Snapshot>> snapshots;
  for (const SimNode& node : nodes_) {
    if (IsOutside(node) || (except.has_value() && node.id == nodes_[*except].id)) continue;
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
      if (is_gone(owner)) return false;  // its place is to be taken yet
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
  const auto change = [table, make](const Topology& current) {
    TableSpec spec;
    spec.name = table;
    return make ? gyre::CreateTable(current, spec) : DropTable(current, table);
  };
  Propose(index, change, [this](const absl::StatusOr<Topology>& changed) {
    const bool missed = std::any_of(nodes_.begin(), nodes_.end(),
                                    [](const SimNode& each) { return each.node == nullptr; });
    if (changed.ok() && missed) Count(FaultKind::kTopologyMissed);
  });
}

void SimCluster::Join(int index, int through, MemberState as,
                      std::function<void(const absl::StatusOr<Topology>&)> done) {
  Member member = MemberOf(index);
  GYRE_CHECK(member.key != 0, "it is no member from the beginning");
  member.state = as;
  Trace("JOIN " + member.name + " through " + NodeName(nodes_[through].id));
  Propose(
      through, [member](const Topology& current) { return AddMember(current, member); },
      [this, index, done](const absl::StatusOr<Topology>& made) {
        SimNode& node = nodes_[index];
        if (made.ok() && std::exchange(node.stranger, false)) {
          Count(FaultKind::kMemberJoins);
          node.joined = *made;
          Restart(index, kBuildLevel);
        }
        done(made);
      });
}

void SimCluster::ChangeShare(int index, bool owns) {
  const SimNode& node = nodes_[index];
  if (!up(index) || node.left) return;
  const std::string name = NodeName(node.id);
  Trace((owns ? "ACTIVATE " : "RETIRE ") + name);
  const auto change = [name, owns](const Topology& current) {
    return owns ? ActivateMember(current, name) : RetireMember(current, name);
  };
  Propose(index, change, [this](const absl::StatusOr<Topology>& changed) {
    if (changed.ok()) Count(FaultKind::kMembersChange);
  });
}

void SimCluster::Leave(int index) {
  const SimNode& node = nodes_[index];
  if (!up(index) || node.left) return;
  const std::string name = NodeName(node.id);
  Trace("LEAVE " + name);
  Propose(
      index, [name](const Topology& current) { return LeaveMember(current, name); },
      [this](const absl::StatusOr<Topology>& changed) {
        if (changed.ok()) Count(FaultKind::kMemberLeaves);
      });
}

void SimCluster::Bury(int index, int through, std::optional<int> heir,
                      std::function<void(bool refused)> done) {
  const std::string name = NodeName(nodes_[index].id);
  const std::string with = heir.has_value() ? NodeName(nodes_[*heir].id) : "";
  Trace("BURY " + name + (heir.has_value() ? " in favour of " + with : ""));
  // From now on somebody may serve without it, and its copy of everything is as lost as a disk's.
  disk_lost_ = true;
  observer_.OnPowerCut(index, Time(), scheduler_.now());
  NoteHeld(index);
  Propose(
      through,
      [name, with](const Topology& current) {
        return with.empty() ? BuryMember(current, name) : ReplaceMember(current, name, with);
      },
      [this, index, heir, done](const absl::StatusOr<Topology>& changed) {
        if (changed.ok()) {
          nodes_[index].gone = true;
          Count(up(index) ? FaultKind::kMemberBuriedAlive : FaultKind::kMemberBuried);
          if (heir.has_value()) Count(FaultKind::kMemberReplaced);
        }
        done(absl::IsFailedPrecondition(changed.status()) || absl::IsNotFound(changed.status()));
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
  for (const Move& move : node.node->control().view()->topology().moves) {
    if (move.to == node.id) Count(FaultKind::kCrashOfMoveTaker);
    if (move.from == node.id) Count(FaultKind::kCrashOfMoveGiver);
  }
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
