#include "replication/slice.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gyre {
namespace {

constexpr size_t kDigestBytes = 16;

Digest Hash(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

bool IsWithin(PartitionId partition, const std::string& key) {
  return key.empty() || (PartitionBegin(partition) <= key && key < PartitionEnd(partition));
}

std::string Behind(std::string key) {
  key.push_back('\0');
  return key;
}

bool IsLeftOut(const Version& version, uint64_t expired_by_ms) {
  return version.expires_ms != 0 && version.expires_ms <= expired_by_ms;
}

void Add(ItemKey item, std::string_view stored, uint64_t expired_by_ms, Slice* slice) {
  const absl::StatusOr<Record> record = DecodeRecord(stored);
  if (!record.ok()) {
    slice->damaged.push_back(std::move(item));
    return;
  }
  const auto left_out = [&](const Version& version) { return IsLeftOut(version, expired_by_ms); };
  if (std::all_of(record->versions.begin(), record->versions.end(), left_out)) return;
  const Digest digest = DigestOf(item, *record, expired_by_ms);
  slice->items.push_back({std::move(item), digest});
}

}  // namespace

absl::StatusOr<Slice> ReadSlice(const Snapshot& snapshot, const SliceScan& scan,
                                const SliceLimits& limits) {
  if (!IsWithin(scan.partition, scan.after) || !IsWithin(scan.partition, scan.upto)) {
    return absl::InvalidArgumentError("slice of another partition");
  }
  Slice slice;
  size_t read = 0;
  bool malformed = false;
  std::string last;
  const absl::Status scanned = snapshot.Scan(
      Family::kRecords, scan.after.empty() ? PartitionBegin(scan.partition) : Behind(scan.after),
      scan.upto.empty() ? PartitionEnd(scan.partition) : Behind(scan.upto),
      [&](std::string_view key, std::string_view value) {
        if (read >= limits.max_items || slice.bytes >= limits.max_bytes) {
          return slice.complete = false;
        }
        std::optional<ItemKey> item = DecodeItemKey(key);
        malformed = !item.has_value();
        if (malformed) return false;
        ++read;
        slice.bytes += key.size() + value.size();
        last = key;
        Add(*std::move(item), value, scan.expired_by_ms, &slice);
        return true;
      });
  if (malformed || !scanned.ok()) {
    if (read == 0) return malformed ? absl::DataLossError("records: malformed key") : scanned;
    slice.complete = false;  // the next one begins where it cannot be read
  }
  slice.upto = slice.complete ? scan.upto : std::move(last);
  return slice;
}

absl::StatusOr<Slice> ReadItems(const Snapshot& snapshot, const std::vector<ItemKey>& items,
                                uint64_t expired_by_ms) {
  Slice slice;
  for (const ItemKey& item : items) {
    const absl::StatusOr<std::string> stored = snapshot.Get(Family::kRecords, EncodeItemKey(item));
    if (stored.ok()) {
      slice.bytes += item.key.size() + stored->size();
      Add(item, *stored, expired_by_ms, &slice);
    } else if (absl::IsDataLoss(stored.status())) {
      slice.damaged.push_back(item);
    } else if (!absl::IsNotFound(stored.status())) {
      return stored.status();
    }
  }
  return slice;
}

Digest DigestOf(const std::vector<ItemDigest>& items) {
  std::string bytes;
  bytes.reserve(items.size() * kDigestBytes);
  for (const ItemDigest& one : items) {
    AppendFixed64(&bytes, one.digest.high);
    AppendFixed64(&bytes, one.digest.low);
  }
  return Hash(bytes);
}

Digest DigestOf(const ItemKey& item, const Record& record, uint64_t expired_by_ms) {
  std::string bytes = EncodeItemKey(item);
  for (const Version& version : record.versions) {
    if (IsLeftOut(version, expired_by_ms)) continue;
    AppendFixed64(&bytes, version.dot.replica.value());
    AppendFixed64(&bytes, version.dot.counter);
    AppendFixed64(&bytes, version.stamp);
    AppendFixed64(&bytes, version.expires_ms);
    AppendFixed64(&bytes, version.value.size());
    bytes.append(version.value.view());
  }
  return Hash(bytes);
}

}  // namespace gyre
