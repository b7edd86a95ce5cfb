// ScaleWorld: the control of a cluster of up to thousands of nodes, on virtual time: the shipped
// Control and Movement of each node and all of ring/, over a network that delays and loses. No
// data: that a partition is filled is a matter of time, from its bytes and its pace.
//
// Joins, departures and deaths come all at once. At each epoch that comes into force anywhere,
// quorums are judged: whatever a coordinator under it could have acknowledged, a coordinator under
// any document that is in force elsewhere could read, and the other way round.
//
// What nodes of one process need not each have of their own, they share (ring/documents.h): of a
// thousand nodes with 65,536 partitions each, documents alone would take 20 GiB.
//
// One seed is one history. One thread.

#ifndef GYRE_TEST_SIM_SCALE_WORLD_H_
#define GYRE_TEST_SIM_SCALE_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ring/documents.h"
#include "ring/random.h"
#include "ring/view.h"
#include "server/control.h"
#include "server/movement.h"
#include "test/sim/scheduler.h"

namespace gyre {

class ScaleWorld {
 public:
  struct Options {
    int nodes = 1000;
    int zones = 3;
    uint32_t slices = 65536;
    int joins = 100;
    int leaves = 50;
    int deaths = 10;
    uint64_t seed = 1;
    int loss_per_mille = 10;
    // How long one copy takes to fill; a node fills two at a time.
    Duration fill = Duration::Seconds(2);
    Duration disk = Duration::Millis(2);  // until a batch is durable
    uint64_t uplink_bytes_per_s = 1'250'000'000;
    MovementOptions movement = {};
  };
  struct Figures {
    double plan_ms = 0;  // wall clock: one plan for all of the changes at once
    double look_ms = 0;  // wall clock: the longest look of a Movement, which is on a loop's thread
    uint64_t epochs = 0;
    uint64_t news_bytes = 0;      // that spread the documents, over all nodes
    uint64_t register_bytes = 0;  // by which they were chosen
    uint64_t most_bytes = 0;      // of one node
    uint64_t messages = 0;
    uint64_t document_bytes = 0;  // the last one
    uint64_t moves = 0;
    uint64_t min_moves = 0;
    double spread_percent = 0;  // by how much the most loaded node is over the mean
    uint64_t missed_quorums = 0;
    uint64_t zones_shared = 0;   // partitions of which two owners are in one zone, in the end
    uint64_t most_in_force = 0;  // documents at once
    bool settled = false;
  };

  explicit ScaleWorld(Options options);
  ~ScaleWorld();

  // All changes at once, and then until nothing moves; at most `most` of virtual time.
  void Run(Duration most);

  const Figures& figures() const { return figures_; }
  Time now() const { return scheduler_.now(); }
  uint64_t digest() const { return scheduler_.digest(); }
  // What was seen that must not be.
  const std::vector<std::string>& faults() const { return faults_; }
  const Topology& newest() const { return newest_->topology(); }

 private:
  struct Node;
  struct Fill {
    Epoch since;
    Time filled;
  };

  Node& Start(NodeId id, DocumentPtr initial, DocumentPtr known);
  void Connect(Node* one, Node* other);
  Node* Find(NodeId id);
  // A node that serves, drawn by chance.
  Node& Anyone();
  void Operate(std::string what, Control::Change change, std::function<void()> then);
  void JoinOne(int number);
  void Kill(Node* node);

  void Perform(Node* node);
  void Send(Node* from, Envelope envelope);
  void Gossip(Node* node);
  void LookAtMoves(Node* node);
  Movement::Ready ReadyOf(Node* node);
  void OnInForce(Node* node, const std::shared_ptr<const View>& view);
  void TakeFills(Node* node);

  // Counts what moved, and judges the document and quorums under it.
  void OnNewEpoch(const std::shared_ptr<const View>& view);
  void JudgeQuorums(const View& write, const View& read);
  // Whether a write that is acknowledged under `write` can be missed by a read under `read`.
  bool CanMiss(const View& write, const View& read, PartitionId partition);
  Epoch ServesUnder(NodeId id) const;
  bool Settled() const;
  void ReportWhatIsLeft();
  void Conclude();

  const Options options_;
  Scheduler scheduler_;
  Random random_;
  std::shared_ptr<Documents> documents_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<NodeId> alive_;
  std::map<Epoch, std::shared_ptr<const View>> in_force_;  // as some node has served under it
  std::shared_ptr<const View> newest_;
  Ownership before_;  // of the first document
  int pending_ = 0;   // what operators have asked for, and is not done
  Figures figures_;
  std::vector<std::string> faults_;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SCALE_WORLD_H_
