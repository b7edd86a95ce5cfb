#include "storage/expiry_index.h"

#include <algorithm>

namespace gyre {

ExpiryIndex::Moments ExpiryIndex::MomentsOf(const Record& record) {
  Moments moments;
  for (const Version& version : record.versions) {
    if (version.expires_ms != 0) moments.push_back(version.expires_ms);
  }
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  return moments;
}

template <typename Change>
void ExpiryIndex::Alter(PartitionId partition, Change change) {
  Place& place = places_[partition];
  const uint64_t before = place.first();
  change(&place);
  if (place.first() == before) return;
  if (before != kNever) order_.erase({before, partition});
  if (place.first() != kNever) order_.insert({place.first(), partition});
}

void ExpiryIndex::OnStored(const ItemKey& item, const Moments& before, const Record& record,
                           uint64_t seq, WriteBatch* batch) {
  if (before.empty() && !Expires(record)) return;
  const Moments after = MomentsOf(record);
  for (const uint64_t moment : before) {
    if (std::binary_search(after.begin(), after.end(), moment)) continue;
    Forget({moment, item}, batch);
  }
  for (const uint64_t moment : after) {
    if (std::binary_search(before.begin(), before.end(), moment)) continue;
    batch->Put(Family::kExpiry, EncodeExpiryKey({moment, item}), "");
    Alter(item.partition, [&](Place* place) {
      place->since_ms = std::min(place->since_ms, moment);
      place->since_seq = seq;
    });
  }
}

void ExpiryIndex::Forget(const ExpiryKey& key, WriteBatch* batch) {
  batch->Erase(Family::kExpiry, EncodeExpiryKey(key));
}

std::optional<ExpiryIndex::Due> ExpiryIndex::Next() const {
  if (order_.empty()) return std::nullopt;
  return Due{order_.begin()->first, order_.begin()->second};
}

ExpiryScan ExpiryIndex::Begin(PartitionId partition, uint64_t by_ms, size_t most,
                              uint64_t durable) {
  Alter(partition, [&](Place* place) {
    place->looked_ms = kNever;
    // What is not durable yet the look may miss.
    if (place->since_seq <= durable) place->since_ms = kNever;
  });
  return {partition, by_ms, most};
}

void ExpiryIndex::End(PartitionId partition, uint64_t next_ms) {
  Alter(partition, [&](Place* place) { place->looked_ms = next_ms == 0 ? kNever : next_ms; });
}

void ExpiryIndex::PutBack(PartitionId partition, uint64_t expires_ms) {
  Alter(partition,
        [&](Place* place) { place->looked_ms = std::min(place->looked_ms, expires_ms); });
}

void ExpiryIndex::Drop(PartitionId partition) {
  Alter(partition, [](Place* place) { *place = Place(); });
  places_.erase(partition);
}

absl::StatusOr<ExpiryPage> ScanExpired(const Snapshot& snapshot, const ExpiryScan& scan) {
  ExpiryPage page;
  absl::Status malformed;
  const absl::Status scanned = snapshot.Scan(
      Family::kExpiry,
      scan.after.has_value() ? EncodeExpiryKey(*scan.after) + '\0' : PartitionBegin(scan.partition),
      PartitionEnd(scan.partition), [&](std::string_view key, std::string_view) {
        std::optional<ExpiryKey> entry = DecodeExpiryKey(key);
        if (!entry.has_value()) {
          malformed = absl::DataLossError("expiry: malformed key");
          return false;
        }
        if (entry->expires_ms > scan.by_ms || page.due.size() == scan.most) {
          page.next_ms = entry->expires_ms;
          return false;
        }
        page.due.push_back(*std::move(entry));
        return true;
      });
  if (!scanned.ok()) return scanned;
  if (!malformed.ok()) return malformed;
  return page;
}

}  // namespace gyre
