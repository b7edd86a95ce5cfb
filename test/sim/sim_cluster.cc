#include "test/sim/sim_cluster.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "ring/check.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

// By then every node that is up has heard of one that has started, and that one of them.
constexpr Duration kConnected = Duration::Millis(300);

constexpr uint64_t kWallOriginMs = 1'790'000'000'000;

// Whether a batch, which the engine has whole or not at all, is still there.
bool Survived(const MemoryEngine& engine, const WriteBatch& batch) {
  for (const WriteBatch::Change& change : batch.changes()) {
    if (change.kind != WriteBatch::Kind::kPut || change.family != Family::kDotLog) continue;
    return engine.Get(change.family, change.key).ok();
  }
  return false;  // it minted nothing
}

}  // namespace

SimCluster::SimCluster(SimOptions options)
    : options_(options),
      random_(options.seed),
      network_(options.network, &scheduler_, Random(random_.Next())),
      client_network_(options.client_network, &scheduler_, Random(random_.Next())) {
  std::vector<Member> members;
  for (int i = 0; i < options_.nodes; ++i) {
    Member member;
    member.name = "node-" + std::to_string(i);
    member.zone = "zone-" + std::to_string(i % options_.zones);
    member.client_address = member.name + ":1";
    member.peer_address = member.name + ":2";
    members.push_back(std::move(member));
  }
  absl::StatusOr<Topology> initial = InitialTopology("sim", options_.slices, members);
  GYRE_CHECK(initial.ok(), "the simulated configuration is sound");
  initial_ = *std::move(initial);
  nodes_.reserve(options_.nodes);
  for (int i = 0; i < options_.nodes; ++i) nodes_.emplace_back(options_.admission);
  for (int i = 0; i < options_.nodes; ++i) {
    SimNode& node = nodes_[i];
    node.id = NodeIdFromName(initial_.cluster, "node-" + std::to_string(i));
    index_[node.id] = i;
    node.engine = std::make_unique<MemoryEngine>();
    if (options_.needs_disk_one_in > 0) {
      node.engine->AnswerNeedsDisk(options_.needs_disk_one_in, random_.Next());
    }
    Open(i);
    TellReachability(i, true);
  }
}

void SimCluster::Open(int index) {
  SimNode& node = nodes_[index];
  ObserveStored(node);
  NodeOptions options;
  options.shards = options_.shards;
  options.shard.repair.interval = Duration::Seconds(2) * options_.unhurried;
  options.store.log_age = options_.log_age;
  options.membership.probe_interval = options.membership.probe_interval * options_.unhurried;
  options.membership.gossip_interval = options.membership.gossip_interval * options_.unhurried;
  options.shard.await_peers = true;
  options.shard.max_exchanges = options_.max_exchanges;
  options.shard.max_waiting_reads = options_.max_waiting_reads;
  options.hints.max_bytes = options_.max_hint_bytes;
  options.hints.max_age = options_.max_hint_age;
  options.store.log_kept = 16;
  options.store.log_most = options_.log_most;
  options.store.fill_what_is_new = node.replaced;
  options.shard.expiry.margin = options_.expiry_margin;
  options.shard.expiry.portion = 4;  // so that a sweep takes several
  // What is mended here is so within seconds, and what could not be named is as soon as it is
  // written.
  options.shard.repair.copy_pause = Duration::Seconds(2);
  options.shard.repair.copy_again = Duration::Seconds(10);
  options.shard.scrub.pass = options_.scrub_pass * options_.unhurried;
  // Beyond any clock that is wrong here.
  options.shard.scrub.expiry_slack = Duration::Seconds(1'000'000);
  options.record_cache_bytes = options_.cached_bytes * options_.shards;
  absl::StatusOr<std::unique_ptr<Node>> opened =
      Node::Open(options, node.engine.get(), initial_, node.id,
                 std::exchange(node.stopped_clean, false), Random(random_.Next()));
  if (!opened.ok()) return Violate("node does not open: " + std::string(opened.status().message()));
  node.node = *std::move(opened);
  node.started = scheduler_.now();
  node.shards.clear();
  node.shards.resize(options_.shards);
  node.control_wake = node.membership_wake = Time::Never();
  node.told_ms.reset();
  node.node->SetMembers(*node.node->control().view(), NowAt(node).monotonic);
  // Nobody is there until a connection stands, which takes a moment each.
  for (int other = 0; other < options_.nodes; ++other) {
    if (other == index) continue;
    for (int shard = 0; shard < options_.shards; ++shard) {
      node.node->shard(shard).OnPeer(nodes_[other].id, false, NowAt(node));
    }
    node.node->control().OnPeer(nodes_[other].id, false, NowAt(node));
    if (reachable(other)) Tell(index, other, true);
  }
  AtNode(index, kConnected, [this](SimNode& n) {
    for (int shard = 0; shard < options_.shards; ++shard) n.node->shard(shard).OnHeardPeers();
  });
  for (int shard = 0; shard < options_.shards; ++shard) {
    node.node->shard(shard).OnWake(NowAt(node));
    PerformShard(index, shard);
  }
  PerformControl(index);
  PerformMembership(index);
}

// ------------------------------------------------------------------------------------ clocks and
// order

Instant SimCluster::NowAt(const SimNode& node) const {
  const int64_t since = (scheduler_.now() - node.drift_since).micros();
  const int64_t local = node.drift_base_us + since + since * node.drift_ppm / 1'000'000;
  return {Time::FromMicros(local),
          kWallOriginMs + static_cast<uint64_t>(local / 1000 + node.wall_offset_ms)};
}

Time SimCluster::VirtualTime(const SimNode& node, Time local) const {
  const int64_t since = local.micros() - node.drift_base_us;
  return node.drift_since + Duration::Micros(since * 1'000'000 / (1'000'000 + node.drift_ppm) + 1);
}

void SimCluster::NoteAhead(SimNode* node) {
  const auto wall_ms = static_cast<int64_t>(NowAt(*node).wall_ms - kWallOriginMs);
  const int64_t ahead_ms = wall_ms - scheduler_.now().micros() / 1000;
  node->least_ahead_ms = std::min(node->least_ahead_ms, ahead_ms);
  node->most_ahead_ms = std::max(node->most_ahead_ms, ahead_ms);
}

// A node knows the time by the middle of no fewer clocks than a majority: of those that are
// furthest behind, or ahead, at worst.
Duration SimCluster::TimesApart() {
  std::vector<int64_t> least, most;
  for (SimNode& node : nodes_) {
    NoteAhead(&node);
    least.push_back(node.least_ahead_ms);
    most.push_back(node.most_ahead_ms);
  }
  std::sort(least.begin(), least.end());
  std::sort(most.begin(), most.end());
  const size_t majority = nodes_.size() / 2 + 1;
  const size_t middle = (majority - 1) / 2;
  return Duration::Millis(most[nodes_.size() - majority + middle] - least[middle]);
}

bool SimCluster::KnowsTime(int index) const {
  const SimNode& node = nodes_[index];
  return node.node->time().Offset(NowAt(node)).has_value();
}

void SimCluster::TellTime(int index) {
  SimNode& node = nodes_[index];
  const std::optional<int64_t> offset_ms = node.node->time().Offset(NowAt(node));
  const bool known = offset_ms.has_value() && node.told_ms.has_value();
  if (offset_ms == node.told_ms || (known && std::abs(*offset_ms - *node.told_ms) < 10)) return;
  node.told_ms = offset_ms;
  for (int shard = 0; shard < options_.shards; ++shard) {
    node.node->shard(shard).OnClusterTime(offset_ms);
    PerformShard(index, shard);
  }
}

void SimCluster::JumpClock(int index, int64_t wall_ms) {
  NoteAhead(&nodes_[index]);
  nodes_[index].wall_offset_ms += wall_ms;
  NoteAhead(&nodes_[index]);
  observer_.OnClocksApart();
  Count(wall_ms < 0 ? FaultKind::kClockBack : FaultKind::kClockAhead);
}

void SimCluster::SetDrift(int index, int64_t ppm) {
  Count(FaultKind::kClockDrifts);
  observer_.OnClocksApart();
  SimNode& node = nodes_[index];
  NoteAhead(&node);
  node.drift_base_us = NowAt(node).monotonic.micros();
  node.drift_since = scheduler_.now();
  node.drift_ppm = ppm;
}

void SimCluster::AtNode(int index, Duration delay, std::function<void(SimNode&)> action) {
  const uint64_t life = nodes_[index].life;
  scheduler_.After(delay,
                   [this, index, life, action = std::move(action)] { Defer(index, life, action); });
}

void SimCluster::Defer(int index, uint64_t life, std::function<void(SimNode&)> action) {
  SimNode& node = nodes_[index];
  if (node.life != life || node.node == nullptr) return;
  if (node.paused) {
    node.deferred.push_back(
        [this, index, life, action = std::move(action)] { Defer(index, life, action); });
    return;
  }
  action(node);
}

// ------------------------------------------------------------------------------- performing
// effects

void SimCluster::PerformShard(int index, int shard) {
  SimNode& node = nodes_[index];
  ShardEffects effects = node.node->shard(shard).TakeEffects(NowAt(node));
  if (effects.commit.has_value()) {
    node.shards[shard].writing = std::move(effects.commit);
    AtNode(index, DiskDelay(node), [this, shard](SimNode& n) { WriteCommit(n, shard); });
  }
  for (ShardEffects::DiskRead& read : effects.disk_reads) {
    AtNode(index, DiskDelay(node), [this, shard, item = std::move(read.item)](SimNode& n) {
      n.node->shard(shard).OnRead(item, n.engine->Get(Family::kRecords, EncodeItemKey(item)),
                                  NowAt(n));
      PerformShard(IndexOf(n.id), shard);
    });
  }
  for (ShardEffects::ClockScan& scan : effects.clock_scans) {
    AtNode(index, DiskDelay(node), [this, shard, scan = std::move(scan)](SimNode& n) {
      // Small answers, so that exchanges take several.
      const ClockAnswerLimits limits{8, 4096};
      absl::StatusOr<ClockAnswer> answer = BuildClockAnswer(
          *n.engine->TakeSnapshot(), scan.partition, scan.theirs, limits, scan.count);
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
      const absl::Status installed = node.node->Install(shard, effects.view);
      if (!installed.ok()) Violate("view: " + std::string(installed.message()));
      PerformShard(index, shard);
    }
    node.node->control().OnInstalled(effects.view->epoch());
  }
  for (ControlEffects::Done& done : effects.done) {
    auto it = node.proposals.find(done.token);
    if (it == node.proposals.end()) continue;
    auto callback = std::move(it->second);
    node.proposals.erase(it);
    callback(std::move(done.topology));
  }
  if (effects.view != nullptr) return PerformControl(index);  // the confirmations
  ScheduleWake(index, &SimNode::control_wake, effects.wake, [this](SimNode& n) {
    n.node->control().OnWake(NowAt(n));
    PerformControl(IndexOf(n.id));
  });
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
  auto message = std::make_shared<const PeerMessage>(std::move(envelope.message));
  network_.Send(from, to, [this, from, to, life = nodes_[from].life, message] {
    Deliver(from, to, life, *message);
  });
}

void SimCluster::Deliver(int from, int to, uint64_t life, const PeerMessage& message) {
  if (nodes_[to].left) return;
  if (nodes_[from].life != life && up(from)) Count(FaultKind::kMessageOfFormerLife);
  Arrive(to, [this, from, to, message](SimNode& node) {
    const NodeId sender = nodes_[from].id;
    if (std::holds_alternative<Fetch>(message.body)) ++node.fetches;
    if (options_.trace) {
      static constexpr const char* kNames[] = {
          "Apply",       "ApplyReply",  "Fetch",          "FetchReply",   "Lookup",
          "LookupReply", "ClockAsk",    "ClockAnswer",    "Forward",      "ForwardReply",
          "Refused",     "RegisterAsk", "RegisterAnswer", "TopologyNews", "Failed",
          "Hint",        "HintReply",   "FetchHints",     "Handoff",      "CopyAsk",
          "CopyPage",    "Membership",  "SliceAsk",       "SliceAnswer",  "Doubt"};
      Trace(NodeName(sender) + " -> " + NodeName(node.id) + " " + kNames[message.body.index()] +
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
      node.node->control().OnMessage(sender, message, NowAt(node));
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

// --------------------------------------------------------------------------------------------
// clients

// A connection takes nothing into the node's next life.
void SimCluster::FromClient(int client, int index, OnOutcome done,
                            std::function<void(SimNode&, OnOutcome)> request) {
  const uint64_t life = nodes_[index].life;
  client_network_.Send(options_.nodes + client, index, [this, index, life, request, done] {
    SimNode& node = nodes_[index];
    if (options_.step == Duration()) {
      return Defer(index, life, [request, done](SimNode& n) { request(n, done); });
    }
    if (node.life != life || node.node == nullptr) return;
    if (!Admits(node)) {
      ++refused_;
      Count(FaultKind::kRequestsRefused);
      node.free_at = std::max(node.free_at, scheduler_.now()) + options_.step / 16;
      Outcome outcome;
      outcome.code = Outcome::Code::kOverloaded;
      return done(std::move(outcome));
    }
    ++node.in_flight;
    const OnOutcome answer = [this, index, life, done](Outcome outcome) {
      if (nodes_[index].life == life) {
        --nodes_[index].in_flight;
        ++nodes_[index].answered;
      }
      done(std::move(outcome));
    };
    Arrive(index, [request, answer](SimNode& n) { request(n, answer); });
  });
}

bool SimCluster::Admits(SimNode& node) { return node.in_flight < node.admission.limit(); }

void SimCluster::Arrive(int index, std::function<void(SimNode&)> action) {
  SimNode& node = nodes_[index];
  if (options_.step == Duration()) return Defer(index, node.life, std::move(action));
  const Time now = scheduler_.now();
  const Duration waits = std::max(node.free_at, now) - now;
  node.free_at = now + waits + options_.step;
  AtNode(index, waits, [waits, action = std::move(action), this](SimNode& n) {
    n.admission.OnWait(AdmissionLimit::Stage::kLane, waits);
    n.admission.OnRound(n.in_flight, std::exchange(n.answered, 0), scheduler_.now());
    for (int shard = 0; shard < options_.shards; ++shard) {
      n.node->shard(shard).OnLoad(n.admission.load_percent());
    }
    action(n);
  });
}

SimCluster::OnOutcome SimCluster::ToClient(int index, int client, OnOutcome done) {
  return [this, index, client, done = std::move(done)](Outcome outcome) {
    const Reading reading{nodes_[index].life, NowAt(nodes_[index]).monotonic};
    client_network_.Send(index, options_.nodes + client, [=, this] {
      readings_[{client, index}] = {reading.life, reading.clock, scheduler_.now()};
      done(outcome);
    });
  };
}

std::optional<Time> SimCluster::ClockAtLeast(int client, int index) const {
  const auto reading = readings_.find({client, index});
  if (reading == readings_.end() || reading->second.life != nodes_[index].life) return std::nullopt;
  const Duration passed = scheduler_.now() - reading->second.heard;
  // Clocks are off by as much as the nemesis makes them.
  return reading->second.clock + Duration::Micros(passed.micros() - passed.micros() / 20);
}

bool SimCluster::Write(int client, int index, const std::string& table, const std::string& key,
                       WriteIntent intent, Duration timeout, OnOutcome done) {
  if (nodes_[index].node == nullptr) return false;
  done = ToClient(index, client, std::move(done));
  FromClient(client, index, std::move(done),
             [this, index, table, key, intent, timeout, sent = ClockAtLeast(client, index)](
                 SimNode& node, const OnOutcome& answer) {
               const View& view = *node.node->control().view();
               const TableSpec* spec = view.FindTable(table);
               if (spec == nullptr) return;
               WriteRequest request;
               request.item = {view.Locate(*spec, key), spec->id, key};
               request.intent = intent;
               request.intent.fresh_until = sent.has_value() ? *sent + timeout / 2 : Time();
               request.intent.conflict = spec->conflict;
               request.intent.durability = spec->durability;
               const bool is_put = intent.kind == WriteKind::kPut;
               if (is_put && intent.ttl_ms == 0) request.intent.ttl_ms = spec->ttl_ms;
               request.needed = spec->write_quorum;
               request.timeout = timeout;
               request.sloppy = spec->quorum == QuorumKind::kSloppy;
               const int shard = node.node->ShardOf(request.item.partition);
               const Token token = next_token_++;
               node.shards[shard].waiting[token] = answer;
               node.node->shard(shard).Write(token, std::move(request), NowAt(node));
               PerformShard(index, shard);
             });
  return true;
}

bool SimCluster::Read(int client, int index, const std::string& table, const std::string& key,
                      Duration timeout, OnOutcome done) {
  if (nodes_[index].node == nullptr) return false;
  done = ToClient(index, client, std::move(done));
  FromClient(client, index, std::move(done),
             [this, index, table, key, timeout](SimNode& node, const OnOutcome& answer) {
               const View& view = *node.node->control().view();
               const TableSpec* spec = view.FindTable(table);
               if (spec == nullptr) return;
               ReadRequest request{{view.Locate(*spec, key), spec->id, key},
                                   spec->read_quorum,
                                   timeout,
                                   false,
                                   spec->quorum == QuorumKind::kSloppy};
               const int shard = node.node->ShardOf(request.item.partition);
               const Token token = next_token_++;
               node.shards[shard].waiting[token] = answer;
               node.node->shard(shard).Read(token, std::move(request), NowAt(node));
               PerformShard(index, shard);
             });
  return true;
}

absl::StatusOr<TableSpec> SimCluster::CreateTable(int index, TableSpec table) {
  SimNode& node = nodes_[index];
  GYRE_CHECK(node.node != nullptr, "tables are created at a node that is up");
  std::optional<absl::StatusOr<Topology>> result;
  const uint64_t token = next_token_++;
  node.proposals[token] = [&](absl::StatusOr<Topology> topology) { result = std::move(topology); };
  node.node->control().Propose(
      token, [table](const Topology& current) { return gyre::CreateTable(current, table); },
      NowAt(node));
  PerformControl(index);
  scheduler_.RunUntil(scheduler_.now() + Duration::Seconds(30),
                      [&] { return result.has_value() || violation_.has_value(); });
  node.proposals.erase(token);
  if (!result.has_value()) return absl::DeadlineExceededError("the table was not created in 30 s");
  if (!result->ok()) return result->status();
  for (const TableSpec& spec : (*result)->tables) {
    if (spec.name == table.name) return spec;
  }
  return absl::InternalError("the committed document lacks the table");
}

// ---------------------------------------------------------------------------------------------
// faults

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
}

void SimCluster::Keep(int index) { nodes_[index].kept = nodes_[index].engine->Copy(); }

void SimCluster::PutBack(int index) {
  if (nodes_[index].kept == nullptr) return;
  Trace("PUT BACK " + NodeName(nodes_[index].id));
  Count(FaultKind::kDiskPutBack);
  LoseDisk(index, std::move(nodes_[index].kept));
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

void SimCluster::Restart(int index) {
  if (up(index)) return;
  Trace("RESTART " + NodeName(nodes_[index].id));
  Open(index);
  TellReachability(index, true);
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
    // As a peer says that has met other data under this node's name, or later ones.
    const bool told = reachable && std::exchange(node.lost_state, false);
    for (int shard = 0; shard < options_.shards; ++shard) {
      if (told) node.node->shard(shard).OnForgetful(NowAt(node));
      node.node->shard(shard).OnPeer(nodes_[about].id, reachable, NowAt(node));
      PerformShard(IndexOf(node.id), shard);
    }
    node.node->control().OnPeer(nodes_[about].id, reachable, NowAt(node));
    PerformControl(IndexOf(node.id));
    if (!reachable) return;
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

bool SimCluster::DamageRecord(int index, const ItemKey& item) {
  SimNode& node = nodes_[index];
  if (IsAtHand(node, item) || !node.engine->Damage(Family::kRecords, EncodeItemKey(item))) {
    return false;
  }
  Trace("DAMAGE " + NodeName(node.id) + " " + item.key);
  return true;
}

bool SimCluster::LoseRecord(int index, const ItemKey& item) {
  SimNode& node = nodes_[index];
  if (IsAtHand(node, item) || !node.engine->Lose(Family::kRecords, EncodeItemKey(item))) {
    return false;
  }
  Trace("LOSE " + NodeName(node.id) + " " + item.key);
  return true;
}

bool SimCluster::ChangeRecord(int index, const ItemKey& item, const std::string& value) {
  SimNode& node = nodes_[index];
  absl::StatusOr<Record> record =
      ReplicaStore::Decode(node.engine->Get(Family::kRecords, EncodeItemKey(item)));
  if (IsAtHand(node, item) || !record.ok() || record->versions.empty()) return false;
  record->versions.front().value = Value(value);
  Trace("CHANGE " + NodeName(node.id) + " " + item.key);
  return node.engine->Change(Family::kRecords, EncodeItemKey(item), EncodeRecord(*record));
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

// ------------------------------------------------------------------------------- running and
// judging

void SimCluster::RunFor(Duration span) {
  scheduler_.RunUntil(scheduler_.now() + span, [this] { return violation_.has_value(); });
}

void SimCluster::Violate(std::string what) {
  Trace("VIOLATION " + what);
  if (!violation_.has_value()) violation_ = std::move(what);
}

void SimCluster::JudgeClaims() {
  for (SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    const std::unique_ptr<MemoryEngine> written = node.engine->Copy();  // damaged or not
    const std::unique_ptr<Snapshot> snapshot = written->TakeSnapshot();
    const auto load = [&](const ItemKey& item) -> std::optional<Record> {
      const absl::StatusOr<std::string> stored =
          snapshot->Get(Family::kRecords, EncodeItemKey(item));
      if (stored.ok() && MemoryEngine::IsGarbled(*stored)) return std::nullopt;
      absl::StatusOr<Record> read = ReplicaStore::Decode(stored);
      if (!read.ok()) Violate("a record cannot be read");
      return read.value_or(Record{});
    };
    for (PartitionId id : node.node->control().view()->OwnedBy(node.id)) {
      const absl::StatusOr<PartitionState> state = ReadPartitionState(*snapshot, id);
      if (!state.ok()) return Violate("a partition's state cannot be read");
      if (auto wrong = observer_.JudgeClaims(id, state->clock, load)) {
        Violate(NodeName(node.id) + " claims too much: " + *wrong);
      }
    }
  }
}

void SimCluster::JudgeKept() {
  for (SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    for (int shard = 0; shard < options_.shards; ++shard) {
      node.node->shard(shard).store().cache().ForEachClean([&](const RecordCache::Entry& kept) {
        const absl::StatusOr<std::string> stored = node.engine->Get(Family::kRecords, kept.first);
        if (absl::IsDataLoss(stored.status()) && node.engine->damaged() > 0) return;
        if (stored.ok() && MemoryEngine::IsGarbled(*stored)) return;
        const absl::StatusOr<Record> held = ReplicaStore::Decode(stored);
        if (!held.ok() || *held != kept.second.stored) {
          Violate(NodeName(node.id) + " keeps what its store does not hold of " +
                  DecodeItemKey(kept.first)->key);
        }
      });
    }
  }
}

void SimCluster::JudgeConvergence() {
  const View& view = *nodes_[0].node->control().view();
  for (int n = 1; n < options_.nodes; ++n) {
    if (nodes_[n].node->control().view()->epoch() != view.epoch()) {
      return Violate("nodes serve under different epochs");
    }
  }
  std::set<PartitionId> partitions;
  for (SimNode& node : nodes_) {
    for (PartitionId id : view.OwnedBy(node.id)) partitions.insert(id);
  }
  for (PartitionId id : partitions) {
    JudgeSameClocks(id);
    for (const ItemKey& item : observer_.Items(id)) JudgeSameRecord(item);
  }
}

void SimCluster::JudgeHandedOver() {
  for (const SimNode& node : nodes_) {
    const uint64_t hints = node.engine->EstimateKeys(Family::kHints);
    if (hints == 0) continue;
    return Violate(NodeName(node.id) + " still keeps " + std::to_string(hints) + " hints");
  }
}

void SimCluster::JudgeSwept() {
  for (const SimNode& node : nodes_) JudgeSwept(node);
}

void SimCluster::JudgeSwept(const SimNode& node) {
  const std::optional<uint64_t> time_ms = node.node->shard(0).TimeMs(NowAt(node));
  if (!time_ms.has_value()) return Violate(NodeName(node.id) + " does not know the time");
  const auto long_ago_ms =
      static_cast<uint64_t>((options_.expiry_margin + Duration::Seconds(15)).millis());
  const std::unique_ptr<Snapshot> snapshot = node.engine->TakeSnapshot();
  size_t versions = 0, entries = 0;
  absl::Status scanned =
      snapshot->Scan(Family::kRecords, "", "", [&](std::string_view key, std::string_view value) {
        const std::optional<ItemKey> item = DecodeItemKey(key);
        const absl::StatusOr<Record> record = DecodeRecord(value);
        if (!record.ok()) {
          Violate(NodeName(node.id) + " holds a damaged record of " + item->key);
          return false;
        }
        for (const uint64_t moment : ExpiryIndex::MomentsOf(*record)) {
          ++versions;
          if (moment + long_ago_ms < *time_ms) {
            Violate(NodeName(node.id) + " still holds what expired of " + item->key);
          }
          const std::string entry = EncodeExpiryKey({moment, *item});
          if (!snapshot->Get(Family::kExpiry, entry).ok()) {
            Violate(NodeName(node.id) + " would never remove what expires of " + item->key);
          }
        }
        return true;
      });
  if (scanned.ok()) {
    scanned = snapshot->Scan(Family::kExpiry, "", "", [&](std::string_view, std::string_view) {
      ++entries;
      return true;
    });
  }
  if (!scanned.ok()) Violate("a store cannot be scanned");
  if (entries != versions) Violate(NodeName(node.id) + " has entered what is not there");
}

void SimCluster::JudgeLiveness() {
  for (SimNode& node : nodes_) {
    for (const SimNode& other : nodes_) {
      if (other.id == node.id) continue;
      const Liveness liveness = node.node->membership().LivenessOf(other.id);
      if (liveness == Liveness::kAlive) continue;
      Violate(NodeName(node.id) + " takes " + NodeName(other.id) + " for " +
              LivenessName(liveness) + " though all is healed");
    }
  }
}

void SimCluster::JudgeSameClocks(PartitionId id) {
  const ReplicaStore* first = nullptr;
  for (NodeId owner : nodes_[0].node->control().view()->Owners(id)) {
    const ReplicaStore& store = StoreOf(owner, id);
    if (first == nullptr) first = &store;
    if (store.Clock(id) != first->Clock(id)) {
      return Violate("owners of slice " + std::to_string(id.slice()) + " have different clocks");
    }
  }
}

void SimCluster::JudgeSameRecord(const ItemKey& item) {
  const std::string key = EncodeItemKey(item);
  std::optional<Record> first;
  for (NodeId owner : nodes_[0].node->control().view()->Owners(item.partition)) {
    const SimNode& node = nodes_[IndexOf(owner)];
    const PartitionClock& clock = StoreOf(owner, item.partition).Clock(item.partition);
    absl::StatusOr<Record> stored = ReplicaStore::Decode(node.engine->Get(Family::kRecords, key));
    if (!stored.ok()) return Violate("a record cannot be read");
    Record stripped = *stored;
    Strip(&stripped, clock);
    // A restart forgets which records are still to be settled, but for those of which nothing else
    // is left; the next write of the item does it.
    if (stripped != *stored && (stored->versions.empty() || node.stored.contains(key))) {
      return Violate(NodeName(owner) + " keeps what its clock says by now with " + item.key);
    }
    // What has expired each owner removes in its own time; and whose time was far from the others',
    // it may have removed what they still have.
    const auto skew_ms = static_cast<uint64_t>(History::kSkew.millis());
    const uint64_t time_ms = node.node->shard(0).TimeMs(NowAt(node)).value_or(0);
    DropExpired(&*stored, TimesApart() > History::kSkew ? UINT64_MAX : time_ms + skew_ms);
    Fill(&*stored, clock);
    if (!first.has_value()) first = *stored;
    // Of dots that only a lost disk had, some records' contexts still tell, and no clock ever will.
    if (disk_lost_) stored->context = first->context;
    if (*first != *stored) return Violate("owners hold different records of " + item.key);
  }
}

const ReplicaStore& SimCluster::StoreOf(NodeId owner, PartitionId partition) {
  Node& node = *nodes_[IndexOf(owner)].node;
  return node.shard(node.ShardOf(partition)).store();
}

std::vector<std::string> SimCluster::Settled(const std::string& table, const std::string& key) {
  const View& view = *nodes_[0].node->control().view();
  const TableSpec* spec = view.FindTable(table);
  GYRE_CHECK(spec != nullptr, "workloads read their own tables");
  const PartitionId partition = view.Locate(*spec, key);
  SimNode& node = nodes_[IndexOf(view.Owners(partition).front())];
  absl::StatusOr<Record> record = ReplicaStore::Decode(
      node.engine->Get(Family::kRecords, EncodeItemKey({partition, spec->id, key})));
  std::vector<std::string> values;
  if (!record.ok()) return values;
  DropExpired(&*record, node.node->shard(0).TimeMs(NowAt(node)).value_or(0));
  KeepLast(&*record);
  for (const Version& version : record->versions) values.emplace_back(version.value);
  return values;
}

uint64_t SimCluster::Stored(Family family) const {
  uint64_t entries = 0;
  for (const SimNode& node : nodes_) entries += node.engine->EstimateKeys(family);
  return entries;
}

std::string SimCluster::NodeName(NodeId id) const {
  return "node-" + std::to_string(index_.at(id));
}

void SimCluster::Trace(const std::string& what) {
  if (!options_.trace) return;
  std::printf("%12.6f  %s\n", static_cast<double>(scheduler_.now().micros()) / 1e6, what.c_str());
}

uint64_t SimCluster::Digest() {
  for (SimNode& node : nodes_) {
    const std::unique_ptr<Snapshot> snapshot = node.engine->TakeSnapshot();
    for (Family family :
         {Family::kRecords, Family::kDotLog, Family::kHints, Family::kMeta, Family::kExpiry}) {
      const absl::Status scanned =
          snapshot->Scan(family, "", "", [&](std::string_view key, std::string_view value) {
            scheduler_.Note(key);
            scheduler_.Note(value);
            return true;
          });
      if (!scanned.ok()) Violate("a store cannot be scanned");
    }
  }
  return scheduler_.digest();
}

ShardFigures SimCluster::Figures() const {
  ShardFigures sum = past_;
  for (const SimNode& node : nodes_) AddFigures(node, &sum);
  return sum;
}

PartitionId SimCluster::Locate(const std::string& table, const std::string& key) const {
  return Item(table, key).partition;
}

ItemKey SimCluster::Item(const std::string& table, const std::string& key) const {
  for (const SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    const View& view = *node.node->control().view();
    const TableSpec* const spec = view.FindTable(table);
    return {view.Locate(*spec, key), spec->id, key};
  }
  GYRE_CHECK(false, "a node is up");
  return {};
}

std::vector<int> SimCluster::OwnersOf(PartitionId partition) const {
  std::vector<int> owners;
  for (const SimNode& node : nodes_) {
    if (node.node == nullptr || !owners.empty()) continue;
    for (NodeId owner : node.node->control().view()->Owners(partition)) {
      owners.push_back(IndexOf(owner));
    }
  }
  return owners;
}

void SimCluster::AddFigures(const SimNode& node, ShardFigures* sum) const {
  if (node.node == nullptr) return;
  for (int shard = 0; shard < options_.shards; ++shard) {
    const ShardFigures& figures = node.node->shard(shard).figures();
    sum->exchanges += figures.exchanges;
    sum->read_repairs += figures.read_repairs;
    sum->late_attempts += figures.late_attempts;
    sum->repair.items += figures.repair.items;
    sum->repair.log_cuts += figures.repair.log_cuts;
    sum->repair.log_dropped += figures.repair.log_dropped;
    sum->repair.copied += figures.repair.copied;
    sum->repair.copies_left += figures.repair.copies_left;
    sum->repair.copied_items += figures.repair.copied_items;
    sum->repair.filling += figures.repair.filling;
    sum->disk_reads += figures.disk_reads;
    sum->stand_in.kept += figures.stand_in.kept;
    sum->stand_in.delivered += figures.stand_in.delivered;
    sum->stand_in.refused += figures.stand_in.refused;
    sum->stand_in.expired += figures.stand_in.expired;
    sum->sheds += figures.sheds;
    sum->unreadable += figures.unreadable;
    sum->stand_in.guests += figures.stand_in.guests;
    sum->reads += figures.reads;
    sum->pace.slowed += figures.pace.slowed;
    sum->pace.tries += figures.pace.tries;
    sum->pace.hedges += figures.pace.hedges;
    sum->pace.refused += figures.pace.refused;
    sum->expired += figures.expired;
    sum->damaged += figures.damaged;
    sum->mended += figures.mended;
    sum->scrub.standing += figures.scrub.standing;
    sum->scrub.passes += figures.scrub.passes;
    sum->scrub.items += figures.scrub.items;
    sum->scrub.slices += figures.scrub.slices;
    sum->scrub.uncompared += figures.scrub.uncompared;
    sum->scrub.differing += figures.scrub.differing;
    sum->scrub.contradictions += figures.scrub.contradictions;
    sum->scrub.amended += figures.scrub.amended;
    sum->record_cache.hits += figures.record_cache.hits;
    sum->record_cache.misses += figures.record_cache.misses;
    sum->record_cache.evictions += figures.record_cache.evictions;
    sum->record_cache.bytes += figures.record_cache.bytes;
  }
}

}  // namespace gyre
