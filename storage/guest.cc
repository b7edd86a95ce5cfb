#include "storage/guest.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {

MintOutcome Guest::Mint(const ItemKey& item, Record known, std::vector<Minted> explained,
                        WriteIntent intent, uint64_t wall_ms) {
  // Each id stays in the clocks of all owners for good: one that left them would make what an old
  // hint brings of it new again. There are few: what is minted here stays here as hints, one for
  // each owner, and before three times this much is, there is no room for more hints by default.
  if (items_ >= kMostItems || bytes_ >= kMostBytes) {
    lives_.clear();
    items_ = bytes_ = 0;
  }
  Record record = std::move(known);
  if (const Work* const work = Find(item); work != nullptr && work->minted.size() >= kMostDots) {
    Forget(item.partition);
  }
  if (const Work* const work = Find(item); work != nullptr) {
    record = Sync(std::move(record), work->record);
    explained.insert(explained.end(), work->minted.begin(), work->minted.end());
  }
  const auto same = std::find_if(explained.begin(), explained.end(), [&](const Minted& one) {
    return !intent.write.empty() && one.write == intent.write;
  });
  if (same != explained.end()) {
    CausalContext seen = SeenByWriter(record, same->dot, VectorOf(std::move(intent.context)));
    return {MintOutcome::Kind::kAlreadyKnown,
            std::move(record),
            std::move(seen),
            std::move(explained),
            {}};
  }
  const uint64_t stamp =
      intent.conflict == ConflictPolicy::kLastWriteWins ? NextStamp(record, wall_ms) : 0;
  if (intent.context.has_value()) DiscardSeen(*intent.context, &record);
  if (ReplacesAll(intent)) record.versions.clear();
  if (intent.kind == WriteKind::kPut && IsFull(record, intent.value.size(), limits_)) {
    CausalContext all{record.context, {}};
    return {MintOutcome::Kind::kTooManySiblings, std::move(record), std::move(all), {}, {}};
  }
  // What a client or a peer claims to have seen of this id was minted by nobody.
  if (const auto life = lives_.find(item.partition);
      life != lives_.end() && record.context.Get(life->second.id) > life->second.minted) {
    Forget(item.partition);
  }
  Life& now = lives_[item.partition];
  while (now.id == ReplicaId()) now.id = ReplicaId(random_.Next());
  const Minted minted{
      {now.id, ++now.minted}, intent.write, intent.write.empty() ? 0 : intent.attempt};
  GYRE_CHECK(!record.context.Covers(minted.dot), "nobody has seen a dot before it is minted");
  AddMinted(minted.dot, stamp, &intent, &record);
  // Of what it heard, only what still stands needs explaining; its own dots all do, for an owner
  // may get the later without the earlier.
  std::erase_if(explained, [&](const Minted& one) {
    const bool stands = std::any_of(record.versions.begin(), record.versions.end(),
                                    [&](const Version& version) { return version.dot == one.dot; });
    return !stands && one.dot.replica != now.id;
  });
  explained.push_back(minted);
  std::sort(explained.begin(), explained.end());
  explained.erase(std::unique(explained.begin(), explained.end()), explained.end());

  const auto [work, first] = now.works.try_emplace(item);
  const size_t before = first ? 0 : item.key.size() + ValueBytes(work->second.record);
  const size_t after = item.key.size() + ValueBytes(record);
  work->second = {record, explained};
  items_ += first ? 1 : 0;
  now.bytes += after - before;
  bytes_ += after - before;
  CausalContext seen = SeenByWriter(record, minted.dot, VectorOf(std::move(intent.context)));
  return {MintOutcome::Kind::kMinted, std::move(record), std::move(seen), std::move(explained), {}};
}

const Guest::Work* Guest::Find(const ItemKey& item) const {
  const auto life = lives_.find(item.partition);
  if (life == lives_.end()) return nullptr;
  const auto work = life->second.works.find(item);
  return work == life->second.works.end() ? nullptr : &work->second;
}

void Guest::Forget(PartitionId partition) {
  const auto life = lives_.find(partition);
  if (life == lives_.end()) return;
  items_ -= life->second.works.size();
  bytes_ -= life->second.bytes;
  lives_.erase(life);
}

}  // namespace gyre
