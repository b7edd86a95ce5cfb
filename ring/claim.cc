#include "ring/claim.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "ring/check.h"
#include "ring/claim_paths.h"
#include "ring/claim_ranks.h"
#include "ring/claim_slices.h"

namespace gyre {
namespace {

// The finalizer of SplitMix64: breaks ties so that no node is favoured and neighbours differ.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

uint64_t Tie(uint64_t salt, NodeId id) { return Mix(id.value() + salt * 0x9e3779b97f4a7c15ULL); }

// Zones by name, and how many owners of a slice each may and must have: as even as their sizes
// allow.
ClaimRules MakeRules(const std::vector<ClaimNode>& nodes, int owners_each, uint32_t slices) {
  ClaimRules rules;
  rules.owners_each = owners_each;
  rules.slices = slices;
  std::map<std::string, int> zones;
  for (const ClaimNode& node : nodes) zones.emplace(node.zone, 0);
  int next = 0;
  for (auto& [name, zone] : zones) zone = next++;
  rules.zone_size.assign(zones.size(), 0);
  for (const ClaimNode& node : nodes) {
    const int zone = zones.at(node.zone);
    rules.zone_of.push_back(zone);
    ++rules.zone_size[static_cast<size_t>(zone)];
  }
  // `level` is the most that any zone gets; below it a zone stays only when it has no more nodes.
  for (int level = 1;; ++level) {
    rules.zone_min.clear();
    rules.zone_max.clear();
    for (const int size : rules.zone_size) {
      rules.zone_min.push_back(std::min(size, level - 1));
      rules.zone_max.push_back(std::min(size, level));
    }
    if (std::accumulate(rules.zone_max.begin(), rules.zone_max.end(), 0) >= owners_each) break;
  }
  return rules;
}

// The load of a zone when every node has `each`, within what the zone rules allow.
uint64_t ZoneLoad(const ClaimRules& rules, size_t zone, uint64_t each) {
  const uint64_t least = uint64_t{rules.slices} * static_cast<uint64_t>(rules.zone_min[zone]);
  const uint64_t most = uint64_t{rules.slices} * static_cast<uint64_t>(rules.zone_max[zone]);
  return std::clamp(static_cast<uint64_t>(rules.zone_size[zone]) * each, least, most);
}

uint64_t TotalLoad(const ClaimRules& rules, uint64_t each) {
  uint64_t total = 0;
  for (size_t zone = 0; zone < rules.zone_size.size(); ++zone) total += ZoneLoad(rules, zone, each);
  return total;
}

// Load targets: even over nodes, bent only where a zone is at its least or most. What does not
// divide goes one each to the nodes that hold the most already, since that moves the least.
std::vector<uint32_t> MakeTargets(const SliceTable& table, const std::vector<ClaimNode>& nodes) {
  const ClaimRules& rules = table.rules();
  const uint64_t wanted = uint64_t{rules.slices} * static_cast<uint64_t>(rules.owners_each);
  uint64_t each = 0;
  for (uint64_t step = rules.slices; step > 0; step /= 2) {
    if (TotalLoad(rules, each + step) <= wanted) each += step;
  }
  std::vector<uint64_t> zone_load;
  for (size_t zone = 0; zone < rules.zone_size.size(); ++zone) {
    zone_load.push_back(ZoneLoad(rules, zone, each));
  }
  std::vector<size_t> by_load(nodes.size());
  std::iota(by_load.begin(), by_load.end(), size_t{0});
  std::sort(by_load.begin(), by_load.end(), [&](size_t a, size_t b) {
    return std::make_tuple(~table.load(static_cast<int>(a)), Tie(0, nodes[a].id), a) <
           std::make_tuple(~table.load(static_cast<int>(b)), Tie(0, nodes[b].id), b);
  });
  uint64_t rest = wanted - TotalLoad(rules, each);
  for (const size_t node : by_load) {
    const size_t zone = static_cast<size_t>(rules.zone_of[node]);
    if (rest == 0) break;
    if (zone_load[zone] >= ZoneLoad(rules, zone, each + 1)) continue;
    ++zone_load[zone];
    --rest;
  }
  GYRE_CHECK(rest == 0, "one more each is more than enough");
  std::vector<uint32_t> target(nodes.size());
  std::vector<uint64_t> over;  // by zone: nodes that get one more than the zone's floor
  for (size_t zone = 0; zone < zone_load.size(); ++zone) {
    over.push_back(zone_load[zone] % static_cast<uint64_t>(rules.zone_size[zone]));
  }
  for (const size_t node : by_load) {
    const size_t zone = static_cast<size_t>(rules.zone_of[node]);
    target[node] =
        static_cast<uint32_t>(zone_load[zone] / static_cast<uint64_t>(rules.zone_size[zone]));
    if (over[zone] == 0) continue;
    ++target[node];
    --over[zone];
  }
  return target;
}

// Places from nothing, slice by slice: always the zones, and in them the nodes, with the most load
// still to come. Largest-first meets every target exactly (Gale, Ryser, 1957).
class FirstPlacement {
 public:
  FirstPlacement(SliceTable& table, const std::vector<ClaimNode>& nodes)
      : table_(table), rules_(table.rules()), nodes_(nodes), zone_nodes_(rules_.zone_size.size()) {
    for (size_t node = 0; node < nodes.size(); ++node) {
      zone_nodes_[static_cast<size_t>(rules_.zone_of[node])].push_back(static_cast<int>(node));
    }
    // What a zone is to give beyond its minimum, over all slices.
    for (size_t zone = 0; zone < zone_nodes_.size(); ++zone) {
      int64_t extra = -int64_t{rules_.zone_min[zone]} * rules_.slices;
      for (const int node : zone_nodes_[zone]) extra += table_.target(node);
      zone_extra_.push_back(extra);
    }
  }

  void Place() {
    for (uint32_t slice = 0; slice < rules_.slices; ++slice) PlaceSlice(slice);
  }

 private:
  void PlaceSlice(uint32_t slice) {
    std::vector<size_t> zones(zone_nodes_.size());
    std::iota(zones.begin(), zones.end(), size_t{0});
    std::sort(zones.begin(), zones.end(), [&](size_t a, size_t b) {
      return std::make_tuple(-zone_extra_[a], Mix(slice * 1000003ULL + a), a) <
             std::make_tuple(-zone_extra_[b], Mix(slice * 1000003ULL + b), b);
    });
    int open = rules_.owners_each;
    for (const int minimum : rules_.zone_min) open -= minimum;
    std::vector<int> chosen;
    for (const size_t zone : zones) {
      const bool extra = open > 0 && rules_.zone_min[zone] < rules_.zone_max[zone];
      if (extra) --open;
      if (extra) --zone_extra_[zone];
      TakeFromZone(slice, zone, rules_.zone_min[zone] + (extra ? 1 : 0), chosen);
    }
    for (const int node : chosen) table_.Replace(slice, kHole, node);
  }

  void TakeFromZone(uint32_t slice, size_t zone, int count, std::vector<int>& chosen) {
    std::vector<int>& nodes = zone_nodes_[zone];
    const auto end = nodes.begin() + count;
    std::partial_sort(nodes.begin(), end, nodes.end(), [&](int a, int b) {
      return std::make_tuple(-ToCome(a), Tie(slice + 1, nodes_[static_cast<size_t>(a)].id), a) <
             std::make_tuple(-ToCome(b), Tie(slice + 1, nodes_[static_cast<size_t>(b)].id), b);
    });
    chosen.insert(chosen.end(), nodes.begin(), end);
  }

  int64_t ToCome(int node) const { return int64_t{table_.target(node)} - table_.load(node); }

  SliceTable& table_;
  const ClaimRules& rules_;
  const std::vector<ClaimNode>& nodes_;
  std::vector<std::vector<int>> zone_nodes_;
  std::vector<int64_t> zone_extra_;
};

// Keeps of the previous placement what the zone rules allow.
void KeepPrevious(SliceTable& table) {
  for (uint32_t slice = 0; slice < table.rules().slices; ++slice) {
    for (const int node : table.Previous(slice)) {
      const bool room = node != kHole && table.Has(slice, kHole);
      if (room && table.CanReplace(slice, kHole, node)) table.Replace(slice, kHole, node);
    }
  }
}

// Takes from each node what it has over its target, first where the slice has no hole yet. Which
// slices is a guess; FillHoles mends it at no cost, since a pair given back costs nothing.
void DropSurplus(SliceTable& table, const std::vector<ClaimNode>& nodes) {
  const uint32_t slices = table.rules().slices;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const int node = static_cast<int>(i);
    const uint64_t start = Tie(1, nodes[i].id);
    const uint64_t stride = Tie(2, nodes[i].id) | 1;  // odd: visits each of 2^k slices once
    for (const bool whole_only : {true, false}) {
      for (uint64_t k = 0; k < slices && table.load(node) > table.target(node); ++k) {
        const uint32_t slice = static_cast<uint32_t>((start + k * stride) % slices);
        if (!table.Has(slice, node) || (whole_only && table.Has(slice, kHole))) continue;
        table.Replace(slice, node, kHole);
      }
    }
  }
}

std::vector<int> IndexesOf(const Ownership& ownership, const std::vector<ClaimNode>& nodes) {
  std::vector<int> indexes;
  indexes.reserve(ownership.owners.size());
  for (const NodeId owner : ownership.owners) {
    const auto it =
        std::lower_bound(nodes.begin(), nodes.end(), owner,
                         [](const ClaimNode& node, NodeId wanted) { return node.id < wanted; });
    const bool member = it != nodes.end() && it->id == owner;
    indexes.push_back(member ? static_cast<int>(it - nodes.begin()) : kHole);
  }
  return indexes;
}

}  // namespace

Ownership Claim(const std::vector<ClaimNode>& members, int replicas, uint32_t slices,
                const Ownership* previous) {
  GYRE_CHECK(!members.empty(), "someone must own the slices");
  GYRE_CHECK(replicas >= 1 && replicas <= kMaxReplicas, "N is 1 to kMaxReplicas");
  GYRE_CHECK(std::has_single_bit(slices) && slices <= kMaxSlices, "slices: a power of two");
  GYRE_CHECK(previous == nullptr || previous->slices == slices, "Q is fixed for a cluster's life");
  std::vector<ClaimNode> nodes = members;
  std::sort(nodes.begin(), nodes.end(),
            [](const ClaimNode& a, const ClaimNode& b) { return a.id < b.id; });
  for (size_t i = 0; i < nodes.size(); ++i) {
    GYRE_CHECK(nodes[i].id != NodeId(), "0 is no node");
    GYRE_CHECK(i == 0 || nodes[i - 1].id != nodes[i].id, "members are distinct");
  }

  const int owners_each = std::min(replicas, static_cast<int>(nodes.size()));
  ClaimRules rules = MakeRules(nodes, owners_each, slices);
  SliceTable table(rules, previous == nullptr ? std::vector<int>() : IndexesOf(*previous, nodes),
                   previous == nullptr ? 0 : previous->effective_replicas());
  if (previous != nullptr) KeepPrevious(table);
  rules.target = MakeTargets(table, nodes);
  if (previous != nullptr) {
    DropSurplus(table, nodes);
  } else {
    FirstPlacement(table, nodes).Place();
  }
  FillHoles(table);

  std::vector<int> owners;
  owners.reserve(slices * static_cast<size_t>(owners_each));
  for (uint32_t slice = 0; slice < slices; ++slice) {
    const auto slots = table.Slots(slice);
    owners.insert(owners.end(), slots.begin(), slots.end());
  }
  SpreadRanks(owners, owners_each, static_cast<int>(nodes.size()));

  Ownership result;
  result.replicas = replicas;
  result.slices = slices;
  result.owners.reserve(owners.size());
  for (const int node : owners) result.owners.push_back(nodes[static_cast<size_t>(node)].id);
  return result;
}

uint64_t MovesBetween(const Ownership& before, const Ownership& after) {
  GYRE_CHECK(before.slices == after.slices, "the same slices");
  uint64_t moves = 0;
  for (uint32_t slice = 0; slice < after.slices; ++slice) {
    const auto old_owners = before.OwnersOf(slice);
    for (const NodeId owner : after.OwnersOf(slice)) {
      if (std::find(old_owners.begin(), old_owners.end(), owner) == old_owners.end()) ++moves;
    }
  }
  return moves;
}

}  // namespace gyre
