// ClientService: the gRPC service of clients. Data requests, unary or on the pipelined stream, go
// through one Door; the rest (tables, topology, status, scans) through Admin.
//
// Thread rule: gRPC's threads.

#ifndef GYRE_SERVER_CLIENT_SERVICE_H_
#define GYRE_SERVER_CLIENT_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <mutex>

#include "api/proto/gyre.grpc.pb.h"
#include "server/admin.h"
#include "server/door.h"
#include "server/session.h"

namespace gyre {

class ClientService final : public v1::Gyre::CallbackService {
 public:
  // REQUIRES: both outlive the service and its last call.
  ClientService(Door* door, Admin* admin);
  ~ClientService() override;

  // Ends every session once its last reply is written, and lets no new one in.
  void DrainSessions();

  using Context = grpc::CallbackServerContext;
  grpc::ServerUnaryReactor* Put(Context* context, const v1::PutRequest* request,
                                v1::PutReply* reply) override;
  grpc::ServerUnaryReactor* Get(Context* context, const v1::GetRequest* request,
                                v1::GetReply* reply) override;
  grpc::ServerUnaryReactor* Delete(Context* context, const v1::DeleteRequest* request,
                                   v1::DeleteReply* reply) override;
  grpc::ServerUnaryReactor* MultiGet(Context* context, const v1::MultiGetRequest* request,
                                     v1::MultiGetReply* reply) override;
  grpc::ServerUnaryReactor* MultiPut(Context* context, const v1::MultiPutRequest* request,
                                     v1::MultiPutReply* reply) override;
  grpc::ServerBidiReactor<v1::ClientFrame, v1::ServerFrame>* Session(Context* context) override;

  grpc::ServerUnaryReactor* CreateTable(Context* context, const v1::CreateTableRequest* request,
                                        v1::CreateTableReply* reply) override;
  grpc::ServerUnaryReactor* ListTables(Context* context, const v1::ListTablesRequest* request,
                                       v1::ListTablesReply* reply) override;
  grpc::ServerUnaryReactor* DescribeTable(Context* context, const v1::DescribeTableRequest* request,
                                          v1::DescribeTableReply* reply) override;
  grpc::ServerUnaryReactor* DropTable(Context* context, const v1::DropTableRequest* request,
                                      v1::DropTableReply* reply) override;
  grpc::ServerUnaryReactor* GetTopology(Context* context, const v1::GetTopologyRequest* request,
                                        v1::GetTopologyReply* reply) override;
  grpc::ServerUnaryReactor* NodeStatus(Context* context, const v1::NodeStatusRequest* request,
                                       v1::NodeStatusReply* reply) override;
  grpc::ServerUnaryReactor* ScanPartition(Context* context, const v1::ScanPartitionRequest* request,
                                          v1::ScanPartitionReply* reply) override;

 private:
  Door* const door_;
  Admin* const admin_;

  std::mutex mutex_;
  // Open sessions; guarded by mutex_. They take themselves out.
  std::map<gyre::Session*, std::weak_ptr<gyre::Session>> sessions_;
  bool draining_ = false;  // guarded by mutex_
};

}  // namespace gyre

#endif  // GYRE_SERVER_CLIENT_SERVICE_H_
