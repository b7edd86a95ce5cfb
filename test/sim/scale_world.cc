#include "test/sim/scale_world.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/check.h"
#include "ring/rebalance.h"
#include "ring/voters.h"

namespace gyre {
namespace {

constexpr Duration kLeastDelay = Duration::Micros(100);
constexpr Duration kMostDelay = Duration::Millis(3);
constexpr Duration kGossipEvery = Duration::Seconds(1);  // as Membership pings
constexpr int kFillsAtOnce = 2;
constexpr uint64_t kMoveRefBytes = 11;
constexpr Duration kPlanTakes = Duration::Seconds(1);  // of virtual time
constexpr uint64_t kFrameBytes = 40;                   // of a message besides what it carries

uint64_t BytesOf(const PeerMessage& message, bool* is_register) {
  if (const auto* ask = std::get_if<RegisterAsk>(&message.body)) {
    *is_register = true;
    return kFrameBytes + ask->request.value.size() + ask->delta.size();
  }
  if (const auto* answer = std::get_if<RegisterAnswer>(&message.body)) {
    *is_register = true;
    return kFrameBytes + answer->reply.value.size() + answer->delta.size();
  }
  if (const auto* due = std::get_if<MovesDue>(&message.body)) {
    return kFrameBytes + kMoveRefBytes * (due->filled.size() + due->ends.size());
  }
  const auto* news = std::get_if<TopologyNews>(&message.body);
  GYRE_CHECK(news != nullptr, "Control sends nothing else");
  return kFrameBytes + news->topology.size() + news->delta.size();
}

std::string NameOf(int number) { return absl::StrCat("node-", number); }

Member MemberOf(int number, int zones) {
  const std::string name = NameOf(number);
  return {{},
          name,
          absl::StrCat("zone-", number % zones),
          absl::StrCat(name, ".gyre.example:7001"),
          absl::StrCat(name, ".gyre.example:7002")};
}

}  // namespace

struct ScaleWorld::Node {
  NodeId id;
  std::unique_ptr<Control> control;
  std::unique_ptr<Movement> movement;
  bool alive = true;
  std::shared_ptr<const View> view;  // in force: what it serves under
  uint64_t tokens = 0;
  std::map<uint64_t, std::function<void(const absl::StatusOr<Topology>&)>> proposals;
  std::map<PartitionId, Fill> fills;
  Time fill_slots[kFillsAtOnce];
  Time uplink;  // busy until
  Time control_wake = Time::Never();
  Time movement_wake = Time::Never();
  uint64_t bytes = 0;
};

ScaleWorld::ScaleWorld(Options options)
    : options_(options), random_(options.seed), documents_(std::make_shared<Documents>(64)) {
  std::vector<Member> members;
  for (int i = 0; i < options.nodes; ++i) members.push_back(MemberOf(i, options.zones));
  absl::StatusOr<Topology> topology = InitialTopology("scale", options.slices, members);
  GYRE_CHECK(topology.ok(), "a valid beginning");
  topology->voters = ChooseVoters(*topology);
  TableSpec table;
  table.name = "t";
  topology = CreateTable(*topology, table);
  GYRE_CHECK(topology.ok(), "a table of three replicas");
  topology->epoch = Epoch(1);
  topology->level = kBuildLevel;
  before_ = topology->families[0];
  const DocumentPtr first = documents_->Of(*std::move(topology));
  for (const Member& member : first->topology.members) Start(member.id, first, first);
  newest_ = nodes_.begin()->second->view;
  in_force_[newest_->epoch()] = newest_;
  for (auto one = nodes_.begin(); one != nodes_.end(); ++one) {
    for (auto other = std::next(one); other != nodes_.end(); ++other) {
      Connect(one->second.get(), other->second.get());
    }
  }
  // Their greetings are no part of any change.
  for (auto& [id, node] : nodes_) node->bytes = 0;
  figures_ = {};
  for (auto& [id, node] : nodes_) Perform(node.get());
}

ScaleWorld::~ScaleWorld() = default;

ScaleWorld::Node& ScaleWorld::Start(NodeId id, DocumentPtr initial, DocumentPtr known) {
  auto& place = nodes_[id];
  GYRE_CHECK(place == nullptr, "a node starts once");
  place = std::make_unique<Node>();
  Node* const node = place.get();
  node->id = id;
  node->view = View::Create(std::move(known), id);
  node->control =
      std::make_unique<Control>(node->view, initial->topology, AcceptorState{},
                                Control::Memory::kWhole, Random(random_.Next()), documents_);
  node->control->OnHeardPeers();
  node->movement = std::make_unique<Movement>(options_.movement);
  alive_.push_back(id);
  scheduler_.After(Duration::Micros(random_.Between(0, kGossipEvery.micros())),
                   [this, node] { Gossip(node); });
  return *node;
}

// Each greets the other, and hears it.
void ScaleWorld::Connect(Node* one, Node* other) {
  const Instant now = {scheduler_.now(), 0};
  for (const auto& [at, about] : {std::pair(one, other), std::pair(other, one)}) {
    about->control->OnMessage(at->id, {0, at->view->epoch(), PartitionId(), TopologyNews{""}}, now);
  }
}

ScaleWorld::Node* ScaleWorld::Find(NodeId id) {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : it->second.get();
}

ScaleWorld::Node& ScaleWorld::Anyone() { return *nodes_.at(alive_[random_.Below(alive_.size())]); }

// Until it is done: an operator asks again, elsewhere.
void ScaleWorld::Operate(std::string what, Control::Change change, std::function<void()> then) {
  Node* const node = &Anyone();
  const uint64_t token = ++node->tokens;
  node->proposals[token] = [this, what, change, then](const absl::StatusOr<Topology>& made) {
    if (made.ok()) return then();
    if (!absl::IsUnavailable(made.status())) {
      faults_.push_back(absl::StrCat(what, ": ", made.status().ToString()));
      return then();
    }
    scheduler_.After(Duration::Millis(random_.Between(500, 2000)),
                     [this, what, change, then] { Operate(what, change, then); });
  };
  node->control->Propose(token, change, {scheduler_.now(), 0});
  Perform(node);
}

void ScaleWorld::JoinOne(int number) {
  Member member = MemberOf(number, options_.zones);
  member.key = random_.Next() | 1;
  const NodeId id = NodeIdFromName(newest().cluster, member.name, member.key);
  Operate(
      "join", [member](const Topology& topology) { return AddMember(topology, member); },
      [this, id] {
        --pending_;
        // From the answer to its question it knows a document that it is in.
        const DocumentPtr known = documents_->Of(newest());
        if (FindMember(known->topology, id) == nullptr) {
          faults_.push_back("who joined is no member");
          return;
        }
        Node& node = Start(id, known, known);
        for (const NodeId other : alive_) {
          if (other != id) Connect(&node, Find(other));
        }
        TakeFills(&node);  // the plan may have been quicker than the answer
        Perform(&node);
      });
}

void ScaleWorld::Kill(Node* node) {
  node->alive = false;
  std::erase(alive_, node->id);
  scheduler_.After(Duration::Seconds(1), [this, id = node->id] {
    for (const NodeId other : alive_) {
      Find(other)->control->OnPeer(id, false, {scheduler_.now(), 0});
    }
  });
}

void ScaleWorld::Run(Duration most) {
  // In the order of their names, so that zones lose alike.
  std::vector<int> leaving, dying;
  for (int i = 0; i < options_.leaves; ++i) leaving.push_back(i);
  for (int i = 0; i < options_.deaths; ++i) dying.push_back(options_.leaves + i);
  const auto id_of = [&](int number) { return NodeIdFromName(newest().cluster, NameOf(number)); };
  for (const int number : dying) Kill(Find(id_of(number)));
  pending_ = options_.joins + options_.leaves + options_.deaths;
  const auto done = [this] { --pending_; };
  for (const int number : leaving) {
    Operate(
        "leave", [number](const Topology& t) { return LeaveMember(t, NameOf(number)); }, done);
  }
  for (const int number : dying) {
    Operate(
        "bury", [number](const Topology& t) { return BuryMember(t, NameOf(number)); }, done);
  }
  for (int i = 0; i < options_.joins; ++i) JoinOne(options_.nodes + i);
  const Time end = scheduler_.now() + most;
  while (scheduler_.now() < end && !figures_.settled) {
    scheduler_.RunUntil(scheduler_.now() + Duration::Seconds(1), [] { return false; });
    figures_.settled = Settled();
  }
  Conclude();
}

// -------------------------------------------------------------------------------------- a node

void ScaleWorld::Perform(Node* node) {
  if (!node->alive) return;
  const Instant now = {scheduler_.now(), 0};
  ControlEffects effects = node->control->TakeEffects(now);
  if (effects.persist.has_value()) {
    scheduler_.After(options_.disk, [this, node] {
      node->control->OnPersisted(absl::OkStatus());
      Perform(node);
    });
  }
  for (Envelope& envelope : effects.sends) Send(node, std::move(envelope));
  for (const ControlEffects::Rejected& rejected : effects.rejected) {
    faults_.push_back(absl::StrCat("rejected: ", rejected.why));
  }
  if (effects.view != nullptr) {
    // The shards and the door take it one after the other.
    scheduler_.After(Duration::Millis(1),
                     [this, node, view = effects.view] { OnInForce(node, view); });
  }
  for (ControlEffects::Done& done : effects.done) {
    auto told = node->proposals.extract(done.token);
    GYRE_CHECK(!told.empty(), "a proposal ends once");
    told.mapped()(done.topology);
  }
  if (effects.wake < node->control_wake || node->control_wake <= now.monotonic) {
    node->control_wake = effects.wake;
    if (effects.wake != Time::Never()) {
      scheduler_.At(effects.wake, [this, node, when = effects.wake] {
        if (node->control_wake == when) node->control_wake = Time::Never();
        if (!node->alive) return;
        node->control->OnWake({scheduler_.now(), 0});
        Perform(node);
      });
    }
  }
  LookAtMoves(node);
}

void ScaleWorld::Send(Node* from, Envelope envelope) {
  Node* const to = Find(envelope.to);
  if (to == nullptr || !to->alive) return;  // no connection stands
  bool is_register = false;
  const uint64_t bytes = BytesOf(envelope.message, &is_register);
  (is_register ? figures_.register_bytes : figures_.news_bytes) += bytes;
  from->bytes += bytes;
  ++figures_.messages;
  // What is sent goes out one after the other.
  from->uplink =
      std::max(from->uplink, scheduler_.now()) +
      Duration::Micros(static_cast<int64_t>(bytes * 1'000'000 / options_.uplink_bytes_per_s));
  if (random_.Chance(options_.loss_per_mille, 1000)) return;
  const Duration delay =
      Duration::Micros(random_.Between(kLeastDelay.micros(), kMostDelay.micros()));
  auto message = std::make_shared<PeerMessage>(std::move(envelope.message));
  scheduler_.At(from->uplink + delay, [this, to, from = from->id, message] {
    if (!to->alive) return;
    if (auto* due = std::get_if<MovesDue>(&message->body)) {
      to->movement->OnDue(from, std::move(*due), scheduler_.now());
    } else {
      to->control->OnMessage(from, std::move(*message), {scheduler_.now(), 0});
    }
    Perform(to);
  });
}

// As Membership does, whose messages carry the epoch.
void ScaleWorld::Gossip(Node* node) {
  if (!node->alive) return;
  Node& other = Anyone();
  const Instant now = {scheduler_.now(), 0};
  const Epoch mine = node->control->view()->epoch();
  const Epoch theirs = other.control->view()->epoch();
  if (mine != theirs) {
    node->control->OnEpochOf(other.id, theirs, now);
    other.control->OnEpochOf(node->id, mine, now);
    Perform(node);
    Perform(&other);
  }
  scheduler_.After(kGossipEvery, [this, node] { Gossip(node); });
}

void ScaleWorld::LookAtMoves(Node* node) {
  const Instant now = {scheduler_.now(), 0};
  const View& view = *node->control->view();
  if (node->view->epoch() == view.epoch() && node->movement->IsDue(view, now.monotonic)) {
    const auto began = std::chrono::steady_clock::now();
    Movement::Wish wish = node->movement->OnWake(
        view, ReadyOf(node), [node](NodeId id) { return node->control->ServesUnder(id); },
        [this](NodeId id) {
          const Node* const other = Find(id);
          return other != nullptr && other->alive;
        },
        now.monotonic);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
    figures_.look_ms = std::max(figures_.look_ms, took.count());
    for (const NodeId unsaid : node->movement->unsaid()) {
      node->control->AskWhatServes(unsaid, now);
    }
    if (wish.plan) {
      auto plan = std::make_shared<Plan>(MakePlan(view.topology()));
      scheduler_.After(kPlanTakes, [this, node, plan, made_for = node->control->view()] {
        node->movement->OnPlan(made_for->topology(), std::move(*plan), scheduler_.now());
        Perform(node);
      });
    }
    if (wish.tell.has_value()) {
      auto& [to, due] = *wish.tell;
      Send(node, {to, {0, view.epoch(), PartitionId(), std::move(due)}});
    }
    if (wish.change.has_value()) {
      const uint64_t token = ++node->tokens;
      node->proposals[token] = [this, node](const absl::StatusOr<Topology>& made) {
        node->movement->OnProposed(made.status(), scheduler_.now());
      };
      node->control->Propose(token, *std::move(wish.change), now, Duration());
    }
    return Perform(node);
  }
  const Time wake = node->movement->wake();
  if (wake == Time::Never() || wake <= now.monotonic || wake == node->movement_wake) return;
  node->movement_wake = wake;
  scheduler_.At(wake, [this, node, wake] {
    if (node->movement_wake == wake) Perform(node);
  });
}

Movement::Ready ScaleWorld::ReadyOf(Node* node) {
  Movement::Ready ready;
  const Topology& topology = node->view->topology();
  for (const auto& [partition, fill] : node->fills) {
    const Move* const move = FindMove(topology, partition);
    if (move == nullptr || move->since != fill.since || fill.filled > scheduler_.now()) continue;
    // Whose word counts serves under the document of the move.
    const Epoch needed = move->step == MoveStep::kFilling ? move->since : move->switched;
    const Node* const from = Find(move->from);
    bool heard = true;
    if (from != nullptr && from->alive) {
      heard = ServesUnder(move->from) >= needed;
    } else if (move->step == MoveStep::kFilling) {
      for (const NodeId owner : node->view->Owners(partition)) {
        const Node* const other = Find(owner);
        const bool there = other != nullptr && other->alive;
        heard = heard && (!there || ServesUnder(owner) >= needed);
      }
    }
    if (!heard) continue;
    (move->step == MoveStep::kFilling ? ready.filled : ready.switched)
        .push_back({partition, move->since});
  }
  const Member* const self = FindMember(topology, node->id);
  ready.asked_under = topology.epoch;
  ready.may_depart =
      self != nullptr && self->state == MemberState::kLeaving && OwnsNothing(topology, node->id);
  return ready;
}

void ScaleWorld::OnInForce(Node* node, const std::shared_ptr<const View>& view) {
  if (!node->alive || view->epoch() <= node->view->epoch()) return;
  node->view = view;
  if (!in_force_.contains(view->epoch())) OnNewEpoch(view);
  TakeFills(node);
  node->control->OnInstalled(view->epoch());
  if (FindMember(view->topology(), node->id) == nullptr) {
    node->alive = false;  // it has left
    std::erase(alive_, node->id);
    return;
  }
  Perform(node);
}

void ScaleWorld::TakeFills(Node* node) {
  const Topology& topology = node->view->topology();
  std::erase_if(node->fills, [&](const auto& one) {
    const Move* const move = FindMove(topology, one.first);
    return move == nullptr || move->to != node->id || move->since != one.second.since;
  });
  for (const Move& move : topology.moves) {
    if (move.to != node->id || node->fills.contains(move.partition)) continue;
    Time& slot = *std::min_element(std::begin(node->fill_slots), std::end(node->fill_slots));
    slot = std::max(slot, scheduler_.now()) + options_.fill;
    node->fills[move.partition] = {move.since, slot};
  }
}

// -------------------------------------------------------------------------------------- judging

Epoch ScaleWorld::ServesUnder(NodeId id) const { return nodes_.at(id)->view->epoch(); }

void ScaleWorld::OnNewEpoch(const std::shared_ptr<const View>& view) {
  in_force_[view->epoch()] = view;
  if (view->epoch() > newest_->epoch()) {
    // Of the documents between the two, which came into force nowhere, as well. A move that went
    // back is one more copy that was made in vain, and counts as one.
    for (const Move& move : view->topology().moves) {
      if (move.switched > newest_->epoch()) ++figures_.moves;
    }
    figures_.epochs += view->epoch().value() - newest_->epoch().value();
    newest_ = view;
  }
  std::set<Epoch> served;
  for (const NodeId id : alive_) served.insert(ServesUnder(id));
  std::erase_if(in_force_, [&](const auto& one) { return !served.contains(one.first); });
  figures_.most_in_force = std::max<uint64_t>(figures_.most_in_force, in_force_.size());
  // As nodes take up a document they refuse more, and no more can be missed than at its beginning.
  for (const auto& [epoch, other] : in_force_) {
    if (epoch == view->epoch()) continue;
    JudgeQuorums(*view, *other);
    JudgeQuorums(*other, *view);
  }
}

// Where both place a partition alike, W + R > N is all that there is to it.
void ScaleWorld::JudgeQuorums(const View& write, const View& read) {
  std::set<PartitionId> differ;
  const Ownership& one = write.topology().families[0];
  const Ownership& other = read.topology().families[0];
  for (uint32_t slice = 0; slice < one.slices; ++slice) {
    if (one.OwnersOf(slice) != other.OwnersOf(slice)) differ.emplace(one.replicas, slice);
  }
  for (const View* view : {&write, &read}) {
    for (const Move& move : view->topology().moves) {
      if (!write.PlacesLike(read, move.partition)) differ.insert(move.partition);
    }
  }
  for (const PartitionId partition : differ) {
    if (!CanMiss(write, read, partition)) continue;
    ++figures_.missed_quorums;
    faults_.push_back(absl::StrCat("partition ", partition.slice(), ": a write under ",
                                   write.epoch().value(), " is missed by a read under ",
                                   read.epoch().value()));
  }
}

bool ScaleWorld::CanMiss(const View& write, const View& read, PartitionId partition) {
  const auto answers = [&](NodeId id, const View& view) {
    const auto it = nodes_.find(id);
    return it != nodes_.end() && it->second->alive && ServesUnder(id) <= view.epoch();
  };
  const TableSpec& table = write.topology().tables[0];
  const absl::Span<const NodeId> owners = write.Owners(partition);
  const Move* const move = write.FindMove(partition);
  const size_t n = owners.size();
  const auto readers = read.Owners(partition);
  for (uint32_t writers = 0; writers < 1u << n; ++writers) {
    if (__builtin_popcount(writers) != table.write_quorum) continue;
    // Who goes and who comes are one replica, that has answered once both have.
    std::vector<NodeId> have;
    bool possible = true;
    for (size_t i = 0; i < n; ++i) {
      if ((writers >> i & 1) == 0) continue;
      have.push_back(owners[i]);
      if (move != nullptr && move->stands_for() == owners[i]) have.push_back(move->beside());
    }
    for (const NodeId id : have) possible = possible && answers(id, write);
    if (!possible) continue;
    const auto without = std::count_if(readers.begin(), readers.end(), [&](NodeId id) {
      return answers(id, read) && std::find(have.begin(), have.end(), id) == have.end();
    });
    if (without >= table.read_quorum) return true;
  }
  return false;
}

bool ScaleWorld::Settled() const {
  const Topology& topology = newest();
  if (pending_ > 0 || !topology.moves.empty() || !topology.voters_before.empty()) return false;
  for (const Member& member : topology.members) {
    if (member.state != MemberState::kActive) return false;
  }
  for (const NodeId id : alive_) {
    if (ServesUnder(id) != topology.epoch) return false;
  }
  return MakePlan(topology).moves == 0;
}

void ScaleWorld::ReportWhatIsLeft() {
  const Topology& topology = newest();
  const auto behind = std::count_if(alive_.begin(), alive_.end(),
                                    [&](NodeId id) { return ServesUnder(id) != topology.epoch; });
  const auto others =
      std::count_if(topology.members.begin(), topology.members.end(),
                    [](const Member& member) { return member.state != MemberState::kActive; });
  faults_.push_back(absl::StrCat("epoch ", topology.epoch.value(), ": ", pending_,
                                 " changes are not made, ", topology.moves.size(),
                                 " partitions move, ", MakePlan(topology).moves, " are to, ",
                                 others, " members are to go, ", behind, " nodes are behind"));
}

void ScaleWorld::Conclude() {
  if (!figures_.settled) ReportWhatIsLeft();
  const Topology& topology = newest();
  const std::vector<ClaimNode> nodes = ActiveNodes(topology);
  const auto begin = std::chrono::steady_clock::now();
  const Ownership best = Claim(nodes, before_.replicas, before_.slices, &before_);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  figures_.plan_ms = took.count();
  figures_.min_moves = MovesBetween(before_, best);
  std::map<NodeId, uint64_t> loads;
  for (const ClaimNode& node : nodes) loads[node.id] = 0;
  const Ownership& family = topology.families[0];
  for (const NodeId owner : family.owners) ++loads[owner];
  uint64_t most = 0;
  for (const auto& [id, load] : loads) most = std::max(most, load);
  const double mean = static_cast<double>(family.owners.size()) / static_cast<double>(nodes.size());
  figures_.spread_percent = (static_cast<double>(most) / mean - 1) * 100;
  for (uint32_t slice = 0; slice < family.slices; ++slice) {
    std::set<std::string> zones;
    for (const NodeId owner : family.OwnersOf(slice)) {
      zones.insert(FindMember(topology, owner)->zone);
    }
    if (zones.size() < family.OwnersOf(slice).size()) ++figures_.zones_shared;
  }
  for (const auto& [id, node] : nodes_) {
    figures_.most_bytes = std::max(figures_.most_bytes, node->bytes);
  }
  figures_.document_bytes = EncodeTopology(topology).size();
}

}  // namespace gyre
