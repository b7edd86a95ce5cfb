// JudgedSource: a workload of the simulator (test/workload) as a source of requests. What it
// measures includes the judging, which one thread at a time does: a load for truth, not for
// records.

#ifndef GYRE_TEST_BENCH_JUDGED_SOURCE_H_
#define GYRE_TEST_BENCH_JUDGED_SOURCE_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "test/bench/request_source.h"
#include "test/workload/workload.h"

namespace gyre {

class JudgedSource final : public RequestSource {
 public:
  // REQUIRES: the workload keeps to one table.
  JudgedSource(std::unique_ptr<Workload> workload, int slots);

  std::optional<Request> Next(int slot, int64_t now_us, Random* random) override;
  void OnReply(int slot, const Request& request, int64_t started_us, int64_t ended_us,
               const Reply& reply) override;
  std::vector<std::string> Judge(const ReadFn& read) override;

 private:
  static constexpr size_t kToldAtMost = 10;

  std::mutex mutex_;
  const std::unique_ptr<Workload> workload_ ABSL_PT_GUARDED_BY(mutex_);
  std::vector<Action> actions_ ABSL_GUARDED_BY(mutex_);  // by slot: what is under way
  std::vector<std::string> wrong_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_JUDGED_SOURCE_H_
