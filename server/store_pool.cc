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
  for (int i = 0; i < read_threads; ++i) {
    threads_.emplace_back([this] { RunReads(); });
    pthread_setname_np(threads_.back().native_handle(), "read");
  }
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

void StorePool::Submit(Read read) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    reads_.push_back(std::move(read));
    ++figures_.reads;
  }
  reads_changed_.notify_one();
}

void StorePool::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  commits_changed_.notify_all();
  reads_changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

StorePool::Figures StorePool::figures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return figures_;
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

void StorePool::RunReads() {
  for (;;) {
    Read read;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      reads_changed_.wait(lock, [this] { return stopping_ || !reads_.empty(); });
      if (reads_.empty()) return;
      read = std::move(reads_.front());
      reads_.pop_front();
    }
    read(engine_);
  }
}

}  // namespace gyre
