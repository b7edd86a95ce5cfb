#include "replication/judgement.h"

#include <algorithm>
#include <set>

namespace gyre {
namespace {

const Version* Find(const Record& record, const Dot& dot) {
  const auto it = std::lower_bound(
      record.versions.begin(), record.versions.end(), dot,
      [](const Version& version, const Dot& wanted) { return version.dot < wanted; });
  return it == record.versions.end() || it->dot != dot ? nullptr : &*it;
}

// How one dot stands among the owners.
class DotCase {
 public:
  DotCase(const Dot& dot, const Record& mine, absl::Span<const OwnersRecord> others, size_t owners)
      : dot_(dot), mine_(mine), others_(others), majority_(owners / 2 + 1), own_(Find(mine, dot)) {
    if (own_ != nullptr) held_.push_back(own_);
    if (own_ == nullptr && mine.context.Covers(dot)) ++dropped_;
    for (const OwnersRecord& other : others) {
      const Version* const theirs = Find(*other.record, dot);
      if (theirs != nullptr) held_.push_back(theirs);
      if (theirs == nullptr && other.record->context.Covers(dot)) ++dropped_;
    }
  }

  bool HasExpiredBy(uint64_t ms) const {
    return std::all_of(held_.begin(), held_.end(), [&](const Version* version) {
      return version->expires_ms != 0 && version->expires_ms <= ms;
    });
  }

  // `clock`: this owner's.
  void Decide(const PartitionClock& clock, Judgement* judgement) const {
    std::set<NodeId> against;
    size_t holders = 0, droppers = 0;  // who contradict this owner
    for (const OwnersRecord& other : others_) {
      const Version* const theirs = Find(*other.record, dot_);
      if (own_ != nullptr && theirs != nullptr) {
        if (*own_ != *theirs) against.insert(other.owner);
        continue;
      }
      if (own_ == nullptr && theirs == nullptr) continue;
      const Record& keeps = own_ != nullptr ? mine_ : *other.record;
      const Record& lacks = own_ != nullptr ? *other.record : mine_;
      const bool seen_all =
          own_ != nullptr ? clock.ContainsAll(other.clock) : other.clock.ContainsAll(clock);
      if (!lacks.context.Covers(dot_) || !keeps.context.CoversAll(lacks.context) || !seen_all) {
        judgement->unsettled = true;
        continue;
      }
      ++(own_ != nullptr ? droppers : holders);
      against.insert(other.owner);
    }
    if (against.empty()) return;
    for (const OwnersRecord& other : others_) {
      const auto& known = judgement->against;
      const bool new_one = std::find(known.begin(), known.end(), other.owner) == known.end();
      if (against.contains(other.owner) && new_one) judgement->against.push_back(other.owner);
    }
    Mend(holders, droppers, judgement);
  }

 private:
  // The content of the dot that a majority holds, or null.
  const Version* Content() const {
    for (const Version* one : held_) {
      const auto same = std::count_if(held_.begin(), held_.end(),
                                      [&](const Version* other) { return *other == *one; });
      if (static_cast<size_t>(same) >= majority_) return one;
    }
    return nullptr;
  }

  void Mend(size_t holders, size_t droppers, Judgement* judgement) const {
    const Version* const content = Content();
    if (own_ != nullptr && droppers >= majority_) {
      Change(nullptr, judgement);
    } else if (own_ == nullptr && holders >= majority_ && content != nullptr) {
      Change(content, judgement);
    } else if (own_ != nullptr && content != nullptr) {
      if (*own_ != *content) Change(content, judgement);
    } else if (dropped_ < majority_) {
      judgement->undecided = true;
    }
  }

  void Change(const Version* version, Judgement* judgement) const {
    if (!judgement->mended.has_value()) judgement->mended = mine_;
    std::vector<Version>& versions = judgement->mended->versions;
    std::erase_if(versions, [&](const Version& one) { return one.dot == dot_; });
    if (version == nullptr) return;
    const auto after =
        std::upper_bound(versions.begin(), versions.end(), dot_,
                         [](const Dot& dot, const Version& present) { return dot < present.dot; });
    versions.insert(after, *version);
    for (const OwnersRecord& other : others_) {
      for (const Minted& minted : other.minted) {
        if (minted.dot != dot_) continue;
        judgement->minted.push_back(minted);
        return;
      }
    }
  }

  const Dot dot_;
  const Record& mine_;
  const absl::Span<const OwnersRecord> others_;
  const size_t majority_;
  const Version* const own_;
  std::vector<const Version*> held_;  // by all, this owner first
  size_t dropped_ = 0;                // who have seen it and hold it no more
};

}  // namespace

Judgement Judge(const Record& mine, const PartitionClock& clock,
                absl::Span<const OwnersRecord> others, size_t owners, uint64_t expired_by_ms) {
  std::set<Dot> dots;
  for (const Version& version : mine.versions) dots.insert(version.dot);
  for (const OwnersRecord& other : others) {
    for (const Version& version : other.record->versions) dots.insert(version.dot);
  }
  Judgement judgement;
  for (const Dot& dot : dots) {
    const DotCase one(dot, mine, others, owners);
    if (!one.HasExpiredBy(expired_by_ms)) one.Decide(clock, &judgement);
  }
  return judgement;
}

}  // namespace gyre
