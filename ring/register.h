// Register: one value of bytes that several nodes change by compare-and-set, with no leader.
//
// Algorithm: D. Rystsov, "CASPaxos: Replicated State Machines without logs", 2018 (section 2.2): a
// proposer prepares a ballot at a majority of the acceptors, takes the value accepted under the
// greatest ballot among their answers ("" when there is none), applies its change function, and has
// the result accepted by a majority under the same ballot. A read is a change that returns the same
// value. The topology document is the first user.
//
// Pure code: a step is (event, now) -> messages, wake-up, outcome. An instance belongs to one
// thread.
//
// DURABILITY. When an Acceptor's answer says `state_changed`, the caller makes EncodeAcceptorState
// (acceptor.state()) durable BEFORE it sends the reply. An acceptor that forgets a promise or a
// value breaks the register for everyone; one whose state is lost must not vote again under its old
// id.
//
// Always holds:
//   - An acceptor grants each ballot at most once. So two attempts that share a ballot (two
//     proposers of one node, or a proposer restarted with a used ballot) cannot both gain a
//     majority.
//   - A chosen value was made by change functions from the value chosen before it: one linear
//     chain. (A change that reached a minority may be finished by whoever comes next, under its own
//     change.)
//   - A change is in the chain at most once (unless Repeat::kHarmless allows more). kCommitted
//     means once; kRefused and kNotApplied mean never; kUnknown means that an acceptor may hold it
//     and another proposer may still choose it, so a caller that needs to know must read.

#ifndef GYRE_RING_REGISTER_H_
#define GYRE_RING_REGISTER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "ring/random.h"

namespace gyre {

// Ordered by round, then node. {0, 0} is below every ballot in use.
struct Ballot {
  uint64_t round = 0;
  NodeId node;
  friend constexpr auto operator<=>(const Ballot&, const Ballot&) = default;
};

// What an acceptor must never forget.
struct AcceptorState {
  Ballot promised;
  Ballot accepted;    // {0, 0}: nothing accepted yet
  std::string value;  // accepted under `accepted`
  friend bool operator==(const AcceptorState&, const AcceptorState&) = default;
};

// Grammar: at the top of register.cc. DataLoss for garbage, FailedPrecondition for a newer format.
std::string EncodeAcceptorState(const AcceptorState& state);
absl::StatusOr<AcceptorState> DecodeAcceptorState(std::string_view bytes);

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

  const AcceptorState& state() const { return state_; }

 private:
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
  // and must be a pure function of its argument.
  using Change = std::function<absl::StatusOr<std::string>(const std::string& current)>;

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
  // REQUIRES: voters distinct and not empty; first.round >= 1; first.node is this node's id.
  Proposer(std::vector<NodeId> voters, Ballot first, Change change, Options options, Random random);

  [[nodiscard]] Step Start(Time now);
  // Replies may be lost, repeated, reordered, of an earlier attempt, or of no voter at all.
  // REQUIRES: `reply` answers a request of this very object. Ballots do not tell two proposers of
  // one node apart, nor two lives of a process: the caller correlates by a request id that neither
  // reuses.
  [[nodiscard]] Step OnReply(NodeId from, const RegisterReply& reply, Time now);
  // Harmless when early or repeated.
  [[nodiscard]] Step OnTimer(Time now);

  // The ballot of the attempt under way (after the outcome, of the last one): where a next proposer
  // of this node may go on from.
  Ballot ballot() const { return ballot_; }

 private:
  enum class State : uint8_t { kIdle, kPreparing, kAccepting, kWaiting, kDone };
  enum class Vote : uint8_t { kNone, kRefused, kGranted };

  Step BeginAttempt(Time now);
  Step OnPrepared(Time now);
  Step GiveUpAttempt(Time now, absl::Status why);
  Step Finish(RegisterOutcome outcome);
  Step Broadcast(RegisterPhase phase, const std::string& value);
  size_t Majority() const { return voters_.size() / 2 + 1; }
  size_t Count(Vote vote) const;

  const std::vector<NodeId> voters_;
  const Change change_;
  const Options options_;
  Random random_;

  State state_ = State::kIdle;
  Ballot ballot_;
  int attempts_ = 0;
  uint64_t highest_round_ = 0;  // seen in any reply
  Time wake_up_ = Time::Never();
  std::vector<Vote> votes_;  // of the phase under way, by index into voters_
  Ballot best_accepted_;     // greatest among the promises of this attempt
  std::string value_;        // kPreparing: under best_accepted_; kAccepting: what we propose
  // Ballots under which we have sent a value that holds our change, without learning its fate.
  std::vector<Ballot> unresolved_;
};

}  // namespace gyre

#endif  // GYRE_RING_REGISTER_H_
