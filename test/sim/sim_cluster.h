// SimCluster: the one test bed. Nodes of shipped code (server/node.h) on virtual time, a seeded
// network and stores that lose what was not synced; everything that may fail can be made to.
// Workloads run against it (test/sim/sim_clients.h), a Nemesis breaks it, an Observer watches it.
//
// One thread. Everything is drawn from the seed.

#ifndef GYRE_TEST_SIM_SIM_CLUSTER_H_
#define GYRE_TEST_SIM_SIM_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "server/admission_limit.h"
#include "server/node.h"
#include "storage/memory_engine.h"
#include "test/sim/fault_counts.h"
#include "test/sim/observer.h"
#include "test/sim/scheduler.h"
#include "test/sim/sim_network.h"

namespace gyre {

struct SimOptions {
  uint64_t seed = 1;
  int nodes = 5;
  int zones = 3;
  int shards = 2;       // of each node
  uint32_t slices = 8;  // Q
  // Of the cluster, and as which all nodes start at first (NodeOptions::level).
  BuildLevel level = kBuildLevel;
  int strangers = 0;  // of the nodes, the last: no members, and not started, until they join
  int waiting = 0;    // of the others, the last: members that own nothing until they are activated
  NetworkOptions network;
  // Between clients and nodes. What is slow here outlasts a client's patience: by the time a
  // request arrives its client has been served elsewhere.
  NetworkOptions client_network = {.slow_per_mille = 60, .max_slow = Duration::Seconds(4)};
  Duration min_disk = Duration::Micros(50);
  Duration max_disk = Duration::Millis(4);
  uint32_t needs_disk_one_in = 10;  // of reads of the store do not find their record in memory
  size_t cached_bytes = 0;          // of records, that each shard keeps decoded
  // What a node takes for each message and request, one after the other; to refuse one takes a
  // sixteenth. Zero: it takes no time, and nothing waits or is refused.
  Duration step = {};
  AdmissionOptions admission = {};
  // Bounds of what a node takes on, where a story is to reach them: requests of a shard, reads of a
  // shard that wait for the disk, bytes of hints of a node, and how old they may be.
  size_t max_exchanges = ShardOptions().max_exchanges;
  size_t max_waiting_reads = ShardOptions().max_waiting_reads;
  uint64_t max_hint_bytes = HintLogOptions().max_bytes;
  Duration max_hint_age = HintLogOptions().max_age;
  // Between the moment of expiry and the removal. Beyond what nodes' times differ by.
  Duration expiry_margin = Duration::Seconds(5);
  // ReplicaStore::Options::log_age, beyond what a client retries for.
  Duration log_age = Duration::Seconds(40);
  // ReplicaStore::Options::log_most.
  uint64_t log_most = ReplicaStore::Options().log_most;
  // ScrubOptions::pass.
  Duration scrub_pass = Duration::Seconds(10);
  // So many times rarer do nodes compare clocks and contents, and probe each other while nothing is
  // the matter: a month that is idle takes no longer then than a busy hour.
  int64_t unhurried = 1;
  // Nodes say that they are as busy as chance has it, which changes every few seconds: nothing that
  // is promised may depend on it.
  bool false_loads = false;
  bool trace = false;
};

class SimCluster {
 public:
  explicit SimCluster(SimOptions options);

  // ---- what client number `client` does. Request and answer travel: late, twice or never.
  using OnOutcome = std::function<void(Outcome)>;
  // False: nobody listens there.
  bool Write(int client, int node, const std::string& table, const std::string& key,
             WriteIntent intent, Duration timeout, OnOutcome done);
  bool Read(int client, int node, const std::string& table, const std::string& key,
            Duration timeout, OnOutcome done);
  // Creates the table through `node` and runs until that is done.
  absl::StatusOr<TableSpec> CreateTable(int node, TableSpec table);
  // So many reads at one moment, whose answers nobody heeds.
  void Burst(int node, const std::string& table, int reads);

  // ---- what may fail
  void Crash(int node);  // a power cut: what was not synced may be gone
  void Stop(int node);   // in order: what was under way to the disk is written, all is synced
  // After any of these. From then on it is as a build of that level, until it is said again.
  void Restart(int node, std::optional<BuildLevel> level = std::nullopt);
  BuildLevel level(int node) const { return nodes_[node].level; }
  // Of the cluster, as far as any node that is up knows.
  BuildLevel ClusterLevel() const;
  // A power cut after which the disk is empty; and one after which it is as it was at the last
  // Keep, if there was one. Either is the end of whatever only this node had.
  void Wipe(int node);
  void Keep(int node);
  void PutBack(int node);
  void Pause(int node);  // stands still; what arrives waits
  void Resume(int node);
  void Cut(int from, int to);
  void SlowLink(int from, int to, Duration more);
  void HealNetwork();  // of all of these
  // The connection of two nodes breaks, with what is under way; a moment later it stands again.
  void BreakConnection(int one, int other);
  // From now on the node's disk takes so long for everything; nothing: as long as ever.
  void SlowDisk(int node, std::optional<Duration> each);
  // A record that the node stores, if another owner has all of it, too, fails its checks until it
  // is written again. (What only this node had would be gone: never anything acknowledged.)
  // What is kept of it in memory hides that until then. Rather than another one it is one that
  // another owner's disk has damaged, too.
  void GarbleRecord(int node, Random* random);
  // Peers read whatever is damaged there, and so the node meets it.
  void ReadDamaged(int node);
  // The topology changes: a table is made or dropped, through the node, when it can be.
  void ChangeTopology(int node, const std::string& table, bool make);
  // A node is let in through another one, as a process that is new and has that one for its seed,
  // to own its share or to wait; and starts, unless it has meanwhile. `done`: as of Propose.
  // REQUIRES: it was a stranger at first; `through` is up.
  void Join(int node, int through, MemberState as,
            std::function<void(const absl::StatusOr<Topology>&)> done);
  // Whether it has not been let in yet, as far as it knows.
  bool is_stranger(int node) const { return nodes_[node].stranger; }
  // A node gives away all that it owns and waits, or is to own its share again: when that can be.
  void ChangeShare(int node, bool owns);
  // A node is to give away all that it has and end, when that can be.
  void Leave(int node);
  // A node is declared dead, through another one; and where `heir` is given, that takes its place.
  // A copy of what it had is lost, as with a disk. `done`: whether it is refused for good.
  // REQUIRES: `through` is up.
  void Bury(int node, int through, std::optional<int> heir, std::function<void(bool refused)> done);
  // What the node is by the newest document that a member serves under; nothing: no member.
  std::optional<MemberState> StateOf(int node) const;
  // Whether it was declared dead, or has left, as far as anybody knows: it does not start again.
  bool is_gone(int node) const { return nodes_[node].gone; }
  // Makes a change of members through a node and runs until that is done.
  absl::Status ChangeMembers(int through, Control::Change change);
  // Has the node propose it as soon as it may. REQUIRES: the node is up.
  void Propose(int node, Control::Change change, std::function<void(absl::StatusOr<Topology>)> done,
               Duration spread_patience = kSpreadPatience);
  // Whether nothing moves, and nothing is left to move, as all members have it.
  bool AtRest() const;
  // What a node serves under. REQUIRES: it is up.
  std::shared_ptr<const View> ViewAt(int node) const { return nodes_[node].node->control().view(); }
  void SetLoss(int per_mille) { network_.SetLoss(per_mille); }
  void JumpClock(int node, int64_t wall_ms);
  // Whether it knows the cluster's time. REQUIRES: it is up.
  bool KnowsTime(int node) const;
  void SetDrift(int node, int64_t ppm);
  void FailDisk(int node);
  // What a disk does to one record without a word: it fails its checksum from now on; it is gone;
  // it has another value, which nobody wrote. A record that is damaged is served by nobody. Of one
  // that is lost or changed a read tells nothing, and spreads it: only for items that nobody reads
  // or writes before the scrub has met them. False, and nothing happens: the disk does not hold it,
  // or the node holds it in memory as well.
  bool DamageRecord(int node, const ItemKey& item);
  // Whether some other owner has taken in whatever this one has of the item, and can read it.
  bool HasAnotherCopy(int node, const ItemKey& item) const;
  bool LoseRecord(int node, const ItemKey& item);
  bool ChangeRecord(int node, const ItemKey& item, const std::string& value);
  // An erase, or a later write, that the disk forgets: what the node held of the item at KeepRecord
  // is there again. For the same items as above.
  void KeepRecord(int node, const ItemKey& item);
  bool BringRecordBack(int node);
  // Items of which the node's disk holds a record, in the order of their keys; and records that are
  // damaged, of all nodes.
  std::vector<ItemKey> Records(int node) const;
  size_t damaged() const;
  bool up(int node) const { return nodes_[node].node != nullptr; }
  bool paused(int node) const { return nodes_[node].paused; }
  bool disk_failed(int node) const { return nodes_[node].disk_failed; }
  // Nodes with records on their disks that fail their checks, ascending; and the first of them.
  std::vector<int> damaged_nodes() const;
  std::optional<int> damaged_node() const;
  // Of all that some node still had when a disk was last lost, each owner has everything again. So
  // that another disk's loss takes no last copy.
  bool HasRecovered() const;
  // Whether peers can have connections with it.
  bool reachable(int node) const { return up(node) && !nodes_[node].left; }

  // ---- running and judging
  void RunFor(Duration span);
  // The first promise found broken; the run stops there.
  const std::optional<std::string>& violation() const { return violation_; }
  void Violate(std::string what);
  // What every replica has stored bears out the clock that it has stored. At any time.
  void JudgeClaims();
  // What every shard keeps of its records in memory is what its store holds. At any time.
  void JudgeKept();
  // All owners hold the same, in its settled form. To be called when all is healed and quiet.
  void JudgeConvergence();
  // Nobody keeps a hint. Likewise.
  void JudgeHandedOver();
  // What has expired is gone from every disk, and what will is entered where it is found. Likewise.
  void JudgeSwept();
  // Nothing is left to move, and every store holds what its node owns and nothing else. Likewise.
  void JudgePlaced();
  // Every node takes every other one for alive. To be called when all is healed and quiet.
  void JudgeLiveness();
  // What node `at` has heard of how busy node `about` is.
  Load LoadAt(int at, int about) const {
    return nodes_[at].node->membership().LoadOf(nodes_[about].id);
  }
  // How often nodes have changed what they say of that.
  uint64_t load_changes() const { return load_changes_; }
  // Reads that peers have asked the node to answer.
  uint64_t fetches(int node) const { return nodes_[node].fetches; }
  // What a settled key shows, from the first owner's store.
  std::vector<std::string> Settled(const std::string& table, const std::string& key);

  // How far apart the times of two nodes may have been so far: nothing, while no more than two
  // clocks of five have ever been wrong, whoever has heard whom.
  Duration TimesApart();

  // Entries of the family in all stores together.
  uint64_t Stored(Family family) const;

  // Empty while all nodes are down.
  std::vector<int> OwnersOf(PartitionId partition) const;
  // Where the table's key lies. REQUIRES: the table, and a node that is up.
  ItemKey Item(const std::string& table, const std::string& key) const;
  PartitionId Locate(const std::string& table, const std::string& key) const;
  uint32_t slices() const { return options_.slices; }
  int size() const { return static_cast<int>(nodes_.size()); }
  Scheduler& scheduler() { return scheduler_; }
  Observer& observer() { return observer_; }
  Random Fork() { return Random(random_.Next()); }
  std::string NodeName(NodeId id) const;
  void Trace(const std::string& what);
  // Of everything that happened and everything that is stored.
  uint64_t Digest();
  // The faults that were carried out so far. Whoever else carries one out (a nemesis, clients)
  // counts it here.
  void Count(FaultKind kind) { faults_.Add(kind); }
  FaultCounts Faults() const;
  // Of all lives of all nodes.
  ShardFigures Figures() const;
  // Clients' requests that a node refused, for they would have waited too long.
  uint64_t refused() const { return refused_; }

 private:
  struct ShardSlot {
    Time wake = Time::Never();      // the earliest wake-up that is scheduled
    std::optional<Commit> writing;  // not yet written
    std::map<Token, OnOutcome> waiting;
  };
  struct SimNode {
    NodeId id;
    std::unique_ptr<MemoryEngine> engine;
    Time synced;                 // what was written by then outlasts a power cut
    std::unique_ptr<Node> node;  // null while down
    uint64_t life = 0;
    BuildLevel level = kBuildLevel;
    // The life of each other node with which this one has a connection; 0: it has none. From 1.
    std::vector<uint64_t> connected;
    bool paused = false;
    bool disk_failed = false;  // or will at the next write
    Time started;
    bool left = false;                   // it has found that out, and speaks to nobody any more
    bool gone = false;                   // for good: it is dead by some document, or no member
    bool stranger = false;               // it has not been let in yet
    std::optional<Topology> joined;      // the document that it was let in with
    std::unique_ptr<MemoryEngine> kept;  // a copy of the store at an earlier time
    std::optional<std::pair<ItemKey, std::string>> kept_record;
    bool replaced = false;                        // this is not the first store of the node
    bool lost_state = false;                      // and its peers have not told it yet
    Standing standing = Standing::kProven;        // of the store, as its identity has it
    Standing kept_standing = Standing::kProven;   // of `kept`
    std::optional<uint64_t> told_life;            // that its acceptor began as it was told
    bool stopped_clean = true;                    // the last process ended in order
    std::set<std::string> stored;                 // keys of the records written in this life
    std::vector<std::function<void()>> deferred;  // arrived while paused
    std::vector<ShardSlot> shards;
    Time control_wake = Time::Never();  // the earliest that is scheduled, and so the next
    Time membership_wake = Time::Never();
    Time movement_wake = Time::Never();
    std::optional<int64_t> told_ms;  // of the cluster's time, to the shards
    std::map<uint64_t, std::function<void(absl::StatusOr<Topology>)>> proposals;
    int64_t wall_offset_ms = 0;
    int64_t drift_ppm = 0;
    Time drift_since;           // in virtual time
    int64_t drift_base_us = 0;  // of the node's clock then
    // How far its wall clock has been ahead of virtual time.
    int64_t least_ahead_ms = 0;
    int64_t most_ahead_ms = 0;
    std::optional<Duration> disk;  // what its disk takes, where that is said

    // As in server/lane.h, of all shards together.
    explicit SimNode(AdmissionOptions options) : admission(options) {}
    Time free_at;  // when it is through with what has arrived
    AdmissionLimit admission;
    size_t in_flight = 0;  // of clients
    size_t answered = 0;   // of those, since the limit was told
    uint64_t fetches = 0;
  };

  Member MemberOf(int node) const;
  // Whether it takes no part, be it that it has not been let in yet, or never will again.
  static bool IsOutside(const SimNode& node) { return node.stranger || node.gone; }
  void Open(int node);
  // Its build is of a lower level than the cluster, and its process ends, or does not start: an
  // operator starts it as a newer one.
  void Upgrade(int node);
  void LoseDisk(int node, std::unique_ptr<MemoryEngine> successor);
  void TellAgain(SimNode* node);
  void CountCrash(const SimNode& node);
  void NoteHeld(std::optional<int> except = std::nullopt);
  static std::vector<std::string> GarbledKeys(const SimNode& node);
  Instant NowAt(const SimNode& node) const;
  Time VirtualTime(const SimNode& node, Time local) const;
  void NoteAhead(SimNode* node);
  void TellTime(int node);
  int LoadPercent(const SimNode& node) const;
  void JudgeSwept(const SimNode& node);
  // Runs `action` at the node in its present life, later where it is paused, never where it is
  // lost.
  void AtNode(int node, Duration delay, std::function<void(SimNode&)> action);
  void Defer(int node, uint64_t life, std::function<void(SimNode&)> action);
  // Runs `action` once the node is through with what arrived before.
  void Arrive(int node, std::function<void(SimNode&)> action);
  // `request` gets what to call with its outcome.
  void FromClient(int client, int node, OnOutcome done,
                  std::function<void(SimNode&, OnOutcome)> request);
  bool Admits(SimNode& node);
  OnOutcome ToClient(int node, int client, OnOutcome done);
  // What the node's clock shows at least, by what the client last heard of it (the SDK's
  // ClientFrame::clock_us).
  std::optional<Time> ClockAtLeast(int client, int node) const;
  void PerformShard(int node, int shard);
  void PerformControl(int node);
  void PerformMembership(int node);
  void PerformMovement(int node);
  void Persist(int node, WriteBatch batch);
  void ScheduleWake(int node, int shard, Time local);
  // Whether the node is up, and a member by its own word.
  bool TakesPart(const SimNode& node) const;
  // The newest under which one of those serves. Null: there is none.
  std::shared_ptr<const View> NewestView() const;
  // Who is gone by the document, and ends, where this node is no member by it.
  void NoteGone(int node, const View& view);
  // `due` is where the node notes the wake-up.
  void ScheduleWake(int node, Time SimNode::*due, Time local, std::function<void(SimNode&)> wake);
  void Deliver(int from, int to, uint64_t life, const PeerMessage& message);
  void Post(int from, Envelope envelope);
  // Nothing that came with a later level goes to a node of an earlier one.
  void JudgeLevel(int from, int to, const PeerMessage& message);
  void WriteCommit(SimNode& node, int shard);
  void Observe(const SimNode& node, const WriteBatch& batch);
  void ObserveStored(const SimNode& node);
  void TraceBatch(const SimNode& node, const WriteBatch& batch);
  void AddFigures(const SimNode& node, ShardFigures* sum) const;
  void OnDiskFailed(int node);
  void PerformScrub(int node, int shard, ShardEffects* effects);
  // A scan failed: which it may, where something was damaged.
  void JudgeScan(const SimNode& node, const char* what, const absl::Status& status);
  // By then every node that is up has heard of one that has started, and that one of them.
  static constexpr Duration kConnected = Duration::Millis(300);

  bool IsAtHand(const SimNode& node, const ItemKey& item) const;
  // Does it to the node's disk, where the node does not hold the item in memory as well.
  bool Spoil(int node, const ItemKey& item, const char* what,
             absl::FunctionRef<bool(MemoryEngine*, const std::string& key)> deed);
  void End(int node);
  void JudgeSameClocks(const View& view, PartitionId partition);
  void JudgeSameRecord(const View& view, const ItemKey& item);
  const ReplicaStore& StoreOf(NodeId owner, PartitionId partition);
  void TellReachability(int about, bool reachable);
  void Tell(int node, int about, bool reachable);
  Duration DiskDelay(const SimNode& node);
  int IndexOf(NodeId id) const { return index_.at(id); }

  const SimOptions options_;
  Scheduler scheduler_;
  Random random_;
  SimNetwork network_;
  SimNetwork client_network_;
  struct Reading {
    uint64_t life = 0;  // of the node
    Time clock;         // as it showed
    Time heard = {};    // in virtual time
  };
  std::map<std::pair<int, int>, Reading> readings_;  // the last, by client and node
  Observer observer_;
  Topology initial_;
  std::map<NodeId, int> index_;
  std::vector<SimNode> nodes_;
  uint64_t next_token_ = 1;
  std::optional<std::string> violation_;
  bool disk_lost_ = false;
  size_t fewest_members_ = 0;  // that any document had
  // What some owner or hint still told of when a disk was last lost.
  std::map<PartitionId, std::vector<Dot>> held_;
  FaultCounts faults_;
  ShardFigures past_;  // of lives that have ended
  uint64_t refused_ = 0;
  uint64_t load_changes_ = 0;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SIM_CLUSTER_H_
