#include "storage/readable.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ring/random.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

class ReadableTest : public testing::Test {
 protected:
  ReadableTest() {
    WriteBatch batch;
    for (int i = 100; i < 200; ++i) batch.Put(Family::kRecords, KeyOf(i), "value");
    EXPECT_TRUE(engine_.Write(batch, WalSync::kYes).ok());
  }
  static std::string KeyOf(int i) { return "\x05key-" + std::to_string(i); }
  // The first key that is read behind damage that begins at `i`.
  std::string ReadBehind(int i, const std::string& end) {
    const std::unique_ptr<Snapshot> snapshot = engine_.TakeSnapshot();
    const std::string from = FindReadable(*snapshot, Family::kRecords, KeyOf(i - 1) + '\0', end);
    std::string first = "nothing";
    EXPECT_TRUE(snapshot
                    ->Scan(Family::kRecords, from, end,
                           [&](std::string_view key, std::string_view) {
                             first = key;
                             return false;
                           })
                    .ok());
    return first;
  }

  MemoryEngine engine_;
};

TEST_F(ReadableTest, FindsTheKeyBehindOneThatIsDamaged) {
  for (int i : {101, 109, 110, 142, 199 - 1}) {
    ASSERT_TRUE(engine_.Damage(Family::kRecords, KeyOf(i)));
    EXPECT_EQ(ReadBehind(i, "\x06"), KeyOf(i + 1));
  }
}

TEST_F(ReadableTest, FindsTheKeyBehindARunThatIsDamaged) {
  for (int i = 123; i <= 171; ++i) ASSERT_TRUE(engine_.Damage(Family::kRecords, KeyOf(i)));
  EXPECT_EQ(ReadBehind(123, "\x06"), KeyOf(172));
}

// Their beginnings are alike for a few bytes or none, so that the ends of what is halved are long.
TEST_F(ReadableTest, FindsTheKeyBehindARunOfLongKeys) {
  for (const size_t size : {20, 57, 60, 100, 126, 200, 254, 300}) {
    MemoryEngine engine;
    Random random(size);
    std::set<std::string> keys;
    WriteBatch batch;
    while (keys.size() < 300) {
      std::string key = "\x05";
      while (key.size() < size) key += static_cast<char>('a' + random.Below(26));
      batch.Put(Family::kRecords, key, "value");
      keys.insert(std::move(key));
    }
    ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
    const std::vector<std::string> sorted(keys.begin(), keys.end());
    for (int i = 100; i < 140; ++i) ASSERT_TRUE(engine.Damage(Family::kRecords, sorted[i]));
    const std::unique_ptr<Snapshot> snapshot = engine.TakeSnapshot();
    const std::string from = FindReadable(*snapshot, Family::kRecords, sorted[99] + '\0', "\x06");
    EXPECT_GT(from, sorted[139]) << size;
    EXPECT_LE(from, sorted[140]) << size;
  }
}

TEST_F(ReadableTest, EndsWithTheRangeWhereNothingElseCanBeRead) {
  for (int i = 150; i <= 199; ++i) ASSERT_TRUE(engine_.Damage(Family::kRecords, KeyOf(i)));
  EXPECT_EQ(ReadBehind(150, "\x06"), "nothing");
  EXPECT_EQ(ReadBehind(150, KeyOf(170)), "nothing");
}

}  // namespace
}  // namespace gyre
