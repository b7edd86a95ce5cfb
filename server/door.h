// Door: the way in for clients' requests, however they came. It translates and checks them, admits
// as many as the node can hold, hands each to the lane of its partition, and turns outcomes into
// replies.
//
// Thread rule: any thread, but for Attach (once, before the first request).
//
// Always holds: every request that is handed in gets exactly one reply; what was admitted and not
// yet replied to is bounded in number and in bytes, and so that none waits too long to be begun
// (Lane::HasRoom); one more is answered OVERLOADED.

#ifndef GYRE_SERVER_DOOR_H_
#define GYRE_SERVER_DOOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/proto/gyre.pb.h"
#include "api/request_translation.h"
#include "ring/ids.h"
#include "ring/view.h"
#include "server/caller.h"
#include "server/lane.h"
#include "server/latency_buckets.h"

namespace gyre {

class Door {
 public:
  struct Options {
    // Requests (each item of a multi request counts) and their bytes, admitted and not yet replied
    // to. Defaults 10,000 and 256 MiB. Too large and memory is the limit that is hit first.
    size_t max_in_flight = 10'000;
    size_t max_in_flight_bytes = size_t{256} << 20;
  };

  Door(Options options, std::shared_ptr<const View> view);
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  // REQUIRES: the lanes outlive the door's last request.
  void Attach(std::vector<Lane*> lanes);

  // Serves requests that came together; takes them apart. No reply later than `patience` asks for.
  // Replies that need no lane are flushed before it returns. `sent`: they left their client no
  // sooner, by MonotonicNow (ClientFrame::clock_us); of some it is not known.
  void Serve(absl::Span<v1::ClientRequest* const> requests, const std::shared_ptr<Caller>& caller,
             Duration patience, std::optional<Time> sent = std::nullopt);

  void SetView(std::shared_ptr<const View> view);
  std::shared_ptr<const View> view() const;
  Epoch epoch() const { return Epoch(epoch_.load(std::memory_order_relaxed)); }

  // From now on requests are answered DRAINING.
  void StartDraining() { draining_.store(true); }
  bool draining() const { return draining_.load(); }
  size_t in_flight() const { return in_flight_.load(); }
  size_t in_flight_bytes() const { return in_flight_bytes_.load(); }

  struct Figures {
    LatencyBuckets::Counts puts;
    LatencyBuckets::Counts gets;
    uint64_t errors = 0;
    uint64_t overloads = 0;  // by a full door
    uint64_t delayed = 0;    // requests refused since they would have waited too long
  };
  Figures figures() const;

 private:
  class Round;
  class MultiCall;

  enum class Verdict : uint8_t { kAdmitted, kDraining, kTooMany, kTooManyBytes, kTooSlow };
  // One request of so many bytes, for a lane that is about to be handed `asks` others.
  Verdict Admit(const Lane& lane, size_t asks, size_t bytes);
  void Release(size_t requests, size_t bytes);

  const Options options_;
  std::vector<Lane*> lanes_;
  mutable std::mutex view_mutex_;
  std::shared_ptr<const View> view_;  // guarded by view_mutex_
  std::atomic<uint64_t> epoch_;
  std::atomic<bool> draining_{false};
  std::atomic<size_t> in_flight_{0};
  std::atomic<size_t> in_flight_bytes_{0};
  LatencyBuckets put_latency_;
  LatencyBuckets get_latency_;
  std::atomic<uint64_t> errors_{0};
  std::atomic<uint64_t> overloads_{0};
  std::atomic<uint64_t> delayed_{0};
};

}  // namespace gyre

#endif  // GYRE_SERVER_DOOR_H_
