#include "replication/judgement.h"

#include <map>
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

std::vector<OwnersRecord> Others(const Record& b, const Record& c) {
  return {{NodeOf('b'), Share(b), {{DotOf('r', 1), {7, 7}, 1}}}, {NodeOf('c'), Share(c), {}}};
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
  return Describe(Judge(mine, Others(b, c), 3, kNow));
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
  const Judgement judgement = Judge(Seen("", 1), Others(Seen("x", 1), Seen("x", 2)), 3, kNow);
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

TEST(Judge, WithoutAMajorityAllStaysAsItIs) {
  EXPECT_EQ(Describe(Judge(Seen("x", 1), {{NodeOf('b'), Share(Seen("", 1)), {}}}, 2, kNow)),
            "b undecided");
  EXPECT_EQ(Describe(Judge(Seen("", 1), {{NodeOf('b'), Share(Seen("x", 1)), {}}}, 2, kNow)),
            "b undecided");
  EXPECT_EQ(Describe(Judge(Seen("", 1), {{NodeOf('b'), Share(Seen("x", 1)), {}}}, 3, kNow)),
            "b undecided")
      << "who did not answer has no say";
  EXPECT_EQ(Describe(Judge(Seen("", 1), Others(Seen("x", 1), Seen("x", 1)), 5, kNow)),
            "bc undecided")
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

// Three owners of real stores that take each other's writes in at random, late and in any order.
// Whatever they hold at whatever moments, none of it is a contradiction.
TEST(Judge, NeverTakesWhatIsOnItsWayForAContradiction) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    std::vector<std::unique_ptr<LoneOwner>> owners;
    for (uint64_t i = 1; i <= 3; ++i) owners.push_back(std::make_unique<LoneOwner>(seed * 10 + i));
    std::vector<std::vector<MintOutcome>> on_the_way(3);
    std::vector<std::vector<Record>> past(3);  // what each held of the item, at some moments
    const ItemKey item = LoneOwner::Item("key");
    for (int step = 0; step < 60; ++step) {
      const size_t who = random.Below(3);
      LoneOwner& owner = *owners[who];
      if (random.Chance(1, 2)) {
        const MintOutcome change = random.Chance(1, 4)
                                       ? owner.Delete("key")
                                       : owner.Put("key", "v" + std::to_string(step));
        for (size_t other = 0; other < 3; ++other) {
          if (other != who) on_the_way[other].push_back(change);
        }
      } else if (!on_the_way[who].empty()) {
        const size_t which = random.Below(on_the_way[who].size());
        owner.Apply(item, on_the_way[who][which]);
        on_the_way[who].erase(on_the_way[who].begin() + static_cast<ptrdiff_t>(which));
      }
      past[who].push_back(owner.Filled(item));
      std::vector<OwnersRecord> others;
      for (size_t other = 0; other < 3; ++other) {
        if (other == who || past[other].empty()) continue;
        const Record& then = past[other][random.Below(past[other].size())];
        others.push_back({NodeId(other + 1), Share(then), {}});
      }
      const Judgement judgement = Judge(owner.Filled(item), others, 3, kNow);
      ASSERT_TRUE(judgement.against.empty()) << "seed " << seed << " step " << step;
      ASSERT_FALSE(judgement.mended.has_value());
    }
  }
}

}  // namespace
}  // namespace gyre
