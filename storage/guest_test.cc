#include "storage/guest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace gyre {
namespace {

constexpr PartitionId kPartition{3, 5};
const ItemKey kItem{kPartition, TableId(1), "cart"};

WriteIntent Put(const std::string& value, WriteMode mode = WriteMode::kBlind) {
  WriteIntent intent;
  intent.value = value;
  intent.mode = mode;
  return intent;
}

std::vector<std::string> Values(const MintOutcome& outcome) {
  std::vector<std::string> values;
  for (const Version& version : outcome.record.versions) {
    values.emplace_back(std::string_view(version.value));
  }
  std::sort(values.begin(), values.end());
  return values;
}
using Strings = std::vector<std::string>;

// Every dot that the record's versions have is explained.
bool Explains(const MintOutcome& outcome) {
  return std::all_of(
      outcome.record.versions.begin(), outcome.record.versions.end(), [&](const Version& version) {
        return std::any_of(outcome.minted.begin(), outcome.minted.end(),
                           [&](const Minted& minted) { return minted.dot == version.dot; });
      });
}

class GuestTest : public ::testing::Test {
 protected:
  MintOutcome Mint(WriteIntent intent, const ItemKey& item = kItem, Record known = {}) {
    std::vector<Minted> explained;
    for (const Version& version : known.versions) explained.push_back({version.dot, {1, 1}, 1});
    MintOutcome outcome =
        guest_.Mint(item, std::move(known), std::move(explained), std::move(intent), 1000);
    EXPECT_TRUE(outcome.kind != MintOutcome::Kind::kMinted || Explains(outcome));
    return outcome;
  }
  Guest guest_{MintLimits{.max_siblings = 3}, Random(1)};
};

TEST_F(GuestTest, MintsUnderAnIdOfItsOwn) {
  const MintOutcome minted = Mint(Put("milk"));
  EXPECT_EQ(minted.kind, MintOutcome::Kind::kMinted);
  EXPECT_EQ(Values(minted), Strings{"milk"});
  ASSERT_EQ(minted.minted.size(), 1u);
  EXPECT_NE(minted.minted[0].dot.replica, ReplicaId());
  EXPECT_EQ(minted.minted[0].dot.counter, 1u);
  EXPECT_TRUE(minted.record.context.Covers(minted.minted[0].dot));
  EXPECT_TRUE(minted.seen.vector.Covers(minted.minted[0].dot));
}

// A later dot of one id covers an earlier one.
TEST_F(GuestTest, UnderOneIdItBuildsOnWhatItMintedForTheItemBefore) {
  const MintOutcome first = Mint(Put("milk"));
  const MintOutcome other = Mint(Put("x"), {kPartition, TableId(1), "other"});
  const MintOutcome second = Mint(Put("eggs"));
  EXPECT_EQ(second.minted.back().dot.replica, first.minted[0].dot.replica);
  EXPECT_EQ(Values(second), (Strings{"eggs", "milk"}));
  EXPECT_EQ(Values(other), Strings{"x"});
}

TEST_F(GuestTest, OnceAHintHasLeftItTakesANewId) {
  const MintOutcome first = Mint(Put("milk"));
  guest_.Forget(PartitionId(3, 6));
  EXPECT_EQ(Mint(Put("tea")).minted.back().dot.replica, first.minted[0].dot.replica);
  guest_.Forget(kPartition);
  const MintOutcome second = Mint(Put("eggs"));
  EXPECT_NE(second.minted.back().dot.replica, first.minted[0].dot.replica);
  EXPECT_EQ(Values(second), Strings{"eggs"}) << "it knows nothing of what it minted before";
  EXPECT_FALSE(second.record.context.Covers(first.minted[0].dot)) << "and covers nothing of it";
}

TEST_F(GuestTest, AWriteThatItHeardOfOrHasMintedIsNotMintedAgain) {
  WriteIntent intent = Put("milk");
  intent.write = {7, 7};
  const MintOutcome first = Mint(intent);
  intent.attempt = 2;
  const MintOutcome again = Mint(intent);
  EXPECT_EQ(again.kind, MintOutcome::Kind::kAlreadyKnown);
  EXPECT_EQ(again.minted, first.minted);
  EXPECT_EQ(Values(again), Strings{"milk"});

  Record known;
  AddVersion(&known, {{ReplicaId(9), 4}, 0, "eggs"});
  intent.write = {1, 1};  // which explains what is known
  const MintOutcome heard = Mint(intent, {kPartition, TableId(1), "other"}, known);
  EXPECT_EQ(heard.kind, MintOutcome::Kind::kAlreadyKnown);
  EXPECT_EQ(Values(heard), Strings{"eggs"});
}

TEST_F(GuestTest, EachPartitionHasAnIdOfItsOwn) {
  const MintOutcome one = Mint(Put("milk"));
  const MintOutcome other = Mint(Put("eggs"), {PartitionId(3, 6), TableId(1), "cart"});
  EXPECT_NE(one.minted[0].dot.replica, other.minted[0].dot.replica);
  EXPECT_EQ(other.minted[0].dot.counter, 1u);
}

TEST_F(GuestTest, APutReplacesWhatItHeardOf) {
  Record known;
  AddVersion(&known, {{ReplicaId(9), 4}, 0, "old"});
  const MintOutcome minted = Mint(Put("new", WriteMode::kDefault), kItem, known);
  EXPECT_EQ(Values(minted), Strings{"new"});
  EXPECT_TRUE(minted.record.context.Covers({ReplicaId(9), 4}));
}

TEST_F(GuestTest, APutWithAContextReplacesWhatThatCovers) {
  Record known;
  AddVersion(&known, {{ReplicaId(8), 1}, 0, "seen"});
  AddVersion(&known, {{ReplicaId(9), 1}, 0, "unseen"});
  WriteIntent intent = Put("new", WriteMode::kDefault);
  intent.context = CausalContext{VersionVector{{ReplicaId(8), 1}}, {}};
  EXPECT_EQ(Values(Mint(std::move(intent), kItem, known)), (Strings{"new", "unseen"}));
}

TEST_F(GuestTest, ADeleteLeavesNothingOfWhatItHeardAndIsExplained) {
  Mint(Put("milk"));
  WriteIntent intent;
  intent.kind = WriteKind::kDelete;
  const MintOutcome gone = Mint(std::move(intent));
  EXPECT_EQ(Values(gone), Strings{});
  ASSERT_EQ(gone.minted.size(), 2u)
      << "its own dots are all explained, also those that it replaced";
  EXPECT_EQ(gone.minted.back().dot.counter, 2u);
}

TEST_F(GuestTest, RefusesOneSiblingTooMany) {
  for (const char* value : {"a", "b", "c"}) Mint(Put(value));
  const MintOutcome refused = Mint(Put("d"));
  EXPECT_EQ(refused.kind, MintOutcome::Kind::kTooManySiblings);
  EXPECT_EQ(Values(Mint(Put("all", WriteMode::kDefault))), Strings{"all"});
}

TEST_F(GuestTest, WhatItRemembersIsBounded) {
  const ReplicaId first = Mint(Put("milk")).minted[0].dot.replica;
  for (size_t i = 0; i < Guest::kMostItems; ++i) {
    Mint(Put("x"), {kPartition, TableId(1), std::to_string(i)});
  }
  const MintOutcome after = Mint(Put("eggs"));
  EXPECT_NE(after.minted.back().dot.replica, first);
  EXPECT_EQ(Values(after), Strings{"eggs"});
  const ReplicaId second = after.minted.back().dot.replica;
  Mint(Put(std::string(Guest::kMostBytes, 'x')), {kPartition, TableId(1), "large"});
  EXPECT_NE(Mint(Put("tea")).minted.back().dot.replica, second);
}

// A context is not signed, and what a peer says is no better.
TEST_F(GuestTest, WhoClaimsToHaveSeenMoreThanItMintedMakesItTakeANewId) {
  const Dot first = Mint(Put("milk")).minted[0].dot;
  WriteIntent intent = Put("eggs");
  intent.context = CausalContext{VersionVector{{first.replica, 1000}}, {}};
  const MintOutcome claimed = Mint(std::move(intent));
  EXPECT_NE(claimed.minted.back().dot.replica, first.replica);
  Record known;
  known.context.RaiseTo({claimed.minted.back().dot.replica, 7});
  const MintOutcome heard = Mint(Put("tea"), kItem, known);
  EXPECT_EQ(heard.kind, MintOutcome::Kind::kMinted);
  EXPECT_NE(heard.minted.back().dot.replica, claimed.minted.back().dot.replica);
}

TEST_F(GuestTest, SoManyDotsOfOneItemHaveAnIdAndThenAnotherOne) {
  std::set<ReplicaId> ids;
  for (size_t i = 0; i < 3 * Guest::kMostDots; ++i) {
    const MintOutcome minted = Mint(Put("x", WriteMode::kDefault));
    EXPECT_LE(minted.minted.size(), Guest::kMostDots);
    for (const Minted& one : minted.minted) ids.insert(one.dot.replica);
  }
  EXPECT_EQ(ids.size(), 3u);
}

TEST_F(GuestTest, InALastWriteWinsTableItsStampIsAboveAllThatItHeard) {
  Record known;
  AddVersion(&known, {{ReplicaId(9), 4}, uint64_t{1} << 60, "old"});
  WriteIntent intent = Put("new");
  intent.conflict = ConflictPolicy::kLastWriteWins;
  const MintOutcome minted = Mint(std::move(intent), kItem, known);
  ASSERT_EQ(minted.record.versions.size(), 1u);
  EXPECT_GT(minted.record.versions[0].stamp, uint64_t{1} << 60);
}

}  // namespace
}  // namespace gyre
