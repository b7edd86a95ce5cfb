#include "test/explorer/flip_world.h"

#include <algorithm>

#include "replication/clock_answer.h"
#include "replication/copy_page.h"
#include "ring/check.h"
#include "ring/rebalance.h"

namespace gyre {
namespace {

constexpr Token kWriteToken = 1;
constexpr Token kReadToken = 2;
constexpr int kSwitched = 3;                      // documents, once node 2 is an owner
constexpr int kMostWakes = 6;                     // of the node that is filled, for its questions
constexpr Duration kSoon = Duration::Seconds(5);  // else it is not to ask anybody
constexpr Duration kPatience = Duration::Seconds(100'000);

}  // namespace

FlipWorld::FlipWorld(const FlipSetup& setup) : setup_(setup) {
  // The node that it moves to is not to be the one that plans: then all that it proposes is a step.
  for (int attempt = 0;; ++attempt) {
    std::vector<Member> members;
    for (const char* name : {"x", "y", "z"}) members.push_back({{}, name, "", name, name});
    TableSpec table;
    table.name = "table";
    table.replicas = setup.replicas;
    table.read_quorum = setup.read_quorum;
    table.write_quorum = setup.write_quorum;
    table.quorum = QuorumKind::kStrict;
    const Topology first =
        *CreateTable(*InitialTopology("flip-" + std::to_string(attempt), 1, members), table);
    const PartitionId partition(setup.replicas, 0);
    const absl::Span<const NodeId> owners = first.families[0].OwnersOf(0);
    seats_[kGiver].id = owners.back();
    std::vector<NodeId> others;
    for (const Member& member : first.members) {
      if (member.id != owners.back() && member.id != owners.front()) others.push_back(member.id);
    }
    seats_[0].id = setup.replicas > 1 ? owners.front() : others.front();
    seats_[kTaker].id = others.back();
    if (first.members[0].id == seats_[kTaker].id) continue;
    table_ = first.tables[0];
    item_ = {partition, table_.id, "key"};
    documents_.push_back(first);
    Topology moving = NextOf(first);
    moving.moves.push_back({partition, seats_[kGiver].id, seats_[kTaker].id, moving.epoch});
    if (setup.dead_giver) {
      for (Member& member : moving.members) {
        if (member.id == seats_[kGiver].id) member.state = MemberState::kDead;
      }
    }
    GYRE_CHECK(ValidateTopology(moving).ok(), "a sound move");
    documents_.push_back(std::move(moving));
    break;
  }
  for (int i = 0; i < kNodes; ++i) {
    Seat& seat = seats_[i];
    seat.engine = std::make_unique<MemoryEngine>();
    Start(i, /*clean_stop=*/true);
  }
  Lead();
}

void FlipWorld::Start(int i, bool clean_stop) {
  Seat& seat = seats_[i];
  NodeOptions options;
  options.shard.scrub.pass = kPatience;
  options.shard.repair.interval = kPatience;
  options.store.remembered_writes = 16;
  options.record_cache_bytes = 1 << 16;
  seat.node = *Node::Open(options, seat.engine.get(), documents_[seat.document], seat.id,
                          clean_stop, Random(static_cast<uint64_t>(i) + (clean_stop ? 1 : 9)));
  for (int other = 0; other < kNodes; ++other) {
    if (other != i) ShardAt(i).OnPeer(seats_[other].id, true, seat.now);
  }
  Take(i);
}

void FlipWorld::Crash(int i) {
  crashed_ = true;
  Seat& seat = seats_[i];
  seat.node.reset();
  Random random(1);
  seat.engine->Crash(&random);
  seat.commit.reset();
  seat.clock_scans.clear();
  seat.copy_scans.clear();
  seat.listings.clear();
  seat.woken = 0;
  for (int other = 0; other < kNodes; ++other) {
    if (other == i) continue;
    links_[{i, other}].clear();
    links_[{other, i}].clear();
    for (const bool reachable : {false, true}) {
      ShardAt(other).OnPeer(seat.id, reachable, seats_[other].now);
    }
    Take(other);
  }
  Start(i, /*clean_stop=*/false);
}

// The last document that is wanted is in force nowhere yet.
void FlipWorld::Lead() {
  for (bool goes_on = setup_.documents > 2; goes_on;) {
    goes_on = false;
    for (const Event& event : Enabled()) {
      if (event.kind == Kind::kCrash) continue;
      const bool of_client = event.kind == Kind::kWrite || event.kind == Kind::kRead;
      const bool installs = event.kind == Kind::kInstall || event.kind == Kind::kSkip;
      if (of_client || (installs && event.node == setup_.behind)) continue;
      Perform(event);
      goes_on = documents() < setup_.documents;
      break;
    }
  }
  GYRE_CHECK(documents() == setup_.documents, "the move comes so far by itself");
  seats_[kTaker].woken = 0;
}

bool FlipWorld::Independent(const Event& a, const Event& b) {
  // What is decided rests on what is in force everywhere, and on what who decides it has.
  const auto decides = [](const Event& one, const Event& other) {
    return one.kind == Kind::kDecide &&
           (other.kind == Kind::kInstall || other.kind == Kind::kSkip ||
            other.kind == Kind::kDecide || other.node == one.node);
  };
  // The others lose what was on its way to the one that crashes.
  if (a.kind == Kind::kCrash || b.kind == Kind::kCrash) return false;
  return a.node != b.node && !decides(a, b) && !decides(b, a);
}

std::string FlipWorld::Name(const Event& event) {
  static constexpr const char* kNames[] = {"deliver", "commit", "scan",  "install", "skip to",
                                           "decide",  "wake",   "write", "read",    "crash"};
  std::string name = kNames[static_cast<size_t>(event.kind)];
  name += " at " + std::to_string(event.node);
  if (event.kind == Kind::kDeliver) {
    name += " from " + std::to_string(event.from) + " message " + std::to_string(event.number);
  } else if (event.kind == Kind::kInstall || event.kind == Kind::kSkip ||
             event.kind == Kind::kDecide) {
    name += " document " + std::to_string(event.number);
  }
  return name;
}

int FlipWorld::SeatOf(NodeId id) const {
  for (int i = 0; i < kNodes; ++i) {
    if (seats_[i].id == id) return i;
  }
  GYRE_CHECK(false, "one of the three");
  return 0;
}

// From when it is declared dead: whoever says so knows that it is.
bool FlipWorld::IsGone(int seat) const {
  if (seat == kGiver) return setup_.dead_giver;
  return seat == kTaker && setup_.dead_taker && !setup_.serves_on && documents() > kSwitched;
}

int FlipWorld::Decider() const {
  return setup_.dead_taker && documents() > kSwitched ? kGiver : kTaker;
}

std::vector<FlipWorld::Event> FlipWorld::Enabled() const {
  std::vector<Event> events;
  for (const auto& [link, messages] : links_) {
    if (messages.empty() || IsGone(link.second)) continue;
    events.push_back({Kind::kDeliver, link.second, link.first, messages.front().first});
  }
  const int newest = static_cast<int>(documents_.size()) - 1;
  for (int i = 0; i < kNodes; ++i) {
    const Seat& seat = seats_[i];
    if (IsGone(i)) continue;
    if (seat.commit.has_value()) events.push_back({Kind::kCommit, i});
    if (!seat.clock_scans.empty() || !seat.copy_scans.empty() || !seat.listings.empty()) {
      events.push_back({Kind::kScan, i});
    }
    if (seat.document < newest) events.push_back({Kind::kInstall, i, 0, seat.document + 1});
    if (seat.document + 1 < newest) events.push_back({Kind::kSkip, i, 0, newest});
  }
  const Seat& taker = seats_[kTaker];
  const int wakes = documents() < setup_.documents ? 100 : kMostWakes;
  if (!IsGone(kTaker) && taker.document > 0 && taker.woken < wakes &&
      taker.wake <= taker.now.monotonic + kSoon) {
    events.push_back({Kind::kWake, kTaker});
  }
  if (!write_begun_ && !IsGone(setup_.writer)) events.push_back({Kind::kWrite, setup_.writer});
  if (wrote() && !read_begun_ && !IsGone(setup_.reader))
    events.push_back({Kind::kRead, setup_.reader});
  if (Next().has_value()) events.push_back({Kind::kDecide, Decider(), 0, newest + 1});
  if (setup_.crashes.has_value() && !crashed_ && !IsGone(*setup_.crashes)) {
    events.push_back({Kind::kCrash, *setup_.crashes});
  }
  return events;
}

std::optional<Topology> FlipWorld::Next() const {
  const Topology& newest = documents_.back();
  if (setup_.dead_taker && documents() == kSwitched) {
    return *BuryMember(newest, FindMember(newest, seats_[kTaker].id)->name);
  }
  const Seat& decider = seats_[Decider()];
  if (decider.document + 1 < documents()) return std::nullopt;
  const Movement::Ready ready{ShardAt(Decider()).MovesToStep(MoveStep::kFilling),
                              ShardAt(Decider()).MovesToStep(MoveStep::kSwitched)};
  if (ready.filled.empty() && ready.switched.empty()) return std::nullopt;
  MovementOptions options;
  options.patience = options.patience_per_member = Duration();  // it proposes its steps itself
  Movement movement(options);
  const Movement::Wish wish = movement.OnWake(
      *View::Create(newest, decider.id), ready,
      [&](NodeId id) { return documents_[seats_[SeatOf(id)].document].epoch; },
      [](NodeId) { return true; }, decider.now.monotonic);
  if (!wish.change.has_value()) return std::nullopt;
  absl::StatusOr<Topology> next = (*wish.change)(newest);
  GYRE_CHECK(next.ok(), "a step is a sound change");
  if (*next == newest) return std::nullopt;
  return *std::move(next);
}

void FlipWorld::Install(int i, int document) {
  Seat& seat = seats_[i];
  seat.document = document;
  const auto view = View::Create(documents_[document], seat.id);
  GYRE_CHECK(seat.node->Install(0, view, seat.now).ok(), "memory can be read");
}

void FlipWorld::Take(int i) {
  Seat& seat = seats_[i];
  ShardEffects effects = ShardAt(i).TakeEffects(seat.now);
  if (effects.commit.has_value()) seat.commit = std::move(effects.commit);
  for (ShardEffects::DiskRead& read : effects.disk_reads) {
    ShardAt(i).OnRead(read, seat.engine->Get(Family::kRecords, EncodeItemKey(read.item)), seat.now);
  }
  for (auto& scan : effects.clock_scans) seat.clock_scans.push_back(std::move(scan));
  for (auto& scan : effects.copy_scans) seat.copy_scans.push_back(std::move(scan));
  for (auto& listing : effects.listings) seat.listings.push_back(std::move(listing));
  for (Envelope& envelope : effects.sends) {
    const std::pair<int, int> link(i, SeatOf(envelope.to));
    links_[link].emplace_back(sent_[link]++, std::move(envelope.message));
  }
  for (ShardEffects::Reply& reply : effects.replies) {
    (reply.token == kWriteToken ? write_ : read_) = std::move(reply.outcome);
  }
  seat.wake = effects.wake;
  if (!effects.disk_reads.empty()) Take(i);
}

void FlipWorld::Scan(int i) {
  Seat& seat = seats_[i];
  if (!seat.clock_scans.empty()) {
    const Departures::ClockScan scan = std::move(seat.clock_scans.front());
    seat.clock_scans.pop_front();
    ShardAt(i).OnClockScan(
        scan, BuildClockAnswer(*seat.engine->TakeSnapshot(), scan.partition, scan.ask, {}),
        seat.now);
  } else if (!seat.copy_scans.empty()) {
    Departures::CopyScan scan = std::move(seat.copy_scans.front());
    seat.copy_scans.pop_front();
    if (scan.snapshot == nullptr) scan.snapshot = seat.engine->TakeSnapshot();
    absl::StatusOr<CopyPage> page = BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, {});
    ShardAt(i).OnCopyScan(std::move(scan), std::move(page), seat.now);
  } else {
    const Repair::Effects::Listing listing = std::move(seat.listings.front());
    seat.listings.pop_front();
    ShardAt(i).OnListed(listing.exchange,
                        ListItems(*seat.engine->TakeSnapshot(), listing.range, 100), seat.now);
  }
}

std::string FlipWorld::Perform(const Event& event) {
  const int i = event.node;
  Seat& seat = seats_[i];
  switch (event.kind) {
    case Kind::kDeliver: {
      auto& messages = links_.at({event.from, i});
      PeerMessage message = std::move(messages.front().second);
      messages.pop_front();
      ShardAt(i).OnMessage(seats_[event.from].id, std::move(message), seat.now);
      break;
    }
    case Kind::kCommit: {
      const Commit commit = *std::exchange(seat.commit, std::nullopt);
      const absl::Status written = seat.engine->Write(commit.batch, commit.sync);
      ShardAt(i).OnCommitted(commit.seq, written, seat.now);
      break;
    }
    case Kind::kScan:
      Scan(i);
      break;
    case Kind::kInstall:
    case Kind::kSkip:
      Install(i, event.number);
      break;
    case Kind::kDecide:
      documents_.push_back(*Next());
      return "";
    case Kind::kWake:
      ++seat.woken;
      seat.now.monotonic = std::max(seat.now.monotonic, seat.wake);
      ShardAt(i).OnWake(seat.now);
      break;
    case Kind::kWrite: {
      write_begun_ = true;
      WriteRequest request;
      request.item = item_;
      request.intent.value = "written";
      request.intent.write = {1, 1};
      request.intent.attempt = kFirstAttempt;
      request.needed = setup_.write_quorum;
      request.timeout = kPatience;
      ShardAt(i).Write(kWriteToken, std::move(request), seat.now);
      break;
    }
    case Kind::kRead: {
      read_begun_ = true;
      ReadRequest request{item_, setup_.read_quorum, kPatience};
      ShardAt(i).Read(kReadToken, std::move(request), seat.now);
      break;
    }
    case Kind::kCrash:
      Crash(i);
      return Judge();
  }
  Take(i);
  return Judge();
}

std::string FlipWorld::Judge() const {
  if (!read_.has_value() || read_->code != Outcome::Code::kOk) return "";
  const bool seen = read_->record.versions.size() == 1;
  return seen ? "" : "a read that began after the write was acknowledged does not see it";
}

}  // namespace gyre
