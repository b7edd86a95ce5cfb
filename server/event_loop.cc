#include "server/event_loop.h"

#include <pthread.h>

#include <utility>

#include "ring/check.h"
#include "server/clock.h"

namespace gyre {

EventLoop::EventLoop(std::string name, Owner owner, size_t max_waiting)
    : name_(std::move(name)), owner_(std::move(owner)), max_waiting_(max_waiting) {}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Start() {
  GYRE_CHECK(!thread_.joinable(), "a loop starts once");
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void EventLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::vector<Event> dropped;
  std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(waiting_);
}

void EventLoop::Post(Event event) {
  Enqueue(std::move(event), std::unique_lock<std::mutex>(mutex_));
}

bool EventLoop::TryPost(Event event) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (waiting_.size() >= max_waiting_) {
    ++figures_.refused;
    return false;
  }
  Enqueue(std::move(event), std::move(lock));
  return true;
}

void EventLoop::Enqueue(Event event, std::unique_lock<std::mutex> lock) {
  if (stopping_) {
    lock.unlock();  // the event's destructor may post
    return;
  }
  waiting_.push_back(std::move(event));
  const bool wake = sleeping_;
  sleeping_ = false;  // one notification is enough
  lock.unlock();
  if (wake) changed_.notify_one();
}

EventLoop::Figures EventLoop::figures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return figures_;
}

void EventLoop::Run() {
  std::vector<Event> round;
  Time wake = owner_.perform(InstantNow());
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const auto due = [this] { return stopping_ || !waiting_.empty(); };
      sleeping_ = !due();
      if (wake == Time::Never()) {
        changed_.wait(lock, due);
      } else {
        changed_.wait_until(lock, ToTimePoint(wake), due);
      }
      sleeping_ = false;
      if (stopping_) return;
      round.swap(waiting_);
      ++figures_.rounds;
      figures_.events += round.size();
    }
    const Instant now = InstantNow();
    for (Event& event : round) event(now);
    round.clear();
    if (wake <= now.monotonic) owner_.on_wake(now);
    wake = owner_.perform(now);
    Gather(now.monotonic + owner_.gather());
  }
}

void EventLoop::Gather(Time until) {
  if (until <= InstantNow().monotonic) return;
  std::unique_lock<std::mutex> lock(mutex_);
  // Posts do not wake it: sleeping_ is false.
  changed_.wait_until(lock, ToTimePoint(until), [this] { return stopping_; });
}

}  // namespace gyre
