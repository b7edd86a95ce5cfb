#include "api/member_translation.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "api/error_translation.h"

namespace gyre {
namespace {

void ToProto(const Voter& voter, const Topology& topology, const std::set<NodeId>& away,
             v1::Voter* out) {
  const Member& member = *FindMember(topology, voter.node);
  out->set_node(member.name);
  out->set_life(voter.life);
  out->set_reachable(!away.contains(voter.node));
  out->set_ended(member.life != voter.life);
}

}  // namespace

v1::MemberState ToProto(MemberState state) {
  switch (state) {
    case MemberState::kWaiting:
      return v1::MEMBER_STATE_WAITING;
    case MemberState::kLeaving:
      return v1::MEMBER_STATE_LEAVING;
    case MemberState::kDead:
      return v1::MEMBER_STATE_DEAD;
    case MemberState::kActive:
      break;
  }
  return v1::MEMBER_STATE_ACTIVE;
}

void ToProto(const Member& member, v1::TopologyMember* out) {
  out->set_name(member.name);
  out->set_zone(member.zone);
  out->set_client_address(member.client_address);
  out->set_state(ToProto(member.state));
}

absl::StatusOr<std::function<absl::StatusOr<Topology>(const Topology&)>> ChangeOf(
    const v1::ChangeMemberRequest& request) {
  using Change = std::function<absl::StatusOr<Topology>(const Topology&)>;
  const std::string& node = request.node();
  if (node.empty()) return InvalidField("node", "empty; the name of a member is required");
  switch (request.change()) {
    case v1::ChangeMemberRequest::ACTIVATE:
      return Change([node](const Topology& topology) { return ActivateMember(topology, node); });
    case v1::ChangeMemberRequest::RETIRE:
      return Change([node](const Topology& topology) { return RetireMember(topology, node); });
    case v1::ChangeMemberRequest::LEAVE:
      return Change([node](const Topology& topology) { return LeaveMember(topology, node); });
    case v1::ChangeMemberRequest::REMOVE:
      return Change([node](const Topology& topology) { return BuryMember(topology, node); });
    case v1::ChangeMemberRequest::REPLACE:
      if (request.with() == node) return InvalidField("with", "a node cannot replace itself");
      return Change([node, with = request.with()](const Topology& topology) {
        return ReplaceMember(topology, node, with);
      });
    case v1::ChangeMemberRequest::SET_ZONE:
      if (request.zone().empty()) return InvalidField("zone", "empty; a name is required");
      // It is shown on terminals, which would obey them.
      if (std::any_of(request.zone().begin(), request.zone().end(),
                      [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
        return InvalidField("zone", "it has control characters");
      }
      return Change([node, zone = request.zone()](const Topology& topology) {
        return SetZone(topology, node, zone);
      });
    default:
      return InvalidField("change", absl::StrCat(static_cast<int>(request.change()),
                                                 "; one of those that there are is required"));
  }
}

void ToProto(const Flow& flow, const Topology& topology, v1::Transfer* out) {
  out->set_from(FindMember(topology, flow.from)->name);
  out->set_to(FindMember(topology, flow.to)->name);
  out->set_waiting(flow.waiting);
  out->set_filling(flow.filling);
  out->set_finishing(flow.switched);
}

void AddVoters(const Topology& topology, const std::set<NodeId>& away,
               v1::ListTransfersReply* reply) {
  for (const Voter& voter : topology.voters) {
    ToProto(voter, topology, away, reply->add_voters());
  }
  for (const Voter& voter : topology.voters_before) {
    ToProto(voter, topology, away, reply->add_voters_before());
  }
}

}  // namespace gyre
