// SimNetwork: a network between numbered ends that delays, loses, doubles and reorders, and that
// can be cut between any two ends in either direction. Seeded.
//
// One thread.

#ifndef GYRE_TEST_SIM_SIM_NETWORK_H_
#define GYRE_TEST_SIM_SIM_NETWORK_H_

#include <functional>
#include <set>
#include <utility>

#include "ring/ids.h"
#include "ring/random.h"
#include "test/sim/scheduler.h"

namespace gyre {

struct NetworkOptions {
  Duration min_delay = Duration::Micros(100);
  Duration max_delay = Duration::Millis(3);
  int slow_per_mille = 10;  // of messages take up to max_slow: these are overtaken
  Duration max_slow = Duration::Millis(800);
  int loss_per_mille = 10;
  int double_per_mille = 10;
};

class SimNetwork {
 public:
  SimNetwork(NetworkOptions options, Scheduler* scheduler, Random random)
      : options_(options), scheduler_(scheduler), random_(random) {}

  // Calls `deliver` once, twice or never.
  void Send(int from, int to, std::function<void()> deliver) {
    if (cut_.contains({from, to}) || random_.Chance(options_.loss_per_mille, 1000)) return;
    const int copies = random_.Chance(options_.double_per_mille, 1000) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      // A cut also takes what is under way.
      scheduler_->After(Delay(), [this, from, to, deliver] {
        if (!cut_.contains({from, to})) deliver();
      });
    }
  }

  void Cut(int from, int to) { cut_.insert({from, to}); }
  void Heal(int from, int to) { cut_.erase({from, to}); }
  void HealAll() { cut_.clear(); }
  bool IsCut(int from, int to) const { return cut_.contains({from, to}); }
  void SetLoss(int per_mille) { options_.loss_per_mille = per_mille; }

 private:
  Duration Delay() {
    const Duration most =
        random_.Chance(options_.slow_per_mille, 1000) ? options_.max_slow : options_.max_delay;
    return Duration::Micros(random_.Between(options_.min_delay.micros(), most.micros()));
  }

  NetworkOptions options_;
  Scheduler* const scheduler_;
  Random random_;
  std::set<std::pair<int, int>> cut_;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SIM_NETWORK_H_
