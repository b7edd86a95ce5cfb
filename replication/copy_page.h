// BuildCopyPage: one page of a whole copy of a partition, out of one consistent snapshot. A copy is
// for who cannot be caught up by the dot log, since it no longer tells all: its data were lost, or
// it was away for longer than the log reaches back.
//
// A copy has three parts, in this order. All records, in the order of their keys; the dot log; and
// items that the asker names. All are of the same snapshot, so that with the last of them the asker
// holds what the snapshot's clock claims, and may join it (design 3, rule 3).
//
// What is damaged is left out, and named as far as it can be: a page says which items, or up to
// where nothing could be read. Of the dot log it is left out without a word: what a log lacks
// counts as cut.
//
// ListItems: which items of a range a node holds itself. What it holds and the copy has not was
// deleted.
//
// Pure over the snapshot; any thread.

#ifndef GYRE_REPLICATION_COPY_PAGE_H_
#define GYRE_REPLICATION_COPY_PAGE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "storage/engine.h"

namespace gyre {

struct CopyPageLimits {
  // Records or log entries a page, and bytes of them. Larger ones spend fewer rounds, smaller ones
  // hold a shard's loop for less time; a page holds at least one record however large.
  size_t max_rows = 1024;
  size_t max_bytes = 1 << 18;
};
// Of keys and values, and a little for each row.
size_t BytesIn(const std::vector<ExplainedRecord>& items);
size_t BytesIn(const CopyPage& page);

// INVALID_ARGUMENT when the question's cursor is none of the partition's; DATA_LOSS when the
// partition's state is damaged, or what the log adds to it.
absl::StatusOr<CopyPage> BuildCopyPage(const Snapshot& snapshot, PartitionId partition,
                                       const CopyAsk& ask, const CopyPageLimits& limits);

// Keys of family kRecords behind `after` and up to `upto`, both encoded item keys; empty: from the
// partition's begin, to its end.
struct ItemRange {
  PartitionId partition;
  std::string after;
  std::string upto;
};
struct ItemList {
  std::vector<ItemKey> items;  // in the order of their keys
  bool complete = true;        // false: there are more behind the last
  bool unread = false;         // some may be missing, for the store cannot be read there
};
absl::StatusOr<ItemList> ListItems(const Snapshot& snapshot, const ItemRange& range, size_t most);

}  // namespace gyre

#endif  // GYRE_REPLICATION_COPY_PAGE_H_
