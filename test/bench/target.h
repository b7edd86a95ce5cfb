// Target: a store, or something else that answers, as a load sees it.
//
// Start may be called by several threads at once.

#ifndef GYRE_TEST_BENCH_TARGET_H_
#define GYRE_TEST_BENCH_TARGET_H_

#include <functional>

#include "test/bench/request.h"

namespace gyre {

class Target {
 public:
  using Done = std::function<void(Reply)>;

  // REQUIRES: every request has been answered.
  virtual ~Target() = default;

  // `request` stays where it is until `done` is called, on any thread and once; its value may be
  // moved from. `done` may start further requests. Only a failure may be told before Start returns.
  virtual void Start(Request* request, Done done) = 0;

  // Calls `body`, which starts requests; they may leave together when it returns.
  virtual void InBatch(const std::function<void()>& body) { body(); }
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_TARGET_H_
