// Nemesis: breaks a SimCluster, seeded: crashes, of one node or several, orderly stops, pauses,
// cuts in one or both directions, slow links and connections that break, clocks that drift and
// jump, disks that fail, are slow, damaged or lost, loss that comes and goes, bursts of requests,
// topologies that change. What it breaks it mends after a while. Each kind is counted where it is
// carried out (fault_counts.h).
//
// One thread.

#ifndef GYRE_TEST_SIM_NEMESIS_H_
#define GYRE_TEST_SIM_NEMESIS_H_

#include <optional>
#include <set>

#include "ring/random.h"
#include "test/sim/sim_cluster.h"

namespace gyre {

struct NemesisOptions {
  Duration mean_gap = Duration::Millis(2000);  // between two faults
  Duration longest = Duration::Seconds(8);     // of one fault
  int wrong_clocks = 5;  // breaks the clocks of that many nodes, too, and leaves all others right
  // So many times in the story a node's disk is lost, or is put back to what it was earlier. Again
  // only once all owners have what there was when it was lost the first time: sooner it would take
  // the only copies of what was acknowledged.
  int disk_losses = 0;
  // Records are damaged, of one node at a time: likewise.
  bool damage = false;
  bool topology = false;  // tables come and go
  // The cluster is of the first level, and nodes come back as builds of that level or the next,
  // until all are of the next at once.
  bool levels = false;
  bool members = false;  // nodes give away what they own, and take it again
  // Nodes go for good: two at most, which leave or are declared dead; of the latter the second one
  // only once all owners have what there was when the first was, as with disks. Nodes that wait
  // take the place of some.
  bool departures = false;
  // The last node is new, and joins in the midst of it. Not where disks are lost: with its
  // directory it would lose its identity, and never come back.
  bool joins = false;
  bool long_away = false;                  // one node is, for half of the story
  Duration story = Duration::Seconds(60);  // within which disks are lost
};

class Nemesis {
 public:
  Nemesis(NemesisOptions options, SimCluster* cluster, Random random)
      : options_(options), cluster_(cluster), random_(random) {}

  void Start() {
    Next();
    if (options_.disk_losses > 0) PlanDiskLoss();
    if (options_.long_away) PlanLongAway();
    if (options_.joins) PlanJoin();
  }
  // Breaks nothing any more and mends everything.
  void StopAndHeal();

 private:
  using Deed = void (Nemesis::*)(int node);

  void Next();
  void Strike();
  void Later(Deed mend, int node);

  void Crash(int node);
  void CrashAndRestart(int node);
  void CrashAsItStarts(int node);
  void CrashOwners(int node);
  void CrashAll(int node);
  void Stop(int node);
  void StopAndRestart(int node);
  void Pause(int node);
  void CutHalves(int node);
  void CutPair(int node);
  void Isolate(int node);
  void LoseMany(int node);
  void SlowLink(int node);
  void BreakConnection(int node);
  void BreakClock(int node);
  void FailDisk(int node);
  void SlowDisk(int node);
  void DamageRecord(int node);
  void Burst(int node);
  void ChangeTopology(int node);
  void ChangeMembers(int node);
  void Leave(int node);
  void Bury(int node);
  void DeclareDead(int tries);
  // Whether it may go for good, by what the cluster has left.
  bool MayGo(int node) const;

  void PlanJoin();
  void Join(int node, MemberState as);
  void PlanLongAway();
  void PlanDiskLoss();
  void LoseDisk(int node, bool wipe);
  void LoseAnotherDisk();

  void Restart(int node) {
    if (node != away_ && node != doomed_) cluster_->Restart(node, DrawLevel());
  }
  std::optional<BuildLevel> DrawLevel();
  void Resume(int node) { cluster_->Resume(node); }
  void HealNetwork(int) { cluster_->HealNetwork(); }
  void CalmNetwork(int) { cluster_->SetLoss(kUsualLoss); }
  void EaseDisk(int node) { cluster_->SlowDisk(node, std::nullopt); }

  static constexpr int kUsualLoss = 10;        // per mille
  static constexpr size_t kDamagedAtOnce = 2;  // nodes with records that are
  static constexpr int kMostGone = 2;
  int Other(int node) {
    return (node + 1 + static_cast<int>(random_.Below(cluster_->size() - 1))) % cluster_->size();
  }

  const NemesisOptions options_;
  SimCluster* const cluster_;
  Random random_;
  bool stopped_ = false;
  bool table_made_ = false;
  std::set<int> retired_;
  std::optional<int> away_;    // and not to be restarted yet
  std::optional<int> doomed_;  // about to be declared dead, and not to be restarted
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_NEMESIS_H_
