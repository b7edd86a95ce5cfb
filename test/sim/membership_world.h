// MembershipWorld: many nodes that watch each other (ring/membership.h) over a hostile network, on
// virtual time. Nodes die, come back as new processes, and stand still for a while, as a stopped or
// starved process does: what reaches them meanwhile waits for them. Links are cut, one way or both.
// Members join and leave: each change is a newer document, which one node has at first; whoever
// hears from Membership of a newer one asks for it, as Control does.
//
// One seed is one history. One thread.

#ifndef GYRE_TEST_SIM_MEMBERSHIP_WORLD_H_
#define GYRE_TEST_SIM_MEMBERSHIP_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "ring/membership.h"
#include "test/sim/scheduler.h"
#include "test/sim/sim_network.h"

namespace gyre {

class MembershipWorld {
 public:
  struct Options {
    int nodes = 100;
    uint64_t seed = 1;
    MembershipOptions membership;
    NetworkOptions network;
    // Of the nodes that stand still at any time, on average, and for how long each does.
    int paused_per_mille = 0;
    Duration least_pause = Duration::Seconds(1);
    Duration most_pause = Duration::Seconds(5);
  };
  struct Figures {
    uint64_t messages = 0;
    uint64_t bytes = 0;       // as they would be on the wire, without its own headers
    uint64_t suspicions = 0;  // of nodes that live, each by each node that heard of it
    uint64_t false_dead = 0;  // the same, taken for dead
    // The same, suspected or taken for dead, where neither who says so nor of whom it is said was
    // ever at an end of a cut, or stood still.
    uint64_t bystanders = 0;
    uint64_t pauses = 0;
    uint64_t joins = 0;
    uint64_t leaves = 0;
  };

  explicit MembershipWorld(Options options);

  void RunFor(Duration duration);
  // Until `done`, which is asked every 100 ms of virtual time; false after `most`.
  bool RunUntil(Duration most, const std::function<bool()>& done);

  void Kill(int node);
  void Restart(int node);
  // No message passes between the first `nodes` and the others, either way.
  void Split(int nodes);
  // No message passes from one to the other. The other way all do.
  void CutOneWay(int from, int to);
  // Nothing reaches the node; nothing leaves it.
  void Deafen(int node);
  void Mute(int node);
  void Heal() { network_.HealAll(); }
  // A newer document, which `at` has at once. Answers who joins.
  int Join(int at);
  // Likewise. Who is no member any more ends once it knows. REQUIRES: a member, and not `at`.
  void Leave(int node, int at);
  void SetLoad(int node, Load load) { nodes_[Index(node)].membership->SetLoad(load); }

  Time now() const { return scheduler_.now(); }
  uint64_t digest() const { return scheduler_.digest(); }
  const Figures& figures() const { return figures_; }
  const Membership& at(int node) const { return *nodes_[Index(node)].membership; }
  // What the live nodes but itself think of it.
  int Count(int node, Liveness liveness) const;
  int live() const { return live_; }
  bool alive(int node) const { return nodes_[Index(node)].alive; }
  // Of the newest document, dead or alive.
  const std::set<int>& members() const { return documents_.back(); }
  // Each node that lives knows the newest document, and is a member of it.
  bool AllKnowTheNewest() const;
  // And each takes each other member for what it is.
  bool Agrees() const;

 private:
  struct Node {
    std::unique_ptr<Membership> membership;
    bool alive = true;
    bool paused = false;
    bool touched = false;  // by a cut or a pause, ever
    int lives = 0;
    size_t document = 0;  // the newest that it knows
    Time asked_until;     // a newer one
    Time wake = Time::Never();
    std::vector<std::function<void()>> waiting;  // what arrived while it stood still
  };

  static size_t Index(int node) { return static_cast<size_t>(node); }
  static NodeId Id(int node) { return NodeId(static_cast<uint64_t>(node) + 1); }
  static int NodeOf(NodeId id) { return static_cast<int>(id.value()) - 1; }

  void Start(int node);
  void Tell(int node);
  void Install(int node, size_t document);
  void AskForDocument(int node, int whom);
  // Runs what arrives at the node: later where it stands still, never where it is dead.
  void Arrive(int node, const std::function<void()>& action);
  // REQUIRES: the node lives and does not stand still.
  void Perform(int node);
  void Wake(int node);
  void Deliver(int to, int from, const std::shared_ptr<const MembershipMessage>& message);
  void Pause(int node, Duration duration);
  void SchedulePause();

  const Options options_;
  Scheduler scheduler_;
  Random random_;
  SimNetwork network_;
  std::vector<Node> nodes_;
  std::vector<std::set<int>> documents_;  // by their epochs: the members
  int live_ = 0;
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_MEMBERSHIP_WORLD_H_
