// ClusterTime: what time it is, by the clocks of most members. For expiry: a node whose own clock
// is an hour off, or jumps, knows the time as well as the others do.
//
// Members tell their wall clocks as they let each other in, so that the time is known soon in a
// cluster of any size, and with each message of membership. Of each member that was heard a node
// remembers how far that clock is ahead of its own monotonic one; the time is the middle of these
// and of its own wall clock, of an even number the earlier: what lives a moment longer is not lost.
// As long as of the clocks that a node has heard more than half are right, so is its time: as right
// as they are, less what a message takes, and what clocks drift between two messages.
//
// It knows no time before it has heard, itself included, more than half of the members.
//
//   ClusterTime time;
//   time.SetMembers(others);
//   time.OnHeard(peer, its_wall_ms, now);
//   if (auto offset_ms = time.Offset(instant)) ... instant.monotonic.millis + *offset_ms
//
// A message may have waited: of a member's last kHeard messages the one that shows its clock
// furthest ahead counts, which was under way the least (the clock filter of NTP, RFC 5905, section
// 10). The middle of many clocks, of which some are wrong: Marzullo and Owicki, "Maintaining the
// Time in a Distributed System" (PODC 1983), in its simplest form.
//
// Pure; one thread.

#ifndef GYRE_RING_CLUSTER_TIME_H_
#define GYRE_RING_CLUSTER_TIME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "ring/ids.h"

namespace gyre {

class ClusterTime {
 public:
  // Messages of a member that count. More, and a clock that was set back is believed later.
  static constexpr size_t kHeard = 8;

  // No clock shows more, and no moment is later, whatever a peer says: some 70,000 years on.
  static constexpr uint64_t kLatestMs = uint64_t{1} << 51;

  // Milliseconds of the time that `offset_ms`, of Offset, makes of a monotonic reading.
  static uint64_t At(Time monotonic, int64_t offset_ms) {
    return static_cast<uint64_t>(monotonic.micros() / 1000 + offset_ms);
  }

  // The other members. What was heard of one that is none any more is forgotten.
  void SetMembers(const std::vector<NodeId>& others);

  // A member's clock stood at `wall_ms` (0: it did not say) when it sent what arrives now. Does
  // nothing where it is no member, or that is beyond kLatestMs.
  void OnHeard(NodeId from, uint64_t wall_ms, Time now);

  // How far the time is ahead of this node's monotonic clock, in milliseconds; nothing while too
  // few members have been heard.
  std::optional<int64_t> Offset(Instant now) const;

 private:
  struct Heard {
    std::array<int64_t, kHeard> offsets_ms = {};  // the last ones, over and over
    size_t count = 0;
  };

  std::map<NodeId, Heard> members_;  // the others
  size_t heard_ = 0;                 // of them
};

}  // namespace gyre

#endif  // GYRE_RING_CLUSTER_TIME_H_
