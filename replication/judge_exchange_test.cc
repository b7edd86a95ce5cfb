#include "replication/judge_exchange.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "replication/trial.h"

namespace gyre {
namespace {

const ItemKey kItem{PartitionId(3, 5), TableId(1), "key"};

FetchReply Nothing() { return {{kItem, Share({}), {}}, {}, PartitionClock()}; }

Trial OfThree(std::string unreachable = "") {
  return Trial(std::make_unique<JudgeExchange>(kItem),
               {.owners = "abc", .self = 'a', .unreachable = std::move(unreachable)});
}

Judgement Unsettled() {
  Judgement judgement;
  judgement.unsettled = true;
  return judgement;
}

TEST(JudgeExchange, HasJudgedWhatTheOtherOwnersHold) {
  Trial trial = OfThree();
  EXPECT_EQ(trial.Start(), "Fetch>b, Fetch>c, wake 5000");
  EXPECT_EQ(trial.Hear('b', Nothing()), "wake 5000");
  EXPECT_EQ(trial.Hear('b', Nothing()), "wake 5000") << "nobody has two voices";
  EXPECT_EQ(trial.Hear('c', Nothing()), "judge 2");
  EXPECT_EQ(trial.Judged({}), "OK 0/0");
}

TEST(JudgeExchange, WhoDoesNotAnswerHasNoSay) {
  EXPECT_EQ(OfThree("bc").Start(), "QUORUM_NOT_MET 0/0");
  Trial away = OfThree("c");
  EXPECT_EQ(away.Start(), "Fetch>b, wake 5000");
  EXPECT_EQ(away.Hear('b', Nothing()), "judge 1");
  Trial lost = OfThree();
  lost.Start();
  lost.Hear('b', Nothing());
  EXPECT_EQ(lost.Lose('c'), "judge 1");
  Trial damaged = OfThree();
  damaged.Start();
  damaged.Hear('b', Nothing());
  EXPECT_EQ(damaged.Hear('c', Failed{Outcome::Code::kCorrupt}), "judge 1");
  Trial late = OfThree();
  late.Start();
  late.Hear('b', Nothing());
  EXPECT_EQ(late.At(5000).Wake(), "judge 1");
  Trial silent = OfThree();
  silent.Start();
  EXPECT_EQ(silent.At(5000).Wake(), "QUORUM_NOT_MET 0/0");
  Trial partial = OfThree();
  partial.Start();
  FetchReply without_values = Nothing();
  without_values.left_out = {0};
  EXPECT_EQ(partial.Hear('b', without_values), "wake 5000");
  EXPECT_EQ(partial.Hear('c', Nothing()), "judge 1");
  Trial unasked = OfThree();
  unasked.Start();
  EXPECT_TRUE(unasked.sent<Fetch>(0).with_clock);
  FetchReply without_clock = Nothing();
  without_clock.clock.reset();
  EXPECT_EQ(unasked.Hear('b', without_clock), "wake 5000");
  EXPECT_EQ(unasked.Hear('c', Nothing()), "judge 1");
}

TEST(JudgeExchange, AsksAgainWhileAWriteMayBeOnItsWay) {
  Trial trial = OfThree();
  trial.Start();
  trial.Hear('b', Nothing());
  trial.Hear('c', Nothing());
  EXPECT_EQ(trial.Judged(Unsettled()), "wake 200");
  EXPECT_EQ(trial.At(200).Wake(), "Fetch>b, Fetch>c, wake 5200");
  trial.Hear('b', Nothing());
  EXPECT_EQ(trial.Hear('c', Nothing()), "judge 2");
  EXPECT_EQ(trial.Judged(Unsettled()), "wake 2200");
  trial.At(2200).Wake();
  trial.Hear('b', Nothing());
  trial.Hear('c', Nothing());
  EXPECT_EQ(trial.Judged(Unsettled()), "wake 22200");
  trial.At(22'200).Wake();
  trial.Hear('b', Nothing());
  trial.Hear('c', Nothing());
  EXPECT_EQ(trial.Judged(Unsettled()), "OK 0/0") << "a later pass meets it again";
}

TEST(JudgeExchange, IsOverOnceThisOwnerIsMended) {
  Trial trial = OfThree();
  trial.Start();
  trial.Hear('b', Nothing());
  trial.Hear('c', Nothing());
  Judgement mended = Unsettled();
  mended.mended = Record{};
  EXPECT_EQ(trial.Judged(mended), "OK 0/0");
}

TEST(JudgeExchange, EndsWhereThisOwnersRecordCannotBeRead) {
  Trial trial = OfThree();
  trial.Start();
  trial.Hear('b', Nothing());
  trial.Hear('c', Nothing());
  EXPECT_EQ(trial.FailHere(Outcome::Code::kCorrupt), "CORRUPT 0/0");
  Trial stale = OfThree();
  stale.Start();
  EXPECT_EQ(stale.Hear('b', Refused{}), "STALE 0/0");
}

}  // namespace
}  // namespace gyre
