// StorePool: the threads that wait for the disk, so that no loop does.
//
// One thread commits. It takes what waits, of all shards and Control, in the order in which it
// came, writes it as one batch with one sync where any of them wants one, and reports to each:
// group commit. While it waits for the disk the next group gathers. Other threads read: single
// items that are not in memory, and the scans that answer clock exchanges, each over a snapshot.
//
// Thread rule: every method from any thread; completions run on the pool's threads and must only
// post.
//
// Bounds: a group, which is one record of the write-ahead log, holds kMaxGroupBytes, or the one
// batch that is larger than that by itself. A shard has one commit and a bounded number of reads
// and scans under way.

#ifndef GYRE_SERVER_STORE_POOL_H_
#define GYRE_SERVER_STORE_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "storage/engine.h"

namespace gyre {

class StorePool {
 public:
  using Committed = absl::AnyInvocable<void(const absl::Status&)>;
  // Gets the engine; takes its snapshots itself.
  using Read = absl::AnyInvocable<void(Engine*)>;

  static constexpr size_t kMaxGroupBytes = size_t{16} << 20;

  // REQUIRES: engine outlives the pool; read_threads >= 1.
  StorePool(Engine* engine, int read_threads);
  StorePool(const StorePool&) = delete;
  StorePool& operator=(const StorePool&) = delete;
  ~StorePool();

  void Commit(WriteBatch batch, WalSync sync, Committed done);
  void Submit(Read read);
  size_t read_threads() const { return read_threads_; }

  // Finishes what waits, then ends the threads. Later work is dropped; its completion never runs.
  void Stop();

  struct Figures {
    uint64_t commits = 0;  // asked for
    uint64_t groups = 0;   // written
    uint64_t syncs = 0;
    uint64_t bytes = 0;
    uint64_t reads = 0;
  };
  Figures figures() const;

 private:
  struct Waiting {
    WriteBatch batch;
    WalSync sync;
    Committed done;
  };
  // The longest head of what waits, at least one, that fits into kMaxGroupBytes. REQUIRES: mutex_
  // is held, and something waits.
  std::vector<Waiting> TakeGroup();
  void RunCommits();
  void RunReads();

  Engine* const engine_;
  const size_t read_threads_;

  mutable std::mutex mutex_;
  std::condition_variable commits_changed_;
  std::condition_variable reads_changed_;
  std::deque<Waiting> commits_;  // guarded by mutex_, and so are the rest
  std::deque<Read> reads_;
  bool stopping_ = false;
  Figures figures_;

  std::vector<std::thread> threads_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_STORE_POOL_H_
