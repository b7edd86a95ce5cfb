#include "server/control.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ring/rebalance.h"
#include "ring/topology_delta.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

// The Controls of a cluster of three, their stores, and the messages between them, moved by hand.
class Council {
 public:
  explicit Council(const std::vector<std::string>& names = {"a", "b", "c"},
                   BuildLevel level = kBuildLevel) {
    std::vector<Member> members;
    for (const std::string& name : names) members.push_back({{}, name, name, name, name});
    initial_ = *InitialTopology("test", 4, members);
    initial_.level = level;
    for (const Member& member : initial_.members) Restart(member.id);
  }

  NodeId Id(const std::string& name) const {
    const auto joined = names_.find(name);
    return joined == names_.end() ? NodeIdFromName(initial_.cluster, name) : joined->second;
  }
  Control& At(const std::string& name) { return *seats_.at(Id(name)).control; }
  Epoch EpochAt(const std::string& name) { return At(name).view()->epoch(); }

  // A process that ends and starts again on what its store holds.
  void Restart(NodeId id) {
    Seat& seat = seats_[id];
    auto durable = Control::Load(*seat.engine.TakeSnapshot(), initial_, seat.standing);
    ASSERT_TRUE(durable.ok());
    seat.control =
        std::make_unique<Control>(View::Create(std::move(durable->topology), id), initial_,
                                  std::move(durable->acceptor), durable->memory, Random(++lives_));
    seat.control->OnHeardPeers();
    seat.persist.reset();
  }
  // Its data directory is gone, and it starts with an empty one.
  void Wipe(const std::string& name) {
    seats_.erase(Id(name));
    seats_[Id(name)].standing = Standing::kUnproven;
    Restart(Id(name));
  }
  void TellThatItForgot(const std::string& name) {
    At(name).OnForgetful();
    seats_.at(Id(name)).standing = Standing::kReplaced;
  }
  AcceptorState StoredAt(const std::string& name) {
    Seat& seat = seats_.at(Id(name));
    return Control::Load(*seat.engine.TakeSnapshot(), initial_, seat.standing)->acceptor;
  }
  // What the acceptor answers to a prepare, if anything; what it is to write is written.
  std::optional<RegisterReply> Prepare(const std::string& name, uint64_t round) {
    wires_.clear();
    At(name).OnMessage(Id("a"),
                       {5, Epoch(1), PartitionId(),
                        RegisterAsk{{RegisterPhase::kPrepare, Ballot{round, Id("a")}, ""}}},
                       now_);
    Take(Id(name));
    while (seats_.at(Id(name)).persist.has_value()) Persist(Id(name));
    std::optional<RegisterReply> reply;
    for (const auto& [from, envelope] : std::exchange(wires_, {})) {
      const auto* answer = std::get_if<RegisterAnswer>(&envelope.message.body);
      if (answer != nullptr) reply = answer->reply;
    }
    return reply;
  }

  void Propose(const std::string& name, uint64_t token, const std::string& table) {
    At(name).Propose(
        token,
        [table](const Topology& current) {
          TableSpec spec;
          spec.name = table;
          return CreateTable(current, spec);
        },
        now_);
  }

  // Performs everything at the node, but holds back its write.
  void Take(NodeId id) {
    Seat& seat = seats_.at(id);
    ControlEffects effects = seat.control->TakeEffects(now_);
    if (effects.persist.has_value()) seat.persist = std::move(effects.persist);
    for (Envelope& envelope : effects.sends) wires_.push_back({id, std::move(envelope)});
    if (effects.view != nullptr) {
      seat.in_force = effects.view->epoch();
      if (!slow_.contains(id)) seat.control->OnInstalled(seat.in_force);
    }
    for (ControlEffects::Done& done : effects.done) {
      done_.emplace(done.token, done.topology);
      if (done.outcome_unknown) unknown_.insert(done.token);
    }
    seat.wake = effects.wake;
  }
  void Persist(NodeId id) {
    Seat& seat = seats_.at(id);
    ASSERT_TRUE(seat.persist.has_value());
    if (const auto it = good_writes_.find(id);
        it != good_writes_.end() && it->second == seat.engine.counters().writes) {
      seat.engine.FailNextWrite(absl::UnavailableError("broken disk"));
    }
    const absl::Status status = seat.engine.Write(*seat.persist, WalSync::kYes);
    seat.persist.reset();
    seat.control->OnPersisted(status);
    Take(id);
  }
  // Until nothing moves: takes, writes and delivers.
  void Settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [id, seat] : seats_) {
        if (silent_.contains(id)) continue;
        Take(id);
        while (seat.persist.has_value()) {
          Persist(id);
          moved = true;
        }
      }
      while (!wires_.empty()) {
        auto [from, envelope] = std::move(wires_.front());
        wires_.pop_front();
        if (silent_.contains(from) || silent_.contains(envelope.to)) continue;
        if (const auto* news = std::get_if<TopologyNews>(&envelope.message.body)) {
          news_.push_back({from, envelope.to, *news});
        }
        Note(from, envelope);
        seats_.at(envelope.to).control->OnMessage(from, std::move(envelope.message), now_);
        moved = true;
      }
    }
  }
  void Pass(Duration span) {
    now_.monotonic = now_.monotonic + span;
    for (auto& [id, seat] : seats_) {
      if (!silent_.contains(id)) seat.control->OnWake(now_);
    }
  }

  // The nodes have accepted a document with the table, and all have forgotten who proposed it.
  void Accept(const std::vector<std::string>& names, const std::string& table) {
    TableSpec spec;
    spec.name = table;
    const AcceptorState state{
        {3, Id("a")}, {3, Id("a")}, EncodeTopology(*CreateTable(initial_, spec))};
    for (const std::string& name : names) {
      WriteBatch batch;
      batch.Put(Family::kMeta, EncodeNodeKey("acceptor"), EncodeAcceptorState(state));
      ASSERT_TRUE(seats_.at(Id(name)).engine.Write(batch, WalSync::kYes).ok());
      Restart(Id(name));
    }
  }

  void Create(const std::string& through, const std::string& table) {
    Propose(through, ++tokens_ + 1000, table);
    Settle();
    for (int i = 0; i < 100 && !done_.contains(tokens_ + 1000); ++i) {
      Pass(Duration::Millis(100));
      Settle();
    }
    ASSERT_TRUE(done_.contains(tokens_ + 1000));
    ASSERT_TRUE(done_.at(tokens_ + 1000).ok());
  }

  struct Sent {
    NodeId from;
    NodeId to;
    TopologyNews news;
  };
  // Values that the register's messages carried from one node to another.
  struct Values {
    size_t whole = 0;
    size_t deltas = 0;      // from a document
    size_t compressed = 0;  // from nothing
    friend bool operator==(const Values&, const Values&) = default;
  };
  void Note(NodeId from, const Envelope& envelope) {
    const auto* ask = std::get_if<RegisterAsk>(&envelope.message.body);
    const auto* answer = std::get_if<RegisterAnswer>(&envelope.message.body);
    if ((ask == nullptr && answer == nullptr) || from == envelope.to) return;
    const std::string& value = ask != nullptr ? ask->request.value : answer->reply.value;
    const std::string& delta = ask != nullptr ? ask->delta : answer->delta;
    Values& values = ask != nullptr ? asked_ : answered_;
    if (!value.empty()) ++values.whole;
    if (delta.empty()) return;
    ++(BaseOf(delta)->epoch == Epoch() ? values.compressed : values.deltas);
  }
  // Of the documents that went to a node: whole ones, deltas, and deltas from nothing.
  struct Carried {
    size_t plain = 0;
    size_t deltas = 0;
    size_t compressed = 0;
    friend bool operator==(const Carried&, const Carried&) = default;
  };
  Carried CarriedTo(const std::string& name) const {
    Carried carried;
    for (const Sent& sent : news_) {
      if (sent.to != Id(name)) continue;
      if (!sent.news.topology.empty()) ++carried.plain;
      if (sent.news.delta.empty()) continue;
      ++(BaseOf(sent.news.delta)->epoch == Epoch() ? carried.compressed : carried.deltas);
    }
    return carried;
  }

  struct Seat {
    MemoryEngine engine;
    Standing standing = Standing::kProven;
    std::unique_ptr<Control> control;
    std::optional<WriteBatch> persist;  // wanted, not yet written
    Epoch in_force;                     // that the shards were told of
    Time wake;
  };
  Topology initial_;
  Instant now_;
  std::map<std::string, NodeId> names_;  // of those who joined
  std::set<NodeId> slow_;                // their shards and door have not put the view in force
  std::map<NodeId, Seat> seats_;
  std::deque<std::pair<NodeId, Envelope>> wires_;
  std::set<NodeId> silent_;  // hear and say nothing
  std::map<uint64_t, absl::StatusOr<Topology>> done_;
  std::set<uint64_t> unknown_;              // of these, what may still take effect
  std::map<NodeId, uint64_t> good_writes_;  // after which the disk fails
  std::vector<Sent> news_;                  // that was delivered
  Values asked_;
  Values answered_;
  uint64_t tokens_ = 0;
  uint64_t lives_ = 0;
};

TEST(Control, AChangeIsDoneOnceEveryNodeServesByIt) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Settle();
  ASSERT_TRUE(council.done_.contains(1));
  ASSERT_TRUE(council.done_.at(1).ok());
  EXPECT_EQ(council.done_.at(1)->tables[0].name, "cats");
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(council.EpochAt(name), Epoch(2));
}

// Each of the first three is replaced; in between each change is made by the voters of its time.
TEST(Control, AllVotersMayBeReplacedOneAfterTheOther) {
  Council council;
  uint64_t token = 0;
  const auto change = [&](const std::string& through, Control::Change deed) {
    council.At(through).Propose(++token, std::move(deed), council.now_);
    council.Settle();
    // Who proposes for the first time knows no ballot that is great enough.
    for (int i = 0; i < 20 && !council.done_.contains(token); ++i) {
      council.Pass(Duration::Millis(100));
      council.Settle();
    }
    ASSERT_TRUE(council.done_.contains(token));
    ASSERT_TRUE(council.done_.at(token).ok()) << council.done_.at(token).status();
  };
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"a", "d"}, {"b", "e"}, {"c", "f"}};
  std::string through = "a";
  for (const auto& [goes, comes] : steps) {
    // It knows the document of now, and not the first.
    const NodeId id = NodeIdFromName(council.initial_.cluster, comes, 7);
    const Topology known = council.At(through).view()->topology();
    council.seats_[id].control =
        std::make_unique<Control>(View::Create(known, id), known, AcceptorState{},
                                  Control::Memory::kWhole, Random(++council.lives_));
    council.seats_[id].control->OnHeardPeers();
    council.names_[comes] = id;
    change(through, [comes = comes](const Topology& t) {
      return AddMember(t, {{}, comes, comes, comes, comes, MemberState::kActive, 7});
    });
    change(through, [goes = goes](const Topology& t) { return LeaveMember(t, goes); });
    change(through, [](const Topology& t) { return ElectVoters(t); });
    ASSERT_FALSE(council.At(comes).view()->topology().voters_before.empty());
    through = comes;
    change(through, [](const Topology& t) { return ElectVoters(t); });
    change(through, [id = council.Id(goes)](const Topology& t) { return Depart(t, id); });
    EXPECT_EQ(FindMember(council.At(through).view()->topology(), goes), nullptr);
    council.silent_.insert(council.Id(goes));
  }
  TableSpec cats;
  cats.name = "cats";
  change("e", [cats](const Topology& t) { return CreateTable(t, cats); });
  EXPECT_EQ(council.At("d").view()->topology().tables.size(), 1u);
}

// It has been told of a document that was chosen, and nobody who votes knows of any.
TEST(Control, AJoiningNodeDoesNotTakeADocumentForTheFirstWhereTheVotersHaveForgotten) {
  Council council;
  TableSpec cats;
  cats.name = "cats";
  const Topology newer = *CreateTable(council.initial_, cats);
  council.seats_[council.Id("a")].control =
      std::make_unique<Control>(View::Create(newer, council.Id("a")), newer, AcceptorState{},
                                Control::Memory::kWhole, Random(99));
  council.At("a").OnHeardPeers();
  council.Propose("a", 1, "dogs");
  council.Settle();
  ASSERT_TRUE(council.done_.contains(1));
  EXPECT_TRUE(absl::IsUnavailable(council.done_.at(1).status())) << council.done_.at(1).status();
}

TEST(Control, AChangeIsNotDoneWhileANodeThatKnowsItDoesNotYetServeByIt) {
  Council council;
  council.slow_ = {council.Id("b")};
  council.Propose("a", 1, "t");
  council.Settle();
  EXPECT_EQ(council.EpochAt("b"), Epoch(2));
  EXPECT_FALSE(council.done_.contains(1));
  council.At("b").OnInstalled(Epoch(2));
  council.Settle();
  EXPECT_TRUE(council.done_.contains(1));
}

TEST(Control, AnAcceptorAnswersOnlyOnceItsPromiseIsDurable) {
  Council council;
  council.At("b").OnMessage(
      council.Id("a"),
      {5, Epoch(1), PartitionId(),
       RegisterAsk{{RegisterPhase::kPrepare, Ballot{1, council.Id("a")}, ""}}},
      council.now_);
  council.Take(council.Id("b"));
  EXPECT_TRUE(council.wires_.empty());
  council.Persist(council.Id("b"));
  ASSERT_EQ(council.wires_.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<RegisterAnswer>(council.wires_[0].second.message.body));
}

TEST(Control, APromiseIsKeptAfterARestart) {
  Council council;
  const Ballot high{9, council.Id("a")}, low{3, council.Id("c")};
  const auto ask = [&](Ballot ballot) {
    council.At("b").OnMessage(
        council.Id("a"),
        {5, Epoch(1), PartitionId(),
         RegisterAsk{{RegisterPhase::kAccept, ballot, EncodeTopology(council.initial_)}}},
        council.now_);
    council.Take(council.Id("b"));
    if (council.seats_.at(council.Id("b")).persist.has_value()) council.Persist(council.Id("b"));
    const bool granted =
        std::get<RegisterAnswer>(council.wires_.back().second.message.body).reply.granted;
    council.wires_.clear();
    return granted;
  };
  EXPECT_TRUE(ask(high));
  council.Restart(council.Id("b"));
  EXPECT_FALSE(ask(low));
}

// ---- what an acceptor has lost

TEST(Control, AnAcceptorIsSilentUntilItIsKnownWhetherItsDirectoryIsTheFirst) {
  Council council;
  council.Wipe("b");
  EXPECT_EQ(council.Prepare("b", 3), std::nullopt);
  EXPECT_EQ(council.At("b").life(), std::nullopt);
  EXPECT_EQ(council.StoredAt("b"), AcceptorState{}) << "nor does it promise";
  council.At("b").OnProven();
  ASSERT_TRUE(council.Prepare("b", 4).has_value());
  EXPECT_EQ(council.Prepare("b", 5)->life, 0u) << "it has forgotten nothing";
}

TEST(Control, AnAcceptorIsSilentUntilItHasHeardWhatItsPeersKnowOfItsDirectory) {
  Council council;
  const Topology& initial = council.initial_;
  council.seats_[council.Id("b")].control =
      std::make_unique<Control>(View::Create(initial, council.Id("b")), initial, AcceptorState{},
                                Control::Memory::kWhole, Random(99));
  EXPECT_EQ(council.Prepare("b", 3), std::nullopt);
  council.At("b").OnHeardPeers();
  EXPECT_TRUE(council.Prepare("b", 3).has_value());
}

TEST(Control, AnAcceptorThatForgotBeginsALifeThatIsDurableBeforeItAnswers) {
  Council council;
  council.Wipe("b");
  council.TellThatItForgot("b");
  const NodeId b = council.Id("b");
  council.Take(b);
  council.At("b").OnMessage(
      council.Id("a"),
      {5, Epoch(1), PartitionId(), RegisterAsk{{RegisterPhase::kPrepare, Ballot(), ""}}},
      council.now_);
  council.Take(b);
  EXPECT_TRUE(council.wires_.empty());
  council.Persist(b);
  const uint64_t life = council.StoredAt("b").life;
  EXPECT_NE(life, 0u);
  EXPECT_EQ(council.At("b").life(), life);
  ASSERT_EQ(council.wires_.size(), 1u);
  EXPECT_EQ(std::get<RegisterAnswer>(council.wires_[0].second.message.body).reply.life, life);
  council.At("b").OnForgetful();  // as another peer says too
  EXPECT_EQ(council.At("b").life(), life);
  council.Restart(b);
  EXPECT_EQ(council.Prepare("b", 3)->life, life) << "it has forgotten nothing since";
}

TEST(Control, ALifeThatWasToBeginBeginsAtTheNextStart) {
  Council council;
  council.Wipe("b");
  council.TellThatItForgot("b");
  council.Restart(council.Id("b"));  // before anything was written
  const std::optional<RegisterReply> reply = council.Prepare("b", 3);
  ASSERT_TRUE(reply.has_value());
  EXPECT_NE(reply->life, 0u);
  EXPECT_EQ(council.StoredAt("b").life, reply->life);
}

TEST(Control, EachTimeItIsPutBackTheAcceptorBeginsAnotherLifeAndKeepsWhatItHolds) {
  Council council;
  ASSERT_EQ(council.Prepare("b", 9)->life, 0u);
  std::set<uint64_t> lives = {0};
  for (uint64_t time = 1; time <= 3; ++time) {
    council.Restart(council.Id("b"));
    council.TellThatItForgot("b");
    EXPECT_FALSE(council.Prepare("b", 8)->granted) << "that it promised it still knows";
    EXPECT_TRUE(lives.insert(council.Prepare("b", 8)->life).second);
  }
}

// It may have been asked before anybody said so, and one of its own proposals counts itself.
TEST(Control, WhatAnAcceptorSaidBeforeItHeardThatItForgotDoesNotCount) {
  Council council;
  council.Propose("b", 1, "cats");
  council.Take(council.Id("b"));
  ASSERT_TRUE(council.seats_.at(council.Id("b")).persist.has_value()) << "its own promise";
  council.At("b").OnMessage(
      council.Id("a"),
      {5, Epoch(1), PartitionId(),
       RegisterAsk{{RegisterPhase::kPrepare, Ballot{9, council.Id("a")}, ""}}},
      council.now_);
  council.wires_.clear();
  council.TellThatItForgot("b");
  council.Take(council.Id("b"));
  ASSERT_TRUE(council.done_.contains(1));
  EXPECT_TRUE(absl::IsUnavailable(council.done_.at(1).status()));
  EXPECT_TRUE(council.unknown_.contains(1));
  while (council.seats_.at(council.Id("b")).persist.has_value()) council.Persist(council.Id("b"));
  EXPECT_TRUE(council.wires_.empty());
}

// It voted as well as it could since, and there may be a majority of such.
TEST(Control, AnAcceptorOfABuildWithoutLivesVotesAsItDid) {
  Council council;
  Council::Seat& seat = council.seats_.at(council.Id("b"));
  seat.standing = Standing::kReplaced;
  std::string bytes = EncodeAcceptorState({{3, council.Id("a")}, {}, ""});
  bytes[0] = 1;
  bytes.erase(bytes.size() - 8);
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("acceptor"), bytes);
  ASSERT_TRUE(seat.engine.Write(batch, WalSync::kYes).ok());
  council.Restart(council.Id("b"));
  EXPECT_EQ(council.Prepare("b", 9)->life, 0u);
}

// a and b have made a change without c, and b loses its disk: c and b know nothing of it.
TEST(Control, TwoOfThreeThatDoNotKnowOfAChangeCannotMakeAnother) {
  Council council;
  council.silent_ = {council.Id("c")};
  council.Propose("a", 1, "cats");
  council.Settle();
  council.Pass(kSpreadPatience);
  council.Settle();
  ASSERT_TRUE(council.done_.at(1).ok());
  council.Wipe("b");
  council.TellThatItForgot("b");
  council.silent_ = {council.Id("a")};
  council.Propose("c", 2, "dogs");
  for (int i = 0; i < 100 && !council.done_.contains(2); ++i) {
    council.Settle();
    council.Pass(Duration::Seconds(1));
  }
  ASSERT_TRUE(council.done_.contains(2));
  EXPECT_TRUE(absl::IsUnavailable(council.done_.at(2).status())) << council.done_.at(2).status();
  EXPECT_EQ(council.EpochAt("c"), Epoch(1));
  // With a, b is voted in again, and then a is not needed.
  council.silent_.clear();
  uint64_t token = 2;
  const auto change = [&](Control::Change deed) {
    council.At("c").Propose(++token, std::move(deed), council.now_);
    for (int i = 0; i < 20 && !council.done_.contains(token); ++i) {
      council.Settle();
      council.Pass(Duration::Millis(100));
    }
    ASSERT_TRUE(council.done_.contains(token));
    EXPECT_TRUE(council.done_.at(token).ok()) << council.done_.at(token).status();
  };
  change([b = council.Id("b"), life = *council.At("b").life()](const Topology& t) {
    return SetLife(t, b, life);
  });
  change(ElectVoters);
  change(ElectVoters);
  council.silent_ = {council.Id("a")};
  change([](const Topology& t) {
    TableSpec dogs;
    dogs.name = "dogs";
    return CreateTable(t, dogs);
  });
  EXPECT_EQ(council.At("b").view()->topology().tables.size(), 2u);
}

TEST(Control, ANewDocumentIsInForceOnlyOnceItIsDurableHere) {
  Council council;
  const Topology next = *CreateTable(council.initial_, [] {
    TableSpec spec;
    spec.name = "cats";
    return spec;
  }());
  const NodeId b = council.Id("b");
  council.At("b").OnMessage(council.Id("a"),
                            {0, next.epoch, PartitionId(), TopologyNews{EncodeTopology(next)}},
                            council.now_);
  council.Take(b);
  EXPECT_EQ(council.seats_.at(b).in_force, Epoch());
  EXPECT_TRUE(council.wires_.empty()) << "nor does it say so to anyone";
  council.Persist(b);
  EXPECT_EQ(council.seats_.at(b).in_force, Epoch(2));
  council.Restart(b);
  EXPECT_EQ(council.EpochAt("b"), Epoch(2));
}

TEST(Control, ConcurrentChangesBothStand) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Propose("b", 2, "dogs");
  for (int i = 0; i < 50 && council.done_.size() < 2; ++i) {
    council.Settle();
    council.Pass(Duration::Millis(100));
  }
  ASSERT_EQ(council.done_.size(), 2u);
  council.Settle();
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(council.At(name).view()->topology().tables.size(), 2u) << name;
  }
}

TEST(Control, CreatingTheSameTableTwiceIsCreatingItOnce) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Settle();
  council.Propose("b", 2, "cats");
  council.Settle();
  ASSERT_TRUE(council.done_.contains(2));
  EXPECT_TRUE(council.done_.at(2).ok());
  EXPECT_EQ(council.EpochAt("c"), Epoch(2));
}

TEST(Control, AChangeThatIsRefusedSaysWhy) {
  Council council;
  council.At("a").Propose(
      1, [](const Topology& current) { return DropTable(current, "nothing"); }, council.now_);
  council.Settle();
  ASSERT_TRUE(council.done_.contains(1));
  EXPECT_EQ(council.done_.at(1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(council.EpochAt("a"), Epoch(1));
}

// Who made it is gone before anybody has learned of it. Two simulated nodes went on for ever like
// that: what they proposed was of the epoch before, and so refused.
// Nodes that serve under one epoch are to serve under one document.
TEST(Control, AChangeThatMakesAnotherDocumentOfTheSameEpochIsRefused) {
  Council council;
  for (const uint64_t epoch : {1, 3}) {
    council.At("a").Propose(
        epoch,
        [epoch](const Topology& current) {
          Topology next = current;
          next.members[0].zone = "elsewhere";
          next.epoch = Epoch(epoch);
          return next;
        },
        council.now_);
    council.Settle();
    ASSERT_TRUE(council.done_.contains(epoch));
    EXPECT_EQ(council.done_.at(epoch).status().code(), absl::StatusCode::kInternal);
  }
  EXPECT_EQ(council.EpochAt("a"), Epoch(1));
}

TEST(Control, AChangeThatMeetsANewerDocumentAndIsRefusedBringsThatDocument) {
  Council council;
  council.Accept({"a", "b", "c"}, "unheard-of");
  council.At("b").Propose(
      1, [](const Topology& current) { return DropTable(current, "no-such-table"); }, council.now_);
  council.Settle();
  EXPECT_EQ(council.done_.at(1).status().code(), absl::StatusCode::kNotFound);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(council.EpochAt(name), Epoch(2)) << name;
}

TEST(Control, WithoutAMajorityNothingChangesAndTheClientHearsSo) {
  Council council;
  council.silent_ = {council.Id("b"), council.Id("c")};
  council.Propose("a", 1, "cats");
  for (int i = 0; i < 100 && council.done_.empty(); ++i) {
    council.Settle();
    council.Pass(Duration::Seconds(1));
  }
  ASSERT_TRUE(council.done_.contains(1));
  EXPECT_EQ(council.done_.at(1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(council.EpochAt("a"), Epoch(1));
}

TEST(Control, WhoseDiskFailsAnswersAtOnceWhetherOrNotTheOthersCommitted) {
  std::set<Epoch> of_the_others;
  for (const uint64_t good_writes : {0, 1, 2}) {
    Council council;
    council.good_writes_[council.Id("a")] = good_writes;
    council.Propose("a", 1, "cats");
    council.Settle();
    ASSERT_TRUE(council.done_.contains(1)) << good_writes;
    EXPECT_EQ(council.done_.at(1).status().code(), absl::StatusCode::kInternal);
    EXPECT_TRUE(council.unknown_.contains(1)) << "the others may have heard enough";
    council.Propose("a", 2, "dogs");
    council.Take(council.Id("a"));
    ASSERT_TRUE(council.done_.contains(2));
    EXPECT_EQ(council.done_.at(2).status().code(), absl::StatusCode::kInternal);
    EXPECT_FALSE(council.unknown_.contains(2)) << "it was not begun";
    council.Propose("b", 3, "dogs");
    council.Settle();
    of_the_others.insert(council.EpochAt("b"));
  }
  EXPECT_EQ(of_the_others, (std::set<Epoch>{Epoch(2), Epoch(3)})) << "both cases were met";
}

// What it could not store it may be asked again, and seems to hold.
TEST(Control, AnAcceptorWhoseDiskFailedAnswersNothing) {
  Council council;
  council.good_writes_[council.Id("b")] = 0;
  const std::string value = EncodeTopology(council.initial_);
  for (int i = 0; i < 2; ++i) {
    council.At("b").OnMessage(
        council.Id("a"),
        {5, Epoch(1), PartitionId(),
         RegisterAsk{{RegisterPhase::kAccept, Ballot{3, council.Id("a")}, value}}},
        council.now_);
    council.Take(council.Id("b"));
    if (council.seats_.at(council.Id("b")).persist.has_value()) council.Persist(council.Id("b"));
    EXPECT_TRUE(council.wires_.empty()) << i;
  }
}

TEST(Control, AMajorityIsEnoughAndTheThirdLearnsOfItWhenItIsBack) {
  Council council;
  council.silent_ = {council.Id("c")};
  council.Propose("a", 1, "cats");
  council.Settle();
  EXPECT_FALSE(council.done_.contains(1)) << "c may still serve by the older one";
  council.Pass(kSpreadPatience);
  council.Settle();
  ASSERT_TRUE(council.done_.contains(1));
  EXPECT_TRUE(council.done_.at(1).ok());
  EXPECT_EQ(council.EpochAt("c"), Epoch(1));
  council.silent_.clear();
  council.At("c").OnPeer(council.Id("a"), true, council.now_);
  council.Settle();
  EXPECT_EQ(council.EpochAt("c"), Epoch(2));
}

TEST(Control, TellsANodeThatSpeaksUnderAnOlderEpochButNotEveryTime) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Settle();
  council.Pass(Duration::Seconds(1));
  for (int i = 0; i < 10; ++i) {
    council.At("a").OnEpochOf(council.Id("b"), Epoch(1), council.now_);
  }
  council.Take(council.Id("a"));
  EXPECT_EQ(council.wires_.size(), 1u);
}

TEST(Control, TellsANodeThatComesBackWithoutItsData) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Settle();
  const NodeId c = council.Id("c");
  for (const char* other : {"a", "b"}) council.At(other).OnPeer(c, false, council.now_);
  council.seats_.erase(c);
  council.Restart(c);
  EXPECT_EQ(council.EpochAt("c"), Epoch(1));
  council.Pass(Duration::Seconds(10));
  for (const char* other : {"a", "b"}) {
    council.At(other).OnPeer(c, true, council.now_);
    council.At(other).OnEpochOf(c, Epoch(1), council.now_);
  }
  council.Settle();
  EXPECT_EQ(council.EpochAt("c"), Epoch(2));
}

TEST(Control, AcceptsNothingThatIsNoDocumentOfThisCluster) {
  Council council;
  const NodeId a = council.Id("a"), b = council.Id("b");
  Topology other = *InitialTopology("other", 4, council.initial_.members);
  Topology coarser = *InitialTopology("test", 2, council.initial_.members);
  for (const std::string& value :
       {std::string("garbage"), std::string(), EncodeTopology(other), EncodeTopology(coarser)}) {
    council.At("b").OnMessage(
        a, {5, Epoch(1), PartitionId(), RegisterAsk{{RegisterPhase::kAccept, Ballot{9, a}, value}}},
        council.now_);
    const ControlEffects effects = council.At("b").TakeEffects(council.now_);
    EXPECT_FALSE(effects.persist.has_value());
    EXPECT_TRUE(effects.sends.empty());
    ASSERT_EQ(effects.rejected.size(), 1u);
    EXPECT_EQ(effects.rejected[0].from, a);
  }
  council.At("b").OnMessage(a, {0, Epoch(9), PartitionId(), TopologyNews{"garbage"}}, council.now_);
  EXPECT_EQ(council.At("b").TakeEffects(council.now_).rejected.size(), 1u);
  EXPECT_EQ(council.EpochAt("b"), Epoch(1));
  council.Take(b);
}

TEST(Control, APromiseWithAValueThatIsNoDocumentCountsForNothing) {
  Council council;
  council.Propose("a", 1, "cats");
  council.Take(council.Id("a"));
  while (council.seats_.at(council.Id("a")).persist.has_value()) council.Persist(council.Id("a"));
  ASSERT_FALSE(council.wires_.empty());
  const Envelope asked = council.wires_.front().second;
  const auto* ask = std::get_if<RegisterAsk>(&asked.message.body);
  ASSERT_TRUE(ask != nullptr);
  council.wires_.clear();
  RegisterReply promise;
  promise.phase = RegisterPhase::kPrepare;
  promise.ballot = promise.promised = ask->request.ballot;
  promise.granted = true;
  promise.accepted = Ballot{ask->request.ballot.round - 1, council.Id("c")};
  for (const std::string value : {"garbage", ""}) {
    promise.value = value;
    council.At("a").OnMessage(
        council.Id("c"), {asked.message.exchange, Epoch(1), PartitionId(), RegisterAnswer{promise}},
        council.now_);
    const ControlEffects effects = council.At("a").TakeEffects(council.now_);
    EXPECT_EQ(effects.rejected.size(), 1u);
    EXPECT_TRUE(effects.sends.empty()) << "no majority has promised";
  }
}

TEST(Control, ADocumentOfAnotherClusterIsIgnored) {
  Council council;
  std::vector<Member> members = council.initial_.members;
  Topology other = *InitialTopology("other", 4, members);
  other.epoch = Epoch(9);
  council.At("b").OnMessage(council.Id("a"),
                            {0, Epoch(9), PartitionId(), TopologyNews{EncodeTopology(other)}},
                            council.now_);
  council.Take(council.Id("b"));
  EXPECT_EQ(council.EpochAt("b"), Epoch(1));
}

// -------------------------------------------------------------------------------- deltas

TEST(Control, AChangeGoesOutAsADelta) {
  Council council;
  council.Create("a", "cats");
  for (const char* name : {"b", "c"}) {
    EXPECT_EQ(council.CarriedTo(name), (Council::Carried{0, 1, 0})) << name;
    EXPECT_EQ(council.At(name).view()->topology(), council.At("a").view()->topology());
  }
}

// Whatever the nodes have said of themselves: one may go back until all are of the next level.
TEST(Control, InAClusterOfTheFirstLevelEveryoneSendsTheWholeAndNobodyAsks) {
  Council council({"a", "b", "c"}, 1);
  for (const char* name : {"a", "b", "c"}) {
    for (const char* other : {"a", "b", "c"}) {
      if (name != other) council.At(name).OnLevel(council.Id(other), kBuildLevel);
    }
  }
  council.Create("a", "cats");
  council.silent_ = {council.Id("c")};
  council.Create("a", "dogs");
  council.silent_.clear();
  council.At("a").AskWhatServes(council.Id("c"), council.now_);
  council.At("b").OnEpochOf(council.Id("c"), Epoch(2), council.now_);
  council.Settle();
  EXPECT_EQ(council.EpochAt("c"), Epoch(3));
  for (const Council::Sent& sent : council.news_) {
    EXPECT_TRUE(sent.news.delta.empty());
    EXPECT_EQ(sent.news.asks, TopologyNews::Asks::kNothing);
  }
  EXPECT_GT(council.CarriedTo("b").plain, 1u) << "by everyone";
}

TEST(Control, InAClusterOfTheSecondLevelTheRegisterHasWholeDocuments) {
  Council council({"a", "b", "c"}, 2);
  council.Create("a", "cats");
  council.Create("a", "dogs");
  EXPECT_EQ(council.asked_, (Council::Values{4, 0, 0})) << "two changes, to two others each";
  EXPECT_EQ(council.answered_, (Council::Values{2, 0, 0})) << "what cats left behind";
  EXPECT_EQ(council.At("b").view()->delta(), nullptr);
  EXPECT_GT(council.CarriedTo("b").deltas, 0u);
}

TEST(Control, WhoIsOfAnOlderBuildThoughItWasDeclaredDeadIsSentTheWhole) {
  Council council;
  council.At("a").OnLevel(council.Id("c"), 1);
  council.Create("a", "cats");
  EXPECT_EQ(council.asked_, (Council::Values{1, 1, 0}));
  council.At("a").AskWhatServes(council.Id("c"), council.now_);
  EXPECT_EQ(council.CarriedTo("b").plain, 0u);
  EXPECT_EQ(council.CarriedTo("c").plain, 1u);
}

TEST(Control, WhatLevelAPeerSaidIsForgottenWhenItIsGone) {
  Council council;
  const std::map<NodeId, BuildLevel> own = council.At("a").levels();
  EXPECT_EQ(own, (std::map<NodeId, BuildLevel>{{council.Id("a"), kBuildLevel}}));
  council.At("a").OnLevel(council.Id("b"), 2);
  council.At("a").OnPeer(council.Id("b"), true, council.now_);
  EXPECT_EQ(council.At("a").levels().at(council.Id("b")), 2);
  council.At("a").OnPeer(council.Id("b"), false, council.now_);
  EXPECT_EQ(council.At("a").levels(), own) << "it may come back as an older build";
}

TEST(Control, ADocumentOfAHigherLevelIsNotInstalledAndItsNodeIsToEnd) {
  const Topology first = *InitialTopology("test", 4, {{{}, "a", "a", "a", "a"}});
  const NodeId a = first.members[0].id;
  Control control(View::Create(first, a), first, {}, Control::Memory::kWhole, Random(1),
                  std::make_shared<Documents>(), /*level=*/1);
  control.OnHeardPeers();
  Topology next = NextOf(first);
  next.level = 2;
  const Instant now;
  control.OnMessage(a, {0, next.epoch, PartitionId(), TopologyNews{EncodeTopology(next)}}, now);
  const std::optional<absl::Status> outgrown = control.TakeEffects(now).outgrown;
  ASSERT_TRUE(outgrown.has_value());
  EXPECT_EQ(outgrown->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(control.view()->epoch(), first.epoch);
  control.OnMessage(a,
                    {7, Epoch(1), PartitionId(),
                     RegisterAsk{{RegisterPhase::kAccept, {5, a}, EncodeTopology(next)}}},
                    now);
  const ControlEffects effects = control.TakeEffects(now);
  EXPECT_TRUE(effects.outgrown.has_value());
  EXPECT_FALSE(effects.persist.has_value()) << "nor is it accepted";
}

TEST(Control, WhoLacksTheBaseOfADeltaIsSentOneFromWhatItHas) {
  Council council;
  council.Create("a", "cats");
  council.silent_ = {council.Id("c")};
  council.Create("a", "dogs");
  council.silent_.clear();
  council.news_.clear();
  council.Create("a", "birds");
  EXPECT_EQ(council.EpochAt("c"), Epoch(4));
  EXPECT_EQ(council.CarriedTo("c"), (Council::Carried{0, 2, 0}));
}

TEST(Control, WhoHasMissedMoreThanIsKeptIsSentTheWholeCompressed) {
  Council council;
  council.Create("a", "cats");
  council.silent_ = {council.Id("c")};
  for (size_t i = 0; i < kKeptDocuments; ++i) council.Create("a", "t" + std::to_string(i));
  council.silent_.clear();
  council.news_.clear();
  council.Pass(Duration::Seconds(1));
  council.At("a").OnEpochOf(council.Id("c"), Epoch(2), council.now_);
  council.Settle();
  EXPECT_EQ(council.EpochAt("c"), council.EpochAt("a"));
  EXPECT_EQ(council.CarriedTo("c"), (Council::Carried{0, 0, 1}));
}

// Two builds may write one document with different bytes; or one of them is wrong.
TEST(Control, WhoHasAnotherBaseOfThatEpochIsSentTheWhole) {
  Council council;
  council.Create("a", "cats");
  TableSpec spec;
  spec.name = "never-chosen";
  const Topology other = *CreateTable(council.At("c").view()->topology(), spec);
  council.At("c").OnMessage(council.Id("b"),
                            {0, other.epoch, PartitionId(), TopologyNews{EncodeTopology(other)}},
                            council.now_);
  council.silent_ = {council.Id("c")};
  council.Create("a", "dogs");
  council.silent_.clear();
  council.Take(council.Id("c"));
  council.Persist(council.Id("c"));
  council.wires_.clear();
  ASSERT_EQ(council.EpochAt("c"), council.EpochAt("a"));
  council.news_.clear();
  council.Create("a", "birds");
  EXPECT_EQ(council.At("c").view()->topology(), council.At("a").view()->topology());
  EXPECT_EQ(council.CarriedTo("c"), (Council::Carried{0, 1, 1}));
}

TEST(Control, ADeltaThatIsGarbageIsRejectedAndTheWholeAskedFor) {
  Council council;
  council.Create("a", "cats");
  council.Take(council.Id("b"));
  council.wires_.clear();
  council.At("b").OnMessage(
      council.Id("a"), {0, Epoch(9), PartitionId(), TopologyNews{"", "garbage"}}, council.now_);
  const ControlEffects effects = council.At("b").TakeEffects(council.now_);
  EXPECT_EQ(effects.rejected.size(), 1u);
  ASSERT_EQ(effects.sends.size(), 1u);
  EXPECT_EQ(std::get<TopologyNews>(effects.sends[0].message.body).asks, TopologyNews::Asks::kWhole);
  EXPECT_EQ(council.EpochAt("b"), Epoch(2));
}

TEST(Control, TheRegistersMessagesCarryDeltas) {
  Council council;
  council.Create("a", "cats");
  EXPECT_EQ(council.asked_, (Council::Values{0, 1, 1})) << "of one it has heard nothing yet";
  council.Create("b", "dogs");
  EXPECT_EQ(council.asked_, (Council::Values{0, 3, 1}));
  EXPECT_EQ(council.answered_, (Council::Values{0, 2, 0})) << "what cats left behind";
  EXPECT_EQ(council.EpochAt("c"), Epoch(3));
}

TEST(Control, WhoCannotMakeOutADeltaOfTheRegisterAsksForTheWholeAndTheNextAttemptHasIt) {
  Council council;
  council.Create("a", "cats");
  TableSpec spec;
  spec.name = "never-chosen";
  const Topology other = *CreateTable(council.initial_, spec);
  council.Restart(council.Id("c"));
  // Of the epoch that the others know as well, but another document.
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("topology"), EncodeTopology(other));
  ASSERT_TRUE(council.seats_.at(council.Id("c")).engine.Write(batch, WalSync::kYes).ok());
  council.Restart(council.Id("c"));
  council.silent_ = {council.Id("b")};
  council.asked_ = {};
  council.Create("a", "dogs");
  EXPECT_EQ(council.asked_, (Council::Values{0, 1, 1}));
  EXPECT_EQ(council.At("c").view()->topology(), council.At("a").view()->topology());
}

TEST(Control, AValueThatANewerBuildAcceptedHereIsSentAsItIs) {
  Council council;
  TableSpec spec;
  spec.name = "cats";
  std::string value = EncodeTopology(*CreateTable(council.initial_, spec));
  value[3] = static_cast<char>(kBuildLevel + 1);
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("acceptor"),
            EncodeAcceptorState({{3, council.Id("a")}, {3, council.Id("a")}, value}));
  ASSERT_TRUE(council.seats_.at(council.Id("b")).engine.Write(batch, WalSync::kYes).ok());
  council.Restart(council.Id("b"));
  const std::optional<RegisterReply> reply = council.Prepare("b", 9);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->value, value);
}

TEST(Control, ARefusalBringsTheNewerDocumentAsADelta) {
  Council council;
  council.silent_ = {council.Id("c")};
  council.Create("a", "cats");
  council.silent_.clear();
  ASSERT_NE(council.At("b").view()->delta(), nullptr);
  EXPECT_EQ(*council.At("b").view()->delta(), *council.At("a").view()->delta());
  council.At("c").OnMessage(
      council.Id("b"),
      {7, Epoch(2), PartitionId(2, 1), Refused{"", *council.At("b").view()->delta()}},
      council.now_);
  EXPECT_EQ(council.EpochAt("c"), Epoch(2));
}

std::vector<std::string> ManyNames() {
  std::vector<std::string> names;
  for (char c = 'a'; c <= 'z'; ++c) names.push_back(std::string(1, c));
  return names;
}

TEST(Control, WhoIsToldOfAChangeSaysSoToAFewAndSendsItToNobody) {
  Council council(ManyNames());
  council.Create("a", "cats");
  council.news_.clear();
  council.Create("a", "dogs");
  std::map<NodeId, size_t> said;
  for (const Council::Sent& sent : council.news_) {
    if (sent.from == council.Id("a")) continue;
    EXPECT_TRUE(sent.news.topology.empty() && sent.news.delta.empty());
    ++said[sent.from];
  }
  for (const auto& [node, count] : said) EXPECT_LE(count, kSayTo + 1);
  EXPECT_GT(said.size(), 20u);
}

TEST(Control, WhoWasNotToldOfAChangeAsksOneThatSaysItServesUnderIt) {
  Council council(ManyNames());
  council.Create("a", "cats");
  council.Pass(Duration::Seconds(1));
  council.Propose("a", 1, "dogs");
  std::vector<NodeId> deaf;
  for (const char* name : {"w", "x", "y", "z"}) deaf.push_back(council.Id(name));
  // What carries the document from who made it to these four is lost.
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& [id, seat] : council.seats_) {
      council.Take(id);
      while (seat.persist.has_value()) {
        council.Persist(id);
        moved = true;
      }
    }
    while (!council.wires_.empty()) {
      auto [from, envelope] = std::move(council.wires_.front());
      council.wires_.pop_front();
      const auto* news = std::get_if<TopologyNews>(&envelope.message.body);
      const bool lost = news != nullptr && !news->delta.empty() && from == council.Id("a") &&
                        std::count(deaf.begin(), deaf.end(), envelope.to) > 0;
      if (lost) continue;
      council.seats_.at(envelope.to)
          .control->OnMessage(from, std::move(envelope.message), council.now_);
      moved = true;
    }
  }
  for (const NodeId id : deaf) {
    EXPECT_EQ(council.seats_.at(id).control->view()->epoch(), Epoch(3)) << id.value();
  }
}

TEST(Control, AsksWhatANodeServesUnderWithoutSendingTheDocument) {
  Council council;
  council.Create("a", "cats");
  council.At("a").OnPeer(council.Id("b"), true, council.now_);
  council.Settle();
  council.Pass(Duration::Seconds(1));
  council.news_.clear();
  ASSERT_EQ(council.At("a").ServesUnder(council.Id("b")), Epoch());
  council.At("a").AskWhatServes(council.Id("b"), council.now_);
  council.Settle();
  EXPECT_EQ(council.At("a").ServesUnder(council.Id("b")), Epoch(2));
  EXPECT_EQ(council.CarriedTo("b"), Council::Carried());
}

}  // namespace
}  // namespace gyre
