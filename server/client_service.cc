#include "server/client_service.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "api/error_translation.h"
#include "api/limits.h"

namespace gyre {
namespace {

// How long a unary call's client waits at most.
Duration PatienceOf(const grpc::CallbackServerContext& context) {
  const Duration most = Duration::Millis(kMaxTimeoutMs);
  const auto left = context.deadline() - std::chrono::system_clock::now();
  if (left >= std::chrono::milliseconds(kMaxTimeoutMs)) return most;
  return std::max(
      Duration::Micros(1),
      Duration::Micros(std::chrono::duration_cast<std::chrono::microseconds>(left).count()));
}

// A unary call. It ends once: by its reply, or when its client has gone, and then what comes later
// finds the door closed. It owns itself until gRPC has reported the end.
template <typename Reply>
class UnaryCall final : public grpc::ServerUnaryReactor,
                        public std::enable_shared_from_this<UnaryCall<Reply>> {
 public:
  static std::shared_ptr<UnaryCall> Open(grpc::CallbackServerContext* context, Reply* reply) {
    std::shared_ptr<UnaryCall> call(new UnaryCall(context, reply));
    call->self_ = call;
    return call;
  }

  void End(absl::StatusOr<Reply> answer) {
    if (ended_.exchange(true)) return;
    if (answer.ok()) {
      *reply_ = *std::move(answer);
    } else if (const std::optional<v1::ErrorDetail> detail = DetailOf(answer.status())) {
      context_->AddTrailingMetadata(kErrorTrailer, detail->SerializeAsString());
    }
    this->Finish(ToGrpc(answer.status()));
  }

  void OnCancel() override {
    if (!ended_.exchange(true)) this->Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { self_.reset(); }

 private:
  UnaryCall(grpc::CallbackServerContext* context, Reply* reply)
      : context_(context), reply_(reply) {}

  grpc::CallbackServerContext* const context_;
  Reply* const reply_;
  std::atomic<bool> ended_{false};
  std::shared_ptr<UnaryCall> self_;
};

// A unary call at the door: a session of one request.
template <typename Reply>
class UnaryCaller final : public Caller {
 public:
  using Take = Reply* (v1::ClientReply::*)();
  UnaryCaller(std::shared_ptr<UnaryCall<Reply>> call, Take take)
      : call_(std::move(call)), take_(take) {}

  void OnReply(v1::ClientReply reply) override {
    if (reply.has_error()) {
      call_->End(FromProto(reply.error()));
    } else {
      call_->End(std::move(*(reply.*take_)()));
    }
  }
  void Flush() override {}

 private:
  const std::shared_ptr<UnaryCall<Reply>> call_;
  const Take take_;
};

template <typename Request, typename Reply>
grpc::ServerUnaryReactor* ServeUnary(Door* door, grpc::CallbackServerContext* context,
                                     const Request& request, Request* (v1::ClientRequest::*place)(),
                                     Reply* reply, Reply* (v1::ClientReply::*take)()) {
  std::shared_ptr<UnaryCall<Reply>> call = UnaryCall<Reply>::Open(context, reply);
  v1::ClientRequest wrapped;
  wrapped.set_id(1);
  *(wrapped.*place)() = request;
  const std::vector<v1::ClientRequest*> requests = {&wrapped};
  door->Serve(requests, std::make_shared<UnaryCaller<Reply>>(call, take), PatienceOf(*context));
  return call.get();
}

// `start` is one of Admin's functions; it answers through the given closure, then or later.
template <typename Reply, typename Start>
grpc::ServerUnaryReactor* ServeAdmin(grpc::CallbackServerContext* context, Reply* reply,
                                     Start start) {
  std::shared_ptr<UnaryCall<Reply>> call = UnaryCall<Reply>::Open(context, reply);
  start([call](absl::StatusOr<Reply> answer) { call->End(std::move(answer)); });
  return call.get();
}

}  // namespace

grpc::ServerUnaryReactor* ClientService::Put(Context* context, const v1::PutRequest* request,
                                             v1::PutReply* reply) {
  return ServeUnary(door_, context, *request, &v1::ClientRequest::mutable_put, reply,
                    &v1::ClientReply::mutable_put);
}

grpc::ServerUnaryReactor* ClientService::Get(Context* context, const v1::GetRequest* request,
                                             v1::GetReply* reply) {
  return ServeUnary(door_, context, *request, &v1::ClientRequest::mutable_get, reply,
                    &v1::ClientReply::mutable_get);
}

grpc::ServerUnaryReactor* ClientService::Delete(Context* context, const v1::DeleteRequest* request,
                                                v1::DeleteReply* reply) {
  return ServeUnary(door_, context, *request, &v1::ClientRequest::mutable_delete_, reply,
                    &v1::ClientReply::mutable_delete_);
}

grpc::ServerUnaryReactor* ClientService::MultiGet(Context* context,
                                                  const v1::MultiGetRequest* request,
                                                  v1::MultiGetReply* reply) {
  return ServeUnary(door_, context, *request, &v1::ClientRequest::mutable_multi_get, reply,
                    &v1::ClientReply::mutable_multi_get);
}

grpc::ServerUnaryReactor* ClientService::MultiPut(Context* context,
                                                  const v1::MultiPutRequest* request,
                                                  v1::MultiPutReply* reply) {
  return ServeUnary(door_, context, *request, &v1::ClientRequest::mutable_multi_put, reply,
                    &v1::ClientReply::mutable_multi_put);
}

grpc::ServerBidiReactor<v1::ClientFrame, v1::ServerFrame>* ClientService::Session(Context*) {
  std::shared_ptr<gyre::Session> session = gyre::Session::Open(door_, [this](gyre::Session* done) {
    std::lock_guard<std::mutex> lock(mutex_);
    sessions_.erase(done);
  });
  std::lock_guard<std::mutex> lock(mutex_);
  sessions_.emplace(session.get(), session);
  return session.get();
}

ClientService::ClientService(Door* door, Admin* admin) : door_(door), admin_(admin) {}

ClientService::~ClientService() = default;

void ClientService::DrainSessions() {
  std::vector<std::shared_ptr<gyre::Session>> open;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [unused, weak] : sessions_) {
      if (std::shared_ptr<gyre::Session> session = weak.lock()) open.push_back(std::move(session));
    }
  }
  for (const auto& session : open) session->Drain();
}

grpc::ServerUnaryReactor* ClientService::CreateTable(Context* context,
                                                     const v1::CreateTableRequest* request,
                                                     v1::CreateTableReply* reply) {
  return ServeAdmin(context, reply,
                    [&](auto done) { admin_->CreateTable(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* ClientService::ListTables(Context* context, const v1::ListTablesRequest*,
                                                    v1::ListTablesReply* reply) {
  return ServeAdmin(context, reply, [&](auto done) { done(admin_->ListTables()); });
}

grpc::ServerUnaryReactor* ClientService::DescribeTable(Context* context,
                                                       const v1::DescribeTableRequest* request,
                                                       v1::DescribeTableReply* reply) {
  return ServeAdmin(context, reply, [&](auto done) { done(admin_->DescribeTable(*request)); });
}

grpc::ServerUnaryReactor* ClientService::DropTable(Context* context,
                                                   const v1::DropTableRequest* request,
                                                   v1::DropTableReply* reply) {
  return ServeAdmin(context, reply,
                    [&](auto done) { admin_->DropTable(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* ClientService::GetTopology(Context* context,
                                                     const v1::GetTopologyRequest* request,
                                                     v1::GetTopologyReply* reply) {
  return ServeAdmin(context, reply, [&](auto done) { done(admin_->GetTopology(*request)); });
}

grpc::ServerUnaryReactor* ClientService::NodeStatus(Context* context, const v1::NodeStatusRequest*,
                                                    v1::NodeStatusReply* reply) {
  return ServeAdmin(context, reply, [&](auto done) { admin_->NodeStatus(std::move(done)); });
}

grpc::ServerUnaryReactor* ClientService::ScanPartition(Context* context,
                                                       const v1::ScanPartitionRequest* request,
                                                       v1::ScanPartitionReply* reply) {
  return ServeAdmin(context, reply,
                    [&](auto done) { admin_->ScanPartition(*request, std::move(done)); });
}

}  // namespace gyre
