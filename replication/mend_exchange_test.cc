#include "replication/mend_exchange.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};

FetchReply With(char replica, uint64_t counter, std::string value) {
  Record record;
  const Dot dot{ReplicaOf(replica), counter};
  AddVersion(&record, {dot, 0, std::move(value)});
  return {{kItem, Share(std::move(record)), {{dot, {}, 0}}}, {}};
}
FetchReply Nothing() { return {{kItem, Share({}), {}}, {}}; }

Trial OfFour(std::string unreachable = "") {
  return Trial(std::make_unique<MendExchange>(
                   kItem, std::vector<NodeId>{NodeOf('a'), NodeOf('b'), NodeOf('c'), NodeOf('d')}),
               {.owners = "abc", .self = 'a', .unreachable = std::move(unreachable)});
}

TEST(MendExchange, PutsTogetherWhatTheOtherOwnersAndTheStandInsHave) {
  Trial trial = OfFour();
  EXPECT_EQ(trial.Start(), "Fetch>b, Fetch>c, FetchHints>d, wake 5000");
  EXPECT_EQ(trial.Hear('b', With('b', 1, "x")), "wake 5000");
  EXPECT_EQ(trial.Hear('c', Nothing()), "wake 5000");
  EXPECT_EQ(trial.Hear('d', With('g', 1, "hinted")), "restore x hinted, OK 0/0");
}

TEST(MendExchange, CountsNobodyTwice) {
  Trial trial = OfFour();
  trial.Start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(trial.Hear('b', With('b', 1, "x")), "wake 5000");
}

TEST(MendExchange, IsPutOffWhileAnyNodeIsAway) {
  EXPECT_EQ(OfFour("d").Start(), "QUORUM_NOT_MET 0/0") << "it may keep the only other copy";
  Trial lost = OfFour();
  lost.Start();
  EXPECT_EQ(lost.Lose('c'), "QUORUM_NOT_MET 0/0");
  Trial refused = OfFour();
  refused.Start();
  EXPECT_EQ(refused.Hear('c', Failed{Outcome::Code::kCorrupt}), "QUORUM_NOT_MET 0/0");
  Trial late = OfFour();
  late.Start();
  EXPECT_EQ(late.At(5000).Wake(), "TIMED_OUT 0/0");
}

TEST(MendExchange, ASoleOwnerHasNobodyToAsk) {
  Trial trial(std::make_unique<MendExchange>(kItem, std::vector<NodeId>{NodeOf('a')}),
              {.owners = "a", .self = 'a'});
  EXPECT_EQ(trial.Start(), "QUORUM_NOT_MET 0/0");
}

}  // namespace
}  // namespace gyre
