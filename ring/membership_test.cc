// Membership step by step. Many of them together: test/sim/membership_world_test.cc.

#include "ring/membership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace gyre {
namespace {

using Kind = MembershipMessage::Kind;
using Sends = std::vector<MembershipEffects::Send>;

constexpr NodeId kSelf = NodeId(1);
constexpr NodeId kPeer = NodeId(2);

class MembershipTest : public testing::Test {
 protected:
  // The others are 2 to `nodes`.
  void Begin(int nodes) {
    std::vector<NodeId> others;
    for (int id = 2; id <= nodes; ++id) others.push_back(NodeId(static_cast<uint64_t>(id)));
    membership_.SetMembers(others, now_);
    Take();
  }
  void Take() {
    MembershipEffects effects = membership_.TakeEffects(now_);
    wake_ = effects.wake;
    for (auto& send : effects.sends) sends_.push_back(std::move(send));
    for (auto& change : effects.changes) changes_.push_back(change);
    for (const auto& loaded : effects.loads) loads_.push_back(loaded);
    for (const auto& newer : effects.newer_epochs) newer_.push_back(newer);
  }
  // Time passes, with every wake-up in it.
  void Pass(Duration duration) {
    const Time end = now_ + duration;
    while (wake_ <= end) {
      now_ = wake_;
      membership_.OnWake(now_);
      Take();
    }
    now_ = end;
  }
  void Hear(NodeId from, const MembershipMessage& message) {
    membership_.OnMessage(from, message, now_);
    Take();
  }
  void HearThat(Liveness liveness, NodeId node, uint64_t incarnation, NodeId by,
                NodeId from = kPeer) {
    MembershipMessage message;
    message.rumours.push_back({node, liveness, incarnation, by, 0, Load::kIdle});
    Hear(from, message);
  }
  void Answer(NodeId from, uint64_t sequence) {
    MembershipMessage message;
    message.kind = Kind::kAnswer;
    message.sequence = sequence;
    Hear(from, message);
  }
  // Answers the probe by which this node helps.
  MembershipEffects::Send CallForHelp(NodeId asker, NodeId about) {
    MembershipMessage call;
    call.kind = Kind::kHelp;
    call.sequence = 9;
    call.about = about;
    Hear(asker, call);
    const Sends probes = Sent(Kind::kProbe);
    EXPECT_EQ(probes.size(), 1u);
    return probes.empty() ? MembershipEffects::Send() : probes[0];
  }
  // Those of that kind since the last call; the rest is forgotten.
  Sends Sent(Kind kind) {
    Sends sent;
    for (auto& send : sends_) {
      if (send.message.kind == kind) sent.push_back(std::move(send));
    }
    sends_.clear();
    return sent;
  }
  // Time passes, and everybody answers but one, of whom helpers say that they have no answer if
  // they are heard.
  void PassWithout(NodeId silent, bool helpers_heard, Duration duration) {
    for (const Time end = now_ + duration; now_ < end;) {
      Pass(Duration::Millis(100));
      for (const auto& send : std::exchange(sends_, {})) {
        told_.push_back(send);
        MembershipMessage answer;
        answer.sequence = send.message.sequence;
        answer.kind = send.message.kind == Kind::kHelp ? Kind::kNone : Kind::kAnswer;
        const bool heard = send.message.kind == Kind::kHelp
                               ? helpers_heard
                               : send.message.kind == Kind::kProbe && send.to != silent;
        if (heard) Hear(send.to, answer);
      }
    }
  }
  // Messages of those that PassWithout took, to others, which say that the node is not alive.
  int64_t ToldOf(NodeId suspect) const {
    return std::count_if(told_.begin(), told_.end(), [&](const auto& send) {
      const auto& rumours = send.message.rumours;
      return send.to != suspect &&
             std::any_of(rumours.begin(), rumours.end(), [&](const auto& one) {
               return one.node == suspect && one.liveness != Liveness::kAlive;
             });
    });
  }
  MembershipEffects::Send NextProbe() {
    for (;;) {
      Sends probes = Sent(Kind::kProbe);
      if (!probes.empty()) return probes.front();
      Pass(wake_ - now_);
    }
  }

  Time now_ = Time::FromMicros(1'000'000);
  Time wake_;
  Membership membership_{kSelf, MembershipOptions(), Random(1)};
  Sends sends_;
  Sends told_;
  std::vector<MembershipEffects::Change> changes_;
  std::vector<MembershipEffects::Loaded> loads_;
  std::vector<MembershipEffects::Newer> newer_;
};

TEST_F(MembershipTest, DoesNothingAlone) {
  Begin(1);
  EXPECT_EQ(wake_, Time::Never());
}

TEST_F(MembershipTest, ProbesEachOtherOnceARound) {
  Begin(6);
  for (int round = 0; round < 3; ++round) {
    std::vector<NodeId> probed;
    for (int i = 0; i < 5; ++i) {
      const auto probe = NextProbe();
      probed.push_back(probe.to);
      Answer(probe.to, probe.message.sequence);
    }
    std::sort(probed.begin(), probed.end());
    EXPECT_EQ(probed, (std::vector<NodeId>{NodeId(2), NodeId(3), NodeId(4), NodeId(5), NodeId(6)}));
  }
  EXPECT_TRUE(changes_.empty());
}

TEST_F(MembershipTest, AnswersAProbe) {
  Begin(2);
  MembershipMessage probe;
  probe.kind = Kind::kProbe;
  probe.sequence = 77;
  Hear(kPeer, probe);
  const Sends answers = Sent(Kind::kAnswer);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].to, kPeer);
  EXPECT_EQ(answers[0].message.sequence, 77u);
}

TEST_F(MembershipTest, AsksHelpersBeforeItSuspects) {
  Begin(6);
  const auto probe = NextProbe();
  Pass(Duration::Millis(500));
  const Sends calls = Sent(Kind::kHelp);
  ASSERT_EQ(calls.size(), 3u);
  for (const auto& call : calls) {
    EXPECT_NE(call.to, probe.to);
    EXPECT_EQ(call.message.about, probe.to);
  }
  EXPECT_TRUE(changes_.empty());
  Answer(calls[0].to, calls[0].message.sequence);  // a helper's word
  Pass(Duration::Millis(500));
  EXPECT_TRUE(changes_.empty());
  EXPECT_EQ(membership_.health().score(), 0);
}

TEST_F(MembershipTest, SuspectsWhoAnswersNobodyAndTakesItForDeadInTheEnd) {
  Begin(6);
  const NodeId silent = NextProbe().to;
  Pass(Duration::Seconds(1));
  ASSERT_EQ(changes_.size(), 1u);
  EXPECT_EQ(changes_[0].node, silent);
  EXPECT_EQ(changes_[0].liveness, Liveness::kSuspect);
  HearThat(Liveness::kSuspect, silent, 0, NodeId(100));
  HearThat(Liveness::kSuspect, silent, 0, NodeId(101));
  HearThat(Liveness::kSuspect, silent, 0, NodeId(102));
  Pass(Duration::Millis(3999));
  EXPECT_EQ(membership_.LivenessOf(silent), Liveness::kSuspect);
  Pass(Duration::Millis(1));
  EXPECT_EQ(membership_.LivenessOf(silent), Liveness::kDead);
}

TEST_F(MembershipTest, TellsASuspectThatItIsOne) {
  Begin(3);
  HearThat(Liveness::kSuspect, NodeId(3), 0, kPeer);
  Pass(Duration::Millis(900));  // until it is no news that goes round any more
  sends_.clear();
  MembershipMessage probe;
  probe.kind = Kind::kProbe;
  Hear(NodeId(3), probe);
  const Sends answers = Sent(Kind::kAnswer);
  ASSERT_EQ(answers.size(), 1u);
  const auto& rumours = answers[0].message.rumours;
  ASSERT_EQ(rumours.size(), 1u);
  EXPECT_EQ(rumours[0].node, NodeId(3));
  EXPECT_EQ(rumours[0].liveness, Liveness::kSuspect);
}

TEST_F(MembershipTest, RefutesWhatIsSaidOfItself) {
  Begin(2);
  const uint64_t before = membership_.incarnation();
  HearThat(Liveness::kDead, kSelf, before + 5, kPeer);
  EXPECT_EQ(membership_.incarnation(), before + 6);
  EXPECT_EQ(membership_.health().score(), 1);
  Pass(Duration::Millis(200));
  const Sends gossip = Sent(Kind::kGossip);
  ASSERT_FALSE(gossip.empty());
  ASSERT_FALSE(gossip[0].message.rumours.empty());
  const Rumour& rumour = gossip[0].message.rumours[0];
  EXPECT_EQ(rumour.node, kSelf);
  EXPECT_EQ(rumour.liveness, Liveness::kAlive);
  EXPECT_EQ(rumour.incarnation, before + 6);

  Pass(Duration::Seconds(2));
  sends_.clear();
  HearThat(Liveness::kSuspect, kSelf, before, kPeer);  // long refuted, but here it was not heard
  EXPECT_EQ(membership_.incarnation(), before + 6);
  Pass(Duration::Millis(200));
  EXPECT_FALSE(Sent(Kind::kGossip).empty());
}

// A count that nobody counts beyond would be believed for ever.
TEST_F(MembershipTest, BelievesOfOthersOnlyWhatTheyCanRefute) {
  constexpr uint64_t kHighest = (uint64_t{1} << 62) - 1;
  Begin(4);
  HearThat(Liveness::kDead, NodeId(3), kHighest + 1, kPeer);
  EXPECT_TRUE(changes_.empty()) << "beyond what a member may have counted to";
  HearThat(Liveness::kDead, NodeId(3), kHighest, kPeer);
  ASSERT_EQ(changes_.size(), 1u);
  MembershipMessage refutation;
  refutation.incarnation = kHighest + 1;
  Hear(NodeId(3), refutation);
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_EQ(changes_.back().node, NodeId(3));
  EXPECT_EQ(changes_.back().liveness, Liveness::kAlive);
}

TEST_F(MembershipTest, RefutesWhateverOthersMayBelieveOfIt) {
  constexpr uint64_t kHighest = (uint64_t{1} << 62) - 1;
  Begin(2);
  HearThat(Liveness::kDead, kSelf, kHighest, kPeer);
  EXPECT_EQ(membership_.incarnation(), kHighest + 1);
  HearThat(Liveness::kSuspect, kSelf, kHighest + 1, kPeer);
  EXPECT_EQ(membership_.incarnation(), kHighest + 2) << "of this node itself they heard the last";
}

TEST_F(MembershipTest, AsksForAllThatIsKnownWhenItRefutesItsDeath) {
  Begin(200);
  HearThat(Liveness::kDead, kSelf, 0, kPeer);
  const Sends asked = Sent(Kind::kAskAll);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].to, kPeer);
  HearThat(Liveness::kDead, kSelf, 0, NodeId(3), NodeId(3));  // one answer is enough
  EXPECT_TRUE(Sent(Kind::kAskAll).empty());
}

TEST_F(MembershipTest, TellsAllThatIsNewsToWhoAsks) {
  Begin(200);
  for (uint64_t node = 3; node <= 102; ++node) HearThat(Liveness::kDead, NodeId(node), 7, kPeer);
  sends_.clear();
  MembershipMessage ask;
  ask.kind = Kind::kAskAll;
  Hear(kPeer, ask);
  size_t told = 0;
  for (const auto& send : Sent(Kind::kGossip)) {
    EXPECT_EQ(send.to, kPeer);
    EXPECT_LE(send.message.rumours.size(), 30u);
    told += send.message.rumours.size();
  }
  EXPECT_EQ(told, 100u);
}

TEST_F(MembershipTest, ProbesOnceMoreBeforeItAsksForHelp) {
  Begin(6);
  const auto probe = NextProbe();
  Pass(Duration::Millis(250));
  const Sends again = Sent(Kind::kProbe);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].to, probe.to);
  EXPECT_EQ(again[0].message.sequence, probe.message.sequence);
}

TEST_F(MembershipTest, BelievesARefutation) {
  Begin(3);
  HearThat(Liveness::kSuspect, NodeId(3), 4, kPeer);
  HearThat(Liveness::kAlive, NodeId(3), 4, NodeId(3));
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kSuspect);
  HearThat(Liveness::kAlive, NodeId(3), 5, NodeId(3));
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kAlive);
  changes_.clear();
  HearThat(Liveness::kSuspect, NodeId(3), 4, kPeer);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(MembershipTest, HelpsAndTellsThatItGotNoAnswerYet) {
  Begin(3);
  const MembershipEffects::Send probe = CallForHelp(kPeer, NodeId(3));
  EXPECT_EQ(probe.to, NodeId(3));
  Pass(Duration::Millis(400));
  Sends nones = Sent(Kind::kNone);
  ASSERT_EQ(nones.size(), 1u);
  EXPECT_EQ(nones[0].to, kPeer);
  EXPECT_EQ(nones[0].message.sequence, 9u);
  Answer(NodeId(3), probe.message.sequence);  // late, and welcome all the same
  Sends answers = Sent(Kind::kAnswer);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].to, kPeer);
  EXPECT_EQ(answers[0].message.sequence, 9u);
}

TEST_F(MembershipTest, TrustsItselfLessWhenItsHelpersAreSilentToo) {
  Begin(6);
  NextProbe();
  Pass(Duration::Seconds(1));
  EXPECT_EQ(membership_.health().score(), 3);
}

TEST_F(MembershipTest, TrustsItselfWhenItsHelpersGotNoAnswerEither) {
  Begin(6);
  NextProbe();
  Pass(Duration::Millis(500));
  for (const auto& call : Sent(Kind::kHelp)) {
    MembershipMessage none;
    none.kind = Kind::kNone;
    none.sequence = call.message.sequence;
    Hear(call.to, none);
  }
  Pass(Duration::Millis(500));
  EXPECT_EQ(membership_.health().score(), 0);
  EXPECT_EQ(changes_.size(), 1u);
}

TEST_F(MembershipTest, JudgesNobodyByWhatItMissedWhileItStoodStill) {
  Begin(6);
  NextProbe();
  HearThat(Liveness::kSuspect, NodeId(3), 0, kPeer);
  changes_.clear();
  now_ = now_ + Duration::Seconds(600);
  membership_.OnWake(now_);
  Take();
  EXPECT_TRUE(changes_.empty());
  EXPECT_EQ(membership_.health().score(), 1);
  // What was said of it meanwhile may have waited with it.
  HearThat(Liveness::kAlive, NodeId(3), 1, NodeId(3));
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kAlive);
}

TEST_F(MembershipTest, ProbesTheDeadNowAndThen) {
  Begin(4);
  HearThat(Liveness::kDead, NodeId(3), 1, kPeer);
  std::set<uint64_t> all;
  std::set<uint64_t> dead;  // a probe that is made once more has its sequence again
  while (all.size() < 80) {
    const auto probe = NextProbe();
    all.insert(probe.message.sequence);
    if (probe.to == NodeId(3)) {
      dead.insert(probe.message.sequence);
    } else {
      Answer(probe.to, probe.message.sequence);
    }
  }
  EXPECT_EQ(dead.size(), 10u);
  EXPECT_EQ(membership_.health().score(), 0);  // that it does not answer is no news
}

TEST_F(MembershipTest, IgnoresWhoIsNoMember) {
  Begin(3);
  HearThat(Liveness::kSuspect, NodeId(50), 1, kPeer);
  HearThat(Liveness::kDead, NodeId(3), 1, NodeId(50), NodeId(50));
  EXPECT_TRUE(changes_.empty());
  EXPECT_EQ(membership_.LivenessOf(NodeId(50)), Liveness::kDead);
}

TEST_F(MembershipTest, ForgetsWhoIsNoMemberAnyMore) {
  Begin(3);
  HearThat(Liveness::kSuspect, NodeId(3), 1, kPeer);
  membership_.SetMembers({kPeer}, now_);
  Take();
  Pass(Duration::Seconds(100));
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kDead);
  for (const auto& send : sends_) EXPECT_NE(send.to, NodeId(3));
}

TEST_F(MembershipTest, TellsThatWhoIsNoMemberAnyMoreWouldCountAsAliveWereItOneAgain) {
  Begin(3);
  HearThat(Liveness::kSuspect, NodeId(3), 1, kPeer);
  changes_.clear();
  membership_.SetMembers({kPeer}, now_);
  Take();
  ASSERT_EQ(changes_.size(), 1u);
  EXPECT_EQ(changes_[0].node, NodeId(3));
  EXPECT_EQ(changes_[0].liveness, Liveness::kAlive);
  membership_.SetMembers({kPeer, NodeId(3)}, now_);
  Take();
  EXPECT_EQ(changes_.size(), 1u);
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kAlive);
}

TEST_F(MembershipTest, HelpsNobodyWhoIsNoMemberAnyMore) {
  Begin(3);
  const uint64_t probe = CallForHelp(kPeer, NodeId(3)).message.sequence;
  membership_.SetMembers({NodeId(3)}, now_);
  Take();
  Answer(NodeId(3), probe);
  Pass(Duration::Seconds(3));
  for (const auto& send : sends_) EXPECT_NE(send.to, kPeer);
}

TEST_F(MembershipTest, GivesASuspectTimeAfterItStoodStillWhateverComesFirst) {
  Begin(6);
  HearThat(Liveness::kSuspect, NodeId(3), 0, kPeer);
  now_ = now_ + Duration::Seconds(600);
  membership_.OnWake(now_);
  Take();
  changes_.clear();
  for (uint64_t by : {4, 5, 6}) HearThat(Liveness::kSuspect, NodeId(3), 0, NodeId(by));
  membership_.OnWake(now_);
  Take();
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kSuspect);
  HearThat(Liveness::kAlive, NodeId(3), 1, NodeId(3));
  EXPECT_EQ(membership_.LivenessOf(NodeId(3)), Liveness::kAlive);
}

TEST_F(MembershipTest, KeepsToItselfWhatNoHelperBearsOut) {
  Begin(6);
  PassWithout(kPeer, /*helpers_heard=*/false, Duration::Seconds(20));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kSuspect) << "and asks others first";
  MembershipMessage ask_all;
  ask_all.kind = Kind::kAskAll;
  Hear(NodeId(3), ask_all);
  PassWithout(kPeer, /*helpers_heard=*/false, Duration::Seconds(80));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kDead);
  EXPECT_EQ(ToldOf(kPeer), 0);
  HearThat(Liveness::kDead, kPeer, 1, NodeId(6), NodeId(6));
  PassWithout(kPeer, false, Duration::Seconds(1));
  EXPECT_GT(ToldOf(kPeer), 0) << "somebody else came to the same";
}

TEST_F(MembershipTest, WithdrawsWhatItKeptOnceThereIsAnAnswer) {
  Begin(6);
  PassWithout(kPeer, /*helpers_heard=*/false, Duration::Seconds(80));
  ASSERT_EQ(membership_.LivenessOf(kPeer), Liveness::kDead);
  PassWithout(NodeId(), true, Duration::Seconds(20));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
}

TEST_F(MembershipTest, TellsWhoAskedForHelpWhatIsKnownOfTheOther) {
  Begin(30);
  MembershipMessage answer;
  answer.kind = Kind::kAnswer;
  answer.sequence = CallForHelp(kPeer, NodeId(3)).message.sequence;
  answer.incarnation = 5;
  Hear(NodeId(3), answer);
  const Sends answers = Sent(Kind::kAnswer);
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_FALSE(answers[0].message.rumours.empty());
  EXPECT_EQ(answers[0].message.rumours.back().node, NodeId(3));
  EXPECT_EQ(answers[0].message.rumours.back().incarnation, 5u);
}

TEST_F(MembershipTest, TellsWhatItKeptOnceAHelperBearsItOut) {
  Begin(6);
  PassWithout(kPeer, /*helpers_heard=*/false, Duration::Seconds(10));
  ASSERT_EQ(membership_.LivenessOf(kPeer), Liveness::kSuspect);
  ASSERT_EQ(ToldOf(kPeer), 0);
  PassWithout(kPeer, /*helpers_heard=*/true, Duration::Seconds(10));
  EXPECT_GT(ToldOf(kPeer), 0);
}

TEST_F(MembershipTest, AnswersTheProbeOfAStrangerAndBelievesNothingElseOfIt) {
  Begin(3);
  MembershipMessage probe;
  probe.kind = Kind::kProbe;
  probe.sequence = 9;
  probe.epoch = Epoch(9);
  probe.rumours.push_back({kPeer, Liveness::kSuspect, 0, NodeId(50), 0, Load::kIdle});
  Hear(NodeId(50), probe);
  const Sends answers = Sent(Kind::kAnswer);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].to, NodeId(50));
  EXPECT_EQ(answers[0].message.sequence, 9u);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
  EXPECT_TRUE(newer_.empty());
}

TEST_F(MembershipTest, BelievesASuspectThatHasRefutedWhateverMessageItSends) {
  Begin(30);
  HearThat(Liveness::kSuspect, kPeer, 0, NodeId(3));
  MembershipMessage probe;
  probe.kind = Kind::kProbe;
  Hear(kPeer, probe);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kSuspect) << "it has not heard of it yet";
  probe.incarnation = 1;
  Hear(kPeer, probe);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
  HearThat(Liveness::kSuspect, kPeer, 0, NodeId(3));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
}

TEST_F(MembershipTest, CallsASuspectTwiceBeforeItTakesItForDead) {
  Begin(200);
  HearThat(Liveness::kSuspect, kPeer, 0, NodeId(3));
  sends_.clear();
  PassWithout(kPeer, /*helpers_heard=*/true, Duration::Seconds(60));
  std::set<uint64_t> probes;
  for (; membership_.LivenessOf(kPeer) == Liveness::kSuspect; told_.clear()) {
    PassWithout(kPeer, true, Duration::Millis(100));
    for (const auto& send : told_) {
      const bool called = send.message.kind == Kind::kProbe && send.to == kPeer;
      if (called) probes.insert(send.message.sequence);
    }
    ASSERT_LT(now_, Time::FromMicros(0) + Duration::Seconds(100));
  }
  EXPECT_EQ(probes.size(), 2u);
  EXPECT_GT(now_, Time::FromMicros(0) + Duration::Seconds(72))
      << "the calls put its end not forward";
}

TEST_F(MembershipTest, ASuspicionThatIsConfirmedLateLeavesTimeForTheCalls) {
  Begin(200);
  HearThat(Liveness::kSuspect, kPeer, 0, NodeId(3));
  PassWithout(kPeer, /*helpers_heard=*/true, Duration::Seconds(50));
  for (uint64_t by = 4; by <= 6; ++by) HearThat(Liveness::kSuspect, kPeer, 0, NodeId(by));
  PassWithout(kPeer, true, Duration::Millis(2'500));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kSuspect);
  PassWithout(kPeer, true, Duration::Millis(1'000));
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kDead);
}

TEST_F(MembershipTest, TellsAMemberWhatAnEarlierLifeOfItHasSaid) {
  Begin(2);
  MembershipMessage said;
  said.incarnation = 3;
  said.load_version = 50;
  said.rumours.push_back({kPeer, Liveness::kAlive, 3, kPeer, 50, Load::kFull});
  Hear(kPeer, said);
  sends_.clear();
  Hear(kPeer, MembershipMessage());
  const Sends told = Sent(Kind::kGossip);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].to, kPeer);
  EXPECT_EQ(told[0].message.rumours[0].incarnation, 3u);
  EXPECT_EQ(told[0].message.rumours[0].load_version, 50u);
}

TEST_F(MembershipTest, SaysMoreThanItsEarlierLifeWhenItLearnsOfThat) {
  Begin(2);
  MembershipMessage told;
  told.rumours.push_back({kSelf, Liveness::kAlive, 3, kSelf, 50, Load::kFull});
  Hear(kPeer, told);
  Pass(Duration::Millis(200));
  const Sends gossip = Sent(Kind::kGossip);
  ASSERT_FALSE(gossip.empty());
  EXPECT_GT(gossip[0].message.rumours[0].load_version, 50u);
  EXPECT_GT(gossip[0].message.rumours[0].incarnation, 3u);
  EXPECT_EQ(gossip[0].message.rumours[0].load, Load::kIdle);
}

TEST_F(MembershipTest, IgnoresCountsThatNobodyReaches) {
  Begin(2);
  HearThat(Liveness::kDead, kSelf, UINT64_MAX, kPeer);
  EXPECT_LT(membership_.incarnation(), 10u);
  HearThat(Liveness::kDead, kPeer, UINT64_MAX, kPeer);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
}

// The highest count that is believed of a member, or of oneself.
constexpr uint64_t kLastCount = (uint64_t{1} << 63) - 1;

TEST_F(MembershipTest, CountsNoFurtherThanOthersBelieve) {
  Begin(2);
  MembershipMessage forged;
  forged.rumours.push_back({kSelf, Liveness::kDead, kLastCount, kPeer, kLastCount, Load::kFull});
  Hear(kPeer, forged);
  EXPECT_EQ(membership_.incarnation(), kLastCount);
  EXPECT_EQ(NextProbe().message.load_version, kLastCount);
}

TEST_F(MembershipTest, AMemberThatCannotRefuteAnyMoreIsTakenForAliveOnceItAnswers) {
  Begin(2);
  MembershipMessage said;
  said.incarnation = kLastCount;
  Hear(kPeer, said);
  Pass(Duration::Seconds(3));
  ASSERT_EQ(membership_.LivenessOf(kPeer), Liveness::kSuspect);
  said.kind = Kind::kAnswer;
  sends_.clear();
  said.sequence = NextProbe().message.sequence;
  Hear(kPeer, said);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
  Pass(Duration::Seconds(100));
  ASSERT_EQ(membership_.LivenessOf(kPeer), Liveness::kDead);
  sends_.clear();
  said.sequence = NextProbe().message.sequence;
  Hear(kPeer, said);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kAlive);
}

TEST_F(MembershipTest, AnAnswerOfWhoCanStillRefuteRevivesNobody) {
  Begin(2);
  HearThat(Liveness::kDead, kPeer, 5, NodeId(2));
  MembershipMessage answer;
  answer.kind = Kind::kAnswer;
  answer.incarnation = 5;
  answer.sequence = NextProbe().message.sequence;
  Hear(kPeer, answer);
  EXPECT_EQ(membership_.LivenessOf(kPeer), Liveness::kDead) << "it is told, and refutes";
}

TEST_F(MembershipTest, FindsTheFewWhoAreLeft) {
  Begin(500);
  for (uint64_t node = 4; node <= 500; ++node) HearThat(Liveness::kDead, NodeId(node), 1, kPeer);
  sends_.clear();
  Pass(Duration::Millis(200));
  EXPECT_GE(Sent(Kind::kGossip).size(), 2u);
}

TEST_F(MembershipTest, TellsWhoKnowsANewerDocument) {
  Begin(2);
  membership_.SetEpoch(Epoch(4));
  MembershipMessage message;
  message.epoch = Epoch(4);
  Hear(kPeer, message);
  EXPECT_TRUE(newer_.empty());
  message.epoch = Epoch(5);
  Hear(kPeer, message);
  EXPECT_EQ(newer_, (std::vector<MembershipEffects::Newer>{{kPeer, Epoch(5)}}));
}

TEST_F(MembershipTest, TellsItsLoadWhenThatHasChanged) {
  Begin(2);
  const auto first = NextProbe();
  Answer(first.to, first.message.sequence);
  membership_.SetLoad(Load::kBusy);
  const auto probe = NextProbe();
  ASSERT_EQ(probe.message.rumours.size(), 1u);
  EXPECT_EQ(probe.message.rumours[0].node, kSelf);
  EXPECT_EQ(probe.message.rumours[0].load, Load::kBusy);
}

TEST_F(MembershipTest, TakesTheNewestLoad) {
  Begin(2);
  const auto say = [this](uint64_t version, Load load) {
    MembershipMessage message;
    message.rumours.push_back({kPeer, Liveness::kAlive, 0, kPeer, version, load});
    Hear(kPeer, message);
  };
  say(2, Load::kFull);
  say(1, Load::kLight);
  EXPECT_EQ(membership_.LoadOf(kPeer), Load::kFull);
  say(3, Load::kLight);
  EXPECT_EQ(membership_.LoadOf(kPeer), Load::kLight);
}

TEST_F(MembershipTest, SaysOnceThatTheLoadOfAMemberHasChanged) {
  Begin(2);
  MembershipMessage message;
  for (const uint64_t version : {1, 1, 2}) {
    message.rumours = {{kPeer, Liveness::kAlive, 0, kPeer, version, Load::kFull}};
    Hear(kPeer, message);
  }
  EXPECT_EQ(loads_, (std::vector<MembershipEffects::Loaded>{{kPeer, Load::kFull}}));
}

TEST_F(MembershipTest, HearsTheLoadOfWhoSendsAMessageAndPassesItOn) {
  Begin(3);
  MembershipMessage message;
  message.load_version = 4;
  message.load = Load::kBusy;
  Hear(kPeer, message);
  EXPECT_EQ(membership_.LoadOf(kPeer), Load::kBusy);
  EXPECT_EQ(loads_, (std::vector<MembershipEffects::Loaded>{{kPeer, Load::kBusy}}));
  sends_.clear();
  Pass(Duration::Millis(200));
  const Sends gossip = Sent(Kind::kGossip);
  ASSERT_FALSE(gossip.empty());
  ASSERT_EQ(gossip[0].message.rumours.size(), 1u);
  EXPECT_EQ(gossip[0].message.rumours[0].load, Load::kBusy);
  message.load_version = 3;
  message.load = Load::kFull;
  Hear(kPeer, message);
  EXPECT_EQ(membership_.LoadOf(kPeer), Load::kBusy) << "an older message";
  message.load_version = UINT64_MAX;
  Hear(kPeer, message);
  EXPECT_EQ(membership_.LoadOf(kPeer), Load::kBusy) << "a count that nobody reaches";
}

TEST_F(MembershipTest, SaysItsLoadWithEachMessage) {
  Begin(2);
  membership_.SetLoad(Load::kFull);
  const auto first = NextProbe();
  EXPECT_EQ(first.message.load, Load::kFull);
  EXPECT_EQ(first.message.load_version, 1u);
}

TEST_F(MembershipTest, WhoIsNoMemberAnyMoreIsNotLoadedEither) {
  Begin(3);
  MembershipMessage message;
  message.load_version = 1;
  message.load = Load::kFull;
  Hear(kPeer, message);
  membership_.SetMembers({NodeId(3)}, now_);
  Take();
  EXPECT_EQ(loads_,
            (std::vector<MembershipEffects::Loaded>{{kPeer, Load::kFull}, {kPeer, Load::kIdle}}));
}

TEST_F(MembershipTest, SendsNoMessageWithMoreRumoursThanItMay) {
  Begin(200);
  for (uint64_t node = 3; node <= 200; ++node) {
    HearThat(Liveness::kSuspect, NodeId(node), 1, kPeer);
  }
  Pass(Duration::Seconds(5));
  ASSERT_FALSE(sends_.empty());
  for (const auto& send : sends_) EXPECT_LE(send.message.rumours.size(), 30u);
}

}  // namespace
}  // namespace gyre
