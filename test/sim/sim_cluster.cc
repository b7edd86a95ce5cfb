#include "test/sim/sim_cluster.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "ring/check.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr uint64_t kWallOriginMs = 1'790'000'000'000;
constexpr uint64_t kKeyOfStrangers = 7;  // Member::key; those of the beginning have none

}  // namespace

SimCluster::SimCluster(SimOptions options)
    : options_(options),
      random_(options.seed),
      network_(options.network, &scheduler_, Random(random_.Next())),
      client_network_(options.client_network, &scheduler_, Random(random_.Next())) {
  std::vector<Member> members;
  const int first_members = options_.nodes - options_.strangers;
  for (int i = 0; i < first_members; ++i) {
    members.push_back(MemberOf(i));
    if (i >= first_members - options_.waiting) members.back().state = MemberState::kWaiting;
  }
  absl::StatusOr<Topology> initial = InitialTopology("sim", options_.slices, members);
  GYRE_CHECK(initial.ok(), "the simulated configuration is sound");
  initial_ = *std::move(initial);
  fewest_members_ = initial_.members.size();
  initial_.level = options_.level;
  nodes_.reserve(options_.nodes);
  for (int i = 0; i < options_.nodes; ++i) nodes_.emplace_back(options_.admission);
  for (int i = 0; i < options_.nodes; ++i) {
    const Member member = MemberOf(i);
    nodes_[i].id = NodeIdFromName(initial_.cluster, member.name, member.key);
    nodes_[i].stranger = i >= first_members;
    index_[nodes_[i].id] = i;
  }
  for (int i = 0; i < options_.nodes; ++i) {
    SimNode& node = nodes_[i];
    node.level = options_.level;
    node.engine = std::make_unique<MemoryEngine>();
    if (options_.needs_disk_one_in > 0) {
      node.engine->AnswerNeedsDisk(options_.needs_disk_one_in, random_.Next());
    }
    if (node.stranger) continue;
    Open(i);
    TellReachability(i, true);
  }
}

Member SimCluster::MemberOf(int index) const {
  Member member;
  member.name = "node-" + std::to_string(index);
  member.zone = "zone-" + std::to_string(index % options_.zones);
  member.client_address = member.name + ":1";
  member.peer_address = member.name + ":2";
  if (index >= options_.nodes - options_.strangers) member.key = kKeyOfStrangers;
  return member;
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
  options.standing = node.standing;
  options.level = node.level;
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
      Node::Open(options, node.engine.get(), node.joined.value_or(initial_), node.id,
                 std::exchange(node.stopped_clean, false), Random(random_.Next()));
  if (absl::IsFailedPrecondition(opened.status()) && node.level < kBuildLevel) {
    return Upgrade(index);
  }
  if (!opened.ok()) return Violate("node does not open: " + std::string(opened.status().message()));
  node.node = *std::move(opened);
  node.connected.assign(options_.nodes, 0);
  node.started = scheduler_.now();
  node.shards.clear();
  node.shards.resize(options_.shards);
  node.control_wake = node.membership_wake = node.movement_wake = Time::Never();
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
  const bool first = node.life == 0;  // that nobody could know another directory of
  if (first) node.node->control().OnHeardPeers();
  AtNode(index, kConnected, [this](SimNode& n) {
    for (int shard = 0; shard < options_.shards; ++shard) n.node->shard(shard).OnHeardPeers();
    n.node->control().OnHeardPeers();
  });
  for (int shard = 0; shard < options_.shards; ++shard) {
    node.node->shard(shard).OnWake(NowAt(node));
    PerformShard(index, shard);
  }
  PerformControl(index);
  PerformMembership(index);
  PerformMovement(index);
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
  const size_t majority = fewest_members_ / 2 + 1;
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
    n.admission.OnWait(AdmissionLimit::Stage::kLane, waits, 1);
    n.admission.OnRound(n.in_flight, std::exchange(n.answered, 0), scheduler_.now());
    for (int shard = 0; shard < options_.shards; ++shard) {
      n.node->shard(shard).OnLoad(n.admission.load_percent(), n.admission.wait_percent());
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
  std::optional<Topology> made;
  const absl::Status status = ChangeMembers(index, [&](const Topology& current) {
    absl::StatusOr<Topology> next = gyre::CreateTable(current, table);
    if (next.ok()) made = *next;
    return next;
  });
  if (!status.ok()) return status;
  for (const TableSpec& spec : made->tables) {
    if (spec.name == table.name) return spec;
  }
  return absl::InternalError("the committed document lacks the table");
}

absl::Status SimCluster::ChangeMembers(int through, Control::Change change) {
  SimNode& node = nodes_[through];
  GYRE_CHECK(node.node != nullptr, "changes are made through a node that is up");
  std::optional<absl::Status> result;
  const uint64_t token = next_token_++;
  node.proposals[token] = [&](const absl::StatusOr<Topology>& topology) {
    result = topology.status();
  };
  node.node->control().Propose(token, std::move(change), NowAt(node));
  PerformControl(through);
  scheduler_.RunUntil(scheduler_.now() + Duration::Seconds(30),
                      [&] { return result.has_value() || violation_.has_value(); });
  node.proposals.erase(token);
  return result.value_or(absl::DeadlineExceededError("the topology was not changed in 30 s"));
}

void SimCluster::Propose(int index, Control::Change change,
                         std::function<void(absl::StatusOr<Topology>)> done,
                         Duration spread_patience) {
  const uint64_t token = next_token_++;
  nodes_[index].proposals[token] = std::move(done);
  AtNode(index, Duration(), [this, token, change = std::move(change), spread_patience](SimNode& n) {
    n.node->control().Propose(token, change, NowAt(n), spread_patience);
    PerformControl(IndexOf(n.id));
  });
}

bool SimCluster::TakesPart(const SimNode& node) const {
  return node.node != nullptr && node.node->control().view()->FindMember(node.id) != nullptr;
}

std::shared_ptr<const View> SimCluster::NewestView() const {
  std::shared_ptr<const View> newest;
  for (const SimNode& node : nodes_) {
    if (!TakesPart(node)) continue;
    const std::shared_ptr<const View> view = node.node->control().view();
    if (newest == nullptr || view->epoch() > newest->epoch()) newest = view;
  }
  return newest;
}

std::optional<MemberState> SimCluster::StateOf(int index) const {
  const std::shared_ptr<const View> view = NewestView();
  const Member* const member = view == nullptr ? nullptr : view->FindMember(nodes_[index].id);
  return member == nullptr ? std::nullopt : std::optional(member->state);
}

void SimCluster::NoteGone(int index, const View& view) {
  fewest_members_ = std::min(fewest_members_, view.topology().members.size());
  for (SimNode& node : nodes_) {
    const Member* const member = view.FindMember(node.id);
    const bool is_earlier = node.joined.has_value() && view.epoch() < node.joined->epoch;
    if (member == nullptr && (node.stranger || is_earlier)) continue;  // it is yet to come
    if (member == nullptr || member->state == MemberState::kDead) node.gone = true;
  }
  if (view.FindMember(nodes_[index].id) != nullptr) return;
  // As gyred does where it is no member any more.
  AtNode(index, Duration::Millis(1), [this](SimNode& node) {
    Trace("ENDS " + NodeName(node.id));
    const int self = IndexOf(node.id);
    End(self);
    TellReachability(self, false);
  });
}

BuildLevel SimCluster::ClusterLevel() const {
  BuildLevel level = kFirstLevel;
  for (const SimNode& node : nodes_) {
    if (node.node == nullptr) continue;
    level = std::max(level, node.node->control().view()->topology().level);
  }
  return level;
}

bool SimCluster::AtRest() const {
  for (const SimNode& node : nodes_) {
    if (!TakesPart(node)) continue;
    const Topology& topology = node.node->control().view()->topology();
    if (!topology.moves.empty() || MakePlan(topology).moves > 0) return false;
    for (const Member& member : topology.members) {
      if (member.state == MemberState::kLeaving) return false;
      const bool it = member.id == node.id && member.state != MemberState::kDead;
      if (it && node.node->control().life() != member.life) return false;
    }
    if (ElectVoters(topology).epoch != topology.epoch) return false;
  }
  return true;
}

// ---------------------------------------------------------------------------------------- figures

void SimCluster::RunFor(Duration span) {
  scheduler_.RunUntil(scheduler_.now() + span, [this] { return violation_.has_value(); });
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
  const std::shared_ptr<const View> view = NewestView();
  if (view == nullptr) return owners;
  for (NodeId owner : view->Owners(partition)) owners.push_back(IndexOf(owner));
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
