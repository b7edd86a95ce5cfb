// RocksEngine: the Engine in production, on RocksDB (7.8).
//
// One RocksDB column family for each Family; one write-ahead log for all of them, so that a batch
// over several families is atomic and one fsync makes everything before it durable.
//
// What a damaged directory does, and why:
//  - A batch cut short at the end of a log is dropped at Open. A crash in the middle of a write
//    leaves that, and such a batch was never reported as synced.
//  - Damage anywhere else in a log fails Open with DATA_LOSS. So says recovery mode
//    kTolerateCorruptedTailRecords; RocksDB's default, kPointInTimeRecovery, would silently drop
//    every acknowledged batch behind the damage, and the node would mint their dots again. The
//    error names the file.
//  - A data block that fails its checksum answers DATA_LOSS to the reads that need it, no others.
//
// What a disk that fails does: the first write, sync, flush or compaction that fails ends all
// writing, and Options::on_failure is told. Nothing is tried again: after a sync that failed, what
// the kernel still shows of a file need not be on the disk, and a second sync may well succeed.
// Open verifies: it replays what the logs hold and writes it out anew, synced, before it returns.
//
// Thread rule: as Engine says. Flush and CompactAll: any thread; they wait for the disk.

#ifndef GYRE_STORAGE_ROCKS_ENGINE_H_
#define GYRE_STORAGE_ROCKS_ENGINE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/engine.h"
#include "storage/peek_odds.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Env;
}  // namespace rocksdb

namespace gyre {

class FlushLimiter;

class RocksEngine final : public Engine {
 public:
  enum class Compression : uint8_t { kNone, kLz4 };

  struct Options {
    // The directory, which belongs to this store alone.
    std::string path;

    // Whether a directory without a store becomes one. Without it, such a directory is NOT_FOUND.
    bool create_if_missing = true;

    // Memory for data, index and filter blocks that were read or just flushed, in bytes; a bound.
    // Filters and indexes take about 0.5 % of the bytes on disk at 1 KiB a record, 2 % at 100
    // bytes: a cache below that sends even reads of absent keys to the disk.
    size_t block_cache_bytes = size_t{64} << 20;

    // Size at which the records in memory are written out as a file, in bytes; the other families
    // use a quarter of it each. Upper bound of all of them together: 6 times this, as each may
    // have one that fills and two that are written out, and some 250 bytes for each replica id that
    // has minted in a partition since. Smaller means more files and more compaction.
    size_t memtable_bytes = size_t{32} << 20;

    // Size of the write-ahead log, in bytes, at which the families that keep it long are written
    // out. A restart after a kill replays at most about this much, at some 200 MB/s.
    size_t wal_bytes = size_t{96} << 20;

    // Of blocks in files; any mix of files stays readable. kLz4 is refused where RocksDB was built
    // without it.
    Compression compression = Compression::kNone;

    // The files underneath; the machine's when null. Tests give one that fails. Must outlive the
    // engine.
    rocksdb::Env* env = nullptr;

    // Told once, of the first failure: RESOURCE_EXHAUSTED where the disk is full, else UNAVAILABLE
    // or DATA_LOSS. On whichever thread met it, inside of RocksDB: it must only note or post. Null:
    // nobody; the next Write tells.
    std::function<void(const absl::Status&)> on_failure = nullptr;
  };

  // Opens the store, replaying the log. FAILED_PRECONDITION when another process holds the
  // directory (named in the message, with its process id) or when a newer Gyre wrote it; DATA_LOSS
  // when it is damaged; NOT_FOUND without a store and create_if_missing; UNAVAILABLE when a file
  // cannot be read or written.
  static absl::StatusOr<std::unique_ptr<RocksEngine>> Open(const Options& options);

  RocksEngine(const RocksEngine&) = delete;
  RocksEngine& operator=(const RocksEngine&) = delete;
  // Syncs nothing: what was not synced before is as durable as the operating system makes it.
  // REQUIRES: every snapshot has been released.
  ~RocksEngine() override;

  absl::Status Write(const WriteBatch& batch, WalSync sync) override;
  // kNeedsDisk also where the block is damaged: Get then tells. And where most of the latest keys
  // have needed it: most of the time it does not look, then.
  Peek TryGet(Family family, std::string_view key, std::string* value) const override;
  absl::StatusOr<std::string> Get(Family family, std::string_view key) const override;
  std::unique_ptr<Snapshot> TakeSnapshot() const override;
  // Lengths of the data files and logs in the directory.
  uint64_t SizeBytes() const override;
  // RocksDB's own: entries less tombstones, of files and of what is in memory.
  uint64_t EstimateKeys(Family family) const override;

  // Writes what is in memory out to files, so that the next Open has no log to replay. Part of a
  // clean stop.
  absl::Status Flush();
  // Merges all files of each family: the settled state, for tests and benchmarks.
  absl::Status CompactAll();

 private:
  class Failure;
  RocksEngine(std::string path, std::shared_ptr<Failure> failure,
              std::shared_ptr<FlushLimiter> limiter, std::unique_ptr<rocksdb::DB> db,
              std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families,
              rocksdb::ColumnFamilyHandle* unused_default);

  rocksdb::ColumnFamilyHandle* At(Family family) const {
    return families_[static_cast<size_t>(family)];
  }

  const std::string path_;
  const std::shared_ptr<Failure> failure_;
  const std::shared_ptr<FlushLimiter> limiter_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families_;
  rocksdb::ColumnFamilyHandle* const unused_default_;

  mutable PeekOdds peek_odds_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_ROCKS_ENGINE_H_
