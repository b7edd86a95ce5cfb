#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "grpcpp/grpcpp.h"
#include "test/bench/echo/echo.grpc.pb.h"
#include "test/bench/echo/echo_server.h"

namespace gyre {
namespace {

constexpr int kCallsAwaited = 512;

class QueueEcho final : public EchoServer {
 public:
  explicit QueueEcho(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return;
    for (int i = 0; i < kCallsAwaited; ++i) Await(new Call());
    thread_ = std::thread([this] { Serve(); });
  }
  ~QueueEcho() override {
    if (thread_.joinable()) thread_.join();
  }

  bool is_up() const { return server_ != nullptr; }
  void Shutdown() override {
    server_->Shutdown(std::chrono::system_clock::now());
    const std::lock_guard lock(mutex_);
    closing_ = true;
    queue_->Shutdown();
  }

 private:
  // Awaited, then answered; each event of the queue is one of these, and owns it.
  struct Call {
    grpc::ServerContext context;
    echo::Value request;
    echo::Value reply;
    grpc::ServerAsyncResponseWriter<echo::Value> writer{&context};
    bool answered = false;
  };

  void Await(Call* call) {
    service_.RequestUnary(&call->context, &call->request, &call->writer, queue_.get(), queue_.get(),
                          call);
  }

  void Serve() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
      Call* call = static_cast<Call*>(tag);
      const std::lock_guard lock(mutex_);
      if (!ok || closing_) {  // nothing may be asked of a queue that is shut down
        delete call;
      } else if (call->answered) {
        delete call;
        Await(new Call());
      } else {
        call->answered = true;
        call->reply.set_value(call->request.value());
        call->writer.Finish(call->reply, grpc::Status::OK, call);
      }
    }
  }

  echo::Echo::AsyncService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<EchoServer> StartQueueEcho(const std::string& address) {
  auto server = std::make_unique<QueueEcho>(address);
  if (!server->is_up()) return nullptr;
  return server;
}

}  // namespace gyre
