#include "server/outside_word.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "ring/rebalance.h"
#include "server/local_cluster.h"

namespace gyre {
namespace {

Topology Listed(const std::vector<std::string>& names, uint32_t slices = 8) {
  std::vector<Member> members;
  for (const std::string& name : names) members.push_back({{}, name, "z", name, name + ":2"});
  return *InitialTopology("test", slices, members);
}

NodeId Id(const Topology& topology, const std::string& name) {
  return FindMember(topology, name)->id;
}

Topology WithTable(const Topology& topology, const std::string& name) {
  TableSpec spec;
  spec.name = name;
  spec.replicas = spec.read_quorum = spec.write_quorum = 1;
  return *CreateTable(topology, spec);
}

Topology WithNode(const Topology& topology, const std::string& name) {
  return *AddMember(topology, {{}, name, "z", name, name + ":2", MemberState::kActive, 9});
}

// As it is where a move had to end first.
Topology Without(Topology topology, const std::string& name) {
  topology = NextOf(topology);
  topology.removed.push_back(Id(topology, name));
  std::erase_if(topology.members, [&](const Member& one) { return one.name == name; });
  return topology;
}

LaterDocument Judge(const Topology& mine, const Topology& theirs,
                    Standing standing = Standing::kProven) {
  return JudgeLater(mine, theirs, NodeIdFromName(mine.cluster, "n1"), standing);
}

TEST(OutsideWord, WhoIsAloneByTheListAndNotByTheClusterHasLostItsDirectory) {
  const Topology mine = Listed({"n1"});
  const Topology theirs = WithNode(WithTable(mine, "carts"), "n2");
  for (const Standing standing : {Standing::kUnproven, Standing::kProven, Standing::kReplaced}) {
    EXPECT_EQ(Judge(mine, theirs, standing), LaterDocument::kLost);
  }
  EXPECT_EQ(Judge(mine, mine), LaterDocument::kNothing);
  EXPECT_EQ(Judge(theirs, mine), LaterDocument::kNothing);
}

// What its own acceptor holds would be told to those of the cluster.
TEST(OutsideWord, WhoIsAloneAndHasChangedItsDocumentIsASecondCluster) {
  const Topology theirs = WithNode(WithTable(Listed({"n1"}), "carts"), "n2");
  EXPECT_EQ(Judge(WithTable(Listed({"n1"}), "carts"), theirs), LaterDocument::kSecond);
}

TEST(OutsideWord, WhoseDirectoryIsProvenIsFilledOnlyWhereNobodyIsLeftThatCouldTellOfAnother) {
  const Topology mine = Listed({"n1", "n2", "n3"});
  const Topology one_left = Without(WithNode(mine, "n4"), "n2");
  EXPECT_EQ(Judge(mine, one_left, Standing::kUnproven), LaterDocument::kLost);
  EXPECT_EQ(Judge(mine, one_left, Standing::kProven), LaterDocument::kNews);
  EXPECT_EQ(Judge(WithTable(mine, "carts"), WithTable(one_left, "carts")), LaterDocument::kNews);
  const Topology none_left = Without(one_left, "n3");
  EXPECT_EQ(Judge(mine, none_left, Standing::kProven), LaterDocument::kLost);
  Topology dead = NextOf(one_left);
  for (Member& member : dead.members) {
    if (member.name == "n3") member.state = MemberState::kDead;
  }
  EXPECT_EQ(Judge(mine, dead, Standing::kProven), LaterDocument::kLost);
}

TEST(OutsideWord, ADocumentThatDoesNotFollowIsOfAnotherCluster) {
  const Topology mine = WithTable(Listed({"n1", "n2"}), "carts");
  EXPECT_EQ(Judge(mine, WithNode(Listed({"n1", "n2"}, 16), "n3")), LaterDocument::kForeign);
  EXPECT_EQ(Judge(mine, WithNode(WithNode(Listed({"n1", "n2"}), "n3"), "n4")),
            LaterDocument::kForeign)
      << "a table that never was";
  EXPECT_EQ(Judge(mine, WithNode(WithTable(Listed({"n1", "n2"}), "other"), "n3")),
            LaterDocument::kForeign);
  EXPECT_EQ(Judge(mine, WithNode(WithTable(Listed({"n1", "n3"}), "carts"), "n4")),
            LaterDocument::kForeign)
      << "a member that is neither there nor removed";
  EXPECT_EQ(Judge(mine, WithNode(WithTable(Listed({"n2", "n3"}), "carts"), "n4")),
            LaterDocument::kForeign);
  const Topology dropped = *DropTable(WithNode(mine, "n3"), "carts");
  EXPECT_EQ(Judge(mine, dropped), LaterDocument::kNews);
}

TEST(OutsideWord, WhoWasRemovedIsToldSo) {
  const Topology mine = Listed({"n1"});
  EXPECT_EQ(Judge(mine, Without(WithNode(mine, "n2"), "n1")), LaterDocument::kRemoved);
}

TEST(OutsideWord, OfAllWhoCallMeanwhileTheLastOneIsAsked) {
  std::atomic<bool> goes_on{false};
  std::atomic<int> asked{0};
  std::mutex mutex;
  std::string addresses;
  OutsideWord word(
      [&](const std::string& address, const std::function<bool()>&) -> absl::StatusOr<Topology> {
        std::lock_guard<std::mutex> lock(mutex);
        addresses += address;
        ++asked;
        while (!goes_on) continue;
        return Listed({address});
      },
      [&](NodeId from, const Topology& document) {
        EXPECT_EQ(document.members.front().name, from == NodeId(1) ? "a" : "d");
        return from == NodeId(4);
      },
      Duration());
  word.OnStranger(NodeId(9), "");
  word.OnStranger(NodeId(1), "a");
  ASSERT_TRUE(LocalCluster::Eventually([&] { return asked == 1; }));
  word.OnStranger(NodeId(2), "b");
  word.OnStranger(NodeId(3), "c");
  word.OnStranger(NodeId(4), "d");
  goes_on = true;
  word.AwaitTaken(Duration::Seconds(60));
  word.Stop();
  EXPECT_EQ(addresses, "ad");
}

TEST(OutsideWord, EndsWhileItIsWaitedFor) {
  OutsideWord word(
      [](const std::string&, const std::function<bool()>& gives_up) -> absl::StatusOr<Topology> {
        while (!gives_up()) continue;
        return absl::CancelledError("given up");
      },
      [](NodeId, const Topology&) { return true; });
  word.OnStranger(NodeId(1), "a");
  word.Stop();
  word.AwaitTaken(Duration::Seconds(60));
}

}  // namespace
}  // namespace gyre
