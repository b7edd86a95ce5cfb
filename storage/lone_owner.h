// LoneOwner: one owner of two partitions on the bench: a ReplicaStore over a MemoryEngine, where
// every change is committed at once unless a test gathers them itself.
//
//   LoneOwner a(1), b(2);
//   b.Apply(LoneOwner::Item("cart"), a.Put("cart", "milk"));   // a's write reaches b
//   a.PowerCut();                                              // and a forgets what it had not
//   synced
//
// For tests. One thread.

#ifndef GYRE_STORAGE_LONE_OWNER_H_
#define GYRE_STORAGE_LONE_OWNER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "storage/memory_engine.h"
#include "storage/replica_store.h"

namespace gyre {

class LoneOwner {
 public:
  static constexpr PartitionId kPartition{3, 5};
  static constexpr PartitionId kNeighbour{3, 6};

  static ItemKey Item(const std::string& key) { return {kPartition, TableId(1), key}; }

  explicit LoneOwner(uint64_t seed, ReplicaStore::Options options = {})
      : options_(options), random_(seed) {
    Reopen(/*new_lives=*/false);
  }

  // The process ends and starts again on what its engine holds.
  void Reopen(bool new_lives) {
    store_ = std::make_unique<ReplicaStore>(&engine_, options_, Random(random_.Next()));
    GYRE_CHECK(store_->Open({kPartition, kNeighbour}, new_lives).ok(), "the store opens");
  }
  // The same, but nothing survives that was not synced.
  void PowerCut(bool new_lives) {
    const auto keeps_nothing = [&](Random draw) {
      return draw.Below(engine_.unsynced_batches() + 1) == 0;
    };
    uint64_t seed = 0;
    while (!keeps_nothing(Random(seed))) ++seed;
    Random draw(seed);
    engine_.Crash(&draw);
    Reopen(new_lives);
  }

  // ---- writes, committed at once
  MintOutcome Mint(const ItemKey& item, WriteIntent intent, uint64_t wall_ms = 0) {
    MintOutcome outcome = GatherMint(item, std::move(intent), wall_ms);
    if (store_->dirty()) CommitAll();
    return outcome;
  }
  MintOutcome Put(const std::string& key, std::string value) {
    WriteIntent intent;
    intent.value = std::move(value);
    return Mint(Item(key), std::move(intent));
  }
  MintOutcome Delete(const std::string& key) {
    WriteIntent intent;
    intent.kind = WriteKind::kDelete;
    return Mint(Item(key), std::move(intent));
  }
  // Takes in what another owner has minted.
  void Apply(const ItemKey& item, const MintOutcome& change) {
    store_->Apply(item, Stored(item), change.record, change.minted, Durability::kFsync);
    CommitAll();
  }

  // ---- the same, left to gather
  MintOutcome GatherMint(const ItemKey& item, WriteIntent intent, uint64_t wall_ms = 0) {
    return store_->Mint(item, Stored(item), std::move(intent), {Time(), wall_ms});
  }
  void CommitAll() { End(Begin()); }
  // A commit that is under way between the two.
  Commit Begin() { return store_->TakeCommit(); }
  void End(const Commit& commit) {
    GYRE_CHECK(engine_.Write(commit.batch, commit.sync).ok(), "the engine writes");
    store_->OnCommitted(commit.seq);
  }

  // As it is stored, stripped; and as others may see it, filled.
  Record Stored(const ItemKey& item) const {
    absl::StatusOr<std::optional<Record>> record = store_->Load(item);
    GYRE_CHECK(record.ok() && record->has_value(), "the record is at hand");
    return **std::move(record);
  }
  Record Filled(const ItemKey& item) const { return store_->Filled(item.partition, Stored(item)); }
  std::vector<std::string> Values(const std::string& key) const {
    std::vector<std::string> values;
    for (const Version& version : Stored(Item(key)).versions) {
      values.emplace_back(version.value);
    }
    return values;
  }

  // Everything of one family in the engine, in order.
  std::vector<std::pair<std::string, std::string>> Entries(Family family) const {
    std::vector<std::pair<std::string, std::string>> entries;
    const std::unique_ptr<Snapshot> snapshot = engine_.TakeSnapshot();
    const absl::Status scanned =
        snapshot->Scan(family, "", "", [&](std::string_view key, std::string_view value) {
          entries.emplace_back(std::string(key), std::string(value));
          return true;
        });
    GYRE_CHECK(scanned.ok(), "the engine scans");
    return entries;
  }
  // The counters of one replica id that the dot log of kPartition holds, in order.
  std::vector<uint64_t> LoggedCounters(ReplicaId replica) const {
    std::vector<uint64_t> counters;
    for (const auto& [key, value] : Entries(Family::kDotLog)) {
      const std::optional<LogKey> log_key = DecodeLogKey(key);
      if (log_key->partition == kPartition && log_key->dot.replica == replica) {
        counters.push_back(log_key->dot.counter);
      }
    }
    return counters;
  }

  const PartitionClock& clock() const { return store_->Clock(kPartition); }
  ReplicaId self() const { return store_->Self(kPartition); }
  ReplicaStore& store() { return *store_; }
  MemoryEngine& engine() { return engine_; }

 private:
  const ReplicaStore::Options options_;
  Random random_;
  MemoryEngine engine_;
  std::unique_ptr<ReplicaStore> store_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_LONE_OWNER_H_
