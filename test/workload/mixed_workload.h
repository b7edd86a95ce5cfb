// MixedWorkload: gets, puts and deletes with and without contexts on a few keys, so that clients
// meet. A client mostly reads a key, thinks, and writes back with the context of that read, or of
// the write that it made after it.

#ifndef GYRE_TEST_WORKLOAD_MIXED_WORKLOAD_H_
#define GYRE_TEST_WORKLOAD_MIXED_WORKLOAD_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "test/workload/workload.h"

namespace gyre {

struct MixedOptions {
  TableSpec table;
  int keys = 24;
  size_t max_value_bytes = 64;
  // In hundredths; what is left are gets.
  int context_puts = 30;
  int default_puts = 6;
  int blind_puts = 4;
  int deletes = 10;
  // The first event; workloads that run side by side need disjoint ones.
  EventId first_event = 1;
  // Every read sees every acknowledged write, or what the table lets replace it: R + W > N, and the
  // table's quorum is strict. Where that is sloppy, reads are judged by what they show together.
  bool strict = true;
  // Whoever drives this sees what the nodes mint, and tells the history of it
  // (History::OnMintedAgain).
  bool mints_seen = true;
  // Three in four puts live for a while between these; zero: none names how long.
  Duration min_ttl = {};
  Duration max_ttl = {};
  std::function<Duration()> apart = {};  // History::SetExpiry
};

class MixedWorkload final : public Workload {
 public:
  explicit MixedWorkload(MixedOptions options);

  std::vector<TableSpec> SetUp() const override { return {options_.table}; }
  Action Next(int client, Time now, Random* random) override;
  std::optional<std::string> OnResult(int client, const Action& operation,
                                      const ActionResult& result) override;
  std::optional<std::string> Check(const ReadFn& read) override;
  History* history() override { return &history_; }

 private:
  struct Remembered {
    std::string context;
    std::vector<EventId> shown;
    EventId own = 0;
  };
  const MixedOptions options_;
  EventId next_event_;
  History history_;
  std::map<std::pair<int, std::string>, Remembered> remembered_;  // by client and key
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_MIXED_WORKLOAD_H_
