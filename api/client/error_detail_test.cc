#include "api/client/error_detail.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(ErrorDetail, SurvivesTheWayFromTheWireToTheCaller) {
  v1::Status wire;
  wire.set_code(9);
  wire.set_message("64 siblings");
  wire.mutable_detail()->set_reason(v1::ErrorDetail::TOO_MANY_SIBLINGS);
  wire.mutable_detail()->set_context(std::string("a\0b", 3));
  const absl::Status status = StatusFromWire(wire);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(status.message(), "64 siblings");
  const std::optional<v1::ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->context(), std::string("a\0b", 3));
}

TEST(ErrorDetail, IsAbsentWhereTheServerSentNone) {
  v1::Status wire;
  wire.set_code(3);
  EXPECT_FALSE(GetErrorDetail(StatusFromWire(wire)).has_value());
  EXPECT_FALSE(GetErrorDetail(absl::OkStatus()).has_value());
}

TEST(ErrorDetail, NeverTakesAnErrorForSuccess) {
  for (int code : {0, -1, 17, 1'000'000}) {
    v1::Status wire;
    wire.set_code(code);
    EXPECT_TRUE(absl::IsUnknown(StatusFromWire(wire))) << code;
  }
}

}  // namespace
}  // namespace gyre
