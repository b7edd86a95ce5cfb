// WaitingRoom: operations that wait for a time, or for an epoch, before they are sent again.
//
// Thread-safe. It holds no more than the client's bound of outstanding requests. Nothing in it
// moves by itself: who wants the operations that are due asks for them, every few milliseconds and
// when a topology comes in, so a wait is exact to that tick.

#ifndef GYRE_API_CLIENT_WAITING_ROOM_H_
#define GYRE_API_CLIENT_WAITING_ROOM_H_

#include <memory>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "api/client/operation.h"

namespace gyre {
inline namespace sdk {

class WaitingRoom {
 public:
  void Park(std::unique_ptr<Operation> op);

  // Those whose time has come, whose deadline has passed, or whose epoch is `epoch` or older.
  std::vector<std::unique_ptr<Operation>> TakeDue(absl::Time now, uint64_t epoch);
  std::vector<std::unique_ptr<Operation>> TakeAll();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Operation>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_WAITING_ROOM_H_
