#include "api/cli/member_status.h"

#include <algorithm>
#include <cstddef>
#include <future>
#include <string>

namespace gyre {

const char* StateName(v1::MemberState state) {
  switch (state) {
    case v1::MEMBER_STATE_WAITING:
      return "waiting";
    case v1::MEMBER_STATE_LEAVING:
      return "leaving";
    case v1::MEMBER_STATE_DEAD:
      return "dead";
    default:
      return "active";
  }
}

std::vector<MemberStatus> AskAll(Client& client, const v1::GetTopologyReply& topology) {
  std::vector<std::future<absl::StatusOr<v1::NodeStatusReply>>> asked;
  for (const v1::TopologyMember& member : topology.members()) {
    asked.push_back(std::async(std::launch::async, [&client, address = member.client_address()] {
      return client.NodeStatus(address);
    }));
  }
  std::vector<MemberStatus> all;
  for (int i = 0; i < topology.members_size(); ++i) {
    all.push_back({topology.members(i), asked[static_cast<size_t>(i)].get()});
  }
  std::sort(all.begin(), all.end(), [](const MemberStatus& a, const MemberStatus& b) {
    return a.member.name() < b.member.name();
  });
  return all;
}

}  // namespace gyre
