// Register: one value of bytes that several nodes change by compare-and-set, with no leader.
//
// Algorithm: D. Rystsov, "CASPaxos: Replicated State Machines without logs", 2018 (section 2.2): a
// proposer prepares a ballot at a majority of the acceptors, takes the value accepted under the
// greatest ballot among their answers ("" when there is none), applies its change function, and has
// the result accepted by a majority under the same ballot. A read is a change that returns the same
// value. The topology document is the first user.
//
// A VOTER is an acceptor in one of its lives (ring/voter.h). An acceptor that lost what it held, or
// was put back to an earlier state of it, takes a new life, which it names in each reply; so a
// reply counts for a voter only where the life is that voter's, and no voter ever forgets: at worst
// it is gone for good, as one that crashed. To vote again its new life has to be voted in.
//
// VOTERS may change. A value says itself who votes on it (VoterSets), and the initial value "" too:
//   - A value is chosen once a majority of its `now` and, where it has such, a majority of its
//     `before` have accepted it under one ballot. One that is made from d under a ballot has the
//     same `now` as d and no `before`; or another `now`, and `before` is d's `now`.
//   - A proposer goes on from d, the value accepted under the greatest ballot that any promise told
//     of, only once it has promises of a majority of d's `now` and, where there is one, of d's
//     `before`. Whose word it lacks for that it asks under the same ballot.
//   - Where d has a `before`, it may be unchosen, and is first brought to be chosen as it stands;
//     its change is made by the attempt behind that.
// Source: joint quorums as in Ongaro, "Consensus: Bridging Theory and Practice" (2014), section
// 4.3, here for a register without a log, so that a change need not be of one voter at a time as in
// CASPaxos, section 2.3.
//
// Why it is one chain. Let b be chosen, and b' > b the least ballot with promises enough to go on,
// from a < b. Let p be the last ballot from which both b and a descend, directly or not, and V the
// `now` of its value. As long as nothing that V has to agree to is chosen, a line that begins at p
// has values of V only, and at its end at most one whose `before` is V: nobody goes on from that
// before it is chosen. On the line to b there is a first ballot x that V has to agree to and that
// is chosen, for b is. On the line to a there is none: of two that were chosen under ballots below
// b' the later descends from the earlier, for b' is the least that breaks the rule, and so p would
// not be the last. So the value of a has V as its `now` or its `before`, and b' has promises of a
// majority of V, which tell of no ballot above a; and a majority of V has accepted x. If x > a, one
// of the two is a promise that was broken, or that told of x; if x < a, then a descends from x, and
// p is not the last.
//   What the last rule is for: v (from C0 to C1) is accepted by one node. Another proposer goes on
// from it, and has w (of C1) chosen by C1 alone. A third, that asks a majority of C0 without those
// nodes, meets neither, and has something else chosen by C0.
//
// Pure code: a step is (event, now) -> messages, wake-up, outcome. An instance belongs to one
// thread.
//
// DURABILITY. When an Acceptor's answer says `state_changed`, the caller makes EncodeAcceptorState
// (acceptor.state()) durable BEFORE it sends the reply. An acceptor that forgets a promise or a
// value breaks the register for everyone; so one whose state may be less than it was answers
// nothing before it has begun a new life (Acceptor::BeginLife), and that is durable.
//
// Always holds:
//   - An acceptor answers whether it votes or not: it holds what it holds.
//   - An acceptor grants each ballot at most once. So two attempts that share a ballot (two
//     proposers of one node, or a proposer restarted with a used ballot) cannot both gain a
//     majority.
//   - A chosen value was made by change functions from the value chosen before it: one linear
//     chain. (A change that reached a minority may be finished by whoever comes next, under its own
//     change.)
//   - A change is in the chain at most once (unless Repeat::kHarmless allows more). kCommitted
//     means once; kNotApplied means never, and so does kRefused, but that a harmless change may be
//     beneath what refuses it now; kUnknown means that an acceptor may hold it and another proposer
//     may still choose it, so a caller that needs to know must read.

#ifndef GYRE_RING_REGISTER_H_
#define GYRE_RING_REGISTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/voter.h"

namespace gyre {

// Ordered by round, then node. {0, 0} is below every ballot in use.
struct Ballot {
  uint64_t round = 0;
  NodeId node;
  friend constexpr auto operator<=>(const Ballot&, const Ballot&) = default;
};

// Rounds go up by one with each attempt, so one that is further than kMaxRoundStep above what is
// known is none that anybody meant: an acceptor refuses it, and a proposer believes no reply that
// tells of it. Else one wrong message could use up the rounds that there are, at every acceptor and
// for good. 2^40 attempts are some thirty years of a thousand a second.
inline constexpr uint64_t kMaxRoundStep = uint64_t{1} << 40;
inline constexpr uint64_t kMaxRound = uint64_t{1} << 62;  // that an acceptor may have promised

// What an acceptor must never forget.
struct AcceptorState {
  Ballot promised;
  Ballot accepted;    // {0, 0}: nothing accepted yet
  std::string value;  // accepted under `accepted`
  uint64_t life = 0;  // of the acceptor (ring/voter.h)
  friend bool operator==(const AcceptorState&, const AcceptorState&) = default;
};

// Grammar: at the top of register.cc. DataLoss for garbage, FailedPrecondition for a newer format.
// Where lives were not known of yet, it is 0.
std::string EncodeAcceptorState(const AcceptorState& state);
absl::StatusOr<AcceptorState> DecodeAcceptorState(std::string_view bytes);
// Whether who wrote these bytes knew of lives.
bool AcceptorStateHasLife(std::string_view bytes);

enum class RegisterPhase : uint8_t { kPrepare = 0, kAccept = 1 };

struct RegisterRequest {
  RegisterPhase phase = RegisterPhase::kPrepare;
  Ballot ballot;
  std::string value;  // kAccept only
};

struct RegisterReply {
  RegisterPhase phase = RegisterPhase::kPrepare;
  Ballot ballot;  // of the request that this answers
  bool granted = false;
  Ballot promised;    // the greatest ballot that the acceptor has promised
  Ballot accepted;    // granted kPrepare only: what it has accepted so far
  std::string value;  // granted kPrepare only
  uint64_t life = 0;  // of the acceptor, as it answered
};

// Who has to agree on a value, each set for itself by a majority.
struct VoterSets {
  // Of distinct nodes, at least one.
  std::vector<Voter> now;
  // Likewise, of the value that it was made from, where those are others. A node may be in both,
  // with one life or with two.
  std::vector<Voter> before = {};
  friend bool operator==(const VoterSets&, const VoterSets&) = default;
};

class Acceptor {
 public:
  struct Answer {
    bool state_changed = false;  // make state() durable first,
    RegisterReply reply;         // then send this
  };

  explicit Acceptor(AcceptorState durable) : state_(std::move(durable)) {}

  [[nodiscard]] Answer Prepare(Ballot ballot);
  [[nodiscard]] Answer Accept(Ballot ballot, std::string value);
  [[nodiscard]] Answer Handle(const RegisterRequest& request);  // one of the two above

  // What it holds may be less than what it held. Make state() durable before anything is answered.
  // REQUIRES: the life is none that it had before.
  void BeginLife(uint64_t life) { state_.life = life; }

  const AcceptorState& state() const { return state_; }

 private:
  bool IsNear(Ballot ballot) const;

  AcceptorState state_;
};

// What one change came to.
struct RegisterOutcome {
  enum class Kind : uint8_t {
    kCommitted = 0,   // chosen; `value` is the new value
    kRefused = 1,     // the change function said `status`; nothing was changed
    kNotApplied = 2,  // no majority answered in max_attempts; nothing was changed, nor will be
    kUnknown = 3,     // it may have been chosen, or may still be
  };
  Kind kind = Kind::kUnknown;
  std::string value;    // kCommitted
  absl::Status status;  // OK for kCommitted, otherwise why
};

class Proposer {
 public:
  // From the current value ("" at first) to the next, or a refusal. May be called once per attempt,
  // and must be a pure function of its argument. The voters of the next: see the top.
  using Change = std::function<absl::StatusOr<std::string>(const std::string& current)>;

  // Whose agreement a value needs ("": what the register holds at first). A pure function.
  using VotersOf = std::function<VoterSets(const std::string& value)>;

  // May the change be applied to a value that may already contain it? kNever: no (a counter); the
  // outcome is kUnknown instead. kHarmless: yes (a read, "make sure that table t exists").
  enum class Repeat : uint8_t { kNever = 0, kHarmless = 1 };

  struct Options {
    // An attempt that has not gained a majority by then is given up. Default 1 s. Below a few round
    // trips plus an fsync nothing ever commits; far above, one lost message delays a change as
    // long.
    Duration attempt_timeout = Duration::Seconds(1);
    // Before attempt k + 1 the proposer waits a uniform draw from [0, min(cap, base * 2^k)] (full
    // jitter). Default 20 ms and 1 s. A base below a round trip lets rivals preempt each other for
    // long; far above, a conflict is slow to settle.
    Duration backoff_base = Duration::Millis(20);
    Duration backoff_cap = Duration::Seconds(1);
    // Attempts before the outcome is kNotApplied or kUnknown. Default 12.
    int max_attempts = 12;
    Repeat repeat = Repeat::kNever;
  };

  // Effects of one step, in the order in which they are to be performed.
  struct Step {
    struct Send {
      NodeId to;
      RegisterRequest request;
    };
    std::vector<Send> sends;
    Time wake_up = Time::Never();            // call OnTimer then; replaces the previous wake-up
    std::optional<RegisterOutcome> outcome;  // final: no more steps are needed
  };

  // `first` is the ballot of the first attempt: {a round of at least 1, self}. A round above the
  // last one seen saves a conflict, no more: any round is safe.
  // `known`: those of the newest value that this node knows to be chosen, who are asked first. Any
  // are safe; where none of them is a voter any more, or knows who is, nothing is committed.
  // REQUIRES: first.round >= 1; first.node is this node's id.
  Proposer(VoterSets known, VotersOf voters_of, Ballot first, Change change, Options options,
           Random random);
  // Of a register whose voters never change, nor forget.
  Proposer(std::vector<NodeId> voters, Ballot first, Change change, Options options, Random random);

  [[nodiscard]] Step Start(Time now);
  // Replies may be lost, repeated, reordered, of an earlier attempt, or of no voter at all.
  // REQUIRES: `reply` answers a request of this very object. Ballots do not tell two proposers of
  // one node apart, nor two lives of a process: the caller correlates by a request id that neither
  // reuses.
  [[nodiscard]] Step OnReply(NodeId from, const RegisterReply& reply, Time now);
  // Harmless when early or repeated.
  [[nodiscard]] Step OnTimer(Time now);

  // A newer value is known to be chosen: from the next attempt on its voters are asked first.
  void SetKnown(VoterSets known) { known_ = std::move(known); }

  // The ballot of the attempt under way (after the outcome, of the last one): where a next proposer
  // of this node may go on from.
  Ballot ballot() const { return ballot_; }

 private:
  // kSettling: what was met, which may be unchosen, is to be accepted as it stands.
  enum class State : uint8_t { kIdle, kPreparing, kSettling, kAccepting, kWaiting, kDone };
  enum class Vote : uint8_t { kNone, kRefused, kGranted };

  Step BeginAttempt(Time now);
  Step OnPromise(const RegisterReply& reply, Time now);
  Step OnPrepared(Time now);
  Step OnAccepted(Time now);
  Step GiveUpAttempt(Time now, absl::Status why);
  Step Finish(RegisterOutcome outcome);
  // Of those in quorum_ who have not been asked in this phase.
  Step Ask(RegisterPhase phase, const std::string& value);
  size_t Count(const std::vector<Voter>& voters, Vote vote) const;
  bool Agreed() const;    // a majority of each set in quorum_
  bool Hopeless() const;  // too many have refused for that

  VoterSets known_;
  const VotersOf voters_of_;
  const Change change_;
  const Options options_;
  Random random_;

  State state_ = State::kIdle;
  Ballot ballot_;
  int attempts_ = 0;
  uint64_t highest_round_ = 0;  // seen in any reply
  Time wake_up_ = Time::Never();
  VoterSets quorum_;             // whose majorities the phase under way waits for
  std::set<NodeId> asked_;       // in it
  std::map<Voter, Vote> votes_;  // of those asked, in the lives in which they answered
  Ballot best_accepted_;         // greatest among the promises of this attempt
  std::string value_;  // kPreparing: under best_accepted_; kSettling, kAccepting: what we propose
  Ballot settled_;     // of an attempt that ended kSettling: what it proposed is chosen
  // Ballots under which we have sent a value that holds our change, without learning its fate.
  std::vector<Ballot> unresolved_;
};

}  // namespace gyre

#endif  // GYRE_RING_REGISTER_H_
