#include "test/bench/gyre_unary_target.h"

#include <utility>

#include "absl/hash/hash.h"
#include "test/bench/unary_call.h"

namespace gyre {
namespace {

using Async = class v1::Gyre::Stub::async;

Reply ReplyOfGet(v1::GetReply* get) {
  Reply reply;
  for (std::string& value : *get->mutable_values()) reply.values.push_back(std::move(value));
  reply.context = std::move(*get->mutable_context());
  reply.absent = get->found() ? 0 : 1;
  return reply;
}

template <class Answered>
Reply ReplyOfWrite(Answered* write) {
  Reply reply;
  reply.context = std::move(*write->mutable_context());
  return reply;
}

}  // namespace

GyreUnaryTarget::GyreUnaryTarget(const std::vector<std::string>& addresses, int connections,
                                 std::string table, int timeout_ms)
    : table_(std::move(table)), timeout_ms_(timeout_ms) {
  for (int i = 0; i < connections; ++i) {
    const std::string& address = addresses[static_cast<size_t>(i) % addresses.size()];
    connections_.push_back(v1::Gyre::NewStub(DialAlone(address)));
  }
}

void GyreUnaryTarget::Start(Request* request, Done done) {
  Async* const node = connections_[absl::HashOf(request) % connections_.size()]->async();
  switch (request->kind) {
    case Request::Kind::kGet: {
      v1::GetRequest get;
      get.set_table(table_);
      get.set_key(request->key);
      return StartUnaryCall(node, &Async::Get, std::move(get), timeout_ms_, ReplyOfGet,
                            std::move(done));
    }
    case Request::Kind::kPut: {
      v1::PutRequest put;
      put.set_table(table_);
      put.set_key(request->key);
      put.set_value(std::move(request->value));
      if (!request->context.empty()) put.set_context(request->context);
      if (request->blind) put.set_mode(v1::WRITE_MODE_BLIND);
      return StartUnaryCall(node, &Async::Put, std::move(put), timeout_ms_,
                            ReplyOfWrite<v1::PutReply>, std::move(done));
    }
    case Request::Kind::kDelete: {
      v1::DeleteRequest erase;
      erase.set_table(table_);
      erase.set_key(request->key);
      if (!request->context.empty()) erase.set_context(request->context);
      return StartUnaryCall(node, &Async::Delete, std::move(erase), timeout_ms_,
                            ReplyOfWrite<v1::DeleteReply>, std::move(done));
    }
    case Request::Kind::kMultiGet:
      return done({.status = absl::UnimplementedError("no unary multi get here")});
  }
}

}  // namespace gyre
