#include "server/membership_seat.h"

#include <utility>

#include "server/lane.h"
#include "server/log.h"

namespace gyre {

void MembershipSeat::Attach(std::vector<Lane*> lanes, const View& view, Time now) {
  lanes_ = std::move(lanes);
  node_->SetMembers(view, now);
}

Time MembershipSeat::Perform(Instant now) {
  MembershipEffects effects = node_->membership().TakeEffects(now.monotonic);
  for (const MembershipEffects::Change& change : effects.changes) Tell(change);
  for (const MembershipEffects::Newer& newer : effects.newer_epochs) {
    node_->control().OnEpochOf(newer.node, newer.epoch, now);
  }
  std::vector<Envelope> sends;
  sends.reserve(effects.sends.size());
  for (MembershipEffects::Send& send : effects.sends) sends.push_back(Enclose(std::move(send)));
  if (!sends.empty()) peers_->Send(std::move(sends));
  return effects.wake;
}

void MembershipSeat::Tell(const MembershipEffects::Change& change) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    liveness_[change.node] = change.liveness;
  }
  for (Lane* lane : lanes_) lane->OnLiveness(change.node, change.liveness);
  const Member* member = node_->control().view()->FindMember(change.node);
  if (member == nullptr) return;
  Log(LogLevel::kInfo, "peer_liveness",
      {{"peer", member->name}, {"liveness", LivenessName(change.liveness)}});
}

Liveness MembershipSeat::LivenessOf(NodeId node) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = liveness_.find(node);
  return it == liveness_.end() ? Liveness::kAlive : it->second;
}

}  // namespace gyre
