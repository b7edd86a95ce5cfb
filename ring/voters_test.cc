#include "ring/voters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/random.h"
#include "ring/rebalance.h"

namespace gyre {
namespace {

// A cluster with so many nodes in each zone: "0-0" is the first of the first zone.
class Cluster {
 public:
  explicit Cluster(const std::vector<int>& zones) {
    std::vector<Member> members;
    for (size_t zone = 0; zone < zones.size(); ++zone) {
      for (int i = 0; i < zones[zone]; ++i) {
        const std::string name = std::to_string(zone) + "-" + std::to_string(i);
        members.push_back({{}, name, std::to_string(zone), "a", "a"});
      }
    }
    topology_ = *InitialTopology("test", 16, members);
  }

  void Change(absl::StatusOr<Topology> next) {
    GYRE_CHECK(next.ok(), "a good change");
    topology_ = *std::move(next);
    GYRE_CHECK(ValidateTopology(topology_).ok(), "and one that is sound");
  }
  void Join(const std::string& name, const std::string& zone) {
    Change(AddMember(topology_, {{}, name, zone, name, name, MemberState::kActive, 7}));
  }
  void Elect() {
    for (int i = 0; i < 2; ++i) Change(ElectVoters(topology_));
  }
  // How many of the voters are in each zone, where there are any; the fewest first.
  std::vector<int> Spread() const {
    std::map<std::string, int> count;
    for (const Voter& voter : ChooseVoters(topology_)) {
      ++count[FindMember(topology_, voter.node)->zone];
    }
    std::vector<int> spread;
    for (const auto& [zone, voters] : count) spread.push_back(voters);
    std::sort(spread.begin(), spread.end());
    return spread;
  }
  bool Votes(const std::string& name) const {
    return std::ranges::count(topology_.voters, FindMember(topology_, name)->id, &Voter::node) > 0;
  }
  const Topology& topology() const { return topology_; }

 private:
  Topology topology_;
};

TEST(Voters, AreAnOddNumberOfSevenAtMost) {
  const std::pair<int, size_t> cases[] = {{1, 1}, {2, 1}, {3, 3}, {4, 3}, {5, 5},
                                          {6, 5}, {7, 7}, {8, 7}, {20, 7}};
  for (const auto& [nodes, voters] : cases) {
    EXPECT_EQ(ChooseVoters(Cluster({nodes}).topology()).size(), voters) << nodes;
  }
}

TEST(Voters, AreSpreadOverTheZonesAsFarAsThoseReach) {
  EXPECT_EQ(Cluster({9, 9, 9}).Spread(), (std::vector<int>{2, 2, 3}));
  EXPECT_EQ(Cluster({9, 1, 1}).Spread(), (std::vector<int>{1, 1, 5}));
  EXPECT_EQ(Cluster({9, 2, 9}).Spread(), (std::vector<int>{2, 2, 3}));
  EXPECT_EQ(Cluster({3, 3, 3, 3, 3, 3, 3, 3, 3}).Spread(), (std::vector<int>(7, 1)));
}

TEST(Voters, WhoVotesStaysAVoterAsOthersJoin) {
  Cluster cluster({1, 1, 1});
  const std::vector<Voter> first = cluster.topology().voters;
  cluster.Join("new", "0");
  EXPECT_EQ(ChooseVoters(cluster.topology()), first);
  cluster.Join("newer", "1");
  const std::vector<Voter> more = ChooseVoters(cluster.topology());
  EXPECT_EQ(more.size(), 5u);
  EXPECT_TRUE(std::includes(more.begin(), more.end(), first.begin(), first.end()));
}

TEST(Voters, OneGoesAndOneComesWhereAVoterIsNotActiveAnyMore) {
  for (const auto& change : {LeaveMember, RetireMember, BuryMember}) {
    Cluster cluster({3, 3, 3});
    cluster.Elect();
    const Topology before = cluster.topology();
    const Member* voter = FindMember(before, before.voters[3].node);
    cluster.Change(change(before, voter->name));
    const std::vector<Voter> after = ChooseVoters(cluster.topology());
    std::vector<Voter> stay;
    std::set_intersection(before.voters.begin(), before.voters.end(), after.begin(), after.end(),
                          std::back_inserter(stay));
    EXPECT_EQ(after.size(), 7u);
    EXPECT_EQ(stay.size(), 6u);
    EXPECT_FALSE(std::ranges::count(after, voter->id, &Voter::node) > 0);
  }
}

TEST(Voters, OnceChosenNothingIsToBeChanged) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<int> zones;
    for (uint64_t i = random.Below(5) + 1; i > 0; --i) {
      zones.push_back(static_cast<int>(random.Below(5)) + 1);
    }
    Cluster cluster(zones);
    for (int i = 0; i < 4; ++i) {
      const std::vector<Member>& members = cluster.topology().members;
      const std::string name = members[random.Below(members.size())].name;
      absl::StatusOr<Topology> next = LeaveMember(cluster.topology(), name);
      if (next.ok()) cluster.Change(*next);
      cluster.Join("new-" + std::to_string(i), std::to_string(random.Below(6)));
      cluster.Elect();
      EXPECT_EQ(ChooseVoters(cluster.topology()), cluster.topology().voters);
      EXPECT_EQ(ElectVoters(cluster.topology()), cluster.topology());
    }
  }
}

TEST(Voters, WhoLeavesIsAMemberForAsLongAsItVotes) {
  Cluster cluster({1, 1, 1});
  cluster.Join("new", "0");
  cluster.Change(LeaveMember(cluster.topology(), "0-0"));
  ASSERT_NE(FindMember(cluster.topology(), "0-0"), nullptr) << "it votes";
  cluster.Change(ElectVoters(cluster.topology()));
  ASSERT_NE(FindMember(cluster.topology(), "0-0"), nullptr) << "it has to agree";
  EXPECT_FALSE(cluster.Votes("0-0"));
  EXPECT_TRUE(cluster.Votes("new"));
  EXPECT_EQ(cluster.topology().voters_before.size(), 3u);
  const NodeId leaver = FindMember(cluster.topology(), "0-0")->id;
  EXPECT_EQ(*Depart(cluster.topology(), leaver), cluster.topology());
  cluster.Change(ElectVoters(cluster.topology()));
  EXPECT_TRUE(cluster.topology().voters_before.empty());
  cluster.Change(Depart(cluster.topology(), leaver));
  EXPECT_EQ(FindMember(cluster.topology(), "0-0"), nullptr);
}

TEST(Voters, WhoIsDeadIsAMemberForAsLongAsItVotesWhateverElseIsChanged) {
  Cluster cluster({1, 1, 1});
  cluster.Join("new", "0");
  cluster.Change(BuryMember(cluster.topology(), "0-0"));
  cluster.Change(ElectVoters(cluster.topology()));
  ASSERT_NE(FindMember(cluster.topology(), "0-0"), nullptr) << "it has to agree";
  cluster.Change(SetZone(cluster.topology(), "new", "2"));
  cluster.Change(SetZone(cluster.topology(), "new", "0"));
  cluster.Change(ElectVoters(cluster.topology()));
  EXPECT_EQ(FindMember(cluster.topology(), "0-0"), nullptr);
}

TEST(Voters, AnyOtherChangeHasTheVotersOfTheDocumentBefore) {
  Cluster cluster({1, 1, 1});
  cluster.Join("new", "0");
  cluster.Change(LeaveMember(cluster.topology(), "0-0"));
  cluster.Change(ElectVoters(cluster.topology()));
  const std::vector<Voter> voters = cluster.topology().voters;
  cluster.Change(SetZone(cluster.topology(), "new", "elsewhere"));
  EXPECT_EQ(cluster.topology().voters, voters);
  EXPECT_TRUE(cluster.topology().voters_before.empty());
}

TEST(Voters, OneThatForgotIsVotedInAgainInItsNewLife) {
  Cluster cluster({1, 1, 1});
  cluster.Join("new", "0");
  const std::vector<Voter> first = cluster.topology().voters;
  const NodeId forgot = FindMember(cluster.topology(), "0-0")->id;
  cluster.Change(SetLife(cluster.topology(), forgot, 77));
  EXPECT_EQ(cluster.topology().voters, first) << "they have to agree to that";
  EXPECT_EQ(SetLife(cluster.topology(), forgot, 77), cluster.topology());
  cluster.Change(ElectVoters(cluster.topology()));
  EXPECT_EQ(cluster.topology().voters_before, first);
  std::vector<Voter> then = first;
  for (Voter& voter : then) voter.life = voter.node == forgot ? 77 : 0;
  EXPECT_EQ(cluster.topology().voters, then) << "the others stay";
  cluster.Change(ElectVoters(cluster.topology()));
  EXPECT_TRUE(cluster.topology().voters_before.empty());
  EXPECT_EQ(ElectVoters(cluster.topology()), cluster.topology());
}

}  // namespace
}  // namespace gyre
