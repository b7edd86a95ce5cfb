#include "test/sim/membership_world.h"

#include <utility>

namespace gyre {
namespace {

// Fields with their tags, as protobuf would write them.
constexpr size_t kMessageBytes = 32;
constexpr size_t kRumourBytes = 40;

// After a question for a document, until another one: it may have been lost.
constexpr Duration kAskAgain = Duration::Millis(500);

}  // namespace

MembershipWorld::MembershipWorld(Options options)
    : options_(options),
      random_(options.seed),
      network_(options.network, &scheduler_, Random(random_.Next())),
      nodes_(Index(options.nodes)) {
  std::set<int> members;
  for (int node = 0; node < options_.nodes; ++node) members.insert(node);
  documents_.push_back(std::move(members));
  for (int node = 0; node < options_.nodes; ++node) Start(node);
  if (options_.paused_per_mille > 0) SchedulePause();
}

void MembershipWorld::Start(int node) {
  Node& state = nodes_[Index(node)];
  state.alive = true;
  ++state.lives;
  ++live_;
  state.membership =
      std::make_unique<Membership>(Id(node), options_.membership, Random(random_.Next()));
  state.asked_until = Time();
  Tell(node);
  Perform(node);
}

void MembershipWorld::Tell(int node) {
  Node& state = nodes_[Index(node)];
  std::vector<NodeId> others;
  for (const int other : documents_[state.document]) {
    if (other != node) others.push_back(Id(other));
  }
  state.membership->SetMembers(others, now());
  state.membership->SetEpoch(Epoch(state.document));
}

void MembershipWorld::RunFor(Duration duration) {
  scheduler_.RunUntil(now() + duration, [] { return false; });
}

bool MembershipWorld::RunUntil(Duration most, const std::function<bool()>& done) {
  for (const Time end = now() + most; now() < end;) {
    if (done()) return true;
    RunFor(Duration::Millis(100));
  }
  return done();
}

// ------------------------------------------------------------------------------------------ faults

void MembershipWorld::Kill(int node) {
  Node& state = nodes_[Index(node)];
  state.alive = false;
  state.paused = false;
  state.wake = Time::Never();
  state.waiting.clear();
  --live_;
}

void MembershipWorld::Restart(int node) { Start(node); }

void MembershipWorld::CutOneWay(int from, int to) {
  network_.Cut(from, to);
  nodes_[Index(from)].touched = nodes_[Index(to)].touched = true;
}

void MembershipWorld::Deafen(int node) {
  nodes_[Index(node)].touched = true;
  for (size_t other = 0; other < nodes_.size(); ++other) {
    network_.Cut(static_cast<int>(other), node);
  }
}

void MembershipWorld::Mute(int node) {
  nodes_[Index(node)].touched = true;
  for (size_t other = 0; other < nodes_.size(); ++other) {
    network_.Cut(node, static_cast<int>(other));
  }
}

void MembershipWorld::Split(int nodes) {
  for (int a = 0; a < nodes; ++a) {
    for (int b = nodes; b < options_.nodes; ++b) {
      network_.Cut(a, b);
      network_.Cut(b, a);
    }
  }
}

void MembershipWorld::Pause(int node, Duration duration) {
  Node& state = nodes_[Index(node)];
  if (!state.alive || state.paused) return;
  state.paused = state.touched = true;
  ++figures_.pauses;
  scheduler_.After(duration, [this, node, life = state.lives] {
    Node& resumed = nodes_[Index(node)];
    if (!resumed.alive || resumed.lives != life) return;
    resumed.paused = false;
    // Timers that are due and messages that wait: either may come first.
    const bool timers_first = random_.Chance(1, 2);
    if (timers_first) Wake(node);
    for (const auto& deliver : std::exchange(resumed.waiting, {})) {
      if (resumed.alive) deliver();
    }
    if (!timers_first) Wake(node);
  });
}

void MembershipWorld::SchedulePause() {
  const int64_t mean = (options_.least_pause.micros() + options_.most_pause.micros()) / 2;
  const int64_t between = mean * 1000 / (int64_t{options_.nodes} * options_.paused_per_mille);
  scheduler_.After(Duration::Micros(random_.Between(1, 2 * between)), [this] {
    const int64_t pause =
        random_.Between(options_.least_pause.micros(), options_.most_pause.micros());
    Pause(static_cast<int>(random_.Below(nodes_.size())), Duration::Micros(pause));
    SchedulePause();
  });
}

// ----------------------------------------------------------------------------------------- members

int MembershipWorld::Join(int at) {
  const int node = static_cast<int>(nodes_.size());
  std::set<int> members = documents_.back();
  members.insert(node);
  documents_.push_back(std::move(members));
  ++figures_.joins;
  nodes_.emplace_back();
  nodes_.back().document = documents_.size() - 1;
  Start(node);
  Install(at, documents_.size() - 1);
  return node;
}

void MembershipWorld::Leave(int node, int at) {
  std::set<int> members = documents_.back();
  members.erase(node);
  documents_.push_back(std::move(members));
  ++figures_.leaves;
  Install(at, documents_.size() - 1);
}

void MembershipWorld::Install(int node, size_t document) {
  Node& state = nodes_[Index(node)];
  if (document <= state.document) return;
  state.document = document;
  if (!documents_[document].contains(node)) return Kill(node);
  Tell(node);
  Perform(node);
}

void MembershipWorld::AskForDocument(int node, int whom) {
  Node& state = nodes_[Index(node)];
  if (now() < state.asked_until) return;
  state.asked_until = now() + kAskAgain;
  network_.Send(node, whom, [this, node, whom] {
    Arrive(whom, [this, node, whom] {
      const size_t document = nodes_[Index(whom)].document;
      network_.Send(whom, node, [this, node, document] {
        Arrive(node, [this, node, document] { Install(node, document); });
      });
    });
  });
}

// ------------------------------------------------------------------------------------------- steps

void MembershipWorld::Wake(int node) {
  Node& state = nodes_[Index(node)];
  if (!state.alive || state.paused || state.wake > now()) return;
  state.membership->OnWake(now());
  Perform(node);
}

void MembershipWorld::Perform(int node) {
  Node& state = nodes_[Index(node)];
  MembershipEffects effects = state.membership->TakeEffects(now());
  if (!effects.newer_epochs.empty()) AskForDocument(node, NodeOf(effects.newer_epochs.back().node));
  for (const MembershipEffects::Change& change : effects.changes) {
    scheduler_.Note(change.node.value(), static_cast<uint64_t>(change.liveness));
    const Node& subject = nodes_[Index(NodeOf(change.node))];
    if (!subject.alive || change.liveness == Liveness::kAlive) continue;
    if (!state.touched && !subject.touched) ++figures_.bystanders;
    if (change.liveness == Liveness::kSuspect) ++figures_.suspicions;
    if (change.liveness == Liveness::kDead) ++figures_.false_dead;
  }
  for (MembershipEffects::Send& send : effects.sends) {
    ++figures_.messages;
    figures_.bytes += kMessageBytes + kRumourBytes * send.message.rumours.size();
    const auto message = std::make_shared<const MembershipMessage>(std::move(send.message));
    const int to = NodeOf(send.to);
    network_.Send(node, to, [this, to, node, message] { Deliver(to, node, message); });
  }
  if (effects.wake == state.wake) return;
  state.wake = effects.wake;
  if (effects.wake == Time::Never()) return;
  scheduler_.At(effects.wake, [this, node, wake = effects.wake] {
    if (nodes_[Index(node)].wake == wake) Wake(node);
  });
}

void MembershipWorld::Deliver(int to, int from,
                              const std::shared_ptr<const MembershipMessage>& message) {
  Arrive(to, [this, to, from, message] {
    nodes_[Index(to)].membership->OnMessage(Id(from), *message, now());
    Perform(to);
  });
}

void MembershipWorld::Arrive(int node, const std::function<void()>& action) {
  Node& state = nodes_[Index(node)];
  if (!state.alive) return;
  if (!state.paused) return action();
  state.waiting.push_back([this, node, action] { Arrive(node, action); });
}

// ------------------------------------------------------------------------------------------- looks

int MembershipWorld::Count(int node, Liveness liveness) const {
  int count = 0;
  for (int other = 0; Index(other) < nodes_.size(); ++other) {
    if (other == node || !nodes_[Index(other)].alive) continue;
    count += at(other).LivenessOf(Id(node)) == liveness ? 1 : 0;
  }
  return count;
}

bool MembershipWorld::AllKnowTheNewest() const {
  for (size_t node = 0; node < nodes_.size(); ++node) {
    if (!nodes_[node].alive) continue;
    if (nodes_[node].document + 1 != documents_.size()) return false;
    if (!members().contains(static_cast<int>(node))) return false;
  }
  return true;
}

bool MembershipWorld::Agrees() const {
  if (!AllKnowTheNewest()) return false;
  for (const int node : members()) {
    const bool alive = nodes_[Index(node)].alive;
    const int others = live_ - (alive ? 1 : 0);
    if (Count(node, alive ? Liveness::kAlive : Liveness::kDead) != others) return false;
  }
  return true;
}

}  // namespace gyre
