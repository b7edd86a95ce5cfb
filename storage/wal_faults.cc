#include "storage/wal_faults.h"

#include <filesystem>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/match.h"
#include "ring/check.h"
#include "rocksdb/file_system.h"

namespace gyre {

class WalFileSystem : public rocksdb::FileSystemWrapper {
 public:
  WalFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

  const char* Name() const override { return "WalFileSystem"; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;

  void FailAppends() {
    const std::lock_guard lock(mutex_);
    fail_appends_ = true;
  }
  void FailSyncs() {
    const std::lock_guard lock(mutex_);
    fail_syncs_ = true;
  }

  void FillUp() {
    const std::lock_guard lock(mutex_);
    full_ = true;
  }

  rocksdb::IOStatus OnTableAppend() {
    const std::lock_guard lock(mutex_);
    return full_ ? rocksdb::IOStatus::NoSpace("filled up by the test") : rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus OnAppend(const std::string& path, size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (fail_appends_) return rocksdb::IOStatus::IOError("append failed by the test");
    logs_[path].written += bytes;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus OnSync(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (fail_syncs_) return rocksdb::IOStatus::IOError("sync failed by the test");
    logs_[path].synced = logs_[path].written;
    return rocksdb::IOStatus::OK();
  }

  void PowerCut() {
    const std::lock_guard lock(mutex_);
    for (const auto& [path, log] : logs_) {
      if (std::filesystem::exists(path)) std::filesystem::resize_file(path, log.synced);
    }
  }

 private:
  struct Log {
    uint64_t written = 0;
    uint64_t synced = 0;
  };

  std::mutex mutex_;
  std::map<std::string, Log> logs_;  // guarded by mutex_, as the two below
  bool fail_appends_ = false;
  bool fail_syncs_ = false;
  bool full_ = false;
};

namespace {

class WalFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WalFile(std::string path, WalFileSystem* files, std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), files_(files) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnAppend(path_, data.size()); !status.ok()) {
      return status;
    }
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& verification,
                           rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnAppend(path_, data.size()); !status.ok()) {
      return status;
    }
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                         rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnSync(path_); !status.ok()) return status;
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnSync(path_); !status.ok()) return status;
    return FSWritableFileOwnerWrapper::Fsync(options, debug);
  }

 private:
  const std::string path_;
  WalFileSystem* const files_;
};

class TableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  TableFile(WalFileSystem* files, std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnTableAppend(); !status.ok()) return status;
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& verification,
                           rocksdb::IODebugContext* debug) override {
    if (rocksdb::IOStatus status = files_->OnTableAppend(); !status.ok()) return status;
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }

 private:
  WalFileSystem* const files_;
};

}  // namespace

rocksdb::IOStatus WalFileSystem::NewWritableFile(const std::string& path,
                                                 const rocksdb::FileOptions& options,
                                                 std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                 rocksdb::IODebugContext* debug) {
  rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(path, options, result, debug);
  if (status.ok() && absl::EndsWith(path, ".log")) {
    *result = std::make_unique<WalFile>(path, this, std::move(*result));
  } else if (status.ok() && absl::EndsWith(path, ".sst")) {
    *result = std::make_unique<TableFile>(this, std::move(*result));
  }
  return status;
}

WalFaults::WalFaults()
    : files_(std::make_shared<WalFileSystem>()), env_(rocksdb::NewCompositeEnv(files_)) {}
WalFaults::~WalFaults() = default;

void WalFaults::FailAppends() { files_->FailAppends(); }
void WalFaults::FailSyncs() { files_->FailSyncs(); }
void WalFaults::FillUp() { files_->FillUp(); }
void WalFaults::PowerCut() { files_->PowerCut(); }

}  // namespace gyre
