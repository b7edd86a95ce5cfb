#include "replication/judgement.h"

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "replication/trial.h"
#include "ring/random.h"
#include "storage/lone_owner.h"

namespace gyre {
namespace {

constexpr uint64_t kNow = 1'000;

Dot DotOf(char replica, uint64_t counter) { return {ReplicaOf(replica), counter}; }

// "x" under the dot (r, 1), "y" under (r, 2), ...; of an owner that has seen `context`.
Record Holding(const std::string& values, VersionVector context) {
  Record record;
  for (char value : values) {
    const auto counter = static_cast<uint64_t>(value - 'x' + 1);
    record.versions.push_back({DotOf('r', counter), 0, std::string(1, value)});
    context.RaiseTo(DotOf('r', counter));
  }
  record.context = std::move(context);
  return record;
}
Record Seen(const std::string& values, uint64_t upto) {
  return Holding(values, VersionVector({{ReplicaOf('r'), upto}}));
}

// An owner's clock that says what its record does.
PartitionClock ClockOf(const Record& record) {
  PartitionClock clock;
  clock.JoinBases(record.context);
  return clock;
}

std::vector<OwnersRecord> Others(const Record& b, const Record& c) {
  return {{NodeOf('b'), Share(b), {{DotOf('r', 1), {7, 7}, 1}}, ClockOf(b)},
          {NodeOf('c'), Share(c), {}, ClockOf(c)}};
}

Judgement JudgeAs(const Record& mine, const std::vector<OwnersRecord>& others, size_t owners) {
  return Judge(mine, ClockOf(mine), others, owners, kNow);
}

std::string Describe(const Judgement& judgement) {
  std::string text;
  for (NodeId owner : judgement.against) text += static_cast<char>(owner.value());
  if (judgement.unsettled) text += " unsettled";
  if (judgement.undecided) text += " undecided";
  if (judgement.mended.has_value()) {
    text += " mended";
    for (const Version& version : judgement.mended->versions) {
      text.append(" ").append(version.value.view());
    }
  }
  return text;
}

std::string JudgeThree(const Record& mine, const Record& b, const Record& c) {
  return Describe(JudgeAs(mine, Others(b, c), 3));
}

TEST(Judge, FindsNothingWhereOwnersHoldTheSame) {
  EXPECT_EQ(JudgeThree(Seen("x", 1), Seen("x", 1), Seen("x", 5)), "");
  EXPECT_EQ(JudgeThree(Seen("", 1), Seen("", 1), Seen("", 0)), "");
}

TEST(Judge, AWriteOnItsWayIsNoContradiction) {
  EXPECT_EQ(JudgeThree(Seen("x", 1), Seen("", 0), Seen("x", 1)), " unsettled")
      << "b has not heard of it";
  EXPECT_EQ(JudgeThree(Seen("x", 1), Seen("y", 2), Seen("x", 1)), " unsettled")
      << "b has seen what replaces it, and this owner has not";
  EXPECT_EQ(JudgeThree(Seen("y", 2), Seen("x", 1), Seen("x", 1)), " unsettled")
      << "and the other way round";
}

TEST(Judge, TakesInWhatWasLostHereAndAMajorityHolds) {
  const Judgement judgement = JudgeAs(Seen("", 1), Others(Seen("x", 1), Seen("x", 2)), 3);
  EXPECT_EQ(Describe(judgement), "bc mended x");
  EXPECT_EQ(judgement.mended->context, Seen("", 1).context);
  EXPECT_EQ(judgement.minted, (std::vector<Minted>{{DotOf('r', 1), {7, 7}, 1}}));
}

TEST(Judge, WhoHasSeenLessThanThisOwnerDoesNotBringBackWhatItDropped) {
  EXPECT_EQ(JudgeThree(Seen("", 3), Seen("x", 1), Seen("x", 2)), " unsettled");
  EXPECT_EQ(JudgeThree(Seen("", 3), Seen("x", 3), Seen("x", 2)), "b unsettled undecided")
      << "of two that hold it one has seen all that this owner has";
}

TEST(Judge, DropsWhatAMajorityHasDropped) {
  EXPECT_EQ(JudgeThree(Seen("x", 2), Seen("", 2), Seen("", 1)), "bc mended");
  EXPECT_EQ(JudgeThree(Seen("xy", 2), Seen("y", 2), Seen("y", 2)), "bc mended y");
}

TEST(Judge, LeavesToTheOtherOwnerWhatItHasLost) {
  EXPECT_EQ(JudgeThree(Seen("x", 1), Seen("", 1), Seen("x", 1)), "b");
  EXPECT_EQ(JudgeThree(Seen("", 1), Seen("x", 1), Seen("", 1)), "b") << "or has not dropped";
}

std::vector<OwnersRecord> Alone(const Record& b) {
  return {{NodeOf('b'), Share(b), {}, ClockOf(b)}};
}

TEST(Judge, WhatHasComeWithoutItsDotIsHeardOfByTheContextAlone) {
  const Record mine = Seen("x", 1), theirs = Seen("", 2);
  std::vector<OwnersRecord> others = Others(theirs, theirs);
  for (OwnersRecord& other : others) other.clock = ClockOf(mine);
  EXPECT_EQ(Describe(JudgeAs(mine, others, 3)), " unsettled");
  EXPECT_EQ(Describe(Judge(theirs, ClockOf(mine), Others(mine, mine), 3, kNow)), " unsettled");
}

TEST(Judge, WhoHasNotHeardOfAllAttemptsMayHoldOneThatGaveWay) {
  const Record mine = Seen("x", 2), theirs = Seen("", 2);
  PartitionClock clock = ClockOf(mine);
  std::vector<OwnersRecord> others = Others(theirs, theirs);
  others[0].clock.Add(DotOf('s', 1));
  EXPECT_EQ(Describe(Judge(mine, clock, others, 3, kNow)), "c unsettled");
  clock.Add(DotOf('s', 1));
  EXPECT_EQ(Describe(Judge(mine, clock, others, 3, kNow)), "bc mended");
}

TEST(Judge, WithoutAMajorityAllStaysAsItIs) {
  EXPECT_EQ(Describe(JudgeAs(Seen("x", 1), Alone(Seen("", 1)), 2)), "b undecided");
  EXPECT_EQ(Describe(JudgeAs(Seen("", 1), Alone(Seen("x", 1)), 2)), "b undecided");
  EXPECT_EQ(Describe(JudgeAs(Seen("", 1), Alone(Seen("x", 1)), 3)), "b undecided")
      << "who did not answer has no say";
  EXPECT_EQ(Describe(JudgeAs(Seen("", 1), Others(Seen("x", 1), Seen("x", 1)), 5)), "bc undecided")
      << "and counts all the same";
}

Record Changed(const std::string& value) {
  Record record = Seen("x", 1);
  record.versions.front().value = value;
  return record;
}

TEST(Judge, OfADotWithTwoContentsTheMajoritysStands) {
  EXPECT_EQ(JudgeThree(Changed("?"), Seen("x", 1), Seen("x", 1)), "bc mended x");
  EXPECT_EQ(JudgeThree(Seen("x", 1), Changed("?"), Seen("x", 1)), "b");
  EXPECT_EQ(JudgeThree(Seen("x", 1), Changed("?"), Changed("!")), "bc undecided");
  EXPECT_EQ(JudgeThree(Seen("", 1), Changed("?"), Seen("x", 1)), "bc undecided")
      << "lost here, and nobody knows what it was";
}

TEST(Judge, WhatExpiresSoonIsNotJudged) {
  Record expires = Seen("x", 1);
  expires.versions.front().expires_ms = kNow;
  EXPECT_EQ(JudgeThree(Seen("", 1), expires, expires), "");
  EXPECT_EQ(JudgeThree(expires, Seen("", 1), Seen("", 1)), "");
  expires.versions.front().expires_ms = kNow + 1;
  EXPECT_EQ(JudgeThree(Seen("", 1), expires, expires), "bc mended x");
}

// Three owners of real stores that take each other's writes in at random, late and in any order;
// some writes are tried again at another owner. Whatever they hold at whatever moments, none of it
// is a contradiction.
class Gossip {
 public:
  explicit Gossip(uint64_t seed) : random_(seed) {
    for (uint64_t i = 1; i <= 3; ++i) owners_.push_back(std::make_unique<LoneOwner>(seed * 10 + i));
  }
  Judgement Step() {
    const size_t who = random_.Below(3);
    random_.Chance(1, 2) ? Write(who) : Hear(who);
    past_[who].push_back(
        {NodeId(who + 1), Share(owners_[who]->Filled(item_)), {}, owners_[who]->clock()});
    std::vector<OwnersRecord> others;
    for (size_t other = 0; other < 3; ++other) {
      if (other == who || past_[other].empty()) continue;
      others.push_back(past_[other][random_.Below(past_[other].size())]);
    }
    return Judge(owners_[who]->Filled(item_), owners_[who]->clock(), others, 3, kNow);
  }

 private:
  void Write(size_t who) {
    WriteIntent intent;
    intent.kind = random_.Chance(1, 4) ? WriteKind::kDelete : WriteKind::kPut;
    intent.mode = random_.Chance(1, 3) ? WriteMode::kBlind : intent.mode;
    intent.value = "v";
    intent.write = {written_ > 0 && random_.Chance(1, 3) ? written_ : ++written_, 1};
    intent.attempt = ++attempts_;
    const MintOutcome change = owners_[who]->Mint(item_, std::move(intent));
    for (size_t other = 0; other < 3; ++other) {
      if (other != who) on_the_way_[other].push_back(change);
    }
  }
  void Hear(size_t who) {
    std::vector<MintOutcome>& waiting = on_the_way_[who];
    if (waiting.empty()) return;
    const size_t which = random_.Below(waiting.size());
    owners_[who]->Apply(item_, waiting[which]);
    waiting.erase(waiting.begin() + static_cast<ptrdiff_t>(which));
  }

  const ItemKey item_ = LoneOwner::Item("key");
  Random random_;
  std::vector<std::unique_ptr<LoneOwner>> owners_;
  std::array<std::vector<MintOutcome>, 3> on_the_way_;
  std::array<std::vector<OwnersRecord>, 3> past_;  // what each held, at some moments
  uint64_t written_ = 0;
  uint32_t attempts_ = 0;
};

TEST(Judge, NeverTakesWhatIsOnItsWayForAContradiction) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Gossip gossip(seed);
    for (int step = 0; step < 60; ++step) {
      const Judgement judgement = gossip.Step();
      ASSERT_TRUE(judgement.against.empty()) << "seed " << seed << " step " << step;
      ASSERT_FALSE(judgement.mended.has_value());
    }
  }
}

}  // namespace
}  // namespace gyre
