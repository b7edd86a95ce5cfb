#include <chrono>
#include <memory>
#include <string>

#include "grpcpp/grpcpp.h"
#include "test/bench/echo/echo.grpc.pb.h"
#include "test/bench/echo/echo_server.h"

namespace gyre {
namespace {

// One frame at a time: what arrives meanwhile waits in the transport, so the client's frames fill.
class StreamReactor final : public grpc::ServerBidiReactor<echo::Frame, echo::Frame> {
 public:
  StreamReactor() { StartRead(&frame_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    StartWrite(&frame_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    frame_.Clear();
    StartRead(&frame_);
  }
  void OnDone() override { delete this; }

 private:
  echo::Frame frame_;
};

class Service final : public echo::Echo::CallbackService {
 public:
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const echo::Value* request,
                                  echo::Value* reply) override {
    reply->set_value(request->value());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerBidiReactor<echo::Frame, echo::Frame>* Stream(grpc::CallbackServerContext*) override {
    return new StreamReactor();  // it deletes itself when gRPC is done with it
  }
};

class CallbackEcho final : public EchoServer {
 public:
  explicit CallbackEcho(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  bool is_up() const { return server_ != nullptr; }
  void Shutdown() override { server_->Shutdown(std::chrono::system_clock::now()); }

 private:
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

std::unique_ptr<EchoServer> StartCallbackEcho(const std::string& address) {
  auto server = std::make_unique<CallbackEcho>(address);
  if (!server->is_up()) return nullptr;
  return server;
}

}  // namespace gyre
