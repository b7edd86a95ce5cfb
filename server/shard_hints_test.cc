// Shard and what it keeps for others.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/shard_bench.h"

namespace gyre {
namespace {

using Bench = ShardBench;

// ------------------------------------------------------------------------------------------- hints

const Bench::Setup kFour = {.members = {"a", "b", "c", "d"}, .slices = 16};

// The owners of an item that "a" does not own, which are all others; the message that asks "a"
// comes from one of them.
TEST(Shard, AHintIsAcknowledgedOnceItIsDurable) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  const Hint hint = bench.HintOf("b", item, "milk");
  bench.HearAbout(item.partition, bench.topology().epoch, "c", hint, 5);
  EXPECT_EQ(bench.Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "HintReply>c");
}

TEST(Shard, WhoLeavesTakesNoHintInAndStaysWhileItKeepsOne) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  const auto hint = [&](ExchangeId exchange) {
    const Hint one = bench.HintOf("b", item, "milk");
    return bench.HearAbout(item.partition, bench.topology().epoch, "c", one, exchange).CommitAll();
  };
  EXPECT_EQ(hint(5), "HintReply>c");
  bench.SetState("a", MemberState::kLeaving);
  EXPECT_EQ(hint(6), "Failed>c") << "another one may keep it";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  EXPECT_FALSE(bench.shard().MayDepart(bench.topology().epoch));
  bench.Greet("b").Wake(0).Take();
  bench.EndHintScan().Take();
  bench.HearAbout(item.partition, bench.topology().epoch, "b", ApplyReply{}).CommitAll();
  EXPECT_TRUE(bench.shard().MayDepart(bench.topology().epoch));
  EXPECT_FALSE(bench.shard().MayDepart(Epoch(bench.topology().epoch.value() + 1)))
      << "in between it may have been to stay";
  bench.SetState("a", MemberState::kActive);
  EXPECT_FALSE(bench.shard().MayDepart(bench.topology().epoch)) << "it stays after all";
  EXPECT_EQ(hint(7), "HintReply>c");
}

TEST(Shard, WhoLeavesTakesNoWriteInAsAGuest) {
  Bench bench(kFour);
  bench.Lose("b").Lose("c").Lose("d");
  const ItemKey item = bench.Foreign();
  bench.SetState("a", MemberState::kLeaving);
  bench.WriteSloppily(1, item, "milk", 1).CommitAll();
  EXPECT_EQ(bench.shard().figures().stand_in.guests, 0u);
  bench.SetState("a", MemberState::kWaiting).WriteSloppily(2, item, "milk", 1);
  EXPECT_EQ(bench.CommitAll(), "reply 2 OK");
  EXPECT_EQ(bench.shard().figures().stand_in.guests, 1u);
}

TEST(Shard, WhoLeavesIsAskedToStandInAfterAllOthers) {
  for (const std::string leaver : {"", "d", "e"}) {
    Bench bench({.members = {"a", "b", "c", "d", "e"}, .slices = 16});
    const ItemKey item = bench.Mine();
    std::string lost;
    std::set<std::string> outside = {"b", "c", "d", "e"};
    for (const NodeId owner : bench.OwnersOf(item)) {
      outside.erase(bench.NameOf(owner));
      if (bench.NameOf(owner) != "a") lost = bench.NameOf(owner);
    }
    ASSERT_EQ(outside.size(), 2u);
    const std::string leaves = leaver == "d" ? *outside.begin() : *outside.rbegin();
    if (!leaver.empty()) bench.SetState(leaves, MemberState::kLeaving);
    bench.Lose(lost).WriteSloppily(1, item, "milk", 2);
    const std::string sent = bench.CommitAll();
    EXPECT_NE(sent.find("Hint>"), std::string::npos) << sent;
    EXPECT_TRUE(leaver.empty() || sent.find("Hint>" + leaves) == std::string::npos) << sent;
  }
}

TEST(Shard, AHintOfAPeriodicTableIsAcknowledgedUnsynced) {
  Bench::Setup setup = kFour;
  setup.durability = Durability::kPeriodic;
  Bench bench(setup);
  const ItemKey item = bench.Foreign();
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  EXPECT_EQ(bench.Take(), "commit unsynced");
}

TEST(Shard, AnOwnerThatIsBackGetsItsHintsAndTheyAreDropped) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  bench.Lose("b");
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  bench.CommitAll();
  EXPECT_EQ(bench.Greet("b").Wake(0).Take().substr(0, 10), "scan hints");
  EXPECT_EQ(bench.EndHintScan().Take(), "Handoff>b");
  EXPECT_EQ(*bench.sent<Handoff>(0).change.record, *bench.HintOf("b", item, "milk").change.record);
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 1u);
  bench.HearAbout(item.partition, bench.topology().epoch, "b", ApplyReply{});
  EXPECT_EQ(bench.Take(), "commit unsynced") << "to hand it over twice is harmless";
  bench.Commit().Take();
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 0u);
}

TEST(Shard, WhatIsHandedOverIsSyncedWhateverTheTablesDurability) {
  Bench bench({.durability = Durability::kPeriodic});
  const ItemKey item = bench.Item("key");
  bench.Hear("b", Handoff{bench.HintOf("a", item, "milk").change}, 5);
  EXPECT_EQ(bench.Take(), "commit") << "whoever kept it forgets it now";
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
}

TEST(Shard, HandOversGiveWayBeforeClientsDo) {
  ShardOptions options;
  options.max_unwritten_bytes = 1000;
  Bench bench({.options = options});
  const ItemKey item = bench.Item("key");
  bench.Hear("b", bench.ApplyOf("key", std::string(400, 'x')), 5);
  bench.Hear("c", Handoff{bench.HintOf("a", item, "milk").change}, 6);
  EXPECT_EQ(bench.Take(), "commit, Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  bench.Hear("b", bench.ApplyOf("key", "y", 2), 7);
  EXPECT_EQ(bench.CommitAll(), "ApplyReply>b") << "what clients wait for is taken";
}

TEST(Shard, OfABusyLaneHandOversTakeTurns) {
  Bench bench;
  const auto hand_over = [&](ExchangeId exchange) {
    const ItemKey item = bench.Item("key-" + std::to_string(exchange));
    return bench.Hear("c", Handoff{bench.HintOf("a", item, "milk").change}, exchange).CommitAll();
  };
  bench.shard().OnLoad(49, 0);
  EXPECT_EQ(hand_over(1), "ApplyReply>c");
  EXPECT_EQ(hand_over(2), "ApplyReply>c");
  bench.shard().OnLoad(50, 0);
  EXPECT_EQ(hand_over(3), "Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y", 2), 4).CommitAll(), "ApplyReply>b");
  bench.Wake(10).Take();
  EXPECT_EQ(hand_over(5), "ApplyReply>c") << "a few go on";
  EXPECT_EQ(hand_over(6), "Failed>c");
}

TEST(Shard, ASloppyWriteGoesToTheNodeThatStandsIn) {
  Bench bench(kFour);
  const ItemKey item = bench.Mine();
  std::vector<std::string> others;
  std::string stand_in;
  for (const std::string& name : kFour.members) {
    const auto view = View::Create(bench.topology(), bench.Id("a"));
    if (!view->IsOwner(item.partition, bench.Id(name))) stand_in = name;
    if (view->IsOwner(item.partition, bench.Id(name)) && name != "a") others.push_back(name);
  }
  for (const std::string& other : others) bench.Lose(other);
  bench.Take();
  bench.WriteSloppily(1, item, "milk", 2);
  EXPECT_EQ(bench.Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()),
            Sorted("Apply>" + others[0] + ", Apply>" + others[1] + ", Hint>" + stand_in))
      << "not before it is durable here";
  bench.HearAbout(item.partition, bench.topology().epoch, stand_in, HintReply{});
  EXPECT_EQ(bench.Take(), "reply 1 OK");
}

TEST(Shard, OfThoseThatMayStandInTheBusyAreAskedLast) {
  Bench bench({.members = {"a", "b", "c", "d", "e", "f"}, .slices = 16});
  const ItemKey item = bench.Mine();
  const auto view = View::Create(bench.topology(), bench.Id("a"));
  const auto any = [](NodeId) { return true; };
  std::vector<std::string> stand_ins;
  for (const NodeId node : view->StandIns(item.partition, 10, any)) {
    stand_ins.push_back(bench.NameOf(node));
  }
  ASSERT_EQ(stand_ins.size(), 3u);
  std::string owner;
  for (const NodeId node : view->Owners(item.partition)) {
    if (node != bench.Id("a")) owner = bench.NameOf(node);
  }
  bench.Lose(owner).Take();
  const auto hinted = [&](Token token) {
    bench.WriteSloppily(token, item, "milk", 3).CommitAll();
    for (const Envelope& send : bench.effects().sends) {
      if (std::holds_alternative<Hint>(send.message.body)) return bench.NameOf(send.to);
    }
    return std::string("nobody");
  };
  EXPECT_EQ(hinted(1), stand_ins[0]);
  bench.HearThatItIs(stand_ins[0], Load::kBusy);
  EXPECT_EQ(hinted(2), stand_ins[1]);
  bench.HearThatItIs(stand_ins[1], Load::kFull);
  EXPECT_EQ(hinted(3), stand_ins[0]) << "and never one beyond those that a retry looks at";
}

TEST(Shard, ACoordinatorThatStandsInItselfLooksAmongItsOwnHints) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  bench.CommitAll();
  for (const char* owner : {"b", "c", "d"}) bench.Lose(owner);
  bench.Take();
  bench.Read(1, item, /*needed=*/1, /*sloppy=*/true);
  bench.Take();
  EXPECT_EQ(bench.EndHintScan().Take(), "reply 1 OK milk");
}

TEST(Shard, AWriteWhoseOwnersAreAllLostIsKeptHereAndElsewhere) {
  Bench bench({.members = {"a", "b", "c", "d", "e"}, .slices = 16});
  const ItemKey item = bench.Foreign();
  std::string other;
  const auto view = View::Create(bench.topology(), bench.Id("a"));
  for (const char* name : {"b", "c", "d", "e"}) {
    if (view->IsOwner(item.partition, bench.Id(name))) {
      bench.Lose(name);
    } else {
      other = name;
    }
  }
  bench.Take();
  bench.WriteSloppily(1, item, "milk", 2);
  EXPECT_EQ(bench.Take(), "FetchHints>" + other);
  bench.HearAbout(item.partition, bench.topology().epoch, other,
                  FetchReply{{item, std::make_shared<const Record>(), {}}, {}});
  EXPECT_EQ(bench.Take(), "commit, Hint>" + other);
  bench.HearAbout(item.partition, bench.topology().epoch, other, HintReply{});
  EXPECT_EQ(bench.Take(), "") << "its own copy is not durable yet";
  EXPECT_EQ(bench.Commit().Take(), "reply 1 OK");
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 1u);
  EXPECT_EQ(bench.shard().figures().stand_in.guests, 1u);
}

}  // namespace
}  // namespace gyre
