#include "test/bench/key_chooser.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace gyre {
namespace {

constexpr int kDraws = 400'000;

std::vector<int> Count(const KeyChooser& chooser, uint64_t keys, uint64_t newest) {
  Random random(42);
  std::vector<int> drawn(newest);
  for (int i = 0; i < kDraws; ++i) ++drawn.at(chooser.Draw(&random, newest));
  EXPECT_LE(keys, newest);
  return drawn;
}

TEST(KeyChooser, UniformDrawsEachKeyAlike) {
  const std::vector<int> drawn = Count(KeyChooser(KeyLaw::kUniform, 100), 100, 100);
  for (int count : drawn) EXPECT_NEAR(count, kDraws / 100, kDraws / 100 * 0.08);
}

TEST(KeyChooser, ZipfianDrawsTheFirstRanksAsOftenAsTheLawSays) {
  // The two most frequent are drawn exactly, the others by an approximation of the law.
  const ZipfianRanks ranks(1000);
  const KeyChooser chooser(KeyLaw::kZipfian, 1000);
  const std::vector<int> drawn = Count(chooser, 1000, 1000);
  for (const auto& [rank, within] : {std::pair{0, 0.02}, {1, 0.03}, {2, 0.2}, {10, 0.2}}) {
    const double expected = ranks.Probability(rank) * kDraws;
    EXPECT_NEAR(drawn[chooser.KeyOfRank(rank)], expected, expected * within) << "rank " << rank;
  }
}

TEST(KeyChooser, ZipfianGivesTheTenthThatIsDrawnMostItsShareByTheLaw) {
  const ZipfianRanks ranks(1000);
  const KeyChooser chooser(KeyLaw::kZipfian, 1000);
  const std::vector<int> drawn = Count(chooser, 1000, 1000);
  double expected = 0;
  int there = 0;
  for (uint64_t rank = 0; rank < 100; ++rank) {
    expected += ranks.Probability(rank);
    there += drawn[chooser.KeyOfRank(rank)];
  }
  EXPECT_NEAR(there, expected * kDraws, 0.03 * kDraws);
  EXPECT_GT(expected, 0.6) << "a tenth of the keys takes most of the requests";
}

TEST(KeyChooser, RanksArePermutedOverTheKeys) {
  for (uint64_t count : {1, 2, 3, 10, 97, 1000}) {
    const KeyChooser chooser(KeyLaw::kZipfian, count);
    std::set<uint64_t> keys;
    for (uint64_t rank = 0; rank < count; ++rank) keys.insert(chooser.KeyOfRank(rank));
    EXPECT_EQ(keys.size(), count);
    EXPECT_LT(*keys.rbegin(), count);
  }
}

TEST(KeyChooser, LatestDrawsTheNewestMostAndFollowsInserts) {
  const KeyChooser chooser(KeyLaw::kLatest, 100);
  const std::vector<int> before = Count(chooser, 100, 100);
  EXPECT_EQ(std::max_element(before.begin(), before.end()) - before.begin(), 99);
  const std::vector<int> after = Count(chooser, 100, 150);
  EXPECT_EQ(std::max_element(after.begin(), after.end()) - after.begin(), 149);
  EXPECT_EQ(after[49], 0) << "older than all that the law covers";
}

TEST(KeyChooser, AnyLawCanDrawFromOneKeyOrTwo) {
  Random random(1);
  for (KeyLaw law : {KeyLaw::kUniform, KeyLaw::kZipfian, KeyLaw::kLatest}) {
    for (uint64_t count : {1, 2, 3}) {
      const KeyChooser chooser(law, count);
      for (int i = 0; i < 1000; ++i) EXPECT_LT(chooser.Draw(&random, count), count);
    }
  }
}

TEST(KeyChooser, TheSameSeedDrawsTheSameKeys) {
  const KeyChooser chooser(KeyLaw::kZipfian, 1'000'000);
  Random one(7), other(7);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(chooser.Draw(&one, 0), chooser.Draw(&other, 0));
}

TEST(KeyChooser, NamesOfKeysSortAsTheirNumbers) {
  EXPECT_EQ(KeyName(7), "user000000000007");
  EXPECT_LT(KeyName(9), KeyName(10));
  EXPECT_EQ(KeyName(999'999'999'999).size(), KeyName(0).size());
}

}  // namespace
}  // namespace gyre
