#include "api/error_translation.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ring/check.h"

namespace gyre {
namespace {

constexpr char kPayloadUrl[] = "type.googleapis.com/gyre.v1.ErrorDetail";
// What an overloaded shard says; the door says its own.
constexpr uint32_t kShardRetryAfterMs = 20;

absl::Status With(absl::Status status, const v1::ErrorDetail& detail) {
  status.SetPayload(kPayloadUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

absl::Status With(absl::Status status, v1::ErrorDetail::Reason reason) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  return With(std::move(status), detail);
}

absl::Status QuorumError(const Outcome& outcome) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::QUORUM_NOT_MET);
  detail.set_needed(static_cast<uint32_t>(outcome.needed));
  detail.set_answered(static_cast<uint32_t>(outcome.answered));
  detail.set_outcome_unknown(outcome.outcome_unknown);
  const std::string counts =
      absl::StrCat(outcome.answered, " of the ", outcome.needed, " replicas needed answered",
                   outcome.outcome_unknown ? "; the write may still take effect" : "");
  if (outcome.code == Outcome::Code::kTimedOut) {
    return With(absl::DeadlineExceededError(absl::StrCat("timed out: ", counts)), detail);
  }
  return With(absl::UnavailableError(absl::StrCat("quorum not met: ", counts)), detail);
}

}  // namespace

absl::Status InvalidField(std::string_view field, std::string_view why) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::INVALID_FIELD);
  detail.set_field(std::string(field));
  return With(absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", std::string(why))),
              detail);
}

absl::Status FieldTooLarge(std::string_view field, size_t bytes, size_t limit_bytes) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::TOO_LARGE);
  detail.set_field(std::string(field));
  return With(
      absl::InvalidArgumentError(absl::StrCat(std::string(field), ": ", bytes, " bytes, at most ",
                                              limit_bytes, " are allowed")),
      detail);
}

absl::Status ReplyTooLarge(size_t bytes, std::string context) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::TOO_LARGE);
  detail.set_context(std::move(context));
  return With(absl::ResourceExhaustedError(
                  absl::StrCat("the values take ", bytes, " bytes and do not fit into this reply")),
              detail);
}

absl::Status FrameTooLarge(int requests, int limit) {
  return With(absl::ResourceExhaustedError(absl::StrCat(
                  "a frame of ", requests, " requests; at most ", limit, " are allowed")),
              v1::ErrorDetail::TOO_LARGE);
}

absl::Status UnknownTable(std::string_view name) {
  return With(absl::NotFoundError(absl::StrCat("no table \"", std::string(name), "\"")),
              v1::ErrorDetail::UNKNOWN_TABLE);
}

absl::Status Overloaded(uint32_t retry_after_ms, std::string_view which_limit) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::OVERLOADED);
  detail.set_retry_after_ms(retry_after_ms);
  return With(absl::ResourceExhaustedError(
                  absl::StrCat("overloaded: ", std::string(which_limit), "; nothing was done")),
              detail);
}

absl::Status Draining() {
  return With(absl::UnavailableError("this node is shutting down; nothing was done"),
              v1::ErrorDetail::DRAINING);
}

absl::Status StorageFailed(bool outcome_unknown) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::STORAGE_FAILED);
  detail.set_outcome_unknown(outcome_unknown);
  return With(absl::UnavailableError("the disk of this node failed; ask another one"), detail);
}

absl::Status Damaged(std::string_view what, bool outcome_unknown) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::STORAGE_FAILED);
  detail.set_outcome_unknown(outcome_unknown);
  return With(absl::DataLossError(std::string(what)), detail);
}

absl::Status TimeUnknown(bool outcome_unknown) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::TIME_UNKNOWN);
  detail.set_outcome_unknown(outcome_unknown);
  return With(absl::UnavailableError("this node has not heard yet what time it is in the cluster, "
                                     "which it must know of what expires; ask another one"),
              detail);
}

absl::Status NotAnOwner(uint32_t slice, std::string_view owners) {
  return With(absl::FailedPreconditionError(absl::StrCat("this node is no owner of slice ", slice,
                                                         "; ask ", std::string(owners))),
              v1::ErrorDetail::NOT_AN_OWNER);
}

absl::Status FromTopologyError(const absl::Status& status, bool outcome_unknown, Changed what) {
  v1::ErrorDetail detail;
  const bool members = what == Changed::kMembers;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return InvalidField(members ? "node" : "table", std::string(status.message()));
    case absl::StatusCode::kNotFound:
      return With(status, members ? v1::ErrorDetail::UNKNOWN_NODE : v1::ErrorDetail::UNKNOWN_TABLE);
    case absl::StatusCode::kAlreadyExists:
      return With(status, members ? v1::ErrorDetail::NODE_EXISTS : v1::ErrorDetail::TABLE_EXISTS);
    case absl::StatusCode::kFailedPrecondition:
      return With(status,
                  members ? v1::ErrorDetail::NODE_STATE : v1::ErrorDetail::NOT_ENOUGH_NODES);
    case absl::StatusCode::kUnavailable:
      detail.set_reason(v1::ErrorDetail::QUORUM_NOT_MET);
      detail.set_outcome_unknown(outcome_unknown);
      return With(status, detail);
    case absl::StatusCode::kInternal:
      return StorageFailed(outcome_unknown);
    case absl::StatusCode::kResourceExhausted:
      return With(status,
                  members ? v1::ErrorDetail::TOO_MANY_NODES : v1::ErrorDetail::TOO_MANY_TABLES);
    case absl::StatusCode::kDataLoss:
      return Damaged(std::string(status.message()), outcome_unknown);
    default:
      return With(status, v1::ErrorDetail::REASON_UNSPECIFIED);
  }
}

absl::Status FromOutcome(const Outcome& outcome, std::string context) {
  v1::ErrorDetail detail;
  switch (outcome.code) {
    case Outcome::Code::kOk:
      return absl::OkStatus();
    case Outcome::Code::kQuorumNotMet:
    case Outcome::Code::kTimedOut:
      return QuorumError(outcome);
    case Outcome::Code::kTooManySiblings:
      detail.set_reason(v1::ErrorDetail::TOO_MANY_SIBLINGS);
      detail.set_outcome_unknown(outcome.outcome_unknown);
      detail.set_context(std::move(context));
      return With(
          absl::FailedPreconditionError(
              "the siblings are too many or too large; read them, and write one value with the "
              "context"),
          detail);
    case Outcome::Code::kStaleEpoch:
      detail.set_reason(v1::ErrorDetail::STALE_EPOCH);
      detail.set_epoch(outcome.epoch.value());
      detail.set_outcome_unknown(outcome.outcome_unknown);
      return With(absl::AbortedError("the topology changed under the request; retry"), detail);
    case Outcome::Code::kOverloaded:
      if (!outcome.outcome_unknown) {
        return Overloaded(kShardRetryAfterMs, "too many requests in flight");
      }
      detail.set_reason(v1::ErrorDetail::OVERLOADED);
      detail.set_retry_after_ms(kShardRetryAfterMs);
      detail.set_outcome_unknown(true);
      return With(absl::ResourceExhaustedError("overloaded; the write may still take effect"),
                  detail);
    case Outcome::Code::kStorageFailed:
      return StorageFailed(outcome.outcome_unknown);
    case Outcome::Code::kFilling:
      detail.set_reason(v1::ErrorDetail::QUORUM_NOT_MET);
      detail.set_outcome_unknown(outcome.outcome_unknown);
      return With(absl::UnavailableError("this node lost its copy, and is being filled again"),
                  detail);
    case Outcome::Code::kTimeUnknown:
      return TimeUnknown(outcome.outcome_unknown);
    case Outcome::Code::kCorrupt:
      return Damaged("the stored record failed its checks", outcome.outcome_unknown);
  }
  GYRE_CHECK(false, "every outcome has its error");
}

std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  v1::ErrorDetail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

void ToProto(const absl::Status& status, v1::Status* out) {
  out->set_code(static_cast<int32_t>(status.code()));
  out->set_message(std::string(status.message()));
  if (std::optional<v1::ErrorDetail> detail = DetailOf(status)) {
    *out->mutable_detail() = *std::move(detail);
  }
}

absl::Status FromProto(const v1::Status& status) {
  absl::Status error(static_cast<absl::StatusCode>(status.code()), status.message());
  return status.has_detail() ? With(std::move(error), status.detail()) : error;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The two enums are the same numbers by definition.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace gyre
