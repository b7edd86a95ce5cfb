// Dot: the name of one write event, for ever.
//
// A replica id mints counters 1, 2, 3, … and never the same one twice (a replica that may have
// forgotten what it minted takes a new replica id first). Counter 0 names no event.
//
// Plain values, safe from any thread.
//
// Source: Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version Vectors: Logical Clocks for
// Optimistic Replication" (2010), section 4.

#ifndef GYRE_STORAGE_VERSION_DOT_H_
#define GYRE_STORAGE_VERSION_DOT_H_

#include <compare>
#include <cstdint>
#include <utility>

#include "ring/ids.h"

namespace gyre {

// Counters stay below this, so that no sum of two of them overflows. Decoders refuse greater ones.
inline constexpr uint64_t kMaxCounter = uint64_t{1} << 62;

struct Dot {
  ReplicaId replica;
  uint64_t counter = 0;

  friend constexpr auto operator<=>(const Dot&, const Dot&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Dot& dot) {
    return H::combine(std::move(h), dot.replica, dot.counter);
  }
};

// The idempotency key of a write: 128 bits chosen by the client. All zero means that it gave none.
struct WriteId {
  uint64_t high = 0;
  uint64_t low = 0;

  constexpr bool empty() const { return high == 0 && low == 0; }
  friend constexpr auto operator<=>(const WriteId&, const WriteId&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const WriteId& id) {
    return H::combine(std::move(h), id.high, id.low);
  }
};

// A dot with the write that minted it, as it stands in the dot log and travels in messages: whoever
// sees the dot can tell a retry of the same write from a new one.
struct Minted {
  Dot dot;
  WriteId write;
  uint32_t attempt = 0;  // which try of the client this was; 0 is the first

  friend constexpr auto operator<=>(const Minted&, const Minted&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Minted& minted) {
    return H::combine(std::move(h), minted.dot, minted.write, minted.attempt);
  }
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_DOT_H_
