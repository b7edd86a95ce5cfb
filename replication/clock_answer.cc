#include "replication/clock_answer.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "storage/partition_state.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

// Bounds the work of one answer when a clock is full of holes.
constexpr size_t kMaxRanges = 65536;

constexpr absl::string_view kDamagedUrl = "gyre/damaged-item";

using Found = absl::btree_map<ItemKey, std::vector<Minted>>;

// Looks the dots of one range up in the log. Returns how many entries it met: what is damaged is
// there no more than what has been cut.
absl::StatusOr<uint64_t> CollectRange(const Snapshot& snapshot, PartitionId partition,
                                      const DotRange& range, Found* found) {
  uint64_t met = 0;
  absl::Status scanned =
      snapshot.Scan(Family::kDotLog, EncodeLogKey(partition, {range.replica, range.first}),
                    EncodeLogKey(partition, {range.replica, range.last + 1}),
                    [&](std::string_view key, std::string_view value) {
                      const std::optional<LogKey> log_key = DecodeLogKey(key);
                      absl::StatusOr<LogEntry> entry = DecodeLogEntry(value);
                      if (!log_key.has_value() || !entry.ok()) return false;
                      ++met;
                      (*found)[{partition, entry->table, std::move(entry->key)}].push_back(
                          {log_key->dot, entry->write, entry->attempt});
                      return true;
                    });
  if (!scanned.ok() && !absl::IsDataLoss(scanned)) return scanned;
  return met;
}

// Counts the dots of one range by table.
absl::Status CountRange(const Snapshot& snapshot, PartitionId partition, const DotRange& range,
                        std::map<TableId, uint64_t>* counts) {
  absl::Status malformed;
  absl::Status scanned =
      snapshot.Scan(Family::kDotLog, EncodeLogKey(partition, {range.replica, range.first}),
                    EncodeLogKey(partition, {range.replica, range.last + 1}),
                    [&](std::string_view, std::string_view value) {
                      absl::StatusOr<LogEntry> entry = DecodeLogEntry(value);
                      if (!entry.ok()) {
                        malformed = entry.status();
                        return false;
                      }
                      ++(*counts)[entry->table];
                      return true;
                    });
  return scanned.ok() ? malformed : scanned;
}

absl::StatusOr<Record> ReadFilled(const Snapshot& snapshot, const ItemKey& item,
                                  const PartitionClock& clock) {
  Record record;
  absl::StatusOr<std::string> bytes = snapshot.Get(Family::kRecords, EncodeItemKey(item));
  if (bytes.ok()) {
    absl::StatusOr<Record> decoded = DecodeRecord(*bytes);
    if (!decoded.ok()) return decoded.status();
    record = *std::move(decoded);
  } else if (!absl::IsNotFound(bytes.status())) {
    return bytes.status();
  }
  Fill(&record, clock);
  return record;
}

// A record reflects every write of its versions, also of those whose dots are beyond this answer:
// they travel with it (design 3, rule 3), or a retry that meets the asker is not recognised there.
absl::Status ExplainVersions(const Snapshot& snapshot, const ItemKey& item, const Record& record,
                             const PartitionClock& theirs, std::vector<Minted>* minted) {
  for (const Version& version : record.versions) {
    const auto explains = [&](const Minted& one) { return one.dot == version.dot; };
    if (theirs.Contains(version.dot) || absl::c_any_of(*minted, explains)) continue;
    absl::StatusOr<std::optional<LogEntry>> entry =
        ReadLogEntry(snapshot, item.partition, version.dot);
    if (!entry.ok()) return entry.status();
    // Otherwise the range that holds it says so.
    if (entry->has_value()) minted->push_back({version.dot, (*entry)->write, (*entry)->attempt});
  }
  return absl::OkStatus();
}

size_t SizeBytes(const Record& record) {
  size_t bytes = 64;
  for (const Version& version : record.versions) bytes += 32 + version.value.size();
  return bytes;
}

// The dots of some ranges, looked up in the log so many at a time.
class Portions {
 public:
  Portions(absl::Span<const DotRange> ranges, uint64_t most) : ranges_(ranges), most_(most) {}

  bool end() const { return ranges_.empty(); }
  // Some dot of the last portion was not there, or could not be read.
  bool log_cut() const { return log_cut_; }
  // The last dot of the last portion.
  Dot upto() const { return upto_; }

  absl::StatusOr<Found> Next(const Snapshot& snapshot, PartitionId partition) {
    Found found;
    for (uint64_t left = most_; left > 0 && !end();) {
      const DotRange& range = ranges_.front();
      const uint64_t first = range.first + passed_;
      const uint64_t wanted = std::min(left, range.last - first + 1);
      const DotRange part{range.replica, first, first + wanted - 1};
      absl::StatusOr<uint64_t> met = CollectRange(snapshot, partition, part, &found);
      if (!met.ok()) return met.status();
      log_cut_ = log_cut_ || *met < wanted;
      left -= wanted;
      passed_ += wanted;
      upto_ = {part.replica, part.last};
      if (part.last < range.last) continue;
      ranges_.remove_prefix(1);
      passed_ = 0;
    }
    return found;
  }

 private:
  absl::Span<const DotRange> ranges_;
  const uint64_t most_;
  uint64_t passed_ = 0;  // dots of the first range
  Dot upto_;
  bool log_cut_ = false;
};

struct ItemsWanted {
  const PartitionClock& theirs;
  const PartitionClock& clock;
  size_t max_bytes;
};

// Adds to the answer what there is of the items, by the first of their dots, so that the answer
// ends at a dot: all before it is in. Whether all of them had room.
absl::StatusOr<bool> AddItems(const Snapshot& snapshot, Found found, const ItemsWanted& wanted,
                              ClockAnswer* answer) {
  std::vector<Found::value_type*> in_order;
  in_order.reserve(found.size());
  for (Found::value_type& one : found) in_order.push_back(&one);
  absl::c_sort(in_order, [](const Found::value_type* a, const Found::value_type* b) {
    return a->second.front().dot < b->second.front().dot;
  });
  size_t size = 0;
  for (Found::value_type* const one : in_order) {
    const ItemKey& item = one->first;
    std::vector<Minted>& minted = one->second;
    if (size >= wanted.max_bytes) {
      answer->upto = {minted.front().dot.replica, minted.front().dot.counter - 1};
      return false;
    }
    absl::StatusOr<Record> record = ReadFilled(snapshot, item, wanted.clock);
    if (absl::IsDataLoss(record.status())) {
      answer->left_out.push_back(item);
      continue;
    }
    if (!record.ok()) return record.status();
    if (absl::Status status = ExplainVersions(snapshot, item, *record, wanted.theirs, &minted);
        !status.ok()) {
      return status;
    }
    size += SizeBytes(*record);
    answer->items.push_back(
        {item, std::make_shared<const Record>(*std::move(record)), std::move(minted)});
  }
  return true;
}

}  // namespace

absl::StatusOr<std::optional<LogEntry>> ReadLogEntry(const Snapshot& snapshot,
                                                     PartitionId partition, const Dot& dot) {
  absl::StatusOr<std::string> bytes = snapshot.Get(Family::kDotLog, EncodeLogKey(partition, dot));
  if (absl::IsNotFound(bytes.status()) || absl::IsDataLoss(bytes.status())) return std::nullopt;
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<LogEntry> entry = DecodeLogEntry(*bytes);
  if (!entry.ok()) return std::nullopt;
  return *std::move(entry);
}

absl::Status Damaged(absl::Status status, const ItemKey& item) {
  if (absl::IsDataLoss(status)) status.SetPayload(kDamagedUrl, absl::Cord(EncodeItemKey(item)));
  return status;
}

std::optional<ItemKey> DamagedItem(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kDamagedUrl);
  if (!payload.has_value()) return std::nullopt;
  return DecodeItemKey(std::string(*payload));
}

absl::StatusOr<ClockAnswer> BuildClockAnswer(const Snapshot& snapshot, PartitionId partition,
                                             const ClockAsk& ask, const ClockAnswerLimits& limits) {
  const PartitionClock& theirs = ask.clock;
  ClockAnswer answer;
  absl::StatusOr<PartitionState> state = ReadPartitionState(snapshot, partition);
  if (!state.ok()) return state.status();
  answer.bases = state->clock.Bases();

  const MissingDots missing = state->clock.MissingFrom(theirs, kMaxRanges, ask.after);
  bool count = ask.count;
  std::map<TableId, uint64_t> counts;
  for (const DotRange& range : missing.ranges) {
    answer.missing += range.last - range.first + 1;
    // A figure: where the log is damaged, what lies elsewhere comes without it.
    if (count && !CountRange(snapshot, partition, range, &counts).ok()) {
      count = false;
      counts.clear();
    }
  }
  answer.missing_by_table.assign(counts.begin(), counts.end());

  // Portion by portion, until one holds something that is not damaged.
  Portions portions(missing.ranges, limits.max_dots);
  bool all = missing.complete;
  while (!portions.end() && answer.items.empty()) {
    absl::StatusOr<Found> found = portions.Next(snapshot, partition);
    if (!found.ok()) return found.status();
    answer.log_cut = portions.log_cut();
    if (answer.log_cut) return answer;  // a copy will bring everything
    answer.upto = portions.upto();
    absl::StatusOr<bool> added =
        AddItems(snapshot, *std::move(found), {theirs, state->clock, limits.max_bytes}, &answer);
    if (!added.ok()) return added.status();
    all = all && *added;
  }
  const bool more = !all || !portions.end();
  if (!more) answer.upto = Dot{};
  answer.complete = !more && answer.left_out.empty() && ask.after == Dot{};
  return answer;
}

}  // namespace gyre
