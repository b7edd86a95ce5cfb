#include "test/bench/load_run.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "test/bench/mix.h"

namespace gyre {
namespace {

// Answers on a thread of its own, in order; `fail` says which of the requests fail.
class EchoTarget final : public Target {
 public:
  explicit EchoTarget(std::function<bool(int)> fail = [](int) { return false; })
      : fail_(std::move(fail)), thread_([this] { Serve(); }) {}

  ~EchoTarget() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      arrived_.notify_one();
    }
    thread_.join();
  }

  void Start(Request* request, Done done) override {
    const std::lock_guard lock(mutex_);
    ++asked_[request->key];
    waiting_.push_back(std::move(done));
    most_at_once_ = std::max(most_at_once_, waiting_.size());
    arrived_.notify_one();
  }

  std::map<std::string, int> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  size_t most_at_once() {
    const std::lock_guard lock(mutex_);
    return most_at_once_;
  }

 private:
  void Serve() {
    std::unique_lock lock(mutex_);
    for (int number = 0;; ++number) {
      while (waiting_.empty() && !closing_) arrived_.wait(lock);
      if (waiting_.empty()) return;
      const Done done = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      Reply reply;
      if (fail_(number)) reply.status = absl::UnavailableError("as the test says");
      done(std::move(reply));
      lock.lock();
    }
  }

  const std::function<bool(int)> fail_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  bool closing_ = false;
  std::map<std::string, int> asked_;
  size_t most_at_once_ = 0;
  std::deque<Done> waiting_;
  std::thread thread_;
};

// Fails before Start returns.
class RefusingTarget final : public Target {
 public:
  void Start(Request*, Done done) override { done({.status = absl::UnavailableError("no")}); }
};

MixSource Load(uint64_t records, int slots) {
  return MixSource({.mix = *FindMix("load"), .records = records, .slots = slots});
}

TEST(LoadRun, ALoadAsksForEachRecordOnceInClosedAndInOpenLoop) {
  for (const double rate : {0.0, 1e6}) {
    EchoTarget target;
    MixSource source = Load(1000, 16);
    Recorder recorder({});
    int measured_calls = 0;
    LoadRun run({.slots = 16, .rate_per_s = rate, .length_us = 3'600'000'000}, &target, &source,
                &recorder);
    const MeasuredTime time = run.Run([&] { ++measured_calls; });
    EXPECT_EQ(measured_calls, 2);
    EXPECT_GT(time.until_us, time.from_us);
    const auto asked = target.asked();
    EXPECT_EQ(asked.size(), 1000u);
    for (const auto& [key, times] : asked) EXPECT_EQ(times, 1) << key;
    EXPECT_LE(target.most_at_once(), 16u);
    const auto measured = recorder.Finish();
    EXPECT_EQ(measured->ended, 1000u);
    EXPECT_EQ(measured->all.count(), 1000u);
    EXPECT_EQ(measured->unsent, 0u);
  }
}

TEST(LoadRun, FailuresAreCountedAndTheRunGoesOn) {
  EchoTarget target([](int number) { return number % 10 == 0; });
  MixSource source = Load(500, 4);
  Recorder recorder({});
  LoadRun run({.slots = 4, .length_us = 3'600'000'000}, &target, &source, &recorder);
  run.Run([] {});
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->failed, 50u);
  EXPECT_EQ(measured->ended, 450u);
}

TEST(LoadRun, ATargetThatRefusesAtOnceDoesNotNest) {
  RefusingTarget target;
  MixSource source = Load(100, 50);
  Recorder recorder({});
  LoadRun run({.slots = 50, .length_us = 3'600'000'000}, &target, &source, &recorder);
  run.Run([] {});
  EXPECT_EQ(recorder.Finish()->failed, 100u);
}

TEST(LoadRun, EndsWhenItsTimeIsOverAndWaitsForWhatIsUnderWay) {
  EchoTarget target;
  MixSource source({.mix = *FindMix("read"), .records = 10, .slots = 8});
  Recorder recorder({.measure_from_us = 10'000, .measure_until_us = 40'000});
  LoadRun run({.slots = 8, .warm_up_us = 10'000, .length_us = 30'000, .interval_us = 10'000},
              &target, &source, &recorder);
  const MeasuredTime time = run.Run([] {});
  EXPECT_EQ(time.from_us, 10'000);
  EXPECT_EQ(time.until_us, 40'000);
  EXPECT_EQ(recorder.Finish()->intervals.size(), 3u);
}

// One request is answered only when the run is told to end, so that all others find no slot.
TEST(LoadRun, WhatIsDueWhileNoSlotIsFreeIsToldAsUnsent) {
  class HoldingTarget final : public Target {
   public:
    void Start(Request*, Done done) override { held_ = std::move(done); }
    void Release() { std::exchange(held_, nullptr)({}); }

   private:
    Done held_;
  };
  HoldingTarget target;
  MixSource source({.mix = *FindMix("read"), .records = 10, .slots = 1});
  Recorder recorder({.measure_until_us = 500'000});
  LoadRun run({.slots = 1, .rate_per_s = 40, .length_us = 500'000}, &target, &source, &recorder);
  int calls = 0;
  run.Run([&] {
    if (++calls == 2) target.Release();
  });
  const auto measured = recorder.Finish();
  EXPECT_EQ(measured->unsent, 19u) << "of the twenty that were due";
  EXPECT_EQ(measured->all.count(), 20u);
  EXPECT_GE(measured->all.max_micros(), 475'000u) << "the first of them, due at 25 ms";
}

}  // namespace
}  // namespace gyre
