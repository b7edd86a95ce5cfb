// WalFaults: files for RocksDB whose write-ahead logs fail or lose power on demand, and whose data
// files find the disk full. For tests.
//
//   WalFaults faults;
//   options.env = faults.env();
//   … write …
//   engine.reset();
//   faults.PowerCut();       // the logs now end where they were last synced
//
// Thread rule: any thread.

#ifndef GYRE_STORAGE_WAL_FAULTS_H_
#define GYRE_STORAGE_WAL_FAULTS_H_

#include <memory>
#include <string>

#include "rocksdb/env.h"

namespace gyre {

class WalFileSystem;

class WalFaults {
 public:
  WalFaults();
  ~WalFaults();

  rocksdb::Env* env() { return env_.get(); }

  // From now on every append to a log fails, or every sync of one.
  void FailAppends();
  void FailSyncs();
  // From now on there is no room for what goes into data files.
  void FillUp();

  // Cuts each log to what has been synced of it. REQUIRES: the engine has been closed.
  void PowerCut();

 private:
  const std::shared_ptr<WalFileSystem> files_;
  const std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_WAL_FAULTS_H_
