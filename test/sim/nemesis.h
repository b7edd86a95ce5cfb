// Nemesis: breaks a SimCluster, seeded: crashes, of one node or several, orderly stops, pauses,
// cuts in one or both directions, clocks that drift and jump, disks that fail, loss that comes and
// goes. What it breaks it mends after a while.
//
// One thread.

#ifndef GYRE_TEST_SIM_NEMESIS_H_
#define GYRE_TEST_SIM_NEMESIS_H_

#include "ring/random.h"
#include "test/sim/sim_cluster.h"

namespace gyre {

struct NemesisOptions {
  Duration mean_gap = Duration::Millis(2500);  // between two faults
  Duration longest = Duration::Seconds(8);     // of one fault
  int wrong_clocks = 5;  // breaks the clocks of that many nodes, too, and leaves all others right
  // Once in the story one node's disk is lost, or is put back to what it was earlier. More would
  // take the only copies of what was acknowledged.
  bool disk_loss = false;
  Duration story = Duration::Seconds(60);  // within which that happens
};

class Nemesis {
 public:
  Nemesis(NemesisOptions options, SimCluster* cluster, Random random)
      : options_(options), cluster_(cluster), random_(random) {}

  void Start() {
    Next();
    if (options_.disk_loss) PlanDiskLoss();
  }
  // Breaks nothing any more and mends everything.
  void StopAndHeal();

 private:
  void Next();
  void Strike();
  void CutSome();
  void CrashSeveral();
  void PlanDiskLoss();
  void Later(void (Nemesis::*mend)(int), int node);
  void Restart(int node) { cluster_->Restart(node); }
  void Resume(int node) { cluster_->Resume(node); }
  void HealNetwork(int) { cluster_->HealNetwork(); }
  void CalmNetwork(int) { cluster_->SetLoss(10); }
  void StopAndRestart(int node) {
    cluster_->Stop(node);
    cluster_->Restart(node);
  }
  void CrashAndRestart(int node) {
    cluster_->Crash(node);
    cluster_->Restart(node);
  }

  const NemesisOptions options_;
  SimCluster* const cluster_;
  Random random_;
  bool stopped_ = false;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_NEMESIS_H_
