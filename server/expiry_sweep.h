// ExpirySweep: removes from a shard's store what has expired, though nobody reads it. Each owner
// does so by itself, without a word to the others: every owner drops the same version, and what its
// clock covers stays covered, so that a copy that still holds the version takes it off too when
// they are merged (DropExpired in storage/version/record.h).
//
// It waits for `margin` beyond the moment of expiry, from which on readers see nothing of it: as
// long as nodes agree on the time within that, nobody is still shown what another one removes. And
// it goes in small portions, with a rest after each, and stands still while the disk is behind.
//
// What cannot be read is passed over, and looked for again a while later: it holds nothing else up.
//
// Pure, and stepped by its shard, which performs what it wants done.
//
// Thread rule: its shard's thread.

#ifndef GYRE_SERVER_EXPIRY_SWEEP_H_
#define GYRE_SERVER_EXPIRY_SWEEP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/expiry_index.h"
#include "storage/keys.h"
#include "storage/replica_store.h"
#include "storage/version/record.h"

namespace gyre {

struct ExpirySweepOptions {
  // Between the moment at which a version expires and its removal. Default 60 s. Below what nodes'
  // times differ by, a read may miss a value that the time of its own coordinator still lets live;
  // a long one costs disk.
  Duration margin = Duration::Seconds(60);
  // Entries of a portion, and the rest after it. Defaults 256 and 10 ms: some 20,000 a second at
  // most. More at once hold the shard up.
  size_t portion = 256;
  Duration rest = Duration::Millis(10);
  // Where something could not be read, or the disk is behind: how long until the next try. Default
  // 10 s.
  Duration long_rest = Duration::Seconds(10);
};

class ExpirySweep {
 public:
  // REQUIRES: `store` outlives it.
  ExpirySweep(ExpirySweepOptions options, ReplicaStore* store) : options_(options), store_(store) {}

  // The cluster's time is so far ahead of the monotonic clock; nothing: it is not known.
  void OnClusterTime(std::optional<int64_t> offset_ms) { offset_ms_ = offset_ms; }

  // When there is something to do, if nothing else happens.
  Time wake() const;
  // What is to be read of the durable store, or nothing; ends in OnScan. `behind`: the disk is.
  std::optional<ExpiryScan> OnWake(bool behind, Instant now);
  // What was read. Answers of what the record is to be loaded, and handed to OnRecord, each once.
  std::vector<ExpiryKey> OnScan(const ExpiryScan& scan, absl::StatusOr<ExpiryPage> page,
                                Instant now);
  void OnRecord(const ExpiryKey& entry, absl::StatusOr<Record> stored, Instant now);

  uint64_t removed() const { return removed_; }  // versions, since start
  // For how long what expired first should have been removed.
  uint64_t LagMs(Instant now) const;

 private:
  const ExpirySweepOptions options_;
  ReplicaStore* const store_;
  std::optional<int64_t> offset_ms_;
  Time rest_until_;
  // What could not be removed of a partition.
  struct Failed {
    uint64_t first_ms = 0;                 // when the first of it expired
    Time again;                            // when it is looked for again
    std::optional<ExpiryKey> behind = {};  // until then, only behind this
  };
  // Of the partition under way, at that moment and maybe later.
  void NoteFailed(uint64_t expires_ms, Time now);
  // What has waited for long enough is due again.
  void PutBack(Time now);

  std::optional<ExpiryIndex::Due> under_way_;  // a portion that is not removed yet
  size_t left_ = 0;                            // records of it
  std::optional<ExpiryKey> last_;              // the last entry of it
  std::map<PartitionId, Failed> failed_;
  CommitSeq last_removal_ = 0;
  uint64_t removed_ = 0;
};

}  // namespace gyre

#endif  // GYRE_SERVER_EXPIRY_SWEEP_H_
