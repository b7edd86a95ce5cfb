// ControlSeat: Control, and with it Movement, on lane 0's thread, with what they want done
// performed, and the clients that wait for a change of the topology.
//
// Whoever waits is answered, also where the disk fails: with a typed error
// (api/error_translation.h).
//
// Order: a newer view is installed at every shard, then at the door; only then are those told whose
// change is in it, so that what they do next finds it. Where a shard cannot install it, for what it
// stores of the view's partitions cannot be read, that is the end of the node's service: some
// shards would serve under the newer view and some under the older one for good.
//
// Thread rule: lane 0's thread, but for Propose, Attach, level and rejected. Attach before the
// lanes start.

#ifndef GYRE_SERVER_CONTROL_SEAT_H_
#define GYRE_SERVER_CONTROL_SEAT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "api/error_translation.h"
#include "ring/ids.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "server/control.h"
#include "server/disk_failure.h"
#include "server/movement.h"
#include "server/peer_links.h"
#include "server/store_pool.h"

namespace gyre {

class Lane;

class ControlSeat {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Topology>)>;

  // REQUIRES: all outlive the seat.
  ControlSeat(Control* control, Movement* movement, StorePool* pool, PeerLinks* peers,
              DiskFailure* disk);

  // `lanes`: all of them, in order; `on_view` is told once every shard serves under a view, and
  // `on_outgrown` that the process is to end, and why (ControlEffects::outgrown).
  void Attach(std::vector<Lane*> lanes, std::function<void(std::shared_ptr<const View>)> on_view,
              std::function<void(std::string)> on_outgrown);

  // `done` is told on lane 0's thread, and must not wait; `what` is to change, which errors speak
  // of. Any thread.
  void Propose(Control::Change change, Done done, Changed what = Changed::kTables);

  void OnMessage(NodeId from, PeerMessage message, Instant now);
  void OnEpochOf(NodeId from, Epoch epoch, Instant now) { control_->OnEpochOf(from, epoch, now); }
  void OnLevel(NodeId node, BuildLevel level) { control_->OnLevel(node, level); }
  void OnPeer(NodeId node, bool reachable, Instant now);
  void OnWake(Instant now) { control_->OnWake(now); }
  void OnForgetful() { control_->OnForgetful(); }
  void OnHeardPeers() { control_->OnHeardPeers(); }
  void OnProven() { control_->OnProven(); }
  // Nothing newer will be in force here, and who waits for that is told.
  void OnDiskFailed();
  Time Perform(Instant now);

  // As which this node behaves. Any thread.
  BuildLevel level() const { return control_->level(); }
  // Documents that peers sent and that were dropped. Any thread.
  uint64_t rejected() const { return rejected_.load(std::memory_order_relaxed); }

 private:
  struct Proposed {
    Done done;
    Changed what;
  };

  void Begin(Control::Change change, Done done, Changed what, Instant now,
             Duration spread_patience);
  // Asks all shards what may step, where Movement is due, and then Movement what to propose.
  void Move(Instant now);
  void OnReady(const Movement::Ready& ready, Instant now);
  void Install(std::shared_ptr<const View> view);
  // Says in the log, once a while, what the shards cannot say themselves.
  void ReportUnreadable(Instant now);
  void OnInstalled(const std::shared_ptr<const View>& view);

  Control* const control_;
  Movement* const movement_;
  StorePool* const pool_;
  PeerLinks* const peers_;
  DiskFailure* const disk_;
  std::vector<Lane*> lanes_;
  std::function<void(std::shared_ptr<const View>)> on_view_;
  std::function<void(std::string)> on_outgrown_;

  uint64_t next_token_ = 1;
  std::map<uint64_t, Proposed> proposed_;
  std::set<NodeId> reachable_;
  std::set<NodeId> known_;  // members of some view
  bool asking_ = false;     // the shards, what may step
  Epoch installed_;
  std::vector<std::pair<Topology, Done>> waiting_for_install_;
  std::atomic<uint64_t> rejected_{0};
  uint64_t unreadable_ = 0;  // over all lanes, as last reported
  uint64_t mended_ = 0;
  Time look_again_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_CONTROL_SEAT_H_
