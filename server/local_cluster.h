// LocalCluster: gyred nodes of one process, with real gRPC on loopback and RocksDB in a directory
// of their own. The one test bed of server_test.
//
// Thread rule: one thread.

#ifndef GYRE_SERVER_LOCAL_CLUSTER_H_
#define GYRE_SERVER_LOCAL_CLUSTER_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/proto/gyre.grpc.pb.h"
#include "server/config.h"
#include "server/gyred.h"
#include "server/held_port.h"
#include "storage/scratch_directory.h"

namespace gyre {

class LocalCluster {
 public:
  explicit LocalCluster(int nodes);

  // The configuration of node `index`, from 0. Change it before Start.
  Config& config(int index) { return configs_[index]; }

  // The configuration of one more node, which joins through node 0. Returns its index.
  int AddJoining();

  absl::Status Start(int index);
  // Starts all of them, waits until each sees each, and makes a table of that name. Dies where it
  // cannot.
  void StartAll(const std::string& table);
  // Makes a table at node 0 and waits until each node that runs knows it. Dies where it cannot.
  void CreateTable(const v1::Table& table);
  absl::Status Stop(int index);
  // Waits until each of the nodes that run sees all others. False: it never did.
  bool FindEachOther() const;

  // Why a node said that it cannot go on; "" while none has.
  std::string Fatal() const;

  // A stub with a connection of its own.
  std::unique_ptr<v1::Gyre::Stub> Connect(int index) const;
  v1::NodeStatusReply Status(int index) const;
  std::string AddressOf(int index) const { return configs_[index].client_listen.ToString(); }

  // Waits until `holds`, at most 10 s. False: it never did.
  static bool Eventually(const std::function<bool()>& holds);

 private:
  Address FreeAddress();

  ScratchDirectory directory_;
  std::deque<HeldPort> ports_;
  std::vector<Config> configs_;
  mutable std::mutex mutex_;
  std::string fatal_;  // guarded by mutex_
  // Last, so that they end first: until then they may report.
  std::vector<std::unique_ptr<Gyred>> nodes_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_LOCAL_CLUSTER_H_
