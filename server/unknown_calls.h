// UnknownCalls: answers calls of methods that no service of a server has, with UNIMPLEMENTED, on
// queues that the lanes poll. Left to gRPC it would be done on threads of gRPC's that poll, or, on
// a queue that servers share (server/shared_queues.h), not at all.
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
