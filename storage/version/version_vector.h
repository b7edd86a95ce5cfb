// VersionVector: for each replica id a counter n, which stands for the dots 1 … n of that id.
//
// It is a record's causal context, what a client gets with a read and hands back with a write, and
// the form in which owners report the bases of their partition clocks.
//
// Always: entries are sorted by replica id, each id occurs once, no counter is 0. So two vectors
// that cover the same dots are equal. Not synchronised: one thread writes, or many read.
//
// Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983).

#ifndef GYRE_STORAGE_VERSION_VERSION_VECTOR_H_
#define GYRE_STORAGE_VERSION_VERSION_VECTOR_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "ring/ids.h"
#include "storage/version/dot.h"

namespace gyre {

class VersionVector {
 public:
  // One entry reads as a dot: the highest one of its replica id that is covered.
  using Entry = Dot;

  VersionVector() = default;
  VersionVector(std::initializer_list<Dot> dots);

  // An empty vector is not moved as bytes: g++ 12 warns wherever it can see that those were never
  // set (absl::InlinedVector copies its whole storage).
  VersionVector(const VersionVector&) = default;
  VersionVector& operator=(const VersionVector&) = default;
  VersionVector(VersionVector&& other) noexcept { *this = std::move(other); }
  VersionVector& operator=(VersionVector&& other) noexcept {
    if (other.entries_.empty()) {
      entries_.clear();
    } else {
      entries_ = std::move(other.entries_);
    }
    return *this;
  }

  // The counter of `replica`; 0 where it has none.
  uint64_t Get(ReplicaId replica) const;

  bool Covers(const Dot& dot) const { return dot.counter <= Get(dot.replica); }
  bool CoversAll(const VersionVector& other) const;
  // Whether an entry of `other` is covered whole.
  bool CoversAny(const VersionVector& other) const;

  // Raises the entry of dot.replica to at least dot.counter.
  void RaiseTo(const Dot& dot);

  // Pointwise maximum.
  void Join(const VersionVector& other);

  // Drops the entries that `bases` covers.
  void EraseCoveredBy(const VersionVector& bases);

  // Appends an entry. REQUIRES: entry.replica is greater than every one present, counter > 0.
  void Append(const Entry& entry);

  void Clear() { entries_.clear(); }
  // Gives back memory for more entries than there are.
  void ShrinkToFit() { entries_.shrink_to_fit(); }
  size_t capacity() const { return entries_.capacity(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  absl::Span<const Entry> entries() const { return entries_; }

  friend bool operator==(const VersionVector& a, const VersionVector& b) {
    return a.entries_ == b.entries_;
  }

 private:
  // N owners, seldom more: four entries need no allocation.
  absl::InlinedVector<Entry, 4> entries_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_VERSION_VECTOR_H_
