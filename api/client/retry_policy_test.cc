#include "api/client/retry_policy.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using absl::StatusCode;
using v1::ErrorDetail;

constexpr double kAlmostOne = 0.999999;

TEST(RetryPolicy, DoesNotRetryWhatWouldEndTheSame) {
  for (StatusCode code :
       {StatusCode::kInvalidArgument, StatusCode::kNotFound, StatusCode::kAlreadyExists,
        StatusCode::kFailedPrecondition, StatusCode::kPermissionDenied, StatusCode::kUnimplemented,
        StatusCode::kInternal, StatusCode::kUnknown}) {
    EXPECT_EQ(RemedyFor({.code = code}), Remedy::kNone) << absl::StatusCodeToString(code);
  }
}

TEST(RetryPolicy, BacksOffWhenAQuorumWasNotMetOrANodeIsOverloaded) {
  EXPECT_EQ(RemedyFor({StatusCode::kUnavailable, ErrorDetail::QUORUM_NOT_MET}), Remedy::kBackOff);
  EXPECT_EQ(RemedyFor({StatusCode::kResourceExhausted, ErrorDetail::OVERLOADED}), Remedy::kBackOff);
  EXPECT_EQ(RemedyFor({StatusCode::kUnavailable}), Remedy::kBackOff);
}

TEST(RetryPolicy, DoesNotRetryWhatIsTooMuchThoughItsCodeIsThatOfOverload) {
  EXPECT_EQ(RemedyFor({StatusCode::kResourceExhausted, ErrorDetail::TOO_LARGE}), Remedy::kNone);
  EXPECT_EQ(RemedyFor({StatusCode::kResourceExhausted, ErrorDetail::TOO_MANY_TABLES}),
            Remedy::kNone);
}

TEST(RetryPolicy, AsksAnotherOwnerWhenOneNodesStorageFails) {
  EXPECT_EQ(RemedyFor({StatusCode::kInternal, ErrorDetail::STORAGE_FAILED}), Remedy::kFailOver);
}

TEST(RetryPolicy, AsksAnotherOwnerWhenOneDoesNotKnowTheTime) {
  EXPECT_EQ(RemedyFor({StatusCode::kInternal, ErrorDetail::TIME_UNKNOWN}), Remedy::kBackOff);
}

TEST(RetryPolicy, FetchesTheTopologyWhenItChangedUnderTheRequest) {
  EXPECT_EQ(RemedyFor({StatusCode::kAborted}), Remedy::kRefresh);
  EXPECT_EQ(RemedyFor({StatusCode::kAborted, ErrorDetail::STALE_EPOCH}), Remedy::kRefresh);
}

TEST(RetryPolicy, LeavesADrainingNodeAtOnce) {
  EXPECT_EQ(RemedyFor({StatusCode::kUnavailable, ErrorDetail::DRAINING}), Remedy::kFailOver);
}

TEST(RetryPolicy, RetriesAnUnknownTableOnlyIfTheTopologyHasIt) {
  FailedAttempt failed{StatusCode::kNotFound, ErrorDetail::UNKNOWN_TABLE};
  EXPECT_EQ(RemedyFor(failed), Remedy::kNone);
  failed.table_known = true;
  EXPECT_EQ(RemedyFor(failed), Remedy::kBackOff);
}

TEST(RetryPolicy, DoublesTheBoundOfTheWaitUpToTheCap) {
  const BackOffOptions options;
  const int64_t bounds_ms[] = {10, 20, 40, 80, 160, 320, 500, 500, 500};
  int retry = 0;
  for (int64_t bound_ms : bounds_ms) {
    ++retry;
    const absl::Duration longest = BackOffDelay(options, retry, 0, kAlmostOne);
    EXPECT_LE(longest, absl::Milliseconds(bound_ms)) << retry;
    EXPECT_GT(longest, absl::Milliseconds(bound_ms) * 0.99) << retry;
  }
}

TEST(RetryPolicy, JittersOverTheWholeRangeDownToNoWait) {
  EXPECT_EQ(BackOffDelay({}, 5, 0, 0.0), absl::ZeroDuration());
  EXPECT_EQ(BackOffDelay({}, 5, 0, 0.5), absl::Milliseconds(80));
}

TEST(RetryPolicy, StaysAtTheCapForAnyNumberOfRetries) {
  EXPECT_EQ(BackOffDelay({}, 60'000, 0, 0.5), absl::Milliseconds(250));
}

TEST(RetryPolicy, WaitsAtLeastAsLongAsTheServerAsksAndStillJitters) {
  EXPECT_EQ(BackOffDelay({}, 1, 2000, 0.0), absl::Milliseconds(2000));
  EXPECT_EQ(BackOffDelay({}, 1, 2000, 0.5), absl::Milliseconds(2005));
}

}  // namespace
}  // namespace gyre
