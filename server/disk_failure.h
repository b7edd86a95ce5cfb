// DiskFailure: whether this node's disk has failed, why, and who is to be told.
//
// It fails once and for the life of the process: what is on the disk is unknown from then on, and
// only a restart, which verifies, may go on. Whoever has to stop at once watches; whoever reports
// (health, status, metrics) asks.
//
// Thread rule: every method from any thread.

#ifndef GYRE_SERVER_DISK_FAILURE_H_
#define GYRE_SERVER_DISK_FAILURE_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "absl/status/status.h"

namespace gyre {

class DiskFailure {
 public:
  enum class Deed : uint8_t { kWrite, kRead };

  // What failed, and in doing what: RESOURCE_EXHAUSTED where the disk is full, DATA_LOSS where what
  // it holds is damaged. The first one counts.
  void Give(const absl::Status& why, Deed deed = Deed::kWrite);

  // `on_failure` is told once: by whoever gives the failure, or at once where it is known already.
  // It must not wait, nor call this. Null: nobody is told from now on; a call that was under way
  // has ended when this returns.
  void Watch(std::function<void(const absl::Status&)> on_failure);

  bool happened() const { return !status().ok(); }
  // Whether for want of room.
  bool full() const { return absl::IsResourceExhausted(status()); }
  // For operators: "" while the disk works.
  std::string Words() const;

 private:
  absl::Status status() const;

  mutable std::mutex mutex_;
  absl::Status status_;       // guarded by mutex_
  Deed deed_ = Deed::kWrite;  // guarded by mutex_

  std::mutex watch_mutex_;                               // before mutex_
  std::function<void(const absl::Status&)> on_failure_;  // guarded by watch_mutex_
};

}  // namespace gyre

#endif  // GYRE_SERVER_DISK_FAILURE_H_
