#include "server/membership_seat.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "server/lane.h"
#include "server/log.h"

namespace gyre {

void MembershipSeat::Attach(std::vector<Lane*> lanes, const View& view, Instant now) {
  lanes_ = std::move(lanes);
  node_->SetMembers(view, now.monotonic);
  TellTime(now);
}

Time MembershipSeat::Perform(Instant now) {
  if (look_at_load_ <= now.monotonic) LookAtLoad(now.monotonic);
  MembershipEffects effects = node_->membership().TakeEffects(now.monotonic);
  for (const MembershipEffects::Change& change : effects.changes) Tell(change);
  for (const MembershipEffects::Loaded& loaded : effects.loads) Tell(loaded);
  for (const MembershipEffects::Newer& newer : effects.newer_epochs) {
    node_->control().OnEpochOf(newer.node, newer.epoch, now);
  }
  std::vector<Envelope> sends;
  sends.reserve(effects.sends.size());
  for (MembershipEffects::Send& send : effects.sends) {
    sends.push_back(Enclose(std::move(send), now.wall_ms));
  }
  if (!sends.empty()) peers_->Send(std::move(sends));
  TellTime(now);
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

void MembershipSeat::Tell(const MembershipEffects::Loaded& loaded) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    loads_[loaded.node] = loaded.load;
  }
  for (Lane* lane : lanes_) lane->OnLoad(loaded.node, loaded.load);
}

// The busiest lane's: a request that meets it waits, whatever the others do.
void MembershipSeat::LookAtLoad(Time now) {
  look_at_load_ = now + kLookAtLoad;
  int percent = 0;
  for (Lane* lane : lanes_) {
    percent = std::max(percent, lane->load_percent());
    if (lane->load_percent() > 0) lane->GoRound();  // it may have nothing to do any more
  }
  node_->OnLoad(percent, now);
  std::lock_guard<std::mutex> lock(mutex_);
  load_ = node_->load();
  incarnation_ = node_->membership().incarnation();
}

void MembershipSeat::TellTime(Instant now) {
  if (!heard_ && now.monotonic < look_at_) return;
  heard_ = false;
  look_at_ = now.monotonic + kLookAtClock;
  const std::optional<int64_t> offset = node_->time().Offset(now);
  {
    const int64_t own = static_cast<int64_t>(now.wall_ms) - now.monotonic.micros() / 1000;
    std::lock_guard<std::mutex> lock(mutex_);
    time_ = offset.has_value() ? TimeFigures{true, own - *offset, *offset} : TimeFigures();
  }
  const bool known = offset.has_value() && told_.has_value();
  if (offset == told_ || (known && std::abs(*offset - *told_) < kWorthTellingMs)) return;
  told_ = offset;
  for (Lane* lane : lanes_) lane->OnClusterTime(offset);
}

MembershipSeat::TimeFigures MembershipSeat::time() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return time_;
}

Load MembershipSeat::LoadOf(NodeId node) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = loads_.find(node);
  return it == loads_.end() ? Load::kIdle : it->second;
}

uint64_t MembershipSeat::incarnation() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return incarnation_;
}

Load MembershipSeat::load() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return load_;
}

Liveness MembershipSeat::LivenessOf(NodeId node) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = liveness_.find(node);
  return it == liveness_.end() ? Liveness::kAlive : it->second;
}

}  // namespace gyre
