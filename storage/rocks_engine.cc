#include "storage/rocks_engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ring/check.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"
#include "storage/flush_limiter.h"
#include "storage/keys.h"

namespace gyre {
namespace {

// On disk; in the order of Family.
constexpr const char* kFamilyNames[kFamilies] = {"records", "dot_log", "hints", "meta", "expiry"};

// Files kept open. Far below the usual 1,024 descriptors of a process, which sockets need too; with
// files of 64 MiB it covers 32 GiB, beyond which a read may have to open one first.
constexpr int kMaxOpenFiles = 512;

constexpr double kBloomBitsPerKey = 10;          // 1 % of reads of absent keys look in vain
constexpr double kMemtableBloomShare = 0.02;     // of the memtable, for the same in memory
constexpr size_t kBlockBytes = 8 << 10;          // larger ones need less index, read more
constexpr size_t kArenaBlockBytes = 256 << 10;   // a memtable in use takes at least one
constexpr size_t kBytesPerSync = 1 << 20;        // of data files, so that no fsync has a big bill
constexpr size_t kWriteBufferBytes = 128 << 10;  // of a data file: some 2 ms of work
constexpr size_t kRocksLogBytes = 1 << 20;       // RocksDB's own text log
constexpr size_t kBatchBytesPerChange = 16;      // upper estimate of a change's framing

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status Translate(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat(std::string(doing), ": ", status.ToString());
  if (status.IsNotFound()) return absl::NotFoundError(text);
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsIOError()) return absl::UnavailableError(text);
  return absl::InternalError(text);
}

// The process that holds the lock of a directory, for a message; 0 when it cannot be told. Must not
// be asked while this process holds the lock itself: closing any descriptor of the file drops it.
pid_t LockHolder(const std::string& path) {
  const int fd = open((path + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool known = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  close(fd);
  return known ? lock.l_pid : 0;
}

// RocksDB says in a text log of its own, and nowhere else, in which file of the write-ahead log it
// met damage. For a message; "" where it said nothing.
std::string DamagedLog(const std::string& path) {
  constexpr std::string_view kWords = ".log: dropping ";
  std::ifstream lines(path + "/LOG");
  std::string line;
  std::string found;
  while (std::getline(lines, line)) {
    const size_t words = line.find(kWords);
    if (words == std::string::npos) continue;
    const size_t begin = line.rfind('/', words);
    if (begin == std::string::npos) continue;
    found = absl::StrCat(" in ", path, line.substr(begin, words - begin), ".log");
  }
  return found;
}

absl::Status ExplainOpen(const rocksdb::Status& status, const std::string& path) {
  // Of a data file that is gone, RocksDB names what it would have been called by LevelDB.
  const std::string text = absl::StrReplaceAll(status.ToString(), {{".ldb", ".sst"}});
  if (status.IsIOError() && absl::StrContains(text, "lock hold by current process")) {
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", path, " is already open in this process"));
  }
  if (status.IsIOError() && absl::StrContains(text, "While lock file")) {
    const pid_t holder = LockHolder(path);
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", path, " is in use by another process",
                     holder == 0 ? "" : absl::StrCat(" (process id ", holder, ")"),
                     "; stop that one first, or choose another directory"));
  }
  if (status.IsInvalidArgument() && absl::StrContains(text, "olumn families not opened")) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", path,
                                                      " was written by a newer version of Gyre (",
                                                      text, "); start that version"));
  }
  if (status.IsInvalidArgument() && absl::StrContains(text, "does not exist")) {
    return absl::NotFoundError(absl::StrCat("data directory ", path, " holds no store"));
  }
  if (status.IsCorruption()) {
    return absl::DataLossError(
        absl::StrCat("data directory ", path, " is damaged: ", text, DamagedLog(path)));
  }
  return Translate(status, absl::StrCat("opening data directory ", path));
}

// The dots of one replica id come to a partition's log in their order. With a place remembered for
// each such row, an entry finds its own beside the last one's, without a search.
//
// RocksDB 7.8 keeps these places for a memtable's keys and its range tombstones together, and would
// look for a key among the tombstones (facebook/rocksdb issue 5118): so only keys of the length of
// a log entry's have a row, and no range begins with one (EraseRange below). Earlier builds wrote
// such ranges, so that none has a row while Open replays the log.
//
// Begin is called before the first write; what else is called comes from the writing thread.
class LogRow final : public rocksdb::SliceTransform {
 public:
  static bool Has(std::string_view key) { return key.size() == kLogKeyBytes; }
  void Begin() { begun_ = true; }

  const char* Name() const override { return "gyre.LogRow"; }
  bool InDomain(const rocksdb::Slice& key) const override { return begun_ && Has(ToView(key)); }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), kLogRowBytes};
  }

 private:
  bool begun_ = false;
};

// Compactions have the cores only when nobody else wants them. Flushes do not give way so: under
// gets alone they would starve, and the puts among them wait for ever. They have a pace.
absl::Status GiveWay(rocksdb::Env* env) {
  const rocksdb::Status status =
      env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW, rocksdb::CpuPriority::kLow);
  return status.ok() ? absl::OkStatus() : Translate(status, "threads' priority");
}

rocksdb::DBOptions DatabaseOptions(const RocksEngine::Options& options) {
  rocksdb::DBOptions db;
  if (options.env != nullptr) db.env = options.env;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.track_and_verify_wals_in_manifest = true;  // a log that is missing or cut is noticed
  db.max_total_wal_size = options.wal_bytes;
  db.max_bgerror_resume_count = 0;  // after a failure only a restart, which verifies, goes on
  db.max_background_jobs = 2;
  db.max_open_files = kMaxOpenFiles;
  db.bytes_per_sync = kBytesPerSync;
  db.writable_file_max_buffer_size = kWriteBufferBytes;
  db.avoid_unnecessary_blocking_io = true;  // a released snapshot deletes no file on a loop thread
  db.skip_stats_update_on_db_open = true;   // a quick start
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  db.max_log_file_size = kRocksLogBytes;
  db.keep_log_file_num = 2;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(Family family, const RocksEngine::Options& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache,
                                           const std::shared_ptr<LogRow>& log_row) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = kBlockBytes;
  table.cache_index_and_filter_blocks = true;  // so that the cache bounds them too
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // What was just written is what is read next, by repair as well: it stays in memory.
  table.prepopulate_block_cache =
      rocksdb::BlockBasedTableOptions::PrepopulateBlockCache::kFlushOnly;

  rocksdb::ColumnFamilyOptions columns;
  columns.compression = options.compression == RocksEngine::Compression::kLz4
                            ? rocksdb::kLZ4Compression
                            : rocksdb::kNoCompression;
  columns.bottommost_compression = columns.compression;
  columns.max_write_buffer_number = 3;  // one fills, two may wait for their turn (GiveWay)
  columns.level_compaction_dynamic_level_bytes = true;  // little space beyond what is live
  columns.write_buffer_size = options.memtable_bytes / 4;
  if (family == Family::kRecords) {
    // Every put first reads its record, which for a new key is absent. The other families are read
    // in ranges, or by keys that are there.
    columns.write_buffer_size = options.memtable_bytes;
    columns.memtable_whole_key_filtering = true;
    columns.memtable_prefix_bloom_size_ratio = kMemtableBloomShare;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  }
  if (family == Family::kDotLog) {
    columns.memtable_insert_with_hint_prefix_extractor = log_row;
  }
  // RocksDB's own share of an eighth; more, and a small memtable is full when it is made.
  columns.arena_block_size = std::min(kArenaBlockBytes, columns.write_buffer_size / 8);
  columns.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return columns;
}

absl::Status CheckCompression(RocksEngine::Compression compression) {
  if (compression == RocksEngine::Compression::kNone) return absl::OkStatus();
  const std::vector<rocksdb::CompressionType> known = rocksdb::GetSupportedCompressions();
  if (std::find(known.begin(), known.end(), rocksdb::kLZ4Compression) != known.end()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("this RocksDB was built without LZ4: choose no compression");
}

class RocksSnapshot final : public Snapshot {
 public:
  RocksSnapshot(rocksdb::DB* db,
                const std::array<rocksdb::ColumnFamilyHandle*, kFamilies>& families)
      : db_(db), families_(families), snapshot_(db->GetSnapshot()) {}
  ~RocksSnapshot() override { db_->ReleaseSnapshot(snapshot_); }
  RocksSnapshot(const RocksSnapshot&) = delete;
  RocksSnapshot& operator=(const RocksSnapshot&) = delete;

  absl::StatusOr<std::string> Get(Family family, std::string_view key) const override {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot_;
    std::string value;
    const rocksdb::Status status =
        db_->Get(read, families_[static_cast<size_t>(family)], ToSlice(key), &value);
    if (!status.ok()) return Translate(status, "read in a snapshot");
    return value;
  }

  absl::Status Scan(
      Family family, std::string_view begin, std::string_view end,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visit) const override {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot_;
    read.fill_cache = false;  // one pass over a partition must not push out what clients read
    const rocksdb::Slice upper = ToSlice(end);
    if (!end.empty()) read.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> it(
        db_->NewIterator(read, families_[static_cast<size_t>(family)]));
    for (it->Seek(ToSlice(begin)); it->Valid(); it->Next()) {
      if (!visit(ToView(it->key()), ToView(it->value()))) return absl::OkStatus();
    }
    return Translate(it->status(), "scan");
  }

 private:
  rocksdb::DB* const db_;
  const std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families_;
  const rocksdb::Snapshot* const snapshot_;
};

// Erases [begin, end), which must begin with no key that has a row.
rocksdb::Status EraseRange(rocksdb::ColumnFamilyHandle* family, std::string_view begin,
                           std::string_view end, rocksdb::WriteBatch* out) {
  // RocksDB gives no meaning to a range that ends before it begins.
  if (begin >= end) return rocksdb::Status::OK();
  if (!LogRow::Has(begin)) return out->DeleteRange(family, ToSlice(begin), ToSlice(end));
  const rocksdb::Status status = out->Delete(family, ToSlice(begin));
  const std::string next = std::string(begin) + '\0';
  return status.ok() && next < end ? out->DeleteRange(family, next, ToSlice(end)) : status;
}

rocksdb::WriteBatch ToRocks(const WriteBatch& batch,
                            const std::array<rocksdb::ColumnFamilyHandle*, kFamilies>& families) {
  rocksdb::WriteBatch out(batch.size_bytes() + kBatchBytesPerChange * batch.changes().size());
  for (const WriteBatch::Change& change : batch.changes()) {
    rocksdb::ColumnFamilyHandle* const family = families[static_cast<size_t>(change.family)];
    rocksdb::Status status;
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        status = out.Put(family, ToSlice(change.key), ToSlice(change.value));
        break;
      case WriteBatch::Kind::kErase:
        status = out.Delete(family, ToSlice(change.key));
        break;
      case WriteBatch::Kind::kEraseRange:
        status = EraseRange(family, change.key, change.value, &out);
        break;
    }
    GYRE_CHECK(status.ok(), "a batch in memory takes every change");
  }
  return out;
}

}  // namespace

// The first failure of whatever RocksDB writes. Any thread.
class RocksEngine::Failure final : public rocksdb::EventListener {
 public:
  explicit Failure(std::function<void(const absl::Status&)> tell) : tell_(std::move(tell)) {}

  void Note(absl::Status status) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!status_.ok()) return;
      status_ = status;
    }
    happened_.store(true, std::memory_order_release);
    if (tell_ != nullptr) tell_(status);
  }
  bool happened() const { return happened_.load(std::memory_order_acquire); }
  absl::Status status() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return status_;
  }

  // RocksDB goes on where a compaction finds no room, until writes wait for it for ever: a failure
  // made fatal stops it, and lets go of who waits.
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    if (status->ok() || status->IsShutdownInProgress() || status->IsColumnFamilyDropped()) return;
    *status = rocksdb::Status(*status, rocksdb::Status::Severity::kFatalError);
    Note(Translate(*status, NameOf(reason)));
  }
  // Nor does it go on by itself once there is room again: what failed has to be verified first.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

 private:
  static std::string_view NameOf(rocksdb::BackgroundErrorReason reason) {
    switch (reason) {
      case rocksdb::BackgroundErrorReason::kCompaction:
        return "compaction";
      case rocksdb::BackgroundErrorReason::kFlush:
      case rocksdb::BackgroundErrorReason::kFlushNoWAL:
        return "flush";
      case rocksdb::BackgroundErrorReason::kManifestWrite:
      case rocksdb::BackgroundErrorReason::kManifestWriteNoWAL:
        return "write of the manifest";
      default:
        return "write";
    }
  }

  const std::function<void(const absl::Status&)> tell_;
  std::atomic<bool> happened_ = false;
  mutable std::mutex mutex_;
  absl::Status status_;  // guarded by mutex_
};

absl::StatusOr<std::unique_ptr<RocksEngine>> RocksEngine::Open(const Options& options) {
  if (absl::Status status = CheckCompression(options.compression); !status.ok()) return status;
  if (options.create_if_missing) {
    std::error_code error;
    std::filesystem::create_directories(options.path, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("data directory ", options.path, " cannot be made: ", error.message()));
    }
  }

  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  const auto log_row = std::make_shared<LogRow>();
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(kFamilies + 1);
  for (int i = 0; i < kFamilies; ++i) {
    descriptors.emplace_back(kFamilyNames[i],
                             FamilyOptions(static_cast<Family>(i), options, cache, log_row));
  }
  // RocksDB insists on this one. It stays empty.
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName,
                           FamilyOptions(Family::kMeta, options, cache, log_row));

  rocksdb::DBOptions database = DatabaseOptions(options);
  if (absl::Status status = GiveWay(database.env); !status.ok()) return status;
  const auto limiter = std::make_shared<FlushLimiter>(database.env);
  database.rate_limiter = limiter;
  database.listeners.push_back(limiter);
  const auto failure = std::make_shared<Failure>(options.on_failure);
  database.listeners.push_back(failure);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  limiter->Hurry();  // what the log replays is written out at once
  const rocksdb::Status status =
      rocksdb::DB::Open(database, options.path, descriptors, &handles, &db);
  limiter->Calm();
  if (!status.ok()) return ExplainOpen(status, options.path);
  log_row->Begin();

  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families;
  std::copy_n(handles.begin(), kFamilies, families.begin());
  return std::unique_ptr<RocksEngine>(new RocksEngine(
      options.path, failure, limiter, std::unique_ptr<rocksdb::DB>(db), families, handles.back()));
}

RocksEngine::RocksEngine(std::string path, std::shared_ptr<Failure> failure,
                         std::shared_ptr<FlushLimiter> limiter, std::unique_ptr<rocksdb::DB> db,
                         std::array<rocksdb::ColumnFamilyHandle*, kFamilies> families,
                         rocksdb::ColumnFamilyHandle* unused_default)
    : path_(std::move(path)),
      failure_(std::move(failure)),
      limiter_(std::move(limiter)),
      db_(std::move(db)),
      families_(families),
      unused_default_(unused_default) {}

RocksEngine::~RocksEngine() {
  limiter_->Hurry();  // a flush that is under way is waited for
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    const rocksdb::Status status = db_->DestroyColumnFamilyHandle(family);
    GYRE_CHECK(status.ok(), "the handle is ours");
  }
  const rocksdb::Status status = db_->DestroyColumnFamilyHandle(unused_default_);
  GYRE_CHECK(status.ok(), "the handle is ours");
}

absl::Status RocksEngine::Write(const WriteBatch& batch, WalSync sync) {
  if (failure_->happened()) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", path_,
                                                      " takes no writes until a restart, since one "
                                                      "failed: ",
                                                      std::string(failure_->status().message())));
  }
  rocksdb::Status status;
  if (batch.empty()) {
    if (sync == WalSync::kYes) status = db_->SyncWAL();
  } else {
    rocksdb::WriteBatch changes = ToRocks(batch, families_);
    rocksdb::WriteOptions write;
    write.sync = sync == WalSync::kYes;
    limiter_->OnWritten(changes.GetDataSize());
    status = db_->Write(write, &changes);
  }
  absl::Status written = Translate(status, "write");
  if (!written.ok()) failure_->Note(written);
  return written;
}

Peek RocksEngine::TryGet(Family family, std::string_view key, std::string* value) const {
  if (!peek_odds_.Worth()) return Peek::kNeedsDisk;
  rocksdb::ReadOptions read;
  read.read_tier = rocksdb::kBlockCacheTier;
  const rocksdb::Status status = db_->Get(read, At(family), ToSlice(key), value);
  peek_odds_.Note(status.ok() || status.IsNotFound());
  if (status.ok()) return Peek::kFound;
  return status.IsNotFound() ? Peek::kAbsent : Peek::kNeedsDisk;
}

absl::StatusOr<std::string> RocksEngine::Get(Family family, std::string_view key) const {
  std::string value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), At(family), ToSlice(key), &value);
  if (!status.ok()) return Translate(status, absl::StrCat("read in ", path_));
  return value;
}

std::unique_ptr<Snapshot> RocksEngine::TakeSnapshot() const {
  return std::make_unique<RocksSnapshot>(db_.get(), families_);
}

uint64_t RocksEngine::SizeBytes() const {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path_, error), end; !error && it != end;
       it.increment(error)) {
    const std::filesystem::path extension = it->path().extension();
    if (extension != ".sst" && extension != ".log") continue;
    std::error_code gone;  // compaction deletes files while we look
    const uint64_t size = it->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

uint64_t RocksEngine::EstimateKeys(Family family) const {
  uint64_t keys = 0;
  return db_->GetIntProperty(At(family), rocksdb::DB::Properties::kEstimateNumKeys, &keys) ? keys
                                                                                           : 0;
}

absl::Status RocksEngine::Flush() {
  limiter_->Hurry();
  const rocksdb::Status status =
      db_->Flush(rocksdb::FlushOptions(), {families_.begin(), families_.end()});
  limiter_->Calm();
  return Translate(status, "flush");
}

absl::Status RocksEngine::CompactAll() {
  rocksdb::CompactRangeOptions compact;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    const rocksdb::Status status = db_->CompactRange(compact, family, nullptr, nullptr);
    if (!status.ok()) return Translate(status, "compaction");
  }
  return absl::OkStatus();
}

}  // namespace gyre
