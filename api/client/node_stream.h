// NodeStream: the pipelined Session stream to one node, and the requests that are on it.
//
//   Submit -> queue -> frame -> window (sent, awaiting a reply) -> Listener::OnReply
//                 \________________\______ stream lost ________ -> Listener::OnLost
//                                   \_____ late or silent ________ Expire
//
// Requests coalesce: while a frame is being written, those that come wait in the queue, and all
// that is ready goes into the next one, up to a number of requests and of bytes. Under load frames
// are full; an idle stream adds no delay. Inside a BatchScope nothing is written until the scope
// ends, so that what the callbacks of one frame of replies submit leaves as one frame.
//
// The stream opens with the first request and again after a loss. A circuit breaker decides whether
// the node is worth asking. A node is silent when half of a request's time has passed and nothing
// at all has come from it since the request was sent; a request that merely takes long on a node
// that answers others keeps waiting.
//
// Always holds: an operation that was taken by Submit is given back exactly once, through OnReply,
// OnLost or Expire. The listener is called without any lock held. At most one write is in flight.
//
// Thread-safe. An operation of gRPC's may be started under a lock: what it leads to is told by the
// thread that polls the queue, and never inside the call that starts it.

#ifndef GYRE_API_CLIENT_NODE_STREAM_H_
#define GYRE_API_CLIENT_NODE_STREAM_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client/circuit_breaker.h"
#include "api/client/client_stats.h"
#include "api/client/operation.h"
#include "api/client/retry_budget.h"
#include "api/client/throttle.h"
#include "api/proto/gyre.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/completion_queue.h"

namespace gyre {
inline namespace sdk {

struct NodeStreamOptions {
  // Requests sent and not answered. Default 1,024, at most 4,096; more wait in the queue. Too few
  // starve a node that is far away (window / round trip is its most requests a second).
  uint32_t max_in_flight = 1024;
  // Bounds of one frame. A single request that is larger goes alone.
  uint32_t max_frame_requests = 128;
  size_t max_frame_bytes = 256 << 10;
  CircuitBreakerOptions breaker = {};
  ThrottleOptions throttle = {};
};

class NodeStream {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `reply` may be moved from. Inside a BatchScope of this listener.
    virtual void OnReply(NodeStream& node, std::unique_ptr<Operation> op,
                         v1::ClientReply& reply) = 0;
    // The stream ended under these; the breaker is open. Those that were sent have
    // `outcome_unknown` set if they are writes.
    virtual void OnLost(NodeStream& node, std::vector<std::unique_ptr<Operation>> ops,
                        const absl::Status& why) = 0;
    // A frame named an epoch other than the one before it.
    virtual void OnEpoch(NodeStream& node, uint64_t epoch) = 0;
  };

  // REQUIRES: `queue` is polled until Close has returned.
  NodeStream(std::string address, std::shared_ptr<grpc::Channel> channel,
             grpc::CompletionQueue* queue, const NodeStreamOptions& options, Listener* listener,
             ClientCounters* counters);
  NodeStream(const NodeStream&) = delete;
  NodeStream& operator=(const NodeStream&) = delete;
  // REQUIRES: Close() was called.
  ~NodeStream();

  const std::string& address() const { return address_; }

  // Asks the breaker for one request. A node that was lost is probed only when its connection is
  // up again, so that no request waits for a host that is gone.
  [[nodiscard]] bool TryAcquire(absl::Time now);

  // Whether a request is to be refused here, since the node would refuse it (Throttle): when to
  // come again, in milliseconds as the node said it last. `unit` is a fresh draw from [0, 1).
  [[nodiscard]] std::optional<uint32_t> Refuses(double unit, absl::Time now);

  // Takes the operation. Hands it back when the stream is closed.
  [[nodiscard]] std::unique_ptr<Operation> Submit(std::unique_ptr<Operation> op);

  // Writes what waits, if nothing is being written. For BatchScope.
  void Flush();

  struct Expired {
    std::vector<std::unique_ptr<Operation>> late;    // past their deadline
    std::vector<std::unique_ptr<Operation>> silent;  // to be asked of another; a token is paid
  };
  // Takes out what has waited too long; to be called every few milliseconds. Silence counts against
  // the breaker, and when it opens, the stream is given up and OnLost follows.
  [[nodiscard]] Expired Expire(absl::Time now, RetryBudget& budget);

  // The node says that it is leaving: ask it no more for a while. What is on the stream stays.
  void Trip(absl::Time now);

  // Ends the stream and returns when the listener has been told and no callback runs any more.
  // Must not be called from a callback of this stream.
  void Close();

 private:
  class Session;
  struct Slot {
    std::unique_ptr<Operation> op;  // null: free
    uint64_t id = 0;
    absl::Time sent_at;
    absl::Time check_at;  // when silence is looked for; after that, the deadline
  };

  void OnFrame(Session* session, v1::ServerFrame& frame);
  void OnWritten(Session* session, bool ok);
  void OnBroken(Session* session);
  void OnEnded(Session* session, const absl::Status& why);

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // ClientFrame::clock_us of a frame that leaves now; 0: no frame of this session has come.
  uint64_t ServerClockLocked(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t FillWindowLocked(std::vector<Slot*>& frame) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t FreeSlotLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::unique_ptr<Operation> TakeSlotLocked(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string address_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::CompletionQueue* const completions_;
  const NodeStreamOptions options_;
  Listener* const listener_;
  ClientCounters* const counters_;

  std::mutex mutex_;
  std::condition_variable ended_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  CircuitBreaker breaker_ ABSL_GUARDED_BY(mutex_);
  Throttle throttle_ ABSL_GUARDED_BY(mutex_);
  uint32_t retry_after_ms_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last refusal
  // As throttle_ says, for who does not hold the lock.
  std::atomic<bool> refusing_{false};
  // The current session, which belongs to itself until OnDone; null: none is open.
  Session* session_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int sessions_running_ ABSL_GUARDED_BY(mutex_) = 0;  // until their OnLost has returned
  std::deque<std::unique_ptr<Operation>> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<Slot> window_ ABSL_GUARDED_BY(mutex_);
  // Nothing in window_ is due before.
  absl::Time check_window_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::vector<uint32_t> free_slots_ ABSL_GUARDED_BY(mutex_);
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;  // makes the ids of one slot differ
  absl::Time last_frame_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // What the last frame of this session said of the server's clock; 0: none has come.
  uint64_t last_clock_us_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_NODE_STREAM_H_
