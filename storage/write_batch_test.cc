#include "storage/write_batch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gyre {
namespace {

std::vector<std::string> Told(const WriteBatch& batch) {
  std::vector<std::string> told;
  for (const WriteBatch::Change& change : batch.changes()) {
    static constexpr const char* kKinds[] = {"put", "erase", "range"};
    told.push_back(std::string(kKinds[static_cast<int>(change.kind)]) + " " +
                   std::to_string(static_cast<int>(change.family)) + " " + std::string(change.key) +
                   "=" + std::string(change.value));
  }
  return told;
}

WriteBatch Mixed(const std::string& mark) {
  WriteBatch batch;
  batch.Put(Family::kRecords, mark + "a", "1");
  batch.Erase(Family::kDotLog, mark + "bb");
  batch.EraseRange(Family::kHints, mark + "c", mark + "d");
  batch.Put(Family::kMeta, mark, "");
  return batch;
}

TEST(WriteBatch, HoldsItsChangesInTheirOrder) {
  EXPECT_EQ(Told(Mixed("")),
            (std::vector<std::string>{"put 0 a=1", "erase 1 bb=", "range 2 c=d", "put 3 ="}));
  EXPECT_TRUE(WriteBatch().empty());
  EXPECT_EQ(WriteBatch().changes().size(), 0u);
}

TEST(WriteBatch, BuildsAPutFromWhatIsAppended) {
  WriteBatch batch = Mixed("x");
  batch.Build(
      Family::kRecords, [](std::string* out) { out->append("key"); },
      [](std::string* out) { out->append("va").append("lue"); });
  batch.Build(
      Family::kRecords, [](std::string* out) { out->append("k"); }, [](std::string*) {});
  const std::vector<std::string> told = Told(batch);
  ASSERT_EQ(told.size(), 6u);
  EXPECT_EQ(told[4], "put 0 key=value");
  EXPECT_EQ(told[5], "put 0 k=");
}

TEST(WriteBatch, PutsAnotherBehindIt) {
  WriteBatch batch = Mixed("x-");
  const size_t bytes = batch.size_bytes();
  const WriteBatch other = Mixed("y--");
  std::vector<std::string> expected = Told(batch);
  for (const std::string& change : Told(other)) expected.push_back(change);
  batch.Append(other);
  batch.Append(WriteBatch());
  EXPECT_EQ(Told(batch), expected);
  EXPECT_EQ(batch.size_bytes(), bytes + other.size_bytes());
  batch.Put(Family::kRecords, "last", "one");
  EXPECT_EQ(Told(batch).back(), "put 0 last=one");
}

TEST(WriteBatch, CountsTheBytesOfKeysAndValues) {
  WriteBatch batch;
  batch.Put(Family::kRecords, "key", "value");
  batch.Erase(Family::kRecords, "key");
  batch.EraseRange(Family::kRecords, "a", "bc");
  EXPECT_EQ(batch.size_bytes(), 8u + 3u + 3u);
}

TEST(WriteBatch, RoomForAsMuchChangesNothing) {
  WriteBatch batch = Mixed("x");
  batch.ReserveLike(Mixed("a longer mark"));
  EXPECT_EQ(Told(batch), Told(Mixed("x")));
}

}  // namespace
}  // namespace gyre
