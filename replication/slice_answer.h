// AnswerSlice: what an owner says who is asked for a run of a partition's items: that it has the
// same, or what it has. Pure over the snapshot; any thread.

#ifndef GYRE_REPLICATION_SLICE_ANSWER_H_
#define GYRE_REPLICATION_SLICE_ANSWER_H_

#include "absl/status/statusor.h"
#include "replication/message.h"
#include "replication/slice.h"
#include "ring/ids.h"
#include "storage/engine.h"

namespace gyre {

// DATA_LOSS where something is damaged; DamagedItem (replication/clock_answer.h) tells which
// record, where it is one. INVALID_ARGUMENT for a range that is none of the partition's.
absl::StatusOr<SliceAnswer> AnswerSlice(const Snapshot& snapshot, PartitionId partition,
                                        const SliceAsk& ask, SliceLimits limits);

}  // namespace gyre

#endif  // GYRE_REPLICATION_SLICE_ANSWER_H_
