#include "ring/claim_paths.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "ring/check.h"

namespace gyre {
namespace {

constexpr int kCosts = 3;  // a step costs -1, 0 or 1: the pair that it makes less the one it ends
constexpr int8_t kNoStep = 2;
constexpr int64_t kFar = INT64_MAX / 2;

// The graph whose vertices are the nodes and, last, the hole. A step x -> y says that in some slice
// x can take a slot that y has; for each pair we keep how many slices offer it, by cost.
class PathFinder {
 public:
  explicit PathFinder(SliceTable& table)
      : table_(table),
        vertices_(static_cast<size_t>(table.rules().nodes()) + 1),
        hole_(static_cast<int>(vertices_) - 1),
        offers_(vertices_ * vertices_ * kCosts, 0),
        cheapest_(vertices_ * vertices_, kNoStep) {
    for (uint32_t slice = 0; slice < table_.rules().slices; ++slice) {
      Offer(slice, 1);
      if (table_.Has(slice, kHole)) with_holes_.push_back(slice);
    }
  }

  // Fills one hole. False when some node lacks load but no path leads to a hole.
  bool Augment() {
    FindDistances();
    if (distance_[static_cast<size_t>(hole_)] >= kFar) return false;
    struct Swap {
      uint32_t slice;
      int leaver;
      int node;
    };
    std::vector<Swap> swaps;
    for (int to = hole_; from_[static_cast<size_t>(to)] >= 0;) {
      const int node = from_[static_cast<size_t>(to)];
      const int leaver = to == hole_ ? kHole : to;
      swaps.push_back({FindSlice(node, to), leaver, node});
      to = node;
    }
    for (const Swap& swap : swaps) {  // a slice may be in two swaps; offers count it once
      if (!touched_[swap.slice]) Offer(swap.slice, -1);
      touched_[swap.slice] = true;
    }
    for (const Swap& swap : swaps) table_.Replace(swap.slice, swap.leaver, swap.node);
    for (const Swap& swap : swaps) {
      GYRE_CHECK(table_.Completable(swap.slice), "a shortest path keeps every slice completable");
      if (touched_[swap.slice]) Offer(swap.slice, 1);
      touched_[swap.slice] = false;
    }
    ForgetFilled();
    return true;
  }

 private:
  size_t Pair(int node, int to) const {
    return static_cast<size_t>(node) * vertices_ + static_cast<size_t>(to);
  }

  int StepCost(uint32_t slice, int node, int leaver) const {
    const int made = table_.HadBefore(slice, node) ? 0 : 1;
    const int ended = leaver == kHole || table_.HadBefore(slice, leaver) ? 0 : 1;
    return made - ended;
  }

  // Adds (or, with -1, takes back) every step that this slice offers.
  void Offer(uint32_t slice, int sign) {
    for (int node = 0; node < hole_; ++node) {
      if (table_.Has(slice, node)) continue;
      bool hole_done = false;
      for (const int leaver : table_.Slots(slice)) {
        if (leaver == kHole && hole_done) continue;
        hole_done = hole_done || leaver == kHole;
        if (!table_.CanReplace(slice, leaver, node)) continue;
        const size_t pair = Pair(node, leaver == kHole ? hole_ : leaver);
        const int cost = StepCost(slice, node, leaver);
        offers_[pair * kCosts + static_cast<size_t>(cost + 1)] += sign;
        Recheck(pair);
      }
    }
  }

  void Recheck(size_t pair) {
    cheapest_[pair] = kNoStep;
    for (int cost = 1; cost >= -1; --cost) {
      if (offers_[pair * kCosts + static_cast<size_t>(cost + 1)] > 0) {
        cheapest_[pair] = static_cast<int8_t>(cost);
      }
    }
  }

  // Bellman-Ford by a queue, from every node that lacks load. Distance orders by cost, then by
  // steps.
  void FindDistances() {
    const int64_t per_cost = 2 * static_cast<int64_t>(vertices_);
    distance_.assign(vertices_, kFar);
    from_.assign(vertices_, -1);
    touched_.resize(table_.rules().slices, false);
    std::vector<bool> queued(vertices_, false);
    std::deque<int> queue;
    for (int node = 0; node < hole_; ++node) {
      if (table_.load(node) >= table_.target(node)) continue;
      distance_[static_cast<size_t>(node)] = 0;
      queue.push_back(node);
      queued[static_cast<size_t>(node)] = true;
    }
    while (!queue.empty()) {
      const int node = queue.front();
      queue.pop_front();
      queued[static_cast<size_t>(node)] = false;
      for (int to = 0; to <= hole_; ++to) {
        const int8_t cost = cheapest_[Pair(node, to)];
        if (cost == kNoStep) continue;
        const int64_t reached = distance_[static_cast<size_t>(node)] + cost * per_cost + 1;
        if (reached >= distance_[static_cast<size_t>(to)]) continue;
        distance_[static_cast<size_t>(to)] = reached;
        from_[static_cast<size_t>(to)] = node;
        if (to != hole_ && !queued[static_cast<size_t>(to)]) {
          queue.push_back(to);
          queued[static_cast<size_t>(to)] = true;
        }
      }
    }
  }

  // Some slice that offers the cheapest step between the two. Where the search starts depends on
  // the pair, so that what one node gives to another is not all in neighbouring slices.
  uint32_t FindSlice(int node, int to) {
    const int leaver = to == hole_ ? kHole : to;
    const int wanted = cheapest_[Pair(node, to)];
    const uint64_t start = (Pair(node, to) + 1) * 0x9e3779b97f4a7c15ULL >> 32;
    const size_t candidates = to == hole_ ? with_holes_.size() : table_.rules().slices;
    for (size_t i = 0; i < candidates; ++i) {
      const size_t at = (start + i) % candidates;
      const uint32_t slice = to == hole_ ? with_holes_[at] : static_cast<uint32_t>(at);
      if (!table_.Has(slice, leaver) || table_.Has(slice, node)) continue;
      if (StepCost(slice, node, leaver) != wanted) continue;
      if (table_.CanReplace(slice, leaver, node)) return slice;
    }
    GYRE_CHECK(false, "an offered step is in some slice");
    return 0;
  }

  // Holes only ever go: forgets the slices that have none left, once they are half of the list.
  void ForgetFilled() {
    if (++filled_ * 2 < with_holes_.size()) return;
    filled_ = 0;
    with_holes_.erase(std::remove_if(with_holes_.begin(), with_holes_.end(),
                                     [this](uint32_t slice) { return !table_.Has(slice, kHole); }),
                      with_holes_.end());
  }

  SliceTable& table_;
  const size_t vertices_;
  const int hole_;
  std::vector<int32_t> offers_;       // by pair and cost + 1: how many slices offer the step
  std::vector<int8_t> cheapest_;      // by pair: least cost offered, or kNoStep
  std::vector<uint32_t> with_holes_;  // every slice that has a hole, and some that had
  size_t filled_ = 0;                 // holes filled since with_holes_ was last pruned
  std::vector<int64_t> distance_;     // by vertex, of the search under way
  std::vector<int> from_;             // by vertex: the step before, or -1
  std::vector<bool> touched_;         // by slice; all false between calls
};

uint64_t CountHoles(const SliceTable& table) {
  uint64_t holes = 0;
  for (uint32_t slice = 0; slice < table.rules().slices; ++slice) {
    const auto slots = table.Slots(slice);
    holes += static_cast<uint64_t>(std::count(slots.begin(), slots.end(), kHole));
  }
  return holes;
}

// Nodes that kept all that they had: each pair more that one of them gets costs a copy, whichever
// it is.
std::vector<bool> KeptAll(const SliceTable& table) {
  std::vector<bool> kept(static_cast<size_t>(table.rules().nodes()), true);
  for (uint32_t slice = 0; slice < table.rules().slices; ++slice) {
    for (const int node : table.Previous(slice)) {
      if (node != kHole && !table.Has(slice, node)) kept[static_cast<size_t>(node)] = false;
    }
  }
  return kept;
}

// Fills the holes that a node which lacks load can take as they are, and that cost one copy
// wherever they are: no path is cheaper. Always the node that lacks the most, so that few holes
// are left in the end that nobody can take. Answers how many it filled.
uint64_t FillDirectly(SliceTable& table) {
  const std::vector<bool> kept = KeptAll(table);
  std::vector<int> lacking;
  for (int node = 0; node < table.rules().nodes(); ++node) {
    if (kept[static_cast<size_t>(node)] && table.load(node) < table.target(node)) {
      lacking.push_back(node);
    }
  }
  uint64_t filled = 0;
  const uint32_t slices = table.rules().slices;
  for (uint32_t k = 0; k < slices && !lacking.empty(); ++k) {
    // An odd stride visits each of 2^k slices once, and neighbours apart.
    const uint32_t slice = k * 0x9e3779b1u % slices;
    while (table.Has(slice, kHole)) {
      size_t best = lacking.size();
      uint32_t best_lacks = 0;
      for (size_t i = 0; i < lacking.size(); ++i) {
        // Begins elsewhere each time: of those that lack as much, none is always the first.
        const size_t at = (i + k) % lacking.size();
        const int node = lacking[at];
        const uint32_t lacks = table.target(node) - table.load(node);
        if (lacks <= best_lacks || table.Has(slice, node)) continue;
        if (!table.CanReplace(slice, kHole, node)) continue;
        best = at;
        best_lacks = lacks;
      }
      if (best == lacking.size()) break;
      table.Replace(slice, kHole, lacking[best]);
      ++filled;
      if (best_lacks == 1) lacking.erase(lacking.begin() + static_cast<std::ptrdiff_t>(best));
      if (lacking.empty()) break;
    }
  }
  return filled;
}

}  // namespace

void FillHoles(SliceTable& table) {
  uint64_t holes = CountHoles(table);
  if (holes > 0) holes -= FillDirectly(table);
  if (holes == 0) return;
  PathFinder finder(table);
  for (; holes > 0; --holes) {
    GYRE_CHECK(finder.Augment(), "the targets can be met, so a path to each hole exists");
  }
}

}  // namespace gyre
