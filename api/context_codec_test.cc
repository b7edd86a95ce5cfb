#include "api/context_codec.h"

#include <gtest/gtest.h>

#include "api/error_translation.h"
#include "ring/partitioner.h"

namespace gyre {
namespace {

constexpr TableId kCarts(7);
const uint64_t kAnna = HashKey(kCarts, "anna");

CausalContext SomeContext() {
  return {{{ReplicaId(11), 3}, {ReplicaId(99), 70'000}}, {ReplicaId(11), 5}};
}

std::string FieldOf(const absl::Status& status) {
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  return detail.has_value() ? detail->field() : "";
}

TEST(ContextCodec, BringsBackWhatWasEncoded) {
  const std::string bytes = EncodeContext(kCarts, kAnna, SomeContext());
  const absl::StatusOr<CausalContext> back = DecodeContext(bytes, kCarts, kAnna);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, SomeContext());
}

TEST(ContextCodec, KeepsTheEmptyContext) {
  const std::string bytes = EncodeContext(kCarts, kAnna, {});
  const absl::StatusOr<CausalContext> back = DecodeContext(bytes, kCarts, kAnna);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, CausalContext());
}

TEST(ContextCodec, RefusesTheContextOfAnotherTable) {
  const std::string bytes = EncodeContext(kCarts, kAnna, SomeContext());
  const absl::Status status = DecodeContext(bytes, TableId(8), kAnna).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status), "context");
}

TEST(ContextCodec, RefusesTheContextOfAnotherKey) {
  const std::string bytes = EncodeContext(kCarts, kAnna, SomeContext());
  const absl::Status status = DecodeContext(bytes, kCarts, HashKey(kCarts, "bert")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status), "context");
}

TEST(ContextCodec, RefusesEveryFlippedBitAndEveryCut) {
  const std::string bytes = EncodeContext(kCarts, kAnna, SomeContext());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string flipped = bytes;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(DecodeContext(flipped, kCarts, kAnna).ok()) << "bit " << i;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(DecodeContext(bytes.substr(0, i), kCarts, kAnna).ok()) << "cut at " << i;
  }
}

TEST(ContextCodec, RefusesGarbageOfAnyLength) {
  for (size_t bytes : {0u, 1u, 15u, 100u, 70'000u}) {
    const absl::Status status = DecodeContext(std::string(bytes, 'x'), kCarts, kAnna).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bytes;
    EXPECT_EQ(FieldOf(status), "context") << bytes;
  }
}

}  // namespace
}  // namespace gyre
