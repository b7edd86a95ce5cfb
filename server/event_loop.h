// EventLoop: the one thread that owns a shard (and, on loop 0, Control), and that polls the gRPC
// completion queue of the streams and calls it serves. Others post closures to it, and so do those
// streams; it runs all that are waiting, lets time pass where a wake-up is due, and then has the
// effects of the whole round performed at once: that is where messages are packed and commits are
// grouped. So what a frame brings is read, stepped and answered without a switch of threads.
//
//   EventLoop loop("shard-0", {.on_wake = ..., .perform = ...}, 100'000);
//   loop.Start();
//   loop.Post([&](Instant now) { shard.OnMessage(from, std::move(message), now); });
//
// Thread rule: Post and TryPost from any thread; Start and Stop from the one that owns the loop.
// The closures, `on_wake`, `perform` and what waits for operations on the queue (Completion) run on
// the loop's thread, so they must not wait.
//
// Always holds: closures run in the order in which they were posted; after Stop none runs.

#ifndef GYRE_SERVER_EVENT_LOOP_H_
#define GYRE_SERVER_EVENT_LOOP_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "api/proto/completion.h"
#include "ring/ids.h"

namespace gyre {

class EventLoop {
 public:
  using Event = absl::AnyInvocable<void(Instant)>;

  struct Owner {
    // Time has reached what `perform` asked to be woken at.
    std::function<void(Instant)> on_wake;
    // After every round: performs what the round's events want done; answers when to wake up.
    std::function<Time(Instant)> perform;
    // After every round: for how long from its beginning the next one should wait, so that more
    // events gather for it. Zero while there is little to do: whoever is alone must not wait.
    std::function<Duration()> gather;
  };

  // `max_waiting`: beyond it TryPost refuses. Post does not: it is for those who post a bounded
  // number by themselves (completions, a few frames a link).
  EventLoop(
      std::string name, Owner owner, size_t max_waiting,
      std::unique_ptr<grpc::CompletionQueue> queue = std::make_unique<grpc::CompletionQueue>());
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  void Start();
  // Runs the round that is under way to its end, joins the thread and shuts the queue down. What
  // still waits is dropped. REQUIRES: nothing is started on the queue any more, and what is under
  // way on it is sure to end; that may be told of on the calling thread.
  void Stop();

  // For how long what this round took in may have waited: since the round before looked, where the
  // loop has been busy since, and no time where it was idle. What its owner let gather counts too.
  // For the loop's thread, within a round.
  Duration waited() const { return waited_; }

  // From the loop's making to its Stop.
  grpc::CompletionQueue* queue() { return queue_.get(); }

  void Post(Event event);
  [[nodiscard]] bool TryPost(Event event);

  // Rounds and events since Start, for metrics.
  struct Figures {
    uint64_t rounds = 0;
    uint64_t events = 0;
    uint64_t refused = 0;
  };
  Figures figures() const;

 private:
  void Run();
  // Tells of what is ready on the queue; where nothing is and nothing waits either, of the first to
  // come until `until`. Answers whether there was something to do when it began, of which it makes
  // sure only after a round that was `busy`.
  bool Poll(Time until, bool busy);
  bool PollOnce(gpr_timespec deadline);
  void Gather(Time until);
  void Enqueue(Event event, std::unique_lock<std::mutex> lock);
  // Wakes the thread where it sleeps on the queue. Takes `lock`, of mutex_.
  void Ring(std::unique_lock<std::mutex> lock);
  void OnRung(bool);

  const std::string name_;
  const Owner owner_;
  const size_t max_waiting_;

  const std::unique_ptr<grpc::CompletionQueue> queue_;
  // Rings on the queue, for a thread that sleeps there.
  grpc::Alarm alarm_;
  CompletionOf<EventLoop, &EventLoop::OnRung> rung_{this};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> waiting_;  // guarded by mutex_, and so are the rest but the last
  bool sleeping_ = false;
  bool ringing_ = false;  // the alarm is set, or about to be, and has not rung
  int ringers_ = 0;       // threads that are about to set it
  bool stopping_ = false;
  Figures figures_;

  Duration waited_;  // of the loop's thread
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_EVENT_LOOP_H_
