// SimNetwork: a network between numbered ends that delays, loses, doubles and reorders, and that
// can be cut or slow between any two ends in either direction. Seeded.
//
// One thread.

#ifndef GYRE_TEST_SIM_SIM_NETWORK_H_
#define GYRE_TEST_SIM_SIM_NETWORK_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
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
  // Of messages, by what became of them.
  struct Counters {
    uint64_t lost = 0;  // by chance
    uint64_t doubled = 0;
    uint64_t late = 0;       // took longer than max_delay
    uint64_t overtaken = 0;  // by one that was sent later on the same way
    uint64_t cut_off = 0;    // lost to a cut, or with a connection
  };

  SimNetwork(NetworkOptions options, Scheduler* scheduler, Random random)
      : options_(options), scheduler_(scheduler), random_(random) {}

  // Calls `deliver` once, twice or never.
  void Send(int from, int to, std::function<void()> deliver) {
    const Way way(from, to);
    if (cut_.contains(way)) {
      ++counters_.cut_off;
      return;
    }
    if (random_.Chance(options_.loss_per_mille, 1000)) {
      ++counters_.lost;
      return;
    }
    const int copies = random_.Chance(options_.double_per_mille, 1000) ? 2 : 1;
    counters_.doubled += copies - 1;
    for (int i = 0; i < copies; ++i) {
      const Duration delay = DelayOn(way);
      // A cut also takes what is under way, and so does the end of a connection.
      scheduler_->After(delay, [this, way, deliver, connection = connections_[way]] {
        if (cut_.contains(way) || connections_[way] != connection) {
          ++counters_.cut_off;
        } else {
          deliver();
        }
      });
    }
  }

  void Cut(int from, int to) { cut_.insert({from, to}); }
  void Heal(int from, int to) { cut_.erase({from, to}); }
  // From now on messages take so much longer on this way.
  void Slow(int from, int to, Duration more) { slow_[{from, to}] = more; }
  // What is under way in either direction is lost.
  void Disconnect(int one, int other) {
    ++connections_[{one, other}];
    ++connections_[{other, one}];
  }
  void HealAll() {
    cut_.clear();
    slow_.clear();
  }
  const Counters& counters() const { return counters_; }
  bool IsCut(int from, int to) const { return cut_.contains({from, to}); }
  void SetLoss(int per_mille) { options_.loss_per_mille = per_mille; }

 private:
  using Way = std::pair<int, int>;  // from, to

  Duration DelayOn(Way way) {
    const Duration most =
        random_.Chance(options_.slow_per_mille, 1000) ? options_.max_slow : options_.max_delay;
    Duration delay = Duration::Micros(random_.Between(options_.min_delay.micros(), most.micros()));
    if (const auto slow = slow_.find(way); slow != slow_.end()) delay = delay + slow->second;
    if (delay > options_.max_delay) ++counters_.late;
    const Time arrival = scheduler_->now() + delay;
    Time& newest = arrivals_[way];
    if (arrival < newest) ++counters_.overtaken;
    newest = std::max(newest, arrival);
    return delay;
  }

  NetworkOptions options_;
  Scheduler* const scheduler_;
  Random random_;
  std::set<Way> cut_;
  std::map<Way, Duration> slow_;
  std::map<Way, uint64_t> connections_;  // that there have been
  std::map<Way, Time> arrivals_;         // the latest, of what has been sent
  Counters counters_;
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SIM_NETWORK_H_
