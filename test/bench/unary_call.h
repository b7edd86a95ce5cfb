// UnaryCall: one unary gRPC call of a load, what it goes over, and what its end means.

#ifndef GYRE_TEST_BENCH_UNARY_CALL_H_
#define GYRE_TEST_BENCH_UNARY_CALL_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "grpcpp/grpcpp.h"
#include "test/bench/target.h"

namespace gyre {

// A connection that shares its TCP stream with no other.
inline std::shared_ptr<grpc::Channel> DialAlone(const std::string& address) {
  grpc::ChannelArguments alone;
  alone.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), alone);
}

inline Reply ReplyOfStatus(const grpc::Status& status) {
  Reply reply;
  if (status.ok()) return reply;
  reply.status =
      absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  reply.outcome_unknown = true;
  return reply;
}

template <class Asked, class Answered>
struct UnaryCall {
  grpc::ClientContext context;
  Asked request;
  Answered reply;
  Target::Done done;
};

// Calls `method` of a stub's callback API; tells `done` what `translate` makes of a reply, or of
// the failure.
template <class Async, class Asked, class Answered>
void StartUnaryCall(Async* stub,
                    void (Async::*method)(grpc::ClientContext*, const Asked*, Answered*,
                                          std::function<void(grpc::Status)>),
                    Asked request, int timeout_ms, Reply (*translate)(Answered*),
                    Target::Done done) {
  auto* call = new UnaryCall<Asked, Answered>();  // its end deletes it
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(timeout_ms));
  call->request = std::move(request);
  call->done = std::move(done);
  (stub->*method)(&call->context, &call->request, &call->reply,
                  [call, translate](const grpc::Status& status) {
                    const std::unique_ptr<UnaryCall<Asked, Answered>> owned(call);
                    owned->done(status.ok() ? translate(&owned->reply) : ReplyOfStatus(status));
                  });
}

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_UNARY_CALL_H_
