#include "test/bench/etcd_target.h"

#include <utility>

#include "test/bench/unary_call.h"

namespace gyre {
namespace {

using Async = class etcdserverpb::KV::Stub::async;

Reply ReplyOfRange(etcdserverpb::RangeResponse* range) {
  Reply reply;
  for (auto& found : *range->mutable_kvs()) {
    reply.values.push_back(std::move(*found.mutable_value()));
  }
  reply.absent = reply.values.empty() ? 1 : 0;
  return reply;
}

template <class Answered>
Reply ReplyOfWrite(Answered*) {
  return {};
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
  Async* const member = members_[turn % members_.size()]->async();
  switch (request->kind) {
    case Request::Kind::kGet: {
      etcdserverpb::RangeRequest range;
      range.set_key(request->key);
      return StartUnaryCall(member, &Async::Range, std::move(range), timeout_ms_, ReplyOfRange,
                            std::move(done));
    }
    case Request::Kind::kPut: {
      etcdserverpb::PutRequest put;
      put.set_key(request->key);
      put.set_value(std::move(request->value));
      return StartUnaryCall(member, &Async::Put, std::move(put), timeout_ms_,
                            ReplyOfWrite<etcdserverpb::PutResponse>, std::move(done));
    }
    case Request::Kind::kDelete: {
      etcdserverpb::DeleteRangeRequest erase;
      erase.set_key(request->key);
      return StartUnaryCall(member, &Async::DeleteRange, std::move(erase), timeout_ms_,
                            ReplyOfWrite<etcdserverpb::DeleteRangeResponse>, std::move(done));
    }
    case Request::Kind::kMultiGet:
      return done({.status = absl::UnimplementedError("no multi get of etcd here")});
  }
}

}  // namespace gyre
