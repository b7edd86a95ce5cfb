// MemberPlaces: at which place of a topology document's members a node is. Made once to look up the
// owners of every partition, of which there are hundreds of thousands.
//
// Open addressing with linear probing over ids, which are hashes already. Constant after
// construction; any thread.

#ifndef GYRE_RING_MEMBER_PLACES_H_
#define GYRE_RING_MEMBER_PLACES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ring/ids.h"
#include "ring/member.h"

namespace gyre {

class MemberPlaces {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  explicit MemberPlaces(const std::vector<Member>& members)
      : slots_(std::bit_ceil(members.size() * 2 + 1)) {
    for (size_t i = 0; i < members.size(); ++i) {
      size_t at = Begin(members[i].id);
      while (slots_[at].place != kNone) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = {members[i].id, i};
    }
  }

  // kNone: it is no member.
  size_t Of(NodeId id) const {
    size_t at = Begin(id);
    while (slots_[at].place != kNone && slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
    return slots_[at].place;
  }

 private:
  struct Slot {
    NodeId id;
    size_t place = kNone;
  };

  size_t Begin(NodeId id) const { return id.value() & (slots_.size() - 1); }

  std::vector<Slot> slots_;  // under half full
};

}  // namespace gyre

#endif  // GYRE_RING_MEMBER_PLACES_H_
