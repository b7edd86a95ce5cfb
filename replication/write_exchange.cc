#include "replication/write_exchange.h"

#include <algorithm>

#include "ring/check.h"

namespace gyre {

WriteExchange::WriteExchange(WriteRequest request, bool known_here)
    : request_(std::move(request)), known_here_(known_here) {}

void WriteExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  deadline_ = now + request_.timeout;
  for (NodeId owner : around.owners) {
    if (owner == self_) continue;
    others_.push_back(owner);
    if (!around.reachable(owner)) unreachable_.push_back(owner);
  }
  tally_.emplace(around.owners, request_.needed);
  retry_ = request_.intent.attempt > kFirstAttempt;
  // This owner has answered already: it does not know.
  const int quorum = static_cast<int>(around.owners.size()) - request_.needed;
  if (!request_.intent.write.empty() && !known_here_) {
    probe_quorum_ = std::min(quorum, static_cast<int>(others_.size()));
  }
  if (retry_ && probe_quorum_ > 0) return Probe(now, effects);
  request_.intent.unless_behind = probe_quorum_ > 0;
  Mint(now, effects);
}

void WriteExchange::Probe(Time now, Effects* effects) {
  stage_ = Stage::kProbing;
  probe_deadline_ = std::min(deadline_, now + request_.timeout / 4);
  probe_.emplace(others_, probe_quorum_);
  for (NodeId other : others_) {
    probe_->Ask(other, now);
    effects->sends.emplace_back(other, Lookup{request_.item, request_.intent.write});
  }
  for (NodeId node : unreachable_) probe_->Fail(node, Part::kUnreachable);
  if (probe_->Impossible()) return GiveUpProbing(Outcome::Code::kQuorumNotMet, now, effects);
  effects->wake = probe_deadline_;
}

void WriteExchange::Mint(Time now, Effects* effects) {
  stage_ = Stage::kMinting;
  tally_->Ask(self_, now);
  effects->mint = std::move(request_.intent);
  effects->wake = deadline_;
}

void WriteExchange::OnMinted(MintOutcome minted, Time now, Effects* effects) {
  GYRE_CHECK(stage_ == Stage::kMinting, "minted once");
  if (minted.kind == MintOutcome::Kind::kBehind) {
    request_.intent = *std::move(minted.refused);
    request_.intent.unless_behind = false;
    retry_ = true;
    return Probe(now, effects);
  }
  if (minted.kind == MintOutcome::Kind::kTooManySiblings) {
    context_ = std::move(minted.seen);
    return End(Outcome::Code::kTooManySiblings, effects);
  }
  stage_ = Stage::kReplicating;
  context_ = std::move(minted.seen);
  Apply apply{{request_.item, std::make_shared<const Record>(std::move(minted.record)),
               std::move(minted.minted)},
              request_.intent.durability};
  for (NodeId other : others_) {
    tally_->Ask(other, now);
    effects->sends.emplace_back(other, apply);
  }
  for (NodeId node : unreachable_) tally_->Fail(node, Part::kUnreachable);
  tally_->Answer(self_, Part::kCoordinator, now);
  Decide(now, effects);
}

void WriteExchange::OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) {
  effects->wake = stage_ == Stage::kProbing ? probe_deadline_ : deadline_;
  if (stage_ == Stage::kProbing) {
    if (auto* lookup = std::get_if<LookupReply>(&reply)) {
      if (lookup->known) {
        stage_ = Stage::kMinting;
        tally_->Ask(self_, now);
        effects->adopt = std::move(lookup->found);
        effects->mint = std::move(request_.intent);
        effects->wake = deadline_;
        return;
      }
      probe_->Answer(from, Part::kAnswered, now);
      if (probe_->Met()) Mint(now, effects);
    } else if (std::holds_alternative<Failed>(reply)) {
      probe_->Fail(from, Part::kRefused);
      if (probe_->Impossible()) GiveUpProbing(Outcome::Code::kQuorumNotMet, now, effects);
    } else if (std::holds_alternative<Refused>(reply)) {
      End(Outcome::Code::kStaleEpoch, effects);
    }
    return;
  }
  if (stage_ != Stage::kReplicating) return;
  if (std::holds_alternative<ApplyReply>(reply)) {
    tally_->Answer(from, Part::kAnswered, now);
  } else if (std::holds_alternative<Failed>(reply)) {
    tally_->Fail(from, Part::kRefused);
  } else if (std::holds_alternative<Refused>(reply)) {
    return End(Outcome::Code::kStaleEpoch, effects);
  }
  Decide(now, effects);
}

void WriteExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  effects->wake = stage_ == Stage::kProbing ? probe_deadline_ : deadline_;
  unreachable_.push_back(node);
  if (stage_ == Stage::kProbing) {
    probe_->Fail(node, Part::kUnreachable);
    if (probe_->Impossible()) GiveUpProbing(Outcome::Code::kQuorumNotMet, now, effects);
  } else if (stage_ == Stage::kReplicating) {
    tally_->Fail(node, Part::kUnreachable);
    Decide(now, effects);
  }
}

void WriteExchange::OnWake(Time now, Effects* effects) {
  if (stage_ == Stage::kProbing && now >= probe_deadline_) {
    return GiveUpProbing(Outcome::Code::kTimedOut, now, effects);
  }
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  effects->wake = stage_ == Stage::kProbing ? probe_deadline_ : deadline_;
}

void WriteExchange::GiveUpProbing(Outcome::Code code, Time now, Effects* effects) {
  if (request_.needed == 1) return Mint(now, effects);
  End(code, effects);
}

void WriteExchange::OnLocalFailure(Outcome::Code code, Time, Effects* effects) {
  End(code, effects);
}

void WriteExchange::Decide(Time, Effects* effects) {
  effects->wake = deadline_;
  if (tally_->Met()) {
    End(Outcome::Code::kOk, effects);
  } else if (tally_->Impossible()) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

void WriteExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome;
  outcome.code = code;
  outcome.context = std::move(context_);
  outcome.needed = request_.needed;
  outcome.answered = tally_->answered();
  // Nothing was minted while the outcome was still ahead of minting, or refused by it.
  outcome.outcome_unknown = code != Outcome::Code::kOk && code != Outcome::Code::kTooManySiblings &&
                            (stage_ == Stage::kReplicating || retry_);
  outcome.epoch = epoch_;
  outcome.coordinator = self_;
  if (request_.explain) outcome.parts = tally_->Parts();
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
