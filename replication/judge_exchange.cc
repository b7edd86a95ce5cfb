#include "replication/judge_exchange.h"

#include <variant>

#include "ring/check.h"

namespace gyre {

void JudgeExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  for (NodeId owner : around.owners) {
    if (owner != self_ && around.reachable(owner)) others_.insert(owner);
  }
  Ask(now, effects);
}

void JudgeExchange::Ask(Time now, Effects* effects) {
  if (others_.empty()) return End(Outcome::Code::kQuorumNotMet, effects);
  pausing_ = false;
  asked_ = others_;
  heard_.clear();
  effects->wake = wake_ = now + kPatience;
  for (NodeId owner : others_)
    effects->sends.emplace_back(owner, Fetch{item_, {}, /*with_clock=*/true});
}

void JudgeExchange::OnReply(NodeId from, PeerBody reply, Time, Effects* effects) {
  effects->wake = wake_;
  if (asked_.erase(from) == 0) return;
  if (auto* fetched = std::get_if<FetchReply>(&reply)) {
    // Values that did not come, though nobody asked to leave them out, are none to judge by.
    if (fetched->left_out.empty() && fetched->clock.has_value()) {
      heard_.push_back({from, std::move(fetched->found.record), std::move(fetched->found.minted),
                        *std::move(fetched->clock)});
    }
  } else if (std::holds_alternative<Refused>(reply)) {
    return End(Outcome::Code::kStaleEpoch, effects);
  }
  if (asked_.empty()) Tell(effects);
}

void JudgeExchange::OnUnreachable(NodeId node, Time, Effects* effects) {
  effects->wake = wake_;
  others_.erase(node);
  if (asked_.erase(node) > 0 && asked_.empty()) Tell(effects);
}

void JudgeExchange::OnWake(Time now, Effects* effects) {
  effects->wake = wake_;
  if (now < wake_) return;
  if (pausing_) return Ask(now, effects);
  asked_.clear();
  Tell(effects);
}

void JudgeExchange::Tell(Effects* effects) {
  effects->wake = Time::Never();
  if (heard_.empty()) return End(Outcome::Code::kQuorumNotMet, effects);
  effects->judge = std::move(heard_);
  heard_.clear();
}

void JudgeExchange::OnJudged(const Judgement& judgement, Time now, Effects* effects) {
  if (!judgement.unsettled || judgement.mended.has_value() || rounds_ == kPauses.size()) {
    return End(Outcome::Code::kOk, effects);
  }
  pausing_ = true;
  effects->wake = wake_ = now + kPauses.at(rounds_++);
}

void JudgeExchange::OnMinted(MintOutcome, Time, Effects*) {
  GYRE_CHECK(false, "who judges mints nothing");
}

void JudgeExchange::OnLocalFailure(Outcome::Code code, Time, Effects* effects) {
  End(code, effects);
}

void JudgeExchange::End(Outcome::Code code, Effects* effects) {
  effects->outcome = Outcome::Of(code, epoch_, self_);
}

}  // namespace gyre
