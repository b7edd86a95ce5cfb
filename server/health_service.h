// HealthService: the standard health checks, of the server as a whole ("") and of gyre.v1.Gyre:
// serving, until it is said that no more. `gyre.Process` serves as long as it answers at all, also
// while the node drains or its disk has failed: for who would end a process that hangs, and no
// other. Beyond kMaxWatchers, who wants to watch is refused with
// RESOURCE_EXHAUSTED. gRPC's own is on its callback API, and would bring threads that poll
// (api/proto/completion.h).
//
// Thread rule: StopServing and AwaitEnd from any thread but those that poll.

#ifndef GYRE_SERVER_HEALTH_SERVICE_H_
#define GYRE_SERVER_HEALTH_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <mutex>
#include <set>
#include <string>

#include "api/proto/health.grpc.pb.h"
#include "server/call_count.h"

namespace gyre {

class HealthService {
 public:
  static constexpr size_t kMaxWatchers = 1000;
  static constexpr char kProcess[] = "gyre.Process";

  HealthService() = default;
  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;

  // To be registered with a server.
  grpc::Service* grpc_service() { return &service_; }
  // Answers on that queue, from the server's start to its end; without it nobody is answered.
  void Await(grpc::ServerCompletionQueue* queue);

  // From now on the answer is "not serving"; who watches is told.
  void StopServing();
  // Waits for the end of the last call. REQUIRES: the server is shut down, and the queues are still
  // polled.
  void AwaitEnd() { open_.AwaitNone(); }

 private:
  using Status = grpc::health::v1::HealthCheckResponse;
  class Watcher;

  void AwaitWatcher(grpc::ServerCompletionQueue* queue);
  Status::ServingStatus StatusOf(const std::string& name) const;  // REQUIRES: mutex_ held

  grpc::health::v1::Health::AsyncService service_;
  CallCount open_;

  std::mutex mutex_;
  bool serving_ = true;          // guarded by mutex_, and so are the rest and what a watcher has
  std::set<Watcher*> watchers_;  // each until the last word about it
};

}  // namespace gyre

#endif  // GYRE_SERVER_HEALTH_SERVICE_H_
