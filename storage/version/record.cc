#include "storage/version/record.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "ring/check.h"

namespace gyre {

Record Sync(Record a, Record b) {
  Record merged;
  merged.versions.reserve(std::max(a.versions.size(), b.versions.size()));
  auto left = a.versions.begin();
  auto right = b.versions.begin();
  while (left != a.versions.end() || right != b.versions.end()) {
    const bool take_left =
        right == b.versions.end() || (left != a.versions.end() && left->dot <= right->dot);
    if (!take_left) {
      if (!a.context.Covers(right->dot)) merged.versions.push_back(std::move(*right));
      ++right;
      continue;
    }
    const bool in_both = right != b.versions.end() && left->dot == right->dot;
    if (in_both) ++right;
    if (in_both || !b.context.Covers(left->dot)) merged.versions.push_back(std::move(*left));
    ++left;
  }
  merged.context = std::move(a.context);
  merged.context.Join(b.context);
  return merged;
}

void Fill(Record* record, const PartitionClock& clock) {
  for (const PartitionClock::Entry& entry : clock.entries()) {
    record->context.RaiseTo({entry.replica, entry.base});
  }
}

void Strip(Record* record, const PartitionClock& clock) {
  record->context.EraseCoveredBy(clock.Bases());
}

void Discard(Record* record, const VersionVector& context) {
  auto& versions = record->versions;
  versions.erase(
      std::remove_if(versions.begin(), versions.end(),
                     [&context](const Version& version) { return context.Covers(version.dot); }),
      versions.end());
  record->context.Join(context);
}

CausalContext SeenByWriter(const Record& record, const Dot& own, VersionVector before) {
  const bool alone = std::all_of(record.versions.begin(), record.versions.end(),
                                 [&](const Version& version) { return version.dot == own; });
  if (alone) return {record.context, {}};
  if (before.Get(own.replica) + 1 < own.counter) return {std::move(before), own};
  before.RaiseTo(own);
  return {std::move(before), {}};
}

void AddVersion(Record* record, Version version) {
  GYRE_CHECK(!record->context.Covers(version.dot), "a dot that the record reflects already");
  record->context.RaiseTo(version.dot);
  auto& versions = record->versions;
  const auto after =
      std::upper_bound(versions.begin(), versions.end(), version.dot,
                       [](const Dot& dot, const Version& present) { return dot < present.dot; });
  versions.insert(after, std::move(version));
}

void KeepLast(Record* record) {
  const Version* last = nullptr;
  for (const Version& version : record->versions) {
    if (version.stamp == 0) continue;
    if (last == nullptr ||
        std::tie(last->stamp, last->dot) < std::tie(version.stamp, version.dot)) {
      last = &version;
    }
  }
  if (last == nullptr) return;
  const Dot kept = last->dot;
  auto& versions = record->versions;
  versions.erase(std::remove_if(versions.begin(), versions.end(),
                                [&kept](const Version& version) {
                                  return version.stamp != 0 && version.dot != kept;
                                }),
                 versions.end());
}

uint64_t GreatestStamp(const Record& record) {
  uint64_t greatest = 0;
  for (const Version& version : record.versions) greatest = std::max(greatest, version.stamp);
  return greatest;
}

size_t ValueBytes(const Record& record) {
  size_t bytes = 0;
  for (const Version& version : record.versions) bytes += version.value.size();
  return bytes;
}

bool Expires(const Record& record) {
  return std::any_of(record.versions.begin(), record.versions.end(),
                     [](const Version& version) { return version.expires_ms != 0; });
}

size_t DropExpired(Record* record, uint64_t time_ms) {
  return std::erase_if(record->versions, [time_ms](const Version& version) {
    return version.expires_ms != 0 && version.expires_ms <= time_ms;
  });
}

bool Erasable(const Record& record) { return record.versions.empty() && record.context.empty(); }

}  // namespace gyre
