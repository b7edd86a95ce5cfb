// EventLoop: the one thread that owns a shard (and, on loop 0, Control). Others post closures to
// it; it runs all that are waiting, lets time pass where a wake-up is due, and then has the effects
// of the whole round performed at once: that is where messages are packed and commits are grouped.
//
//   EventLoop loop("shard-0", {.on_wake = ..., .perform = ...}, 100'000);
//   loop.Start();
//   loop.Post([&](Instant now) { shard.OnMessage(from, std::move(message), now); });
//
// Thread rule: Post and TryPost from any thread; Start and Stop from the one that owns the loop.
// The closures, `on_wake` and `perform` run on the loop's thread.
//
// Always holds: closures run in the order in which they were posted; after Stop none runs.

#ifndef GYRE_SERVER_EVENT_LOOP_H_
#define GYRE_SERVER_EVENT_LOOP_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
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
  EventLoop(std::string name, Owner owner, size_t max_waiting);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  void Start();
  // Runs the round that is under way to its end and joins the thread. What still waits is dropped.
  void Stop();

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
  void Gather(Time until);
  void Enqueue(Event event, std::unique_lock<std::mutex> lock);

  const std::string name_;
  const Owner owner_;
  const size_t max_waiting_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> waiting_;  // guarded by mutex_, and so are the rest
  bool sleeping_ = false;
  bool stopping_ = false;
  Figures figures_;

  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_EVENT_LOOP_H_
