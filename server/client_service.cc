#include "server/client_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "api/error_translation.h"
#include "api/limits.h"
#include "server/unary_call.h"

namespace gyre {
namespace {

using AsyncService = v1::Gyre::AsyncService;

// A unary call at the door: a session of one request.
template <typename Call, typename Reply>
class UnaryCaller final : public Caller {
 public:
  using Take = Reply* (v1::ClientReply::*)();
  UnaryCaller(std::shared_ptr<Call> call, Take take) : call_(std::move(call)), take_(take) {}

  void OnReply(v1::ClientReply reply) override {
    if (reply.has_error()) {
      call_->End(FromProto(reply.error()));
    } else {
      call_->End(std::move(*(reply.*take_)()));
    }
  }
  void Flush() override {}

 private:
  const std::shared_ptr<Call> call_;
  const Take take_;
};

// The methods of one service on one queue.
class Methods {
 public:
  Methods(AsyncService* service, CallCount* open, grpc::ServerCompletionQueue* queue)
      : service_(service), open_(open), queue_(queue) {}

  // `method` is one of the service's Request functions; `serve` gets each call.
  template <typename Request, typename Reply, typename Base, typename Serve>
  void Await(void (Base::*method)(grpc::ServerContext*, Request*,
                                  grpc::ServerAsyncResponseWriter<Reply>*, grpc::CompletionQueue*,
                                  grpc::ServerCompletionQueue*, void*),
             Serve serve) {
    using Call = UnaryCall<Request, Reply>;
    typename Call::Service calls;
    calls.request = [service = service_, open = open_, queue = queue_, method](
                        grpc::ServerContext* context, Request* request,
                        typename Call::Writer* writer, void* tag) {
      open->Add();
      (service->*method)(context, request, writer, queue, queue, tag);
    };
    calls.serve = std::move(serve);
    calls.on_done = [open = open_] { open->Remove(); };
    Call::Await(std::make_shared<const typename Call::Service>(std::move(calls)));
  }

  // A data request.
  template <typename Request, typename Reply, typename Base>
  void AwaitAt(Door* door,
               void (Base::*method)(grpc::ServerContext*, Request*,
                                    grpc::ServerAsyncResponseWriter<Reply>*, grpc::CompletionQueue*,
                                    grpc::ServerCompletionQueue*, void*),
               Request* (v1::ClientRequest::*place)(), Reply* (v1::ClientReply::*take)()) {
    using Call = UnaryCall<Request, Reply>;
    Await(method, [door, place, take](const std::shared_ptr<Call>& call) {
      v1::ClientRequest wrapped;
      wrapped.set_id(1);
      *(wrapped.*place)() = std::move(call->request());
      const std::vector<v1::ClientRequest*> requests = {&wrapped};
      door->Serve(requests, std::make_shared<UnaryCaller<Call, Reply>>(call, take),
                  call->Patience(Duration::Millis(kMaxTimeoutMs)));
    });
  }

 private:
  AsyncService* const service_;
  CallCount* const open_;
  grpc::ServerCompletionQueue* const queue_;
};

// What an Admin's function answers through, then or later.
template <typename Call>
auto EndOf(const std::shared_ptr<Call>& call) {
  return [call](const auto& answer) { call->End(answer); };
}

}  // namespace

void ClientService::Await(grpc::ServerCompletionQueue* queue) {
  Methods methods(&service_, &open_, queue);
  methods.AwaitAt(door_, &AsyncService::RequestPut, &v1::ClientRequest::mutable_put,
                  &v1::ClientReply::mutable_put);
  methods.AwaitAt(door_, &AsyncService::RequestGet, &v1::ClientRequest::mutable_get,
                  &v1::ClientReply::mutable_get);
  methods.AwaitAt(door_, &AsyncService::RequestDelete, &v1::ClientRequest::mutable_delete_,
                  &v1::ClientReply::mutable_delete_);
  methods.AwaitAt(door_, &AsyncService::RequestMultiGet, &v1::ClientRequest::mutable_multi_get,
                  &v1::ClientReply::mutable_multi_get);
  methods.AwaitAt(door_, &AsyncService::RequestMultiPut, &v1::ClientRequest::mutable_multi_put,
                  &v1::ClientReply::mutable_multi_put);
  AwaitSession(queue);

  Admin* const admin = admin_;
  methods.Await(&AsyncService::RequestCreateTable,
                [admin](const auto& call) { admin->CreateTable(call->request(), EndOf(call)); });
  methods.Await(&AsyncService::RequestListTables,
                [admin](const auto& call) { call->End(admin->ListTables()); });
  methods.Await(&AsyncService::RequestDescribeTable,
                [admin](const auto& call) { call->End(admin->DescribeTable(call->request())); });
  methods.Await(&AsyncService::RequestDropTable,
                [admin](const auto& call) { admin->DropTable(call->request(), EndOf(call)); });
  methods.Await(&AsyncService::RequestGetTopology,
                [admin](const auto& call) { call->End(admin->GetTopology(call->request())); });
  methods.Await(&AsyncService::RequestChangeMember,
                [admin](const auto& call) { admin->ChangeMember(call->request(), EndOf(call)); });
  methods.Await(&AsyncService::RequestListTransfers,
                [admin](const auto& call) { admin->ListTransfers(EndOf(call)); });
  methods.Await(&AsyncService::RequestNodeStatus,
                [admin](const auto& call) { admin->NodeStatus(EndOf(call)); });
  methods.Await(&AsyncService::RequestScanPartition,
                [admin](const auto& call) { admin->ScanPartition(call->request(), EndOf(call)); });
}

void ClientService::AwaitSession(grpc::ServerCompletionQueue* queue) {
  Session::Events events;
  events.on_open = [this, queue](const std::shared_ptr<Session>& session) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      sessions_.emplace(session.get(), session);
    }
    AwaitSession(queue);
  };
  events.on_done = [this](Session* session) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      sessions_.erase(session);
    }
    open_.Remove();
  };
  open_.Add();
  Session::Make(door_, std::move(events))
      ->Await([&](grpc::ServerContext* context, Session::Rpc* rpc, void* tag) {
        service_.RequestSession(context, rpc, queue, queue, tag);
      });
}

void ClientService::DrainSessions() {
  std::vector<std::shared_ptr<Session>> open;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [unused, weak] : sessions_) {
      if (std::shared_ptr<Session> session = weak.lock()) open.push_back(std::move(session));
    }
  }
  for (const auto& session : open) session->Drain();
}

}  // namespace gyre
