// SliceTable: a placement under construction: which nodes each slice has so far, under the rules
// that a slice must obey. The working state of Claim (ring/claim.h), in node indexes instead of
// ids.
//
// A slice has n slots; a slot without a node is a hole. A slice is completable while no zone is
// over its maximum and there are holes enough to bring every zone to its minimum; such slices are
// the independent sets of a matroid. Always holds between the changes of Claim: every slice is
// completable (CanReplace says whether a change keeps it so).
//
// One instance belongs to one thread.

#ifndef GYRE_RING_CLAIM_SLICES_H_
#define GYRE_RING_CLAIM_SLICES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace gyre {

inline constexpr int kHole = -1;

// What a finished placement has to look like.
struct ClaimRules {
  int owners_each = 0;           // n
  uint32_t slices = 0;           // Q
  std::vector<int> zone_of;      // by node
  std::vector<int> zone_size;    // by zone: nodes in it
  std::vector<int> zone_min;     // by zone: owners in each slice, at least
  std::vector<int> zone_max;     // and at most
  std::vector<uint32_t> target;  // by node: slices to own

  int nodes() const { return static_cast<int>(zone_of.size()); }
  int zones() const { return static_cast<int>(zone_size.size()); }
};

class SliceTable {
 public:
  // `previous` is slice-major with `previous_each` slots a slice; kHole where the owner has left.
  // REQUIRES: `rules` outlives the table. Its targets may be filled in later.
  SliceTable(const ClaimRules& rules, std::vector<int> previous, int previous_each);

  const ClaimRules& rules() const { return rules_; }
  absl::Span<const int> Slots(uint32_t slice) const {
    return absl::MakeConstSpan(slots_.data() + SlotIndex(slice), Each());
  }
  absl::Span<const int> Previous(uint32_t slice) const {
    return absl::MakeConstSpan(previous_.data() + slice * previous_each_, previous_each_);
  }
  bool Has(uint32_t slice, int node) const { return Contains(Slots(slice), node); }
  bool HadBefore(uint32_t slice, int node) const { return Contains(Previous(slice), node); }
  uint32_t load(int node) const { return load_[static_cast<size_t>(node)]; }
  uint32_t target(int node) const { return rules_.target[static_cast<size_t>(node)]; }

  // Does the slice stay completable when `node` takes the slot of `leaver` (a node in it, or
  // kHole)? REQUIRES: !Has(slice, node).
  bool CanReplace(uint32_t slice, int leaver, int node) const;

  // Puts `node` into the first slot that holds `leaver`; `node` may be kHole.
  void Replace(uint32_t slice, int leaver, int node);

  // Is the slice completable as it stands?
  bool Completable(uint32_t slice) const;

 private:
  size_t Each() const { return static_cast<size_t>(rules_.owners_each); }
  size_t SlotIndex(uint32_t slice) const { return slice * Each(); }
  static bool Contains(absl::Span<const int> slots, int node) {
    for (const int slot : slots) {
      if (slot == node) return true;
    }
    return false;
  }
  int CountOfZone(uint32_t slice, int zone) const;

  const ClaimRules& rules_;
  const std::vector<int> previous_;
  const size_t previous_each_;
  std::vector<int> bound_zones_;  // zones with a minimum above 0; few, since minima need few zones
  std::vector<int> slots_;        // slice-major
  std::vector<uint32_t> load_;    // by node: slots held
};

}  // namespace gyre

#endif  // GYRE_RING_CLAIM_SLICES_H_
