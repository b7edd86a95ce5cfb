// Node: what one node holds, wired together and still pure: its shards, each with its store,
// Control and Membership. It links without gRPC, so that the simulator runs the very same node as
// gyred.
//
// Who performs a node's effects gives each shard, and Control with Membership, to one thread; Node
// itself never changes after Open and may be read from any thread.

#ifndef GYRE_SERVER_NODE_H_
#define GYRE_SERVER_NODE_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "replication/message.h"
#include "ring/cluster_time.h"
#include "ring/ids.h"
#include "ring/membership.h"
#include "ring/random.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "server/control.h"
#include "server/movement.h"
#include "server/node_load.h"
#include "server/shard.h"
#include "storage/engine.h"
#include "storage/hint_log.h"
#include "storage/identity.h"
#include "storage/replica_store.h"

namespace gyre {

struct NodeOptions {
  ShardOptions shard;
  ReplicaStore::Options store;  // but for cached_bytes
  // Loop threads that share the partitions, 1 to 64. Default 1; about one for each two cores, since
  // the store's threads and others of the machine need the rest.
  int shards = 1;
  HintLogOptions hints;  // which all shards share
  // ReplicaStore::Options::cached_bytes, of all shards together. Default 32 MiB.
  size_t record_cache_bytes = size_t{32} << 20;
  MembershipOptions membership;
  NodeLoadOptions load;
  MovementOptions movement;
  // As which it behaves (ring/build_level.h): at most kBuildLevel, the default.
  BuildLevel level = kBuildLevel;
  // Of the data directory: whether the node's acceptor remembers all that it promised.
  Standing standing = Standing::kProven;
};

// What Membership wants sent, as a message of the node, whose clock stands at `wall_ms`.
inline Envelope Enclose(MembershipEffects::Send send, uint64_t wall_ms) {
  const Epoch epoch = send.message.epoch;
  send.message.wall_ms = wall_ms;
  return {send.to, {0, epoch, PartitionId(), std::move(send.message)}};
}

class Node {
 public:
  // `initial`: the topology of the configuration, used until the engine holds a newer one.
  // `clean_stop`: the last process on this data directory ended in order. Where it did not, writes
  // of `periodic` tables may be lost, and dots with them: the partitions start new lives; and those
  // that mint on need to see the other owners' clocks first. FAILED_PRECONDITION: the document is
  // of a level above the node's. REQUIRES: engine outlives the node.
  static absl::StatusOr<std::unique_ptr<Node>> Open(NodeOptions options, Engine* engine,
                                                    const Topology& initial, NodeId self,
                                                    bool clean_stop, Random random);

  int shards() const { return static_cast<int>(shards_.size()); }
  // Which shard a partition belongs to.
  int ShardOf(PartitionId partition) const {
    return static_cast<int>(partition.slice() % shards_.size());
  }
  Shard& shard(int index) { return *shards_[index].shard; }
  Control& control() { return *control_; }
  // Of Control's thread.
  Movement& movement() { return *movement_; }
  // What it says of others is for every shard: Shard::OnLiveness and Shard::OnLoad.
  Membership& membership() { return *membership_; }
  // Hears what a peer's Membership says, and what its clock does.
  void OnMembership(NodeId from, const MembershipMessage& message, Time now) {
    time_.OnHeard(from, message.wall_ms, now);
    membership_->OnMessage(from, message, now);
  }
  // What a peer's clock showed as it let this node in.
  void OnClock(NodeId from, uint64_t wall_ms, Time now) { time_.OnHeard(from, wall_ms, now); }
  // How busy this node is, in percent of what it can do, which Membership tells the others in time.
  // On Membership's thread.
  void OnLoad(int percent, Time now) {
    load_.OnShare(percent, now);
    membership_->SetLoad(load_.level());
  }
  Load load() const { return load_.level(); }
  // What it says is for every shard: Shard::OnClusterTime. Of Membership's thread.
  const ClusterTime& time() const { return time_; }

  // Tells Membership who there is: before its first event, and when a newer view is in force. On
  // Control's thread.
  void SetMembers(const View& view, Time now);

  // Puts a newer view in force at a shard, opening the partitions that it brings; those that it
  // takes away are dropped. Called on the shard's thread.
  [[nodiscard]] absl::Status Install(int shard, std::shared_ptr<const View> view, Instant now);

 private:
  struct Part {
    std::unique_ptr<ReplicaStore> store;
    std::unique_ptr<Shard> shard;
  };
  explicit Node(NodeLoadOptions load) : load_(load) {}
  std::vector<PartitionId> PartitionsOf(int shard, const View& view) const;
  // Of a view in which partitions move here: they are to be filled.
  void BeginMoves(int shard, const View& view);

  std::vector<Part> shards_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<Movement> movement_;
  std::unique_ptr<Membership> membership_;
  ClusterTime time_;
  NodeLoad load_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_NODE_H_
