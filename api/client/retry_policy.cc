#include "api/client/retry_policy.h"

#include <algorithm>

namespace gyre {
inline namespace sdk {
namespace {

Remedy RemedyForCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kAborted:
      return Remedy::kRefresh;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return Remedy::kBackOff;
    default:
      return Remedy::kNone;
  }
}

}  // namespace

Remedy RemedyFor(const FailedAttempt& failed) {
  switch (failed.reason) {
    case v1::ErrorDetail::STALE_EPOCH:
      return Remedy::kRefresh;
    case v1::ErrorDetail::DRAINING:
    case v1::ErrorDetail::STORAGE_FAILED:  // of that node, until it is restarted
      return Remedy::kFailOver;
    case v1::ErrorDetail::QUORUM_NOT_MET:
    case v1::ErrorDetail::OVERLOADED:
    case v1::ErrorDetail::TIME_UNKNOWN:  // of that node; another one may know it
      return Remedy::kBackOff;
    case v1::ErrorDetail::UNKNOWN_TABLE:
      return failed.table_known ? Remedy::kBackOff : Remedy::kNone;
    case v1::ErrorDetail::INVALID_FIELD:
    case v1::ErrorDetail::TOO_LARGE:
    case v1::ErrorDetail::TOO_MANY_SIBLINGS:
    case v1::ErrorDetail::TABLE_EXISTS:
    case v1::ErrorDetail::NOT_ENOUGH_NODES:
    case v1::ErrorDetail::TOO_MANY_TABLES:
    case v1::ErrorDetail::NOT_AN_OWNER:
    case v1::ErrorDetail::UNKNOWN_NODE:
    case v1::ErrorDetail::NODE_EXISTS:
    case v1::ErrorDetail::NODE_STATE:
    case v1::ErrorDetail::TOO_MANY_NODES:
      return Remedy::kNone;
    default:
      return RemedyForCode(failed.code);
  }
}

absl::Duration BackOffDelay(const BackOffOptions& options, int retry, uint32_t retry_after_ms,
                            double unit) {
  // 2^30 times any base is far over any cap.
  const int doublings = std::clamp(retry - 1, 0, 30);
  const absl::Duration bound = std::min(options.cap, options.base * (int64_t{1} << doublings));
  return absl::Milliseconds(retry_after_ms) + bound * unit;
}

}  // namespace sdk
}  // namespace gyre
