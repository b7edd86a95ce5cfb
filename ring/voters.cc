#include "ring/voters.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

namespace gyre {
namespace {

// Of one zone. `left` in the order in which they are taken, from the back.
struct Zone {
  std::vector<NodeId> left;
  size_t left_that_vote = 0;
  size_t taken = 0;
};

}  // namespace

VoterSets VoterSetsOf(const Topology& topology) {
  return {topology.voters, topology.voters_before};
}

bool HaveMajorityWithout(const std::vector<Voter>& voters, const std::set<NodeId>& absent) {
  const auto missing =
      static_cast<size_t>(std::count_if(voters.begin(), voters.end(), [&](const Voter& voter) {
        return absent.contains(voter.node);
      }));
  return voters.empty() || voters.size() - missing > voters.size() / 2;
}

// A member that has another life than the one in which it votes stays a voter: to have it voted in
// anew asks no more of the others than to have another one in its place.
std::vector<Voter> ChooseVoters(const Topology& topology) {
  const auto votes = [&](NodeId node) {
    return std::any_of(topology.voters.begin(), topology.voters.end(),
                       [&](const Voter& voter) { return voter.node == node; });
  };
  std::map<std::string_view, Zone> zones;
  size_t active = 0;
  for (const Member& member : topology.members) {
    if (member.state != MemberState::kActive) continue;
    ++active;
    Zone& zone = zones[member.zone];
    zone.left.push_back(member.id);
    if (votes(member.id)) ++zone.left_that_vote;
  }
  for (auto& [name, zone] : zones) {
    std::sort(zone.left.begin(), zone.left.end(), [&](NodeId a, NodeId b) {
      return std::make_tuple(votes(a), b) < std::make_tuple(votes(b), a);
    });
  }
  size_t seats = std::min(active, kMaxVoters);
  if (seats % 2 == 0) --seats;
  std::vector<Voter> chosen;
  while (chosen.size() < seats) {
    // The zone that has the fewest so far, and of several one with a voter of now.
    Zone* next = nullptr;
    for (auto& [name, zone] : zones) {
      if (zone.left.empty()) continue;
      const auto rank = [](const Zone& z) {
        return std::make_tuple(z.taken, z.left_that_vote == 0);
      };
      if (next == nullptr || rank(zone) < rank(*next)) next = &zone;
    }
    const NodeId node = next->left.back();
    chosen.push_back({node, FindMember(topology, node)->life});
    if (votes(node)) --next->left_that_vote;
    next->left.pop_back();
    ++next->taken;
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace gyre
