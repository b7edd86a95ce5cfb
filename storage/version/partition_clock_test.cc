#include "storage/version/partition_clock.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace gyre {
namespace {

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};
constexpr size_t kNoBound = SIZE_MAX;

PartitionClock Of(std::initializer_list<Dot> dots) {
  PartitionClock clock;
  for (const Dot& dot : dots) clock.Add(dot);
  return clock;
}

std::vector<DotRange> Missing(const PartitionClock& mine, const PartitionClock& theirs) {
  return mine.MissingFrom(theirs, kNoBound).ranges;
}

// What is done to a clock, for comparison with a plain set of dots.
struct Change {
  uint8_t replica = 0;
  uint16_t counter = 0;
  bool base = false;
};

// Dense at the bottom, sparse above, so that words fill up, run over their ends, and leave holes.
rc::Gen<std::vector<Change>> Changes() {
  return rc::gen::container<std::vector<Change>>(rc::gen::build<Change>(
      rc::gen::set(&Change::replica, rc::gen::inRange<uint8_t>(1, 4)),
      rc::gen::set(&Change::counter,
                   rc::gen::weightedOneOf<uint16_t>({{6, rc::gen::inRange<uint16_t>(1, 24)},
                                                     {3, rc::gen::inRange<uint16_t>(50, 140)},
                                                     {1, rc::gen::inRange<uint16_t>(1, 2000)}})),
      rc::gen::set(&Change::base, rc::gen::weightedElement<bool>({{9, false}, {1, true}}))));
}

struct Pair {
  PartitionClock clock;
  std::set<Dot> dots;
};

void ShowValue(const Change& change, std::ostream& os) {
  os << (change.base ? "base " : "dot ") << int{change.replica} << ":" << change.counter;
}
std::ostream& operator<<(std::ostream& os, const Change& change) {
  ShowValue(change, os);
  return os;
}

Pair Build(const std::vector<Change>& changes) {
  Pair pair;
  for (const Change& change : changes) {
    const Dot dot{ReplicaId(change.replica), change.counter};
    if (!change.base) {
      const bool fresh = pair.dots.insert(dot).second;
      RC_ASSERT(pair.clock.Add(dot) == fresh);
      continue;
    }
    pair.clock.JoinBases(VersionVector{dot});
    for (uint64_t n = 1; n <= dot.counter; ++n) pair.dots.insert({dot.replica, n});
  }
  return pair;
}

std::set<Dot> Expand(const std::vector<DotRange>& ranges) {
  std::set<Dot> dots;
  for (const DotRange& range : ranges) {
    for (uint64_t n = range.first; n <= range.last; ++n) dots.insert({range.replica, n});
  }
  return dots;
}

uint64_t BaseOf(const std::set<Dot>& dots, ReplicaId replica) {
  uint64_t base = 0;
  while (dots.contains({replica, base + 1})) ++base;
  return base;
}

TEST(PartitionClock, RaisesItsBaseOverEveryGaplessDot) {
  PartitionClock clock = Of({{kA, 2}, {kA, 3}});
  EXPECT_EQ(clock.Base(kA), 0u);
  EXPECT_TRUE(clock.Add({kA, 1}));
  EXPECT_EQ(clock.Base(kA), 3u);
  EXPECT_EQ(clock.entries()[0].above.size(), 0u);
}

TEST(PartitionClock, TellsWhetherADotIsNew) {
  PartitionClock clock;
  EXPECT_TRUE(clock.Add({kA, 1}));
  EXPECT_FALSE(clock.Add({kA, 1}));
  EXPECT_TRUE(clock.Add({kA, 9}));
  EXPECT_FALSE(clock.Add({kA, 9}));
}

TEST(PartitionClock, HoldsNeitherCounterZeroNorStrangers) {
  const PartitionClock clock = Of({{kA, 1}});
  EXPECT_FALSE(clock.Contains({kA, 0}));
  EXPECT_FALSE(clock.Contains({kB, 1}));
  EXPECT_EQ(clock.Highest(kB), 0u);
}

TEST(PartitionClock, CrossesTheEndOfAWord) {
  PartitionClock clock;
  for (uint64_t n = 2; n <= 200; ++n) clock.Add({kA, n});
  EXPECT_EQ(clock.Base(kA), 0u);
  EXPECT_EQ(clock.Highest(kA), 200u);
  clock.Add({kA, 1});
  EXPECT_EQ(clock.Base(kA), 200u);
  EXPECT_EQ(clock.entries()[0].above.size(), 0u);
}

TEST(PartitionClock, KeepsADotFarAboveAHoleInOneWord) {
  PartitionClock clock = Of({{kA, 1}, {kA, 1'000'000'000'000}, {kA, 1'000'000'000'001}});
  EXPECT_EQ(clock.entries()[0].above.size(), 1u);
  EXPECT_EQ(clock.Base(kA), 1u);
  EXPECT_EQ(clock.Highest(kA), 1'000'000'000'001u);
}

TEST(PartitionClock, ReportsBasesWithoutTheBitmap) {
  const PartitionClock clock = Of({{kA, 1}, {kA, 2}, {kA, 9}, {kB, 4}});
  EXPECT_EQ(clock.Bases(), (VersionVector{{kA, 2}}));
}

TEST(PartitionClock, TakesOverBitmapsInAWholeCopy) {
  PartitionClock mine = Of({{kA, 1}, {kA, 3}});
  mine.JoinAll(Of({{kA, 1}, {kA, 2}, {kA, 70}, {kB, 5}}));
  EXPECT_EQ(mine.Base(kA), 3u);
  EXPECT_TRUE(mine.Contains({kA, 70}));
  EXPECT_TRUE(mine.Contains({kB, 5}));
}

TEST(PartitionClock, NamesMissingDotsAsRanges) {
  const PartitionClock mine = Of({{kA, 1}, {kA, 2}, {kA, 9}, {kB, 1}});
  const PartitionClock theirs = Of({{kA, 1}, {kB, 1}, {kB, 2}});
  EXPECT_EQ(Missing(mine, theirs), (std::vector<DotRange>{{kA, 2, 2}, {kA, 9, 9}}));
  EXPECT_EQ(Missing(theirs, mine), (std::vector<DotRange>{{kB, 2, 2}}));
}

TEST(PartitionClock, NamesTheGapsOfAPeerThatHasHoles) {
  PartitionClock mine;
  mine.JoinBases(VersionVector{{kA, 100}});
  const PartitionClock theirs = Of({{kA, 1}, {kA, 3}, {kA, 64}, {kA, 100}, {kA, 101}});
  EXPECT_EQ(Missing(mine, theirs), (std::vector<DotRange>{{kA, 2, 2}, {kA, 4, 63}, {kA, 65, 99}}));
}

TEST(PartitionClock, NamesAMillionMissingDotsAsOneRange) {
  PartitionClock mine;
  mine.JoinBases(VersionVector{{kA, 1'000'000}});
  mine.Add({kA, 1'000'001});
  EXPECT_EQ(Missing(mine, PartitionClock()), (std::vector<DotRange>{{kA, 1, 1'000'001}}));
}

TEST(PartitionClock, SaysWhenABoundCutTheMissingDots) {
  const PartitionClock mine = Of({{kA, 2}, {kA, 4}, {kB, 1}});
  const MissingDots first = mine.MissingFrom(PartitionClock(), 2);
  EXPECT_FALSE(first.complete);
  EXPECT_EQ(first.ranges, (std::vector<DotRange>{{kA, 2, 2}, {kA, 4, 4}}));
  const MissingDots rest = mine.MissingFrom(PartitionClock(), 2, {kA, 4});
  EXPECT_TRUE(rest.complete);
  EXPECT_EQ(rest.ranges, (std::vector<DotRange>{{kB, 1, 1}}));
}

TEST(PartitionClock, RefusesEntriesThatAreNotSettled) {
  using Entry = PartitionClock::Entry;
  EXPECT_TRUE(PartitionClock::FromEntries({}).has_value());
  EXPECT_TRUE(PartitionClock::FromEntries({Entry{kA, 1, {{0, 0b1000}}}}).has_value());
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 0, {}}}).has_value()) << "empty";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 1, {{0, 0b100}}}}).has_value()) << "base + 1";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 5, {{0, 0b1000}}}}).has_value()) << "below";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 1, {{3, 0}}}}).has_value()) << "no bits";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 1, {{3, 1}, {3, 2}}}}).has_value())
      << "twice";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, 63, {{1, 1}}}}).has_value()) << "next word";
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kB, 1, {}}, Entry{kA, 1, {}}}).has_value());
  EXPECT_FALSE(PartitionClock::FromEntries({Entry{kA, kMaxCounter, {}}}).has_value());
}

TEST(PartitionClock, HoldsExactlyTheDotsOfAPlainSet) {
  EXPECT_TRUE(rc::check("clock is a set of dots", [] {
    const Pair pair = Build(*Changes());
    for (uint64_t r = 1; r < 4; ++r) {
      const ReplicaId replica(r);
      uint64_t highest = 0;
      for (uint64_t n = 1; n <= 2000; ++n) {
        const bool in = pair.dots.contains({replica, n});
        RC_ASSERT(pair.clock.Contains({replica, n}) == in);
        if (in) highest = n;
      }
      RC_ASSERT(pair.clock.Base(replica) == BaseOf(pair.dots, replica));
      RC_ASSERT(pair.clock.Highest(replica) == highest);
    }
    RC_ASSERT(Expand(pair.clock.MissingFrom(PartitionClock(), kNoBound).ranges) == pair.dots);
  }));
}

TEST(PartitionClock, IsEqualWhenItHoldsTheSameDots) {
  EXPECT_TRUE(rc::check("canonical", [] {
    const Pair pair = Build(*Changes());
    PartitionClock backwards;
    for (auto dot = pair.dots.rbegin(); dot != pair.dots.rend(); ++dot) backwards.Add(*dot);
    RC_ASSERT(backwards == pair.clock);
    const auto entries = pair.clock.entries();
    const auto copy = PartitionClock::FromEntries({entries.begin(), entries.end()});
    RC_ASSERT(copy.has_value());
    RC_ASSERT(*copy == pair.clock);
  }));
}

TEST(PartitionClock, JoinsToTheUnion) {
  EXPECT_TRUE(rc::check("union", [] {
    const Pair a = Build(*Changes());
    const Pair b = Build(*Changes());
    PartitionClock all = a.clock;
    all.JoinAll(b.clock);
    PartitionClock each = a.clock;
    for (const Dot& dot : b.dots) each.Add(dot);
    RC_ASSERT(all == each);
    RC_ASSERT(all.ContainsAll(a.clock) && all.ContainsAll(b.clock));
    RC_ASSERT(a.clock.ContainsAll(b.clock) == (all == a.clock));
  }));
}

TEST(PartitionClock, FindsExactlyTheMissingDotsWhateverTheBound) {
  EXPECT_TRUE(rc::check("difference", [] {
    const Pair mine = Build(*Changes());
    const Pair theirs = Build(*Changes());
    const auto bound = *rc::gen::inRange<size_t>(1, 5);
    std::set<Dot> expected;
    for (const Dot& dot : mine.dots) {
      if (!theirs.dots.contains(dot)) expected.insert(dot);
    }
    std::vector<DotRange> ranges;
    Dot after;
    for (bool complete = false; !complete;) {
      const MissingDots some = mine.clock.MissingFrom(theirs.clock, bound, after);
      RC_ASSERT(some.ranges.size() <= bound);
      complete = some.complete;
      ranges.insert(ranges.end(), some.ranges.begin(), some.ranges.end());
      if (!ranges.empty()) after = {ranges.back().replica, ranges.back().last};
    }
    RC_ASSERT(Expand(ranges) == expected);
    RC_ASSERT(ranges == mine.clock.MissingFrom(theirs.clock, kNoBound).ranges);
  }));
}

}  // namespace
}  // namespace gyre
