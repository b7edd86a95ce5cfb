// RunScenario: one seed's story from beginning to end. Five nodes, N = 3, and two more that wait
// where some go for good; tables with siblings, with last-write-wins, with periodic durability or
// values that expire; mixed and cart workloads for 60 simulated seconds under a Nemesis; then
// everything is healed, settles, and is judged.
//
// A run is named by its seed alone: same seed, same story, in any process.

#ifndef GYRE_TEST_SIM_SCENARIO_H_
#define GYRE_TEST_SIM_SCENARIO_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ring/ids.h"
#include "server/scrub.h"
#include "storage/record_cache.h"
#include "test/sim/fault_counts.h"

namespace gyre {

struct ScenarioOptions {
  uint64_t seed = 1;
  Duration length = Duration::Seconds(60);
  Duration settle = Duration::Seconds(90);
  bool faults = true;
  // Records are damaged too, of one node at a time, and no disk is lost.
  bool damage = false;
  bool trace = false;
};

struct ScenarioResult {
  std::optional<std::string> violation;
  uint64_t digest = 0;
  Duration simulated;
  uint64_t steps = 0;
  uint64_t operations = 0;
  uint64_t succeeded = 0;
  uint64_t read_repairs = 0;
  uint64_t repaired_items = 0;
  // Of the nodes that run before the end, when all is healed, since each last started.
  uint64_t disk_reads = 0;
  uint64_t hints_kept = 0;
  uint64_t hints_delivered = 0;
  uint64_t guest_writes = 0;
  uint64_t expired = 0;
  uint64_t copied = 0;  // whole partitions
  uint64_t log_cuts = 0;
  uint64_t mended = 0;  // damaged records
  RecordCache::Figures cache;
  uint64_t damaged = 0;     // records that a disk was made to damage
  Scrub::Figures scrubbed;  // in all lives of all nodes
  FaultCounts faults;       // that were carried out
};

ScenarioResult RunScenario(const ScenarioOptions& options);

}  // namespace gyre

#endif  // GYRE_TEST_SIM_SCENARIO_H_
