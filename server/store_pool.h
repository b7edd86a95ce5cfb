// StorePool: the threads that wait for the disk, so that no loop does.
//
// One thread commits. It takes what waits, of all shards and Control, in the order in which it
// came, writes it as one batch with one sync where any of them wants one, and reports to each:
// group commit. While it waits for the disk the next group gathers. Other threads read, each for
// one lane: single items that are not in memory and what is kept of one for others, for what
// clients wait for; the scans that answer clock exchanges and find hints to hand over, each over a
// snapshot; and what operators ask. A lane that is
// full, or stands still, holds up none of the others.
//
// Thread rule: every method from any thread; completions run on the pool's threads and must only
// post.
//
// Bounds: a group, which is one record of the write-ahead log, holds kMaxGroupBytes, or the one
// batch that is larger than that by itself. A shard has one commit and a bounded number of reads
// and scans under way, and Admin a bounded number of calls: each refuses what comes on top.

#ifndef GYRE_SERVER_STORE_POOL_H_
#define GYRE_SERVER_STORE_POOL_H_

#include <array>
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

  enum class ReadLane : uint8_t {
    kData,    // what a client waits for; it has `read_threads`
    kRepair,  // clock exchanges, copies, the scrub, expiry, hand-overs; one thread
    kAdmin,   // status and scans of operators; one thread
  };
  static constexpr size_t kReadLanes = 3;

  // REQUIRES: engine outlives the pool; read_threads >= 1.
  StorePool(Engine* engine, int read_threads);
  StorePool(const StorePool&) = delete;
  StorePool& operator=(const StorePool&) = delete;
  ~StorePool();

  void Commit(WriteBatch batch, WalSync sync, Committed done);
  void Submit(ReadLane lane, Read read);
  // Of the data lane.
  size_t read_threads() const { return read_threads_; }

  // Finishes what waits, then ends the threads. Later work is dropped; its completion never runs.
  void Stop();

  struct Figures {
    uint64_t commits = 0;  // asked for
    uint64_t groups = 0;   // written
    uint64_t syncs = 0;
    uint64_t bytes = 0;
    std::array<size_t, kReadLanes> waiting{};  // of each lane, now
  };
  Figures figures() const;

 private:
  struct Reads {
    std::condition_variable changed;
    std::deque<Read> waiting;  // guarded by mutex_
  };
  struct Waiting {
    WriteBatch batch;
    WalSync sync;
    Committed done;
  };
  // The longest head of what waits, at least one, that fits into kMaxGroupBytes. REQUIRES: mutex_
  // is held, and something waits.
  std::vector<Waiting> TakeGroup();
  void RunCommits();
  void RunReads(ReadLane lane);

  Engine* const engine_;
  const size_t read_threads_;

  mutable std::mutex mutex_;
  std::condition_variable commits_changed_;
  std::array<Reads, kReadLanes> reads_;
  std::deque<Waiting> commits_;  // guarded by mutex_, and so are the rest
  bool stopping_ = false;
  Figures figures_;

  std::vector<std::thread> threads_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_STORE_POOL_H_
