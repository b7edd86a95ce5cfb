#include "server/event_loop.h"

#include <grpc/support/time.h>
#include <pthread.h>

#include <utility>

#include "ring/check.h"
#include "server/clock.h"

namespace gyre {
namespace {

// gRPC takes in one socket's news at a time, and not all news completes something. So a queue is
// empty when it has been polled in vain more than once. More polls cost a system call each, fewer
// leave for the next round what this one could have taken.
constexpr int kPollsInVain = 2;

// What is told of on the queue may lead to more at once (a call that is refused, and asked again):
// after so many, what was posted has its turn.
constexpr int kPollsOfARound = 256;

thread_local const EventLoop* current_loop = nullptr;

gpr_timespec ToTimespec(Time time) {
  if (time == Time::Never()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  gpr_timespec spec = gpr_time_from_micros(time.micros(), GPR_TIMESPAN);
  spec.clock_type = GPR_CLOCK_MONOTONIC;
  return spec;
}

}  // namespace

EventLoop::EventLoop(std::string name, Owner owner, size_t max_waiting,
                     std::unique_ptr<grpc::CompletionQueue> queue)
    : name_(std::move(name)),
      owner_(std::move(owner)),
      max_waiting_(max_waiting),
      queue_(std::move(queue)) {}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Start() {
  GYRE_CHECK(!thread_.joinable(), "a loop starts once");
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void EventLoop::Stop() {
  std::vector<Event> dropped;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    dropped.swap(waiting_);
    Ring(std::move(lock));
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ringers_ == 0; });
  }
  queue_->Shutdown();
  void* tag;
  bool ok;
  while (queue_->Next(&tag, &ok)) Complete(tag, ok);
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
  Ring(std::move(lock));
}

void EventLoop::Ring(std::unique_lock<std::mutex> lock) {
  // The loop's own thread looks before it sleeps.
  if (!sleeping_ || ringing_ || current_loop == this) return;
  ringing_ = true;
  ++ringers_;
  lock.unlock();
  alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), rung_.tag());
  lock.lock();
  --ringers_;
  if (stopping_) changed_.notify_all();
}

void EventLoop::OnRung(bool) {
  std::lock_guard<std::mutex> lock(mutex_);
  ringing_ = false;
}

EventLoop::Figures EventLoop::figures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return figures_;
}

void EventLoop::Run() {
  current_loop = this;
  std::vector<Event> round;
  Time wake = owner_.perform(InstantNow());
  Time looked;  // when the round before began
  bool busy = false;
  for (;;) {
    const bool kept_waiting = Poll(wake, busy);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      round.swap(waiting_);
      ++figures_.rounds;
      figures_.events += round.size();
    }
    const Instant now = InstantNow();
    waited_ = kept_waiting && busy ? now.monotonic - looked : Duration();
    looked = now.monotonic;
    for (Event& event : round) event(now);
    round.clear();
    if (wake <= now.monotonic) owner_.on_wake(now);
    wake = owner_.perform(now);
    const Duration gather = owner_.gather();
    busy = gather > Duration();
    if (busy) Gather(now.monotonic + gather);
  }
}

bool EventLoop::Poll(Time until, bool busy) {
  bool told = busy && PollOnce(ToTimespec(Time()));
  bool at_once = told;
  if (!told) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return false;
      sleeping_ = waiting_.empty();
      at_once = !sleeping_;
      if (at_once) until = Time();
    }
    told = PollOnce(ToTimespec(until));
    {
      std::lock_guard<std::mutex> lock(mutex_);
      sleeping_ = false;
    }
  }
  if (!told) return at_once;
  for (int polls = 0, in_vain = 0; polls < kPollsOfARound && in_vain < kPollsInVain; ++polls) {
    if (!PollOnce(ToTimespec(Time()))) ++in_vain;
  }
  return at_once;
}

bool EventLoop::PollOnce(gpr_timespec deadline) {
  void* tag;
  bool ok;
  if (queue_->AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return false;
  Complete(tag, ok);
  return true;
}

void EventLoop::Gather(Time until) {
  if (until <= InstantNow().monotonic) return;
  std::unique_lock<std::mutex> lock(mutex_);
  // Posts do not wake it: sleeping_ is false.
  changed_.wait_until(lock, ToTimePoint(until), [this] { return stopping_; });
}

}  // namespace gyre
