// Engine: the ordered, durable key-value store underneath a node, with atomic batches.
//
// Two implementations keep one contract (storage/engine_contract_test.cc runs over both):
// RocksEngine (storage/rocks_engine.h) in production and MemoryEngine (storage/memory_engine.h) in
// simulation, where a crash loses exactly what was not synced.
//
// Thread rule: Write is called by one thread at a time; the other methods by any thread.
//
// Always holds: a batch is applied whole or not at all, batches in the order in which they were
// written; after a crash what survives is a prefix of the written batches that contains at least
// everything up to the last synced one. A reader sees a synced write only after its sync succeeded.
// After a Write failed, every later Write fails too (FAILED_PRECONDITION): what is on disk is then
// unknown, and only a restart, which verifies, may find out.

#ifndef GYRE_STORAGE_ENGINE_H_
#define GYRE_STORAGE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/write_batch.h"

namespace gyre {

// Whether a Write returns before or after the batch, and all before it, would survive a power cut.
enum class WalSync : uint8_t { kNo, kYes };

// Outcome of a read that must not wait for the disk.
enum class Peek : uint8_t { kFound, kAbsent, kNeedsDisk };

// A consistent view of all families at one moment. Released by its destructor; it must not outlive
// its engine. Any one thread at a time.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  // NOT_FOUND when the key is absent.
  virtual absl::StatusOr<std::string> Get(Family family, std::string_view key) const = 0;
  // Calls `visit` for each key in [begin, end) in byte order until it returns false. An empty `end`
  // means "to the last key".
  virtual absl::Status Scan(
      Family family, std::string_view begin, std::string_view end,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visit) const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual absl::Status Write(const WriteBatch& batch, WalSync sync) = 0;

  // Answers from memory only, in microseconds. kFound fills *value.
  virtual Peek TryGet(Family family, std::string_view key, std::string* value) const = 0;

  // May wait for the disk. NOT_FOUND when the key is absent; DATA_LOSS when a checksum fails.
  virtual absl::StatusOr<std::string> Get(Family family, std::string_view key) const = 0;

  virtual std::unique_ptr<Snapshot> TakeSnapshot() const = 0;

  // Bytes that this store takes on disk (its best estimate; 0 for a store in memory).
  virtual uint64_t SizeBytes() const = 0;

  // About how many keys a family holds, without looking at them. What was erased may be counted
  // until the store has tidied it away.
  virtual uint64_t EstimateKeys(Family family) const = 0;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_ENGINE_H_
