// AskInTurn: one unary call, put to nodes in turn until one of them answers. For the calls that are
// not about a key: tables, topology, status, scans. Blocks.
//
// A node that cannot be reached, or is draining, is passed over; any other answer, an error too, is
// the answer. Each node is asked once.

#ifndef GYRE_API_CLIENT_UNARY_H_
#define GYRE_API_CLIENT_UNARY_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/client/channel_pool.h"
#include "api/client/error_detail.h"
#include "api/client/monotonic.h"
#include "api/proto/gyre.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace gyre {
inline namespace sdk {

template <typename Request, typename Reply>
using UnaryMethod = grpc::Status (v1::Gyre::Stub::*)(grpc::ClientContext*, const Request&, Reply*);

template <typename Reply>
struct UnaryAnswer {
  Reply reply;
  std::string address;  // of the node that answered
};

[[nodiscard]] inline bool AnotherMayAnswer(const absl::Status& status) {
  const auto detail = GetErrorDetail(status);
  if (detail.has_value()) return detail->reason() == v1::ErrorDetail::DRAINING;
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

// The time is shared out over the nodes that are left, so that a silent one leaves some to the
// next. `passed_over`, where given, tells whether a node was asked before the one that answered;
// that node may have carried the request out all the same.
template <typename Request, typename Reply>
absl::StatusOr<UnaryAnswer<Reply>> AskInTurn(ChannelPool& channels,
                                             const std::vector<std::string>& addresses,
                                             UnaryMethod<Request, Reply> method,
                                             const Request& request, absl::Duration timeout,
                                             bool* passed_over = nullptr) {
  const absl::Time end = MonotonicNow() + timeout;
  UnaryAnswer<Reply> answer;
  absl::Status last = absl::UnavailableError("no node is known");
  for (size_t i = 0; i < addresses.size(); ++i) {
    const absl::Duration left = end - MonotonicNow();
    if (left <= absl::ZeroDuration()) break;
    const bool is_last = i + 1 == addresses.size();
    const absl::Duration share = is_last ? left : left / 2;
    answer.address = addresses[i];
    answer.reply.Clear();
    const auto stub = v1::Gyre::NewStub(channels.To(answer.address));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(share));
    const grpc::Status status = ((*stub).*method)(&context, request, &answer.reply);
    if (status.ok()) return answer;
    absl::Status failed = StatusFromUnary(status, context);
    if (!AnotherMayAnswer(failed)) return failed;
    if (passed_over != nullptr) *passed_over = true;
    // Who was too late may have done it, which says more than that another cannot be reached.
    if (absl::IsDeadlineExceeded(last) && absl::IsUnavailable(failed)) continue;
    last = absl::Status(failed.code(), absl::StrCat(answer.address, ": ", failed.message()));
  }
  return last;
}

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_UNARY_H_
