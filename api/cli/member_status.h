// MemberStatus: one member of the cluster, and what it says of itself, or why it says nothing.
//
// One thread.

#ifndef GYRE_API_CLI_MEMBER_STATUS_H_
#define GYRE_API_CLI_MEMBER_STATUS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "api/client/client.h"
#include "api/proto/gyre.pb.h"

namespace gyre {

struct MemberStatus {
  v1::TopologyMember member;
  absl::StatusOr<v1::NodeStatusReply> status;

  bool serves() const { return status.ok() && status->state() == "serving"; }
  // Nobody waits for one that was declared dead.
  bool is_wanted() const { return member.state() != v1::MEMBER_STATE_DEAD; }
};

// "active", "waiting", "leaving" or "dead".
const char* StateName(v1::MemberState state);

// By name. All at once, so that one that is down costs its timeout only once.
std::vector<MemberStatus> AskAll(Client& client, const v1::GetTopologyReply& topology);

}  // namespace gyre

#endif  // GYRE_API_CLI_MEMBER_STATUS_H_
