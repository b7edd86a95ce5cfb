// Members and what moves between them, between api/proto/gyre.proto and ring/. Pure; any thread.

#ifndef GYRE_API_MEMBER_TRANSLATION_H_
#define GYRE_API_MEMBER_TRANSLATION_H_

#include <functional>
#include <set>

#include "absl/status/statusor.h"
#include "api/proto/gyre.pb.h"
#include "ring/member.h"
#include "ring/rebalance.h"
#include "ring/topology.h"

namespace gyre {

v1::MemberState ToProto(MemberState state);
void ToProto(const Member& member, v1::TopologyMember* out);

// What the request does to a document (ring/rebalance.h). The error is an answer to the client.
absl::StatusOr<std::function<absl::StatusOr<Topology>(const Topology&)>> ChangeOf(
    const v1::ChangeMemberRequest& request);

// REQUIRES: the flow's ends are members.
void ToProto(const Flow& flow, const Topology& topology, v1::Transfer* out);

// Who votes on the document, as a node sees it that cannot reach `away`.
void AddVoters(const Topology& topology, const std::set<NodeId>& away,
               v1::ListTransfersReply* reply);

}  // namespace gyre

#endif  // GYRE_API_MEMBER_TRANSLATION_H_
