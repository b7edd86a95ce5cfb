// TopologyFeed: fetches the topology by GetTopology, at the start and whenever a newer epoch is
// heard of, and hands each newer one to its owner.
//
// Want() says that an epoch exists; one fetch at a time is in flight, first from the node that
// named the epoch and then from the others in turn, until it is there. A node that is itself behind
// answers with an older one, which changes nothing.
//
// Thread-safe. `install` runs on the thread that polls or on that of FetchNow, never two at once,
// with no lock of this class that Want or Tick would take.

#ifndef GYRE_API_CLIENT_TOPOLOGY_FEED_H_
#define GYRE_API_CLIENT_TOPOLOGY_FEED_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client/channel_pool.h"
#include "api/client/routing.h"
#include "api/proto/gyre.pb.h"
#include "grpcpp/completion_queue.h"

namespace gyre {
inline namespace sdk {

class TopologyFeed {
 public:
  using Install = std::function<void(Routing)>;

  // REQUIRES: `queue` is polled until Close has returned.
  TopologyFeed(ChannelPool* channels, grpc::CompletionQueue* queue, std::vector<std::string> seeds,
               Install install);
  // REQUIRES: Close() was called.
  ~TopologyFeed();

  // Asks seeds, then members, until one answers, and again until `timeout` has passed; zero: once,
  // each for up to a second. Blocks.
  [[nodiscard]] absl::Status FetchNow(absl::Duration timeout);

  // Asks this node only. Blocks.
  [[nodiscard]] absl::Status FetchFrom(const std::string& address, absl::Duration timeout);

  // A topology of `epoch` exists, as `address` says. Does not block.
  void Want(uint64_t epoch, const std::string& address);
  // None of the nodes that are known can be reached: see whether there are others by now.
  void WantAny();
  // Starts the next try of a fetch that failed or came back too old.
  void Tick(absl::Time now);
  // Whether Tick has something to do.
  [[nodiscard]] bool Busy() const;

  // Members that are known and seeds, members first, each address once.
  std::vector<std::string> Addresses() const;

  // Cancels the fetch in flight and returns when `install` runs no more.
  void Close();

 private:
  struct Fetch;

  void StartLocked(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnFetched(bool ok);
  absl::Status Accept(const v1::GetTopologyReply& topology);

  ChannelPool* const channels_;
  grpc::CompletionQueue* const completions_;
  const std::vector<std::string> seeds_;
  const Install install_;

  std::mutex install_mutex_;  // taken before mutex_
  mutable std::mutex mutex_;
  std::condition_variable fetched_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> addresses_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Fetch> in_flight_ ABSL_GUARDED_BY(mutex_);
  absl::Time retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  size_t next_address_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_TOPOLOGY_FEED_H_
