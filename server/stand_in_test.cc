#include "server/stand_in.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

constexpr ExchangeId kFirst = ExchangeId{1} << 39;

// Node "d" of the cluster a to e, which stands in for others, stepped by hand. Every step answers
// with what the stand-in sends, in its order, reads what it wants read, and commits.
class Bench {
 public:
  explicit Bench(HintLogOptions options = {}) : options_(options) {
    std::vector<Member> members;
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      members.push_back({{}, name, name, name, name});
    }
    TableSpec table;
    table.name = "table";
    topology_ = *CreateTable(*InitialTopology("test", 16, members), table);
    view_ = View::Create(topology_, Id("d"));
    Restart();
    KnowTime(true);
  }

  void Restart() {
    scans_.clear();
    hold_scans_ = false;
    store_ = std::make_unique<ReplicaStore>(&engine_, ReplicaStore::Options(), Random(1));
    EXPECT_TRUE(store_->Open({}, false).ok());
    HintLog log(options_);
    EXPECT_TRUE(OpenHints(*engine_.TakeSnapshot(), [&](PartitionId) { return &log; }).ok());
    stand_in_ = std::make_unique<StandIn>(Id("d"), std::move(log), Guest({}, Random(5)),
                                          store_.get(), kFirst);
    stand_in_->OnClusterTime(time_offset_ms_);
  }
  // From now on the cluster's time is what this node's clock shows, or is not known.
  void KnowTime(bool known) {
    time_offset_ms_.reset();
    if (known)
      time_offset_ms_ = static_cast<int64_t>(now_.wall_ms) - now_.monotonic.micros() / 1000;
    stand_in_->OnClusterTime(time_offset_ms_);
  }
  void JumpClock(Duration ahead) { now_.wall_ms += static_cast<uint64_t>(ahead.millis()); }

  NodeId Id(const std::string& name) const { return NodeIdFromName(topology_.cluster, name); }
  // An item that "d" does not own and `owner` does.
  ItemKey Item(const std::string& owner, int which = 0) const {
    for (int i = 0;; ++i) {
      const std::string key = "key-" + std::to_string(i);
      const TableSpec& table = *view_->FindTable("table");
      const PartitionId partition = view_->Locate(table, key);
      if (view_->IsOwner(partition, Id("d")) || !view_->IsOwner(partition, Id(owner))) continue;
      if (which-- == 0) return {partition, table.id, key};
    }
  }

  // ---- events
  Strings Keep(const std::string& owner, const ItemKey& item, const std::string& value,
               ExchangeId exchange = 7, bool ownerless = false) {
    Record record;
    AddVersion(&record, {{ReplicaId(++counter_), 1}, 0, value});
    const std::vector<Minted> minted = {{record.versions[0].dot, {counter_, 1}, 1}};
    return Step([&](StandIn::Effects* effects) {
      stand_in_->OnHint(Id("a"), exchange,
                        {Id(owner),
                         {item, std::make_shared<const Record>(record), minted},
                         Durability::kFsync,
                         ownerless},
                        now_, effects);
    });
  }
  Strings Look(const ItemKey& item) {
    return Step(
        [&](StandIn::Effects* effects) { stand_in_->OnFetchHints(Id("a"), 8, item, effects); });
  }
  Strings Reach(const std::string& node) {
    stand_in_->OnPeer(Id(node), true, now_);
    return Wake();
  }
  void Lose(const std::string& node) { stand_in_->OnPeer(Id(node), false, now_); }
  Strings Hear(const std::string& from, PeerBody body) {
    const ExchangeId exchange = asked_.at(from).front();
    asked_.at(from).erase(asked_.at(from).begin());
    return HearOf(from, exchange, std::move(body));
  }
  Strings HearOf(const std::string& from, ExchangeId exchange, PeerBody body) {
    return Step([&](StandIn::Effects* effects) {
      stand_in_->OnReply(Id(from), exchange, body, now_, effects);
    });
  }
  Strings Pass(Duration span) {
    now_.monotonic = now_.monotonic + span;
    now_.wall_ms += static_cast<uint64_t>(span.millis());
    return Wake();
  }
  void Later(Duration span) {
    now_.monotonic = now_.monotonic + span;
    now_.wall_ms += static_cast<uint64_t>(span.millis());
  }
  size_t asked(const std::string& node) { return asked_[node].size(); }
  Strings Wake() {
    Strings said;
    for (int i = 0; i < 10 && stand_in_->wake() <= now_.monotonic; ++i) {
      for (std::string& one : Step([&](StandIn::Effects* e) { stand_in_->OnWake(now_, e); })) {
        said.push_back(std::move(one));
      }
    }
    return said;
  }
  // Takes the table's owners from the partitions, or the table itself.
  void Install(Topology topology) {
    topology_ = std::move(topology);
    const std::shared_ptr<const View> before =
        std::exchange(view_, View::Create(topology_, Id("d")));
    stand_in_->OnView(*before, *view_);
  }
  // What is to be read is read by ReadOn.
  void HoldScans() { hold_scans_ = true; }
  Strings ReadOn() {
    hold_scans_ = false;
    return Step([](StandIn::Effects*) {});
  }
  size_t unread() const { return scans_.size(); }
  std::vector<bool> awaited() const {
    std::vector<bool> awaited;
    for (const HintScan& scan : scans_) awaited.push_back(scan.awaited);
    return awaited;
  }
  void Garble(const HintKey& key) { engine_.Garble(Family::kHints, EncodeHintKey(key)); }
  // What is dropped stays in the store until Commit.
  void HoldCommits() { hold_ = true; }
  Strings Commit() {
    hold_ = false;
    CommitAll();
    return {};
  }

  size_t stored() const { return engine_.EstimateKeys(Family::kHints); }
  StandIn& stand_in() { return *stand_in_; }
  const Topology& topology() const { return topology_; }
  const FetchReply& found() const { return found_; }
  bool was_synced() const { return synced_; }
  Duration until_wake() const { return stand_in_->wake() - now_.monotonic; }

 private:
  template <typename Fn>
  Strings Step(Fn step) {
    Strings said;
    Take(step, &said);
    while (!scans_.empty() && !hold_scans_) {
      const HintScan scan = std::move(scans_.front());
      scans_.erase(scans_.begin());
      absl::StatusOr<HintPage> page = ScanHints(*engine_.TakeSnapshot(), scan);
      Take(
          [&](StandIn::Effects* effects) {
            stand_in_->OnScan(scan.id, std::move(page), *view_, now_, effects);
          },
          &said);
    }
    if (!hold_) CommitAll();
    return said;
  }
  template <typename Fn>
  void Take(Fn step, Strings* said) {
    StandIn::Effects effects;
    step(&effects);
    for (StandIn::Effects::Send& send : effects.sends) said->push_back(Name(send));
    for (HintScan& scan : effects.scans) scans_.push_back(std::move(scan));
  }
  std::string Name(const StandIn::Effects::Send& send) {
    const std::string to = view_->FindMember(send.to)->name;
    if (std::holds_alternative<HintReply>(send.body)) {
      EXPECT_GT(send.after, store_->durable()) << "it waits until the hint is durable";
      return "HintReply>" + to;
    }
    if (const auto* failed = std::get_if<Failed>(&send.body)) {
      EXPECT_EQ(failed->code, Outcome::Code::kOverloaded);
      return "Failed>" + to;
    }
    if (const auto* reply = std::get_if<FetchReply>(&send.body)) {
      found_ = *reply;
      return "FetchReply>" + to + " " + std::to_string(reply->found.record->versions.size());
    }
    const auto& handoff = std::get<Handoff>(send.body);
    asked_[to].push_back(send.exchange);
    EXPECT_GE(send.exchange, kFirst);
    EXPECT_FALSE(handoff.change.minted.empty()) << "with the dots that explain it";
    return "Handoff>" + to + " " +
           std::string(std::string_view(handoff.change.record->versions.at(0).value));
  }
  void CommitAll() {
    while (store_->dirty()) {
      ::gyre::Commit commit = store_->TakeCommit();
      synced_ = commit.sync == WalSync::kYes;
      EXPECT_TRUE(engine_.Write(commit.batch, commit.sync).ok());
      store_->OnCommitted(commit.seq);
    }
  }

  HintLogOptions options_;
  Topology topology_;
  std::shared_ptr<const View> view_;
  MemoryEngine engine_;
  std::unique_ptr<ReplicaStore> store_;
  std::unique_ptr<StandIn> stand_in_;
  Instant now_{Time() + Duration::Seconds(100), 1'000'000};
  std::optional<int64_t> time_offset_ms_;
  uint64_t counter_ = 0;
  bool hold_ = false;
  bool hold_scans_ = false;
  std::vector<HintScan> scans_;  // that are to be read
  bool synced_ = false;
  std::map<std::string, std::vector<ExchangeId>> asked_;
  FetchReply found_;
};

TEST(StandIn, KeepsAHintDurablyAndSaysSo) {
  Bench bench;
  EXPECT_EQ(bench.Keep("b", bench.Item("b"), "milk"), Strings{"HintReply>a"});
  EXPECT_TRUE(bench.was_synced());
  EXPECT_EQ(bench.stored(), 1u);
  EXPECT_EQ(bench.stand_in().figures().kept, 1u);
}

TEST(StandIn, SaysNothingToWhoWantsNoAnswer) {
  Bench bench;
  EXPECT_EQ(bench.Keep("b", bench.Item("b"), "milk", /*exchange=*/0), Strings{});
  EXPECT_EQ(bench.stored(), 1u);
}

TEST(StandIn, RefusesWhatItHasNoRoomFor) {
  Bench bench({.max_bytes = 60});
  EXPECT_EQ(bench.Keep("b", bench.Item("b"), std::string(100, 'x')), Strings{"Failed>a"});
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_EQ(bench.stand_in().figures().refused, 1u);
}

TEST(StandIn, HandsOverWhenTheOwnerIsBackAndDropsWhatItHas) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  EXPECT_EQ(bench.Wake(), Strings{}) << "not while it is away";
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b milk"});
  EXPECT_EQ(bench.stored(), 1u) << "not before it has it";
  bench.Hear("b", ApplyReply{});
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_EQ(bench.stand_in().figures().delivered, 1u);
  EXPECT_EQ(bench.stand_in().wake(), Time::Never()) << "and nothing is left to do";
}

TEST(StandIn, AHintForAnOwnerThatItCanReachItselfGoesAtOnce) {
  Bench bench;
  bench.Reach("b");
  bench.Keep("b", bench.Item("b"), "milk");
  EXPECT_EQ(bench.Wake(), Strings{"Handoff>b milk"});
}

TEST(StandIn, HintsOutliveARestart) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Restart();
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b milk"});
}

TEST(StandIn, HandsOverWhatIsForOneOwnerAndNotWhatIsForAnother) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "for b");
  bench.Keep("c", bench.Item("c"), "for c");
  EXPECT_EQ(bench.Reach("c"), Strings{"Handoff>c for c"});
}

TEST(StandIn, AFewAreUnderWayAtOnceAndMoreTheBetterTheyAreTaken) {
  Bench bench;
  for (int i = 0; i < 20; ++i) bench.Keep("b", bench.Item("b"), std::to_string(i));
  EXPECT_EQ(bench.Reach("b").size(), HandoffWindow::kFirst);
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).size(), 2u);
  size_t taken = 1;
  while (bench.stored() > 0 && taken++ < 100) bench.Hear("b", ApplyReply{});
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_EQ(bench.stand_in().figures().delivered, 20u);
}

TEST(StandIn, AnOverloadedOwnerIsLeftAloneForAWhile) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Reach("b");
  EXPECT_EQ(bench.Hear("b", Failed{Outcome::Code::kOverloaded}), Strings{});
  EXPECT_EQ(bench.until_wake(), HandoffWindow::kShortestPause);
  EXPECT_EQ(bench.Pass(HandoffWindow::kShortestPause), Strings{"Handoff>b milk"});
}

TEST(StandIn, WhatIsNotAnsweredIsLeftToTheNextPass) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Reach("b");
  EXPECT_EQ(bench.Pass(StandIn::kPatience), Strings{});
  EXPECT_EQ(bench.Pass(StandIn::kRest), Strings{}) << "the last pass brought nothing";
  EXPECT_EQ(bench.Pass(StandIn::kRest), Strings{"Handoff>b milk"});
  EXPECT_EQ(bench.stored(), 1u);
}

TEST(StandIn, AnOwnerThatIsSlowGetsAheadAllTheSame) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Reach("b");
  for (int i = 0; i < 40 && bench.stored() > 0; ++i) {
    bench.Pass(Duration::Seconds(15));
    while (bench.asked("b") > 0) bench.Hear("b", ApplyReply{});  // 15 s after each question
  }
  EXPECT_EQ(bench.stored(), 0u);
}

TEST(StandIn, WhatTheOwnerCannotTakeStaysAndIsTriedAgain) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Reach("b");
  EXPECT_EQ(bench.Hear("b", Failed{Outcome::Code::kCorrupt}), Strings{});
  EXPECT_EQ(bench.stored(), 1u);
  EXPECT_EQ(bench.Pass(StandIn::kRest + StandIn::kRest), Strings{"Handoff>b milk"});
}

TEST(StandIn, AnOwnerWhoseDiskFailedIsNotShownAllOfItsHintsAgainAndAgain) {
  Bench bench;
  for (int i = 0; i < 200; ++i) bench.Keep("b", bench.Item("b"), std::to_string(i));
  size_t sent = bench.Reach("b").size();
  for (int second = 0; second < 60; ++second) {
    while (bench.asked("b") > 0) {
      sent += bench.Hear("b", Failed{Outcome::Code::kStorageFailed}).size();
    }
    sent += bench.Pass(Duration::Seconds(1)).size();
  }
  EXPECT_LE(sent, 20u);
  EXPECT_EQ(bench.stored(), 200u);
}

// What was read meanwhile belongs to a pass that is no more.
TEST(StandIn, AnOwnerThatRefusesWhileItsHintsAreReadIsLeftAlone) {
  Bench bench;
  for (const int which : {0, 1}) {
    for (int i = 0; i < 100; ++i) bench.Keep("b", bench.Item("b", which), std::to_string(i));
  }
  bench.Reach("b");
  bench.HoldScans();
  while (bench.unread() == 0) bench.Hear("b", ApplyReply{});
  ASSERT_GT(bench.asked("b"), 0u) << "some are under way while it reads on";
  while (bench.asked("b") > 0) bench.Hear("b", Failed{Outcome::Code::kStorageFailed});
  EXPECT_EQ(bench.ReadOn(), Strings{});
  EXPECT_EQ(bench.until_wake(), StandIn::kRest) << "until the next pass";
  EXPECT_FALSE(bench.Pass(StandIn::kRest).empty());
}

TEST(StandIn, WhatIsDamagedIsDroppedByThePassThatMeetsIt) {
  Bench bench;
  const ItemKey item = bench.Item("b");
  bench.Keep("b", item, "milk");
  bench.Keep("b", item, "eggs");
  bench.Garble({bench.Id("b"), item, 1});
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b eggs"});
  EXPECT_EQ(bench.stored(), 1u);
  EXPECT_EQ(bench.stand_in().figures().damaged, 1u);
  bench.Hear("b", ApplyReply{});
  EXPECT_EQ(bench.stand_in().log().CountOf(bench.Id("b")).hints, 0u);
}

TEST(StandIn, WhatIsGivenUpTakesNoRoomFromTheRestOfThePass) {
  Bench bench;
  const ItemKey item = bench.Item("b");
  bench.Keep("b", item, std::string(StandIn::kMostBytes, 'x'));
  for (const char* value : {"milk", "eggs", "tea"}) bench.Keep("b", item, value);
  EXPECT_EQ(bench.Reach("b").size(), 1u);
  EXPECT_EQ(bench.Pass(StandIn::kPatience), Strings{});
  EXPECT_EQ(bench.Pass(HandoffWindow::kShortestPause),
            (Strings{"Handoff>b milk", "Handoff>b eggs"}));
}

TEST(StandIn, SoManyBytesAreUnderWayAtOnce) {
  Bench bench;
  for (int i = 0; i < 8; ++i) {
    bench.Keep("b", bench.Item("b"), std::string(StandIn::kMostBytes / 2, 'x'));
  }
  EXPECT_EQ(bench.Reach("b").size(), 1u) << "two and their keys are more";
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).size(), 1u);
}

TEST(StandIn, AnAnswerThatComesTwiceOrFromAnotherChangesNothing) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Keep("b", bench.Item("b"), "eggs");
  bench.Reach("b");
  bench.HearOf("c", kFirst + 1, ApplyReply{});
  EXPECT_EQ(bench.stored(), 2u);
  bench.HearOf("b", kFirst + 1, ApplyReply{});
  bench.HearOf("b", kFirst + 1, ApplyReply{});
  EXPECT_EQ(bench.stored(), 1u);
}

TEST(StandIn, AnOwnerThatIsLostAgainGetsTheRestWhenItIsBack) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Reach("b");
  bench.Lose("b");
  EXPECT_EQ(bench.Pass(StandIn::kPatience), Strings{});
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b milk"});
}

// What was dropped is still in the store until the commit, and must not be read there again.
TEST(StandIn, NoPassBeginsBeforeWhatTheLastOneDroppedIsGone) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Keep("b", bench.Item("b", 1), "eggs");
  bench.Reach("b");
  bench.HoldCommits();
  bench.Hear("b", ApplyReply{});
  bench.Lose("b");
  EXPECT_EQ(bench.Reach("b"), Strings{});
  bench.Commit();
  EXPECT_EQ(bench.Pass(StandIn::kShortRest).size(), 1u);
}

TEST(StandIn, ShowsWhatItKeepsOfAnItemForAllOwnersTogether) {
  Bench bench;
  const ItemKey item = bench.Item("b");
  bench.Keep("b", item, "milk");
  bench.Keep("b", item, "eggs");
  bench.Keep("c", item, "tea");
  EXPECT_EQ(bench.Look(item), Strings{"FetchReply>a 3"});
  EXPECT_EQ(bench.found().found.item, item);
  EXPECT_EQ(bench.found().found.minted.size(), 3u);
}

TEST(StandIn, ShowsAllOfAnItemThoughThatTakesSeveralPages) {
  Bench bench;
  const ItemKey item = bench.Item("b");
  for (int i = 0; i < 300; ++i) bench.Keep(i % 2 == 0 ? "b" : "c", item, std::to_string(i));
  EXPECT_EQ(bench.Look(item), Strings{"FetchReply>a 300"});
  EXPECT_EQ(bench.found().found.minted.size(), 300u);
}

TEST(StandIn, WhatIsLookedForIsReadWithClientsReadsAndWhatIsHandedOverIsNot) {
  Bench bench;
  const ItemKey item = bench.Item("b");
  bench.Keep("b", item, "milk");
  bench.HoldScans();
  bench.Look(item);
  bench.Reach("b");
  EXPECT_EQ(bench.awaited(), (std::vector<bool>{true, false}));
  EXPECT_EQ(bench.stand_in().looks(), 1u);
  EXPECT_EQ(bench.ReadOn(), (Strings{"FetchReply>a 1", "Handoff>b milk"}));
  EXPECT_EQ(bench.stand_in().looks(), 0u);
}

TEST(StandIn, WhatIsOldGoesToItsOwnerWhereThatCanBeReached) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.Reach("b");
  bench.Lose("b");
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Restart();
  bench.Later(Duration::Seconds(3600));
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b milk"});
}

TEST(StandIn, OfWhatItDoesNotKeepItShowsNothing) {
  Bench bench;
  EXPECT_EQ(bench.Look(bench.Item("b")), Strings{"FetchReply>a 0"});
  ItemKey other = bench.Item("b");
  bench.Keep("b", other, "milk");
  other.key += "x";
  EXPECT_EQ(bench.Look(other), Strings{"FetchReply>a 0"});
}

TEST(StandIn, WhatIsTooOldIsDroppedThoughItsOwnerIsAway) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Pass(Duration::Seconds(60));
  bench.Keep("b", bench.Item("b", 1), "eggs");
  EXPECT_EQ(bench.stored(), 2u);
  EXPECT_EQ(bench.Pass(Duration::Seconds(60)), Strings{});
  EXPECT_EQ(bench.stored(), 1u);
  EXPECT_EQ(bench.stand_in().figures().expired, 1u);
  EXPECT_EQ(bench.Reach("b"), Strings{"Handoff>b eggs"});
}

TEST(StandIn, AClockThatJumpsMakesNothingOld) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.Keep("b", bench.Item("b"), "milk");
  bench.JumpClock(Duration::Seconds(3600));
  bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.stored(), 1u);
  EXPECT_EQ(bench.stand_in().figures().expired, 0u);
}

TEST(StandIn, WhileTheTimeIsNotKnownNothingGrowsOld) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.Keep("b", bench.Item("b"), "milk");
  bench.KnowTime(false);
  bench.Pass(Duration::Seconds(300));
  EXPECT_EQ(bench.stored(), 1u);
  bench.KnowTime(true);
  bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.stored(), 0u) << "it was kept before";
}

// It has no age at first.
TEST(StandIn, WhatIsKeptWhileTheTimeIsNotKnownAgesFromWhenItIs) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.KnowTime(false);
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Pass(Duration::Seconds(300));
  bench.KnowTime(true);
  bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.stored(), 1u);
  bench.Restart();
  bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.stored(), 1u);
  bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_EQ(bench.stand_in().figures().expired, 1u);
}

TEST(StandIn, OfATableThatIsNoMoreNothingIsKept) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.Install(*DropTable(bench.topology(), "table"));
  EXPECT_EQ(bench.Wake(), Strings{});
  EXPECT_EQ(bench.stored(), 0u);
}

TEST(StandIn, AChangeOfTheTopologyThatConcernsNoHintHasNoneRead) {
  Bench bench;
  bench.Keep("b", bench.Item("b"), "milk");
  bench.HoldScans();
  TableSpec more;
  more.name = "more";
  bench.Install(*CreateTable(bench.topology(), more));
  bench.Wake();
  EXPECT_EQ(bench.unread(), 0u);
  bench.Install(*DropTable(bench.topology(), "more"));
  bench.Wake();
  EXPECT_EQ(bench.unread(), 1u) << "they may be of that table";
}

TEST(StandIn, AHintThatNoOwnerHasIsNotReadAgainAndAgainForItsAge) {
  Bench bench({.max_age = Duration::Seconds(100)});
  bench.Keep("b", bench.Item("b"), "milk", 7, /*ownerless=*/true);
  bench.Pass(Duration::Seconds(200));
  bench.HoldScans();
  for (int sweep = 0; sweep < 3; ++sweep) bench.Pass(StandIn::kSweep);
  EXPECT_EQ(bench.unread(), 0u);
  EXPECT_EQ(bench.stored(), 1u);
}

// One that is owned by "a", and not by `other`, as after a move.
ItemKey ItemOfOthersThan(const Bench& bench, const std::string& other) {
  const auto view = View::Create(bench.topology(), bench.Id("d"));
  for (int i = 0;; ++i) {
    ItemKey one = bench.Item("a", i);
    if (!view->IsOwner(one.partition, bench.Id(other))) return one;
  }
}

TEST(StandIn, AHintWhoseOwnerWasReplacedGoesToAllOfTodaysOwners) {
  Bench bench;
  const ItemKey item = ItemOfOthersThan(bench, "b");
  bench.Keep("b", item, "milk");
  for (const char* node : {"a", "c", "e"}) bench.Reach(node);
  Topology next = bench.topology();
  next.epoch = Epoch(next.epoch.value() + 1);
  bench.Install(next);
  Strings said = bench.Wake();
  for (std::string& one : bench.Pass(StandIn::kRest)) said.push_back(std::move(one));
  std::sort(said.begin(), said.end());
  EXPECT_EQ(said, (Strings{"Handoff>a milk", "Handoff>c milk", "Handoff>e milk"}));
  for (const char* node : {"a", "c", "e"}) {
    EXPECT_GT(bench.stored(), 0u);
    bench.Hear(node, ApplyReply{});
  }
  EXPECT_EQ(bench.stored(), 0u);
}

// Found by the simulator: a node kept hints for one that had been replaced, for it was started
// again while it was to look through them.
TEST(StandIn, WhatWasStillToBeLookedThroughIsAfterARestart) {
  Bench bench;
  bench.Keep("b", ItemOfOthersThan(bench, "b"), "milk");
  Topology next = bench.topology();
  next.epoch = Epoch(next.epoch.value() + 1);
  bench.Install(next);
  bench.HoldScans();
  bench.Wake();
  ASSERT_EQ(bench.unread(), 1u);
  bench.Restart();
  bench.Wake();
  EXPECT_EQ(bench.Reach("a"), Strings{"Handoff>a milk"});
}

TEST(StandIn, AHintOfATableThatOnlyANewerDocumentHasStaysForIt) {
  Bench bench;
  TableSpec later = *bench.topology().tables.begin();
  later.name = "later";
  later.replicas = 5;
  const Topology next = *CreateTable(bench.topology(), later);
  const ItemKey item{PartitionId(5, 0), next.tables.back().id, "key"};
  bench.Reach("b");
  bench.Keep("b", item, "milk");
  EXPECT_EQ(bench.Wake(), Strings{}) << "nobody knows yet who owns it";
  ASSERT_EQ(bench.stored(), 1u);
  bench.Install(next);
  EXPECT_EQ(bench.Pass(StandIn::kLongestRest), Strings{"Handoff>b milk"});
}

// `from`'s partition of the item is the other's, as at the end of a move.
Topology Moved(const Bench& bench, const ItemKey& item, const std::string& from,
               const std::string& to) {
  Topology next = bench.topology();
  next.epoch = Epoch(next.epoch.value() + 1);
  Ownership& family = next.families.front();
  const auto first = family.owners.begin() + item.partition.slice() * family.effective_replicas();
  std::replace(first, first + family.effective_replicas(), bench.Id(from), bench.Id(to));
  return next;
}

// Found by the simulator: they went one by one to who had given their partition away. Such a one
// answers nothing, and each was waited for as long as for an owner that is slow.
TEST(StandIn, WhatWaitsGoesToTodaysOwnersOnceTheOneItWaitsForIsNone) {
  Bench bench;
  const auto view = View::Create(bench.topology(), bench.Id("d"));
  int which = 0;
  while (view->IsOwner(bench.Item("b", which).partition, bench.Id("e"))) ++which;
  const ItemKey item = bench.Item("b", which);
  constexpr size_t kHints = HandoffWindow::kFirst + 2;
  for (size_t i = 0; i < kHints; ++i) bench.Keep("b", item, std::to_string(i));
  ASSERT_EQ(bench.Reach("b").size(), HandoffWindow::kFirst);
  for (const char* node : {"a", "c", "e"}) bench.Reach(node);
  bench.Install(Moved(bench, item, "b", "e"));
  bench.Wake();
  bench.Pass(StandIn::kRest);
  for (const char* node : {"a", "c", "e"}) {
    while (bench.asked(node) > 0) bench.Hear(node, ApplyReply{});
  }
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_EQ(bench.asked("b"), HandoffWindow::kFirst) << "and no more";
}

// Found by the simulator: a node was to keep them for ever, for they were all that it had room for.
TEST(StandIn, WhereThereIsNoRoomForAllOfTodaysOwnersOneOfThemGetsIt) {
  Bench bench({.max_bytes = 200});
  const ItemKey item = ItemOfOthersThan(bench, "b");
  ASSERT_EQ(bench.Keep("b", item, "milk"), Strings{"HintReply>a"});
  for (int i = 0; bench.Keep("b", item, "more " + std::to_string(i)) == Strings{"HintReply>a"};)
    ++i;
  const size_t full = bench.stored();
  for (const char* node : {"a", "c", "e"}) bench.Reach(node);
  Topology next = bench.topology();
  next.epoch = Epoch(next.epoch.value() + 1);
  bench.Install(next);
  Strings said = bench.Wake();
  for (std::string& one : bench.Pass(StandIn::kRest)) said.push_back(std::move(one));
  EXPECT_EQ(bench.stored(), full) << "no more than there was";
  for (int rounds = 0; rounds < 10 && bench.stored() > 0; ++rounds) {
    for (const char* node : {"a", "c", "e"}) {
      while (bench.asked(node) > 0) bench.Hear(node, ApplyReply{});
    }
    bench.Pass(StandIn::kLongestRest);
  }
  EXPECT_EQ(bench.stored(), 0u);
  EXPECT_FALSE(said.empty());
}

}  // namespace
}  // namespace gyre
