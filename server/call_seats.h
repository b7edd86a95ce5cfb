// CallSeats: so many calls of a kind may be under way at once, and one more is refused.
//
//   std::shared_ptr<void> seat = seats.TryTake();
//   if (seat == nullptr) return Overloaded(...);
//
// Any thread.

#ifndef GYRE_SERVER_CALL_SEATS_H_
#define GYRE_SERVER_CALL_SEATS_H_

#include <atomic>
#include <memory>

namespace gyre {

class CallSeats {
 public:
  explicit CallSeats(int seats) : left_(std::make_shared<std::atomic<int>>(seats)) {}

  // The seat is free again when the last copy of it is gone. Null: all are taken.
  std::shared_ptr<void> TryTake() {
    if (left_->fetch_sub(1) > 0) {
      return {left_.get(), [left = left_](void*) { left->fetch_add(1); }};
    }
    left_->fetch_add(1);
    return nullptr;
  }

 private:
  const std::shared_ptr<std::atomic<int>> left_;  // outlives what is still under way
};

}  // namespace gyre

#endif  // GYRE_SERVER_CALL_SEATS_H_
