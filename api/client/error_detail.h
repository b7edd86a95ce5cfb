// ErrorDetail inside absl::Status: what a failed request says beyond its code and message.
//
//   absl::StatusOr<gyre::PutResult> result = client->Put("carts", key, value).get();
//   if (std::optional<gyre::v1::ErrorDetail> detail = gyre::GetErrorDetail(result.status())) {
//     if (detail->reason() == gyre::v1::ErrorDetail::TOO_MANY_SIBLINGS) Mend(detail->context());
//   }
//
// The detail travels as a payload of the status, so it survives copying and returning. The reasons
// and which fields go with each are listed in api/proto/gyre.proto. Pure; any thread.

#ifndef GYRE_API_CLIENT_ERROR_DETAIL_H_
#define GYRE_API_CLIENT_ERROR_DETAIL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "api/proto/gyre.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace gyre {
inline namespace sdk {

// The detail of `status`; nothing for OK and for failures that never reached a server.
[[nodiscard]] std::optional<v1::ErrorDetail> GetErrorDetail(const absl::Status& status);

// `status` carrying `detail`, in place of one it may have. REQUIRES: !status.ok().
[[nodiscard]] absl::Status WithErrorDetail(absl::Status status, const v1::ErrorDetail& detail);

// An error of a reply on the stream. A code of 0 or outside google.rpc.Code is a fault of the
// server and becomes UNKNOWN, so that an error can never be taken for success.
[[nodiscard]] absl::Status StatusFromWire(const v1::Status& status);

// The outcome of a unary call, with the detail from its trailing metadata.
[[nodiscard]] absl::Status StatusFromUnary(const grpc::Status& status,
                                           const grpc::ClientContext& context);

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_ERROR_DETAIL_H_
