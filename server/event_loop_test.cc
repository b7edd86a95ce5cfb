#include "server/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <utility>
#include <vector>

namespace gyre {
namespace {

Duration NoGathering() { return Duration(); }

EventLoop::Owner Idle() {
  return {[](Instant) {}, [](Instant) { return Time::Never(); }, NoGathering};
}

TEST(EventLoop, RunsWhatIsPostedInOrder) {
  EventLoop loop("test", Idle(), 10);
  std::vector<int> ran;
  std::promise<void> done;
  for (int i = 0; i < 100; ++i) loop.Post([&ran, i](Instant) { ran.push_back(i); });
  loop.Post([&](Instant) { done.set_value(); });
  loop.Start();
  done.get_future().wait();
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[i], i);
}

TEST(EventLoop, PerformsOnceForAllThatWaited) {
  int performed = 0;
  std::promise<int> seen;
  EventLoop loop("test",
                 {[](Instant) {},
                  [&](Instant) {
                    if (++performed == 2) seen.set_value(performed);
                    return Time::Never();
                  },
                  NoGathering},
                 10);
  int events = 0;
  for (int i = 0; i < 50; ++i) loop.Post([&](Instant) { ++events; });
  loop.Start();
  EXPECT_EQ(seen.get_future().get(), 2);  // once at the start, once for the fifty
  loop.Stop();
  EXPECT_EQ(events, 50);
  EXPECT_EQ(performed, 2);
}

TEST(EventLoop, WakesUpWhenAskedTo) {
  std::promise<void> woken;
  bool asked = false;
  bool woke = false;
  EventLoop loop("test",
                 {[&](Instant) {
                    if (!std::exchange(woke, true)) woken.set_value();
                  },
                  [&](Instant now) {
                    if (std::exchange(asked, true)) return Time::Never();
                    return now.monotonic + Duration::Millis(1);
                  },
                  NoGathering},
                 10);
  loop.Start();
  woken.get_future().wait();
}

TEST(EventLoop, GathersWhatComesWhileItsOwnerIsBusy) {
  int performed = 0;
  std::promise<void> third_round;
  EventLoop loop("test",
                 {[](Instant) {},
                  [&](Instant) {
                    if (++performed == 3) third_round.set_value();
                    return Time::Never();
                  },
                  [&] { return performed == 2 ? Duration::Millis(50) : Duration(); }},
                 10);
  int gathered = 0;
  loop.Post([&](Instant) {
    for (int i = 0; i < 20; ++i) loop.Post([&](Instant) { ++gathered; });
  });
  loop.Start();
  third_round.get_future().wait();
  loop.Stop();
  EXPECT_EQ(gathered, 20);
  EXPECT_EQ(performed, 3);
}

TEST(EventLoop, TellsForHowLongWhatCameToABusyLoopMayHaveWaited) {
  std::vector<Duration> waited;
  std::promise<void> third_round;
  EventLoop* mine = nullptr;
  EventLoop loop("test",
                 {[](Instant) {},
                  [&](Instant) {
                    waited.push_back(mine->waited());
                    if (waited.size() == 3) third_round.set_value();
                    return Time::Never();
                  },
                  [&] { return waited.size() == 2 ? Duration::Millis(30) : Duration(); }},
                 10);
  mine = &loop;
  loop.Post([&](Instant) { loop.Post([](Instant) {}); });
  loop.Start();
  third_round.get_future().wait();
  loop.Stop();
  EXPECT_EQ(waited[1], Duration()) << "of the first round, to an idle loop";
  EXPECT_GE(waited[2], Duration::Millis(30)) << "since the round before began";
}

TEST(EventLoop, RefusesClientsBeyondItsBoundButNotCompletions) {
  EventLoop loop("test", Idle(), 2);
  int ran = 0;
  std::promise<void> done;
  EXPECT_TRUE(loop.TryPost([&](Instant) { ++ran; }));
  EXPECT_TRUE(loop.TryPost([&](Instant) { ++ran; }));
  EXPECT_FALSE(loop.TryPost([&](Instant) { ++ran; }));
  loop.Post([&](Instant) { done.set_value(); });
  loop.Start();
  done.get_future().wait();
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(loop.figures().refused, 1u);
}

// An operation on the loop's queue, as a stream has it.
class Ring final : public Completion {
 public:
  void SetOn(grpc::CompletionQueue* queue) {
    alarm_.Set(queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), static_cast<Completion*>(this));
  }
  void OnComplete(bool ok) override { rang_.set_value({ok, std::this_thread::get_id()}); }
  std::pair<bool, std::thread::id> Await() { return rang_.get_future().get(); }

 private:
  std::promise<std::pair<bool, std::thread::id>> rang_;
  grpc::Alarm alarm_;
};

TEST(EventLoop, TellsOfOperationsOnItsThreadAndThenRunsWhatTheyPost) {
  EventLoop loop("test", Idle(), 10);
  loop.Start();
  std::promise<std::thread::id> posted;
  loop.Post([&](Instant) { posted.set_value(std::this_thread::get_id()); });
  Ring ring;
  loop.Post([&](Instant) { ring.SetOn(loop.queue()); });
  const std::pair<bool, std::thread::id> told = {true, posted.get_future().get()};
  EXPECT_EQ(ring.Await(), told);
}

TEST(EventLoop, WakesForEachOfManyThatPostWhileItSleeps) {
  constexpr int kPosts = 500;
  std::atomic<int> ran{0};
  EventLoop loop("test", Idle(), 10);
  loop.Start();
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int post = 0; post < kPosts; ++post) {
        std::promise<void> done;
        loop.Post([&](Instant) {
          ++ran;
          done.set_value();
        });
        done.get_future().wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, 2 * kPosts);
}

// An operation that starts the next one as soon as it is told of, as callers do that are refused.
class Chain final : public Completion {
 public:
  explicit Chain(grpc::CompletionQueue* queue) : queue_(queue) {}
  void Start() {
    alarm_.Set(queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), static_cast<Completion*>(this));
  }
  void OnComplete(bool) override {
    if (going) Start();
  }

  std::atomic<bool> going{true};

 private:
  grpc::CompletionQueue* const queue_;
  grpc::Alarm alarm_;
};

TEST(EventLoop, RunsWhatIsPostedWhileOperationsNeverEnd) {
  EventLoop loop("test", Idle(), 10);
  Chain first(loop.queue());
  Chain second(loop.queue());
  loop.Start();
  loop.Post([&](Instant) {
    first.Start();
    second.Start();
  });
  for (int i = 0; i < 20; ++i) {
    std::promise<void> ran;
    loop.Post([&](Instant) { ran.set_value(); });
    ran.get_future().wait();
  }
  std::promise<void> ended;
  loop.Post([&](Instant) {
    first.going = second.going = false;
    ended.set_value();
  });
  ended.get_future().wait();
  loop.Stop();  // tells of the last of both
}

TEST(EventLoop, TellsOfWhatIsUnderWayAtItsStop) {
  Ring ring;
  EventLoop loop("test", Idle(), 10);
  ring.SetOn(loop.queue());
  loop.Stop();  // it was never started
  EXPECT_TRUE(ring.Await().first);
}

TEST(EventLoop, RunsNothingAfterStop) {
  EventLoop loop("test", Idle(), 10);
  loop.Start();
  loop.Stop();
  bool ran = false;
  loop.Post([&](Instant) { ran = true; });
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace gyre
