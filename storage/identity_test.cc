#include "storage/identity.h"

#include <gtest/gtest.h>

#include <string>

#include "ring/bytes.h"
#include "ring/member.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

ExpectedIdentity Expected() {
  return {.cluster = ClusterId(11),
          .cluster_name = "shop",
          .node = NodeId(22),
          .node_name = "n1",
          .slices = 256,
          .places = {"\"n1\" in zone \"a\"", "\"n2\" in zone \"b\""}};
}

constexpr uint64_t kInstance = 0x1234'5678'9abc'def0;

AssertionResult SaysAll(const absl::Status& status, absl::StatusCode code,
                        std::initializer_list<const char*> parts) {
  if (status.code() != code) return AssertionFailure() << status;
  for (const char* part : parts) {
    if (status.message().find(part) == absl::string_view::npos) {
      return AssertionFailure() << status << " does not say: " << part;
    }
  }
  return AssertionSuccess();
}

TEST(Identity, IsWrittenAtTheFirstOpenAndReadAtTheNext) {
  MemoryEngine engine;
  const auto first = OpenIdentity(&engine, Expected(), kInstance);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->boots, 1U);
  const auto second = OpenIdentity(&engine, Expected(), kInstance + 1);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->boots, 2U);
  for (const Identity& identity : {*first, *second}) {
    EXPECT_EQ(identity.cluster, ClusterId(11));
    EXPECT_EQ(identity.node, NodeId(22));
    EXPECT_EQ(identity.node_name, "n1");
    EXPECT_EQ(identity.slices, 256U);
    EXPECT_EQ(identity.instance, kInstance);
  }
}

TEST(Identity, AnEmptyDirectoryIsUnprovenUntilItIsSaidOtherwise) {
  MemoryEngine engine;
  EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance)->standing, Standing::kUnproven);
  EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance)->standing, Standing::kUnproven);
  for (const Standing standing : {Standing::kReplaced, Standing::kProven}) {
    ASSERT_TRUE(engine.Write(StandingBatch(standing), WalSync::kYes).ok());
    EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance)->standing, standing);
  }
}

TEST(Identity, ADirectoryOfABuildThatAskedNobodyIsProven) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  WriteBatch older;
  older.Erase(Family::kMeta, EncodeNodeKey("standing"));
  ASSERT_TRUE(engine.Write(older, WalSync::kYes).ok());
  EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance)->standing, Standing::kProven);
}

TEST(Identity, RefusesADamagedStanding) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  for (const char* bytes : {"", "\x07", "xx"}) {
    WriteBatch damage;
    damage.Put(Family::kMeta, EncodeNodeKey("standing"), bytes);
    ASSERT_TRUE(engine.Write(damage, WalSync::kYes).ok());
    EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance).status().code(),
              absl::StatusCode::kDataLoss);
  }
}

TEST(Identity, RefusesOtherMembersAndNamesTheDifference) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity moved = Expected();
  moved.places[1] = "\"n2\" in zone \"c\"";
  EXPECT_TRUE(SaysAll(
      OpenIdentity(&engine, moved, kInstance).status(), absl::StatusCode::kFailedPrecondition,
      {"directory has: \"n2\" in zone \"b\"", "configuration has: \"n2\" in zone \"c\""}));
  ExpectedIdentity fewer = Expected();
  fewer.places.pop_back();
  EXPECT_FALSE(OpenIdentity(&engine, fewer, kInstance).ok());
  EXPECT_EQ(OpenIdentity(&engine, Expected(), kInstance)->boots, 2U) << "nothing was written";
}

TEST(Identity, TakesTheMembersThatThereAreNow) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity more = Expected();
  more.places_now = more.places;
  more.places_now.emplace_back("\"n3\" in zone \"c\"");
  EXPECT_TRUE(OpenIdentity(&engine, more, kInstance).ok()) << "the list of the first start";
  more.places = more.places_now;
  EXPECT_TRUE(OpenIdentity(&engine, more, kInstance).ok()) << "the list of today";
  more.places.emplace_back("\"n4\" in zone \"d\"");
  EXPECT_FALSE(OpenIdentity(&engine, more, kInstance).ok());
}

TEST(Identity, WhoJoinsHasAnIdThatIsOfItsDirectory) {
  ExpectedIdentity joining = Expected();
  joining.joins = true;
  MemoryEngine engine;
  const auto first = OpenIdentity(&engine, joining, kInstance);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->node, NodeIdFromName(ClusterId(11), "n1", kInstance));
  EXPECT_EQ(first->standing, Standing::kProven);
  EXPECT_EQ(OpenIdentity(&engine, joining, kInstance + 1)->node, first->node);
  // Also once the configuration lists it.
  const auto listed = OpenIdentity(&engine, Expected(), kInstance + 1);
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->node, first->node);
  MemoryEngine other;
  EXPECT_NE(OpenIdentity(&other, joining, kInstance + 1)->node, first->node);
  joining.node_name = "n2";
  EXPECT_FALSE(OpenIdentity(&engine, joining, kInstance).ok());
}

TEST(Identity, TakesTheMembersOfTheFirstOpenWhereAnOlderBuildKeptNone) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  WriteBatch batch;
  batch.Erase(Family::kMeta, EncodeNodeKey("places"));
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity fewer = Expected();
  fewer.places.pop_back();
  EXPECT_FALSE(OpenIdentity(&engine, fewer, kInstance).ok());
}

TEST(Identity, IsDurableBeforeOpenReturns) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  EXPECT_EQ(engine.unsynced_batches(), 0U);
  ASSERT_TRUE(MarkClean(&engine).ok());
  EXPECT_EQ(engine.unsynced_batches(), 0U);
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  EXPECT_EQ(engine.unsynced_batches(), 0U);
}

TEST(Identity, TellsACleanStopFromAnyOther) {
  MemoryEngine engine;
  EXPECT_TRUE(OpenIdentity(&engine, Expected(), kInstance)->last_stop_clean);
  EXPECT_FALSE(OpenIdentity(&engine, Expected(), kInstance)->last_stop_clean);
  ASSERT_TRUE(MarkClean(&engine).ok());
  EXPECT_TRUE(OpenIdentity(&engine, Expected(), kInstance)->last_stop_clean);
  EXPECT_FALSE(OpenIdentity(&engine, Expected(), kInstance)->last_stop_clean);
}

TEST(Identity, RefusesADirectoryOfAnotherCluster) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity other = Expected();
  other.cluster = ClusterId(12);
  other.cluster_name = "bank";
  EXPECT_TRUE(SaysAll(OpenIdentity(&engine, other, kInstance).status(),
                      absl::StatusCode::kFailedPrecondition,
                      {"cluster", "\"shop\" (id 000000000000000b)",
                       "\"bank\" (id 000000000000000c)", "data directory of its own"}));
}

TEST(Identity, RefusesADirectoryOfAnotherNode) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity other = Expected();
  other.node = NodeId(23);
  other.node_name = "n2";
  EXPECT_TRUE(SaysAll(OpenIdentity(&engine, other, kInstance).status(),
                      absl::StatusCode::kFailedPrecondition,
                      {"node", "\"n1\"", "\"n2\"", "data directory of its own"}));
}

TEST(Identity, RefusesADirectoryOfAnotherNumberOfPartitions) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ExpectedIdentity other = Expected();
  other.slices = 512;
  EXPECT_TRUE(SaysAll(OpenIdentity(&engine, other, kInstance).status(),
                      absl::StatusCode::kFailedPrecondition, {"256", "512", "put the old one"}));
}

TEST(Identity, RefusesANewerFormatWhateverFollowsIt) {
  MemoryEngine engine;
  ByteWriter writer;
  writer.Put(kStorageFormat + 1);
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("identity"), writer.Take() + "of another shape");
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  EXPECT_TRUE(SaysAll(OpenIdentity(&engine, Expected(), kInstance).status(),
                      absl::StatusCode::kFailedPrecondition,
                      {"format 2", "up to 1", "newer build"}));
}

TEST(Identity, WritesNothingIntoADirectoryThatItRefuses) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  ASSERT_TRUE(MarkClean(&engine).ok());
  const uint64_t writes = engine.counters().writes;
  ExpectedIdentity other = Expected();
  other.node_name = "n9";
  EXPECT_FALSE(OpenIdentity(&engine, other, kInstance).ok());
  EXPECT_EQ(engine.counters().writes, writes);
  EXPECT_TRUE(OpenIdentity(&engine, Expected(), kInstance)->last_stop_clean);
}

TEST(Identity, RefusesDataWithoutAnIdentity) {
  for (int family = 0; family < kFamilies; ++family) {
    MemoryEngine engine;
    WriteBatch batch;
    batch.Put(static_cast<Family>(family), "a", "1");
    ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
    EXPECT_TRUE(SaysAll(OpenIdentity(&engine, Expected(), kInstance).status(),
                        absl::StatusCode::kDataLoss, {"no identity"}));
  }
}

TEST(Identity, CallsEveryCutOfItselfDamaged) {
  MemoryEngine engine;
  ASSERT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
  for (const char* name : {"identity", "runs"}) {
    const std::string key = EncodeNodeKey(name);
    const std::string whole = *engine.Get(Family::kMeta, key);
    for (size_t size = 0; size < whole.size(); ++size) {
      ASSERT_TRUE([&] {
        WriteBatch batch;
        batch.Put(Family::kMeta, key, whole.substr(0, size));
        return engine.Write(batch, WalSync::kYes).ok();
      }());
      EXPECT_TRUE(absl::IsDataLoss(OpenIdentity(&engine, Expected(), kInstance).status()))
          << name << " cut to " << size;
    }
    WriteBatch mend;
    mend.Put(Family::kMeta, key, whole);
    ASSERT_TRUE(engine.Write(mend, WalSync::kYes).ok());
  }
  EXPECT_TRUE(OpenIdentity(&engine, Expected(), kInstance).ok());
}

TEST(Identity, PassesOnTheFailureOfItsWrite) {
  MemoryEngine engine;
  engine.FailNextWrite(absl::UnavailableError("broken device"));
  EXPECT_TRUE(absl::IsUnavailable(OpenIdentity(&engine, Expected(), kInstance).status()));
}

}  // namespace
}  // namespace gyre
