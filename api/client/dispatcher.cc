#include "api/client/dispatcher.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "api/client/batch_scope.h"
#include "api/client/error_detail.h"
#include "api/client/monotonic.h"

namespace gyre {
inline namespace sdk {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(5);
// The ticker sleeps for good only after so many ticks without work, so that a caller who waits for
// each reply before the next request does not wake it every time.
constexpr int kIdleTicks = 200;

// A request may change nodes so often without a wait and without drawing on the budget; after that
// it backs off and pays like any other retry. One is enough for the death of a node. With more, all
// requests in flight would go round the owners at once when several nodes fail, and a cluster in
// trouble would see a multiple of its traffic.
constexpr int kFreeFailovers = 1;
// A topology that keeps changing under one request is waited out at this pace.
constexpr int kMaxRefreshes = 8;
constexpr absl::Duration kEpochWait = absl::Milliseconds(100);

thread_local int callback_depth = 0;

class CallbackScope {
 public:
  CallbackScope() { ++callback_depth; }
  ~CallbackScope() { --callback_depth; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
};

double UnitRandom() {
  thread_local absl::BitGen generator;
  return absl::Uniform(generator, 0.0, 1.0);
}

absl::Status Refused(const char* bound) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::OVERLOADED);
  return WithErrorDetail(
      absl::ResourceExhaustedError(absl::StrCat("the client is at its bound of ", bound)), detail);
}

// What the caller is told of an error after several attempts: the last one's code and detail, with
// the outcome of all of them.
absl::Status Told(const Operation& op, absl::Status why) {
  std::optional<v1::ErrorDetail> detail = GetErrorDetail(why);
  if (op.attempts > 1) {
    why = absl::Status(why.code(),
                       absl::StrCat(why.message(), " (after ", op.attempts, " attempts)"));
  }
  if (op.outcome_unknown) {
    if (!detail.has_value()) detail.emplace();
    detail->set_outcome_unknown(true);
  }
  return detail.has_value() ? WithErrorDetail(std::move(why), *detail) : why;
}

absl::Status WrongKind() {
  return absl::InternalError("the server answered with a reply of another kind");
}

void Answer(const PutCallback& done, v1::ClientReply& reply, int attempts) {
  if (!reply.has_put()) return done(WrongKind());
  v1::PutReply& put = *reply.mutable_put();
  done(PutResult{.context = std::move(*put.mutable_context()),
                 .info = std::move(*put.mutable_info()),
                 .attempts = attempts});
}

void Answer(const DeleteCallback& done, v1::ClientReply& reply, int attempts) {
  if (!reply.has_delete_()) return done(WrongKind());
  v1::DeleteReply& erased = *reply.mutable_delete_();
  done(DeleteResult{.context = std::move(*erased.mutable_context()),
                    .info = std::move(*erased.mutable_info()),
                    .attempts = attempts});
}

void Answer(const GetCallback& done, v1::ClientReply& reply, int attempts) {
  if (!reply.has_get()) return done(WrongKind());
  v1::GetReply& get = *reply.mutable_get();
  GetResult result{.context = std::move(*get.mutable_context()),
                   .info = std::move(*get.mutable_info()),
                   .attempts = attempts};
  result.values.reserve(static_cast<size_t>(get.values_size()));
  for (std::string& value : *get.mutable_values()) result.values.push_back(std::move(value));
  if (get.ttl_left_ms_size() == get.values_size()) {
    for (const uint64_t left_ms : get.ttl_left_ms()) {
      result.ttl_left.push_back(left_ms == 0 ? absl::InfiniteDuration()
                                             : absl::Milliseconds(left_ms));
    }
  }
  done(std::move(result));
}

}  // namespace

Dispatcher::Dispatcher(const DispatcherOptions& options)
    : options_(options),
      budget_(options.retry_budget),
      map_(std::make_shared<Map>()),
      feed_(&channels_, wire_.queue(), options.seeds,
            [this](Routing routing) { Install(std::move(routing)); }),
      ticker_([this] { TickLoop(); }) {}

Dispatcher::~Dispatcher() {
  if (InCallback()) {
    std::fprintf(stderr, "gyre::Client destroyed inside a callback, which it would wait for\n");
    std::abort();
  }
  closing_ = true;
  {
    const std::lock_guard lock(tick_mutex_);
    stop_ticking_ = true;
    tick_wanted_.notify_all();
  }
  ticker_.join();
  feed_.Close();  // no new streams from here on
  std::vector<NodeStream*> nodes;
  {
    const std::lock_guard lock(map_mutex_);
    for (const auto& [address, node] : nodes_) nodes.push_back(node.get());
  }
  for (NodeStream* node : nodes) node->Close();
  // Nothing runs any more that could park another.
  for (std::unique_ptr<Operation>& op : waiting_room_.TakeAll()) {
    Fail(std::move(op), absl::CancelledError("the client is being destroyed"));
  }
}

bool Dispatcher::InCallback() { return callback_depth > 0; }

std::shared_ptr<const Dispatcher::Map> Dispatcher::map() const {
  const std::lock_guard lock(map_mutex_);
  return map_;
}

std::shared_ptr<const Routing> Dispatcher::routing() const { return map()->routing; }

NodeStream* Dispatcher::NodeAt(const std::string& address) {
  std::unique_ptr<NodeStream>& node = nodes_[address];
  if (node == nullptr) {
    node = std::make_unique<NodeStream>(address, channels_.To(address), wire_.queue(),
                                        options_.stream, this, &counters_);
  }
  return node.get();
}

void Dispatcher::Install(Routing routing) {
  const uint64_t epoch = routing.epoch();
  auto next = std::make_shared<Map>();
  {
    const std::lock_guard lock(map_mutex_);
    for (const v1::TopologyMember& member : routing.members()) {
      next->members.push_back(NodeAt(member.client_address()));
    }
    for (const std::string& seed : options_.seeds) {
      NodeStream* node = NodeAt(seed);
      if (std::find(next->members.begin(), next->members.end(), node) == next->members.end()) {
        next->seeds.push_back(node);
      }
    }
    next->routing = std::make_shared<const Routing>(std::move(routing));
    map_ = next;
  }
  Count(counters_.topologies);
  BatchScope scope(batch_owner());
  for (std::unique_ptr<Operation>& op : waiting_room_.TakeDue(MonotonicNow(), epoch)) {
    Dispatch(std::move(op));
  }
}

// ------------------------------------------------------------------------------- on the way out

bool Dispatcher::Admit(Operation& op) {
  const uint64_t outstanding = outstanding_.fetch_add(1) + 1;
  const size_t bytes = outstanding_bytes_.fetch_add(op.size_bytes) + op.size_bytes;
  const bool too_many = outstanding > options_.max_outstanding;
  if (!too_many && bytes <= options_.max_outstanding_bytes) {
    Count(counters_.requests);
    return true;
  }
  Release(op);
  Count(counters_.refused);
  op.last_error = Refused(too_many ? "outstanding requests" : "outstanding bytes");
  return false;
}

void Dispatcher::Start(std::unique_ptr<Operation> op) {
  if (!Admit(*op)) {
    const CallbackScope scope;
    std::visit([&](const auto& done) { done(op->last_error); }, op->done);
    return;
  }
  if (!ticking_.load()) {
    const std::lock_guard lock(tick_mutex_);
    ticking_ = true;
    tick_wanted_.notify_all();
  }
  Dispatch(std::move(op));
}

void Dispatcher::Dispatch(std::unique_ptr<Operation> op) {
  if (closing_) return Fail(std::move(op), absl::CancelledError("the client is being destroyed"));
  const absl::Time now = MonotonicNow();
  if (now >= op->deadline) return FailLate(std::move(op));
  if (op->given_up) return FailWithLast(std::move(op));
  const std::shared_ptr<const Map> to = map();
  NodeStream* node = Choose(*op, *to, now);
  if (node == nullptr) {
    feed_.WantAny();
    if (op->last_error.ok()) op->last_error = absl::UnavailableError("no node can be reached");
    // Nothing is sent, so nothing is drawn from the budget.
    const absl::Duration wait =
        BackOffDelay(options_.back_off, ++op->retries, /*retry_after_ms=*/1, UnitRandom());
    return Park(std::move(op), wait, 0);
  }
  if (const auto retry_after_ms = node->Refuses(UnitRandom(), now)) {
    return RefuseFor(*node, *retry_after_ms, std::move(op));
  }
  op->routed_epoch = to->routing->epoch();
  op = node->Submit(std::move(op));
  if (op != nullptr) Fail(std::move(op), absl::CancelledError("the client is being destroyed"));
}

// As the node would. Where it is not tried again, its caller hears of it from the clock's thread,
// so that one who asks anew at once does so at some pace, and not from within his own call.
void Dispatcher::RefuseFor(const NodeStream& node, uint32_t retry_after_ms,
                           std::unique_ptr<Operation> op) {
  Count(counters_.throttled);
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::OVERLOADED);
  detail.set_retry_after_ms(retry_after_ms);
  op->last_error =
      WithErrorDetail(absl::ResourceExhaustedError(absl::StrCat(
                          node.address(), " refuses most of what it is asked; this was not sent")),
                      detail);
  ++op->turn;
  if (TryRetryLater(op, retry_after_ms)) return;
  op->given_up = true;
  Park(std::move(op), absl::ZeroDuration(), 0);
}

// The owners in the order of preference, from the one whose turn it is; then any member, since
// every node serves every request; then the seeds, which may reach the cluster where the addresses
// that the members advertise do not.
NodeStream* Dispatcher::Choose(const Operation& op, const Map& to, absl::Time now) {
  const absl::Span<const uint32_t> owners = to.routing->OwnersOfKey(op.table(), op.key());
  for (size_t i = 0; i < owners.size(); ++i) {
    NodeStream* node = to.members[owners[(op.turn + i) % owners.size()]];
    if (node->TryAcquire(now)) return node;
  }
  for (size_t i = 0; i < to.members.size(); ++i) {
    NodeStream* node = to.members[(op.turn + i) % to.members.size()];
    if (node->TryAcquire(now)) return node;
  }
  for (NodeStream* node : to.seeds) {
    if (node->TryAcquire(now)) return node;
  }
  return nullptr;
}

// ------------------------------------------------------------------------------ on the way back

void Dispatcher::OnReply(NodeStream& node, std::unique_ptr<Operation> op, v1::ClientReply& reply) {
  if (reply.has_error()) {
    OnError(node, std::move(op), reply.error());
  } else {
    Succeed(std::move(op), reply);
  }
}

void Dispatcher::OnError(NodeStream& node, std::unique_ptr<Operation> op, const v1::Status& error) {
  const v1::ErrorDetail& detail = error.detail();
  op->last_error = StatusFromWire(error);
  if (detail.outcome_unknown()) op->outcome_unknown = true;
  const FailedAttempt failed{.code = op->last_error.code(),
                             .reason = detail.reason(),
                             .table_known = routing()->HasTable(op->table())};
  ++op->turn;
  switch (RemedyFor(failed)) {
    case Remedy::kNone:
      return FailWithLast(std::move(op));
    case Remedy::kBackOff:
      return RetryLater(std::move(op), detail.retry_after_ms());
    case Remedy::kFailOver:
      node.Trip(MonotonicNow());
      return FailOver(std::move(op));
    case Remedy::kRefresh:
      feed_.Want(detail.epoch(), node.address());
      return RetryAtEpoch(std::move(op), detail.epoch());
  }
}

void Dispatcher::OnLost(NodeStream&, std::vector<std::unique_ptr<Operation>> ops,
                        const absl::Status& why) {
  BatchScope scope(batch_owner());
  for (std::unique_ptr<Operation>& op : ops) {
    op->last_error = why;
    ++op->turn;
    FailOver(std::move(op));
  }
}

void Dispatcher::OnEpoch(NodeStream& node, uint64_t epoch) { feed_.Want(epoch, node.address()); }

void Dispatcher::FailOver(std::unique_ptr<Operation> op) {
  if (op->failovers >= kFreeFailovers) return RetryLater(std::move(op), 0);
  ++op->failovers;
  Count(counters_.failovers);
  Dispatch(std::move(op));
}

void Dispatcher::RetryLater(std::unique_ptr<Operation> op, uint32_t retry_after_ms) {
  if (!TryRetryLater(op, retry_after_ms)) FailWithLast(std::move(op));
}

bool Dispatcher::TryRetryLater(std::unique_ptr<Operation>& op, uint32_t retry_after_ms) {
  const absl::Duration wait =
      BackOffDelay(options_.back_off, op->retries + 1, retry_after_ms, UnitRandom());
  // A wait that outlasts the deadline cannot end well: tell the caller now what went wrong.
  if (MonotonicNow() + wait >= op->deadline) return false;
  if (!budget_.TrySpend()) {
    Count(counters_.retries_denied);
    return false;
  }
  Count(counters_.retries);
  ++op->retries;
  Park(std::move(op), wait, 0);
  return true;
}

// What a change of the topology refuses is no sign of overload: a few times it is free. A newer
// epoch than the one that it was routed by explains the refusal; one that it does not explain came
// of nodes that hear of the change one after another, which they have in a moment.
void Dispatcher::RetryAtEpoch(std::unique_ptr<Operation> op, uint64_t epoch) {
  if (op->refreshes >= kMaxRefreshes) return RetryLater(std::move(op), 0);
  ++op->refreshes;
  if (epoch <= op->routed_epoch) {
    return Park(std::move(op), BackOffDelay(options_.back_off, op->refreshes, 0, UnitRandom()), 0);
  }
  op->turn = 0;  // the owners are others
  if (routing()->epoch() >= epoch) return Dispatch(std::move(op));
  Park(std::move(op), kEpochWait, epoch);
}

void Dispatcher::Park(std::unique_ptr<Operation> op, absl::Duration wait, uint64_t epoch) {
  if (closing_) return Fail(std::move(op), absl::CancelledError("the client is being destroyed"));
  op->wake_at = MonotonicNow() + wait;
  op->wake_epoch = epoch;
  waiting_room_.Park(std::move(op));
}

// --------------------------------------------------------------------------------------- the end

void Dispatcher::Release(const Operation& op) {
  outstanding_bytes_.fetch_sub(op.size_bytes);
  outstanding_.fetch_sub(1);
}

void Dispatcher::Succeed(std::unique_ptr<Operation> op, v1::ClientReply& reply) {
  budget_.Success();
  Count(counters_.succeeded);
  Release(*op);
  const CallbackScope scope;
  std::visit([&](const auto& done) { Answer(done, reply, op->attempts); }, op->done);
}

void Dispatcher::Fail(std::unique_ptr<Operation> op, absl::Status why) {
  Count(counters_.failed);
  Release(*op);
  const absl::Status told = Told(*op, std::move(why));
  const CallbackScope scope;
  std::visit([&](const auto& done) { done(told); }, op->done);
}

void Dispatcher::FailWithLast(std::unique_ptr<Operation> op) {
  absl::Status why = std::exchange(op->last_error, absl::OkStatus());
  Fail(std::move(op), std::move(why));
}

void Dispatcher::FailLate(std::unique_ptr<Operation> op) {
  std::string said = "the deadline passed";
  absl::Status late = absl::DeadlineExceededError(said);
  if (!op->last_error.ok()) {
    absl::StrAppend(
        &said, "; last: ", op->last_error.ToString(absl::StatusToStringMode::kWithNoExtraData));
    late = absl::DeadlineExceededError(said);
    if (const auto detail = GetErrorDetail(op->last_error)) {
      late = WithErrorDetail(std::move(late), *detail);
    }
  }
  Fail(std::move(op), std::move(late));
}

// ------------------------------------------------------------------------------------- the clock

void Dispatcher::Tick(absl::Time now) {
  std::vector<NodeStream*> nodes;
  {
    const std::lock_guard lock(map_mutex_);
    for (const auto& [address, node] : nodes_) nodes.push_back(node.get());
  }
  feed_.Tick(now);
  BatchScope scope(batch_owner());
  for (NodeStream* node : nodes) {
    NodeStream::Expired expired = node->Expire(now, budget_);
    for (std::unique_ptr<Operation>& op : expired.late) FailLate(std::move(op));
    for (std::unique_ptr<Operation>& op : expired.silent) {
      Count(counters_.retries);
      op->last_error = absl::UnavailableError(absl::StrCat(node->address(), " is silent"));
      ++op->turn;
      Dispatch(std::move(op));
    }
  }
  for (std::unique_ptr<Operation>& op : waiting_room_.TakeDue(now, routing()->epoch())) {
    Dispatch(std::move(op));
  }
}

void Dispatcher::TickLoop() {
  int idle_ticks = 0;
  std::unique_lock lock(tick_mutex_);
  while (!stop_ticking_) {
    if (idle_ticks >= kIdleTicks) {
      // Start adds to outstanding_ before it looks at ticking_, so that one of the two is seen.
      ticking_ = false;
      while (!stop_ticking_ && !ticking_ && outstanding_ == 0) tick_wanted_.wait(lock);
      ticking_ = true;
      idle_ticks = 0;
      continue;
    }
    tick_wanted_.wait_for(lock, absl::ToChronoMicroseconds(kTick));
    if (stop_ticking_) break;
    lock.unlock();
    Tick(MonotonicNow());
    const bool has_work = outstanding_ != 0 || feed_.Busy();
    idle_ticks = has_work ? 0 : idle_ticks + 1;
    lock.lock();
  }
}

}  // namespace sdk
}  // namespace gyre
