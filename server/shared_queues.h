// Servers that share completion queues. gRPC gives each server queues of its own, so a thread that
// is to poll the calls of two servers would have two queues to wait at, and can wait at one. But
// any number of servers may put their calls on a queue that is registered with each before it
// starts.
//
// Thread rule: any thread.

#ifndef GYRE_SERVER_SHARED_QUEUES_H_
#define GYRE_SERVER_SHARED_QUEUES_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

namespace gyre {

// builder->BuildAndStart(), with `queues`, which another builder has added, as queues of this
// server too: calls of its services may be asked for on them. A method that no service has is left
// to the builder's own queues, or to an AsyncGenericService.
std::unique_ptr<grpc::Server> BuildOn(grpc::ServerBuilder* builder,
                                      const std::vector<grpc::ServerCompletionQueue*>& queues);

}  // namespace gyre

#endif  // GYRE_SERVER_SHARED_QUEUES_H_
