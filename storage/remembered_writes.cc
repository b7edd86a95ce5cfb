#include "storage/remembered_writes.h"

#include "ring/check.h"

namespace gyre {

RememberedWrites::RememberedWrites(size_t most)
    : most_(most),
      by_write_(0, HashBy<WriteId, &Minted::write>{{&ring_}},
                EqualBy<WriteId, &Minted::write>{{&ring_}}),
      by_dot_(0, HashBy<Dot, &Minted::dot>{{&ring_}}, EqualBy<Dot, &Minted::dot>{{&ring_}}) {
  GYRE_CHECK(most > 0 && most <= UINT32_MAX, "some writes are remembered");
}

void RememberedWrites::Add(const Minted& minted) {
  if (minted.write.empty()) return;
  if (const Minted* known = Find(minted.write); known != nullptr) {
    if (known->dot == minted.dot || !GivesWay(*known, minted)) return;
    by_write_.erase(minted.write);
  }
  uint32_t place = static_cast<uint32_t>(ring_.size());
  if (ring_.size() < most_) {
    ring_.push_back(minted);
  } else {
    place = oldest_;
    oldest_ = static_cast<uint32_t>((oldest_ + 1) % most_);
    Forget(&by_write_, ring_[place].write, place);
    Forget(&by_dot_, ring_[place].dot, place);
    ring_[place] = minted;
  }
  by_write_.insert(place);
  by_dot_.erase(minted.dot);  // a dot has one write; where a peer says otherwise, the newest stands
  by_dot_.insert(place);
}

const Minted* RememberedWrites::Find(const WriteId& write) const { return Find(by_write_, write); }

const Minted* RememberedWrites::Find(const Dot& dot) const { return Find(by_dot_, dot); }

// What is found by `part` may be a later place: that one stays.
template <typename Set, typename Part>
void RememberedWrites::Forget(Set* set, const Part& part, uint32_t place) {
  const auto it = set->find(part);
  if (it != set->end() && *it == place) set->erase(it);
}

}  // namespace gyre
