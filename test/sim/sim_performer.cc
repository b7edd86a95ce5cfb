// How a SimCluster performs what its nodes want done: on virtual time, and with the faults that are
// in force. And their messages on the way.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "ring/check.h"
#include "storage/version/version_codec.h"
#include "test/sim/sim_cluster.h"

namespace gyre {
namespace {

// Of which level the build has to be that understands it.
BuildLevel LevelOf(const PeerMessage& message) {
  if (std::holds_alternative<MovesDue>(message.body)) return kLevelOfMovesDue;
  const auto* ask = std::get_if<RegisterAsk>(&message.body);
  const auto* answer = std::get_if<RegisterAnswer>(&message.body);
  // A delta in what it is refused with says nothing to an older build, which was declared dead.
  if ((ask != nullptr && !ask->delta.empty()) || (answer != nullptr && !answer->delta.empty())) {
    return kLevelOfDeltasEverywhere;
  }
  const auto* news = std::get_if<TopologyNews>(&message.body);
  const bool plain =
      news == nullptr || (news->delta.empty() && news->asks == TopologyNews::Asks::kNothing);
  return plain ? kFirstLevel : kLevelOfDeltas;
}

}  // namespace

void SimCluster::PerformShard(int index, int shard) {
  SimNode& node = nodes_[index];
  ShardEffects effects = node.node->shard(shard).TakeEffects(NowAt(node));
  if (effects.commit.has_value()) {
    node.shards[shard].writing = std::move(effects.commit);
    AtNode(index, DiskDelay(node), [this, shard](SimNode& n) { WriteCommit(n, shard); });
  }
  for (ShardEffects::DiskRead& read : effects.disk_reads) {
    AtNode(index, DiskDelay(node), [this, shard, read = std::move(read)](SimNode& n) {
      n.node->shard(shard).OnRead(read, n.engine->Get(Family::kRecords, EncodeItemKey(read.item)),
                                  NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (ShardEffects::ClockScan& scan : effects.clock_scans) {
    AtNode(index, DiskDelay(node), [this, shard, scan = std::move(scan)](SimNode& n) {
      // Small answers, so that exchanges take several.
      const ClockAnswerLimits limits{8, 4096};
      absl::StatusOr<ClockAnswer> answer =
          BuildClockAnswer(*n.engine->TakeSnapshot(), scan.partition, scan.ask, limits);
      JudgeScan(n, "clock scan", answer.status());
      n.node->shard(shard).OnClockScan(scan, std::move(answer), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (ShardEffects::CopyScan& scan : effects.copy_scans) {
    AtNode(index, DiskDelay(node), [this, shard, scan = std::move(scan)](SimNode& n) mutable {
      if (scan.snapshot == nullptr) scan.snapshot = n.engine->TakeSnapshot();
      const CopyPageLimits limits{8, 4096};
      absl::StatusOr<CopyPage> page =
          BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, limits);
      JudgeScan(n, "copy", page.status());
      n.node->shard(shard).OnCopyScan(std::move(scan), std::move(page), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (Repair::Effects::Listing& listing : effects.listings) {
    AtNode(index, DiskDelay(node), [this, shard, listing = std::move(listing)](SimNode& n) {
      constexpr size_t kFew = 5;
      absl::StatusOr<ItemList> list = ListItems(*n.engine->TakeSnapshot(), listing.range, kFew);
      JudgeScan(n, "listing", list.status());
      n.node->shard(shard).OnListed(listing.exchange, std::move(list), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (HintScan& scan : effects.hint_scans) {
    AtNode(index, DiskDelay(node), [this, shard, scan = std::move(scan)](SimNode& n) mutable {
      scan.most = std::min<size_t>(scan.most, 8);  // so that passes take several
      absl::StatusOr<HintPage> page = ScanHints(*n.engine->TakeSnapshot(), scan);
      JudgeScan(n, "hint scan", page.status());
      n.node->shard(shard).OnHintScan(scan.id, std::move(page), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (const ExpiryScan& scan : effects.expiry_scans) {
    AtNode(index, DiskDelay(node), [this, shard, scan](SimNode& n) {
      absl::StatusOr<ExpiryPage> page = ScanExpired(*n.engine->TakeSnapshot(), scan);
      JudgeScan(n, "expiry scan", page.status());
      n.node->shard(shard).OnExpiryScan(scan, std::move(page), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  PerformScrub(index, shard, &effects);
  for (Envelope& envelope : effects.sends) Post(index, std::move(envelope));
  for (ShardEffects::Reply& reply : effects.replies) {
    auto it = node.shards[shard].waiting.find(reply.token);
    if (it == node.shards[shard].waiting.end()) {
      Violate("a request was answered twice");
      continue;
    }
    if (reply.outcome.code == Outcome::Code::kOverloaded) Count(FaultKind::kRequestsRefused);
    OnOutcome done = std::move(it->second);
    node.shards[shard].waiting.erase(it);
    done(std::move(reply.outcome));
  }
  ScheduleWake(index, shard, effects.wake);
}

void SimCluster::PerformScrub(int index, int shard, ShardEffects* effects) {
  SimNode& node = nodes_[index];
  for (ShardEffects::SliceRead& read : effects->slice_reads) {
    AtNode(index, DiskDelay(node), [this, shard, read = std::move(read)](SimNode& n) {
      const SliceLimits limits{8, 4096};
      absl::StatusOr<SliceAnswer> answer =
          AnswerSlice(*n.engine->TakeSnapshot(), read.partition, read.ask, limits);
      JudgeScan(n, "slice for a peer", answer.status());
      n.node->shard(shard).OnSliceRead(read, std::move(answer), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  if (effects->scrub_scan.has_value()) {
    AtNode(index, DiskDelay(node), [this, shard, scan = *effects->scrub_scan](SimNode& n) {
      // Small slices, so that a partition has several.
      const SliceLimits limits{5, 4096};
      absl::StatusOr<Slice> slice = ReadSlice(*n.engine->TakeSnapshot(), scan, limits);
      JudgeScan(n, "slice", slice.status());
      n.node->shard(shard).OnScrubScan(scan, std::move(slice), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  if (effects->scrub_read.has_value()) {
    AtNode(index, DiskDelay(node), [this, shard, read = *effects->scrub_read](SimNode& n) {
      absl::StatusOr<Slice> slice =
          ReadItems(*n.engine->TakeSnapshot(), read.items, read.expired_by_ms);
      JudgeScan(n, "items", slice.status());
      n.node->shard(shard).OnScrubRead(read.partition, std::move(slice), NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (const Repair::Effects::Miscount& told : effects->miscounts) {
    Violate(NodeName(node.id) + " took " + std::to_string(told.came) + " records of a copy of " +
            std::to_string(told.counted));
  }
  for (const Scrub::Contradiction& told : effects->contradictions) {
    for (NodeId owner : told.against) {
      Trace("CONTRADICTION " + NodeName(node.id) + " and " + NodeName(owner) + " in " +
            told.item.key + (told.mended ? ", mended" : "") +
            (told.undecided ? ", undecided" : ""));
    }
  }
}

void SimCluster::WriteCommit(SimNode& node, int shard) {
  Commit commit = *std::exchange(node.shards[shard].writing, std::nullopt);
  const absl::Status status = node.engine->Write(commit.batch, commit.sync);
  if (status.ok()) {
    Observe(node, commit.batch);
    if (commit.sync == WalSync::kYes) node.synced = scheduler_.now();
    for (const WriteBatch::Change& change : commit.batch.changes()) {
      if (change.family == Family::kRecords) node.stored.emplace(change.key);
    }
  }
  node.node->shard(shard).OnCommitted(commit.seq, status, NowAt(node));
  PerformShard(IndexOf(node.id), shard);
  if (!status.ok()) OnDiskFailed(IndexOf(node.id));
}

// As gyred does: every shard is told, and the connections with peers end.
void SimCluster::OnDiskFailed(int index) {
  SimNode& node = nodes_[index];
  if (std::exchange(node.left, true)) return;
  Count(FaultKind::kSyncFails);
  Trace("LEAVES " + NodeName(node.id));
  for (int shard = 0; shard < options_.shards; ++shard) {
    node.node->shard(shard).OnDiskFailed(NowAt(node));
    PerformShard(index, shard);
  }
  node.node->control().OnDiskFailed();
  PerformControl(index);
  TellReachability(index, false);
}

void SimCluster::Observe(const SimNode& node, const WriteBatch& batch) {
  if (auto wrong = observer_.OnBatch(batch)) Violate(NodeName(node.id) + ": " + *wrong);
  if (options_.trace) TraceBatch(node, batch);
}

// A write that failed may have been stored all the same; its dots are there once the node reads
// them.
void SimCluster::ObserveStored(const SimNode& node) {
  const std::unique_ptr<MemoryEngine> written = node.engine->Copy();  // damaged or not
  const std::unique_ptr<Snapshot> snapshot = written->TakeSnapshot();
  WriteBatch stored;
  for (Family family : {Family::kDotLog, Family::kRecords}) {
    const absl::Status scanned = snapshot->Scan(family, "", std::string(300, '\xff'),
                                                [&](std::string_view key, std::string_view value) {
                                                  if (MemoryEngine::IsGarbled(value)) return true;
                                                  stored.Put(family, key, value);
                                                  return true;
                                                });
    GYRE_CHECK(scanned.ok(), "memory can be read");
  }
  if (auto wrong = observer_.OnBatch(stored)) Violate(NodeName(node.id) + ": " + *wrong);
}

void SimCluster::TraceBatch(const SimNode& node, const WriteBatch& batch) {
  const auto name = [](Dot dot) {
    return " (" + std::to_string(dot.replica.value() % 10'000) + ", " +
           std::to_string(dot.counter) + ")";
  };
  for (const WriteBatch::Change& change : batch.changes()) {
    if (change.family != Family::kRecords) continue;
    const std::optional<ItemKey> item = DecodeItemKey(change.key);
    std::string text = NodeName(node.id) + " stores table " + std::to_string(item->table.value()) +
                       " " + item->key + ":";
    if (change.kind == WriteBatch::Kind::kPut) {
      const absl::StatusOr<Record> record = DecodeRecord(change.value);
      for (const Version& version : record->versions) {
        text += name(version.dot) + " = " + std::to_string(History::EventOf(version.value));
      }
      text += "; context";
      for (const Dot& entry : record->context.entries()) text += name(entry);
    } else {
      text += " nothing";
    }
    Trace(text);
  }
}

void SimCluster::ScheduleWake(int index, int shard, Time local) {
  if (local == Time::Never()) return;
  ShardSlot& slot = nodes_[index].shards[shard];
  const Time when = std::max(scheduler_.now(), VirtualTime(nodes_[index], local));
  if (slot.wake <= when) return;
  slot.wake = when;
  AtNode(index, when - scheduler_.now(), [this, shard, when](SimNode& node) {
    ShardSlot& due = node.shards[shard];
    if (due.wake != when) return;  // an earlier one has been scheduled since
    due.wake = Time::Never();
    node.node->shard(shard).OnWake(NowAt(node));
    PerformShard(IndexOf(node.id), shard);
  });
}

void SimCluster::PerformControl(int index) {
  SimNode& node = nodes_[index];
  ControlEffects effects = node.node->control().TakeEffects(NowAt(node));
  if (effects.persist.has_value()) Persist(index, *std::move(effects.persist));
  for (Envelope& envelope : effects.sends) Post(index, std::move(envelope));
  if (effects.view != nullptr) {
    node.node->SetMembers(*effects.view, NowAt(node).monotonic);
    for (int shard = 0; shard < options_.shards; ++shard) {
      const absl::Status installed = node.node->Install(shard, effects.view, NowAt(node));
      if (!installed.ok()) Violate("view: " + std::string(installed.message()));
      PerformShard(index, shard);
    }
    node.node->control().OnInstalled(effects.view->epoch());
    NoteGone(index, *effects.view);
  }
  if (effects.outgrown.has_value()) Upgrade(index);
  for (ControlEffects::Done& done : effects.done) {
    auto it = node.proposals.find(done.token);
    if (it == node.proposals.end()) continue;
    auto callback = std::move(it->second);
    node.proposals.erase(it);
    callback(std::move(done.topology));
  }
  if (effects.view != nullptr) {
    PerformMovement(index);
    return PerformControl(index);  // the confirmations
  }
  ScheduleWake(index, &SimNode::control_wake, effects.wake, [this](SimNode& n) {
    n.node->control().OnWake(NowAt(n));
    PerformControl(IndexOf(n.id));
  });
}

void SimCluster::PerformMovement(int index) {
  SimNode& node = nodes_[index];
  Movement& movement = node.node->movement();
  const View& view = *node.node->control().view();
  const Time now = NowAt(node).monotonic;
  if (movement.IsDue(view, now)) {
    Movement::Ready ready{.may_depart = true,
                          .asked_under = view.epoch(),
                          .life = node.node->control().life(),
                          .levels = node.node->control().levels()};
    for (int shard = 0; shard < options_.shards; ++shard) {
      ready.may_depart = ready.may_depart && node.node->shard(shard).MayDepart(view.epoch());
      for (const MoveRef& ref : node.node->shard(shard).MovesToStep(MoveStep::kFilling)) {
        ready.filled.push_back(ref);
      }
      for (const MoveRef& ref : node.node->shard(shard).MovesToStep(MoveStep::kSwitched)) {
        ready.switched.push_back(ref);
      }
    }
    Movement::Wish wish = movement.OnWake(
        view, ready, [&](NodeId other) { return node.node->control().ServesUnder(other); },
        [&](NodeId other) { return reachable(IndexOf(other)); }, now);
    for (NodeId other : movement.unsaid()) {
      node.node->control().AskWhatServes(other, NowAt(node));
    }
    if (!movement.unsaid().empty()) PerformControl(index);
    if (wish.plan) {
      AtNode(index, Duration::Millis(1),
             [this, made_for = node.node->control().view()](SimNode& n) {
               n.node->movement().OnPlan(made_for->topology(), MakePlan(made_for->topology()),
                                         NowAt(n).monotonic);
               PerformMovement(IndexOf(n.id));
             });
    }
    if (wish.tell.has_value()) {
      auto& [to, due] = *wish.tell;
      Post(index, {to, {0, view.epoch(), PartitionId(), std::move(due)}});
    }
    if (wish.change.has_value() && !node.left) {
      const auto done = [this, index](const absl::StatusOr<Topology>& made) {
        SimNode& proposer = nodes_[index];
        Trace(NodeName(proposer.id) + " proposed moves: " + made.status().ToString() +
              (made.ok() ? " epoch " + std::to_string(made->epoch.value()) : ""));
        proposer.node->movement().OnProposed(made.status(), NowAt(proposer).monotonic);
        PerformMovement(index);
      };
      Propose(index, *std::move(wish.change), done, Duration());
    }
  }
  ScheduleWake(index, &SimNode::movement_wake, movement.wake(),
               [this](SimNode& n) { PerformMovement(IndexOf(n.id)); });
}

int SimCluster::LoadPercent(const SimNode& node) const {
  if (options_.false_loads) {
    // Drawn by the time, not from random_: what else happens is the same with and without.
    const int64_t window = scheduler_.now().micros() / Duration::Seconds(8).micros();
    return static_cast<int>(
        Random(options_.seed ^ node.id.value() ^ static_cast<uint64_t>(window)).Below(100));
  }
  int percent = node.admission.load_percent();
  for (int shard = 0; shard < options_.shards; ++shard) {
    percent = std::max(percent, node.node->shard(shard).load_percent());
  }
  return percent;
}

void SimCluster::PerformMembership(int index) {
  SimNode& node = nodes_[index];
  const Load before = node.node->load();
  node.node->OnLoad(LoadPercent(node), NowAt(node).monotonic);
  if (node.node->load() != before) ++load_changes_;
  MembershipEffects effects = node.node->membership().TakeEffects(NowAt(node).monotonic);
  for (const MembershipEffects::Change& change : effects.changes) {
    scheduler_.Note(change.node.value(), static_cast<uint64_t>(change.liveness));
    Trace(NodeName(node.id) + " takes " + NodeName(change.node) + " for " +
          LivenessName(change.liveness));
    for (int shard = 0; shard < options_.shards; ++shard) {
      node.node->shard(shard).OnLiveness(change.node, change.liveness);
    }
  }
  for (const MembershipEffects::Loaded& loaded : effects.loads) {
    scheduler_.Note(loaded.node.value(), static_cast<uint64_t>(loaded.load));
    Trace(NodeName(node.id) + " hears that " + NodeName(loaded.node) + " is " +
          LoadName(loaded.load));
    for (int shard = 0; shard < options_.shards; ++shard) {
      node.node->shard(shard).OnLoad(loaded.node, loaded.load);
    }
  }
  for (const MembershipEffects::Newer& newer : effects.newer_epochs) {
    node.node->control().OnEpochOf(newer.node, newer.epoch, NowAt(node));
  }
  if (!effects.newer_epochs.empty()) PerformControl(index);
  for (MembershipEffects::Send& send : effects.sends) {
    Post(index, Enclose(std::move(send), NowAt(node).wall_ms));
  }
  TellTime(index);
  ScheduleWake(index, &SimNode::membership_wake, effects.wake, [this](SimNode& n) {
    n.node->membership().OnWake(NowAt(n).monotonic);
    PerformMembership(IndexOf(n.id));
  });
}

void SimCluster::ScheduleWake(int index, Time SimNode::*due, Time local,
                              std::function<void(SimNode&)> wake) {
  if (local == Time::Never()) return;
  SimNode& node = nodes_[index];
  const Time when = std::max(scheduler_.now(), VirtualTime(node, local));
  if (node.*due <= when) return;
  node.*due = when;
  AtNode(index, when - scheduler_.now(), [due, when, wake = std::move(wake)](SimNode& n) {
    if (n.*due != when) return;  // an earlier one has been scheduled since
    n.*due = Time::Never();
    wake(n);
  });
}

void SimCluster::Persist(int index, WriteBatch batch) {
  AtNode(index, DiskDelay(nodes_[index]), [this, batch = std::move(batch)](SimNode& node) {
    const absl::Status status = node.engine->Write(batch, WalSync::kYes);
    node.node->control().OnPersisted(status);
    PerformControl(IndexOf(node.id));
    if (!status.ok()) OnDiskFailed(IndexOf(node.id));
  });
}

Duration SimCluster::DiskDelay(const SimNode& node) {
  if (node.disk.has_value()) return *node.disk;
  return Duration::Micros(random_.Between(options_.min_disk.micros(), options_.max_disk.micros()));
}

// -------------------------------------------------------------------------------------------
// messages

void SimCluster::Post(int from, Envelope envelope) {
  if (nodes_[from].left) return;
  const int to = IndexOf(envelope.to);
  scheduler_.Note(static_cast<uint64_t>(from) << 32 | static_cast<uint64_t>(to),
                  envelope.message.exchange ^ envelope.message.body.index());
  JudgeLevel(from, to, envelope.message);
  auto message = std::make_shared<const PeerMessage>(std::move(envelope.message));
  network_.Send(from, to, [this, from, to, life = nodes_[from].life, message] {
    Deliver(from, to, life, *message);
  });
}

void SimCluster::JudgeLevel(int from, int to, const PeerMessage& message) {
  const SimNode& target = nodes_[to];
  // Where it is another process since, what is sent gets lost with the connection.
  const bool stands = nodes_[from].connected[to] == target.life + 1;
  if (!stands || target.level >= LevelOf(message)) return;
  Violate(NodeName(target.id) + " is of level " + std::to_string(target.level) +
          " and is sent what it does not know: " + MessageName(message.body));
}

void SimCluster::Deliver(int from, int to, uint64_t life, const PeerMessage& message) {
  if (nodes_[to].left) return;
  // A connection on which it could answer, or ask, begins with what it is to be told.
  const bool of_register = std::holds_alternative<RegisterAsk>(message.body) ||
                           std::holds_alternative<RegisterAnswer>(message.body);
  if (of_register && nodes_[to].lost_state) return;
  if (nodes_[to].level < LevelOf(message)) return;  // with the connection to a former life
  if (nodes_[from].life != life && up(from)) Count(FaultKind::kMessageOfFormerLife);
  Arrive(to, [this, from, to, message](SimNode& node) {
    const NodeId sender = nodes_[from].id;
    if (std::holds_alternative<Fetch>(message.body)) ++node.fetches;
    if (options_.trace) {
      Trace(NodeName(sender) + " -> " + NodeName(node.id) + " " + MessageName(message.body) +
            " exchange " + std::to_string(message.exchange) + " partition " +
            std::to_string(message.partition.slice()));
    }
    if (message.epoch != node.node->control().view()->epoch()) {
      node.node->control().OnEpochOf(sender, message.epoch, NowAt(node));
    }
    if (const auto* membership = std::get_if<MembershipMessage>(&message.body)) {
      node.node->OnMembership(sender, *membership, NowAt(node).monotonic);
      PerformMembership(to);
    } else if (message.partition == PartitionId()) {
      if (const auto* due = std::get_if<MovesDue>(&message.body)) {
        node.node->movement().OnDue(sender, *due, NowAt(node).monotonic);
      } else {
        node.node->control().OnMessage(sender, message, NowAt(node));
      }
    } else {
      if (std::holds_alternative<Refused>(message.body)) {
        node.node->control().OnMessage(sender, message, NowAt(node));
      }
      const int shard = node.node->ShardOf(message.partition);
      node.node->shard(shard).OnMessage(sender, message, NowAt(node));
      PerformShard(to, shard);
    }
    PerformControl(to);
  });
}

}  // namespace gyre
