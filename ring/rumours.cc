#include "ring/rumours.h"

#include <algorithm>

namespace gyre {

int Rumours::Limit(size_t nodes) {
  int digits = 1;
  for (; nodes >= 10; nodes /= 10) ++digits;
  return kRepeats * digits;
}

void Rumours::Add(const Rumour& rumour) {
  Drop(rumour.node);
  const Place place{0, UINT64_MAX - ++added_, rumour.node};
  rumours_.insert({rumour.node, {rumour, place}});
  order_.insert(place);
}

std::vector<Rumour> Rumours::Take(size_t most, size_t nodes) {
  std::vector<Place> places(
      order_.begin(),
      std::next(order_.begin(), static_cast<std::ptrdiff_t>(std::min(most, order_.size()))));
  std::vector<Rumour> taken;
  taken.reserve(places.size());
  const int limit = Limit(nodes);
  for (Place place : places) {
    Kept& kept = rumours_.at(std::get<NodeId>(place));
    taken.push_back(kept.rumour);
    order_.erase(place);
    if (++std::get<int>(place) >= limit) {
      rumours_.erase(kept.rumour.node);
    } else {
      kept.place = place;
      order_.insert(place);
    }
  }
  return taken;
}

void Rumours::Drop(NodeId node) {
  const auto it = rumours_.find(node);
  if (it == rumours_.end()) return;
  order_.erase(it->second.place);
  rumours_.erase(it);
}

}  // namespace gyre
