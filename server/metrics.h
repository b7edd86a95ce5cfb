// Metrics: what a node counts, as Prometheus text. Figures are read from the parts when they are
// asked for; but for what the plan of an epoch comes to, nothing is kept.
//
// Thread rule: any thread.

#ifndef GYRE_SERVER_METRICS_H_
#define GYRE_SERVER_METRICS_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "ring/ids.h"
#include "ring/view.h"
#include "server/control_seat.h"
#include "server/disk_failure.h"
#include "server/door.h"
#include "server/lane.h"
#include "server/membership_seat.h"
#include "server/peer_links.h"
#include "server/peer_service.h"
#include "server/store_pool.h"
#include "storage/engine.h"

namespace gyre {

class Metrics {
 public:
  struct Parts {
    const Door* door = nullptr;
    const StorePool* pool = nullptr;
    const PeerLinks* links = nullptr;
    const PeerService* peers = nullptr;
    const ControlSeat* seat = nullptr;
    const MembershipSeat* membership = nullptr;
    const Engine* engine = nullptr;
    const DiskFailure* disk = nullptr;
    std::string data_dir;
    std::vector<Lane*> lanes;
  };

  // REQUIRES: the parts outlive it.
  explicit Metrics(Parts parts) : parts_(std::move(parts)) {}

  std::string Text() const;

 private:
  uint64_t MovesWaiting(const View& view) const;

  const Parts parts_;
  mutable std::mutex mutex_;
  mutable Epoch planned_;  // guarded by mutex_, and so is the next: what the plan for it came to
  mutable uint64_t waiting_ = 0;
};

}  // namespace gyre

#endif  // GYRE_SERVER_METRICS_H_
