#include "ring/claim_ranks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "ring/check.h"

namespace gyre {
namespace {

// Spreads one rank over the nodes; slots before it are settled, slots after it are the
// alternatives.
class RankSpreader {
 public:
  RankSpreader(std::vector<int>& owners, size_t each, size_t nodes, size_t rank)
      : owners_(owners),
        each_(each),
        nodes_(nodes),
        rank_(rank),
        picks_(nodes),
        picked_(nodes, 0),
        low_(nodes, 0),
        high_(nodes, 0),
        alternatives_(nodes * nodes, 0) {
    std::vector<int> open(nodes, 0);
    for (size_t base = 0; base < owners_.size(); base += each_) {
      ++picked_[At(base, rank_)];
      picks_[At(base, rank_)].push_back(base);
      for (size_t r = rank_; r < each_; ++r) ++open[At(base, r)];
      Count(base, 1);
    }
    const int ranks_open = static_cast<int>(each_ - rank_);
    for (size_t node = 0; node < nodes_; ++node) {
      low_[node] = open[node] / ranks_open;
      high_[node] = (open[node] + ranks_open - 1) / ranks_open;
    }
  }

  void Spread() {
    for (size_t node = 0; node < nodes_; ++node) {
      while (picked_[node] > high_[node]) {
        GYRE_CHECK(Shift({node}, [this](size_t to) { return picked_[to] < high_[to]; }),
                   "someone can take what is over the ceiling");
      }
    }
    while (true) {
      std::vector<size_t> givers;
      bool lacking = false;
      for (size_t node = 0; node < nodes_; ++node) {
        if (picked_[node] > low_[node]) givers.push_back(node);
        lacking = lacking || picked_[node] < low_[node];
      }
      if (!lacking) return;
      GYRE_CHECK(Shift(givers, [this](size_t to) { return picked_[to] < low_[to]; }),
                 "someone can give what is below the floor");
    }
  }

 private:
  size_t At(size_t base, size_t rank) const { return static_cast<size_t>(owners_[base + rank]); }

  void Count(size_t base, int sign) {
    for (size_t r = rank_ + 1; r < each_; ++r) {
      alternatives_[At(base, rank_) * nodes_ + At(base, r)] += sign;
    }
  }

  // Moves one pick from one of `sources` to the nearest node that `wanted` holds for.
  template <typename Wanted>
  bool Shift(const std::vector<size_t>& sources, Wanted wanted) {
    constexpr size_t kUnseen = SIZE_MAX;
    std::vector<size_t> from(nodes_, kUnseen);
    std::deque<size_t> queue;
    for (const size_t source : sources) {
      from[source] = source;
      queue.push_back(source);
    }
    while (!queue.empty()) {
      const size_t node = queue.front();
      queue.pop_front();
      for (size_t to = 0; to < nodes_; ++to) {
        if (from[to] != kUnseen || alternatives_[node * nodes_ + to] == 0) continue;
        from[to] = node;
        if (wanted(to)) {
          Apply(from, to);
          return true;
        }
        queue.push_back(to);
      }
    }
    return false;
  }

  // Each node on the path hands one pick to the next; every hand-over is in another slice, since a
  // slice has one pick and the path visits a node once.
  void Apply(const std::vector<size_t>& from, size_t last) {
    ++picked_[last];
    size_t to = last;
    for (; from[to] != to; to = from[to]) HandOver(from[to], to);
    --picked_[to];
  }

  void HandOver(size_t giver, size_t taker) {
    std::vector<size_t>& given = picks_[giver];
    for (auto it = given.begin(); it != given.end(); ++it) {
      const size_t base = *it;
      for (size_t r = rank_ + 1; r < each_; ++r) {
        if (At(base, r) != taker) continue;
        Count(base, -1);
        std::swap(owners_[base + rank_], owners_[base + r]);
        Count(base, 1);
        given.erase(it);
        std::vector<size_t>& taken = picks_[taker];
        taken.insert(std::lower_bound(taken.begin(), taken.end(), base), base);
        return;
      }
    }
    GYRE_CHECK(false, "a counted alternative is in some slice");
  }

  std::vector<int>& owners_;
  const size_t each_;
  const size_t nodes_;
  const size_t rank_;
  std::vector<std::vector<size_t>> picks_;  // by node: where it has this rank, ascending
  std::vector<int> picked_;  // by node: how many those are to be, once a path is done
  std::vector<int> low_;     // by node: least and most that it is to have
  std::vector<int> high_;
  std::vector<int> alternatives_;  // [a * nodes + b]: slices where a has the rank and b could
};

}  // namespace

void SpreadRanks(std::vector<int>& owners, int owners_each, int nodes) {
  for (int rank = 0; rank + 1 < owners_each; ++rank) {
    RankSpreader(owners, static_cast<size_t>(owners_each), static_cast<size_t>(nodes),
                 static_cast<size_t>(rank))
        .Spread();
  }
}

}  // namespace gyre
