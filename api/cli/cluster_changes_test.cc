#include "api/cli/cluster_changes.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

// A cluster of nodes that all serve and see each other, and nothing moves.
class Cluster {
 public:
  explicit Cluster(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      v1::TopologyMember member;
      member.set_name(name);
      v1::NodeStatusReply status;
      status.set_state("serving");
      for (const std::string& other : names) {
        if (other == name) continue;
        v1::PeerStatus* const peer = status.add_peers();
        peer->set_node(other);
        peer->set_connected(true);
      }
      members_.push_back({member, status});
    }
  }

  Cluster& Is(size_t node, v1::MemberState state) {
    members_[node].member.set_state(state);
    return *this;
  }
  Cluster& Silence(size_t node) {
    members_[node].status = absl::UnavailableError("connection refused");
    return *this;
  }
  Cluster& Fails(size_t node, const std::string& state) {
    members_[node].status->set_state(state);
    return *this;
  }
  Cluster& Cut(size_t node, const std::string& from) {
    for (v1::PeerStatus& peer : *members_[node].status->mutable_peers()) {
      if (peer.node() == from) peer.set_connected(false);
    }
    return *this;
  }
  Cluster& Moves(const std::string& from, const std::string& to, uint64_t waiting, uint64_t filling,
                 uint64_t finishing) {
    v1::Transfer* const transfer = transfers_.add_transfers();
    transfer->set_from(from);
    transfer->set_to(to);
    transfer->set_waiting(waiting);
    transfer->set_filling(filling);
    transfer->set_finishing(finishing);
    transfers_.set_since(12);
    v1::MoveOutlook* const outlook = transfers_.mutable_outlook();
    outlook->set_copies(outlook->copies() + waiting + filling);
    outlook->set_bytes(outlook->copies() << 20);
    outlook->set_seconds(outlook->copies() * 2);
    return *this;
  }
  Cluster& Holds(size_t node, uint64_t partitions, uint64_t bytes) {
    members_[node].status->set_partitions_owned(partitions);
    members_[node].status->set_disk_bytes(bytes);
    return *this;
  }
  Cluster& ToRefill(size_t node, uint64_t partitions) {
    members_[node].status->set_partitions_to_fill(partitions);
    members_[node].status->set_partitions_to_refill(partitions);
    return *this;
  }
  Cluster& IsGiven(size_t node, uint64_t partitions) {
    members_[node].status->set_partitions_to_fill(partitions);
    return *this;
  }
  // By the node that is asked.
  Cluster& Votes(const std::string& node, bool reachable, uint64_t life = 0) {
    Add(node, reachable, life, transfers_.add_voters());
    return *this;
  }
  Cluster& VotedBefore(const std::string& node, bool reachable) {
    Add(node, reachable, 0, transfers_.add_voters_before());
    return *this;
  }
  Cluster& Ends(int voter) {
    transfers_.mutable_voters(voter)->set_ended(true);
    return *this;
  }
  const std::vector<MemberStatus>& members() const { return members_; }
  const v1::ListTransfersReply& transfers() const { return transfers_; }
  ClusterChanges Changes() const { return ChangesOf(members_, transfers_); }
  LastWords LastWordsOf(const std::string& node) const {
    return LastWordsOn(node, members_, transfers_);
  }
  // For whom it waits.
  std::string WaitsFor() const {
    std::string all;
    for (const ClusterChanges::Wait& wait : Changes().waits) all += wait.node + " ";
    return all;
  }

 private:
  static void Add(const std::string& node, bool reachable, uint64_t life, v1::Voter* voter) {
    voter->set_node(node);
    voter->set_life(life);
    voter->set_reachable(reachable);
  }

  std::vector<MemberStatus> members_;
  v1::ListTransfersReply transfers_;
};

testing::AssertionResult Says(const ClusterChanges& changes, const std::string& words) {
  const std::string told = Told(changes);
  if (told.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << told << "does not say: " << words;
}

testing::AssertionResult Says(const std::vector<std::string>& all, const std::string& words) {
  for (const std::string& one : all) {
    if (one.find(words) != std::string::npos) return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << all.size() << " sentences, none of which says: " << words;
}

TEST(ClusterChanges, SayThatNothingMoves) {
  const ClusterChanges changes = Cluster({"n0", "n1", "n2"}).Changes();
  EXPECT_EQ(Told(changes), "members: 3 active\nmoving:  nothing\n");
  EXPECT_EQ(changes.copies(), 0u);
}

TEST(ClusterChanges, SayWhatIsLeftAndThatItGoesOnByItself) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  cluster.Is(2, v1::MEMBER_STATE_LEAVING).Moves("n2", "n3", 30, 8, 3).Moves("n2", "n0", 1, 0, 0);
  const ClusterChanges changes = cluster.Changes();
  EXPECT_EQ(changes.waiting, 31u);
  EXPECT_EQ(changes.filling, 8u);
  EXPECT_EQ(changes.finishing, 3u);
  EXPECT_TRUE(Says(changes, "members: 3 active, 1 leaving\n"));
  EXPECT_TRUE(Says(changes,
                   "42 copies of partitions left: 31 waiting, 8 filling, 3 finishing; the oldest "
                   "since epoch 12\n"));
  EXPECT_TRUE(Says(changes, "some 39.0 MiB, in about 1m 18s (at 16 MiB/s"));
  EXPECT_TRUE(Says(changes, "it goes on by itself\n"));
}

TEST(ClusterChanges, WaitForANodeThatGivesOrIsGivenAndDoesNotAnswer) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  cluster.Moves("n1", "n3", 0, 2, 0);
  EXPECT_EQ(cluster.WaitsFor(), "");
  EXPECT_EQ(Cluster(cluster).Silence(0).WaitsFor(), "") << "it has no part in it";
  EXPECT_EQ(Cluster(cluster).Silence(1).WaitsFor(), "n1 ");
  const ClusterChanges dead = Cluster(cluster).Silence(3).Changes();
  EXPECT_TRUE(Says(dead, "waits for n3, which is given partitions and does not answer"));
  EXPECT_TRUE(Says(dead, "`gyre node remove n3` or `gyre node replace n3 WITH`"));
  EXPECT_FALSE(Says(dead, "by itself"));
  EXPECT_TRUE(Says(Cluster(cluster).Fails(3, "failed: a write failed").Changes(),
                   "waits for n3, which is given partitions and is failed: a write failed"));
}

TEST(ClusterChanges, WaitForNobodyOnceAllIsCopied) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  EXPECT_EQ(cluster.Moves("n1", "n3", 0, 0, 0).Silence(3).WaitsFor(), "");
}

TEST(ClusterChanges, WaitForAllThatAreLeftWhereTheFormerOwnerIsDead) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  cluster.Is(1, v1::MEMBER_STATE_DEAD).Silence(1).Moves("n1", "n3", 1, 1, 0);
  EXPECT_EQ(cluster.WaitsFor(), "") << "nobody waits for the dead";
  EXPECT_TRUE(Says(cluster.Changes(), "members: 3 active, 1 dead\n"));
  EXPECT_EQ(cluster.Silence(0).WaitsFor(), "n0 ");
  EXPECT_TRUE(Says(cluster.Changes(), "may own what is filled in the place of n1"));
}

TEST(ClusterChanges, SayWhoFillsWhatItLost) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  cluster.Moves("n1", "n3", 5, 2, 0).IsGiven(3, 2);
  EXPECT_TRUE(cluster.Changes().refilling.empty()) << "these are no loss";
  cluster.ToRefill(2, 48);
  EXPECT_TRUE(Says(cluster.Changes(), "filling: n2 fills 48 partitions from the other owners"));
  EXPECT_TRUE(Says(cluster.Changes(), "it goes on by itself"));
  EXPECT_TRUE(Says(cluster.Silence(0).Changes(), "may own what n2 fills and does not answer"));
}

TEST(ClusterChanges, WaitForTheNetworkBetweenTwo) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Moves("n1", "n2", 0, 1, 0).Cut(2, "n0");
  EXPECT_EQ(cluster.WaitsFor(), "");
  EXPECT_TRUE(Says(cluster.Cut(2, "n1").Changes(), "by n1, and cannot reach it: mend the network"));
}

// Any of them may be the one that begins the moves.
TEST(ClusterChanges, WaitForTheNetworkBetweenWhoIsGivenPartitionsAndAThird) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Moves("n1", "n2", 1, 0, 0);
  EXPECT_EQ(cluster.WaitsFor(), "");
  cluster.Cut(0, "n2");
  EXPECT_TRUE(Says(cluster.Changes(), "is to be given partitions, and n0 cannot reach it"));
  EXPECT_EQ(cluster.Silence(0).WaitsFor(), "") << "it begins none";
}

TEST(ClusterChanges, WaitForOneThatLeavesAndIsDown) {
  Cluster cluster({"n0", "n1", "n2", "n3"});
  cluster.Is(3, v1::MEMBER_STATE_LEAVING);
  EXPECT_TRUE(Says(cluster.Changes(), "it goes on by itself"));
  EXPECT_EQ(cluster.Silence(3).WaitsFor(), "n3 ");
}

TEST(ClusterChanges, NameWhoIsDownThoughNothingWaitsForIt) {
  Cluster cluster({"n0", "n1", "n2"});
  const ClusterChanges changes = cluster.Silence(2).Changes();
  EXPECT_TRUE(changes.waits.empty());
  EXPECT_TRUE(Says(changes, "n2 does not serve, and nothing that moves waits for it"));
}

TEST(ClusterChanges, NameWhoWaitsToBeTold) {
  Cluster cluster({"n0", "n1", "n2"});
  const ClusterChanges changes = cluster.Is(2, v1::MEMBER_STATE_WAITING).Changes();
  EXPECT_TRUE(Says(changes, "members: 2 active, 1 waiting\n"));
  EXPECT_TRUE(Says(changes, "n2 owns nothing until it is told to: `gyre node join n2`"));
}

TEST(ClusterChanges, SayASizeByWhatAllHaveWhereTheNodeThatWasAskedCannotTell) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Holds(0, 10, 60 << 20).Holds(1, 30, 100 << 20).Holds(2, 0, 9 << 20).Silence(2);
  v1::ListTransfersReply asked = cluster.Moves("n1", "n2", 20, 0, 0).transfers();
  asked.mutable_outlook()->clear_bytes();
  asked.mutable_outlook()->set_seconds(2);
  const ClusterChanges changes = ChangesOf(cluster.members(), asked);
  EXPECT_EQ(changes.outlook.bytes(), uint64_t{80} << 20) << "4 MiB each";
  EXPECT_EQ(changes.outlook.seconds(), 5u) << "at 16 MiB/s";
  asked.mutable_outlook()->set_measured(true);
  EXPECT_EQ(ChangesOf(cluster.members(), asked).outlook.seconds(), 2u);
}

TEST(ClusterChanges, SayNoSizeWhereNobodyCanTell) {
  v1::MoveOutlook outlook;
  outlook.set_copies(3);
  outlook.set_seconds(1);
  EXPECT_EQ(About(outlook), "of a size that nobody who was asked can tell");
  outlook.set_bytes(3 << 20);
  outlook.set_measured(true);
  EXPECT_EQ(About(outlook), "some 3.0 MiB, in about 1s");
}

TEST(ClusterChanges, SayWhoVotesAndHowManyOfThemAreThere) {
  Cluster cluster({"n0", "n1", "n2"});
  EXPECT_EQ(Told(cluster.Changes()).find("voters"), std::string::npos) << "an older node was asked";
  cluster.Votes("n0", true).Votes("n1", true, 0x3f).Votes("n2", false);
  EXPECT_TRUE(Says(cluster.Changes(), "voters:  n0, n1 (life 3f), n2: 2 of 3 can be reached\n"));
  EXPECT_FALSE(Says(cluster.Changes(), "majority"));
  EXPECT_TRUE(cluster.Changes().can_change());
}

TEST(ClusterChanges, WarnWhereNoMajorityOfTheVotersIsThere) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Votes("n0", true).Votes("n1", false).Votes("n2", false);
  EXPECT_FALSE(cluster.Changes().can_change());
  EXPECT_TRUE(Says(cluster.Changes(),
                   "no majority of them is there, as the node that was asked sees it: changes of "
                   "the topology are refused until more of n1, n2 are back\n"));
  Cluster two({"n0", "n1"});
  EXPECT_FALSE(two.Votes("n0", true).Votes("n1", false).Changes().can_change()) << "a half is none";
}

TEST(ClusterChanges, AVoterWhoseLifeHasEndedIsNotThere) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Votes("n0", true).Votes("n1", true).Votes("n2", false).Ends(1);
  EXPECT_TRUE(Says(cluster.Changes(),
                   "voters:  n0, n1 (in a life that has ended), n2: 2 of 3 can be reached\n"));
  EXPECT_FALSE(cluster.Changes().can_change());
}

TEST(ClusterChanges, WhereVotersChangeAMajorityOfThoseBeforeIsNeededAsWell) {
  Cluster cluster({"n0", "n1", "n2"});
  cluster.Votes("n0", true).VotedBefore("n1", false);
  EXPECT_FALSE(cluster.Changes().can_change());
  EXPECT_TRUE(Says(cluster.Changes(),
                   "         and until they have taken over n1: 0 of 1 can be reached\n"));
  EXPECT_TRUE(Says(cluster.Changes(), "until more of n1 are back"));
}

TEST(LastWords, AreNoneOfOneThatNobodyReaches) {
  Cluster cluster({"n1", "n2", "n3"});
  cluster.Silence(1).Cut(0, "n2").Cut(2, "n2");
  EXPECT_TRUE(cluster.LastWordsOf("n2").dangers.empty());
  EXPECT_TRUE(cluster.LastWordsOf("n2").unheard.empty());
}

TEST(LastWords, SayWhoStillReachesIt) {
  Cluster cluster({"n1", "n2", "n3"});
  EXPECT_TRUE(Says(cluster.LastWordsOf("n2").dangers, "'n2' answers"));
  cluster.Silence(1).Cut(0, "n2");
  EXPECT_TRUE(Says(cluster.LastWordsOf("n2").dangers, "connected with n3: "));
}

TEST(LastWords, SayThatAnOwnerHasYetToBeFilled) {
  Cluster cluster({"n1", "n2", "n3"});
  cluster.Silence(1).Cut(0, "n2").Cut(2, "n2").ToRefill(0, 64);
  EXPECT_TRUE(Says(cluster.LastWordsOf("n2").dangers, "'n1' has yet to be filled with 64"));
  cluster.ToRefill(0, 0).Moves("n3", "n1", 0, 64, 0).IsGiven(0, 64);
  EXPECT_TRUE(cluster.LastWordsOf("n2").dangers.empty()) << "it is given these, and owns none yet";
}

TEST(LastWords, NameWhoMayHaveMoreToSay) {
  Cluster cluster({"n1", "n2", "n3"});
  cluster.Silence(1).Silence(2).Cut(0, "n2");
  EXPECT_EQ(cluster.LastWordsOf("n2").unheard, std::vector<std::string>{"n3"});
  EXPECT_TRUE(cluster.Is(2, v1::MEMBER_STATE_DEAD).LastWordsOf("n2").unheard.empty());
  EXPECT_TRUE(cluster.Is(1, v1::MEMBER_STATE_DEAD).LastWordsOf("n2").dangers.empty())
      << "it is dead already";
}

}  // namespace
}  // namespace gyre
