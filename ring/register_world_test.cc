// The register in a hostile world: several proposers, a network that loses, repeats and reorders,
// acceptors and proposers that crash and keep only what was durable; and, in some worlds, voters
// that change, of which proposers know those of some time before, and acceptors that lose what was
// durable too, or some of it, and begin another life. One seed is one history.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/register.h"

namespace gyre {
namespace {

using Kind = RegisterOutcome::Kind;

constexpr size_t kMostAcceptors = 5;

// By acceptor: whether it votes, and in which life. For each one byte: 0, or its life and 1.
using Voting = std::string;

// The acceptors of these bits, in the lives that they have.
Voting VotingOf(int bits, const std::vector<uint64_t>& lives) {
  Voting voting(kMostAcceptors, 0);
  for (size_t acceptor = 0; acceptor < lives.size(); ++acceptor) {
    const bool votes = (bits >> acceptor & 1) != 0;
    if (votes) voting[acceptor] = static_cast<char>(lives[acceptor] + 1);
  }
  return voting;
}

// A value is who votes on it, those of now and those before, and the list of the operations in it,
// two bytes each. Where the voters never change, the list alone.
constexpr size_t kVotersBytes = 2 * kMostAcceptors;

VoterSets SetsOf(std::string_view value) {
  VoterSets sets;
  for (size_t i = 0; i < kVotersBytes; ++i) {
    if (value[i] == 0) continue;
    std::vector<Voter>& set = i < kMostAcceptors ? sets.now : sets.before;
    set.push_back({NodeId(i % kMostAcceptors + 1), static_cast<uint64_t>(value[i]) - 1});
  }
  return sets;
}

std::string OperationBytes(int operation) {
  return {static_cast<char>(operation >> 8), static_cast<char>(operation & 0xff)};
}

std::vector<int> Operations(std::string_view value) {
  std::vector<int> operations;
  for (size_t i = 0; i + 1 < value.size(); i += 2) {
    operations.push_back(static_cast<uint8_t>(value[i]) << 8 | static_cast<uint8_t>(value[i + 1]));
  }
  return operations;
}

bool Holds(std::string_view value, int operation) {
  const std::vector<int> operations = Operations(value);
  return std::find(operations.begin(), operations.end(), operation) != operations.end();
}

enum class Work { kAppend, kAppendUnlessOdd, kEnsure, kRead };

// Of an operation that changes the voters, some other sets of three, two or one.
constexpr char kVoters[] = {0b0000111, 0b0001110, 0b0011100, 0b0011001, 0b0000011,
                            0b0001100, 0b0000001, 0b0010000, 0b0001011, 0b0011111};
// Those that one may be lost of.
constexpr char kManyVoters[] = {0b0000111, 0b0001110, 0b0011100, 0b0011001, 0b0001011, 0b0011111};

struct Tally {
  std::map<Kind, int> outcomes;
  int chosen = 0;
  int abandoned = 0;
  int crashes = 0;
  int elections = 0;  // values with other voters than the one before
  int wiped = 0;      // acceptors that lost something
  int stuck = 0;      // worlds in which too many of some set were wiped at once
};

class World {
 public:
  // `first`: the voters of the first value, as bits, where they change; or 0. `wipes`: acceptors
  // lose what was durable.
  World(uint64_t seed, int acceptors, int clients, int operations_each, char first = 0,
        bool wipes = false)
      : random_(seed),
        lossy_per_mille_(random_.Below(300)),
        operations_each_(operations_each),
        wipes_(wipes),
        lives_(static_cast<size_t>(acceptors)),
        first_(first == 0 ? std::string() : VotingOf(first, lives_) + Voting(kMostAcceptors, 0)) {
    for (int i = 0; i < acceptors; ++i) {
      voters_.push_back(NodeId(static_cast<uint64_t>(i) + 1));
      durable_.push_back(EncodeAcceptorState({}));
      kept_.push_back(durable_.back());
      acceptors_.emplace_back(AcceptorState{});
      down_until_.emplace_back();
    }
    clients_.resize(static_cast<size_t>(clients));
  }

  // Runs to the end and answers what went wrong first, or "".
  std::string Run(Tally& tally) {
    for (size_t client = 0; client < clients_.size(); ++client) Schedule(client);
    Drain();
    healthy_ = true;
    clients_.resize(clients_.size() + 1);
    Begin(clients_.size() - 1, Work::kRead);
    Drain();
    if (wrong_.empty()) CheckEnd();
    for (const auto& [operation, outcome] : outcomes_) ++tally.outcomes[outcome.kind];
    tally.chosen += static_cast<int>(chosen_.size());
    tally.abandoned += abandoned_;
    tally.crashes += crashes_;
    tally.elections += elections_;
    tally.wiped += wiped_;
    tally.stuck += stuck_ ? 1 : 0;
    return wrong_;
  }

 private:
  struct Client {
    int begun = 0;
    int operation = 0;
    int proposal = 0;     // unique per Proposer: the request id of replies
    std::set<int> known;  // committed by anyone before this operation began
    std::unique_ptr<Proposer> proposer;
  };
  enum class What { kBegin, kTimer, kRequest, kReply };
  struct Event {
    Time at;
    uint64_t sequence;
    What what;
    size_t client;
    int proposal;
    size_t acceptor;
    RegisterRequest request;
    RegisterReply reply;
    bool operator>(const Event& other) const {
      return std::tie(at, sequence) > std::tie(other.at, other.sequence);
    }
  };

  void Push(Event event, Duration after) {
    event.at = now_ + after;
    event.sequence = ++sequence_;
    events_.push(std::move(event));
  }

  void Schedule(size_t client) {
    Push({{}, 0, What::kBegin, client, 0, 0, {}, {}}, Duration::Millis(random_.Between(0, 400)));
  }

  void Drain() {
    while (!events_.empty() && wrong_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      switch (event.what) {
        case What::kBegin:
          Begin(event.client, static_cast<Work>(random_.Below(4)));
          break;
        case What::kTimer:
        case What::kReply:
          ToProposer(event);
          break;
        case What::kRequest:
          ToAcceptor(event);
          break;
      }
    }
  }

  void Begin(size_t index, Work work) {
    Client& client = clients_[index];
    ++client.begun;
    const int operation = ++last_operation_;
    client.operation = operation;
    client.proposal = ++last_proposal_;
    client.known = committed_;
    Proposer::Options options;
    options.attempt_timeout = Duration::Millis(120);
    options.backoff_base = Duration::Millis(30);
    // Where too many were wiped no attempt helps.
    options.max_attempts = healthy_ ? (wipes_ ? 30 : 1000) : 6;
    const bool repeats = work == Work::kRead || work == Work::kEnsure;
    options.repeat = repeats ? Proposer::Repeat::kHarmless : Proposer::Repeat::kNever;
    if (work == Work::kRead) reads_.insert(operation);
    // Pairs of clients share a node, and everyone starts at round 1 as if nothing was remembered.
    const Ballot first_ballot{1, NodeId(100 + index / 2)};
    if (!first_.empty()) {
      // Of any time: what it knows may be long past. But who is to read the last value knows it.
      std::string known = first_;
      if (healthy_ && !chosen_.empty()) known = chosen_.rbegin()->second;
      if (!healthy_ && !chosen_.empty() && random_.Chance(2, 3)) {
        known = std::next(chosen_.begin(), random_.Below(chosen_.size()))->second;
      }
      const char bits = wipes_ ? kManyVoters[random_.Below(std::size(kManyVoters))]
                               : kVoters[random_.Below(std::size(kVoters))];
      const Voting elect = VotingOf(bits, lives_);
      client.proposer = std::make_unique<Proposer>(
          SetsOf(known), [this](const std::string& v) { return SetsOf(v.empty() ? first_ : v); },
          first_ballot,
          [this, work, operation, elect](const std::string& v) -> absl::StatusOr<std::string> {
            const std::string& current = v.empty() ? first_ : v;
            const std::string_view list = std::string_view(current).substr(kVotersBytes);
            if (work == Work::kRead || (work == Work::kEnsure && Holds(list, operation))) {
              return current;
            }
            const Voting those = current.substr(0, kMostAcceptors);
            const Voting now = work == Work::kAppendUnlessOdd ? elect : those;
            const Voting before = now == those ? Voting(kMostAcceptors, 0) : those;
            return now + before + std::string(list) + OperationBytes(operation);
          },
          options, Random(random_.Next()));
      return Perform(index, client.proposer->Start(now_));
    }
    client.proposer = std::make_unique<Proposer>(
        voters_, first_ballot,
        [work, operation](const std::string& current) -> absl::StatusOr<std::string> {
          if (work == Work::kRead || (work == Work::kEnsure && Holds(current, operation))) {
            return current;
          }
          if (work == Work::kAppendUnlessOdd && Operations(current).size() % 2 == 1) {
            return absl::FailedPreconditionError("odd");
          }
          return current + OperationBytes(operation);
        },
        options, Random(random_.Next()));
    Perform(index, client.proposer->Start(now_));
  }

  void ToProposer(const Event& event) {
    Client& client = clients_[event.client];
    if (client.proposer == nullptr || client.proposal != event.proposal) return;
    if (!healthy_ && random_.Chance(1, 400)) {  // the proposer's process dies
      ++abandoned_;
      client.proposer = nullptr;
      outcomes_[client.operation].kind = Kind::kUnknown;
      if (client.begun < operations_each_) Schedule(event.client);
      return;
    }
    Proposer& proposer = *client.proposer;
    const NodeId from = voters_[event.acceptor];
    Perform(event.client, event.what == What::kTimer ? proposer.OnTimer(now_)
                                                     : proposer.OnReply(from, event.reply, now_));
  }

  void Perform(size_t index, const Proposer::Step& step) {
    Client& client = clients_[index];
    for (const Proposer::Step::Send& send : step.sends) {
      const size_t acceptor =
          static_cast<size_t>(std::find(voters_.begin(), voters_.end(), send.to) - voters_.begin());
      Deliver({{}, 0, What::kRequest, index, client.proposal, acceptor, send.request, {}});
    }
    if (step.outcome.has_value()) {
      OnOutcome(client, *step.outcome);
      client.proposer = nullptr;
      if (!healthy_ && client.begun < operations_each_) Schedule(index);
    } else if (step.wake_up != Time::Never()) {
      Push({{}, 0, What::kTimer, index, client.proposal, 0, {}, {}}, step.wake_up - now_);
    }
  }

  // The network: loses, repeats, and delays so unevenly that messages overtake each other.
  void Deliver(const Event& event) {
    const int copies = random_.Chance(1, 10) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      if (!healthy_ && random_.Chance(lossy_per_mille_, 1000)) continue;
      const bool slow = random_.Chance(1, 20);
      Push(event, Duration::Micros(random_.Between(100, slow ? 2000000 : 40000)));
    }
  }

  void ToAcceptor(const Event& event) {
    const size_t index = event.acceptor;
    if (!healthy_ && now_ < down_until_[index]) return;
    if (wipes_ && !healthy_) {
      if (random_.Chance(1, 80)) kept_[index] = durable_[index];
      if (random_.Chance(1, 80) && MayForget(index)) Forget(index);
    }
    Acceptor& acceptor = acceptors_[index];
    const Acceptor::Answer answer = acceptor.Handle(event.request);
    const bool crash = !healthy_ && random_.Chance(1, 60);
    const bool before_durable = random_.Chance(1, 2);
    if (answer.state_changed && !(crash && before_durable)) {
      durable_[index] = EncodeAcceptorState(acceptor.state());
      if (event.request.phase == RegisterPhase::kAccept) {
        Observe({voters_[index], acceptor.state().life}, event.request);
      }
    }
    if (crash) {
      ++crashes_;
      const auto state = DecodeAcceptorState(durable_[index]);
      GYRE_CHECK(state.ok(), "what was written can be read");
      acceptors_[index] = Acceptor(*state);
      down_until_[index] = now_ + Duration::Millis(random_.Between(1, 500));
      return;
    }
    Event reply = event;
    reply.what = What::kReply;
    reply.reply = answer.reply;
    Deliver(reply);
  }

  // All that was durable is gone, or what came since some time ago. It never answers in its former
  // life again.
  void Forget(size_t index) {
    ++wiped_;
    auto state = DecodeAcceptorState(random_.Chance(1, 2) ? kept_[index] : EncodeAcceptorState({}));
    GYRE_CHECK(state.ok(), "what was written can be read");
    acceptors_[index] = Acceptor(*std::move(state));
    acceptors_[index].BeginLife(++lives_[index]);
    durable_[index] = EncodeAcceptorState(acceptors_[index].state());
  }

  // Whether a majority of each set of the newest value would be left. Of those that are proposed
  // just now it may not.
  bool MayForget(size_t index) const {
    if (lives_[index] == 100) return false;  // it has one byte in a value
    const VoterSets sets = SetsOf(chosen_.empty() ? first_ : chosen_.rbegin()->second);
    const auto left = [&](const std::vector<Voter>& set) {
      const auto there = std::count_if(set.begin(), set.end(), [&](const Voter& voter) {
        const size_t one = voter.node.value() - 1;
        return one != index && voter.life == lives_[one];
      });
      return set.empty() || static_cast<size_t>(there) > set.size() / 2;
    };
    return left(sets.now) && left(sets.before);
  }

  // Sees every durable accept, as no node could.
  void Observe(Voter by, const RegisterRequest& request) {
    auto& [value, holders] = accepted_[request.ballot];
    if (holders.empty()) value = request.value;
    if (value != request.value) wrong_ = "two values under one ballot";
    holders.insert(by);
    const auto majority = [&, &holders = holders](const std::vector<Voter>& set) {
      const auto held = std::count_if(set.begin(), set.end(),
                                      [&](const Voter& voter) { return holders.contains(voter); });
      return static_cast<size_t>(held) > set.size() / 2;
    };
    VoterSets sets;
    if (first_.empty()) {
      for (const NodeId node : voters_) sets.now.push_back({node});
    } else {
      sets = SetsOf(value);
    }
    if (!majority(sets.now) || (!sets.before.empty() && !majority(sets.before))) return;
    if (!chosen_.contains(request.ballot) && !sets.before.empty()) ++elections_;
    chosen_[request.ballot] = value;
  }

  std::string ListOf(const std::string& value) const {
    return value.substr(std::min(value.size(), first_.size()));
  }

  void OnOutcome(const Client& client, RegisterOutcome outcome) {
    outcome.value = ListOf(outcome.value);
    outcomes_[client.operation] = outcome;
    if (outcome.kind != Kind::kCommitted) return;
    for (const int operation : client.known) {
      if (!Holds(outcome.value, operation)) wrong_ = "a commit did not see an earlier commit";
    }
    if (reads_.count(client.operation) == 0) committed_.insert(client.operation);
  }

  void CheckEnd() {
    std::string previous;
    for (const auto& [ballot, whole] : chosen_) {
      const std::string value = ListOf(whole);
      if (value.compare(0, previous.size(), previous) != 0) wrong_ = "chosen values are no chain";
      previous = value;
    }
    std::map<int, int> times;
    for (const int operation : Operations(previous)) ++times[operation];
    for (const auto& [operation, count] : times) {
      if (count > 1) wrong_ = "an operation counts twice";
    }
    const RegisterOutcome& last = outcomes_[last_operation_];
    stuck_ = wiped_ > 0 && last.kind != Kind::kCommitted;
    if (!stuck_ && (last.kind != Kind::kCommitted || last.value != previous)) {
      wrong_ = "the last read is stale";
    }
    for (const auto& [operation, outcome] : outcomes_) {
      const bool counted = times.count(operation) > 0;
      const bool never = outcome.kind == Kind::kRefused || outcome.kind == Kind::kNotApplied;
      if (never && counted) wrong_ = "an operation counts though reported as not made";
      if (outcome.kind != Kind::kCommitted) continue;
      const bool is_read = reads_.count(operation) > 0;
      if (!counted && !is_read) wrong_ = "a committed operation does not count";
      if (previous.compare(0, outcome.value.size(), outcome.value) != 0) {
        wrong_ = "a committed value is not in the chain";
      }
    }
  }

  Random random_;
  const uint64_t lossy_per_mille_;
  const int operations_each_;
  const bool wipes_;
  std::vector<uint64_t> lives_;  // by acceptor: the one that it has
  const std::string first_;      // where voters change: what the register holds at first
  bool healthy_ = false;
  Time now_;
  uint64_t sequence_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;

  std::vector<NodeId> voters_;
  std::vector<std::string> durable_;  // by acceptor: what a crash leaves
  std::vector<std::string> kept_;     // and what was durable some time ago
  std::vector<Acceptor> acceptors_;
  std::vector<Time> down_until_;
  std::vector<Client> clients_;

  int last_operation_ = 0;
  int last_proposal_ = 0;
  int abandoned_ = 0;
  int crashes_ = 0;
  int elections_ = 0;
  int wiped_ = 0;
  bool stuck_ = false;
  std::set<int> reads_;
  std::set<int> committed_;
  std::map<int, RegisterOutcome> outcomes_;
  std::map<Ballot, std::pair<std::string, std::set<Voter>>> accepted_;
  std::map<Ballot, std::string> chosen_;
  std::string wrong_;
};

void Explore(int acceptors, uint64_t seeds) {
  Tally tally;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    World world(seed, acceptors, 4, 8);
    ASSERT_EQ(world.Run(tally), "") << "seed " << seed << " with " << acceptors << " acceptors";
  }
  // A world in which nothing of a kind ever happens shows nothing about it.
  for (const Kind kind : {Kind::kCommitted, Kind::kRefused, Kind::kNotApplied, Kind::kUnknown}) {
    EXPECT_GT(tally.outcomes[kind], 0) << "kind " << static_cast<int>(kind);
  }
  EXPECT_GT(tally.outcomes[Kind::kCommitted], tally.outcomes[Kind::kUnknown]);
  EXPECT_GT(tally.abandoned, 0);
  EXPECT_GT(tally.crashes, 0);
  std::printf("%d chosen, %d committed, %d refused, %d not applied, %d unknown, %d crashes\n",
              tally.chosen, tally.outcomes[Kind::kCommitted], tally.outcomes[Kind::kRefused],
              tally.outcomes[Kind::kNotApplied], tally.outcomes[Kind::kUnknown], tally.crashes);
}

TEST(RegisterWorld, IsOneChainThatCountsEachCommitOnceWithThreeAcceptors) { Explore(3, 3000); }

TEST(RegisterWorld, IsOneChainThatCountsEachCommitOnceWithFiveAcceptors) { Explore(5, 2000); }

TEST(RegisterWorld, WorksWithOneAcceptorAndWithTwo) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    for (const int acceptors : {1, 2}) {
      World world(seed, acceptors, 3, 5);
      ASSERT_EQ(world.Run(tally), "") << "seed " << seed << " with " << acceptors;
    }
  }
  EXPECT_GT(tally.outcomes[Kind::kCommitted], 0);
}

TEST(RegisterWorld, IsOneChainWhateverTheVotersAre) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    World world(seed, 5, 4, 6, kVoters[seed % 3 == 0 ? 6 : 0]);
    ASSERT_EQ(world.Run(tally), "") << "seed " << seed;
  }
  for (const Kind kind : {Kind::kCommitted, Kind::kNotApplied, Kind::kUnknown}) {
    EXPECT_GT(tally.outcomes[kind], 0) << "kind " << static_cast<int>(kind);
  }
  EXPECT_GT(tally.elections, 1500);
  EXPECT_GT(tally.crashes, 0);
  std::printf("%d chosen, %d of them with other voters, %d committed, %d not applied, %d unknown\n",
              tally.chosen, tally.elections, tally.outcomes[Kind::kCommitted],
              tally.outcomes[Kind::kNotApplied], tally.outcomes[Kind::kUnknown]);
}

// Voters lose what they promised and accepted, and are voted in again while others go on.
TEST(RegisterWorld, IsOneChainWhateverVotersForget) {
  Tally tally;
  constexpr int kWorlds = 1500;
  for (uint64_t seed = 1; seed <= kWorlds; ++seed) {
    World world(seed, 5, 4, 8, kManyVoters[seed % 3 == 0 ? 5 : 0], /*wipes=*/true);
    ASSERT_EQ(world.Run(tally), "") << "seed " << seed;
  }
  EXPECT_GT(tally.wiped, 2 * kWorlds);
  EXPECT_GT(tally.elections, kWorlds);
  EXPECT_LT(tally.stuck, kWorlds / 10);
  EXPECT_GT(tally.outcomes[Kind::kCommitted], 5 * kWorlds);
  std::printf("%d chosen, %d of them with other voters, %d wiped, %d worlds stuck\n", tally.chosen,
              tally.elections, tally.wiped, tally.stuck);
}

}  // namespace
}  // namespace gyre
