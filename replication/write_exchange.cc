#include "replication/write_exchange.h"

#include <algorithm>

#include "ring/check.h"

namespace gyre {

WriteExchange::WriteExchange(WriteRequest request, Memory memory)
    : request_(std::move(request)), memory_(memory) {}

void WriteExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  deadline_ = now + request_.timeout;
  const auto look = [&](NodeId replica) {
    if (!around.reachable(replica)) {
      unreachable_.push_back(replica);
    } else if (!around.healthy(replica)) {
      suspected_.push_back(replica);
    }
  };
  for (NodeId owner : around.owners) {
    if (owner == self_) continue;
    others_.push_back(owner);
    look(owner);
  }
  if (around.move != nullptr) {
    beside_ = around.move->beside();
    look(beside_);
  }
  tally_.emplace(around.owners, request_.needed, around.move);
  retry_ = request_.intent.attempt > kFirstAttempt;
  // Its word counts where it has lost nothing: it does not know.
  const int more = memory_ == Memory::kLost ? 1 : 0;
  const int quorum = static_cast<int>(around.owners.size()) - request_.needed + more;
  if (!request_.intent.write.empty() && memory_ != Memory::kKnows) {
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
  asking_ = others_;
  look_among_hints_ = !suspected_.empty();
  for (NodeId node : unreachable_) NoteUnanswered(node, Part::kUnreachable);
  EndProbing(now, effects);
}

// An owner that does not answer: a write that it was to have may be among the hints for it.
void WriteExchange::NoteUnanswered(NodeId owner, Part part) {
  probe_->Fail(owner, part);
  if (std::erase(asking_, owner) > 0) look_among_hints_ = true;
}

void WriteExchange::EndProbing(Time now, Effects* effects) {
  effects->wake = probe_deadline_;
  if (request_.sloppy) {
    effects->stand_ins = look_among_hints_ && !stand_ins_.has_value();
    // That some owners do not know it says little where others count stand-ins for them.
    if (effects->stand_ins || !looking_.empty() || !asking_.empty()) return;
    return Mint(now, effects);
  }
  if (probe_->Met()) {
    Mint(now, effects);
  } else if (probe_->Impossible()) {
    GiveUpProbing(Outcome::Code::kQuorumNotMet, now, effects);
  }
}

void WriteExchange::Adopt(ExplainedRecord found, Time now, Effects* effects) {
  effects->adopt = std::move(found);
  Mint(now, effects);
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
    late_ = true;
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
  if (beside_ != NodeId()) others_.push_back(beside_);
  for (NodeId other : others_) {
    tally_->Ask(other, now);
    effects->sends.emplace_back(other, apply);
  }
  tally_->Answer(self_, Part::kCoordinator, now);
  if (request_.sloppy) {
    change_ = std::move(apply.change);
    silent_at_ = now + request_.timeout / 4;
  }
  for (NodeId node : unreachable_) Lose(node, Part::kUnreachable);
  for (NodeId node : suspected_) Lose(node, Part::kNoAnswer);
  Decide(now, effects);
}

void WriteExchange::Lose(NodeId node, Part part) {
  const auto find = [&](NodeId Substitute::*as) {
    return std::find_if(substitutes_.begin(), substitutes_.end(),
                        [&](const Substitute& substitute) { return substitute.*as == node; });
  };
  if (const auto stood_in = find(&Substitute::stand_in); stood_in != substitutes_.end()) {
    node = stood_in->owner;
    substitutes_.erase(stood_in);
    // It may still answer itself.
    if (std::find(lost_.begin(), lost_.end(), node) == lost_.end()) part = Part::kNoAnswer;
  } else if (find(&Substitute::owner) != substitutes_.end()) {
    if (part != Part::kNoAnswer) lost_.push_back(node);
    return;  // its stand-in may still answer
  } else if (part != Part::kNoAnswer) {
    lost_.push_back(node);
  }
  tally_->Fail(node, part);
  const std::vector<NodeId> unanswered = tally_->Unanswered();
  const auto among = [&](const std::vector<NodeId>& nodes) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  };
  if (request_.sloppy && among(unanswered) && !among(wanting_)) wanting_.push_back(node);
}

void WriteExchange::HandOver(Time now, Effects* effects) {
  if (wanting_.empty()) return;
  if (!stand_ins_.has_value()) {
    effects->stand_ins = true;
    return;
  }
  for (NodeId owner : std::exchange(wanting_, {})) {
    if (next_stand_in_ == stand_ins_->size()) break;  // and so it goes without
    const NodeId stand_in = (*stand_ins_)[next_stand_in_++];
    substitutes_.push_back({stand_in, owner});
    tally_->Ask(owner, now);
    effects->sends.emplace_back(stand_in, Hint{owner, change_, request_.intent.durability, false});
  }
  // A stand-in may be silent too, and then the next one takes its place.
  const bool others = next_stand_in_ < stand_ins_->size();
  if (others && silent_at_ == Time::Never()) silent_at_ = now + request_.timeout / 4;
}

void WriteExchange::OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) {
  stand_ins_ = std::move(nodes);
  if (stage_ == Stage::kReplicating) return Decide(now, effects);
  // As many as there are owners: who minted it took the first of them.
  looking_ = *stand_ins_;
  if (looking_.size() > others_.size() + 1) looking_.resize(others_.size() + 1);
  for (NodeId node : looking_) effects->sends.emplace_back(node, FetchHints{request_.item});
  EndProbing(now, effects);
}

void WriteExchange::OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) {
  if (std::holds_alternative<Refused>(reply) && stage_ != Stage::kMinting) {
    return End(Outcome::Code::kStaleEpoch, effects);
  }
  if (stage_ == Stage::kProbing) {
    if (auto* lookup = std::get_if<LookupReply>(&reply)) {
      if (lookup->known) return Adopt(std::move(lookup->found), now, effects);
      probe_->Answer(from, Part::kAnswered, now);
      std::erase(asking_, from);
    } else if (auto* hints = std::get_if<FetchReply>(&reply)) {
      for (const Minted& minted : hints->found.minted) {
        if (minted.write == request_.intent.write) {
          return Adopt(std::move(hints->found), now, effects);
        }
      }
      std::erase(looking_, from);
    } else if (std::holds_alternative<Failed>(reply)) {
      NoteUnanswered(from, Part::kRefused);
      std::erase(looking_, from);
    }
    return EndProbing(now, effects);
  }
  if (stage_ != Stage::kReplicating) {
    effects->wake = deadline_;
    return;
  }
  if (std::holds_alternative<ApplyReply>(reply)) {
    tally_->Answer(from, Part::kAnswered, now);
  } else if (std::holds_alternative<HintReply>(reply)) {
    for (const Substitute& substitute : substitutes_) {
      if (substitute.stand_in == from) tally_->AnswerFor(substitute.owner, from, now);
    }
  } else if (std::holds_alternative<Failed>(reply)) {
    Lose(from, Part::kRefused);
  }
  Decide(now, effects);
}

void WriteExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  unreachable_.push_back(node);
  if (stand_ins_.has_value()) {
    // Not one of those that are still to be asked.
    const auto next = stand_ins_->begin() + static_cast<std::ptrdiff_t>(next_stand_in_);
    stand_ins_->erase(std::remove(next, stand_ins_->end(), node), stand_ins_->end());
  }
  if (stage_ == Stage::kProbing) {
    NoteUnanswered(node, Part::kUnreachable);
    std::erase(looking_, node);
    EndProbing(now, effects);
  } else if (stage_ == Stage::kReplicating) {
    Lose(node, Part::kUnreachable);
    Decide(now, effects);
  } else {
    effects->wake = deadline_;
  }
}

void WriteExchange::OnWake(Time now, Effects* effects) {
  if (stage_ == Stage::kProbing && now >= probe_deadline_) {
    return GiveUpProbing(Outcome::Code::kTimedOut, now, effects);
  }
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  if (stage_ == Stage::kProbing) return EndProbing(now, effects);
  if (stage_ == Stage::kMinting) {
    effects->wake = deadline_;
    return;
  }
  if (now >= silent_at_) {
    silent_at_ = Time::Never();
    LoseTheSilent();
  }
  Decide(now, effects);
}

void WriteExchange::LoseTheSilent() {
  const std::vector<NodeId> silent = tally_->Unanswered();
  const std::vector<Substitute> substitutes = substitutes_;
  size_t others = stand_ins_.has_value() ? stand_ins_->size() - next_stand_in_ : 0;
  for (const Substitute& one : substitutes) {
    if (std::find(silent.begin(), silent.end(), one.owner) == silent.end()) continue;
    if (others == 0) return;  // better to wait on than to wait for nobody
    --others;
    Lose(one.stand_in, Part::kNoAnswer);
  }
  for (NodeId owner : silent) Lose(owner, Part::kNoAnswer);
}

void WriteExchange::GiveUpProbing(Outcome::Code code, Time now, Effects* effects) {
  // Not where it is a first attempt that came late: its client has asked elsewhere by now, and
  // minted beside that one's it would take along what was written since (decision 0005).
  const bool writeable = request_.needed == 1 || (request_.sloppy && !late_);
  if (writeable) return Mint(now, effects);
  End(code, effects);
}

void WriteExchange::OnLocalFailure(Outcome::Code code, Time, Effects* effects) {
  End(code, effects);
}

void WriteExchange::Decide(Time now, Effects* effects) {
  HandOver(now, effects);
  effects->wake = std::min(deadline_, silent_at_);
  if (effects->stand_ins) return;  // they are to have their copies, whoever else has answered
  if (tally_->Met()) {
    End(Outcome::Code::kOk, effects);
  } else if (tally_->Impossible()) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

void WriteExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome = Outcome::Of(code, epoch_, self_);
  outcome.context = std::move(context_);
  outcome.needed = request_.needed;
  outcome.answered = tally_->answered();
  outcome.stand_ins = tally_->stand_ins();
  // Nothing was minted while the outcome was still ahead of minting, or refused by it.
  outcome.outcome_unknown = code != Outcome::Code::kOk && code != Outcome::Code::kTooManySiblings &&
                            (stage_ == Stage::kReplicating || retry_);
  if (request_.explain) outcome.parts = tally_->Parts();
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
