// UnaryCall: one unary call served on a completion queue that a thread of ours polls. It ends once:
// by its answer, or when its client has gone or the server ends, and then an answer that comes
// later is dropped.
//
//   UnaryCall<v1::GetRequest, v1::GetReply>::Await(request_get, serve);
//
// Thread rule: End from any thread; `serve` runs on the thread that polls.

#ifndef GYRE_SERVER_UNARY_CALL_H_
#define GYRE_SERVER_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "api/error_translation.h"
#include "api/proto/completion.h"
#include "ring/ids.h"

namespace gyre {

template <typename Request, typename Reply>
class UnaryCall {
 public:
  using Writer = grpc::ServerAsyncResponseWriter<Reply>;
  using Pointer = std::shared_ptr<UnaryCall>;
  struct Service {
    // Asks gRPC for the next caller of the method.
    std::function<void(grpc::ServerContext*, Request*, Writer*, void* tag)> request;
    // A caller is there.
    std::function<void(const Pointer&)> serve;
    // The call is over, or no caller came.
    std::function<void()> on_done;
  };

  // Waits for a caller and serves it, and keeps another one waiting at all times until the server
  // ends.
  static void Await(std::shared_ptr<const Service> service) {
    const Pointer call(new UnaryCall(std::move(service)));
    call->self_ = call;
    call->context_.AsyncNotifyWhenDone(call->gone_.tag());
    call->service_->request(&call->context_, &call->request_, &call->writer_, call->opened_.tag());
  }
  UnaryCall(const UnaryCall&) = delete;
  UnaryCall& operator=(const UnaryCall&) = delete;

  Request& request() { return request_; }

  // How long the client waits, at most `most`.
  Duration Patience(Duration most) const {
    const auto left = context_.deadline() - std::chrono::system_clock::now();
    if (left >= std::chrono::microseconds(most.micros())) return most;
    return std::max(
        Duration::Micros(1),
        Duration::Micros(std::chrono::duration_cast<std::chrono::microseconds>(left).count()));
  }

  void End(const absl::StatusOr<Reply>& answer) {
    if (ended_.exchange(true)) return;
    if (answer.ok()) {
      writer_.Finish(*answer, grpc::Status::OK, finished_.tag());
      return;
    }
    if (const std::optional<v1::ErrorDetail> detail = DetailOf(answer.status())) {
      context_.AddTrailingMetadata(kErrorTrailer, detail->SerializeAsString());
    }
    writer_.FinishWithError(ToGrpc(answer.status()), finished_.tag());
  }

 private:
  explicit UnaryCall(std::shared_ptr<const Service> service)
      : service_(std::move(service)), writer_(&context_) {}

  void OnOpened(bool ok) {
    if (!ok) {
      const Pointer self = std::move(self_);
      return service_->on_done();
    }
    Await(service_);
    service_->serve(self_);
  }
  void OnGone(bool) {
    if (context_.IsCancelled() && !ended_.exchange(true)) {
      writer_.FinishWithError(grpc::Status::CANCELLED, finished_.tag());
    }
    Leave();
  }
  void OnFinished(bool) { Leave(); }
  void Leave() {
    if (left_.fetch_sub(1) > 1) return;
    const Pointer self = std::move(self_);
    service_->on_done();
  }

  const std::shared_ptr<const Service> service_;
  grpc::ServerContext context_;
  Request request_;
  Writer writer_;
  std::atomic<bool> ended_{false};
  std::atomic<int> left_{2};  // of OnGone and OnFinished
  Pointer self_;              // until both have come
  CompletionOf<UnaryCall, &UnaryCall::OnOpened> opened_{this};
  CompletionOf<UnaryCall, &UnaryCall::OnGone> gone_{this};
  CompletionOf<UnaryCall, &UnaryCall::OnFinished> finished_{this};
};

}  // namespace gyre

#endif  // GYRE_SERVER_UNARY_CALL_H_
