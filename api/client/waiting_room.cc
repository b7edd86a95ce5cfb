#include "api/client/waiting_room.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gyre {
inline namespace sdk {

void WaitingRoom::Park(std::unique_ptr<Operation> op) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(op));
}

std::vector<std::unique_ptr<Operation>> WaitingRoom::TakeDue(absl::Time now, uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  // Stable, so that requests leave in the order in which they came.
  const auto due = std::stable_partition(
      waiting_.begin(), waiting_.end(), [&](const std::unique_ptr<Operation>& op) {
        const bool knows_epoch = op->wake_epoch != 0 && epoch >= op->wake_epoch;
        return !knows_epoch && now < op->wake_at && now < op->deadline;
      });
  std::vector<std::unique_ptr<Operation>> taken(std::make_move_iterator(due),
                                                std::make_move_iterator(waiting_.end()));
  waiting_.erase(due, waiting_.end());
  return taken;
}

std::vector<std::unique_ptr<Operation>> WaitingRoom::TakeAll() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

}  // namespace sdk
}  // namespace gyre
