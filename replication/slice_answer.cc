#include "replication/slice_answer.h"

#include <algorithm>
#include <utility>

#include "replication/clock_answer.h"

namespace gyre {

absl::StatusOr<SliceAnswer> AnswerSlice(const Snapshot& snapshot, PartitionId partition,
                                        const SliceAsk& ask, SliceLimits limits) {
  limits.max_items = std::min(limits.max_items, kMaxSliceItems);
  absl::StatusOr<Slice> slice =
      ReadSlice(snapshot, {partition, ask.after, ask.upto, ask.expired_by_ms}, limits);
  if (!slice.ok()) return slice.status();
  if (!slice->damaged.empty()) {
    return Damaged(absl::DataLossError("slice: a damaged record"), slice->damaged.front());
  }
  SliceAnswer answer;
  answer.complete = slice->complete;
  if (!slice->complete) answer.upto = std::move(slice->upto);
  answer.same = ask.digest.has_value() && slice->complete && DigestOf(slice->items) == *ask.digest;
  if (!answer.same) answer.items = std::move(slice->items);
  return answer;
}

}  // namespace gyre
