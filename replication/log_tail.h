// LogTail: of the rows of a dot log that come with a whole copy the newest of each replica id, up
// to so many in all. They come by replica id and then counter, and it is the newest whose retries
// are still to be recognised.
//
// Thread rule: one thread.

#ifndef GYRE_REPLICATION_LOG_TAIL_H_
#define GYRE_REPLICATION_LOG_TAIL_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <utility>

#include "absl/functional/function_ref.h"
#include "replication/message.h"
#include "ring/ids.h"

namespace gyre {

class LogTail {
 public:
  explicit LogTail(size_t most) : most_(most) {}

  // REQUIRES: of one replica id the counters ascend.
  void Add(LogRow row) {
    rows_[row.minted.dot.replica].push_back(std::move(row));
    if (++size_ <= most_) return;
    // The oldest of whichever has most.
    const auto longest = std::max_element(
        rows_.begin(), rows_.end(),
        [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
    longest->second.pop_front();
    --size_;
  }

  void ForEach(absl::FunctionRef<void(const LogRow&)> visit) const {
    for (const auto& [replica, rows] : rows_) {
      for (const LogRow& row : rows) visit(row);
    }
  }

 private:
  const size_t most_;
  std::map<ReplicaId, std::deque<LogRow>> rows_;
  size_t size_ = 0;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_LOG_TAIL_H_
