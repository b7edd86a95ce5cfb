#include "test/sim/nemesis.h"

#include <algorithm>
#include <iterator>
#include <optional>
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

void Nemesis::Later(Deed mend, int node) {
  const Duration span = Duration::Micros(random_.Between(10'000, options_.longest.micros()));
  cluster_->scheduler().After(span, [this, mend, node] {
    if (!stopped_) (this->*mend)(node);
  });
}

void Nemesis::Strike() {
  // Named as often as it is to happen among the others.
  static constexpr Deed kDeeds[] = {
      &Nemesis::Crash,         &Nemesis::Crash,           &Nemesis::Crash,
      &Nemesis::Crash,         &Nemesis::CrashAndRestart, &Nemesis::CrashAsItStarts,
      &Nemesis::CrashOwners,   &Nemesis::CrashAll,        &Nemesis::Stop,
      &Nemesis::Stop,          &Nemesis::StopAndRestart,  &Nemesis::Pause,
      &Nemesis::Pause,         &Nemesis::CutHalves,       &Nemesis::CutHalves,
      &Nemesis::CutPair,       &Nemesis::Isolate,         &Nemesis::LoseMany,
      &Nemesis::SlowLink,      &Nemesis::BreakConnection, &Nemesis::BreakClock,
      &Nemesis::BreakClock,    &Nemesis::FailDisk,        &Nemesis::FailDisk,
      &Nemesis::SlowDisk,      &Nemesis::DamageRecord,    &Nemesis::DamageRecord,
      &Nemesis::Burst,         &Nemesis::ChangeTopology,  &Nemesis::ChangeMembers,
      &Nemesis::ChangeMembers, &Nemesis::Leave,           &Nemesis::Bury,
      &Nemesis::Bury,
  };
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  (this->*kDeeds[random_.Below(std::size(kDeeds))])(node);
}

// --------------------------------------------------------------------------------------- processes

void Nemesis::Crash(int node) {
  cluster_->Crash(node);
  Later(&Nemesis::Restart, node);
}

void Nemesis::CrashAndRestart(int node) {
  cluster_->Crash(node);
  Restart(node);
}

void Nemesis::CrashAsItStarts(int node) {
  CrashAndRestart(node);
  const Duration soon = Duration::Micros(random_.Between(1000, 400'000));
  cluster_->scheduler().After(soon, [this, node] {
    if (!stopped_) CrashAndRestart(node);
  });
}

void Nemesis::CrashOwners(int) {
  const auto slice = static_cast<uint32_t>(random_.Below(cluster_->slices()));
  const std::vector<int> owners = cluster_->OwnersOf(PartitionId(3, slice));
  if (owners.empty()) return;  // all nodes are down
  cluster_->Count(FaultKind::kCrashOfAllOwners);
  for (const int owner : owners) Crash(owner);
}

// Each is back in its own time.
void Nemesis::CrashAll(int) {
  cluster_->Count(FaultKind::kCrashOfAllNodes);
  for (int node = 0; node < cluster_->size(); ++node) Crash(node);
}

void Nemesis::Stop(int node) {
  cluster_->Stop(node);
  Later(&Nemesis::Restart, node);
}

// Mostly the newer one, so that all are it in some stories.
std::optional<BuildLevel> Nemesis::DrawLevel() {
  if (!options_.levels || cluster_->ClusterLevel() == kBuildLevel) return std::nullopt;
  return random_.Chance(1, 4) ? kFirstLevel : kBuildLevel;
}

void Nemesis::StopAndRestart(int node) {
  cluster_->Stop(node);
  Restart(node);
}

void Nemesis::Pause(int node) {
  cluster_->Pause(node);
  Later(&Nemesis::Resume, node);
}

// ----------------------------------------------------------------------------------------- network

// Splits the nodes in two; half of the time only one side goes unheard.
void Nemesis::CutHalves(int) {
  const uint64_t side = 1 + random_.Below((uint64_t{1} << cluster_->size()) - 2);
  const bool both = random_.Chance(1, 2);
  cluster_->Count(both ? FaultKind::kCutBothWays : FaultKind::kCutOneWay);
  for (int a = 0; a < cluster_->size(); ++a) {
    for (int b = 0; b < cluster_->size(); ++b) {
      const bool a_in = (side >> a & 1) != 0;
      const bool b_in = (side >> b & 1) != 0;
      if (a_in == b_in) continue;
      if (both || a_in) cluster_->Cut(a, b);
    }
  }
  Later(&Nemesis::HealNetwork, 0);
}

void Nemesis::CutPair(int node) {
  const int other = Other(node);
  cluster_->Count(FaultKind::kPairCut);
  cluster_->Cut(node, other);
  cluster_->Cut(other, node);
  Later(&Nemesis::HealNetwork, 0);
}

void Nemesis::Isolate(int node) {
  cluster_->Count(FaultKind::kNodeIsolated);
  for (int other = 0; other < cluster_->size(); ++other) {
    if (other == node) continue;
    cluster_->Cut(node, other);
    cluster_->Cut(other, node);
  }
  Later(&Nemesis::HealNetwork, 0);
}

void Nemesis::LoseMany(int) {
  cluster_->Count(FaultKind::kManyLost);
  cluster_->SetLoss(static_cast<int>(random_.Between(50, 300)));
  Later(&Nemesis::CalmNetwork, 0);
}

void Nemesis::SlowLink(int node) {
  cluster_->SlowLink(node, Other(node), Duration::Millis(random_.Between(20, 1500)));
  Later(&Nemesis::HealNetwork, 0);
}

void Nemesis::BreakConnection(int node) { cluster_->BreakConnection(node, Other(node)); }

// -------------------------------------------------------------------------------- clocks and disks

void Nemesis::BreakClock(int node) {
  if (options_.wrong_clocks == 0) return;
  cluster_->JumpClock(node % options_.wrong_clocks, random_.Between(-3'600'000, 3'600'000));
  cluster_->SetDrift(node % options_.wrong_clocks, random_.Between(-50'000, 50'000));
}

void Nemesis::FailDisk(int node) {
  cluster_->FailDisk(node);
  Later(&Nemesis::CrashAndRestart, node);
}

void Nemesis::SlowDisk(int node) {
  cluster_->SlowDisk(node, Duration::Millis(random_.Between(20, 500)));
  Later(&Nemesis::EaseDisk, node);
}

void Nemesis::DamageRecord(int node) {
  if (!options_.damage) return;
  // Of three copies two may be damaged at once.
  const std::vector<int> damaged = cluster_->damaged_nodes();
  const bool more = damaged.size() < kDamagedAtOnce;
  cluster_->GarbleRecord(more ? node : damaged[random_.Below(damaged.size())], &random_);
}

void Nemesis::PlanJoin() {
  const int64_t story_us = options_.story.micros();
  const Duration starts = Duration::Micros(random_.Between(story_us / 20, story_us * 9 / 10));
  const MemberState as = random_.Chance(1, 2) ? MemberState::kActive : MemberState::kWaiting;
  cluster_->scheduler().After(starts, [this, as] { Join(cluster_->size() - 1, as); });
}

// Until it is let in, through any that is there: after the story, too, for it may be a member
// without knowing. A change whose proposer ends may have been made or not.
void Nemesis::Join(int node, MemberState as) {
  if (!cluster_->is_stranger(node) || cluster_->is_gone(node)) return;
  std::vector<int> up;
  for (int other = 0; other < cluster_->size(); ++other) {
    if (cluster_->reachable(other)) up.push_back(other);
  }
  if (!up.empty()) {
    const int through = up[random_.Below(up.size())];
    cluster_->Join(node, through, as, [](const absl::StatusOr<Topology>&) {});
  }
  cluster_->scheduler().After(Duration::Seconds(3), [this, node, as] { Join(node, as); });
}

void Nemesis::PlanLongAway() {
  const int64_t story_us = options_.story.micros();
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  const Duration gone = Duration::Micros(random_.Between(story_us / 20, story_us / 4));
  const Duration back = gone + Duration::Micros(random_.Between(story_us / 2, story_us * 7 / 10));
  cluster_->scheduler().After(gone, [this, node] {
    away_ = node;
    cluster_->Crash(node);
  });
  cluster_->scheduler().After(back, [this, node] {
    away_.reset();
    if (!stopped_) Restart(node);
  });
}

void Nemesis::PlanDiskLoss() {
  const int64_t story_us = options_.story.micros();
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  const bool wipe = random_.Chance(1, 2);
  const bool again = options_.disk_losses > 1;
  const Duration lost = Duration::Micros(again ? random_.Between(story_us / 8, story_us / 2)
                                               : random_.Between(story_us / 3, story_us * 9 / 10));
  const Duration kept = Duration::Micros(random_.Between(0, lost.micros()));
  if (!wipe) cluster_->scheduler().After(kept, [this, node] { cluster_->Keep(node); });
  cluster_->scheduler().After(lost, [this, node, wipe, again] {
    LoseDisk(node, wipe);
    if (again) LoseAnotherDisk();
  });
}

void Nemesis::LoseDisk(int node, bool wipe) {
  wipe ? cluster_->Wipe(node) : cluster_->PutBack(node);
  Later(&Nemesis::Restart, node);
}

// Looks every now and then whether it may.
void Nemesis::LoseAnotherDisk() {
  cluster_->scheduler().After(Duration::Seconds(1), [this] {
    if (stopped_) return;
    if (!cluster_->HasRecovered()) return LoseAnotherDisk();
    LoseDisk(static_cast<int>(random_.Below(cluster_->size())), true);
  });
}

// ------------------------------------------------------------------------------- load and topology

void Nemesis::Burst(int node) { cluster_->Burst(node, "mixed", 300); }

void Nemesis::ChangeTopology(int node) {
  if (!options_.topology) return;
  cluster_->ChangeTopology(node, "passing", !table_made_);
  table_made_ = !table_made_;
}

// Two of five at most: three own all of everything.
void Nemesis::ChangeMembers(int node) {
  if (!options_.members || !cluster_->up(node)) return;
  const bool owns = retired_.contains(node);
  if (!owns && retired_.size() == 2) return;
  if (owns) {
    retired_.erase(node);
  } else {
    retired_.insert(node);
  }
  cluster_->ChangeShare(node, owns);
}

bool Nemesis::MayGo(int node) const {
  if (!options_.departures || doomed_.has_value()) return false;
  const std::optional<MemberState> state = cluster_->StateOf(node);
  if (!state.has_value() || state == MemberState::kDead) return false;
  int gone = 0;
  for (int other = 0; other < cluster_->size(); ++other) {
    const std::optional<MemberState> its = cluster_->StateOf(other);
    const bool goes =
        cluster_->is_gone(other) || its == MemberState::kDead || its == MemberState::kLeaving;
    if (goes && other != node) ++gone;
  }
  return gone < kMostGone;
}

void Nemesis::Leave(int node) {
  if (MayGo(node)) cluster_->Leave(node);
}

// Some in error: they run, and are told by and by.
void Nemesis::Bury(int node) {
  if (!MayGo(node) || !cluster_->HasRecovered()) return;
  doomed_ = node;
  if (random_.Chance(2, 3)) cluster_->Crash(node);
  DeclareDead(0);
}

// Until it is so, or cannot be. A change whose proposer ends may have been made or not.
void Nemesis::DeclareDead(int tries) {
  constexpr int kMostTries = 10;
  if (stopped_ || !doomed_.has_value()) return;
  const int node = *doomed_;
  if (cluster_->is_gone(node) || tries == kMostTries) {
    doomed_.reset();
    return Later(&Nemesis::Restart, node);
  }
  std::vector<int> up;
  std::vector<int> waiting;
  for (int other = 0; other < cluster_->size(); ++other) {
    if (other == node) continue;
    if (cluster_->reachable(other)) up.push_back(other);
    if (cluster_->StateOf(other) == MemberState::kWaiting) waiting.push_back(other);
  }
  if (!up.empty()) {
    std::optional<int> heir;
    if (!waiting.empty() && random_.Chance(1, 2)) heir = waiting[random_.Below(waiting.size())];
    cluster_->Bury(node, up[random_.Below(up.size())], heir, [this, node](bool refused) {
      if (refused && doomed_ == node) doomed_.reset();
      if (refused) Later(&Nemesis::Restart, node);
    });
  }
  cluster_->scheduler().After(Duration::Seconds(3), [this, tries] { DeclareDead(tries + 1); });
}

// --------------------------------------------------------------------------------------------- end

void Nemesis::StopAndHeal() {
  stopped_ = true;
  away_.reset();
  doomed_.reset();
  cluster_->HealNetwork();
  cluster_->SetLoss(0);
  // A power cut of everything shows what was durable, a stop what is taken up again, and nodes that
  // go on what they settle.
  const uint64_t end = random_.Below(3);
  const std::vector<int> damaged = cluster_->damaged_nodes();
  for (int node = 0; node < cluster_->size(); ++node) {
    cluster_->Resume(node);
    EaseDisk(node);
    // A crash lifts a failed disk, and takes what is in memory of what is damaged on the disk.
    const bool is_damaged = std::find(damaged.begin(), damaged.end(), node) != damaged.end();
    if (end == 0 || cluster_->disk_failed(node) || is_damaged) cluster_->Crash(node);
    const bool older = cluster_->level(node) < kBuildLevel;
    if (end == 1 || older) cluster_->Stop(node);
    cluster_->Restart(node, kBuildLevel);
  }
  cluster_->scheduler().After(Duration::Seconds(10), [this, damaged] {
    for (const int node : damaged) cluster_->ReadDamaged(node);
  });
}

}  // namespace gyre
