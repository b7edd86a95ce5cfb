// HintLog: the writes that this node keeps for owners that could not be reached (hinted handoff,
// Dynamo, SOSP 2007, section 4.6). A hint is a filled record with the dots that explain it, tagged
// with the owner that it is for. It touches no clock of the node that keeps it (design 3, rule 6).
//
//   HintLog hints(options);
//   OpenHints(snapshot, log_of);
//   if (hints.Keep(owner, change, time_ms, &batch)) ...    // kept once the batch is durable
//   ScanHints(snapshot, scan)                              // what is kept of one item, or for one
//   hints.Drop(hint, &batch)                               // the owner has it
//
// Hints are appended, each under a number of its own, so that keeping one reads nothing. What is in
// memory is a count for each owner and partition.
//
// How old a hint is, is by the cluster's time (ring/cluster_time.h): a clock of one node that jumps
// ages nothing. A hint that was kept while that was not known has no age until Stamp.
//
//   hint value := since_ms(8) flags(1) dots(varint) (size(varint) minted(size))* record(*)
//   since_ms   := of the cluster's time, or 0
//   flags      := 1 where no owner has it, 0 else
//
// The logs of one node, a shard's each, share one HintRoom.
//
// Thread rule: one thread, but for ScanHints, which is pure but for its snapshot, and HintRoom.

#ifndef GYRE_STORAGE_HINT_LOG_H_
#define GYRE_STORAGE_HINT_LOG_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ring/ids.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/version/dot.h"
#include "storage/version/record.h"

namespace gyre {

// Dots that a hint may explain: a record has 64 versions, and retries of them.
inline constexpr size_t kMostHintDots = 4096;

struct KeptHint {
  HintKey key;
  Record record;  // filled
  std::vector<Minted> minted;
  bool ownerless = false;  // a guest minted it: no owner has it, and so it never grows too old
  uint64_t since_ms = 0;   // of the cluster's time: when it was kept; 0: that was not known
  size_t bytes = 0;        // of its key and value
};

struct HintLogOptions {
  // Keys and values of all hints. One more is refused: then the write counts on others, and repair
  // brings the owner what it missed. Formula: bytes written a second to the partitions of a lost
  // node x seconds that it is away / nodes that stand in. Default 256 MiB.
  uint64_t max_bytes = uint64_t{256} << 20;
  // A hint that is older is dropped, unless no owner has it; repair covers it. Default 24 hours.
  Duration max_age = Duration::Seconds(24 * 3600);
};

// How many bytes hints may take. Every method from any thread.
class HintRoom {
 public:
  explicit HintRoom(uint64_t most) : most_(most) {}

  // False: there is no room for so many, and nothing was taken.
  [[nodiscard]] bool Take(uint64_t bytes);
  // Of what is there already: it may be more than there is room for.
  void Count(uint64_t bytes) { taken_.fetch_add(bytes, std::memory_order_relaxed); }
  void Give(uint64_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const uint64_t most_;
  std::atomic<uint64_t> taken_{0};
};

// What is kept for an owner, of one partition or of all.
struct HintCount {
  uint64_t hints = 0;
  uint64_t bytes = 0;
  // Of the cluster's time: none of them that has an age is older. 0: some may have none.
  uint64_t oldest_ms = 0;
  // The same of those that may grow too old. kNever: there is none.
  uint64_t ageing_ms = kNever;
  static constexpr uint64_t kNever = UINT64_MAX;
};

// Which hints to read.
struct HintScan {
  uint64_t id = 0;  // the reader's
  struct Range {
    std::string begin;
    std::string end;  // exclusive
  };
  std::vector<Range> ranges;
  // How many at most, and bytes of them; but one, if there is one.
  size_t most = 64;
  size_t most_bytes = size_t{1} << 20;
  bool awaited = false;  // by a client's request: it is read among what those wait for
};
// One whose value, or key, no decoder takes.
struct DamagedHint {
  std::string key;
  size_t bytes = 0;  // of its key and value
};
struct HintPage {
  std::vector<KeptHint> hints;       // range by range, in the order of their keys
  std::vector<DamagedHint> damaged;  // beside them
  std::string next;  // in the last range that was read, where to go on; empty: that was all
};

class HintLog {
 public:
  // Null: it has room of its own, as in the options.
  explicit HintLog(HintLogOptions options, std::shared_ptr<HintRoom> room = nullptr)
      : options_(options),
        room_(room != nullptr ? std::move(room) : std::make_shared<HintRoom>(options.max_bytes)) {}

  // Keeps a hint for each of `owners`. False: there is no room for all of them, or it explains more
  // dots than a hint may, and nothing was done.
  [[nodiscard]] bool Keep(absl::Span<const NodeId> owners, const ItemKey& item,
                          const Record& record, const std::vector<Minted>& minted, bool ownerless,
                          uint64_t since_ms, WriteBatch* batch);
  // Keeps it for another owner instead, in the same room. REQUIRES: it is kept, and not dropped
  // yet.
  void Readdress(const KeptHint& hint, NodeId owner, WriteBatch* batch);
  // Gives one that has no age the age 0. REQUIRES: it is kept.
  static void Stamp(KeptHint* hint, uint64_t time_ms, WriteBatch* batch);
  // REQUIRES: it is kept, and not dropped yet.
  void Drop(const KeptHint& hint, WriteBatch* batch);
  // The same; of what it was kept for others have copies.
  void DropDamaged(const DamagedHint& hint, WriteBatch* batch);

  bool IsOld(const KeptHint& hint, uint64_t time_ms) const {
    return !hint.ownerless && hint.since_ms != 0 && IsLongAgo(hint.since_ms, time_ms);
  }
  // Whether some hint for the owner may be too old, or have no age yet.
  bool MayHaveOld(NodeId owner, uint64_t time_ms) const;
  // None of the partition's that are kept for the owner is older than that, and none that may grow
  // too old is older than `ageing_ms`.
  void NoteOldest(NodeId owner, PartitionId partition, uint64_t since_ms, uint64_t ageing_ms);

  bool Has(NodeId owner, PartitionId partition) const {
    return counts_.contains({owner, partition});
  }
  // The first partition from `from` on of which something is kept for the owner.
  std::optional<PartitionId> NextPartition(NodeId owner, PartitionId from) const;
  std::vector<NodeId> Owners() const;
  // Those for whom something of the partition is kept.
  std::vector<NodeId> OwnersOf(PartitionId partition) const;
  HintCount CountOf(NodeId owner) const;
  uint64_t bytes() const { return bytes_; }

 private:
  using Place = std::pair<NodeId, PartitionId>;
  bool IsLongAgo(uint64_t since_ms, uint64_t time_ms) const {
    return time_ms > since_ms &&
           time_ms - since_ms > static_cast<uint64_t>(options_.max_age.millis());
  }
  friend absl::Status OpenHints(const Snapshot& snapshot,
                                absl::FunctionRef<HintLog*(PartitionId)> log_of);
  void Add(const Place& place, uint64_t bytes, uint64_t since_ms, bool ownerless);
  void Remove(const Place& place, uint64_t bytes);

  const HintLogOptions options_;
  std::shared_ptr<HintRoom> room_;
  uint64_t next_number_ = 1;
  uint64_t bytes_ = 0;
  std::map<Place, HintCount> counts_;  // none is zero
};

// Counts what is there, each hint in its partition's log; null: in none. All of a node's logs at
// once, for all hints are read. One whose key is damaged is passed over: no start fails by what may
// be dropped. Before any log keeps anything.
absl::Status OpenHints(const Snapshot& snapshot, absl::FunctionRef<HintLog*(PartitionId)> log_of);

// DATA_LOSS for a malformed hint.
absl::StatusOr<KeptHint> DecodeHint(std::string_view key, std::string_view value);

absl::StatusOr<HintPage> ScanHints(const Snapshot& snapshot, const HintScan& scan);

}  // namespace gyre

#endif  // GYRE_STORAGE_HINT_LOG_H_
