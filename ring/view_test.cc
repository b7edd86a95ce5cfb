#include "ring/view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "ring/partitioner.h"

namespace gyre {
namespace {

TableSpec Table(std::string name, int replicas) {
  TableSpec spec;
  spec.name = std::move(name);
  spec.replicas = replicas;
  spec.read_quorum = spec.write_quorum = 1;
  return spec;
}

// Seven nodes in three zones, Q = 64; "zebra" and "apple" with N = 3, "single" with N = 1.
std::shared_ptr<const View> SevenNodes() {
  std::vector<Member> members;
  for (int i = 0; i < 7; ++i) {
    const std::string n = std::to_string(i);
    members.push_back({NodeId(), "n" + n, "z" + std::to_string(i % 3), "c" + n, "p" + n});
  }
  absl::StatusOr<Topology> topology = InitialTopology("test", 64, members);
  for (const TableSpec& spec : {Table("zebra", 3), Table("apple", 3), Table("single", 1)}) {
    if (topology.ok()) topology = CreateTable(*topology, spec);
  }
  GYRE_CHECK(topology.ok(), "a good topology");
  const NodeId self = topology->members[2].id;
  return View::Create(*std::move(topology), self);
}

TEST(View, FindsTablesByNameAndById) {
  const auto view = SevenNodes();
  ASSERT_NE(view->FindTable("apple"), nullptr);
  EXPECT_EQ(view->FindTable("apple")->id, TableId(2));
  EXPECT_EQ(view->FindTable(TableId(1))->name, "zebra");
  EXPECT_EQ(view->FindTable("pear"), nullptr);
  EXPECT_EQ(view->FindTable(""), nullptr);
  EXPECT_EQ(view->FindTable(TableId(9)), nullptr);
}

TEST(View, FindsMembersAndKnowsItself) {
  const auto view = SevenNodes();
  EXPECT_EQ(view->epoch(), Epoch(4));
  for (const Member& member : view->topology().members) {
    ASSERT_NE(view->FindMember(member.id), nullptr);
    EXPECT_EQ(view->FindMember(member.id)->name, member.name);
  }
  EXPECT_EQ(view->FindMember(NodeId(1)), nullptr);
  EXPECT_EQ(view->self(), view->topology().members[2].id);
}

TEST(View, MayBelongToANodeThatIsNoMember) {
  const auto view = View::Create(SevenNodes()->topology(), NodeId(1));
  EXPECT_EQ(view->FindMember(view->self()), nullptr);
  EXPECT_TRUE(view->OwnedBy(view->self()).empty());
}

TEST(View, LocatesAKeyInItsTablesFamily) {
  const auto view = SevenNodes();
  const TableSpec& table = *view->FindTable("apple");
  const PartitionId partition = view->Locate(table, "key");
  EXPECT_EQ(partition.replicas(), 3);
  EXPECT_EQ(partition.slice(), SliceOf(HashKey(table.id, "key"), 64));
  EXPECT_EQ(view->Locate(*view->FindTable("single"), "key").replicas(), 1);
}

TEST(View, OwnersAreThoseOfTheDocument) {
  const auto view = SevenNodes();
  for (const Ownership& family : view->topology().families) {
    for (uint32_t slice = 0; slice < 64; ++slice) {
      const auto expected = family.OwnersOf(slice);
      const auto owners = view->Owners(PartitionId(family.replicas, slice));
      EXPECT_TRUE(std::equal(owners.begin(), owners.end(), expected.begin(), expected.end()));
    }
  }
}

TEST(View, APartitionThatIsNotThereHasNoOwners) {
  const auto view = SevenNodes();
  EXPECT_TRUE(view->Owners(PartitionId(2, 0)).empty());
  EXPECT_TRUE(view->Owners(PartitionId(3, 64)).empty());
  EXPECT_TRUE(view->Owners(PartitionId::FromValue(0)).empty());
  EXPECT_TRUE(view->Owners(PartitionId::FromValue(UINT32_MAX)).empty());
  EXPECT_TRUE(view->StandIns(PartitionId(3, 64), 9, [](NodeId) { return true; }).empty());
  EXPECT_FALSE(view->IsOwner(PartitionId(2, 0), view->self()));
}

TEST(View, OwnedByListsExactlyWhatANodeOwns) {
  const auto view = SevenNodes();
  size_t total = 0;
  for (const Member& member : view->topology().members) {
    const auto owned = view->OwnedBy(member.id);
    EXPECT_TRUE(std::is_sorted(owned.begin(), owned.end()));
    for (const PartitionId partition : owned) EXPECT_TRUE(view->IsOwner(partition, member.id));
    total += owned.size();
  }
  EXPECT_EQ(total, 64u * 3 + 64u * 1);
}

std::vector<NodeId> AllStandIns(const View& view, PartitionId partition) {
  return view.StandIns(partition, 100, [](NodeId) { return true; });
}

TEST(View, EveryNodeThatIsNoOwnerStandsInOnce) {
  const auto view = SevenNodes();
  for (const int replicas : {1, 3}) {
    for (uint32_t slice = 0; slice < 64; ++slice) {
      const PartitionId partition(replicas, slice);
      const std::vector<NodeId> list = AllStandIns(*view, partition);
      EXPECT_EQ(list.size(), 7u - static_cast<size_t>(replicas));
      std::set<NodeId> nodes(list.begin(), list.end());
      for (NodeId owner : view->Owners(partition)) nodes.insert(owner);
      EXPECT_EQ(nodes.size(), 7u);
    }
  }
}

TEST(View, StandInsAreTheFirstThatFit) {
  const auto view = SevenNodes();
  const PartitionId partition(3, 7);
  const std::vector<NodeId> all = AllStandIns(*view, partition);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(view->StandIns(partition, 2, [](NodeId) { return true; }),
            (std::vector<NodeId>{all[0], all[1]}));
  EXPECT_EQ(view->StandIns(partition, 2, [&](NodeId node) { return node != all[0]; }),
            (std::vector<NodeId>{all[1], all[2]}));
  EXPECT_TRUE(view->StandIns(partition, 2, [](NodeId) { return false; }).empty());
}

TEST(View, StandInsOfANodesPartitionsSpreadOverTheCluster) {
  const auto view = SevenNodes();
  std::set<NodeId> stand_ins;
  for (const PartitionId partition : view->OwnedBy(view->self())) {
    stand_ins.insert(AllStandIns(*view, partition).front());
  }
  EXPECT_GE(stand_ins.size(), 5u);
}

}  // namespace
}  // namespace gyre
