// BuildClockAnswer: what a peer with a given clock lacks of a partition, found through the dot log
// of one consistent snapshot of the store. Pure over the snapshot; any thread.
//
// Always holds: the bases of an answer, and the records in it, are of the same moment; with
// `complete`, the asker's clock together with the answer's items covers everything that the bases
// claim. A record that is damaged is left out, and named; the answer is not complete then, and goes
// on to what lies behind it. What is damaged at the asker only the asker knows: it has the rest
// begin behind that (`ClockAsk::after`, `ClockAnswer::upto`). Entries of the log that are damaged
// count as cut: the log is an index from dots to keys, and a whole copy does without.

#ifndef GYRE_REPLICATION_CLOCK_ANSWER_H_
#define GYRE_REPLICATION_CLOCK_ANSWER_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/partition_state.h"
#include "storage/version/dot.h"

namespace gyre {

struct ClockAnswerLimits {
  // Dots and bytes of records an answer. Larger ones spend fewer rounds, smaller ones hold a
  // shard's loop for less time; an answer holds at least one record however large.
  uint64_t max_dots = 1024;
  size_t max_bytes = 1 << 18;
};

// DATA_LOSS where the partition's state is damaged, or what the log adds to it.
//
// With `ask.count`, all missing dots are counted by their tables, also those beyond the limits: the
// log is read for each, and no record.
absl::StatusOr<ClockAnswer> BuildClockAnswer(const Snapshot& snapshot, PartitionId partition,
                                             const ClockAsk& ask, const ClockAnswerLimits& limits);

// What the dot log tells of a dot: nothing where it was cut, or is damaged.
absl::StatusOr<std::optional<LogEntry>> ReadLogEntry(const Snapshot& snapshot,
                                                     PartitionId partition, const Dot& dot);

// The record whose damage a scan of a store ended at; nothing where it was something else.
std::optional<ItemKey> DamagedItem(const absl::Status& status);
absl::Status Damaged(absl::Status status, const ItemKey& item);

}  // namespace gyre

#endif  // GYRE_REPLICATION_CLOCK_ANSWER_H_
