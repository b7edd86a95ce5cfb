// MemoryEngine: an Engine in memory for simulation, whose crash loses what a power cut may lose.
//
//   MemoryEngine engine;
//   engine.Write(a, WalSync::kYes);
//   engine.Write(b, WalSync::kNo);
//   engine.Write(c, WalSync::kNo);
//   engine.Crash(&random);      // a is there; so is nothing more, or b, or b and c
//
// Ordered maps hold the present. What unsynced batches replaced is kept beside it, so that a crash
// undoes them last first; a snapshot keeps what was replaced since it was taken. So writes, crashes
// and snapshots cost what changes, never what is stored.
//
// Thread rule: one thread. Narrower than Engine: the visitor of a Scan must not write.

#ifndef GYRE_STORAGE_MEMORY_ENGINE_H_
#define GYRE_STORAGE_MEMORY_ENGINE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/random.h"
#include "storage/engine.h"

namespace gyre {

class MemoryEngine final : public Engine {
 public:
  struct Counters {
    uint64_t writes = 0;     // batches applied
    uint64_t syncs = 0;      // of these, with WalSync::kYes
    uint64_t changes = 0;    // puts, erases and range erases in them
    uint64_t snapshots = 0;  // taken
    uint64_t crashes = 0;
    uint64_t lost_batches = 0;  // undone by crashes
    uint64_t failed_found = 0;  // whose Write had failed, and which a crash left in the store
  };

  MemoryEngine() = default;
  MemoryEngine(const MemoryEngine&) = delete;
  MemoryEngine& operator=(const MemoryEngine&) = delete;
  // REQUIRES: every snapshot has been released.
  ~MemoryEngine() override;

  absl::Status Write(const WriteBatch& batch, WalSync sync) override;
  Peek TryGet(Family family, std::string_view key, std::string* value) const override;
  absl::StatusOr<std::string> Get(Family family, std::string_view key) const override;
  std::unique_ptr<Snapshot> TakeSnapshot() const override;
  uint64_t SizeBytes() const override { return 0; }
  uint64_t EstimateKeys(Family family) const override { return At(family).size(); }

  // A power cut and the restart after it: keeps what was synced and a random prefix (none to all)
  // of the batches after that, all of which is durable from now on. Lifts a failure. A batch whose
  // Write failed counts as the last of them: a device that reports an error may still have stored
  // it. Draws once.
  void Crash(Random* random);

  // Another store with what this one holds now, all of it durable; fault points stay behind.
  std::unique_ptr<MemoryEngine> Copy() const;

  // Fault point: the next Write fails with `status` and, as Engine says, so do all after it.
  void FailNextWrite(absl::Status status);

  // Fault point: until the key is written again whoever reads it, through older snapshots too, gets
  // bytes that no decoder takes, as of memory that was bad when they were written. REQUIRES: the
  // key is there.
  void Garble(Family family, std::string_view key);
  static bool IsGarbled(std::string_view value);

  // Fault point: from now on one TryGet in `one_in` answers kNeedsDisk; 0 (the default) means none.
  void AnswerNeedsDisk(uint32_t one_in, uint64_t seed);

  // Fault points: what a disk may do, without a word, to what it holds under a key. Damaged, it
  // fails its checksum until it is written again: no reader gets it, and scans end there. Lost, it
  // was never written; changed, it was another value. False, and nothing is done: nothing is there,
  // or it may be undone by a crash yet.
  bool Damage(Family family, std::string_view key);
  bool Lose(Family family, std::string_view key);
  bool Change(Family family, std::string_view key, std::string_view value);
  // Keys that are damaged, and have not been written since.
  size_t damaged() const { return damaged_.size(); }

  const Counters& counters() const { return counters_; }
  // Batches that a crash may lose.
  size_t unsynced_batches() const { return unsynced_.size(); }

 private:
  friend class MemorySnapshot;

  using Map = std::map<std::string, std::string, std::less<>>;

  // What a change replaced; no value: the key was absent.
  struct Before {
    Family family;
    std::string key;
    std::optional<std::string> value;
  };
  using Undo = std::vector<Before>;

  const Map& At(Family family) const { return families_[static_cast<size_t>(family)]; }
  Map& At(Family family) { return families_[static_cast<size_t>(family)]; }
  // Applies a batch; notes in *undo, where there is one, what it replaces.
  void Apply(const WriteBatch& batch, Undo* undo);
  void Put(Family family, std::string_view key, std::string_view value, Undo* undo);
  Map::iterator Erase(Family family, Map::iterator entry, Undo* undo);
  void Revert(Undo undo);
  void KeepForSnapshots(Family family, std::string_view key, const std::string* value) const;
  bool IsDamaged(Family family, std::string_view key) const;
  bool IsDurable(Family family, std::string_view key) const;

  std::array<Map, kFamilies> families_;
  std::vector<Undo> unsynced_;  // one each batch, in the order of the writes
  std::optional<absl::Status> next_failure_;
  std::optional<WriteBatch> failed_batch_;  // writes are refused while it is there
  std::set<std::pair<Family, std::string>> damaged_;
  uint32_t needs_disk_one_in_ = 0;
  mutable Random needs_disk_{0};
  mutable std::vector<class MemorySnapshot*> snapshots_;  // those not yet released
  mutable int scans_ = 0;                                 // under way
  mutable Counters counters_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_MEMORY_ENGINE_H_
