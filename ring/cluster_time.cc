#include "ring/cluster_time.h"

#include <algorithm>

namespace gyre {
namespace {

int64_t Ahead(uint64_t wall_ms, Time monotonic) {
  return static_cast<int64_t>(wall_ms) - monotonic.micros() / 1000;
}

}  // namespace

void ClusterTime::SetMembers(const std::vector<NodeId>& others) {
  std::map<NodeId, Heard> members;
  for (NodeId node : others) {
    const auto known = members_.find(node);
    members.emplace(node, known == members_.end() ? Heard() : known->second);
  }
  members_ = std::move(members);
  heard_ = static_cast<size_t>(std::count_if(members_.begin(), members_.end(),
                                             [](const auto& one) { return one.second.count > 0; }));
}

void ClusterTime::OnHeard(NodeId from, uint64_t wall_ms, Time now) {
  const auto member = members_.find(from);
  if (member == members_.end() || wall_ms == 0 || wall_ms > kLatestMs) return;
  Heard& heard = member->second;
  if (heard.count == 0) ++heard_;
  heard.offsets_ms[heard.count++ % kHeard] = Ahead(wall_ms, now);
}

std::optional<int64_t> ClusterTime::Offset(Instant now) const {
  if ((heard_ + 1) * 2 <= members_.size() + 1) return std::nullopt;
  std::vector<int64_t> offsets = {Ahead(now.wall_ms, now.monotonic)};
  offsets.reserve(heard_ + 1);
  for (const auto& [node, heard] : members_) {
    if (heard.count == 0) continue;
    const auto end =
        heard.offsets_ms.begin() + static_cast<ptrdiff_t>(std::min(heard.count, kHeard));
    offsets.push_back(*std::max_element(heard.offsets_ms.begin(), end));
  }
  const auto middle = offsets.begin() + static_cast<ptrdiff_t>((offsets.size() - 1) / 2);
  std::nth_element(offsets.begin(), middle, offsets.end());
  return *middle;
}

}  // namespace gyre
