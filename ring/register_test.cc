#include "ring/register.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gyre {
namespace {

using Kind = RegisterOutcome::Kind;

const NodeId kSelf(10);
const Time kStart = Time::FromMicros(1000);

Ballot At(uint64_t round, uint64_t node = 10) { return {round, NodeId(node)}; }

Proposer::Change Append(std::string suffix) {
  return [suffix](const std::string& current) -> absl::StatusOr<std::string> {
    return current + suffix;
  };
}

Proposer Make(Proposer::Change change, Proposer::Options options = {}) {
  return Proposer({NodeId(1), NodeId(2), NodeId(3)}, {1, kSelf}, std::move(change), options,
                  Random(1));
}

RegisterReply Promise(Ballot ballot, Ballot accepted = {}, std::string value = "",
                      uint64_t life = 0) {
  return {RegisterPhase::kPrepare, ballot, true, ballot, accepted, std::move(value), life};
}
RegisterReply Accepted(Ballot ballot, uint64_t life = 0) {
  return {RegisterPhase::kAccept, ballot, true, ballot, {}, "", life};
}
RegisterReply Refused(RegisterPhase phase, Ballot ballot, Ballot promised) {
  return {phase, ballot, false, promised, {}, ""};
}

TEST(Acceptor, GrantsEachBallotOnce) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_TRUE(acceptor.Prepare(At(1)).reply.granted);
  const Acceptor::Answer again = acceptor.Prepare(At(1));
  EXPECT_FALSE(again.reply.granted);
  EXPECT_FALSE(again.state_changed);
  EXPECT_EQ(again.reply.promised, At(1));
}

TEST(Acceptor, RefusesWhatIsBelowItsPromise) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_TRUE(acceptor.Prepare(At(5)).state_changed);
  EXPECT_FALSE(acceptor.Prepare(At(4)).reply.granted);
  EXPECT_FALSE(acceptor.Accept(At(4), "x").reply.granted);
  EXPECT_EQ(acceptor.state(), (AcceptorState{At(5), {}, ""}));
}

TEST(Acceptor, TellsALaterPrepareWhatItAccepted) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_TRUE(acceptor.Accept(At(2), "v").state_changed);
  const Acceptor::Answer answer = acceptor.Prepare(At(3));
  EXPECT_EQ(answer.reply.accepted, At(2));
  EXPECT_EQ(answer.reply.value, "v");
}

TEST(Acceptor, ARepeatedAcceptChangesNothing) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_TRUE(acceptor.Accept(At(2), "v").state_changed);
  const Acceptor::Answer again = acceptor.Accept(At(2), "v");
  EXPECT_TRUE(again.reply.granted);
  EXPECT_FALSE(again.state_changed);
}

TEST(Acceptor, NeverAcceptsTheBallotThatMeansNone) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_FALSE(acceptor.Accept(Ballot(), "v").reply.granted);
  EXPECT_FALSE(acceptor.Prepare(Ballot()).reply.granted);
}

// One wrong message, and nobody could ever gain a greater one.
TEST(Acceptor, RefusesABallotThatIsTooFarAbove) {
  Acceptor acceptor(AcceptorState{});
  EXPECT_TRUE(acceptor.Prepare(At(7)).reply.granted);
  for (const uint64_t round : {UINT64_MAX, UINT64_MAX - 1, 7 + kMaxRoundStep + 1}) {
    EXPECT_FALSE(acceptor.Prepare(At(round)).reply.granted);
    EXPECT_FALSE(acceptor.Accept(At(round), "x").reply.granted);
  }
  EXPECT_EQ(acceptor.state(), (AcceptorState{At(7), {}, ""}));
  EXPECT_TRUE(acceptor.Prepare(At(7 + kMaxRoundStep)).reply.granted);
  Acceptor last({At(kMaxRound - 1), {}, ""});
  EXPECT_FALSE(last.Prepare(At(kMaxRound + 1)).reply.granted);
  EXPECT_FALSE(DecodeAcceptorState(EncodeAcceptorState({At(kMaxRound + 1), {}, ""})).ok());
}

TEST(Acceptor, NamesItsLifeInEachReplyAndBeginsAnotherWithWhatItHolds) {
  Acceptor acceptor(AcceptorState{{}, {}, "", 4});
  EXPECT_EQ(acceptor.Accept(At(2), "v").reply.life, 4u);
  acceptor.BeginLife(9);
  EXPECT_EQ(acceptor.state(), (AcceptorState{At(2), At(2), "v", 9}));
  EXPECT_EQ(acceptor.Prepare(At(1)).reply.life, 9u) << "also where it refuses";
  const Acceptor::Answer answer = acceptor.Prepare(At(3));
  EXPECT_EQ(answer.reply.life, 9u);
  EXPECT_EQ(answer.reply.value, "v");
}

TEST(AcceptorState, RoundTripsAndRefusesGarbage) {
  const AcceptorState state{At(7, 3), At(6, 2), "value", 5};
  const std::string bytes = EncodeAcceptorState(state);
  EXPECT_EQ(*DecodeAcceptorState(bytes), state);
  EXPECT_EQ(*DecodeAcceptorState(EncodeAcceptorState({})), AcceptorState{});
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeAcceptorState(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeAcceptorState(bytes + "x").ok());
  EXPECT_FALSE(DecodeAcceptorState(EncodeAcceptorState({At(1), At(2), "v"})).ok());
  EXPECT_FALSE(DecodeAcceptorState(EncodeAcceptorState({At(1), {}, "v"})).ok());
  std::string newer = bytes;
  newer[0] = 3;
  EXPECT_EQ(DecodeAcceptorState(newer).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(AcceptorState, InTheFormatThatHadNoLifeItIsTheFirst) {
  std::string bytes = EncodeAcceptorState({At(7, 3), At(6, 2), "value", 5});
  bytes[0] = 1;
  EXPECT_FALSE(DecodeAcceptorState(bytes).ok()) << "what is behind the value";
  bytes.erase(bytes.size() - 8);
  EXPECT_FALSE(AcceptorStateHasLife(bytes));
  EXPECT_TRUE(AcceptorStateHasLife(EncodeAcceptorState({})));
  EXPECT_EQ(*DecodeAcceptorState(bytes), (AcceptorState{At(7, 3), At(6, 2), "value", 0}));
}

TEST(Proposer, CommitsWhenAMajorityAccepts) {
  Proposer proposer = Make(Append("+a"));
  Proposer::Step step = proposer.Start(kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.phase, RegisterPhase::kPrepare);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
  step = proposer.OnReply(NodeId(2), Promise(At(1)), kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[2].request.phase, RegisterPhase::kAccept);
  EXPECT_EQ(step.sends[2].request.value, "+a");
  EXPECT_FALSE(proposer.OnReply(NodeId(3), Accepted(At(1)), kStart).outcome.has_value());
  step = proposer.OnReply(NodeId(1), Accepted(At(1)), kStart);
  ASSERT_TRUE(step.outcome.has_value());
  EXPECT_EQ(step.outcome->kind, Kind::kCommitted);
  EXPECT_EQ(step.outcome->value, "+a");
  EXPECT_EQ(step.wake_up, Time::Never());
}

TEST(Proposer, BuildsOnTheValueOfTheGreatestAcceptedBallot) {
  Proposer proposer = Make(Append("+a"));
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1), At(0, 9), "new"), kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(2), Promise(At(1), At(0, 8), "old"), kStart);
  ASSERT_FALSE(step.sends.empty());
  EXPECT_EQ(step.sends[0].request.value, "new+a");
}

TEST(Proposer, CountsAVoterOnceAndAStrangerNever) {
  Proposer proposer = Make(Append("+a"));
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(4), Promise(At(1)), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(2), Promise(At(9)), kStart).sends.empty());
  EXPECT_EQ(proposer.OnReply(NodeId(3), Promise(At(1)), kStart).sends.size(), 3u);
}

TEST(Proposer, AGrantCountsAfterTheRefusalOfItsDuplicate) {
  Proposer proposer = Make(Append("+a"));
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  const RegisterReply refused = Refused(RegisterPhase::kPrepare, At(1), At(1));
  EXPECT_TRUE(proposer.OnReply(NodeId(1), refused, kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
  EXPECT_EQ(proposer.OnReply(NodeId(2), Promise(At(1)), kStart).sends.size(), 3u);
}

TEST(Proposer, ReportsARefusalOfTheChange) {
  Proposer proposer = Make([](const std::string&) -> absl::StatusOr<std::string> {
    return absl::AlreadyExistsError("taken");
  });
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_FALSE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).outcome.has_value());
  const auto step = proposer.OnReply(NodeId(2), Promise(At(1)), kStart);
  ASSERT_TRUE(step.outcome.has_value());
  EXPECT_EQ(step.outcome->kind, Kind::kRefused);
  EXPECT_EQ(step.outcome->status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(step.sends.empty());
}

// Brings a proposer to where two voters have refused its prepare under ballot 1.
Proposer::Step Preempt(Proposer& proposer) {
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  const RegisterReply refused = Refused(RegisterPhase::kPrepare, At(1), At(7, 3));
  EXPECT_TRUE(proposer.OnReply(NodeId(1), refused, kStart).sends.empty());
  return proposer.OnReply(NodeId(2), refused, kStart);
}

TEST(Proposer, RetriesAboveTheRivalAfterABoundedBackOff) {
  Proposer proposer = Make(Append("+a"));
  const Proposer::Options defaults;
  Proposer::Step step = Preempt(proposer);
  EXPECT_TRUE(step.sends.empty());
  EXPECT_GE(step.wake_up, kStart);
  EXPECT_LE(step.wake_up, kStart + defaults.backoff_base * 2);
  step = proposer.OnTimer(step.wake_up);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.ballot, At(8));
  EXPECT_EQ(proposer.ballot(), At(8));
}

// One wrong message, and its next attempt would be one that every acceptor refuses.
TEST(Proposer, IsNotDrivenUpByABallotThatIsTooFarAbove) {
  for (const uint64_t round : {UINT64_MAX, kMaxRoundStep + 2}) {
    Proposer proposer = Make(Append("+a"));
    auto step = proposer.Start(kStart);
    const RegisterReply wrong = Refused(RegisterPhase::kPrepare, At(1), At(round, 3));
    for (const uint64_t voter : {1, 2, 3}) step = proposer.OnReply(NodeId(voter), wrong, kStart);
    step = proposer.OnTimer(step.wake_up);                          // nobody has said anything
    if (step.sends.empty()) step = proposer.OnTimer(step.wake_up);  // it has backed off
    ASSERT_EQ(step.sends.size(), 3u);
    EXPECT_EQ(step.sends[0].request.ballot, At(2));
  }
}

// Who promises a ballot has accepted none that is as great, or it would have refused.
TEST(Proposer, APromiseThatTellsOfAsGreatABallotIsNone) {
  Proposer proposer = Make(Append("+a"));
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1), At(1), "x"), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(2), Promise(At(1), At(5), "y"), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(3), Promise(At(1)), kStart).sends.empty()) << "one of three";
  const auto step = proposer.OnReply(NodeId(1), Promise(At(1), At(0, 9), "v"), kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.value, "v+a");
}

TEST(Proposer, BackOffsOfRivalsDiffer) {
  std::vector<Time> wake_ups;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    Proposer proposer({NodeId(1), NodeId(2), NodeId(3)}, {1, kSelf}, Append(""), {}, Random(seed));
    wake_ups.push_back(Preempt(proposer).wake_up);
  }
  EXPECT_NE(wake_ups[0], wake_ups[1]);
}

TEST(Proposer, AnEarlyTimerDoesNothing) {
  Proposer proposer = Make(Append("+a"));
  const Time due = proposer.Start(kStart).wake_up;
  EXPECT_EQ(due, kStart + Duration::Seconds(1));
  const auto step = proposer.OnTimer(kStart);
  EXPECT_TRUE(step.sends.empty());
  EXPECT_EQ(step.wake_up, due);
}

TEST(Proposer, WasNotAppliedWhenNoMajorityEverPromised) {
  Proposer::Options options;
  options.max_attempts = 3;
  Proposer proposer = Make(Append("+a"), options);
  Proposer::Step step = proposer.Start(kStart);
  int prepares = 0;
  while (!step.outcome.has_value()) {
    prepares += step.sends.empty() ? 0 : 1;
    step = proposer.OnTimer(step.wake_up);
  }
  EXPECT_EQ(prepares, 3);
  EXPECT_EQ(step.outcome->kind, Kind::kNotApplied);
  EXPECT_EQ(step.outcome->status.code(), absl::StatusCode::kUnavailable);
}

// Sends the change under ballot 1, hears nothing of it, and prepares ballot 2.
Proposer SentButUnanswered(Proposer::Options options = {}) {
  Proposer proposer = Make(Append("+a"), options);
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
  Proposer::Step step = proposer.OnReply(NodeId(2), Promise(At(1)), kStart);
  EXPECT_EQ(step.sends.size(), 3u);
  step = proposer.OnTimer(step.wake_up);
  step = proposer.OnTimer(step.wake_up);
  EXPECT_EQ(proposer.ballot(), At(2));
  return proposer;
}

TEST(Proposer, FinishesItsOwnValueInsteadOfChangingTwice) {
  Proposer proposer = SentButUnanswered();
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(2), At(1), "+a"), kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(3), Promise(At(2)), kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.value, "+a");
}

TEST(Proposer, ChangesAnewWhenItsValueReachedNoOneOfTheMajority) {
  Proposer proposer = SentButUnanswered();
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(2), At(0, 9), "base"), kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(3), Promise(At(2)), kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.value, "base+a");
}

TEST(Proposer, DoesNotKnowWhenARivalMayHaveBuiltOnItsValue) {
  Proposer proposer = SentButUnanswered();
  const RegisterReply rival = Promise(At(2), At(1, 11), "+a+b");
  EXPECT_TRUE(proposer.OnReply(NodeId(1), rival, kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(3), Promise(At(2)), kStart);
  ASSERT_TRUE(step.outcome.has_value());
  EXPECT_EQ(step.outcome->kind, Kind::kUnknown);
}

TEST(Proposer, AHarmlessChangeIsMadeAgainOnTopOfARival) {
  Proposer::Options options;
  options.repeat = Proposer::Repeat::kHarmless;
  Proposer proposer = SentButUnanswered(options);
  const RegisterReply rival = Promise(At(2), At(1, 11), "b");
  EXPECT_TRUE(proposer.OnReply(NodeId(1), rival, kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(3), Promise(At(2)), kStart);
  ASSERT_EQ(step.sends.size(), 3u);
  EXPECT_EQ(step.sends[0].request.value, "b+a");
}

// What it sent before may be chosen yet by somebody who has not met what came between.
TEST(Proposer, IsRefusedOnlyOnceWhatItSentBeforeIsBuried) {
  const auto once = [](const std::string& value) -> absl::StatusOr<std::string> {
    if (value == "b") return absl::FailedPreconditionError("b is there");
    return value + "+a";
  };
  Proposer::Options options;
  options.repeat = Proposer::Repeat::kHarmless;
  for (const Ballot met : {At(0, 11), At(1, 11)}) {
    Proposer proposer = Make(once, options);
    ASSERT_EQ(proposer.Start(kStart).sends.size(), 3u);
    ASSERT_TRUE(proposer.OnReply(NodeId(1), Promise(At(1)), kStart).sends.empty());
    Proposer::Step step = proposer.OnReply(NodeId(2), Promise(At(1)), kStart);
    step = proposer.OnTimer(step.wake_up);
    step = proposer.OnTimer(step.wake_up);
    ASSERT_TRUE(proposer.OnReply(NodeId(1), Promise(At(2), met, "b"), kStart).sends.empty());
    step = proposer.OnReply(NodeId(3), Promise(At(2)), kStart);
    ASSERT_EQ(step.sends.size(), 3u);
    EXPECT_EQ(step.sends[0].request.phase, RegisterPhase::kAccept);
    EXPECT_EQ(step.sends[0].request.value, "b");
    EXPECT_FALSE(proposer.OnReply(NodeId(1), Accepted(At(2)), kStart).outcome.has_value());
    step = proposer.OnReply(NodeId(3), Accepted(At(2)), kStart);
    ASSERT_EQ(step.sends.size(), 3u);
    EXPECT_EQ(step.sends[0].request.phase, RegisterPhase::kPrepare);
    EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(3), At(2), "b"), kStart).sends.empty());
    step = proposer.OnReply(NodeId(3), Promise(At(3), At(2), "b"), kStart);
    ASSERT_TRUE(step.outcome.has_value());
    EXPECT_EQ(step.outcome->kind, Kind::kRefused);
    EXPECT_EQ(step.outcome->status.message(), "b is there");
  }
}

TEST(Proposer, ItsOutcomeIsUnknownWhenAttemptsRunOutAfterTheChangeWasSent) {
  Proposer::Options options;
  options.max_attempts = 2;
  Proposer proposer = SentButUnanswered(options);
  const auto step = proposer.OnTimer(kStart + Duration::Seconds(100));
  ASSERT_TRUE(step.outcome.has_value());
  EXPECT_EQ(step.outcome->kind, Kind::kUnknown);
}

// ---- voters that change: a value is its text, and behind each '/' who votes from there on.

std::vector<NodeId> VotersIn(std::string_view digits) {
  std::vector<NodeId> voters;
  for (const char digit : digits) voters.push_back(NodeId(static_cast<uint64_t>(digit - '0')));
  return voters;
}

// Behind a node, a letter for each life but its first: "12b3" has 2 in its second.
std::vector<Voter> LivesIn(std::string_view text) {
  std::vector<Voter> voters;
  for (const char c : text) {
    if (c >= 'a') {
      voters.back().life = static_cast<uint64_t>(c - 'a');
    } else {
      voters.push_back({NodeId(static_cast<uint64_t>(c - '0'))});
    }
  }
  return voters;
}

// "x/123" is of a document that has those voters, "x/123/234" of one that has the latter and is
// made from one that had the former.
VoterSets VotersOf(const std::string& value) {
  if (value.empty()) return {LivesIn("123")};
  const size_t last = value.rfind('/');
  const size_t first = value.find('/');
  VoterSets sets{LivesIn(std::string_view(value).substr(last + 1))};
  if (first != last) {
    sets.before = LivesIn(std::string_view(value).substr(first + 1, last - first - 1));
  }
  return sets;
}

Proposer OfMany(std::string known, std::string next) {
  Proposer::Options options;
  options.repeat = Proposer::Repeat::kHarmless;
  return Proposer(
      VotersOf(known), VotersOf, {5, kSelf},
      [next](const std::string&) -> absl::StatusOr<std::string> { return next; }, options,
      Random(1));
}

std::vector<NodeId> To(const Proposer::Step& step) {
  std::vector<NodeId> to;
  for (const Proposer::Step::Send& send : step.sends) to.push_back(send.to);
  return to;
}

TEST(Proposer, AChangeOfVotersNeedsAMajorityOfThoseBeforeAndOfThoseThatCome) {
  Proposer proposer = OfMany("", "v/123/345");
  EXPECT_EQ(To(proposer.Start(kStart)), VotersIn("123"));
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(5)), kStart).sends.empty());
  EXPECT_EQ(To(proposer.OnReply(NodeId(2), Promise(At(5)), kStart)), VotersIn("34512"));
  for (int node : {4, 5, 3}) {
    EXPECT_FALSE(proposer.OnReply(NodeId(node), Accepted(At(5)), kStart).outcome.has_value())
        << node << ": those who voted so far have not agreed";
  }
  const auto step = proposer.OnReply(NodeId(1), Accepted(At(5)), kStart);
  ASSERT_TRUE(step.outcome.has_value());
  EXPECT_EQ(step.outcome->kind, Kind::kCommitted);
}

TEST(Proposer, AMajorityOfAllIsNoMajorityOfThoseWhoCome) {
  Proposer proposer = OfMany("", "v/123/4");
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(5)), kStart).sends.empty());
  EXPECT_EQ(To(proposer.OnReply(NodeId(2), Promise(At(5)), kStart)), VotersIn("4123"));
  for (uint64_t node : {1, 2, 3}) {
    EXPECT_FALSE(proposer.OnReply(NodeId(node), Accepted(At(5)), kStart).outcome.has_value());
  }
  EXPECT_TRUE(proposer.OnReply(NodeId(4), Accepted(At(5)), kStart).outcome.has_value());
}

TEST(Proposer, AsksThoseWhoVoteByWhatItMeets) {
  Proposer proposer = OfMany("", "w/345");
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  const auto more = proposer.OnReply(NodeId(3), Promise(At(5), At(4, 9), "v/345"), kStart);
  EXPECT_EQ(To(more), VotersIn("45"));
  EXPECT_EQ(more.sends[0].request.phase, RegisterPhase::kPrepare);
  EXPECT_TRUE(proposer.OnReply(NodeId(1), Promise(At(5)), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(2), Promise(At(5)), kStart).sends.empty());
  const auto step = proposer.OnReply(NodeId(5), Promise(At(5), At(4, 9), "v/345"), kStart);
  EXPECT_EQ(To(step), VotersIn("345"));
  EXPECT_EQ(step.sends[0].request.value, "w/345");
}

TEST(Proposer, WhereNothingWasAcceptedThoseOfTheFirstValueHaveToSaySo) {
  Proposer proposer = OfMany("v/4", "w/123");
  EXPECT_EQ(To(proposer.Start(kStart)), VotersIn("4"));
  EXPECT_EQ(To(proposer.OnReply(NodeId(4), Promise(At(5)), kStart)), VotersIn("123"));
}

TEST(Proposer, WhatMayBeUnchosenIsChosenAsItStandsBeforeAnythingIsMadeOfIt) {
  Proposer proposer = OfMany("", "w/234");
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  const RegisterReply met = Promise(At(5), At(4, 9), "v/123/234");
  EXPECT_EQ(To(proposer.OnReply(NodeId(2), met, kStart)), VotersIn("4"));
  auto step = proposer.OnReply(NodeId(3), Promise(At(5)), kStart);
  EXPECT_EQ(To(step), VotersIn("2341"));
  EXPECT_EQ(step.sends[0].request.value, "v/123/234");
  EXPECT_TRUE(proposer.OnReply(NodeId(4), Accepted(At(5)), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(3), Accepted(At(5)), kStart).sends.empty())
      << "only one of those before";
  step = proposer.OnReply(NodeId(1), Accepted(At(5)), kStart);
  ASSERT_FALSE(step.sends.empty());
  EXPECT_EQ(step.sends[0].request.phase, RegisterPhase::kPrepare);
  EXPECT_EQ(proposer.ballot(), At(6));
  const RegisterReply settled = Promise(At(6), At(5), "v/123/234");
  EXPECT_TRUE(proposer.OnReply(NodeId(2), settled, kStart).sends.empty());
  step = proposer.OnReply(NodeId(3), settled, kStart);
  EXPECT_EQ(To(step), VotersIn("234"));
  EXPECT_EQ(step.sends[0].request.value, "w/234");
}

TEST(Proposer, AReplyCountsForTheLifeThatTheVoterHas) {
  Proposer proposer = OfMany("v/12b3", "w/12b3");
  EXPECT_EQ(To(proposer.Start(kStart)), VotersIn("123"));
  const auto met = [](uint64_t life) { return Promise(At(5), At(4, 9), "v/12b3", life); };
  EXPECT_TRUE(proposer.OnReply(NodeId(1), met(0), kStart).sends.empty());
  EXPECT_TRUE(proposer.OnReply(NodeId(2), met(0), kStart).sends.empty()) << "it has forgotten";
  EXPECT_TRUE(proposer.OnReply(NodeId(3), met(7), kStart).sends.empty()) << "not voted in yet";
  const auto step = proposer.OnReply(NodeId(2), met(1), kStart);
  EXPECT_EQ(To(step), VotersIn("123"));
  EXPECT_FALSE(proposer.OnReply(NodeId(1), Accepted(At(5)), kStart).outcome.has_value());
  EXPECT_FALSE(proposer.OnReply(NodeId(2), Accepted(At(5)), kStart).outcome.has_value());
  EXPECT_TRUE(proposer.OnReply(NodeId(2), Accepted(At(5), 1), kStart).outcome.has_value());
}

TEST(Proposer, WhoDoesNotVoteInItsLifeStillTellsOfWhatItHolds) {
  Proposer proposer = OfMany("", "w/123");
  EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
  const RegisterReply met = Promise(At(5), At(4, 9), "v/145", 3);
  EXPECT_EQ(To(proposer.OnReply(NodeId(3), met, kStart)), VotersIn("45"));
}

// One node, two voters: it has to be asked once, and counts where its life is named.
TEST(Proposer, ANodeMayBeOfThoseBeforeInOneLifeAndOfThoseThatComeInAnother) {
  // It answered in its former life as well, before that ended; or the third one has.
  for (const NodeId last : {NodeId(1), NodeId(3)}) {
    Proposer proposer = OfMany("", "v/123/1b23");
    EXPECT_EQ(proposer.Start(kStart).sends.size(), 3u);
    EXPECT_TRUE(proposer.OnReply(NodeId(2), Promise(At(5)), kStart).sends.empty());
    EXPECT_EQ(To(proposer.OnReply(NodeId(3), Promise(At(5)), kStart)), VotersIn("123"));
    EXPECT_FALSE(proposer.OnReply(NodeId(1), Accepted(At(5), 1), kStart).outcome.has_value());
    EXPECT_FALSE(proposer.OnReply(NodeId(2), Accepted(At(5)), kStart).outcome.has_value())
        << "of those before, one";
    EXPECT_TRUE(proposer.OnReply(last, Accepted(At(5)), kStart).outcome.has_value());
  }
}

}  // namespace
}  // namespace gyre
