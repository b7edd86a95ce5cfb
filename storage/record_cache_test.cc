#include "storage/record_cache.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

constexpr PartitionId kPartition{3, 5};
constexpr TableId kTable(1);
constexpr TableId kOther(2);

Record RecordOf(std::string value) { return {{{{ReplicaId(7), 1}, 0, std::move(value)}}, {}}; }

// A cache with room for `records` of "0" to "9" with values of ten bytes, or for as much else.
class Bench {
 public:
  explicit Bench(size_t records) : cache_(records * Each()) {}

  static std::string Ten(char of = 'x') { return std::string(10, of); }
  static size_t Each() { return RecordCache::Charge("0", RecordOf(Ten())); }
  void Keep(const std::string& key, std::string value = Ten(), TableId table = kTable) {
    cache_.Keep({kPartition, table, key}, key, RecordOf(std::move(value)));
  }
  RecordCache::Entry* Pin(const std::string& key, std::string value = Ten(),
                          TableId table = kTable) {
    RecordCache::Entry& entry = cache_.Pin({kPartition, table, key}, key);
    entry.second.stored = RecordOf(std::move(value));
    return &entry;
  }
  // What the cache says of a key; "" where it says nothing.
  std::string Find(const std::string& key) {
    const RecordCache::Entry* const entry = cache_.Find(key);
    return entry == nullptr ? "" : std::string(entry->second.stored.versions.at(0).value);
  }
  // The keys of the clean entries, the one that was used last first.
  Strings Clean() const {
    Strings keys;
    cache_.ForEachClean([&](const RecordCache::Entry& entry) { keys.push_back(entry.first); });
    return keys;
  }
  RecordCache& cache() { return cache_; }

 private:
  RecordCache cache_;
};

TEST(RecordCache, FindsWhatItKeepsAndNothingElse) {
  Bench bench(16);
  bench.Keep("a", Bench::Ten('a'));
  EXPECT_EQ(bench.Find("a"), Bench::Ten('a'));
  EXPECT_EQ(bench.Find("b"), "");
}

TEST(RecordCache, BeyondItsBudgetWhatWasUsedLongestAgoLeaves) {
  Bench bench(16);
  for (char key = 'a'; key < 'a' + 16; ++key) bench.Keep({key});
  EXPECT_EQ(bench.cache().figures().bytes, 16 * Bench::Each());
  bench.Keep("q");
  EXPECT_EQ(bench.Find("a"), "");
  EXPECT_EQ(bench.Find("b"), Bench::Ten());
  EXPECT_EQ(bench.cache().figures().bytes, 16 * Bench::Each());
}

TEST(RecordCache, WhatIsFoundHasBeenUsed) {
  Bench bench(16);
  for (char key = 'a'; key < 'a' + 16; ++key) bench.Keep({key});
  bench.Find("a");
  bench.Find("c");
  bench.Find("c");
  bench.Keep("q");
  EXPECT_EQ(bench.Clean(), (Strings{"q", "c", "a", "p", "o", "n", "m", "l", "k", "j", "i", "h", "g",
                                    "f", "e", "d"}));
}

TEST(RecordCache, ALargerOneDrivesOutAsManyAsItNeeds) {
  Bench bench(32);
  for (char key = 'A'; key < 'A' + 32; ++key) bench.Keep({key});
  bench.Keep("large", std::string(10 + Bench::Each() - 4, 'x'));  // its key is longer by 4
  EXPECT_EQ(bench.Clean().size(), 31u);
  EXPECT_EQ(bench.cache().figures().bytes, 32 * Bench::Each());
}

TEST(RecordCache, ChargesKeyValuesContextAndWhatHoldsThemTogether) {
  const size_t bare = RecordCache::Charge("", {});
  EXPECT_GT(bare, sizeof(RecordCache::Entry));
  EXPECT_EQ(RecordCache::Charge("key", {}), bare + 3);
  Record record = RecordOf("seven b");
  const size_t one = RecordCache::Charge("", record);
  EXPECT_GE(one, bare + 7 + sizeof(Version));
  AddVersion(&record, {{ReplicaId(8), 1}, 0, std::string("four")});
  EXPECT_EQ(RecordCache::Charge("", record), one + one - bare - 3 + sizeof(Dot))
      << "another version, and its dot in the context";
}

TEST(RecordCache, WhatIsLargerThanASixteenthOfTheBudgetIsNotKept) {
  Bench bench(16);
  bench.Keep("a", std::string(11, 'x'));
  bench.cache().Release(bench.Pin("b", std::string(11, 'x')));
  EXPECT_EQ(bench.Clean(), Strings{});
  EXPECT_EQ(bench.Find("b"), "");
  bench.Keep("a");
  bench.cache().Release(bench.Pin("b"));
  EXPECT_EQ(bench.Clean(), (Strings{"b", "a"}));
}

TEST(RecordCache, WithoutABudgetItKeepsOnlyWhatIsPinned) {
  Bench bench(0);
  bench.Keep("a");
  RecordCache::Entry* const pinned = bench.Pin("b");
  EXPECT_EQ(bench.Find("a"), "");
  EXPECT_EQ(bench.Find("b"), Bench::Ten());
  bench.cache().Release(pinned);
  EXPECT_EQ(bench.Find("b"), "");
}

TEST(RecordCache, WhatIsPinnedStaysHoweverMuchComes) {
  Bench bench(16);
  bench.Pin("N");
  bench.Keep("O");
  bench.Pin("O", Bench::Ten('y'));
  for (char key = 'a'; key < 'a' + 26; ++key) bench.Keep({key});
  EXPECT_EQ(bench.Find("N"), Bench::Ten());
  EXPECT_EQ(bench.Find("O"), Bench::Ten('y'));
  EXPECT_EQ(bench.cache().figures().bytes, 16 * Bench::Each()) << "of what is clean";
}

TEST(RecordCache, PinningTwiceIsPinningOnce) {
  Bench bench(16);
  RecordCache::Entry* const once = bench.Pin("a");
  once->second.seq = 3;
  EXPECT_EQ(bench.Pin("a", Bench::Ten('y')), once);
  EXPECT_EQ(once->second.seq, 3u);
  EXPECT_EQ(bench.cache().figures().bytes, 0u);
  bench.cache().Release(once);
  EXPECT_EQ(bench.Clean(), Strings{"a"});
}

TEST(RecordCache, WhatIsReleasedIsTheNewestAndChargedAsItIsNow) {
  Bench bench(32);
  bench.Keep("a");
  bench.Keep("b");
  RecordCache::Entry* const pinned = bench.Pin("a", std::string(15, 'y'));
  EXPECT_EQ(bench.cache().figures().bytes, Bench::Each());
  bench.cache().Release(pinned);
  EXPECT_EQ(bench.Clean(), (Strings{"a", "b"}));
  EXPECT_EQ(bench.cache().figures().bytes, 2 * Bench::Each() + 5);
  EXPECT_EQ(bench.Find("a"), std::string(15, 'y'));
}

TEST(RecordCache, ARecordOfWhichNothingIsLeftLeavesWhenItIsReleased) {
  Bench bench(16);
  RecordCache::Entry* const pinned = bench.Pin("a");
  pinned->second.stored = Record{};
  EXPECT_NE(bench.cache().Find("a"), nullptr) << "the engine still has it";
  bench.cache().Release(pinned);
  EXPECT_EQ(bench.cache().Find("a"), nullptr);
  EXPECT_EQ(bench.cache().figures().bytes, 0u);
}

TEST(RecordCache, WhatTheEngineHoldsReplacesNothing) {
  Bench bench(16);
  bench.Pin("a", Bench::Ten('n'));
  bench.Keep("a", Bench::Ten('o'));
  EXPECT_EQ(bench.Find("a"), Bench::Ten('n'));
  EXPECT_EQ(bench.Clean(), Strings{});
}

TEST(RecordCache, TheCleanRecordsOfADroppedTableAreNotFoundAndLeaveWithAge) {
  Bench bench(16);
  bench.Keep("a");
  bench.Keep("b", Bench::Ten(), kOther);
  bench.Keep("c");
  bench.Keep("d", Bench::Ten(), kOther);
  bench.Keep("e");
  bench.cache().DropTable(kTable);
  EXPECT_EQ(bench.Clean(), (Strings{"d", "b"}));
  EXPECT_EQ(bench.Find("a") + bench.Find("c") + bench.Find("e"), "");
  for (char key = 'A'; key <= 'P'; ++key) bench.Keep(std::string(1, key), Bench::Ten(), kOther);
  EXPECT_EQ(bench.cache().figures().evictions, 5u);
  EXPECT_EQ(bench.cache().figures().bytes, 16 * Bench::Each());
}

TEST(RecordCache, OfADroppedTableNothingIsKeptAnyMore) {
  Bench bench(32);
  RecordCache::Entry* const pinned = bench.Pin("pinned");
  bench.cache().DropTable(kTable);
  EXPECT_EQ(bench.Find("pinned"), Bench::Ten());
  bench.cache().Release(pinned);
  bench.Keep("late");
  bench.Keep("other", Bench::Ten(), kOther);
  EXPECT_EQ(bench.Clean(), Strings{"other"});
  EXPECT_EQ(bench.cache().figures().bytes, RecordCache::Charge("other", RecordOf(Bench::Ten())));
}

TEST(RecordCache, ToPeekIsNotToUseAndIsNotCounted) {
  Bench bench(16);
  for (int i = 0; i < 16; ++i) bench.Keep(std::string(1, static_cast<char>('A' + i)));
  EXPECT_NE(bench.cache().Peek("A"), nullptr);
  EXPECT_EQ(bench.cache().Peek("none"), nullptr);
  bench.Keep("Z");
  EXPECT_EQ(bench.cache().Peek("A"), nullptr) << "it was the oldest";
  EXPECT_EQ(bench.cache().figures().hits, 0u);
  EXPECT_EQ(bench.cache().figures().misses, 0u);
  EXPECT_EQ(bench.cache().figures().evictions, 1u);
}

// As for a record of many siblings that one write replaced, or one that was stored while a base was
// behind.
TEST(RecordCache, WhatIsReleasedKeepsNoRoomForWhatItHadBefore) {
  RecordCache cache(1 << 20);
  RecordCache::Entry& entry = cache.Pin({kPartition, kTable, "a"}, "a");
  Record& stored = entry.second.stored;
  for (uint64_t i = 1; i <= 64; ++i) {
    stored.versions.push_back({{ReplicaId(i), 1}, 0, std::string("v")});
    stored.context.Append({ReplicaId(i), 1});
  }
  stored.versions.resize(1);
  stored.context.Clear();
  cache.Release(&entry);
  EXPECT_EQ(stored.versions.capacity(), 1u);
  EXPECT_LE(stored.context.capacity(), 4u);
}

TEST(RecordCache, CountsWhatItFoundAndWhatItDidNot) {
  Bench bench(16);
  bench.Keep("a");
  bench.Pin("b");
  for (const char* key : {"a", "b", "b", "c"}) bench.Find(key);
  EXPECT_EQ(bench.cache().figures().hits, 3u);
  EXPECT_EQ(bench.cache().figures().misses, 1u);
}

TEST(RecordCacheDeathTest, OnlyWhatIsPinnedIsReleased) {
  Bench bench(16);
  RecordCache::Entry* const pinned = bench.Pin("a");
  bench.cache().Release(pinned);
  EXPECT_DEATH(bench.cache().Release(pinned), "only what is pinned");
}

}  // namespace
}  // namespace gyre
