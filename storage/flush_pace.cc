#include "storage/flush_pace.h"

#include <algorithm>
#include <cmath>

namespace gyre {
namespace {

// A byte that was written this long ago is worth 1/e: so the bytes of a steady rate are worth what
// this time brings of them.
constexpr Duration kMemory = Duration::Seconds(1);
constexpr double kHeadStart = 2;  // how much faster a flush is than what it must be done before

double Seconds(Duration duration) { return static_cast<double>(duration.micros()) * 1e-6; }

}  // namespace

double FlushPace::Recent(Time now) const {
  return recent_ * std::exp(-Seconds(std::max(now - at_, Duration())) / Seconds(kMemory));
}

void FlushPace::OnWritten(size_t bytes, Time now) {
  recent_ = Recent(now) + static_cast<double>(bytes);
  at_ = std::max(at_, now);
}

double FlushPace::Rate(Time now) const {
  return std::max(kLeast, kHeadStart * Recent(now) / Seconds(kMemory));
}

Time FlushPace::Admit(size_t bytes, Time now) {
  const Time from = std::max(next_, now);
  const double seconds = static_cast<double>(bytes) / Rate(now);
  next_ = from + Duration::Micros(static_cast<int64_t>(seconds * 1e6));
  return from;
}

}  // namespace gyre
