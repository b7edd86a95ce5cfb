#include "storage/version/version_vector.h"

#include <algorithm>

#include "ring/check.h"

namespace gyre {
namespace {

bool ReplicaBefore(const Dot& entry, ReplicaId replica) { return entry.replica < replica; }

}  // namespace

VersionVector::VersionVector(std::initializer_list<Dot> dots) {
  for (const Dot& dot : dots) RaiseTo(dot);
}

uint64_t VersionVector::Get(ReplicaId replica) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), replica, ReplicaBefore);
  return it != entries_.end() && it->replica == replica ? it->counter : 0;
}

bool VersionVector::CoversAll(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [this](const Entry& entry) { return Covers(entry); });
}

bool VersionVector::CoversAny(const VersionVector& other) const {
  return std::any_of(other.entries_.begin(), other.entries_.end(),
                     [this](const Entry& entry) { return Covers(entry); });
}

void VersionVector::RaiseTo(const Dot& dot) {
  if (dot.counter == 0) return;
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), dot.replica, ReplicaBefore);
  if (it != entries_.end() && it->replica == dot.replica) {
    it->counter = std::max(it->counter, dot.counter);
  } else {
    entries_.insert(it, dot);
  }
}

void VersionVector::Join(const VersionVector& other) {
  if (entries_.empty()) {
    entries_ = other.entries_;
    return;
  }
  for (const Entry& entry : other.entries_) RaiseTo(entry);
}

void VersionVector::EraseCoveredBy(const VersionVector& bases) {
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [&bases](const Entry& entry) { return bases.Covers(entry); }),
                 entries_.end());
}

void VersionVector::Append(const Entry& entry) {
  GYRE_CHECK(entry.counter > 0, "an entry without dots");
  GYRE_CHECK(entries_.empty() || entries_.back().replica < entry.replica, "entries out of order");
  entries_.push_back(entry);
}

}  // namespace gyre
