// The bytes of an acceptor's durable state.
//
//   state  := format:u8 promised:ballot accepted:ballot value:str life:u64
//   ballot := round:u64 node:u64
//   str    := size:u32 byte*
//
// Integers are big endian. format is 2. Format 1 is read and not written: it ends before the life,
// which is 0.

#include "ring/register.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/bytes.h"
#include "ring/check.h"

namespace gyre {
namespace {

constexpr uint8_t kFormat = 2;
constexpr uint8_t kFormatWithoutLife = 1;

void PutBallot(ByteWriter& out, const Ballot& ballot) {
  out.Put(ballot.round);
  out.Put(ballot.node.value());
}

Ballot GetBallot(ByteReader& in) {
  Ballot ballot;
  ballot.round = in.Get<uint64_t>();
  ballot.node = NodeId(in.Get<uint64_t>());
  return ballot;
}

VoterSets OfFirstLives(const std::vector<NodeId>& nodes) {
  VoterSets sets;
  for (const NodeId node : nodes) sets.now.push_back({node});
  return sets;
}

}  // namespace

std::string EncodeAcceptorState(const AcceptorState& state) {
  ByteWriter out;
  out.Put(kFormat);
  PutBallot(out, state.promised);
  PutBallot(out, state.accepted);
  out.PutString(state.value);
  out.Put(state.life);
  return out.Take();
}

absl::StatusOr<AcceptorState> DecodeAcceptorState(std::string_view bytes) {
  ByteReader in(bytes);
  const uint8_t format = in.Get<uint8_t>();
  if (format > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("register: format ", format, " is newer than ", kFormat, ", the one known"));
  }
  AcceptorState state;
  state.promised = GetBallot(in);
  state.accepted = GetBallot(in);
  state.value = std::string(in.GetString());
  if (format != kFormatWithoutLife) state.life = in.Get<uint64_t>();
  const bool consistent = state.accepted <= state.promised &&
                          (state.accepted != Ballot() || state.value.empty()) &&
                          state.promised.round <= kMaxRound;
  if (format < kFormatWithoutLife || !in.finished() || !consistent) {
    return absl::DataLossError("register: the bytes are no acceptor's state");
  }
  return state;
}

bool AcceptorStateHasLife(std::string_view bytes) {
  return ByteReader(bytes).Get<uint8_t>() != kFormatWithoutLife;
}

bool Acceptor::IsNear(Ballot ballot) const {
  return ballot.round <= std::min(state_.promised.round + kMaxRoundStep, kMaxRound);
}

Acceptor::Answer Acceptor::Prepare(Ballot ballot) {
  Answer answer;
  answer.reply.phase = RegisterPhase::kPrepare;
  answer.reply.ballot = ballot;
  answer.reply.life = state_.life;
  // Strictly greater: granting a ballot twice would let two attempts that share it both go on.
  if (ballot > state_.promised && IsNear(ballot)) {
    state_.promised = ballot;
    answer.state_changed = true;
    answer.reply.granted = true;
    answer.reply.accepted = state_.accepted;
    answer.reply.value = state_.value;
  }
  answer.reply.promised = state_.promised;
  return answer;
}

Acceptor::Answer Acceptor::Accept(Ballot ballot, std::string value) {
  Answer answer;
  answer.reply.phase = RegisterPhase::kAccept;
  answer.reply.ballot = ballot;
  answer.reply.life = state_.life;
  if (ballot >= state_.promised && ballot != Ballot() && IsNear(ballot)) {
    answer.state_changed = ballot != state_.accepted;
    state_.promised = ballot;
    state_.accepted = ballot;
    state_.value = std::move(value);
    answer.reply.granted = true;
  }
  answer.reply.promised = state_.promised;
  return answer;
}

Acceptor::Answer Acceptor::Handle(const RegisterRequest& request) {
  switch (request.phase) {
    case RegisterPhase::kPrepare:
      return Prepare(request.ballot);
    case RegisterPhase::kAccept:
      return Accept(request.ballot, request.value);
  }
  GYRE_CHECK(false, "the door lets no other phase in");
  return {};
}

Proposer::Proposer(VoterSets known, VotersOf voters_of, Ballot first, Change change,
                   Options options, Random random)
    : known_(std::move(known)),
      voters_of_(std::move(voters_of)),
      change_(std::move(change)),
      options_(options),
      random_(random),
      ballot_(first) {
  GYRE_CHECK(!known_.now.empty(), "a register has voters");
  GYRE_CHECK(ballot_.round >= 1 && ballot_.node != NodeId(), "round 0 and node 0 are no ballot");
}

Proposer::Proposer(std::vector<NodeId> voters, Ballot first, Change change, Options options,
                   Random random)
    : Proposer(
          OfFirstLives(voters), [sets = OfFirstLives(voters)](const std::string&) { return sets; },
          first, std::move(change), options, random) {}

Proposer::Step Proposer::Start(Time now) {
  GYRE_CHECK(state_ == State::kIdle, "a proposer starts once");
  return BeginAttempt(now);
}

Proposer::Step Proposer::BeginAttempt(Time now) {
  if (attempts_ > 0) ballot_.round = std::max(ballot_.round, highest_round_) + 1;
  ++attempts_;
  state_ = State::kPreparing;
  best_accepted_ = Ballot();
  value_.clear();
  quorum_ = known_;
  asked_.clear();
  votes_.clear();
  wake_up_ = now + options_.attempt_timeout;
  return Ask(RegisterPhase::kPrepare, "");
}

Proposer::Step Proposer::Ask(RegisterPhase phase, const std::string& value) {
  Step step;
  step.wake_up = wake_up_;
  for (const std::vector<Voter>* set : {&quorum_.now, &quorum_.before}) {
    for (const Voter& voter : *set) {
      if (!asked_.insert(voter.node).second) continue;
      step.sends.push_back({voter.node, {phase, ballot_, value}});
    }
  }
  return step;
}

size_t Proposer::Count(const std::vector<Voter>& voters, Vote vote) const {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(), [&](const Voter& voter) {
    const auto it = votes_.find(voter);
    return it != votes_.end() && it->second == vote;
  }));
}

bool Proposer::Agreed() const {
  const auto majority = [this](const std::vector<Voter>& set) {
    return Count(set, Vote::kGranted) > set.size() / 2;
  };
  return majority(quorum_.now) && (quorum_.before.empty() || majority(quorum_.before));
}

bool Proposer::Hopeless() const {
  const auto lost = [this](const std::vector<Voter>& set) {
    return !set.empty() && set.size() - Count(set, Vote::kRefused) <= set.size() / 2;
  };
  return lost(quorum_.now) || lost(quorum_.before);
}

Proposer::Step Proposer::OnReply(NodeId from, const RegisterReply& reply, Time now) {
  Step nothing;
  nothing.wake_up = wake_up_;
  if (state_ == State::kDone || !asked_.contains(from)) return nothing;
  if (reply.promised.round > std::max(ballot_.round, highest_round_) + kMaxRoundStep)
    return nothing;
  highest_round_ = std::max(highest_round_, reply.promised.round);
  const bool preparing = state_ == State::kPreparing && reply.phase == RegisterPhase::kPrepare;
  const bool accepting = (state_ == State::kSettling || state_ == State::kAccepting) &&
                         reply.phase == RegisterPhase::kAccept;
  if (reply.ballot != ballot_ || (!preparing && !accepting)) return nothing;
  if (preparing && reply.granted && reply.accepted >= ballot_) return nothing;  // it cannot be
  Vote& vote = votes_.try_emplace({from, reply.life}, Vote::kNone).first->second;
  if (vote == Vote::kGranted) return nothing;
  // A repeated prepare is refused by the very acceptor that granted it: its grant may come later.
  vote = reply.granted ? Vote::kGranted : Vote::kRefused;
  if (preparing && reply.granted) return OnPromise(reply, now);
  if (accepting && Agreed()) return OnAccepted(now);
  if (Hopeless()) {
    return GiveUpAttempt(now, absl::AbortedError("preempted by a greater ballot"));
  }
  return nothing;
}

// Who is to be asked follows from what the promises tell, and may grow with each of them.
Proposer::Step Proposer::OnPromise(const RegisterReply& reply, Time now) {
  if (reply.accepted > best_accepted_) {
    best_accepted_ = reply.accepted;
    value_ = reply.value;
    quorum_ = voters_of_(value_);
  } else if (best_accepted_ == Ballot() && Agreed()) {
    quorum_ = voters_of_("");  // nothing was accepted so far
  }
  Step more = Ask(RegisterPhase::kPrepare, "");
  if (Agreed()) return OnPrepared(now);
  if (Hopeless()) {
    return GiveUpAttempt(now, absl::AbortedError("preempted by a greater ballot"));
  }
  return more;
}

// The rules on a value that may hold our change already. Below every unresolved ballot of ours: a
// majority has promised this ballot without having seen our change, and what we write now buries
// it, so the change may be made anew. Under one of ours: it is our own value; finish it as it
// stands. Between or above: someone else's value, made perhaps on top of ours; nobody can tell.
Proposer::Step Proposer::OnPrepared(Time now) {
  const bool ours =
      std::find(unresolved_.begin(), unresolved_.end(), best_accepted_) != unresolved_.end();
  bool settle = false;
  if (!ours) {
    const bool may_hold_ours = !unresolved_.empty() && best_accepted_ > unresolved_.front();
    if (may_hold_ours && options_.repeat == Repeat::kNever) {
      RegisterOutcome outcome;
      outcome.kind = RegisterOutcome::Kind::kUnknown;
      outcome.status = absl::UnknownError("preempted after the change was sent");
      return Finish(std::move(outcome));
    }
    settle = !quorum_.before.empty() && best_accepted_ != settled_;
  }
  if (!ours && !settle) {
    absl::StatusOr<std::string> next = change_(value_);
    // A refusal writes nothing, so it does not bury what an earlier attempt left behind. What was
    // met does, once it is written again as it stands.
    const bool met_one = best_accepted_ != Ballot();
    const bool buried = unresolved_.empty() || (met_one && best_accepted_ == settled_);
    settle = !next.ok() && !buried && met_one;
    if (!next.ok() && !settle) {
      RegisterOutcome outcome;
      outcome.kind = buried ? RegisterOutcome::Kind::kRefused : RegisterOutcome::Kind::kUnknown;
      outcome.status = next.status();
      return Finish(std::move(outcome));
    }
    if (next.ok()) {
      const VoterSets made = voters_of_(*next);
      GYRE_CHECK(*next == value_ || made.before == quorum_.now ||
                     (made.before.empty() && made.now == quorum_.now),
                 "who voted so far has a say in what comes");
      value_ = *std::move(next);
      quorum_ = made;
    }
  }
  if (!settle) unresolved_.push_back(ballot_);
  state_ = settle ? State::kSettling : State::kAccepting;
  wake_up_ = now + options_.attempt_timeout;
  asked_.clear();
  votes_.clear();
  return Ask(RegisterPhase::kAccept, value_);
}

Proposer::Step Proposer::OnAccepted(Time now) {
  if (state_ == State::kAccepting) {
    RegisterOutcome outcome;
    outcome.kind = RegisterOutcome::Kind::kCommitted;
    outcome.value = value_;
    return Finish(std::move(outcome));
  }
  settled_ = ballot_;
  known_ = quorum_;
  // What is chosen now does not descend from what we sent before, and buries it.
  if (!unresolved_.empty() && best_accepted_ < unresolved_.front()) unresolved_.clear();
  return BeginAttempt(now);
}

Proposer::Step Proposer::GiveUpAttempt(Time now, absl::Status why) {
  if (attempts_ >= options_.max_attempts) {
    RegisterOutcome outcome;
    if (unresolved_.empty()) {
      outcome.kind = RegisterOutcome::Kind::kNotApplied;
      outcome.status = absl::UnavailableError(why.message());
    } else {
      outcome.kind = RegisterOutcome::Kind::kUnknown;
      outcome.status = absl::UnknownError(why.message());
    }
    return Finish(std::move(outcome));
  }
  state_ = State::kWaiting;
  const Duration widest = options_.backoff_base * (int64_t{1} << std::min(attempts_, 20));
  const int64_t bound_us = std::min(options_.backoff_cap, widest).micros();
  wake_up_ = now + Duration::Micros(random_.Between(0, bound_us));
  Step step;
  step.wake_up = wake_up_;
  return step;
}

Proposer::Step Proposer::OnTimer(Time now) {
  Step nothing;
  nothing.wake_up = wake_up_;
  if (now < wake_up_ || state_ == State::kDone || state_ == State::kIdle) return nothing;
  if (state_ == State::kWaiting) return BeginAttempt(now);
  return GiveUpAttempt(now, absl::DeadlineExceededError("no majority of the voters answered"));
}

Proposer::Step Proposer::Finish(RegisterOutcome outcome) {
  state_ = State::kDone;
  wake_up_ = Time::Never();
  Step step;
  step.outcome = std::move(outcome);
  return step;
}

}  // namespace gyre
