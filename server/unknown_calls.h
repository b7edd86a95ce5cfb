// UnknownCalls: answers calls of methods that no service of a server has, with UNIMPLEMENTED, on a
// queue that the server shares (server/shared_queues.h). Elsewhere gRPC does it by itself.
//
// Thread rule: AwaitEnd from any thread but those that poll.

#ifndef GYRE_SERVER_UNKNOWN_CALLS_H_
#define GYRE_SERVER_UNKNOWN_CALLS_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include "server/call_count.h"

namespace gyre {

class UnknownCalls {
 public:
  UnknownCalls() = default;
  UnknownCalls(const UnknownCalls&) = delete;
  UnknownCalls& operator=(const UnknownCalls&) = delete;

  // To be registered with a server.
  grpc::AsyncGenericService* grpc_service() { return &service_; }
  // Answers on that queue, from the server's start to its end; without it nobody is answered.
  void Await(grpc::ServerCompletionQueue* queue);
  // Waits for the end of the last call. REQUIRES: the server is shut down, and the queues are still
  // polled.
  void AwaitEnd() { open_.AwaitNone(); }

 private:
  class Call;

  grpc::AsyncGenericService service_;
  CallCount open_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_UNKNOWN_CALLS_H_
