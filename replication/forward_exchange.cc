#include "replication/forward_exchange.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {

ForwardExchange::ForwardExchange(WriteRequest request) : request_(std::move(request)) {}

void ForwardExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  deadline_ = now + request_.timeout;
  owners_.assign(around.owners.rbegin(), around.owners.rend());
  std::erase(owners_, self_);  // an owner that is filled again forwards, too
  std::stable_sort(owners_.begin(), owners_.end(), [&](NodeId a, NodeId b) {
    return AskingRank(around, a, now) > AskingRank(around, b, now);
  });
  patience_ = request_.timeout / std::max<int64_t>(1, std::ssize(owners_));
  AskNext(now, effects);
}

void ForwardExchange::AskNext(Time now, Effects* effects) {
  if (owners_.empty()) return End(Outcome::Code::kQuorumNotMet, effects);
  asked_ = owners_.back();
  owners_.pop_back();
  give_up_at_ = std::min(deadline_, now + patience_);
  request_.timeout = deadline_ - now;
  // A forwarded write may arrive late, after the client has tried elsewhere: never as a first
  // attempt.
  ++request_.intent.attempt;
  ++times_asked_;
  effects->sends.emplace_back(asked_, Forward{request_});
  effects->wake = give_up_at_;
}

void ForwardExchange::OnMinted(MintOutcome, Time, Effects*) {
  GYRE_CHECK(false, "who forwards mints nothing");
}

void ForwardExchange::OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) {
  effects->wake = give_up_at_;
  if (std::holds_alternative<Refused>(reply)) return End(Outcome::Code::kStaleEpoch, effects);
  auto* answer = std::get_if<ForwardReply>(&reply);
  if (answer == nullptr) return;
  Outcome& outcome = answer->outcome;
  if (outcome.code != Outcome::Code::kOk) {
    // An owner that was given up has failed: the one that is asked now may still succeed.
    if (from != asked_) return;
    const bool refused = outcome.code == Outcome::Code::kOverloaded ||
                         outcome.code == Outcome::Code::kStorageFailed ||
                         outcome.code == Outcome::Code::kTimeUnknown;
    if (refused && !owners_.empty()) return AskNext(now, effects);
    // Those that were asked before may have taken the write in, or may do so yet.
    if (times_asked_ > 1) outcome.outcome_unknown = true;
  }
  effects->outcome = std::move(outcome);
}

void ForwardExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  effects->wake = give_up_at_;
  std::erase(owners_, node);
  if (node == asked_) AskNext(now, effects);
}

void ForwardExchange::OnWake(Time now, Effects* effects) {
  effects->wake = give_up_at_;
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  if (now >= give_up_at_) AskNext(now, effects);
}

void ForwardExchange::OnLocalFailure(Outcome::Code code, Time, Effects* effects) {
  End(code, effects);
}

void ForwardExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome = Outcome::Of(code, epoch_, self_);
  outcome.needed = request_.needed;
  outcome.outcome_unknown = true;
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
