#include "replication/guest_exchange.h"

#include <algorithm>
#include <memory>

#include "ring/check.h"

namespace gyre {

void GuestExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  owners_.assign(around.owners.begin(), around.owners.end());
  tally_.emplace(owners_, request_.needed, around.move);
  deadline_ = now + request_.timeout;
  look_until_ = now + request_.timeout / 4;
  // A write that no owner can be asked about may be late: its client was served elsewhere long ago.
  // One that says what it has seen replaces that again, which does no harm; another would take
  // along what came since.
  if (!request_.intent.context.has_value()) {
    if (request_.intent.kind == WriteKind::kDelete) {
      return End(Outcome::Code::kQuorumNotMet, effects);
    }
    request_.intent.mode = WriteMode::kBlind;
  }
  effects->stand_ins = true;
  effects->wake = look_until_;
}

void GuestExchange::OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) {
  // Here first: a guest builds on what is kept here.
  std::erase(nodes, self_);
  nodes.insert(nodes.begin(), self_);
  if (nodes.size() < static_cast<size_t>(request_.needed)) {
    return End(Outcome::Code::kQuorumNotMet, effects);
  }
  looking_.assign(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(
                                                     std::min(nodes.size(), owners_.size())));
  stand_ins_.assign(nodes.rbegin(), nodes.rend());
  for (NodeId node : looking_) effects->sends.emplace_back(node, FetchHints{request_.item});
  effects->wake = std::min(deadline_, std::max(now, look_until_));
}

void GuestExchange::OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) {
  if (std::holds_alternative<Refused>(reply)) return End(Outcome::Code::kStaleEpoch, effects);
  if (stage_ == Stage::kLooking) {
    if (auto* fetched = std::get_if<FetchReply>(&reply); fetched != nullptr) {
      if (std::erase(looking_, from) == 0) return EndLooking(effects);
      known_ = Sync(std::move(known_), *fetched->found.record);
      explained_.insert(explained_.end(), fetched->found.minted.begin(),
                        fetched->found.minted.end());
    } else if (std::holds_alternative<Failed>(reply)) {
      std::erase(looking_, from);
    }
    return EndLooking(effects);
  }
  if (stage_ == Stage::kKeeping) {
    if (std::holds_alternative<HintReply>(reply)) {
      for (const auto& [stand_in, owner] : substitutes_) {
        if (stand_in == from) tally_->AnswerFor(owner, from, now);
      }
    } else if (std::holds_alternative<Failed>(reply)) {
      Lose(from, now, effects);
    }
    return Decide(effects);
  }
  effects->wake = deadline_;
}

void GuestExchange::EndLooking(Effects* effects) {
  effects->wake = look_until_;
  if (!looking_.empty()) return;
  stage_ = Stage::kMinting;
  std::sort(explained_.begin(), explained_.end());
  explained_.erase(std::unique(explained_.begin(), explained_.end()), explained_.end());
  effects->guest = GuestWork{std::move(known_), std::move(explained_)};
  effects->mint = std::move(request_.intent);
  effects->wake = deadline_;
}

void GuestExchange::OnMinted(MintOutcome minted, Time now, Effects* effects) {
  GYRE_CHECK(stage_ == Stage::kMinting, "minted once");
  context_ = std::move(minted.seen);
  if (minted.kind == MintOutcome::Kind::kTooManySiblings) {
    return End(Outcome::Code::kTooManySiblings, effects);
  }
  stage_ = Stage::kKeeping;
  change_ = {request_.item, std::make_shared<const Record>(std::move(minted.record)),
             std::move(minted.minted)};
  Keep(now, effects);
  Decide(effects);
}

void GuestExchange::Keep(Time now, Effects* effects) {
  for (NodeId owner : tally_->Unanswered()) {
    const bool has_one = std::any_of(substitutes_.begin(), substitutes_.end(),
                                     [&](const auto& one) { return one.second == owner; });
    if (has_one) continue;
    if (stand_ins_.empty()) {
      tally_->Fail(owner, Part::kUnreachable);
      continue;
    }
    const NodeId stand_in = stand_ins_.back();
    stand_ins_.pop_back();
    substitutes_.emplace_back(stand_in, owner);
    tally_->Ask(owner, now);
    effects->sends.emplace_back(stand_in, Hint{owner, change_, request_.intent.durability, true});
  }
}

void GuestExchange::Lose(NodeId node, Time now, Effects* effects) {
  if (std::erase_if(substitutes_, [&](const auto& one) { return one.first == node; }) > 0) {
    Keep(now, effects);
  }
}

void GuestExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  std::erase(stand_ins_, node);
  if (stage_ == Stage::kLooking) {
    std::erase(looking_, node);
    return EndLooking(effects);
  }
  if (stage_ == Stage::kKeeping) {
    Lose(node, now, effects);
    return Decide(effects);
  }
  effects->wake = deadline_;
}

void GuestExchange::OnWake(Time now, Effects* effects) {
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  if (stage_ == Stage::kLooking) {
    if (now >= look_until_) looking_.clear();
    return EndLooking(effects);
  }
  effects->wake = deadline_;
}

void GuestExchange::OnLocalFailure(Outcome::Code code, Time, Effects* effects) {
  End(code, effects);
}

void GuestExchange::Decide(Effects* effects) {
  effects->wake = deadline_;
  if (tally_->Met()) {
    End(Outcome::Code::kOk, effects);
  } else if (tally_->Impossible()) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

void GuestExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome = Outcome::Of(code, epoch_, self_);
  outcome.context = std::move(context_);
  outcome.needed = request_.needed;
  outcome.answered = tally_->answered();
  outcome.stand_ins = tally_->stand_ins();
  outcome.outcome_unknown = code != Outcome::Code::kOk && code != Outcome::Code::kTooManySiblings &&
                            (stage_ == Stage::kKeeping || request_.intent.attempt > kFirstAttempt);
  if (request_.explain) outcome.parts = tally_->Parts();
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
