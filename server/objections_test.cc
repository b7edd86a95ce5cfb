#include "server/objections.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/rebalance.h"

namespace gyre {
namespace {

// Four nodes, in as many zones as there are letters.
class Cluster {
 public:
  explicit Cluster(const std::string& zones, int write_quorum = 2) {
    std::vector<Member> members;
    for (size_t i = 0; i < zones.size(); ++i) {
      const std::string name = "n" + std::to_string(i);
      members.push_back({{}, name, zones.substr(i, 1), name, name});
    }
    TableSpec table;
    table.name = "carts";
    table.write_quorum = write_quorum;
    topology_ = *CreateTable(*InitialTopology("test", 16, members), table);
  }

  NodeId Id(const std::string& name) const { return FindMember(topology_, name)->id; }
  Objections To(const absl::StatusOr<Topology>& next, const std::set<NodeId>& away = {}) const {
    return Knowing({.away = away}, next);
  }
  Objections Knowing(const Whereabouts& known, const absl::StatusOr<Topology>& next) const {
    EXPECT_TRUE(next.ok()) << next.status();
    return ObjectionsTo(*View::Create(topology_, Id("n0")), *next, known);
  }
  void Become(Topology topology) { topology_ = std::move(topology); }
  const Topology& topology() const { return topology_; }

 private:
  Topology topology_;
};

testing::AssertionResult Has(const std::vector<std::string>& all, const std::string& words) {
  for (const std::string& one : all) {
    if (one.find(words) != std::string::npos) return testing::AssertionSuccess();
  }
  testing::AssertionResult none = testing::AssertionFailure();
  none << "nothing says: " << words;
  for (const std::string& one : all) none << "\n  " << one;
  return none;
}

TEST(Objections, ThereAreNoneToALeaveOfOneOfMany) {
  const Cluster cluster("aaaa");
  const Objections objections = cluster.To(LeaveMember(cluster.topology(), "n3"));
  EXPECT_TRUE(objections.dangers.empty());
  EXPECT_TRUE(objections.warnings.empty());
}

TEST(Objections, ToBuryANodeThatAnswersIsADanger) {
  const Cluster cluster("aaaa");
  const Objections objections = cluster.To(BuryMember(cluster.topology(), "n3"));
  ASSERT_EQ(objections.dangers.size(), 1u);
  EXPECT_TRUE(Has(objections.dangers, "'n3' answers"));
}

TEST(Objections, ToBuryTheOnlyOneThatIsAwayIsSafe) {
  const Cluster cluster("aaaa");
  const Objections objections =
      cluster.To(BuryMember(cluster.topology(), "n3"), {cluster.Id("n3")});
  EXPECT_TRUE(objections.dangers.empty());
  EXPECT_TRUE(objections.warnings.empty()) << "nothing waits for the dead";
}

TEST(Objections, NameThePartitionsOfWhichNoOtherOwnerCanBeReached) {
  const Cluster cluster("aaaa");
  const std::set<NodeId> away = {cluster.Id("n1"), cluster.Id("n2"), cluster.Id("n3")};
  const Objections objections = cluster.To(BuryMember(cluster.topology(), "n3"), away);
  EXPECT_TRUE(Has(objections.dangers, "4 of its partitions have no other owner"));
  EXPECT_TRUE(Has(objections.warnings, "'n1' cannot be reached"));
  EXPECT_EQ(objections.warnings.size(), 2u);
}

TEST(Objections, NameTheTablesWhoseWritesOneNodeAcknowledges) {
  const Cluster cluster("aaaa", 1);
  const std::set<NodeId> away = {cluster.Id("n3")};
  EXPECT_TRUE(Has(cluster.To(BuryMember(cluster.topology(), "n3"), away).dangers, "table 'carts'"));
  EXPECT_TRUE(cluster.To(LeaveMember(cluster.topology(), "n3"), away).dangers.empty());
}

TEST(Objections, OneThatIsFilledHoldsNothingYet) {
  const Cluster cluster("aaa");
  const Whereabouts lost_a_disk = {.away = {cluster.Id("n2")}, .filling = {cluster.Id("n1")}};
  const absl::StatusOr<Topology> buried = [&] {
    const Topology four =
        *AddMember(cluster.topology(), {{}, "n3", "a", "n3", "n3", MemberState::kWaiting, 5});
    return ReplaceMember(four, "n2", "n3");
  }();
  EXPECT_TRUE(Has(cluster.Knowing(lost_a_disk, buried).dangers, "of 16 partitions of table"));
  EXPECT_TRUE(cluster.Knowing({.away = {cluster.Id("n2")}}, buried).dangers.empty());
  EXPECT_TRUE(cluster.Knowing({.filling = {cluster.Id("n1")}}, cluster.topology()).dangers.empty())
      << "nobody is buried";
}

TEST(Objections, TheDeadOfBeforeCountAsLong) {
  Cluster cluster("aaaaa");
  const std::set<NodeId> away = {cluster.Id("n3"), cluster.Id("n4")};
  cluster.Become(*BuryMember(cluster.topology(), "n3"));
  EXPECT_TRUE(Has(cluster.To(BuryMember(cluster.topology(), "n4"), away).dangers,
                  "is not the only owner that is dead"));
}

TEST(Objections, WhoGaveACopyIsAnOwnerAgainWhereTheTakerDies) {
  Cluster cluster("aaaa");
  Topology topology =
      *AddMember(cluster.topology(), {{}, "n4", "a", "n4", "n4", MemberState::kActive, 5});
  topology = *BeginMoves(topology, MakePlan(topology), {.most_to = 1, .most_from = 1});
  ASSERT_EQ(topology.moves.size(), 1u);
  const Move move = topology.moves[0];
  ASSERT_EQ(move.to, FindMember(topology, "n4")->id);
  topology = SwitchMoves(topology, {{{move.partition, move.since}}});
  cluster.Become(topology);
  NodeId other;
  const auto view = View::Create(topology, move.from);
  for (NodeId owner : view->Owners(move.partition)) {
    if (owner != move.to) other = owner;
  }
  const absl::StatusOr<Topology> buried = BuryMember(topology, "n4");
  EXPECT_TRUE(cluster.Knowing({.away = {move.to}, .filling = {other}}, buried).dangers.empty());
  EXPECT_TRUE(
      Has(cluster.Knowing({.away = {move.to}, .filling = {other, move.from}}, buried).dangers,
          "of 1 partition of table"));
}

TEST(Objections, NobodyWaitsForOneThatIsToHaveNothing) {
  const Cluster cluster("aaaa");
  const Topology joined =
      *AddMember(cluster.topology(), {{}, "n4", "a", "n4", "n4", MemberState::kActive, 5});
  const NodeId id = FindMember(joined, "n4")->id;
  const auto view = View::Create(joined, cluster.Id("n0"));
  EXPECT_TRUE(ObjectionsTo(*view, *RetireMember(joined, "n4"), {.away = {id}}).warnings.empty());
  EXPECT_TRUE(Has(ObjectionsTo(*view, *LeaveMember(joined, "n3"), {.away = {id}}).warnings,
                  "'n4' cannot be reached"));
}

TEST(Objections, SayOnceThatOneIsDead) {
  const Cluster cluster("aaaa");
  const Topology dead = *BuryMember(cluster.topology(), "n3");
  const Objections again =
      ObjectionsTo(*View::Create(dead, cluster.Id("n0")), dead, {.away = {cluster.Id("n3")}});
  EXPECT_TRUE(again.dangers.empty());
  EXPECT_TRUE(again.warnings.empty());
}

TEST(Objections, SayThatCopiesWillShareAZone) {
  const Cluster cluster("aabc");
  EXPECT_TRUE(Has(cluster.To(LeaveMember(cluster.topology(), "n3")).warnings, "2 zones"));
  EXPECT_TRUE(cluster.To(LeaveMember(cluster.topology(), "n0")).warnings.empty());
  EXPECT_TRUE(Has(cluster.To(SetZone(cluster.topology(), "n3", "b")).warnings, "2 zones"));
  const Cluster two("aabb");
  EXPECT_TRUE(two.To(LeaveMember(two.topology(), "n3")).warnings.empty()) << "as before";
}

}  // namespace
}  // namespace gyre
