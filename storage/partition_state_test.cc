#include "storage/partition_state.h"

#include <string>

#include "gtest/gtest.h"

namespace gyre {
namespace {

PartitionState Sample() {
  PartitionState state;
  state.self = ReplicaId(0x8123456789abcdef);
  state.counter = 300;
  state.clock.Add({state.self, 1});
  state.clock.Add({state.self, 9});
  state.clock.Add({ReplicaId(4), 1});
  return state;
}

TEST(PartitionState, ComesBackFromItsBytes) {
  const auto decoded = DecodePartitionState(EncodePartitionState(Sample()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->self, Sample().self);
  EXPECT_EQ(decoded->counter, 300u);
  EXPECT_EQ(decoded->clock, Sample().clock);
}

TEST(PartitionState, BytesAreAsTheGrammarSays) {
  PartitionState state;
  state.self = ReplicaId(0x0102030405060708);
  state.counter = 5;
  EXPECT_EQ(EncodePartitionState(state).substr(0, 10),
            std::string("\x01\x01\x02\x03\x04\x05\x06\x07\x08\x05", 10));
}

TEST(PartitionState, RefusesWhatEndsBeforeItsClockOrGoesOnAfterIt) {
  const std::string bytes = EncodePartitionState(Sample());
  for (size_t size = 0; size <= 11; ++size) {  // version, self, counter of two bytes
    EXPECT_EQ(DecodePartitionState(bytes.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_FALSE(DecodePartitionState(bytes + "x").ok());
}

TEST(PartitionState, RefusesANewerFormat) {
  std::string bytes = EncodePartitionState(Sample());
  bytes[0] = 2;
  EXPECT_FALSE(DecodePartitionState(bytes).ok());
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
