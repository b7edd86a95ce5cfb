// Lane: one shard on its thread. It feeds the shard with events from the rest of the process and
// performs what the shard wants done: commits and reads through the StorePool, messages through
// PeerLinks, replies to their callers. Lane 0 is the thread of Control and Membership too.
//
// Thread rule: every public method from any thread, but for the constructor, Start and Stop.

#ifndef GYRE_SERVER_LANE_H_
#define GYRE_SERVER_LANE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "replication/message.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/rumour.h"
#include "ring/view.h"
#include "server/admission_limit.h"
#include "server/caller.h"
#include "server/control_seat.h"
#include "server/event_loop.h"
#include "server/membership_seat.h"
#include "server/movement.h"
#include "server/node.h"
#include "server/peer_links.h"
#include "server/store_pool.h"

namespace gyre {

class Lane {
 public:
  // A client's request, and what becomes of its outcome: hands the reply to its caller, and answers
  // who is to be flushed (or null).
  using Reply = absl::AnyInvocable<std::shared_ptr<Caller>(Outcome)>;
  struct Ask {
    std::variant<WriteRequest, ReadRequest> request;
    Reply reply;
  };

  struct Options {
    int index = 0;
    size_t max_waiting = 100'000;  // events; beyond it clients are answered "overloaded"
    // Where calls that the lane is to serve come in. Null: it only makes calls.
    std::unique_ptr<grpc::ServerCompletionQueue> queue;
    ClockAnswerLimits clock_answers;
    ScrubOptions scrub = {};
    AdmissionOptions admission = {};
  };

  // Both of lane 0, and null elsewhere.
  struct Seats {
    ControlSeat* control = nullptr;
    MembershipSeat* membership = nullptr;
  };

  // REQUIRES: all outlive the lane.
  Lane(Options options, Node* node, Seats seats, StorePool* pool, PeerLinks* peers);

  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }

  // False when too much waits: nothing was done, and `asks` are as they were.
  [[nodiscard]] bool TryServe(const std::shared_ptr<std::vector<Ask>>& asks);
  // Whether one more request than these, which are about to be handed in, would wait for no longer
  // than it should (AdmissionLimit). TryServe does not ask.
  bool HasRoom(size_t asks) const {
    return in_flight_.load(std::memory_order_relaxed) + asks <
           limit_.load(std::memory_order_relaxed);
  }
  // When a client that found no room is to come again.
  uint32_t retry_after_ms() const { return retry_after_ms_.load(std::memory_order_relaxed); }
  size_t admission_limit() const { return limit_.load(std::memory_order_relaxed); }
  // How busy it was when it last went round, in percent of what it can do: with clients
  // (AdmissionLimit::load_percent) or with peers (Shard::load_percent), whichever is more.
  int load_percent() const { return load_percent_.load(std::memory_order_relaxed); }
  // Has it go round, so that what it says of itself is of now.
  void GoRound() {
    loop_.Post([](Instant) {});
  }
  // `ticket` is let go of once the messages have been taken in: the link reads on then.
  void OnMessages(NodeId from, std::vector<PeerMessage> messages, std::shared_ptr<void> ticket);
  void OnPeer(NodeId node, bool reachable);
  void OnLiveness(NodeId node, Liveness liveness);
  void OnLoad(NodeId node, Load load);
  // Of lane 0: what a peer's wall clock showed as it let this node in.
  void OnClock(NodeId node, uint64_t wall_ms);
  // Of lane 0, before OnPeer says that the peer can be reached.
  void OnLevel(NodeId node, BuildLevel level);
  void OnClusterTime(std::optional<int64_t> offset_ms);
  void OnForgetful();
  void OnProven();
  void OnHeardPeers();
  // Of lane 0: Control's too.
  void OnDiskFailed();
  void Install(std::shared_ptr<const View> view, std::function<void(absl::Status)> done);
  // What may step of the moves to this node, and whether it may depart, as far as this lane's shard
  // goes; `done` must only post.
  void AskMoves(Epoch epoch, std::function<void(Movement::Ready)> done);
  // The queue that the lane's thread polls; its server's form is null where it has none.
  grpc::CompletionQueue* queue() { return loop_.queue(); }
  grpc::ServerCompletionQueue* server_queue() { return server_queue_; }
  // For what concerns Control or Membership: lane 0.
  void Post(EventLoop::Event event) { loop_.Post(std::move(event)); }

  ShardFigures figures() const;
  // What the last read that failed said, with the file that is damaged; "" while none has.
  std::string last_unreadable() const;
  EventLoop::Figures loop_figures() const { return loop_.figures(); }

 private:
  void OnWake(Instant now);
  void OnNodeMessage(NodeId from, PeerMessage message, Instant now);
  Time Perform(Instant now);
  Duration Gather();
  void Read(std::vector<ShardEffects::DiskRead> reads);
  void ReadHints(HintScan scan);
  void Scrub(ShardEffects* effects);
  void Tell(const gyre::Scrub::Contradiction& told);
  void Tell(const Repair::Effects::Miscount& told);
  // On a thread of the pool: how a read ended.
  void NoteRead(const absl::Status& status);
  void Answer(std::vector<ShardEffects::Reply> replies);
  void NoteRound(size_t answered, Time now);

  const int index_;
  const ClockAnswerLimits clock_answers_;
  const ScrubOptions scrub_;
  Node* const node_;
  Shard* const shard_;
  const Seats seats_;
  StorePool* const pool_;
  PeerLinks* const peers_;

  // Of the loop's thread.
  // After a round that stepped `steps` requests and messages, the next one lets `gather` pass from
  // the round's beginning, so that commits and frames carry more. Alone in flight, a request has
  // five steps or fewer in any round and never waits. The longer one bounds a node to about 100,000
  // writes a second with 256 in flight, for a write takes some five rounds.
  struct Pace {
    size_t steps;
    Duration gather;
  };
  static constexpr Pace kBusy = {8, Duration::Micros(300)};
  static constexpr Pace kFull = {16, Duration::Micros(500)};
  size_t stepped_ = 0;  // in this round

  Token next_token_ = 1;
  absl::flat_hash_map<Token, Reply> asked_;
  Time shard_wake_ = Time::Never();
  Time control_wake_ = Time::Never();
  Time membership_wake_ = Time::Never();
  AdmissionLimit admission_;

  // Clients' requests that were handed in and not answered yet.
  std::atomic<size_t> in_flight_{0};
  std::atomic<size_t> limit_;  // as admission_ says, and so is the next
  std::atomic<uint32_t> retry_after_ms_{0};
  std::atomic<int> load_percent_{0};

  mutable std::mutex figures_mutex_;
  ShardFigures figures_;  // guarded by figures_mutex_, and so is the next
  std::string last_unreadable_;

  grpc::ServerCompletionQueue* const server_queue_;  // loop_'s
  EventLoop loop_;                                   // last: its thread uses all above
};

// Of all lanes together: Repair::Figures::missing_by_table.
std::map<TableId, uint64_t> MissingByTable(const std::vector<Lane*>& lanes);

}  // namespace gyre

#endif  // GYRE_SERVER_LANE_H_
