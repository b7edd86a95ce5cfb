// ClientService: the gRPC service of clients. Data requests, unary or on the pipelined stream, go
// through one Door; the rest (tables, topology, status, scans) through Admin.
//
// Thread rule: DrainSessions and AwaitEnd from any thread but those that poll.

#ifndef GYRE_SERVER_CLIENT_SERVICE_H_
#define GYRE_SERVER_CLIENT_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <mutex>

#include "api/proto/gyre.grpc.pb.h"
#include "server/admin.h"
#include "server/call_count.h"
#include "server/door.h"
#include "server/session.h"

namespace gyre {

class ClientService {
 public:
  // REQUIRES: both outlive the service.
  ClientService(Door* door, Admin* admin) : door_(door), admin_(admin) {}
  ClientService(const ClientService&) = delete;
  ClientService& operator=(const ClientService&) = delete;

  // To be registered with a server.
  grpc::Service* grpc_service() { return &service_; }
  // Serves on that queue, from the server's start to its end; without it nobody is served.
  void Await(grpc::ServerCompletionQueue* queue);

  // Ends every session once its last reply is written.
  void DrainSessions();
  // Waits for the end of the last call. REQUIRES: the server is shut down, and the queues are still
  // polled.
  void AwaitEnd() { open_.AwaitNone(); }

 private:
  void AwaitSession(grpc::ServerCompletionQueue* queue);

  v1::Gyre::AsyncService service_;
  Door* const door_;
  Admin* const admin_;
  CallCount open_;

  std::mutex mutex_;
  // Open sessions; guarded by mutex_. They take themselves out.
  std::map<Session*, std::weak_ptr<Session>> sessions_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_CLIENT_SERVICE_H_
