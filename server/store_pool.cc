#include "server/store_pool.h"

#include <pthread.h>

#include <cstddef>
#include <iterator>
#include <utility>

#include "ring/check.h"

namespace gyre {

StorePool::StorePool(Engine* engine, int read_threads)
    : engine_(engine), read_threads_(static_cast<size_t>(read_threads)) {
  GYRE_CHECK(read_threads >= 1, "reads need a thread");
  threads_.emplace_back([this] { RunCommits(); });
  pthread_setname_np(threads_.back().native_handle(), "commit");
  const auto read = [this](ReadLane lane, const char* name) {
    threads_.emplace_back([this, lane] { RunReads(lane); });
    pthread_setname_np(threads_.back().native_handle(), name);
  };
  for (int i = 0; i < read_threads; ++i) read(ReadLane::kData, "read");
  read(ReadLane::kRepair, "read-repair");
  read(ReadLane::kAdmin, "read-admin");
}

StorePool::~StorePool() { Stop(); }

void StorePool::Commit(WriteBatch batch, WalSync sync, Committed done) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    commits_.push_back({std::move(batch), sync, std::move(done)});
    ++figures_.commits;
  }
  commits_changed_.notify_one();
}

void StorePool::Submit(ReadLane lane, Read read) {
  Reads& reads = reads_.at(static_cast<size_t>(lane));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    reads.waiting.push_back(std::move(read));
  }
  reads.changed.notify_one();
}

void StorePool::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  commits_changed_.notify_all();
  for (Reads& reads : reads_) reads.changed.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

StorePool::Figures StorePool::figures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Figures figures = figures_;
  for (size_t lane = 0; lane < kReadLanes; ++lane) {
    figures.waiting.at(lane) = reads_.at(lane).waiting.size();
  }
  return figures;
}

std::vector<StorePool::Waiting> StorePool::TakeGroup() {
  size_t taken = 1;
  size_t bytes = commits_.front().batch.size_bytes();
  while (taken < commits_.size() && bytes + commits_[taken].batch.size_bytes() <= kMaxGroupBytes) {
    bytes += commits_[taken++].batch.size_bytes();
  }
  const auto end = commits_.begin() + static_cast<std::ptrdiff_t>(taken);
  std::vector<Waiting> group(std::make_move_iterator(commits_.begin()),
                             std::make_move_iterator(end));
  commits_.erase(commits_.begin(), end);
  return group;
}

void StorePool::RunCommits() {
  for (;;) {
    std::vector<Waiting> group;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      commits_changed_.wait(lock, [this] { return stopping_ || !commits_.empty(); });
      if (commits_.empty()) return;
      group = TakeGroup();
    }
    WriteBatch batch = std::move(group.front().batch);
    WalSync sync = group.front().sync;
    for (size_t i = 1; i < group.size(); ++i) {
      batch.Append(group[i].batch);
      if (group[i].sync == WalSync::kYes) sync = WalSync::kYes;
    }
    const absl::Status status = engine_->Write(batch, sync);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ++figures_.groups;
      figures_.syncs += sync == WalSync::kYes ? 1 : 0;
      figures_.bytes += batch.size_bytes();
    }
    for (Waiting& waiting : group) waiting.done(status);
  }
}

void StorePool::RunReads(ReadLane lane) {
  Reads& reads = reads_.at(static_cast<size_t>(lane));
  for (;;) {
    Read read;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      reads.changed.wait(lock, [&] { return stopping_ || !reads.waiting.empty(); });
      if (reads.waiting.empty()) return;
      read = std::move(reads.waiting.front());
      reads.waiting.pop_front();
    }
    read(engine_);
  }
}

}  // namespace gyre
