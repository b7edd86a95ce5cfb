// The strong identifiers of Gyre, and its one notion of time for pure code.
//
// Every identifier is a distinct type around an integer: a PartitionId cannot be passed where a
// NodeId is wanted. All are trivially copyable values, safe to use from any thread.

#ifndef GYRE_RING_IDS_H_
#define GYRE_RING_IDS_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace gyre {

// A distinct integer type. `Tag` exists only to keep two instantiations apart.
template <typename Tag, typename Int>
class StrongId {
 public:
  using Value = Int;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Int value) : value_(value) {}
  constexpr Int value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;

  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Int value_ = 0;
};

// One process with one data directory. Derived from the cluster's and the node's name, so that
// every node computes the same ids from the same configuration. 0 means "no node".
using NodeId = StrongId<struct NodeIdTag, uint64_t>;

// Identity of a cluster: nodes of different clusters refuse each other.
using ClusterId = StrongId<struct ClusterIdTag, uint64_t>;

// The identity that mints dots: unique for one life of one partition's data on one node. 0 is never
// minted under.
using ReplicaId = StrongId<struct ReplicaIdTag, uint64_t>;

// Version number of the topology document. Starts at 1; 0 means "none known".
using Epoch = StrongId<struct EpochTag, uint64_t>;

// A table's number, never used again after a drop. 0 means "no table".
using TableId = StrongId<struct TableIdTag, uint16_t>;

// One of Q equal slices of the hash space, in the family of a replication factor N.
//
// Tables of different N need different owner sets, while all owners of a partition must share
// exactly one key set (the partition clock rests on it). So each N in use has Q partitions of its
// own: the family. value() = N << 16 | slice.
class PartitionId {
 public:
  constexpr PartitionId() = default;
  constexpr PartitionId(int replicas, uint32_t slice)
      : value_(static_cast<uint32_t>(replicas) << 16 | slice) {}
  static constexpr PartitionId FromValue(uint32_t value) {
    PartitionId id;
    id.value_ = value;
    return id;
  }
  constexpr uint32_t value() const { return value_; }
  constexpr int replicas() const { return static_cast<int>(value_ >> 16); }
  constexpr uint32_t slice() const { return value_ & 0xffff; }
  friend constexpr auto operator<=>(PartitionId, PartitionId) = default;

  template <typename H>
  friend H AbslHashValue(H h, PartitionId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  uint32_t value_ = 0;
};

inline constexpr int kMaxReplicas = 5;         // largest N of a table
inline constexpr uint32_t kMaxSlices = 65536;  // largest Q

// A span of time in microseconds.
class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration Micros(int64_t us) { return Duration(us); }
  static constexpr Duration Millis(int64_t ms) { return Duration(ms * 1000); }
  static constexpr Duration Seconds(int64_t s) { return Duration(s * 1000000); }
  constexpr int64_t micros() const { return us_; }
  constexpr int64_t millis() const { return us_ / 1000; }
  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return Duration(a.us_ + b.us_); }
  friend constexpr Duration operator-(Duration a, Duration b) { return Duration(a.us_ - b.us_); }
  friend constexpr Duration operator*(Duration a, int64_t k) { return Duration(a.us_ * k); }
  friend constexpr Duration operator/(Duration a, int64_t k) { return Duration(a.us_ / k); }

 private:
  constexpr explicit Duration(int64_t us) : us_(us) {}
  int64_t us_ = 0;
};

// A point on the monotonic time line of one process (microseconds since an arbitrary origin). Pure
// code gets it as a parameter; it never asks a clock.
class Time {
 public:
  constexpr Time() = default;
  static constexpr Time FromMicros(int64_t us) {
    Time t;
    t.us_ = us;
    return t;
  }
  static constexpr Time Never() { return FromMicros(INT64_MAX); }
  constexpr int64_t micros() const { return us_; }
  friend constexpr auto operator<=>(Time, Time) = default;
  friend constexpr Time operator+(Time t, Duration d) { return FromMicros(t.us_ + d.micros()); }
  friend constexpr Duration operator-(Time a, Time b) { return Duration::Micros(a.us_ - b.us_); }

 private:
  int64_t us_ = 0;
};

// Both readings a step may need: `monotonic` for deadlines, `wall_ms` (milliseconds since the Unix
// epoch, possibly wrong, possibly jumping) for last-write-wins and expiry only.
struct Instant {
  Time monotonic;
  uint64_t wall_ms = 0;
};

}  // namespace gyre

#endif  // GYRE_RING_IDS_H_
