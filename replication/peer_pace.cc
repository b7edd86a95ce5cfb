#include "replication/peer_pace.h"

#include <algorithm>

namespace gyre {
namespace {

constexpr int64_t kToken = 100;

}  // namespace

PeerPace::PeerPace(PeerPaceOptions options)
    : options_(options),
      gain_(options.hedge_percent),
      most_(options.hedges_most * kToken),
      tokens_(std::min(options.hedges_first * kToken, most_)) {}

Duration PeerPace::HedgeAfter(NodeId other) const {
  const auto peer = peers_.find(other);
  if (peer == peers_.end()) return options_.hedge_unknown;
  return std::max(options_.hedge_least, peer->second.times.p95().value_or(options_.hedge_unknown));
}

bool PeerPace::TryHedge() {
  if (busy_ || tokens_ < kToken) {
    ++figures_.refused;
    return false;
  }
  tokens_ -= kToken;
  ++figures_.hedges;
  return true;
}

bool PeerPace::IsLeftAlone(NodeId peer, Time now) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && found->second.slow && now < found->second.until;
}

void PeerPace::NoteTry(NodeId node, Time now) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (!peer.slow || now < peer.until) return;
  ++figures_.tries;
  peer.tried = true;
  // Nobody else tries it meanwhile; of a try that nobody hears of again there will be another.
  peer.until = now + options_.slow_most;
}

void PeerPace::OnLoad(NodeId node, Load load) {
  if (load < Load::kBusy) {
    burdens_.erase(node);
  } else {
    burdens_[node] = load == Load::kBusy ? 1 : kMostBurden;
  }
}

int PeerPace::BurdenOf(NodeId node) const {
  const auto found = burdens_.find(node);
  return found == burdens_.end() ? 0 : found->second;
}

void PeerPace::OnAnswer(NodeId node, Duration took, bool late) {
  Peer& peer = peers_[node];
  peer.times.Add(took);
  if (late) return;
  peer.silences = 0;
  if (!peer.slow) return;
  peer.slow = false;
  peer.slow_for = Duration();
  --figures_.slow;
}

void PeerPace::OnSilence(NodeId node, Time now) {
  Peer& peer = peers_[node];
  ++peer.silences;
  if (peer.slow && !peer.tried) return;  // of what was asked before that was known
  if (!peer.slow) {
    if (peer.silences < options_.silences_to_slow) return;
    peer.slow = true;
    ++figures_.slow;
    ++figures_.slowed;
  }
  peer.tried = false;
  peer.slow_for = std::clamp(peer.slow_for * 2, options_.slow_least, options_.slow_most);
  peer.until = now + peer.slow_for;
}

}  // namespace gyre
