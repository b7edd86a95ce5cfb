#include "test/bench/etcd_target.h"

#include <chrono>
#include <type_traits>
#include <utility>

#include "grpcpp/grpcpp.h"

namespace gyre {
namespace {

// One call, which owns itself until it is answered.
template <class Asked, class Answered>
struct Call {
  grpc::ClientContext context;
  Asked request;
  Answered reply;
  Target::Done done;
};

Reply ReplyOfStatus(const grpc::Status& status) {
  Reply reply;
  if (status.ok()) return reply;
  reply.status =
      absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  reply.outcome_unknown = true;
  return reply;
}

template <class Asked, class Answered>
std::unique_ptr<Call<Asked, Answered>> MakeCall(const std::string& key, int timeout_ms,
                                                Target::Done done) {
  auto call = std::make_unique<Call<Asked, Answered>>();
  call->request.set_key(key);
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(timeout_ms));
  call->done = std::move(done);
  return call;
}

}  // namespace

EtcdTarget::EtcdTarget(const std::vector<std::string>& addresses, int timeout_ms)
    : timeout_ms_(timeout_ms) {
  for (const std::string& address : addresses) {
    members_.push_back(etcdserverpb::KV::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials())));
  }
}

void EtcdTarget::Start(Request* request, Done done) {
  const size_t turn = next_.fetch_add(1, std::memory_order_relaxed);
  auto* async = members_[turn % members_.size()]->async();
  switch (request->kind) {
    case Request::Kind::kGet: {
      auto* call = MakeCall<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>(
                       request->key, timeout_ms_, std::move(done))
                       .release();
      async->Range(&call->context, &call->request, &call->reply,
                   [call](const grpc::Status& status) {
                     const std::unique_ptr<std::remove_pointer_t<decltype(call)>> owned(call);
                     Reply reply = ReplyOfStatus(status);
                     for (auto& found : *owned->reply.mutable_kvs()) {
                       reply.values.push_back(std::move(*found.mutable_value()));
                     }
                     reply.absent = status.ok() && reply.values.empty() ? 1 : 0;
                     owned->done(std::move(reply));
                   });
      return;
    }
    case Request::Kind::kPut: {
      auto* call = MakeCall<etcdserverpb::PutRequest, etcdserverpb::PutResponse>(
                       request->key, timeout_ms_, std::move(done))
                       .release();
      call->request.set_value(std::move(request->value));
      async->Put(&call->context, &call->request, &call->reply, [call](const grpc::Status& status) {
        const std::unique_ptr<std::remove_pointer_t<decltype(call)>> owned(call);
        owned->done(ReplyOfStatus(status));
      });
      return;
    }
    case Request::Kind::kDelete: {
      auto* call = MakeCall<etcdserverpb::DeleteRangeRequest, etcdserverpb::DeleteRangeResponse>(
                       request->key, timeout_ms_, std::move(done))
                       .release();
      async->DeleteRange(&call->context, &call->request, &call->reply,
                         [call](const grpc::Status& status) {
                           const std::unique_ptr<std::remove_pointer_t<decltype(call)>> owned(call);
                           owned->done(ReplyOfStatus(status));
                         });
      return;
    }
    case Request::Kind::kMultiGet:
      done({.status = absl::UnimplementedError("no multi get of etcd here")});
      return;
  }
}

}  // namespace gyre
