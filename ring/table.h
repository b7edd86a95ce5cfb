// TableSpec: the schema of one table, part of the topology document.
//
// A plain value; immutable once it is in a View, and then safe to read from any thread.

#ifndef GYRE_RING_TABLE_H_
#define GYRE_RING_TABLE_H_

#include <cstdint>
#include <string>

#include "ring/ids.h"

namespace gyre {

// What happens to versions that were written concurrently.
enum class ConflictPolicy : uint8_t {
  kSiblings = 0,       // keep all; the application merges them (default)
  kLastWriteWins = 1,  // keep the one with the greatest hybrid logical clock
};

// When a write counts as kept by a replica.
enum class Durability : uint8_t {
  kFsync = 0,     // after fsync (default)
  kPeriodic = 1,  // after the write to the log; a crash of the machine may lose the last interval
};

// Whose copies count in a quorum.
enum class QuorumKind : uint8_t {
  kSloppy = 0,  // a stand-in's for an owner that cannot be reached, too (default)
  kStrict = 1,  // the owners' only
};

// 100 years of 365 days: the longest that a put may be given to live.
inline constexpr uint64_t kMaxTtlMs = uint64_t{100} * 365 * 24 * 3600 * 1000;

struct TableSpec {
  TableId id;
  std::string name;      // 1 to 255 of [A-Za-z0-9_.-], not starting with '.' or '-'
  int replicas = 3;      // N, 1 to kMaxReplicas
  int read_quorum = 2;   // R when a request names none, 1 to N
  int write_quorum = 2;  // W when a request names none, 1 to N
  ConflictPolicy conflict = ConflictPolicy::kSiblings;
  Durability durability = Durability::kFsync;
  QuorumKind quorum = QuorumKind::kSloppy;
  uint64_t ttl_ms = {};  // how long a put lives that does not say; 0: for ever, up to kMaxTtlMs

  friend bool operator==(const TableSpec&, const TableSpec&) = default;
};

}  // namespace gyre

#endif  // GYRE_RING_TABLE_H_
