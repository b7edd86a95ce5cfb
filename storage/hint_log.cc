#include "storage/hint_log.h"

#include <algorithm>

#include "ring/check.h"
#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

std::string EncodeHintValue(const Record& record, const std::vector<Minted>& minted, bool ownerless,
                            uint64_t since_ms) {
  std::string out;
  AppendFixed64(&out, since_ms);
  out.push_back(ownerless ? 1 : 0);
  AppendVarint(&out, minted.size());
  for (const Minted& one : minted) {
    const std::string bytes = EncodeMinted(one);
    AppendVarint(&out, bytes.size());
    out.append(bytes);
  }
  AppendRecord(record, &out);
  return out;
}

// Of a value behind its age.
bool IsOwnerless(std::string_view value) { return !value.empty() && value.front() == 1; }

}  // namespace

absl::StatusOr<KeptHint> DecodeHint(std::string_view key, std::string_view value) {
  const absl::Status malformed = absl::DataLossError("hints: malformed entry");
  KeptHint hint;
  hint.bytes = key.size() + value.size();
  std::optional<HintKey> decoded = DecodeHintKey(key);
  uint64_t dots = 0;
  if (!decoded.has_value() || !ConsumeFixed64(&value, &hint.since_ms) || value.empty() ||
      static_cast<unsigned char>(value.front()) > 1) {
    return malformed;
  }
  hint.ownerless = IsOwnerless(value);
  value.remove_prefix(1);
  if (!ConsumeVarint(&value, &dots) || dots > kMostHintDots) {
    return malformed;
  }
  hint.key = *std::move(decoded);
  for (uint64_t i = 0; i < dots; ++i) {
    uint64_t size = 0;
    if (!ConsumeVarint(&value, &size) || size > value.size()) return malformed;
    absl::StatusOr<Minted> minted = DecodeMinted(value.substr(0, size));
    if (!minted.ok()) return minted.status();
    hint.minted.push_back(*std::move(minted));
    value.remove_prefix(size);
  }
  absl::StatusOr<Record> record = DecodeRecord(value);
  if (!record.ok()) return record.status();
  hint.record = *std::move(record);
  return hint;
}

bool HintRoom::Take(uint64_t bytes) {
  uint64_t taken = taken_.load(std::memory_order_relaxed);
  do {
    if (taken > most_ || bytes > most_ - taken) return false;
  } while (!taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
  return true;
}

absl::Status OpenHints(const Snapshot& snapshot, absl::FunctionRef<HintLog*(PartitionId)> log_of) {
  return snapshot.Scan(Family::kHints, "", "", [&](std::string_view key, std::string_view value) {
    const std::optional<HintKey> decoded = DecodeHintKey(key);
    if (!decoded.has_value()) return true;
    HintLog* const log = log_of(decoded->item.partition);
    if (log == nullptr) return true;
    const size_t bytes = key.size() + value.size();
    uint64_t since_ms = 0;
    if (!ConsumeFixed64(&value, &since_ms)) since_ms = 0;  // it is counted until it is dropped
    log->next_number_ = std::max(log->next_number_, decoded->number + 1);
    log->Add({decoded->owner, decoded->item.partition}, bytes, since_ms, IsOwnerless(value));
    log->room_->Count(bytes);
    return true;
  });
}

void HintLog::Add(const Place& place, uint64_t bytes, uint64_t since_ms, bool ownerless) {
  HintCount& count = counts_[place];
  if (!ownerless) count.ageing_ms = std::min(count.ageing_ms, since_ms);
  count.oldest_ms = count.hints == 0 ? since_ms : std::min(count.oldest_ms, since_ms);
  ++count.hints;
  count.bytes += bytes;
  bytes_ += bytes;
}

// One that was damaged may have been of another length when it was counted: the last one of a place
// takes what is left.
void HintLog::Remove(const Place& place, uint64_t bytes) {
  const auto it = counts_.find(place);
  GYRE_CHECK(it != counts_.end(), "a hint is dropped once");
  bytes = it->second.hints == 1 ? it->second.bytes : std::min(bytes, it->second.bytes);
  it->second.bytes -= bytes;
  bytes_ -= bytes;
  room_->Give(bytes);
  if (--it->second.hints == 0) counts_.erase(it);
}

bool HintLog::Keep(absl::Span<const NodeId> owners, const ItemKey& item, const Record& record,
                   const std::vector<Minted>& minted, bool ownerless, uint64_t since_ms,
                   WriteBatch* batch) {
  if (minted.size() > kMostHintDots) return false;  // it could not be read again
  const std::string value = EncodeHintValue(record, minted, ownerless, since_ms);
  std::vector<std::string> keys;
  uint64_t bytes = 0;
  for (NodeId owner : owners) {
    keys.push_back(EncodeHintKey({owner, item, next_number_ + keys.size()}));
    bytes += keys.back().size() + value.size();
  }
  if (!room_->Take(bytes)) return false;
  next_number_ += keys.size();
  for (size_t i = 0; i < keys.size(); ++i) {
    Add({owners[i], item.partition}, keys[i].size() + value.size(), since_ms, ownerless);
    batch->Put(Family::kHints, keys[i], value);
  }
  return true;
}

void HintLog::Drop(const KeptHint& hint, WriteBatch* batch) {
  batch->Erase(Family::kHints, EncodeHintKey(hint.key));
  Remove({hint.key.owner, hint.key.item.partition}, hint.bytes);
}

void HintLog::Readdress(const KeptHint& hint, NodeId owner, WriteBatch* batch) {
  Drop(hint, batch);
  const std::string key = EncodeHintKey({owner, hint.key.item, next_number_++});
  const std::string value =
      EncodeHintValue(hint.record, hint.minted, hint.ownerless, hint.since_ms);
  room_->Count(key.size() + value.size());
  Add({owner, hint.key.item.partition}, key.size() + value.size(), hint.since_ms, hint.ownerless);
  batch->Put(Family::kHints, key, value);
}

void HintLog::DropDamaged(const DamagedHint& hint, WriteBatch* batch) {
  batch->Erase(Family::kHints, hint.key);
  // One whose key is damaged has not been counted.
  const std::optional<HintKey> key = DecodeHintKey(hint.key);
  if (!key.has_value()) return;
  Remove({key->owner, key->item.partition}, hint.bytes);
}

// As long as it was, so that what is counted stays true.
void HintLog::Stamp(KeptHint* hint, uint64_t time_ms, WriteBatch* batch) {
  hint->since_ms = time_ms;
  batch->Put(Family::kHints, EncodeHintKey(hint->key),
             EncodeHintValue(hint->record, hint->minted, hint->ownerless, time_ms));
}

bool HintLog::MayHaveOld(NodeId owner, uint64_t time_ms) const {
  const uint64_t since_ms = CountOf(owner).ageing_ms;
  return since_ms == 0 || IsLongAgo(since_ms, time_ms);
}

void HintLog::NoteOldest(NodeId owner, PartitionId partition, uint64_t since_ms,
                         uint64_t ageing_ms) {
  const auto it = counts_.find({owner, partition});
  if (it == counts_.end()) return;
  it->second.oldest_ms = since_ms;
  it->second.ageing_ms = ageing_ms;
}

std::optional<PartitionId> HintLog::NextPartition(NodeId owner, PartitionId from) const {
  const auto it = counts_.lower_bound({owner, from});
  if (it == counts_.end() || it->first.first != owner) return std::nullopt;
  return it->first.second;
}

std::vector<NodeId> HintLog::Owners() const {
  std::vector<NodeId> owners;
  constexpr PartitionId kLast = PartitionId::FromValue(UINT32_MAX);
  for (auto it = counts_.begin(); it != counts_.end();
       it = counts_.upper_bound({owners.back(), kLast})) {
    owners.push_back(it->first.first);
  }
  return owners;
}

HintCount HintLog::CountOf(NodeId owner) const {
  HintCount sum;
  for (auto it = counts_.lower_bound({owner, PartitionId()});
       it != counts_.end() && it->first.first == owner; ++it) {
    sum.oldest_ms =
        sum.hints == 0 ? it->second.oldest_ms : std::min(sum.oldest_ms, it->second.oldest_ms);
    sum.ageing_ms = std::min(sum.ageing_ms, it->second.ageing_ms);
    sum.hints += it->second.hints;
    sum.bytes += it->second.bytes;
  }
  return sum;
}

std::vector<NodeId> HintLog::OwnersOf(PartitionId partition) const {
  std::vector<NodeId> owners = Owners();
  std::erase_if(owners, [&](NodeId owner) { return !Has(owner, partition); });
  return owners;
}

absl::StatusOr<HintPage> ScanHints(const Snapshot& snapshot, const HintScan& scan) {
  HintPage page;
  size_t bytes = 0;
  for (const HintScan::Range& range : scan.ranges) {
    const absl::Status scanned = snapshot.Scan(
        Family::kHints, range.begin, range.end, [&](std::string_view key, std::string_view value) {
          const bool full = page.hints.size() + page.damaged.size() >= scan.most ||
                            (bytes > 0 && bytes + key.size() + value.size() > scan.most_bytes);
          if (full) {
            page.next = std::string(key);
            return false;
          }
          absl::StatusOr<KeptHint> hint = DecodeHint(key, value);
          if (!hint.ok()) {
            bytes += key.size() + value.size();
            page.damaged.push_back({std::string(key), key.size() + value.size()});
            return true;
          }
          bytes += hint->bytes;
          page.hints.push_back(*std::move(hint));
          return true;
        });
    if (!scanned.ok()) return scanned;
    if (!page.next.empty()) break;
  }
  return page;
}

}  // namespace gyre
