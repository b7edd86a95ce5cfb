#include "ring/claim_slices.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {

SliceTable::SliceTable(const ClaimRules& rules, std::vector<int> previous, int previous_each)
    : rules_(rules),
      previous_(std::move(previous)),
      previous_each_(static_cast<size_t>(previous_each)),
      slots_(rules.slices * static_cast<size_t>(rules.owners_each), kHole),
      load_(static_cast<size_t>(rules.nodes()), 0) {
  for (int zone = 0; zone < rules_.zones(); ++zone) {
    if (rules_.zone_min[static_cast<size_t>(zone)] > 0) bound_zones_.push_back(zone);
  }
}

int SliceTable::CountOfZone(uint32_t slice, int zone) const {
  int count = 0;
  for (const int node : Slots(slice)) {
    if (node != kHole && rules_.zone_of[static_cast<size_t>(node)] == zone) ++count;
  }
  return count;
}

bool SliceTable::CanReplace(uint32_t slice, int leaver, int node) const {
  const int zone = rules_.zone_of[static_cast<size_t>(node)];
  const int left = leaver == kHole ? -1 : rules_.zone_of[static_cast<size_t>(leaver)];
  if (left == zone) return true;
  if (CountOfZone(slice, zone) >= rules_.zone_max[static_cast<size_t>(zone)]) return false;
  if (bound_zones_.empty()) return true;
  int holes = leaver == kHole ? -1 : 0;
  for (const int slot : Slots(slice)) holes += slot == kHole ? 1 : 0;
  for (const int bound : bound_zones_) {
    const int count = CountOfZone(slice, bound) + (bound == zone ? 1 : 0) - (bound == left ? 1 : 0);
    holes -= std::max(0, rules_.zone_min[static_cast<size_t>(bound)] - count);
  }
  return holes >= 0;
}

bool SliceTable::Completable(uint32_t slice) const {
  int holes = 0;
  for (const int node : Slots(slice)) {
    if (node == kHole) {
      ++holes;
      continue;
    }
    const int zone = rules_.zone_of[static_cast<size_t>(node)];
    if (CountOfZone(slice, zone) > rules_.zone_max[static_cast<size_t>(zone)]) return false;
  }
  for (const int zone : bound_zones_) {
    holes -= std::max(0, rules_.zone_min[static_cast<size_t>(zone)] - CountOfZone(slice, zone));
  }
  return holes >= 0;
}

void SliceTable::Replace(uint32_t slice, int leaver, int node) {
  int* const begin = slots_.data() + SlotIndex(slice);
  int* const slot = std::find(begin, begin + Each(), leaver);
  GYRE_CHECK(slot != begin + Each(), "only a node that holds a slot can leave it");
  *slot = node;
  if (leaver != kHole) --load_[static_cast<size_t>(leaver)];
  if (node != kHole) ++load_[static_cast<size_t>(node)];
}

}  // namespace gyre
