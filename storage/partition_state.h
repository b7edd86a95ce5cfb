// PartitionState: what an owner knows of one partition beside its records, and its codec; and the
// codec of dot-log entries.
//
//   state  := version(1)=1 self(8 big endian) clock          nothing was lost
//           | version(1)=2 self(8 big endian) clock          `filling`
//           | version(1)=3 self(8 big endian) since(8 big endian) filling(1) clock
//   entry  := version(1)=1 table(varint) key_length(varint) key minted_rest
//   minted_rest := attempt(varint) [ write(16) ]       the lowest bit of attempt: write is there
//
// `clock` is the grammar of storage/version/version_codec.h. Plain values; any thread.
//
// The state of a partition at a moment is the state that was last written and the dots that the log
// holds beside it: every change of a clock but a joined base is a dot that is logged in the same
// batch. So a write need not write the state.

#ifndef GYRE_STORAGE_PARTITION_STATE_H_
#define GYRE_STORAGE_PARTITION_STATE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/version/dot.h"
#include "storage/version/partition_clock.h"

namespace gyre {

struct PartitionState {
  ReplicaId self;        // the identity of this life; 0: has not minted yet
  PartitionClock clock;  // the dots whose effect the records hold, and so all that `self` minted
  // What was here was lost, or never was here, and has not been brought from the other owners.
  bool filling = false;
  // Of the move that brought the partition here (ring/move.h); 0: it was here from the beginning.
  Epoch since = {};
};

std::string EncodePartitionState(const PartitionState& state);
absl::StatusOr<PartitionState> DecodePartitionState(std::string_view bytes);

// The state as of `snapshot`; that of a partition without any write is empty. Reads what was
// logged since the state was last written. DATA_LOSS when either cannot be decoded.
absl::StatusOr<PartitionState> ReadPartitionState(const Snapshot& snapshot, PartitionId partition);

// What the dot log holds under a dot: whose record it changed, and which write it was.
struct LogEntry {
  TableId table;
  std::string key;
  WriteId write;
  uint32_t attempt = 0;
};

std::string EncodeLogEntry(const LogEntry& entry);
// The same, behind what is there.
void AppendLogEntry(TableId table, std::string_view key, const WriteId& write, uint32_t attempt,
                    std::string* out);
absl::StatusOr<LogEntry> DecodeLogEntry(std::string_view bytes);

}  // namespace gyre

#endif  // GYRE_STORAGE_PARTITION_STATE_H_
