#include "storage/partition_state.h"

#include <string>

#include "gtest/gtest.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

PartitionState Sample() {
  PartitionState state;
  state.self = ReplicaId(0x8123456789abcdef);
  state.clock.Add({state.self, 1});
  state.clock.Add({state.self, 9});
  state.clock.Add({ReplicaId(4), 1});
  return state;
}

TEST(PartitionState, ComesBackFromItsBytes) {
  const auto decoded = DecodePartitionState(EncodePartitionState(Sample()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->self, Sample().self);
  EXPECT_EQ(decoded->clock, Sample().clock);
}

TEST(PartitionState, BytesAreAsTheGrammarSays) {
  PartitionState state;
  state.self = ReplicaId(0x0102030405060708);
  EXPECT_EQ(EncodePartitionState(state).substr(0, 9), "\x01\x01\x02\x03\x04\x05\x06\x07\x08");
}

TEST(PartitionState, RefusesWhatEndsBeforeItsClockOrGoesOnAfterIt) {
  const std::string bytes = EncodePartitionState(Sample());
  for (size_t size = 0; size <= 9; ++size) {  // version, self
    EXPECT_EQ(DecodePartitionState(bytes.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_FALSE(DecodePartitionState(bytes + "x").ok());
}

TEST(PartitionState, RefusesANewerFormat) {
  std::string bytes = EncodePartitionState(Sample());
  bytes[0] = 4;
  EXPECT_FALSE(DecodePartitionState(bytes).ok());
}

TEST(PartitionState, OfWhatMovedHereItSaysSinceWhen) {
  for (const bool filling : {false, true}) {
    PartitionState state = Sample();
    state.since = Epoch(9);
    state.filling = filling;
    std::string bytes = EncodePartitionState(state);
    EXPECT_EQ(bytes[0], 3) << "an older build, which knows of no moves, refuses it";
    const auto decoded = DecodePartitionState(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->since, Epoch(9));
    EXPECT_EQ(decoded->filling, filling);
    EXPECT_EQ(decoded->clock, state.clock);
    for (size_t size = 0; size <= 18; ++size) {
      EXPECT_FALSE(DecodePartitionState(bytes.substr(0, size)).ok()) << size;
    }
    bytes[17] = 2;
    EXPECT_FALSE(DecodePartitionState(bytes).ok()) << "neither";
  }
}

TEST(PartitionState, ThatAPartitionIsToBeFilledIsInItsVersion) {
  PartitionState state = Sample();
  state.filling = true;
  const std::string bytes = EncodePartitionState(state);
  EXPECT_EQ(bytes[0], 2) << "an older build, which would read from it, refuses it";
  const auto decoded = DecodePartitionState(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(decoded->filling);
  EXPECT_EQ(decoded->clock, state.clock);
  EXPECT_FALSE(DecodePartitionState(EncodePartitionState(Sample()))->filling);
}

class ReadPartitionStateTest : public testing::Test {
 protected:
  static constexpr PartitionId kPartition{3, 5};

  void Write(const PartitionState& state) {
    WriteBatch batch;
    batch.Put(Family::kMeta, EncodeClockKey(kPartition), EncodePartitionState(state));
    ASSERT_TRUE(engine_.Write(batch, WalSync::kYes).ok());
  }
  void Log(PartitionId partition, const Dot& dot) {
    WriteBatch batch;
    batch.Put(Family::kDotLog, EncodeLogKey(partition, dot),
              EncodeLogEntry({TableId(1), "key", {}, 0}));
    ASSERT_TRUE(engine_.Write(batch, WalSync::kYes).ok());
  }
  PartitionState Read() {
    const auto state = ReadPartitionState(*engine_.TakeSnapshot(), kPartition);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.value_or(PartitionState{});
  }

  MemoryEngine engine_;
};

TEST_F(ReadPartitionStateTest, OfAPartitionWithoutAWriteIsEmpty) {
  EXPECT_EQ(Read().self, ReplicaId());
  EXPECT_TRUE(Read().clock.empty());
}

TEST_F(ReadPartitionStateTest, HoldsWhatWasWrittenAndWhatWasLoggedSince) {
  Write(Sample());
  Log(kPartition, {Sample().self, 2});
  Log(kPartition, {ReplicaId(4), 2});
  Log(kPartition, {ReplicaId(5), 1});
  PartitionState expected = Sample();
  expected.clock.Add({Sample().self, 2});
  expected.clock.Add({ReplicaId(4), 2});
  expected.clock.Add({ReplicaId(5), 1});
  EXPECT_EQ(Read().self, expected.self);
  EXPECT_EQ(Read().clock, expected.clock);
}

TEST_F(ReadPartitionStateTest, TakesALogThatReachesBelowTheBases) {
  PartitionState state;
  for (uint64_t counter = 1; counter <= 9; ++counter) {
    state.clock.Add({ReplicaId(4), counter});
    Log(kPartition, {ReplicaId(4), counter});
    Log(kPartition, {ReplicaId(7), counter});
  }
  Write(state);
  Log(kPartition, {ReplicaId(4), 10});
  EXPECT_EQ(Read().clock.Bases(), VersionVector({{ReplicaId(4), 10}, {ReplicaId(7), 9}}));
}

TEST_F(ReadPartitionStateTest, LooksAtNoOtherPartition) {
  Log(PartitionId(3, 4), {ReplicaId(4), 1});
  Log(PartitionId(3, 6), {ReplicaId(4), 1});
  EXPECT_TRUE(Read().clock.empty());
}

TEST_F(ReadPartitionStateTest, RefusesADamagedLog) {
  WriteBatch batch;
  batch.Put(Family::kDotLog, PartitionBegin(kPartition) + "nonsense", "");
  ASSERT_TRUE(engine_.Write(batch, WalSync::kYes).ok());
  EXPECT_EQ(ReadPartitionState(*engine_.TakeSnapshot(), kPartition).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(LogEntry, ComesBackFromItsBytesWithAndWithoutAWrite) {
  for (const WriteId& write : {WriteId{}, WriteId{7, 9}, WriteId{0, 1}}) {
    const LogEntry entry{TableId(65535), std::string("key\0 with a zero", 16), write, 0xffffffff};
    const auto decoded = DecodeLogEntry(EncodeLogEntry(entry));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->table, entry.table);
    EXPECT_EQ(decoded->key, entry.key);
    EXPECT_EQ(decoded->write, write);
    EXPECT_EQ(decoded->attempt, entry.attempt);
  }
}

TEST(LogEntry, WithoutAWriteTakesFourBytesBesideTheKey) {
  EXPECT_EQ(EncodeLogEntry({TableId(1), "key", {}, 0}).size(), 4u + 3u);
}

TEST(LogEntry, RefusesEveryTruncationAndTrailingBytes) {
  const std::string bytes = EncodeLogEntry({TableId(300), "key", {7, 9}, 3});
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeLogEntry(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_FALSE(DecodeLogEntry(bytes + "x").ok());
}

TEST(LogEntry, RefusesALengthBeyondItsEndAndATableThatCannotBe) {
  EXPECT_FALSE(DecodeLogEntry(std::string("\x01\x01\x7fkey\x00", 7)).ok());
  EXPECT_FALSE(DecodeLogEntry(std::string("\x01\x80\x80\x04\x00\x00", 6)).ok()) << "table 65536";
}

}  // namespace
}  // namespace gyre
