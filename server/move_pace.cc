#include "server/move_pace.h"

#include <algorithm>
#include <map>
#include <set>

#include "api/copy_speed.h"

namespace gyre {
namespace {

constexpr uint64_t kAssumedMicros = 100'000;  // each copy is two changes of the document

// Whether what was being filled went over, under a document that is newer.
bool WentOver(const Topology& topology, const Move& was) {
  if (const Move* const now = FindMove(topology, was.partition);
      now != nullptr && now->since == was.since) {
    return now->step == MoveStep::kSwitched;
  }
  const Ownership* const family = FindFamily(topology, was.partition.replicas());
  if (family == nullptr) return false;
  const absl::Span<const NodeId> owners = family->OwnersOf(was.partition.slice());
  return std::find(owners.begin(), owners.end(), was.to) != owners.end();
}

}  // namespace

void MovePace::OnView(const Topology& topology, Time now) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::set<NodeId> takers;
  for (const Move& move : filling_) {
    takers.insert(move.to);
    if (WentOver(topology, move)) ++copies_;
  }
  spent_ = spent_ + (now - seen_) * static_cast<int64_t>(takers.size());
  seen_ = now;
  if (copies_ > kMostCopies) {
    copies_ /= 2;
    spent_ = spent_ / 2;
  }
  filling_.clear();
  for (const Move& move : topology.moves) {
    if (move.step == MoveStep::kFilling) filling_.push_back(move);
  }
}

std::optional<Duration> MovePace::EachCopy() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (copies_ == 0) return std::nullopt;
  return spent_ / copies_;
}

MoveOutlook OutlookOf(absl::Span<const Flow> flows, uint64_t bytes_each,
                      std::optional<Duration> each) {
  MoveOutlook outlook;
  std::map<NodeId, uint64_t> to;
  uint64_t most = 0;
  for (const Flow& flow : flows) {
    const uint64_t copies = flow.waiting + flow.filling;
    outlook.copies += copies;
    most = std::max(most, to[flow.to] += copies);
  }
  outlook.bytes = outlook.copies * bytes_each;
  outlook.measured = each.has_value();
  const uint64_t micros =
      each.has_value() ? static_cast<uint64_t>(each->micros())
                       : std::max(kAssumedMicros, bytes_each * 1'000'000 / kAssumedCopyBytesEachS);
  outlook.seconds = (most * micros + 999'999) / 1'000'000;
  return outlook;
}

}  // namespace gyre
