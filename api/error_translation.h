// Every error that a client sees is made here, and here it becomes a gRPC status.
//
// Inside the node an error is an absl::Status that carries its v1::ErrorDetail as a payload. On the
// pipelined stream it travels as v1::Status; on a unary call as the status itself, with the
// serialized detail in the trailing metadata key kErrorTrailer. Which code means what:
// api/proto/gyre.proto.
//
// Pure functions; any thread.

#ifndef GYRE_API_ERROR_TRANSLATION_H_
#define GYRE_API_ERROR_TRANSLATION_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "api/proto/gyre.pb.h"
#include "replication/request.h"

namespace gyre {

inline constexpr char kErrorTrailer[] = "gyre-error-bin";

// `field` is out of its range; `why` says what is allowed.
absl::Status InvalidField(std::string_view field, std::string_view why);
// `field` is longer than `limit_bytes`.
absl::Status FieldTooLarge(std::string_view field, size_t bytes, size_t limit_bytes);
// What was asked for does not fit into a message. `context` (may be empty) lets a client replace
// it.
absl::Status ReplyTooLarge(size_t bytes, std::string context);
// A frame of the pipelined stream holds more requests than are allowed.
absl::Status FrameTooLarge(int requests, int limit);
absl::Status UnknownTable(std::string_view name);
absl::Status Overloaded(uint32_t retry_after_ms, std::string_view which_limit);
absl::Status Draining();
// A write to the disk of this node failed.
absl::Status StorageFailed(bool outcome_unknown);
// What the disk of this node holds failed its checks.
absl::Status Damaged(std::string_view what, bool outcome_unknown);
// This node does not know the cluster's time yet.
absl::Status TimeUnknown(bool outcome_unknown);
// `owners`: their names.
absl::Status NotAnOwner(uint32_t slice, std::string_view owners);
// How a change of the topology failed: server/control.h says with which codes. The same codes are
// of other reasons where members were to change (ring/rebalance.h).
enum class Changed { kTables, kMembers };
absl::Status FromTopologyError(const absl::Status& status, bool outcome_unknown,
                               Changed what = Changed::kTables);

// OK for kOk. `context` is the encoded context of the outcome's record, for kTooManySiblings.
absl::Status FromOutcome(const Outcome& outcome, std::string context);

// Nothing where the status carries none.
std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status);

void ToProto(const absl::Status& status, v1::Status* out);
// REQUIRES: made by ToProto, of an error.
absl::Status FromProto(const v1::Status& status);
// The detail is left out: it goes into the trailing metadata (kErrorTrailer), serialized.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace gyre

#endif  // GYRE_API_ERROR_TRANSLATION_H_
