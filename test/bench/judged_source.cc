#include "test/bench/judged_source.h"

#include <utility>

namespace gyre {

JudgedSource::JudgedSource(std::unique_ptr<Workload> workload, int slots)
    : workload_(std::move(workload)), actions_(static_cast<size_t>(slots)) {}

std::optional<Request> JudgedSource::Next(int slot, int64_t now_us, Random* random) {
  const std::lock_guard lock(mutex_);
  Action& action = actions_[static_cast<size_t>(slot)];
  action = workload_->Next(slot, Time::FromMicros(now_us), random);
  Request request;
  request.key = action.key;
  if (action.kind == Action::Kind::kGet) return request;
  request.kind = action.kind == Action::Kind::kPut ? Request::Kind::kPut : Request::Kind::kDelete;
  request.value = action.value;
  request.context = action.context;
  request.blind = action.mode == Action::Mode::kBlind;
  return request;
}

void JudgedSource::OnReply(int slot, const Request&, int64_t started_us, int64_t ended_us,
                           const Reply& reply) {
  ActionResult result;
  if (reply.status.ok()) {
    result.kind = ActionResult::Kind::kOk;
  } else {
    result.kind =
        reply.outcome_unknown ? ActionResult::Kind::kUnknown : ActionResult::Kind::kFailed;
  }
  result.values = reply.values;
  result.context = reply.context;
  result.started = Time::FromMicros(started_us);
  result.ended = Time::FromMicros(ended_us);
  const std::lock_guard lock(mutex_);
  const Action& action = actions_[static_cast<size_t>(slot)];
  std::optional<std::string> wrong = workload_->OnResult(slot, action, result);
  if (wrong.has_value() && wrong_.size() < kToldAtMost) {
    wrong_.push_back(action.key + ": " + *std::move(wrong));
  }
}

std::vector<std::string> JudgedSource::Judge(const ReadFn& read) {
  const std::lock_guard lock(mutex_);
  std::optional<std::string> wrong =
      workload_->Check([&](const std::string&, const std::string& key) { return read(key); });
  if (wrong.has_value()) wrong_.push_back("in the end: " + *std::move(wrong));
  return std::exchange(wrong_, {});
}

}  // namespace gyre
