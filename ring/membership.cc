#include "ring/membership.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "ring/check.h"

namespace gyre {
namespace {

constexpr int kConfirmations = 3;  // of a suspicion, for its shortest time
constexpr int kMaxAllsTold = 10;   // in a probe interval; who is not told asks again
// What a member counts to, as far as others tell of it; a rumour of more is no member's. What a
// member says of itself, and hears of itself, may be more: whatever others believe of it, it can
// refute with a higher count, and they hear that from itself. Nobody counts beyond kMaxCount. Only
// a forged or damaged rumour brings a member there; then it has no higher count to refute with, and
// whoever probes it takes its answer for one.
constexpr uint64_t kMaxTold = (uint64_t{1} << 62) - 1;
constexpr uint64_t kMaxCount = (uint64_t{1} << 63) - 1;
constexpr size_t kMaxFavours = 100;      // beyond it, who asks for help is told that there is none
constexpr int kNoneBeforeEndTenths = 8;  // of the probe timeout: an asker hears in its own time
// Before its suspicion ends, in probe intervals, a suspect is probed itself: the first time long
// enough that who stands still in it is likely back for the second.
constexpr std::array<int, 2> kLastCalls = {8, 2};

using Kind = MembershipMessage::Kind;

}  // namespace

Membership::Membership(NodeId self, MembershipOptions options, Random random)
    : self_(self), options_(options), random_(random), gossip_at_(Time::Never()) {
  GYRE_CHECK(options.probe_timeout > Duration(), "a probe takes time");
  GYRE_CHECK(options.probe_interval >= options.probe_timeout * 2, "helpers need time as well");
  GYRE_CHECK(options.gossip_interval > Duration(), "gossip goes in rounds");
  GYRE_CHECK(options.helpers >= 0 && options.gossip_to >= 1, "gossip goes to somebody");
  GYRE_CHECK(options.max_rumours >= 2, "one of them may be about who gets the message");
  GYRE_CHECK(options.max_rumours <= kMaxRumours, "who gets a message refuses more");
  GYRE_CHECK(options.suspicion_least >= 1 && options.suspicion_most >= 1, "a suspicion takes time");
  GYRE_CHECK(options.probes_of_the_dead >= 1, "the dead are probed now and then");
  self_rumour_ = {self, Liveness::kAlive, 0, self, 0, Load::kIdle};
}

void Membership::SetMembers(const std::vector<NodeId>& others, Time now) {
  std::map<NodeId, Peer> peers;
  for (const NodeId node : others) {
    GYRE_CHECK(node != self_, "the others are not this node");
    const auto known = peers_.find(node);
    Peer peer;
    peer.known.node = node;
    peer.known.by = node;
    peers.emplace(node, known == peers_.end() ? std::move(peer) : std::move(known->second));
  }
  for (const auto& [node, peer] : peers_) {
    if (peers.contains(node)) continue;
    if (peer.known.liveness != Liveness::kAlive) {
      out_.changes.push_back({node, Liveness::kAlive});
    }
    if (peer.known.load != Load::kIdle) out_.loads.push_back({node, Load::kIdle});
    rumours_.Drop(node);
    ending_.erase({peer.dead_at, node});
    if (probe_.has_value() && probe_->target == node) probe_.reset();
    std::erase_if(favours_,
                  [gone = node](const auto& entry) { return entry.second.asker == gone; });
  }
  const bool first = peers_.empty();
  peers_ = std::move(peers);
  ids_.clear();
  for (const auto& [node, peer] : peers_) ids_.push_back(node);
  round_.clear();
  // Nodes that start together do not all probe in the same moment.
  if (first) {
    probe_at_ = now + Duration::Micros(random_.Between(0, options_.probe_interval.micros()));
  }
}

// ------------------------------------------------------------------------------------------ events

void Membership::OnMessage(NodeId from, const MembershipMessage& message, Time now) {
  if (!peers_.contains(from)) return AnswerStranger(from, message);
  if (message.epoch > epoch_) out_.newer_epochs.push_back({from, message.epoch});
  // An earlier life of it has said more than it knows of.
  Peer& sender = peers_.at(from);
  const Rumour& known = sender.known;
  if (message.incarnation < known.incarnation || message.load_version < known.load_version) {
    MembershipMessage remind = NewMessage(Kind::kGossip);
    remind.rumours.push_back(known);
    out_.sends.push_back({from, std::move(remind)});
  }
  HearLoad(&sender, message.load_version, message.load);
  if (message.incarnation > known.incarnation && message.incarnation <= kMaxCount) {
    Believe(&sender, {from, Liveness::kAlive, message.incarnation, from, 0, Load::kIdle});
  }
  for (const Rumour& rumour : message.rumours) Hear(from, rumour, now);
  switch (message.kind) {
    case Kind::kProbe:
      return Send(from, Kind::kAnswer, message.sequence);
    case Kind::kHelp:
      return Help(from, message, now);
    case Kind::kAnswer: {
      if (probe_.has_value() && probe_->sequence == message.sequence) {
        probe_->answered = true;
        if (from == probe_->target && known.incarnation == kMaxCount) Revive(&sender);
      }
      const auto favour = favours_.find(message.sequence);
      if (favour == favours_.end()) return;
      AnswerFavour(favour->second);
      favours_.erase(favour);
      return;
    }
    case Kind::kNone:
      if (probe_.has_value() && probe_->sequence == message.sequence && probe_->nones_missing > 0) {
        --probe_->nones_missing;
      }
      return;
    case Kind::kGossip:
      return;
    case Kind::kAskAll:
      return TellAll(from);
  }
}

void Membership::AnswerStranger(NodeId from, const MembershipMessage& message) {
  if (message.kind != Kind::kProbe) return;
  MembershipMessage answer = NewMessage(Kind::kAnswer);
  answer.sequence = message.sequence;
  out_.sends.push_back({from, std::move(answer)});
}

void Membership::OnWake(Time now) {
  // It was stopped itself, or starved: the answers that it missed say nothing of others, and what
  // has arrived meanwhile is still to be heard.
  if (now - wake_ > options_.probe_timeout) {
    health_.Worsen(1);
    probe_.reset();
    favours_.clear();
    judge_from_ = now + options_.probe_interval * 2;
    while (!ending_.empty() && ending_.begin()->first < judge_from_) {
      SetDeadAt(&peers_.at(ending_.begin()->second), judge_from_);
    }
  }
  TendFavours(now);
  if (probe_.has_value() && !probe_->answered) {
    if (!probe_->repeated && probe_->repeat_at <= now) {
      probe_->repeated = true;
      Send(probe_->target, Kind::kProbe, probe_->sequence);
    }
    if (!probe_->helped && probe_->help_at <= now) AskHelpers();
  }
  if (probe_.has_value() && probe_->ends_at <= now) EndProbe(now);
  if (!probe_.has_value() && probe_at_ <= now) BeginProbe(now);
  EndSuspicions(now);
  if (gossip_at_ <= now) Gossip(now);
}

MembershipEffects Membership::TakeEffects(Time now) {
  if (rumours_.empty()) {
    gossip_at_ = Time::Never();
  } else if (gossip_at_ == Time::Never()) {
    gossip_at_ = now + options_.gossip_interval;
  }
  wake_ = gossip_at_;
  if (probe_.has_value()) {
    Time next = probe_->ends_at;
    if (!probe_->answered && !probe_->helped) next = probe_->help_at;
    if (!probe_->answered && !probe_->repeated) next = probe_->repeat_at;
    wake_ = std::min(wake_, next);
  } else if (!peers_.empty()) {
    wake_ = std::min(wake_, probe_at_);
  }
  if (!ending_.empty()) wake_ = std::min(wake_, ending_.begin()->first);
  for (const auto& [sequence, favour] : favours_) {
    wake_ = std::min(wake_, favour.told_none ? favour.ends_at : favour.none_at);
  }
  out_.wake = wake_;
  return std::exchange(out_, {});
}

Liveness Membership::LivenessOf(NodeId node) const {
  const auto it = peers_.find(node);
  return it == peers_.end() ? Liveness::kDead : it->second.known.liveness;
}

Load Membership::LoadOf(NodeId node) const {
  const auto it = peers_.find(node);
  return it == peers_.end() ? Load::kIdle : it->second.known.load;
}

// ------------------------------------------------------------------------------------------ probes

void Membership::BeginProbe(Time now) {
  alls_told_ = 0;
  if (load_ != self_rumour_.load) {
    self_rumour_.load = load_;
    self_rumour_.load_version = std::min(self_rumour_.load_version + 1, kMaxCount);
    rumours_.Add(self_rumour_);
  }
  if (peers_.empty()) return;
  Probe probe;
  probe.target = NextTarget(now);
  probe.sequence = next_sequence_++;
  probe.repeat_at = now + health_.Stretch(options_.probe_timeout) / 2;
  probe.help_at = now + health_.Stretch(options_.probe_timeout);
  probe.ends_at = now + health_.Stretch(options_.probe_interval);
  probe_ = probe;
  probe_at_ = probe.ends_at;
  Send(probe.target, Kind::kProbe, probe.sequence);
}

void Membership::AskHelpers() {
  probe_->helped = true;
  for (const NodeId helper : SomeOf(options_.helpers, probe_->target)) {
    ++probe_->helpers_asked;
    Send(helper, Kind::kHelp, probe_->sequence, probe_->target);
  }
  probe_->nones_missing = probe_->helpers_asked;
}

void Membership::EndProbe(Time now) {
  const Probe probe = *probe_;
  probe_.reset();
  if (probe.answered) {
    Withdraw(probe.target);
    return health_.Improve();
  }
  const Rumour& known = peers_.at(probe.target).known;
  if (known.liveness == Liveness::kDead) return;  // as was to be expected
  // Helpers that said nothing at all make it likelier that the fault is here.
  health_.Worsen(nodes() > 2 ? probe.nones_missing : 1);
  const bool kept = probe.helpers_asked > 0 && probe.nones_missing == probe.helpers_asked;
  Suspect(probe.target, known.incarnation, self_, kept, now);
}

std::optional<NodeId> Membership::LastCall(Time now) {
  for (const auto& [at, node] : ending_) {
    if (at > now + options_.probe_interval * kLastCalls.front()) break;
    size_t& called = peers_.at(node).called;
    if (called == kLastCalls.size() || at > now + options_.probe_interval * kLastCalls[called]) {
      continue;
    }
    ++called;
    return node;
  }
  return std::nullopt;
}

NodeId Membership::NextTarget(Time now) {
  if (const std::optional<NodeId> suspect = LastCall(now)) return *suspect;
  const auto dead = [this](NodeId node) { return LivenessOf(node) == Liveness::kDead; };
  if (++probes_ % static_cast<uint64_t>(options_.probes_of_the_dead) == 0) {
    std::vector<NodeId> gone;
    std::copy_if(ids_.begin(), ids_.end(), std::back_inserter(gone), dead);
    if (!gone.empty()) return gone[random_.Below(gone.size())];
  }
  for (int refills = 0; refills < 2;) {
    while (!round_.empty()) {
      const NodeId next = round_.back();
      round_.pop_back();
      if (!dead(next)) return next;
    }
    ++refills;
    round_ = ids_;
    for (size_t i = round_.size(); i > 1; --i) std::swap(round_[i - 1], round_[random_.Below(i)]);
  }
  return round_.back();  // nobody is thought to be alive
}

void Membership::Help(NodeId asker, const MembershipMessage& message, Time now) {
  if (favours_.size() >= kMaxFavours || !peers_.contains(message.about)) {
    return Send(asker, Kind::kNone, message.sequence);
  }
  Favour favour;
  favour.asker = asker;
  favour.about = message.about;
  favour.sequence = message.sequence;
  // The asker waits half an interval for it, as a rule: a "none" must come before that.
  const Duration patience = options_.probe_interval - options_.probe_timeout;
  favour.none_at = now + patience * kNoneBeforeEndTenths / 10;
  favour.ends_at = now + options_.probe_interval * 2;
  Send(message.about, Kind::kProbe, next_sequence_);
  favours_.emplace(next_sequence_++, favour);
}

// With what is known of whom it is about: if the asker suspects it, it has refuted that here, and
// the asker may be one whom it cannot tell.
void Membership::AnswerFavour(const Favour& favour) {
  Send(favour.asker, Kind::kAnswer, favour.sequence);
  const auto about = peers_.find(favour.about);
  if (about == peers_.end()) return;
  std::vector<Rumour>& rumours = out_.sends.back().message.rumours;
  if (rumours.size() == options_.max_rumours) rumours.pop_back();
  rumours.push_back(about->second.Told());
}

// Nobody else believes what this node says of it: rumours of such a count are ignored.
void Membership::Revive(Peer* peer) {
  if (peer->known.liveness == Liveness::kAlive) return;
  const NodeId node = peer->known.node;
  Believe(peer, {node, Liveness::kAlive, kMaxCount, node, 0, Load::kIdle});
}

// What was kept need not be refuted: only this node has ever said it.
void Membership::Withdraw(NodeId node) {
  Peer& peer = peers_.at(node);
  if (!peer.kept) return;
  Believe(&peer, {node, Liveness::kAlive, peer.known.incarnation, node, 0, Load::kIdle});
}

void Membership::TendFavours(Time now) {
  for (auto it = favours_.begin(); it != favours_.end();) {
    Favour& favour = it->second;
    if (!favour.told_none && favour.none_at <= now) {
      favour.told_none = true;
      Send(favour.asker, Kind::kNone, favour.sequence);
    }
    it = favour.ends_at <= now ? favours_.erase(it) : std::next(it);
  }
}

// ------------------------------------------------------------------------------------------ gossip

std::vector<NodeId> Membership::SomeOf(int count, NodeId except) {
  std::vector<NodeId> chosen;
  if (ids_.empty()) return chosen;
  const auto wanted = static_cast<size_t>(count);
  const auto consider = [&](NodeId node) {
    if (node == except || LivenessOf(node) == Liveness::kDead) return;
    if (std::find(chosen.begin(), chosen.end(), node) == chosen.end()) chosen.push_back(node);
  };
  // A few draws find enough, as a rule; where most are dead, or few there, all are looked at.
  for (size_t tries = 4 * wanted; tries > 0 && chosen.size() < wanted; --tries) {
    consider(ids_[random_.Below(ids_.size())]);
  }
  const size_t first = random_.Below(ids_.size());
  for (size_t i = 0; i < ids_.size() && chosen.size() < wanted; ++i) {
    consider(ids_[(first + i) % ids_.size()]);
  }
  return chosen;
}

void Membership::Gossip(Time now) {
  const std::vector<NodeId> some = SomeOf(options_.gossip_to, NodeId());
  for (const NodeId node : some) {
    if (!rumours_.empty()) Send(node, Kind::kGossip, 0);
  }
  // With nobody to tell, what is known is kept for who comes back.
  gossip_at_ = now + (some.empty() ? options_.probe_interval : options_.gossip_interval);
}

MembershipMessage Membership::NewMessage(Kind kind) const {
  MembershipMessage message;
  message.kind = kind;
  message.epoch = epoch_;
  message.incarnation = self_rumour_.incarnation;
  message.load_version = self_rumour_.load_version;
  message.load = self_rumour_.load;
  return message;
}

void Membership::Send(NodeId to, Kind kind, uint64_t sequence, NodeId about) {
  MembershipMessage message = NewMessage(kind);
  message.sequence = sequence;
  message.about = about;
  message.rumours = rumours_.Take(options_.max_rumours - 1, nodes());
  // It is told what is said of it, so that it can refute that.
  const Rumour& known = peers_.at(to).known;
  if (known.liveness != Liveness::kAlive) message.rumours.push_back(known);
  out_.sends.push_back({to, std::move(message)});
}

void Membership::TellAll(NodeId to) {
  if (++alls_told_ > kMaxAllsTold) return;
  MembershipMessage message = NewMessage(Kind::kGossip);
  const auto tell = [&] {
    if (!message.rumours.empty()) out_.sends.push_back({to, message});
    message.rumours.clear();
  };
  for (const auto& [node, peer] : peers_) {
    if (peer.known.incarnation == 0 && peer.known.load_version == 0 &&
        peer.known.liveness == Liveness::kAlive) {
      continue;  // what anybody takes it for
    }
    message.rumours.push_back(peer.Told());
    if (message.rumours.size() == options_.max_rumours) tell();
  }
  tell();
}

void Membership::Hear(NodeId from, const Rumour& rumour, Time now) {
  const uint64_t most = rumour.node == self_ ? kMaxCount : kMaxTold;
  if (rumour.incarnation > most || rumour.load_version > most) return;
  if (rumour.node == self_) return HearOfSelf(from, rumour, now);
  const auto it = peers_.find(rumour.node);
  if (it == peers_.end()) return;
  Peer& peer = it->second;
  HearLoad(&peer, rumour.load_version, rumour.load);
  if (rumour.liveness == Liveness::kSuspect) {
    Suspect(rumour.node, rumour.incarnation, rumour.by, /*kept=*/false, now);
  } else if (rumour.Supersedes(peer.known)) {
    Believe(&peer, rumour);
  }
}

void Membership::HearLoad(Peer* peer, uint64_t version, Load load) {
  if (version <= peer->known.load_version || version > kMaxCount) return;
  if (load != peer->known.load) out_.loads.push_back({peer->known.node, load});
  peer->known.load_version = version;
  peer->known.load = load;
  rumours_.Add(peer->Told());
}

void Membership::HearOfSelf(NodeId from, const Rumour& rumour, Time now) {
  const bool wrong = rumour.liveness != Liveness::kAlive;
  const bool refuted = rumour.incarnation < self_rumour_.incarnation;
  // What an earlier life of this node said.
  const bool unknown = rumour.incarnation > self_rumour_.incarnation ||
                       rumour.load_version > self_rumour_.load_version;
  if (!wrong && !unknown) return;
  if (!refuted) {
    if (wrong) health_.Worsen(1);
    self_rumour_.incarnation = std::min(rumour.incarnation + 1, kMaxCount);
  }
  if (unknown) {
    const uint64_t told = std::max(self_rumour_.load_version, rumour.load_version);
    self_rumour_.load_version = std::min(told + 1, kMaxCount);
  }
  rumours_.Add(self_rumour_);  // anew, too, for those who have not heard it
  if (rumour.liveness == Liveness::kDead && ask_all_at_ <= now) {
    ask_all_at_ = now + options_.probe_interval;
    Send(from, Kind::kAskAll, 0);
  }
}

void Membership::Suspect(NodeId node, uint64_t incarnation, NodeId by, bool kept, Time now) {
  Peer& peer = peers_.at(node);
  const Rumour rumour{node, Liveness::kSuspect, incarnation, by, 0, Load::kIdle};
  if (rumour.Supersedes(peer.known)) {
    const auto least = options_.probe_interval * options_.suspicion_least *
                       (Rumours::Limit(nodes()) / Rumours::kRepeats);
    const int others = static_cast<int>(nodes()) - 2;  // who could confirm it
    Believe(&peer, rumour, kept);
    peer.suspicion.emplace(by, least, least * options_.suspicion_most,
                           std::clamp(others, 0, kConfirmations));
    peer.suspected_at = now;
    peer.called = 0;
    SetDeadAt(&peer, std::max(now + peer.suspicion->Timeout(), judge_from_));
  } else if (peer.known.liveness == Liveness::kSuspect && peer.known.incarnation == incarnation) {
    Confirm(&peer, by, kept, now);
  }
}

void Membership::Confirm(Peer* peer, NodeId by, bool kept, Time now) {
  const bool confirmed = !kept && peer->suspicion->Confirm(by);
  const bool first_told = peer->kept && !kept;
  if (!confirmed && !first_told) return;
  peer->kept = false;
  peer->known.by = by;
  rumours_.Add(peer->known);
  if (peer->called > 0) return;  // it is about to end, and is to have its last calls
  const Time calls_end = now + options_.probe_interval * (kLastCalls.back() + 1);
  const Time suspicion_ends = peer->suspected_at + peer->suspicion->Timeout();
  SetDeadAt(peer, std::max({suspicion_ends, calls_end, judge_from_}));
}

void Membership::Believe(Peer* peer, const Rumour& rumour, bool kept) {
  Rumour& known = peer->known;
  if (rumour.liveness != known.liveness) out_.changes.push_back({known.node, rumour.liveness});
  known.liveness = rumour.liveness;
  known.incarnation = rumour.incarnation;
  known.by = rumour.by;
  peer->suspicion.reset();
  SetDeadAt(peer, Time::Never());
  peer->kept = kept;
  if (!kept) rumours_.Add(known);
}

void Membership::EndSuspicions(Time now) {
  while (!ending_.empty() && ending_.begin()->first <= now) {
    Peer& peer = peers_.at(ending_.begin()->second);
    Rumour dead = peer.known;
    dead.liveness = Liveness::kDead;
    dead.by = self_;
    Believe(&peer, dead, peer.kept);
  }
}

void Membership::SetDeadAt(Peer* peer, Time at) {
  ending_.erase({peer->dead_at, peer->known.node});
  peer->dead_at = at;
  if (at != Time::Never()) ending_.insert({at, peer->known.node});
}

}  // namespace gyre
