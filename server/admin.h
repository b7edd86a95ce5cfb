// Admin: what operators and SDKs ask of a node besides data: tables, the topology, status, and a
// look at what this one replica holds.
//
// Thread rule: any thread. A `done` runs on a thread of the node and must not wait.

#ifndef GYRE_SERVER_ADMIN_H_
#define GYRE_SERVER_ADMIN_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "api/proto/gyre.pb.h"
#include "ring/ids.h"
#include "server/control_seat.h"
#include "server/door.h"
#include "server/lane.h"
#include "server/peer_links.h"
#include "server/store_pool.h"

namespace gyre {

inline constexpr char kVersion[] = "0.1.0";

class Admin {
 public:
  template <typename Reply>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Reply>)>;

  struct Parts {
    Door* door = nullptr;
    ControlSeat* seat = nullptr;
    StorePool* pool = nullptr;
    PeerLinks* links = nullptr;
    std::vector<Lane*> lanes;
  };

  // REQUIRES: the parts outlive it.
  Admin(Parts parts, Time started) : parts_(std::move(parts)), started_(started) {}

  void CreateTable(const v1::CreateTableRequest& request, Done<v1::CreateTableReply> done);
  void DropTable(const v1::DropTableRequest& request, Done<v1::DropTableReply> done);
  absl::StatusOr<v1::ListTablesReply> ListTables() const;
  absl::StatusOr<v1::DescribeTableReply> DescribeTable(
      const v1::DescribeTableRequest& request) const;
  absl::StatusOr<v1::GetTopologyReply> GetTopology(const v1::GetTopologyRequest& request) const;
  void NodeStatus(Done<v1::NodeStatusReply> done) const;
  void ScanPartition(const v1::ScanPartitionRequest& request,
                     Done<v1::ScanPartitionReply> done) const;

 private:
  const Parts parts_;
  const Time started_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_ADMIN_H_
