// Workload: set-up, start, check. It says what each client does next, hears what came of it, and
// judges in the end. It neither waits nor talks to anyone: whoever drives it (the simulator on
// virtual time, a load generator through the SDK) does both, so that the same workload proves and
// measures.
//
// One driver thread calls it.

#ifndef GYRE_TEST_WORKLOAD_WORKLOAD_H_
#define GYRE_TEST_WORKLOAD_WORKLOAD_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ring/random.h"
#include "ring/table.h"
#include "test/workload/action.h"
#include "test/workload/history.h"

namespace gyre {

class Workload {
 public:
  virtual ~Workload() = default;

  // The tables that it needs, before it starts.
  virtual std::vector<TableSpec> SetUp() const = 0;

  // What `client` does next; it is under way from `now` on. Each client has at most one.
  virtual Action Next(int client, Time now, Random* random) = 0;
  // What came of it; nothing, or what is wrong with that.
  virtual std::optional<std::string> OnResult(int client, const Action& operation,
                                              const ActionResult& result) = 0;

  // When all is quiet and healed: nothing, or what is wrong. `read` gives the values that a key
  // shows.
  using ReadFn =
      std::function<std::vector<std::string>(const std::string& table, const std::string& key)>;
  virtual std::optional<std::string> Check(const ReadFn& read) = 0;

  // The causal history of this workload, for checkers that see more than clients do. Null when it
  // keeps none.
  virtual History* history() { return nullptr; }
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_WORKLOAD_H_
