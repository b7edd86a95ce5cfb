// Throttle: what a client keeps from a node that refuses much of what it gets. To refuse a request
// costs the node time that it has not got, and the client a round trip; so of what is asked only
// `most_per_served` times as much is sent as the node serves, drawn at random, and the rest is
// refused here. It follows from the node's own answers, so clients need no word from one another,
// and is gone once the node refuses no more ("Site Reliability Engineering", Beyer et al. 2016,
// chapter 21, client-side throttling).
//
//   refused here with probability (asked - most_per_served * served) / (asked + few)
//
// asked: what the node served and refused, and what was refused here; of the last seconds, older
// ones weighing ever less. `few` keeps a client that asks little from it, and lets a few through to
// a node that serves nothing at all.
//
// Pure; one thread.

#ifndef GYRE_API_CLIENT_THROTTLE_H_
#define GYRE_API_CLIENT_THROTTLE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace gyre {
inline namespace sdk {

struct ThrottleOptions {
  // Default 1.5, at least 1. Less, and a node that has room again is slow to be found out; 1 would
  // never find out. More, and nodes spend themselves on refusing. Infinite: all is sent.
  double most_per_served = 1.5;
  // After so long what was counted weighs half. Default 300 ms. Longer, and requests are refused
  // for longer after an overload has ended.
  absl::Duration half_life = absl::Milliseconds(300);
};

class Throttle {
 public:
  explicit Throttle(const ThrottleOptions& options = {}) : options_(options) {}

  // Answers of the node: so many served, and so many refused since it has too much to do.
  void OnAnswers(uint64_t served, uint64_t refused, absl::Time now);
  // Whether to refuse a request here; `unit` is a fresh draw from [0, 1).
  [[nodiscard]] bool Refuses(double unit, absl::Time now);
  // Whether Refuses might say so.
  bool refusing() const { return refused_ > 0; }

 private:
  void Fade(absl::Time now);

  const ThrottleOptions options_;
  absl::Time faded_at_ = absl::InfinitePast();
  double served_ = 0;
  double refused_ = 0;  // by the node or here
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_THROTTLE_H_
