#include "test/sim/nemesis.h"

#include <vector>

namespace gyre {

void Nemesis::Next() {
  const int64_t most_us = options_.mean_gap.micros() * 2;
  cluster_->scheduler().After(Duration::Micros(random_.Between(1000, most_us)), [this] {
    if (stopped_) return;
    Strike();
    Next();
  });
}

void Nemesis::Later(void (Nemesis::*mend)(int), int node) {
  const Duration span = Duration::Micros(random_.Between(10'000, options_.longest.micros()));
  cluster_->scheduler().After(span, [this, mend, node] {
    if (!stopped_) (this->*mend)(node);
  });
}

void Nemesis::Strike() {
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  switch (random_.Below(13)) {
    case 0:
    case 1:
    case 2:
      cluster_->Crash(node);
      Later(&Nemesis::Restart, node);
      break;
    case 3:
      cluster_->Crash(node);  // and back at once
      cluster_->Restart(node);
      break;
    case 4:
      cluster_->Pause(node);
      Later(&Nemesis::Resume, node);
      break;
    case 5:
    case 6:
      CutSome();
      Later(&Nemesis::HealNetwork, 0);
      break;
    case 7:
      cluster_->SetLoss(static_cast<int>(random_.Between(50, 300)));
      Later(&Nemesis::CalmNetwork, 0);
      break;
    case 8:
      if (options_.wrong_clocks == 0) break;
      cluster_->JumpClock(node % options_.wrong_clocks, random_.Between(-3'600'000, 3'600'000));
      cluster_->SetDrift(node % options_.wrong_clocks, random_.Between(-50'000, 50'000));
      break;
    case 9:
      cluster_->FailDisk(node);
      Later(&Nemesis::CrashAndRestart, node);
      break;
    case 10:
      cluster_->Stop(node);
      Later(&Nemesis::Restart, node);
      break;
    case 11:
      StopAndRestart(node);
      break;
    case 12:
      CrashSeveral();
      break;
  }
}

// All nodes, or all owners of a partition, at once; each is back in its own time.
void Nemesis::CrashSeveral() {
  std::vector<int> nodes;
  if (random_.Chance(1, 4)) {
    for (int node = 0; node < cluster_->size(); ++node) nodes.push_back(node);
  } else {
    const auto slice = static_cast<uint32_t>(random_.Below(cluster_->slices()));
    nodes = cluster_->OwnersOf(PartitionId(3, slice));
  }
  for (int node : nodes) {
    cluster_->Crash(node);
    Later(&Nemesis::Restart, node);
  }
}

void Nemesis::PlanDiskLoss() {
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  const bool wipe = random_.Chance(1, 2);
  const Duration lost = Duration::Micros(
      random_.Between(options_.story.micros() / 3, options_.story.micros() * 9 / 10));
  const Duration kept = Duration::Micros(random_.Between(0, lost.micros()));
  if (!wipe) cluster_->scheduler().After(kept, [this, node] { cluster_->Keep(node); });
  cluster_->scheduler().After(lost, [this, node, wipe] {
    wipe ? cluster_->Wipe(node) : cluster_->PutBack(node);
    Later(&Nemesis::Restart, node);
  });
}

// Splits the nodes in two; half of the time only one side goes unheard.
void Nemesis::CutSome() {
  const uint64_t side = random_.Next();
  const bool both = random_.Chance(1, 2);
  for (int a = 0; a < cluster_->size(); ++a) {
    for (int b = 0; b < cluster_->size(); ++b) {
      const bool a_in = (side >> a & 1) != 0;
      const bool b_in = (side >> b & 1) != 0;
      if (a_in == b_in) continue;
      if (both || a_in) cluster_->Cut(a, b);
    }
  }
}

void Nemesis::StopAndHeal() {
  stopped_ = true;
  cluster_->HealNetwork();
  cluster_->SetLoss(0);
  // A power cut of everything shows what was durable, a stop what is taken up again, and nodes that
  // go on what they settle.
  const uint64_t end = random_.Below(3);
  for (int node = 0; node < cluster_->size(); ++node) {
    cluster_->Resume(node);
    if (end == 0 || cluster_->disk_failed(node)) cluster_->Crash(node);  // lifts a failed disk
    if (end == 1) cluster_->Stop(node);
    cluster_->Restart(node);
  }
}

}  // namespace gyre
