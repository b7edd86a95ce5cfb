#include "ring/claim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ring/random.h"

namespace gyre {
namespace {

uint64_t CeilDivide(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

std::vector<ClaimNode> Nodes(int count, int zones = 1, uint64_t salt = 1) {
  std::vector<ClaimNode> nodes;
  for (int i = 0; i < count; ++i) {
    const uint64_t id = (static_cast<uint64_t>(i) + salt * 1000) * 0x9e3779b97f4a7c15ULL;
    nodes.push_back({NodeId(id), "z" + std::to_string(i % zones)});
  }
  return nodes;
}

std::map<NodeId, uint64_t> Loads(const Ownership& ownership) {
  std::map<NodeId, uint64_t> loads;
  for (const NodeId owner : ownership.owners) ++loads[owner];
  return loads;
}

std::map<NodeId, uint64_t> LoadsOfRank(const Ownership& ownership, size_t rank) {
  std::map<NodeId, uint64_t> loads;
  for (uint32_t slice = 0; slice < ownership.slices; ++slice) {
    ++loads[ownership.OwnersOf(slice)[rank]];
  }
  return loads;
}

// Owners distinct and members; zones as even as they can be. Empty when all is well.
std::string CheckSlices(const Ownership& ownership, const std::vector<ClaimNode>& nodes,
                        int replicas) {
  std::map<NodeId, std::string> zone_of;
  std::map<std::string, int> zone_size;
  for (const ClaimNode& node : nodes) {
    zone_of[node.id] = node.zone;
    ++zone_size[node.zone];
  }
  const size_t each = std::min(static_cast<size_t>(replicas), nodes.size());
  if (ownership.owners.size() != each * ownership.slices) return "number of owners";
  for (uint32_t slice = 0; slice < ownership.slices; ++slice) {
    std::set<NodeId> distinct;
    std::map<std::string, int> in_zone;
    for (const NodeId owner : ownership.OwnersOf(slice)) {
      if (zone_of.count(owner) == 0) return "an owner is no member";
      if (!distinct.insert(owner).second) return "an owner twice";
      ++in_zone[zone_of[owner]];
    }
    for (const auto& [full, size] : zone_size) {
      for (const auto& [other, other_size] : zone_size) {
        if (in_zone[other] < other_size && in_zone[full] > in_zone[other] + 1) {
          return "slice " + std::to_string(slice) + ": zone " + full + " has two more than " +
                 other + ", which has a node to give";
        }
      }
    }
  }
  return "";
}

// Every node floor or ceil of its share, and so in every rank.
std::string CheckEven(const Ownership& ownership, const std::vector<ClaimNode>& nodes) {
  const uint64_t count = nodes.size();
  const uint64_t all = ownership.owners.size();
  std::map<NodeId, uint64_t> loads = Loads(ownership);
  for (const ClaimNode& node : nodes) {
    const uint64_t load = loads[node.id];
    if (load < all / count || load > CeilDivide(all, count)) return "load " + std::to_string(load);
  }
  for (size_t rank = 0; rank < all / ownership.slices; ++rank) {
    std::map<NodeId, uint64_t> ranked = LoadsOfRank(ownership, rank);
    for (const ClaimNode& node : nodes) {
      const uint64_t load = ranked[node.id];
      // The primary is exact; a lower rank can be one off, as what is left over differs by one.
      const uint64_t slack = rank == 0 ? 0 : 1;
      if (load + slack < ownership.slices / count ||
          load > CeilDivide(ownership.slices, count) + slack) {
        return "rank " + std::to_string(rank) + " load " + std::to_string(load);
      }
    }
  }
  return "";
}

// Greatest distance from even over what integers force, as a share of even.
double SpreadBeyondIntegers(const Ownership& ownership, size_t nodes) {
  const double even = static_cast<double>(ownership.owners.size()) / static_cast<double>(nodes);
  double worst = 0;
  for (const auto& [node, load] : Loads(ownership)) {
    const double off = std::abs(static_cast<double>(load) - even);
    worst = std::max(worst, off < 1 ? 0 : off / even);
  }
  return worst;
}

// The least that a change can cost: a node that comes must be filled to its load, and what a node
// that goes held must be copied elsewhere, as must what a larger effective n adds.
uint64_t FewestMoves(const Ownership& before, const Ownership& after) {
  std::map<NodeId, uint64_t> old_loads = Loads(before);
  uint64_t gained = 0;
  for (const auto& [node, load] : Loads(after)) {
    gained += load > old_loads[node] ? load - old_loads[node] : 0;
  }
  return gained;
}

TEST(Claim, IsEvenAndDistinctForEveryClusterOfUpTo64NodesAndAnyN) {
  double worst = 0;
  for (int count = 1; count <= 64; ++count) {
    for (int replicas = 1; replicas <= kMaxReplicas; ++replicas) {
      const auto nodes = Nodes(count);
      const Ownership ownership = Claim(nodes, replicas, 256);
      ASSERT_EQ(CheckSlices(ownership, nodes, replicas), "") << count << " nodes, N=" << replicas;
      ASSERT_EQ(CheckEven(ownership, nodes), "") << count << " nodes, N=" << replicas;
      worst = std::max(worst, SpreadBeyondIntegers(ownership, nodes.size()));
    }
  }
  EXPECT_EQ(worst, 0.0);
}

TEST(Claim, MovesAtMostTheMinimumWhenAnyNodeJoinsOrLeaves) {
  double worst = 1;
  for (int count = 1; count <= 64; ++count) {
    for (int replicas = 1; replicas <= kMaxReplicas; ++replicas) {
      const auto before_nodes = Nodes(count);
      const Ownership before = Claim(before_nodes, replicas, 256);
      std::vector<std::vector<ClaimNode>> changes = {Nodes(count + 1)};
      for (int leaver = 0; leaver < count && count > 1; ++leaver) {
        changes.push_back(before_nodes);
        changes.back().erase(changes.back().begin() + leaver);
      }
      for (const auto& nodes : changes) {
        const Ownership after = Claim(nodes, replicas, 256, &before);
        ASSERT_EQ(CheckSlices(after, nodes, replicas), "") << count << " nodes, N=" << replicas;
        ASSERT_EQ(CheckEven(after, nodes), "") << count << " nodes, N=" << replicas;
        const double moves = static_cast<double>(MovesBetween(before, after));
        const double fewest = static_cast<double>(FewestMoves(before, after));
        if (fewest > 0) worst = std::max(worst, moves / fewest);
        ASSERT_LE(moves, fewest * 1.05) << count << " to " << nodes.size() << " N=" << replicas;
        // Nobody who stays takes anything when a node joins, unless every slice gains an owner.
        if (nodes.size() > before_nodes.size()) {
          ASSERT_EQ(moves, static_cast<double>(Loads(after)[nodes.back().id]));
        }
      }
    }
  }
  RecordProperty("worst_move_ratio", std::to_string(worst));
  std::printf("worst move ratio: %.4f\n", worst);
}

TEST(Claim, StaysEvenAndFrugalOverALongRandomLifeOfJoinsAndLeaves) {
  Random random(7);
  for (const int zones : {1, 4}) {
    for (int replicas = 2; replicas <= kMaxReplicas; ++replicas) {
      std::vector<ClaimNode> nodes = Nodes(6, zones);
      Ownership ownership = Claim(nodes, replicas, 256);
      uint64_t moves = 0;
      uint64_t fewest = 0;
      for (int step = 0; step < 120; ++step) {
        const size_t before_count = nodes.size();
        if (before_count <= 5 || (before_count < 40 && random.Chance(1, 2))) {
          nodes.push_back({NodeId(random.Next() | 1),
                           "z" + std::to_string(random.Below(static_cast<uint64_t>(zones)))});
        } else {
          nodes.erase(nodes.begin() + static_cast<long>(random.Below(before_count)));
        }
        const Ownership next = Claim(nodes, replicas, 256, &ownership);
        ASSERT_EQ(CheckSlices(next, nodes, replicas), "") << "step " << step;
        if (zones == 1) {
          ASSERT_EQ(CheckEven(next, nodes), "") << "step " << step;
          ASSERT_EQ(MovesBetween(ownership, next), FewestMoves(ownership, next)) << "step " << step;
        }
        moves += MovesBetween(ownership, next);
        fewest += FewestMoves(ownership, next);
        ownership = next;
      }
      EXPECT_LE(static_cast<double>(moves), 1.05 * static_cast<double>(fewest))
          << zones << " zones, N=" << replicas;
    }
  }
}

TEST(Claim, KeepsZonesApartEvenlyAndFrugallyInProductionSizes) {
  double worst = 1;
  for (const int zones : {1, 2, 3, 4, 6}) {
    for (const int count : {1, 2, 3, 5, 6, 12, 17, 33, 63}) {
      for (const int replicas : {2, 3, 5}) {
        const auto nodes = Nodes(count, zones);
        const std::string label = std::to_string(count) + " nodes, " + std::to_string(zones) +
                                  " zones, N=" + std::to_string(replicas);
        const Ownership before = Claim(nodes, replicas, 4096);
        ASSERT_EQ(CheckSlices(before, nodes, replicas), "") << label;
        if (count % zones == 0) {
          ASSERT_EQ(CheckEven(before, nodes), "") << label;
        }
        const auto more = Nodes(count + 1, zones);
        const Ownership after = Claim(more, replicas, 4096, &before);
        ASSERT_EQ(CheckSlices(after, more, replicas), "") << label;
        if (count < zones) continue;  // a new zone changes what every slice has to look like
        const double fewest = static_cast<double>(FewestMoves(before, after));
        const double moves = static_cast<double>(MovesBetween(before, after));
        if (fewest > 0) worst = std::max(worst, moves / fewest);
        ASSERT_LE(moves, fewest * 1.05) << label;
      }
    }
  }
  RecordProperty("worst_move_ratio", std::to_string(worst));
  std::printf("worst move ratio with zones, Q=4096: %.4f\n", worst);
}

TEST(Claim, PutsZonesBeforeEvennessAndIsEvenInsideEachZone) {
  // Three zones of 1, 2 and 4 nodes with N=3: each zone holds one copy of everything.
  std::vector<ClaimNode> nodes = Nodes(7);
  const std::vector<std::string> zones = {"a", "b", "b", "c", "c", "c", "c"};
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i].zone = zones[i];
  const Ownership ownership = Claim(nodes, 3, 256);
  EXPECT_EQ(CheckSlices(ownership, nodes, 3), "");
  std::map<NodeId, uint64_t> loads = Loads(ownership);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const uint64_t expected = zones[i] == "a" ? 256 : zones[i] == "b" ? 128 : 64;
    EXPECT_EQ(loads[nodes[i].id], expected) << zones[i];
  }
}

TEST(Claim, IsEvenOverAllNodesWhereUnequalZonesAllowIt) {
  // Four zones of 2, 2, 3 and 3 nodes with N=3: no zone needs more than one copy of every slice.
  std::vector<ClaimNode> nodes = Nodes(10);
  for (size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].zone = i < 2 ? "a" : i < 4 ? "b" : i < 7 ? "c" : "d";
  }
  const Ownership ownership = Claim(nodes, 3, 4096);
  EXPECT_EQ(CheckSlices(ownership, nodes, 3), "");
  EXPECT_EQ(CheckEven(ownership, nodes), "");
}

TEST(Claim, SpreadsOverTwoZonesWhenThereAreFewerZonesThanReplicas) {
  const auto nodes = Nodes(8, 2);
  for (const int replicas : {3, 4, 5}) {
    const Ownership ownership = Claim(nodes, replicas, 256);
    EXPECT_EQ(CheckSlices(ownership, nodes, replicas), "") << "N=" << replicas;
    EXPECT_EQ(CheckEven(ownership, nodes), "") << "N=" << replicas;
  }
}

TEST(Claim, RestoresZonesWhenANewZoneAppears) {
  // Two zones, N=3; then a third zone of two nodes: from then on one copy in each zone.
  const auto nodes = Nodes(6, 2);
  const Ownership before = Claim(nodes, 3, 256);
  auto more = nodes;
  more.push_back({NodeId(1), "z2"});
  more.push_back({NodeId(2), "z2"});
  const Ownership after = Claim(more, 3, 256, &before);
  EXPECT_EQ(CheckSlices(after, more, 3), "");
  // Each slice must gain exactly its copy in the new zone; only what evenness asks comes on top.
  EXPECT_LE(MovesBetween(before, after), 256u + 256u / 20);
}

TEST(Claim, DoesNotDependOnTheOrderOfMembers) {
  auto nodes = Nodes(11, 3);
  const Ownership first = Claim(nodes, 3, 256);
  std::reverse(nodes.begin(), nodes.end());
  EXPECT_EQ(Claim(nodes, 3, 256), first);
}

TEST(Claim, ChangesNothingWhenNothingChanged) {
  for (const int zones : {1, 3, 5}) {
    const auto nodes = Nodes(13, zones);
    const Ownership ownership = Claim(nodes, 3, 1024);
    EXPECT_EQ(Claim(nodes, 3, 1024, &ownership), ownership) << zones << " zones";
  }
}

TEST(Claim, SpreadsTheSecondOwnersOfOneNodeOverManyNodes) {
  // When a node dies its primaries' load goes to the second owners; they should not be one node.
  const auto nodes = Nodes(16);
  const Ownership ownership = Claim(nodes, 3, 4096);
  std::map<NodeId, std::set<NodeId>> seconds;
  for (uint32_t slice = 0; slice < ownership.slices; ++slice) {
    const auto owners = ownership.OwnersOf(slice);
    seconds[owners[0]].insert(owners[1]);
  }
  for (const auto& [node, others] : seconds) EXPECT_GE(others.size(), 14u);
}

TEST(Claim, HandlesSlicesFewerThanNodes) {
  for (const uint32_t slices : {1u, 2u, 8u}) {
    const auto nodes = Nodes(20, 4);
    const Ownership before = Claim(nodes, 3, slices);
    EXPECT_EQ(CheckSlices(before, nodes, 3), "");
    EXPECT_EQ(CheckSlices(Claim(Nodes(21, 4), 3, slices, &before), Nodes(21, 4), 3), "");
  }
}

}  // namespace
}  // namespace gyre
