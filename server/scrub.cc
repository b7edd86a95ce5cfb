#include "server/scrub.h"

#include <algorithm>
#include <iterator>

#include "ring/check.h"
#include "ring/cluster_time.h"

namespace gyre {
namespace {

// Ids come round again after so many: who asked so long ago is long gone.
constexpr uint64_t kIds = uint64_t{1} << 32;

// How long an owner has to answer for a slice.
constexpr Duration kPatience = Duration::Seconds(10);

// Where the disk is behind: until the next try.
constexpr Duration kLongRest = Duration::Seconds(10);

// Items that wait to be judged, and that are at once; and contradictions that are remembered. What
// does not fit is found by a later pass.
constexpr size_t kMostSuspects = 4096;
constexpr size_t kJudgedAtOnce = 4;
constexpr size_t kMostStanding = 1024;

// Between two looks at some of the contradictions that stand.
constexpr Duration kLookAgain = Duration::Seconds(30);
constexpr size_t kLookedAtOnce = 16;

// Contradictions told in one pass; all are counted.
constexpr uint64_t kMostTold = 100;

}  // namespace

Scrub::Scrub(ScrubOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
             ExchangeId first_exchange, Random random)
    : options_(options),
      view_(std::move(view)),
      store_(store),
      first_id_(first_exchange),
      random_(random) {
  turn_ = random_.Below(kMaxReplicas);
  List();
}

void Scrub::OnView(std::shared_ptr<const View> view) {
  view_ = std::move(view);
  List();
}

void Scrub::List() {
  std::vector<PartitionId> owned;
  store_->ForEachClock(
      [&](PartitionId id, ReplicaId, const PartitionClock&) { owned.push_back(id); });
  if (owned == round_) return;
  round_ = std::move(owned);
  // A node that is restarted often comes round to all of them none the less.
  next_ = round_.empty() ? 0 : random_.Below(round_.size());
  left_ = round_.size();
}

void Scrub::OnPeer(NodeId node, bool reachable) {
  if (reachable) {
    unreachable_.erase(node);
  } else {
    unreachable_.insert(node);
    if (phase_ == Phase::kAsking && asked_ == node) deadline_ = Time();  // at the next wake-up
  }
}

uint64_t Scrub::expired_by(Instant now) const {
  if (!offset_ms_.has_value()) return UINT64_MAX;
  return ClusterTime::At(now.monotonic, *offset_ms_) +
         static_cast<uint64_t>(options_.expiry_slack.millis());
}

Time Scrub::wake() const {
  const bool waits = !suspects_.empty();
  if (waits && judging_.size() < kJudgedAtOnce) return Time();
  Time wake = look_at_;
  if (phase_ == Phase::kAsking) wake = std::min(wake, deadline_);
  if (phase_ == Phase::kResting && !waits && !round_.empty()) wake = std::min(wake, begin_at_);
  return wake;
}

const Scrub::Figures& Scrub::figures() {
  figures_.partitions = round_.size();
  figures_.standing = standing_.size();
  return figures_;
}

void Scrub::Figures::Add(const Figures& shard) {
  if (shard.partitions > 0) passes = partitions > 0 ? std::min(passes, shard.passes) : shard.passes;
  partitions += shard.partitions;
  standing += shard.standing;
  items += shard.items;
  bytes += shard.bytes;
  slices += shard.slices;
  uncompared += shard.uncompared;
  differing += shard.differing;
  contradictions += shard.contradictions;
  amended += shard.amended;
  dropped += shard.dropped;
}

void Scrub::Stop() {
  phase_ = Phase::kResting;
  suspects_.clear();
  judging_.clear();
  standing_.clear();
  round_.clear();
  look_at_ = Time::Never();
}

// ------------------------------------------------------------------------------------ the walk

void Scrub::OnWake(bool behind, Instant now, Effects* effects) {
  if (look_at_ <= now.monotonic) LookAgain(now);
  if (phase_ == Phase::kAsking && deadline_ <= now.monotonic) {
    ++figures_.uncompared;
    EndSlice(now);
  }
  JudgeNext(effects);
  if (phase_ != Phase::kResting || !suspects_.empty() || begin_at_ > now.monotonic) return;
  if (behind) {
    begin_at_ = now.monotonic + kLongRest;
    return;
  }
  Go(now, effects);
}

void Scrub::Go(Instant now, Effects* effects) {
  if (round_.empty()) return;
  if (begin_at_ == Time()) {
    // All nodes that start together need not read at once.
    const int64_t gap_us = options_.pass.micros() / std::ssize(round_);
    begin_at_ = now.monotonic + Duration::Micros(random_.Between(1, std::max<int64_t>(2, gap_us)));
    return;
  }
  if (!within_) {
    if (left_ == 0) {
      ++figures_.passes;
      ++turn_;
      left_ = round_.size();
      told_ = 0;
    }
    --left_;
    const PartitionId partition = round_[next_++ % round_.size()];
    partition_at_ = now.monotonic + Duration::Micros(options_.pass.micros() / std::ssize(round_));
    scan_ = {partition, "", "", 0};
    within_ = true;
  }
  if (!store_->Owns(scan_.partition) || store_->Filling(scan_.partition)) return EndPartition(now);
  scan_.upto.clear();
  scan_.expired_by_ms = expired_by(now);
  began_ = now.monotonic;
  phase_ = Phase::kScanning;
  effects->scan = scan_;
}

void Scrub::EndPartition(Instant now) {
  within_ = false;
  phase_ = Phase::kResting;
  begin_at_ = std::max(begin_at_, std::max(partition_at_, now.monotonic));
}

void Scrub::OnSlice(const SliceScan& scan, absl::StatusOr<Slice> slice, Instant now,
                    Effects* effects) {
  if (phase_ != Phase::kScanning || scan.partition != scan_.partition) return;  // stopped
  unreadable_ = !slice.ok();
  mine_ = unreadable_ ? Slice() : *std::move(slice);
  effects->damaged = mine_.damaged;
  figures_.items += mine_.items.size() + mine_.damaged.size();
  figures_.bytes += mine_.bytes;
  Ask(now, effects);
}

std::optional<NodeId> Scrub::Peer(PartitionId partition) const {
  const absl::Span<const NodeId> owners = view_->Owners(partition);
  const auto self = std::find(owners.begin(), owners.end(), view_->self());
  if (self == owners.end()) return std::nullopt;
  const auto rank = static_cast<uint64_t>(self - owners.begin());
  const uint64_t others = owners.size() - 1;
  for (uint64_t i = 0; i < others; ++i) {
    const NodeId peer = owners[(rank + 1 + (turn_ + i) % others) % owners.size()];
    if (!unreachable_.contains(peer)) return peer;
  }
  return std::nullopt;
}

void Scrub::Ask(Instant now, Effects* effects) {
  const std::optional<NodeId> peer = Peer(scan_.partition);
  if (!peer.has_value()) {
    if (view_->Owners(scan_.partition).size() > 1) ++figures_.uncompared;
    return EndSlice(now);
  }
  SliceAsk ask;
  ask.after = scan_.after;
  ask.upto = mine_.upto;
  ask.expired_by_ms = scan_.expired_by_ms;
  if (!unreadable_) ask.digest = DigestOf(mine_.items);
  phase_ = Phase::kAsking;
  asked_ = *peer;
  asked_id_ = first_id_ + ids_++ % kIds;
  deadline_ = now.monotonic + kPatience;
  effects->ask = Effects::Ask{asked_, asked_id_, scan_.partition, std::move(ask)};
}

void Scrub::OnRefused(ExchangeId id, NodeId from, Instant now) {
  if (phase_ != Phase::kAsking || id != asked_id_ || from != asked_) return;
  ++figures_.uncompared;
  EndSlice(now);
}

void Scrub::OnAnswer(ExchangeId id, NodeId from, PartitionId partition, SliceAnswer answer,
                     Instant now, Effects* effects) {
  if (phase_ != Phase::kAsking || id != asked_id_ || from != asked_) return;
  const bool ascending =
      std::is_sorted(answer.items.begin(), answer.items.end(),
                     [](const ItemDigest& a, const ItemDigest& b) { return a.item < b.item; });
  // Where it ends: behind where it began, and not behind what was asked for.
  const std::string begin =
      scan_.after.empty() ? PartitionBegin(scan_.partition) : scan_.after + '\0';
  const std::string asked_end = mine_.upto.empty() ? PartitionEnd(scan_.partition) : mine_.upto;
  const std::string answered_end = answer.complete ? asked_end : answer.upto;
  if (partition != scan_.partition || !ascending || answered_end < begin ||
      answered_end > asked_end || (answer.same && unreadable_)) {
    return OnRefused(id, from, now);
  }
  ++figures_.slices;
  if (answer.same) return EndSlice(now);
  if (!answer.complete) {
    mine_.upto = answered_end;
    mine_.complete = false;
    std::erase_if(mine_.items,
                  [&](const ItemDigest& one) { return EncodeItemKey(one.item) > answered_end; });
  }
  answer_ = std::move(answer);
  if (!unreadable_) {
    Compare(answer_.items);
    return EndSlice(now);
  }
  std::vector<ItemKey> named;
  for (const ItemDigest& one : answer_.items) named.push_back(one.item);
  phase_ = Phase::kReading;
  effects->read = ItemRead{partition, std::move(named), scan_.expired_by_ms};
}

void Scrub::OnItems(PartitionId partition, absl::StatusOr<Slice> slice, Instant now,
                    Effects* effects) {
  if (phase_ != Phase::kReading || partition != scan_.partition) return;  // stopped
  if (!slice.ok()) return EndSlice(now);
  figures_.items += slice->items.size() + slice->damaged.size();
  figures_.bytes += slice->bytes;
  mine_.items = std::move(slice->items);
  effects->damaged = slice->damaged;
  const std::set<ItemKey> damaged(slice->damaged.begin(), slice->damaged.end());
  std::erase_if(answer_.items, [&](const ItemDigest& one) { return damaged.contains(one.item); });
  Compare(answer_.items);
  unreadable_ = false;
  EndSlice(now);
}

void Scrub::Compare(const std::vector<ItemDigest>& theirs) {
  auto mine = mine_.items.begin();
  auto their = theirs.begin();
  while (mine != mine_.items.end() || their != theirs.end()) {
    const bool only_mine =
        their == theirs.end() || (mine != mine_.items.end() && mine->item < their->item);
    const bool only_theirs =
        mine == mine_.items.end() || (their != theirs.end() && their->item < mine->item);
    if (only_mine) {
      Suspect((mine++)->item, false);
    } else if (only_theirs) {
      Suspect((their++)->item, false);
    } else {
      if (mine->digest != their->digest) Suspect(mine->item, false);
      ++mine;
      ++their;
    }
  }
}

void Scrub::EndSlice(Instant now) {
  phase_ = Phase::kResting;
  deadline_ = Time::Never();
  const auto bytes = static_cast<int64_t>(std::max<size_t>(mine_.bytes, 1));
  begin_at_ =
      began_ + Duration::Micros(bytes * 1'000'000 / static_cast<int64_t>(options_.bytes_each_s));
  // Where the store cannot be read and nobody says what is there, the rest of it waits for the next
  // pass.
  if (mine_.complete || unreadable_) {
    EndPartition(now);
  } else {
    scan_.after = mine_.upto;
  }
  unreadable_ = false;
  mine_ = Slice();
  answer_ = SliceAnswer();
}

// ------------------------------------------------------------------------------------ judging

bool Scrub::MayHold(const ItemKey& item) const {
  return store_->Owns(item.partition) && !store_->Filling(item.partition) &&
         !WasDropped(view_->topology(), item.table);
}

void Scrub::Suspect(ItemKey item, bool doubted) {
  if (suspects_.size() >= kMostSuspects) {
    ++figures_.dropped;
    return;
  }
  suspects_.emplace_back(std::move(item), doubted);
}

// Contradictions that stand: whoever is to mend them may have done so.
void Scrub::LookAgain(Instant now) {
  look_at_ = standing_.empty() ? Time::Never() : now.monotonic + kLookAgain;
  auto it = looked_at_.has_value() ? standing_.upper_bound(*looked_at_) : standing_.begin();
  const size_t most = std::min(kLookedAtOnce, standing_.size());
  for (size_t i = 0; i < most; ++i) {
    if (it == standing_.end()) it = standing_.begin();
    looked_at_ = *it;
    Suspect(*it++, /*doubted=*/true);
  }
}

void Scrub::JudgeNext(Effects* effects) {
  while (!suspects_.empty() && judging_.size() < kJudgedAtOnce) {
    auto [item, doubted] = std::move(suspects_.front());
    suspects_.pop_front();
    if (!MayHold(item)) {
      standing_.erase(item);
      continue;
    }
    if (!judging_.emplace(item, doubted).second) continue;
    ++figures_.differing;
    effects->judge.push_back(std::move(item));
  }
}

void Scrub::OnJudged(const ItemKey& item, const Judgement& judgement, Instant now,
                     Effects* effects) {
  if (judgement.mended.has_value()) ++figures_.amended;
  if (judgement.against.empty()) {
    if (!judgement.unsettled) standing_.erase(item);
    return;
  }
  const bool known = standing_.contains(item);
  if (judgement.mended.has_value()) {
    standing_.erase(item);
  } else if (!known && standing_.size() < kMostStanding) {
    standing_.insert(item);
    if (look_at_ == Time::Never()) look_at_ = now.monotonic + kLookAgain;
  }
  if (known) return;
  ++figures_.contradictions;
  if (told_ < kMostTold) {
    ++told_;
    effects->told.push_back(
        {item, judgement.against, judgement.mended.has_value(), judgement.undecided});
  }
  const auto judged = judging_.find(item);
  const bool doubted = judged == judging_.end() || judged->second;
  // Who was told by a peer tells nobody: two that disagree would go on for ever.
  if (judgement.mended.has_value() || doubted) return;
  for (NodeId owner : judgement.against) effects->doubts.emplace_back(owner, item);
}

}  // namespace gyre
