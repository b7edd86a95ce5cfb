#include "test/bench/load_run.h"

#include <algorithm>
#include <thread>

namespace gyre {

LoadRun::LoadRun(LoadRunOptions options, Target* target, RequestSource* source, Recorder* recorder)
    : options_(options),
      schedule_(options.rate_per_s),
      end_us_(options.warm_up_us + options.length_us),
      target_(target),
      source_(source),
      recorder_(recorder) {
  slots_.reserve(static_cast<size_t>(options_.slots));
  for (int slot = 0; slot < options_.slots; ++slot) {
    slots_.emplace_back(options_.seed * 1'000'003 + static_cast<uint64_t>(slot));
    idle_.push_back({slot, 0});
  }
}

MeasuredTime LoadRun::Run(const std::function<void()>& on_measure) {
  std::thread pacer([this] { Pace(); });
  bool through = SleepUntil(options_.warm_up_us);
  on_measure();
  MeasuredTime measured{.from_us = options_.warm_up_us, .until_us = end_us_};
  for (int64_t tick = measured.from_us; !through && tick < end_us_;) {
    tick = std::min(tick + options_.interval_us, end_us_);
    through = SleepUntil(tick);
    recorder_->CloseInterval(through ? std::max(Now(), measured.from_us + 1) : tick);
  }
  if (through) measured.until_us = std::max(Now(), measured.from_us + 1);
  on_measure();
  pacer.join();
  AwaitAllIdle();
  if (schedule_.is_open() && !exhausted_) {
    const std::lock_guard lock(mutex_);
    for (uint64_t n = started_; n < schedule_.DueBefore(end_us_); ++n) {
      recorder_->RecordUnsent(schedule_.DueAt(n), end_us_);
    }
  }
  return measured;
}

bool LoadRun::SleepUntil(int64_t at_us) {
  std::unique_lock lock(mutex_);
  const auto through = [this] { return exhausted_ && idle_.size() == slots_.size(); };
  while (!through() && Now() < at_us) {
    through_.wait_until(lock, origin_ + std::chrono::microseconds(at_us));
  }
  return through();
}

void LoadRun::AwaitAllIdle() {
  std::unique_lock lock(mutex_);
  while (idle_.size() < slots_.size()) through_.wait(lock);
}

std::vector<LoadRun::Due> LoadRun::TakeDue(int64_t now_us) {
  std::vector<Due> due;
  while (due.size() < kLargestBatch && !idle_.empty() && idle_.front().rests_until_us <= now_us &&
         schedule_.DueAt(started_) <= now_us) {
    due.push_back({idle_.front().slot, started_++});
    idle_.pop_front();
  }
  return due;
}

int64_t LoadRun::WakeAt() const {
  if (idle_.empty()) return end_us_;
  return std::min(end_us_, std::max({idle_.front().rests_until_us, schedule_.DueAt(started_),
                                     sent_at_us_ + kPaceUs}));
}

void LoadRun::Pace() {
  std::unique_lock lock(mutex_);
  for (int64_t now = Now(); now < end_us_ && !exhausted_; now = Now()) {
    const std::vector<Due> due = TakeDue(now);
    if (due.empty()) {
      slot_free_.wait_until(lock, origin_ + std::chrono::microseconds(WakeAt()));
      continue;
    }
    sent_at_us_ = now;
    lock.unlock();
    target_->InBatch([&] {
      for (const Due& one : due) Begin(one.slot, one.number);
    });
    lock.lock();
  }
}

void LoadRun::Begin(int number_of_slot, uint64_t number) {
  Slot& slot = slots_[static_cast<size_t>(number_of_slot)];
  slot.sent_us = Now();
  std::optional<Request> next =
      exhausted_ ? std::nullopt : source_->Next(number_of_slot, slot.sent_us, &slot.random);
  if (!next.has_value()) {
    exhausted_ = true;
    GiveBack(number_of_slot, kNever);
    return;
  }
  slot.request = *std::move(next);
  slot.intended_us = schedule_.IntendedStart(number, slot.sent_us);
  target_->Start(&slot.request,
                 [this, number_of_slot](Reply reply) { OnDone(number_of_slot, std::move(reply)); });
}

void LoadRun::OnDone(int number_of_slot, Reply reply) {
  Slot& slot = slots_[static_cast<size_t>(number_of_slot)];
  const int64_t now = Now();
  source_->OnReply(number_of_slot, slot.request, slot.sent_us, now, reply);
  recorder_->Record(number_of_slot, slot.request.kind, slot.intended_us, now, reply);
  // After a failure not from here: if the target fails at once, each start would nest in the last.
  if (!reply.status.ok()) {
    GiveBack(number_of_slot, now + kRestUs);
  } else if (schedule_.is_open() || now >= end_us_) {
    GiveBack(number_of_slot, now);
  } else {
    Begin(number_of_slot, 0);
  }
}

void LoadRun::GiveBack(int slot, int64_t rests_until_us) {
  const std::lock_guard lock(mutex_);
  idle_.push_back({slot, rests_until_us});
  if (idle_.size() == 1 || exhausted_) slot_free_.notify_one();
  if (idle_.size() == slots_.size()) through_.notify_one();
}

}  // namespace gyre
