// PeekOdds: whether it is worth looking for a record in memory before the disk is asked. Where the
// store is much larger than what memory holds of it, such a look costs a search through filters and
// indexes that is then made again.
//
//   if (!odds.Worth()) return Peek::kNeedsDisk;
//   ...
//   odds.Note(found_or_known_to_be_absent);
//
// Thread rule: any thread. Counts of two threads may be lost to each other: these are odds.

#ifndef GYRE_STORAGE_PEEK_ODDS_H_
#define GYRE_STORAGE_PEEK_ODDS_H_

#include <atomic>

namespace gyre {

class PeekOdds {
 public:
  // Always where a third of the latest looks had an answer; else one time in kSample, so that a
  // store that has become warm is noticed.
  bool Worth() {
    if (odds_.load(std::memory_order_relaxed) >= kCertain / 3) return true;
    return asked_.fetch_add(1, std::memory_order_relaxed) % kSample == 0;
  }
  void Note(bool answered) {
    const int odds = odds_.load(std::memory_order_relaxed);
    odds_.store(odds + ((answered ? kCertain : 0) - odds) / kMemory, std::memory_order_relaxed);
  }

 private:
  static constexpr int kCertain = 1 << 20;
  static constexpr int kMemory = 64;  // looks until e of the older ones are forgotten
  static constexpr unsigned kSample = 16;

  std::atomic<int> odds_{kCertain};
  std::atomic<unsigned> asked_{0};
};

}  // namespace gyre

#endif  // GYRE_STORAGE_PEEK_ODDS_H_
