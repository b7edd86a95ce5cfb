// Admin: what operators and SDKs ask of a node besides data: tables, the topology, status, and a
// look at what this one replica holds.
//
// Thread rule: any thread. A `done` runs on a thread of the node and must not wait.

#ifndef GYRE_SERVER_ADMIN_H_
#define GYRE_SERVER_ADMIN_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "api/proto/gyre.pb.h"
#include "ring/ids.h"
#include "server/call_seats.h"
#include "server/control_seat.h"
#include "server/disk_failure.h"
#include "server/door.h"
#include "server/lane.h"
#include "server/membership_seat.h"
#include "server/move_pace.h"
#include "server/objections.h"
#include "server/peer_links.h"
#include "server/store_pool.h"

namespace gyre {

inline constexpr char kVersion[] = "0.1.0";

class Admin {
 public:
  // Calls of a kind that are under way at once; one more is answered OVERLOADED. A scan and a look
  // at the status take a reader of the store each, a change of the topology a proposal.
  static constexpr int kMaxScans = 4;
  static constexpr int kMaxStatusCalls = 64;
  static constexpr int kMaxChanges = 64;

  template <typename Reply>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Reply>)>;

  struct Parts {
    Door* door = nullptr;
    ControlSeat* seat = nullptr;
    const MembershipSeat* membership = nullptr;
    StorePool* pool = nullptr;
    PeerLinks* links = nullptr;
    const DiskFailure* disk = nullptr;
    const MovePace* pace = nullptr;
    std::vector<Lane*> lanes = {};
  };

  // REQUIRES: the parts outlive it.
  Admin(Parts parts, Time started) : parts_(std::move(parts)), started_(started) {}

  void CreateTable(const v1::CreateTableRequest& request, Done<v1::CreateTableReply> done);
  void DropTable(const v1::DropTableRequest& request, Done<v1::DropTableReply> done);
  absl::StatusOr<v1::ListTablesReply> ListTables() const;
  absl::StatusOr<v1::DescribeTableReply> DescribeTable(
      const v1::DescribeTableRequest& request) const;
  absl::StatusOr<v1::GetTopologyReply> GetTopology(const v1::GetTopologyRequest& request) const;
  void ChangeMember(const v1::ChangeMemberRequest& request, Done<v1::ChangeMemberReply> done);
  void ListTransfers(Done<v1::ListTransfersReply> done);
  void NodeStatus(Done<v1::NodeStatusReply> done);
  void ScanPartition(const v1::ScanPartitionRequest& request, Done<v1::ScanPartitionReply> done);

 private:
  // Fills in what is to move under that document; `reply` has what speaks against the change.
  void Describe(Topology topology, v1::ChangeMemberReply reply, std::shared_ptr<void> seat,
                Done<v1::ChangeMemberReply> done);
  // Members that this node has no stream with.
  std::set<NodeId> Away() const;
  Whereabouts Known(NodeId self) const;
  // Says what speaks against it.
  void Object(const View& now, const Topology& next, v1::ChangeMemberReply* reply) const;
  // FAILED_PRECONDITION where data may be lost by it.
  absl::Status RefuseUnsafe(const Topology& now, const Topology& next) const;

  const Parts parts_;
  const Time started_;
  CallSeats scans_{kMaxScans};
  CallSeats status_calls_{kMaxStatusCalls};
  CallSeats changes_{kMaxChanges};
};

}  // namespace gyre

#endif  // GYRE_SERVER_ADMIN_H_
