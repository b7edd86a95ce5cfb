#include "storage/readable.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
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

TEST_F(ReadableTest, EndsWithTheRangeWhereNothingElseCanBeRead) {
  for (int i = 150; i <= 199; ++i) ASSERT_TRUE(engine_.Damage(Family::kRecords, KeyOf(i)));
  EXPECT_EQ(ReadBehind(150, "\x06"), "nothing");
  EXPECT_EQ(ReadBehind(150, KeyOf(170)), "nothing");
}

}  // namespace
}  // namespace gyre
