// Dispatcher: carries each operation to an owner of its key, and to the next one until it is
// answered or its time is up. It decides what follows a failed attempt; the pure parts that it
// decides by are Routing, RetryPolicy, RetryBudget and each node's CircuitBreaker.
//
//                       +--------------- reply ----------------> callback
//   Start -> Dispatch -> NodeStream --- refused: back-off ------> WaitingRoom --+
//               ^  ^                \-- first lost, draining: now +             |
//               |  +----------------------------------------------+             |
//               +------------------- due, or epoch known -----------------------+
//
// One thread of its own ticks every 5 ms while there is work, for deadlines and waits; everything
// else runs on the caller's thread and on one that polls gRPC. An idle client has no timer running.
//
// Bounded: by the number and the bytes of outstanding requests; over them Start fails the request
// at once with RESOURCE_EXHAUSTED. Thread-safe.

#ifndef GYRE_API_CLIENT_DISPATCHER_H_
#define GYRE_API_CLIENT_DISPATCHER_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client/channel_pool.h"
#include "api/client/client_stats.h"
#include "api/client/node_stream.h"
#include "api/client/operation.h"
#include "api/client/retry_budget.h"
#include "api/client/retry_policy.h"
#include "api/client/routing.h"
#include "api/client/topology_feed.h"
#include "api/client/waiting_room.h"
#include "api/proto/completion_thread.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

struct DispatcherOptions {
  std::vector<std::string> seeds = {};
  uint64_t max_outstanding = 0;
  size_t max_outstanding_bytes = 0;
  NodeStreamOptions stream = {};
  BackOffOptions back_off = {};
  RetryBudgetOptions retry_budget = {};
};

class Dispatcher final : public NodeStream::Listener {
 public:
  explicit Dispatcher(const DispatcherOptions& options);
  // Every operation has been answered, at the latest with CANCELLED, and no thread is left.
  ~Dispatcher() override;

  // Fetches the first topology.
  [[nodiscard]] absl::Status Connect(absl::Duration timeout) { return feed_.FetchNow(timeout); }

  // Calls `op->done` exactly once: on this thread before Start returns if the operation is refused,
  // else on another.
  void Start(std::unique_ptr<Operation> op);

  // True on a thread that is running a callback of some client.
  [[nodiscard]] static bool InCallback();

  // What a BatchScope over several Starts names.
  const void* batch_owner() const { return static_cast<const NodeStream::Listener*>(this); }

  ChannelPool& channels() { return channels_; }
  TopologyFeed& feed() { return feed_; }
  std::shared_ptr<const Routing> routing() const;
  ClientStats stats() const { return counters_.Snapshot(); }

 private:
  // A topology and the streams to its nodes, which are made once per address and never die before
  // the dispatcher.
  struct Map {
    std::shared_ptr<const Routing> routing = std::make_shared<Routing>();
    std::vector<NodeStream*> members;  // parallel to routing->members()
    std::vector<NodeStream*> seeds;    // asked when no member can be reached
  };

  void OnReply(NodeStream& node, std::unique_ptr<Operation> op, v1::ClientReply& reply) override;
  void OnLost(NodeStream& node, std::vector<std::unique_ptr<Operation>> ops,
              const absl::Status& why) override;
  void OnEpoch(NodeStream& node, uint64_t epoch) override;

  void Install(Routing routing);
  std::shared_ptr<const Map> map() const;
  NodeStream* NodeAt(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(map_mutex_);

  void Dispatch(std::unique_ptr<Operation> op);
  NodeStream* Choose(const Operation& op, const Map& map, absl::Time now);
  void OnError(NodeStream& node, std::unique_ptr<Operation> op, const v1::Status& error);
  void FailOver(std::unique_ptr<Operation> op);
  void RetryLater(std::unique_ptr<Operation> op, uint32_t retry_after_ms);
  // False, and `op` is as it was: there is no budget for it, or no time.
  [[nodiscard]] bool TryRetryLater(std::unique_ptr<Operation>& op, uint32_t retry_after_ms);
  void RefuseFor(const NodeStream& node, uint32_t retry_after_ms, std::unique_ptr<Operation> op);
  void RetryAtEpoch(std::unique_ptr<Operation> op, uint64_t epoch);
  void Park(std::unique_ptr<Operation> op, absl::Duration wait, uint64_t epoch);

  void Succeed(std::unique_ptr<Operation> op, v1::ClientReply& reply);
  void Fail(std::unique_ptr<Operation> op, absl::Status why);
  void FailWithLast(std::unique_ptr<Operation> op);
  void FailLate(std::unique_ptr<Operation> op);
  void Release(const Operation& op);
  bool Admit(Operation& op);

  void Tick(absl::Time now);
  void TickLoop();

  const DispatcherOptions options_;
  ClientCounters counters_;
  ChannelPool channels_;
  CompletionThread wire_{"gyre-client"};  // all calls that nobody waits for, and callbacks
  RetryBudget budget_;
  WaitingRoom waiting_room_;

  std::atomic<bool> closing_{false};
  std::atomic<uint64_t> outstanding_{0};
  std::atomic<size_t> outstanding_bytes_{0};

  mutable std::mutex map_mutex_;
  std::map<std::string, std::unique_ptr<NodeStream>> nodes_ ABSL_GUARDED_BY(map_mutex_);
  std::shared_ptr<const Map> map_ ABSL_GUARDED_BY(map_mutex_);

  TopologyFeed feed_;

  std::mutex tick_mutex_;
  std::condition_variable tick_wanted_;
  bool stop_ticking_ ABSL_GUARDED_BY(tick_mutex_) = false;
  std::atomic<bool> ticking_{true};
  std::thread ticker_;  // last: it uses all of the above
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_DISPATCHER_H_
