// RequestSource: what each slot of a load asks next, and what it hears. A slot has at most one
// request under way.
//
// Different threads may call it at once, for different slots. For one slot the calls follow each
// other: Next, OnReply, Next, ...

#ifndef GYRE_TEST_BENCH_REQUEST_SOURCE_H_
#define GYRE_TEST_BENCH_REQUEST_SOURCE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ring/random.h"
#include "test/bench/request.h"

namespace gyre {

class RequestSource {
 public:
  virtual ~RequestSource() = default;

  // Nothing: there is nothing left to ask, for this slot and for all others. `now_us` counts from
  // the start of the run.
  virtual std::optional<Request> Next(int slot, int64_t now_us, Random* random) = 0;
  // `request` as Next made it, but its value may be gone.
  virtual void OnReply(int slot, const Request& request, int64_t started_us, int64_t ended_us,
                       const Reply& reply) = 0;

  // When all is answered: what was wrong, in words; empty for a source that does not judge. `read`
  // gives the values that a key shows.
  using ReadFn = std::function<std::vector<std::string>(const std::string& key)>;
  virtual std::vector<std::string> Judge(const ReadFn& read) = 0;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REQUEST_SOURCE_H_
