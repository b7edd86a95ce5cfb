// FlushPace: how fast a store writes out what has filled its memory.
//
// At full speed a flush takes a core for half a second, and requests wait behind it. It has more
// time than that: until the memory that is being filled meanwhile is full as well. So it goes at
// twice the rate at which the store is written to, which leaves it half of that time. And never
// slower than kLeast: a rate that is low may be of a store that nobody writes to any more.
//
// Not thread-safe. Pure: time is given.

#ifndef GYRE_STORAGE_FLUSH_PACE_H_
#define GYRE_STORAGE_FLUSH_PACE_H_

#include <cstddef>

#include "ring/ids.h"

namespace gyre {

class FlushPace {
 public:
  static constexpr double kLeast = 16 << 20;  // bytes a second

  // The store was given `bytes`.
  void OnWritten(size_t bytes, Time now);
  // When a flush may write its next `bytes`: now or later. They count as written.
  Time Admit(size_t bytes, Time now);
  // Of flushes, in bytes a second.
  double Rate(Time now) const;

 private:
  double Recent(Time now) const;

  double recent_ = 0;  // bytes that the store was given until at_, each worth less by its age
  Time at_;
  Time next_;  // when what was admitted will have been written
};

}  // namespace gyre

#endif  // GYRE_STORAGE_FLUSH_PACE_H_
