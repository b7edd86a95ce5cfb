#include "replication/copy_page.h"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "replication/clock_answer.h"
#include "storage/keys.h"
#include "storage/partition_state.h"
#include "storage/readable.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr size_t kRoughRowBytes = 32;

// The first key behind `key`.
std::string Behind(std::string key) {
  key.push_back('\0');
  return key;
}

bool IsWithin(PartitionId partition, const std::string& key) {
  return key.empty() || (PartitionBegin(partition) <= key && key < PartitionEnd(partition));
}

// The versions' dots, each with the write that minted it where the log still tells, and can be
// read.
absl::StatusOr<std::vector<Minted>> Explain(const Snapshot& snapshot, PartitionId partition,
                                            const Record& record) {
  std::vector<Minted> minted;
  minted.reserve(record.versions.size());
  for (const Version& version : record.versions) {
    absl::StatusOr<std::optional<LogEntry>> entry = ReadLogEntry(snapshot, partition, version.dot);
    if (!entry.ok()) return entry.status();
    Minted& one = minted.emplace_back(Minted{version.dot, {}, 0});
    if (!entry->has_value()) continue;
    one.write = (*entry)->write;
    one.attempt = (*entry)->attempt;
  }
  return minted;
}

// Adds the record to the page as others may see it.
absl::Status Add(const Snapshot& snapshot, ItemKey item, Record record, CopyPage* page) {
  Fill(&record, page->clock);
  absl::StatusOr<std::vector<Minted>> minted = Explain(snapshot, item.partition, record);
  if (!minted.ok()) return minted.status();
  page->items.push_back(
      {std::move(item), std::make_shared<const Record>(std::move(record)), *std::move(minted)});
  return absl::OkStatus();
}

absl::Status AddRecords(const Snapshot& snapshot, PartitionId partition, const CopyAsk& ask,
                        const CopyPageLimits& limits, CopyPage* page) {
  size_t bytes = 0;
  absl::Status failed;
  page->last = true;
  const auto add = [&](std::string_view key, std::string_view value) {
    if (page->items.size() + page->damaged.size() >= limits.max_rows || bytes >= limits.max_bytes) {
      page->last = false;
      return false;
    }
    bytes += key.size() + value.size();
    page->upto = key;
    std::optional<ItemKey> item = DecodeItemKey(key);
    absl::StatusOr<Record> record = DecodeRecord(value);
    if (!item.has_value()) {
      failed = absl::DataLossError("records: malformed key");
    } else if (!record.ok()) {
      page->damaged.push_back(*std::move(item));
    } else {
      failed = Add(snapshot, *std::move(item), *std::move(record), page);
    }
    return failed.ok();
  };
  const std::string end = PartitionEnd(partition);
  const std::string from = ask.after.empty() ? PartitionBegin(partition) : Behind(ask.after);
  absl::Status scanned = snapshot.Scan(Family::kRecords, from, end, add);
  if (absl::IsDataLoss(scanned) && page->upto.empty()) {
    page->unread_to = FindReadable(snapshot, Family::kRecords, from, end);
    scanned = page->unread_to == end ? absl::OkStatus()
                                     : snapshot.Scan(Family::kRecords, page->unread_to, end, add);
  }
  if (absl::IsDataLoss(scanned) && !page->upto.empty()) {
    page->last = false;  // the next one begins where it cannot be read
    return failed;
  }
  return scanned.ok() ? failed : scanned;
}

// Entries that are damaged are left out. Who takes the copy over has a log that lacks them, as one
// that was cut does, and gives a copy in turn to who asks for them.
absl::Status AddLog(const Snapshot& snapshot, PartitionId partition, const CopyAsk& ask,
                    const CopyPageLimits& limits, CopyPage* page) {
  size_t bytes = 0;
  page->last = true;
  std::string from = ask.after.empty() ? PartitionBegin(partition) : Behind(ask.after);
  const std::string end = PartitionEnd(partition);
  while (from < end) {
    const absl::Status scanned = snapshot.Scan(
        Family::kDotLog, from, end, [&](std::string_view key, std::string_view value) {
          if (page->log.size() >= limits.max_rows || bytes >= limits.max_bytes) {
            page->last = false;
            return false;
          }
          from = Behind(std::string(key));
          bytes += key.size() + value.size();
          page->upto = key;
          const std::optional<LogKey> log_key = DecodeLogKey(key);
          absl::StatusOr<LogEntry> entry = DecodeLogEntry(value);
          if (!log_key.has_value() || !entry.ok()) return true;
          page->log.push_back({{partition, entry->table, std::move(entry->key)},
                               {log_key->dot, entry->write, entry->attempt}});
          return true;
        });
    if (!absl::IsDataLoss(scanned)) return scanned;
    from = FindReadable(snapshot, Family::kDotLog, from, end);
  }
  return absl::OkStatus();
}

size_t BytesIn(const ExplainedRecord& one) {
  size_t bytes = kRoughRowBytes + one.item.key.size();
  for (const Version& version : one.record->versions) bytes += version.value.view().size();
  return bytes;
}

absl::Status AddItems(const Snapshot& snapshot, PartitionId partition, const CopyAsk& ask,
                      const CopyPageLimits& limits, CopyPage* page) {
  page->last = true;
  size_t told = 0;
  for (const ItemKey& item : ask.items) {
    if (ask.in_parts && told >= limits.max_bytes) break;
    if (item.partition != partition) return absl::InvalidArgumentError("another partition");
    absl::StatusOr<std::string> bytes = snapshot.Get(Family::kRecords, EncodeItemKey(item));
    Record record;
    if (bytes.ok()) {
      absl::StatusOr<Record> decoded = DecodeRecord(*bytes);
      if (!decoded.ok()) {
        page->damaged.push_back(item);
        continue;
      }
      record = *std::move(decoded);
    } else if (absl::IsDataLoss(bytes.status())) {
      page->damaged.push_back(item);
      continue;
    } else if (!absl::IsNotFound(bytes.status())) {
      return bytes.status();
    }
    if (absl::Status added = Add(snapshot, item, std::move(record), page); !added.ok()) {
      return added;
    }
    told += BytesIn(page->items.back());
  }
  return absl::OkStatus();
}

}  // namespace

size_t BytesIn(const std::vector<ExplainedRecord>& items) {
  size_t bytes = 0;
  for (const ExplainedRecord& one : items) bytes += BytesIn(one);
  return bytes;
}

size_t BytesIn(const CopyPage& page) {
  size_t bytes = BytesIn(page.items);
  for (const LogRow& row : page.log) bytes += kRoughRowBytes + row.item.key.size();
  return bytes;
}

absl::StatusOr<CopyPage> BuildCopyPage(const Snapshot& snapshot, PartitionId partition,
                                       const CopyAsk& ask, const CopyPageLimits& limits) {
  if (!IsWithin(partition, ask.after)) return absl::InvalidArgumentError("cursor");
  absl::StatusOr<PartitionState> state = ReadPartitionState(snapshot, partition);
  if (!state.ok()) return state.status();
  CopyPage page;
  page.part = ask.part;
  page.number = ask.number;
  page.clock = std::move(state->clock);
  absl::Status added;
  switch (ask.part) {
    case CopyPart::kRecords:
      added = AddRecords(snapshot, partition, ask, limits, &page);
      break;
    case CopyPart::kLog:
      added = AddLog(snapshot, partition, ask, limits, &page);
      break;
    case CopyPart::kItems:
      added = AddItems(snapshot, partition, ask, limits, &page);
      break;
  }
  if (!added.ok()) return added;
  return page;
}

absl::StatusOr<ItemList> ListItems(const Snapshot& snapshot, const ItemRange& range, size_t most) {
  ItemList list;
  absl::Status malformed;
  std::string from = range.after.empty() ? PartitionBegin(range.partition) : Behind(range.after);
  const std::string end = range.upto.empty() ? PartitionEnd(range.partition) : Behind(range.upto);
  while (from < end) {
    const absl::Status scanned =
        snapshot.Scan(Family::kRecords, from, end, [&](std::string_view key, std::string_view) {
          if (list.items.size() >= most) return list.complete = false;
          std::optional<ItemKey> item = DecodeItemKey(key);
          if (!item.has_value()) {
            malformed = absl::DataLossError("records: malformed key");
            return false;
          }
          list.items.push_back(*std::move(item));
          from = Behind(std::string(key));
          return true;
        });
    if (!malformed.ok()) return malformed;
    if (scanned.ok()) break;
    if (!absl::IsDataLoss(scanned)) return scanned;
    list.unread = true;
    from = FindReadable(snapshot, Family::kRecords, from, end);
  }
  return list;
}

}  // namespace gyre
