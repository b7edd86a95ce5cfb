#include "storage/version/version_vector.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/hash/hash_testing.h"

namespace gyre {
namespace {

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};
constexpr ReplicaId kC{3};

using Raises = std::vector<std::pair<uint8_t, uint8_t>>;

VersionVector Build(const Raises& raises) {
  VersionVector vector;
  for (const auto& [replica, counter] : raises) {
    vector.RaiseTo({ReplicaId(1 + replica % 8), counter});
  }
  return vector;
}

TEST(Dot, HashesLikeItCompares) {
  EXPECT_TRUE(
      absl::VerifyTypeImplementsAbslHashCorrectly({Dot{}, Dot{kA, 1}, Dot{kA, 2}, Dot{kB, 1}}));
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {Minted{}, Minted{{kA, 1}, {}, 0}, Minted{{kA, 1}, {0, 1}, 0}, Minted{{kA, 1}, {0, 1}, 1}}));
}

TEST(Dot, SortsByReplicaBeforeCounter) {
  EXPECT_LT((Dot{kA, 9}), (Dot{kB, 1}));
  EXPECT_LT((Dot{kA, 1}), (Dot{kA, 2}));
}

TEST(WriteId, IsEmptyOnlyWhenAllBitsAreZero) {
  EXPECT_TRUE(WriteId{}.empty());
  EXPECT_FALSE((WriteId{1, 0}).empty());
  EXPECT_FALSE((WriteId{0, 1}).empty());
}

TEST(VersionVector, CoversTheDotsUpToItsEntry) {
  const VersionVector vector{{kB, 3}};
  EXPECT_TRUE(vector.Covers({kB, 1}));
  EXPECT_TRUE(vector.Covers({kB, 3}));
  EXPECT_FALSE(vector.Covers({kB, 4}));
  EXPECT_FALSE(vector.Covers({kA, 1}));
  EXPECT_EQ(vector.Get(kC), 0u);
}

TEST(VersionVector, NeverLowersAnEntry) {
  VersionVector vector{{kA, 5}};
  vector.RaiseTo({kA, 2});
  EXPECT_EQ(vector.Get(kA), 5u);
}

TEST(VersionVector, KeepsNoEntryWithoutDots) {
  VersionVector vector;
  vector.RaiseTo({kA, 0});
  EXPECT_TRUE(vector.empty());
}

TEST(VersionVector, IsEmptyAfterItWasMovedFrom) {
  VersionVector from{{kA, 1}, {kB, 2}};
  VersionVector to{{kC, 9}};
  to = std::move(from);
  EXPECT_EQ(to, (VersionVector{{kA, 1}, {kB, 2}}));
  to = VersionVector();
  EXPECT_TRUE(to.empty());
}

TEST(VersionVector, JoinsToThePointwiseMaximum) {
  EXPECT_TRUE(rc::check("join is the maximum of a map", [](const Raises& x, const Raises& y) {
    std::map<uint64_t, uint64_t> maximum;
    for (const Raises* raises : {&x, &y}) {
      for (const auto& [replica, counter] : *raises) {
        uint64_t& entry = maximum[1 + replica % 8];
        entry = std::max<uint64_t>(entry, counter);
      }
    }
    std::erase_if(maximum, [](const auto& entry) { return entry.second == 0; });
    VersionVector joined = Build(x);
    joined.Join(Build(y));
    RC_ASSERT(joined.size() == maximum.size());
    auto expected = maximum.begin();
    for (const Dot& entry : joined.entries()) {
      RC_ASSERT(entry.replica.value() == expected->first);
      RC_ASSERT(entry.counter == expected->second);
      ++expected;
    }
    RC_ASSERT(joined.CoversAll(Build(x)) && joined.CoversAll(Build(y)));
  }));
}

TEST(VersionVector, DropsWhatBasesCoverAndJoinBringsItBack) {
  EXPECT_TRUE(rc::check("drop then join", [](const Raises& x, const Raises& y) {
    const VersionVector vector = Build(x);
    const VersionVector bases = Build(y);
    VersionVector dropped = vector;
    dropped.EraseCoveredBy(bases);
    for (const Dot& entry : dropped.entries()) RC_ASSERT(!bases.Covers(entry));
    VersionVector both = vector;
    both.Join(bases);
    dropped.Join(bases);
    RC_ASSERT(dropped == both);
  }));
}

}  // namespace
}  // namespace gyre
