#include "storage/version/partition_clock.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "ring/check.h"

namespace gyre {
namespace {

using Word = PartitionClock::Word;
using Entry = PartitionClock::Entry;

constexpr uint64_t kWordBits = 64;

uint64_t WordOf(uint64_t counter) { return counter / kWordBits; }
uint64_t BitOf(uint64_t counter) { return uint64_t{1} << (counter % kWordBits); }
// The bits of counter's word that stand for counters up to and including it.
uint64_t BitsUpTo(uint64_t counter) { return BitOf(counter) | (BitOf(counter) - 1); }

bool WordBefore(const Word& word, uint64_t index) { return word.index < index; }
bool ReplicaBefore(const Entry& entry, ReplicaId replica) { return entry.replica < replica; }

void AddBits(Entry* entry, const Word& word) {
  const auto it =
      std::lower_bound(entry->above.begin(), entry->above.end(), word.index, WordBefore);
  if (it != entry->above.end() && it->index == word.index) {
    it->bits |= word.bits;
  } else {
    entry->above.insert(it, word);
  }
}

// Drops the bits that the base covers, and moves the base over those that follow it without a gap.
void Settle(Entry* entry) {
  size_t done = 0;
  for (Word& word : entry->above) {
    const uint64_t next = entry->base + 1;
    if (word.index < WordOf(next)) {  // wholly covered
      ++done;
      continue;
    }
    if (word.index > WordOf(next)) break;
    const int offset = static_cast<int>(next % kWordBits);
    const int run = std::countr_one(word.bits >> offset);
    entry->base += static_cast<uint64_t>(run);
    if (offset + run < static_cast<int>(kWordBits)) {
      word.bits &= ~(BitOf(entry->base + 1) - 1);
      if (word.bits == 0) ++done;
      break;
    }
    ++done;  // full: the run may go on in the next word
  }
  entry->above.erase(entry->above.begin(), entry->above.begin() + static_cast<ptrdiff_t>(done));
}

bool IsSettled(const Entry& entry) {
  if (entry.base >= kMaxCounter || (entry.base == 0 && entry.above.empty())) return false;
  const Word* previous = nullptr;
  for (const Word& word : entry.above) {
    if (word.bits == 0 || word.index > WordOf(kMaxCounter - 1)) return false;
    if (previous != nullptr && previous->index >= word.index) return false;
    previous = &word;
  }
  if (entry.above.empty()) return true;
  const Word& first = entry.above.front();
  const uint64_t next = entry.base + 1;  // the first dot that must be missing
  if (first.index != WordOf(next)) return first.index > WordOf(next);
  return (first.bits & BitsUpTo(next)) == 0;
}

bool Holds(const Entry& entry, uint64_t counter) {
  if (counter <= entry.base) return true;
  const auto it =
      std::lower_bound(entry.above.begin(), entry.above.end(), WordOf(counter), WordBefore);
  return it != entry.above.end() && it->index == WordOf(counter) &&
         (it->bits & BitOf(counter)) != 0;
}

// The dots of one word of `entry` (its base as well as its bits), counters above `floor` only.
uint64_t BitsAbove(uint64_t bits, uint64_t index, uint64_t floor) {
  if (WordOf(floor) > index) return 0;
  if (WordOf(floor) < index) return bits;
  return bits & ~BitsUpTo(floor);
}

// Collects ranges in order up to a bound, joining those that touch.
class RangeList {
 public:
  RangeList(size_t max_ranges, MissingDots* out) : max_ranges_(max_ranges), out_(out) {}

  // False once the bound is hit.
  bool Add(ReplicaId replica, uint64_t first, uint64_t last) {
    auto& ranges = out_->ranges;
    if (!ranges.empty() && ranges.back().replica == replica && ranges.back().last + 1 == first) {
      ranges.back().last = last;
      return true;
    }
    if (ranges.size() == max_ranges_) {
      out_->complete = false;
      return false;
    }
    ranges.push_back({replica, first, last});
    return true;
  }

 private:
  const size_t max_ranges_;
  MissingDots* const out_;
};

bool AddBitRanges(ReplicaId replica, Word word, RangeList* list) {
  while (word.bits != 0) {
    const int first = std::countr_zero(word.bits);
    const int run = std::countr_one(word.bits >> first);
    const uint64_t from = word.index * kWordBits + static_cast<uint64_t>(first);
    if (!list->Add(replica, from, from + static_cast<uint64_t>(run) - 1)) return false;
    const int end = first + run;
    word.bits = end == static_cast<int>(kWordBits) ? 0 : word.bits & ~(BitOf(end) - 1);
  }
  return true;
}

// The dots floor + 1 … mine.base that `theirs` lacks: the gaps between its bits.
bool AddBaseRanges(const Entry& mine, const Entry& theirs, uint64_t floor, RangeList* list) {
  uint64_t next = floor + 1;
  for (const Word& word : theirs.above) {
    if (word.index > WordOf(mine.base)) break;
    for (uint64_t bits = word.bits; bits != 0; bits &= bits - 1) {
      const uint64_t held = word.index * kWordBits + static_cast<uint64_t>(std::countr_zero(bits));
      if (held > mine.base) break;
      if (held < next) continue;
      if (held > next && !list->Add(mine.replica, next, held - 1)) return false;
      next = held + 1;
    }
  }
  return next > mine.base || list->Add(mine.replica, next, mine.base);
}

bool AddMissing(const Entry& mine, const Entry& theirs, uint64_t floor, RangeList* list) {
  floor = std::max(floor, theirs.base);
  if (floor < mine.base && !AddBaseRanges(mine, theirs, floor, list)) return false;
  floor = std::max(floor, mine.base);
  auto held = theirs.above.begin();
  for (const Word& word : mine.above) {
    while (held != theirs.above.end() && held->index < word.index) ++held;
    uint64_t bits = BitsAbove(word.bits, word.index, floor);
    if (held != theirs.above.end() && held->index == word.index) bits &= ~held->bits;
    if (!AddBitRanges(mine.replica, {word.index, bits}, list)) return false;
  }
  return true;
}

}  // namespace

const Entry* PartitionClock::Find(ReplicaId replica) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), replica, ReplicaBefore);
  return it != entries_.end() && it->replica == replica ? &*it : nullptr;
}

Entry* PartitionClock::FindOrInsert(ReplicaId replica) {
  auto it = std::lower_bound(entries_.begin(), entries_.end(), replica, ReplicaBefore);
  if (it == entries_.end() || it->replica != replica) {
    it = entries_.insert(it, Entry{replica, 0, {}});
  }
  return &*it;
}

bool PartitionClock::Add(const Dot& dot) {
  GYRE_CHECK(dot.counter > 0 && dot.counter < kMaxCounter, "a counter that no one mints");
  Entry* entry = FindOrInsert(dot.replica);
  if (dot.counter == entry->base + 1) {
    entry->base = dot.counter;
  } else if (Holds(*entry, dot.counter)) {
    return false;
  } else {
    AddBits(entry, {WordOf(dot.counter), BitOf(dot.counter)});
  }
  if (!entry->above.empty()) Settle(entry);
  return true;
}

bool PartitionClock::Contains(const Dot& dot) const {
  const Entry* entry = Find(dot.replica);
  return entry != nullptr && dot.counter > 0 && Holds(*entry, dot.counter);
}

uint64_t PartitionClock::Base(ReplicaId replica) const {
  const Entry* entry = Find(replica);
  return entry == nullptr ? 0 : entry->base;
}

uint64_t PartitionClock::Highest(ReplicaId replica) const {
  const Entry* entry = Find(replica);
  if (entry == nullptr) return 0;
  if (entry->above.empty()) return entry->base;
  const Word& last = entry->above.back();
  return last.index * kWordBits + static_cast<uint64_t>(std::bit_width(last.bits)) - 1;
}

VersionVector PartitionClock::Bases() const {
  VersionVector bases;
  for (const Entry& entry : entries_) {
    if (entry.base > 0) bases.Append({entry.replica, entry.base});
  }
  return bases;
}

void PartitionClock::JoinBases(const VersionVector& bases) {
  for (const Dot& base : bases.entries()) {
    Entry* entry = FindOrInsert(base.replica);
    if (base.counter <= entry->base) continue;
    entry->base = base.counter;
    Settle(entry);
  }
}

void PartitionClock::JoinAll(const PartitionClock& other) {
  for (const Entry& theirs : other.entries_) {
    Entry* entry = FindOrInsert(theirs.replica);
    entry->base = std::max(entry->base, theirs.base);
    for (const Word& word : theirs.above) AddBits(entry, word);
    Settle(entry);
  }
}

MissingDots PartitionClock::MissingFrom(const PartitionClock& theirs, size_t max_ranges,
                                        const Dot& after) const {
  static const Entry kNothing{};
  MissingDots missing;
  RangeList list(max_ranges, &missing);
  for (const Entry& mine : entries_) {
    if (mine.replica < after.replica) continue;
    const Entry* held = theirs.Find(mine.replica);
    const uint64_t floor = mine.replica == after.replica ? after.counter : 0;
    if (!AddMissing(mine, held == nullptr ? kNothing : *held, floor, &list)) break;
  }
  return missing;
}

bool PartitionClock::ContainsAll(const PartitionClock& other) const {
  const MissingDots lacking = other.MissingFrom(*this, 0);
  return lacking.complete;
}

std::optional<PartitionClock> PartitionClock::FromEntries(std::vector<Entry> entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!IsSettled(entries[i])) return std::nullopt;
    if (i > 0 && entries[i - 1].replica >= entries[i].replica) return std::nullopt;
  }
  PartitionClock clock;
  clock.entries_ = std::move(entries);
  return clock;
}

}  // namespace gyre
