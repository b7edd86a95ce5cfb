// RememberedWrites: the newest writes that had an idempotency key, so that a retry is known for
// what it is, found by the key and by the dot. Bounded: the oldest is forgotten first.
//
//   RememberedWrites writes(262'144);
//   writes.Add(minted);
//   const Minted* known = writes.Find(write);    // null: not known, or forgotten
//
// A write that was minted twice stands with the dot of its later attempt; the earlier dot is still
// found by Find(dot). Thread rule: one thread. A pointer lives until the next Add.

#ifndef GYRE_STORAGE_REMEMBERED_WRITES_H_
#define GYRE_STORAGE_REMEMBERED_WRITES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "storage/version/dot.h"

namespace gyre {

// Whether dot `a` of a write gives way to dot `b` of the same write: the later attempt stands.
inline bool GivesWay(const Minted& a, const Minted& b) {
  if (a.attempt != b.attempt) return a.attempt < b.attempt;
  return a.dot < b.dot;
}

class RememberedWrites {
 public:
  // REQUIRES: 0 < most < 2^32.
  explicit RememberedWrites(size_t most);
  RememberedWrites(const RememberedWrites&) = delete;
  RememberedWrites& operator=(const RememberedWrites&) = delete;

  // Does nothing for a write without a key, or one that is known with a dot that stands against
  // this one.
  void Add(const Minted& minted);
  const Minted* Find(const WriteId& write) const;
  const Minted* Find(const Dot& dot) const;

 private:
  // Places in ring_ as members of a set, by one part of what is there: four bytes each.
  template <typename Part, Part Minted::*kPart>
  struct By {
    const std::vector<Minted>* ring;
    const Part& Of(uint32_t place) const { return (*ring)[place].*kPart; }
    const Part& Of(const Part& part) const { return part; }
  };
  template <typename Part, Part Minted::*kPart>
  struct HashBy : By<Part, kPart> {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& one) const {
      return absl::Hash<Part>()(this->Of(one));
    }
  };
  template <typename Part, Part Minted::*kPart>
  struct EqualBy : By<Part, kPart> {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return this->Of(a) == this->Of(b);
    }
  };
  template <typename Part, Part Minted::*kPart>
  using SetBy = absl::flat_hash_set<uint32_t, HashBy<Part, kPart>, EqualBy<Part, kPart>>;

  template <typename Set, typename Part>
  const Minted* Find(const Set& set, const Part& part) const {
    const auto it = set.find(part);
    return it == set.end() ? nullptr : &ring_[*it];
  }
  template <typename Set, typename Part>
  static void Forget(Set* set, const Part& part, uint32_t place);

  const size_t most_;
  std::vector<Minted> ring_;
  uint32_t oldest_ = 0;  // once the ring is full
  // Never iterated.
  SetBy<WriteId, &Minted::write> by_write_;
  SetBy<Dot, &Minted::dot> by_dot_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_REMEMBERED_WRITES_H_
