// CallCount: the calls of one service that are open or waited for, so that whoever ends the service
// can wait for the last of them. Once its server is shut down, those that are waited for never
// come.
//
// Thread rule: any thread.

#ifndef GYRE_SERVER_CALL_COUNT_H_
#define GYRE_SERVER_CALL_COUNT_H_

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace gyre {

class CallCount {
 public:
  void Add() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++open_;
  }
  // The last that a call does.
  void Remove() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (--open_ == 0) none_.notify_all();
  }
  void AwaitNone() {
    std::unique_lock<std::mutex> lock(mutex_);
    none_.wait(lock, [this] { return open_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t open_ = 0;  // guarded by mutex_
};

}  // namespace gyre

#endif  // GYRE_SERVER_CALL_COUNT_H_
