// Scheduler: virtual time. Runs what was scheduled in the order of its time, and among equals in
// the order of scheduling, and folds everything that happens into a digest: two runs that differ
// anywhere end with different digests.
//
// One thread.

#ifndef GYRE_TEST_SIM_SCHEDULER_H_
#define GYRE_TEST_SIM_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include "ring/ids.h"

namespace gyre {

class Scheduler {
 public:
  using Action = std::function<void()>;

  Time now() const { return now_; }

  void At(Time when, Action action) {
    queue_.push({when < now_ ? now_ : when, next_++, std::move(action)});
  }
  void After(Duration delay, Action action) { At(now_ + delay, std::move(action)); }

  // Runs everything up to `until`, or until `stop` says so.
  void RunUntil(Time until, const std::function<bool()>& stop) {
    while (!queue_.empty() && queue_.top().when <= until && !stop()) {
      // The action is moved out before it is popped: it may schedule more.
      Entry entry = std::move(const_cast<Entry&>(queue_.top()));
      queue_.pop();
      now_ = entry.when;
      Note(static_cast<uint64_t>(now_.micros()), entry.order);
      ++steps_;
      entry.action();
    }
    if (!stop()) now_ = until;
  }

  // Folds what happened into the digest (FNV-1a).
  void Note(uint64_t a, uint64_t b = 0) {
    for (uint64_t word : {a, b}) {
      for (int shift = 0; shift < 64; shift += 8) {
        digest_ = (digest_ ^ ((word >> shift) & 0xff)) * 0x100000001b3ULL;
      }
    }
  }
  void Note(std::string_view bytes) {
    for (char c : bytes) digest_ = (digest_ ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  }
  uint64_t digest() const { return digest_; }
  uint64_t steps() const { return steps_; }

 private:
  struct Entry {
    Time when;
    uint64_t order;
    Action action;
    // The queue gives the greatest first.
    friend bool operator<(const Entry& a, const Entry& b) {
      return std::pair(b.when, b.order) < std::pair(a.when, a.order);
    }
  };
  std::priority_queue<Entry> queue_;
  Time now_;
  uint64_t next_ = 0;
  uint64_t steps_ = 0;
  uint64_t digest_ = 0xcbf29ce484222325ULL;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SCHEDULER_H_
