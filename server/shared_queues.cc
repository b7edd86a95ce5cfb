#include "server/shared_queues.h"

#include <grpc/grpc.h>

namespace gyre {
namespace {

thread_local const std::vector<grpc::ServerCompletionQueue*>* queues_to_join = nullptr;

// Told of every server of the process just before it starts, by the thread that builds it.
class JoinQueues final : public grpc::Server::GlobalCallbacks {
 public:
  void PreSynchronousRequest(grpc::ServerContext*) override {}
  void PostSynchronousRequest(grpc::ServerContext*) override {}
  void PreServerStart(grpc::Server* server) override {
    if (queues_to_join == nullptr) return;
    for (grpc::ServerCompletionQueue* const queue : *queues_to_join) {
      grpc_server_register_completion_queue(server->c_server(), queue->cq(), nullptr);
    }
  }
};

// gRPC takes them once in a process, before its first server, keeps them and deletes them.
const bool set = (grpc::Server::SetGlobalCallbacks(new JoinQueues), true);

}  // namespace

std::unique_ptr<grpc::Server> BuildOn(grpc::ServerBuilder* builder,
                                      const std::vector<grpc::ServerCompletionQueue*>& queues) {
  static_cast<void>(set);
  queues_to_join = &queues;
  std::unique_ptr<grpc::Server> server = builder->BuildAndStart();
  queues_to_join = nullptr;
  return server;
}

}  // namespace gyre
