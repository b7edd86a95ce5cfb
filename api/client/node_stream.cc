#include "api/client/node_stream.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "api/client/batch_scope.h"
#include "api/client/monotonic.h"
#include "api/proto/client_stream.h"
#include "api/proto/frame_arena.h"
#include "google/protobuf/io/coded_stream.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"

namespace gyre {
inline namespace sdk {
namespace {

using google::protobuf::io::CodedOutputStream;

// An id is (count of requests sent << kSlotBits) + slot, so that a reply finds its slot by itself
// and a late one finds that the slot is another request's.
constexpr int kSlotBits = 12;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;

constexpr size_t kKeptFrameBytes = 32 << 10;  // of replies, beside their values
constexpr char kSessionMethod[] = "/gyre.v1.Gyre/Session";
constexpr uint8_t kRequestsTag =
    v1::ClientFrame::kRequestsFieldNumber << 3 | 2;  // length-delimited; one byte
constexpr uint8_t kClockTag = v1::ClientFrame::kClockUsFieldNumber << 3;  // a varint; one byte

// Of what has passed here, for clocks that do not run alike.
constexpr int64_t kDriftPerMille = 1;

void FillForAttempt(Operation& op, uint64_t id, absl::Time now) {
  ++op.attempts;
  op.request.set_id(id);
  v1::RequestOptions& options = op.options();
  options.set_attempt(static_cast<uint32_t>(std::min(op.attempts, 65'535)));
  options.set_epoch(op.routed_epoch);
  const int64_t left_ms = absl::ToInt64Milliseconds(op.deadline - now);
  options.set_timeout_ms(static_cast<uint32_t>(std::clamp<int64_t>(left_ms, 1, 60'000)));
}

}  // namespace

// One life of the stream. OnDone hands it to OnEnded, which deletes it.
class NodeStream::Session final : public ClientStream<grpc::ByteBuffer, v1::ServerFrame> {
 public:
  // A first frame is to follow.
  explicit Session(NodeStream* node) : node_(node), stub_(node->channel_) {
    in_ = frames_.Renew();
    Start(stub_.PrepareCall(context(), kSessionMethod, node->completions_), in_);
  }

  void Write(const grpc::Slice& frame) {
    writing = true;
    StartWrite(grpc::ByteBuffer(&frame, 1));
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      node_->OnBroken(this);
      return;
    }
    node_->OnFrame(this, *in_);
    in_ = frames_.Renew();
    StartRead(in_);
  }
  void OnWriteDone(bool ok) override { node_->OnWritten(this, ok); }
  void OnDone(const grpc::Status& status) override {
    const std::string said =
        status.ok() ? "the node ended the stream" : std::string(status.error_message());
    node_->OnEnded(this, absl::UnavailableError(absl::StrCat(node_->address_, ": ", said)));
  }

  // Guarded by the node's lock.
  bool broken = false;  // reading or writing failed; OnDone is near
  bool writing = false;

 private:
  NodeStream* const node_;
  grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::ServerFrame> stub_;
  FrameArena<v1::ServerFrame> frames_{kKeptFrameBytes};
  v1::ServerFrame* in_ = nullptr;  // of the read under way; in frames_
};

NodeStream::NodeStream(std::string address, std::shared_ptr<grpc::Channel> channel,
                       grpc::CompletionQueue* queue, const NodeStreamOptions& options,
                       Listener* listener, ClientCounters* counters)
    : address_(std::move(address)),
      channel_(std::move(channel)),
      completions_(queue),
      options_(options),
      listener_(listener),
      counters_(counters),
      breaker_(options.breaker),
      throttle_(options.throttle) {
  const std::lock_guard lock(mutex_);
  const uint32_t slots = std::clamp<uint32_t>(options.max_in_flight, 1, 1 << kSlotBits);
  window_.resize(slots);
  for (uint32_t i = 0; i < slots; ++i) free_slots_.push_back(slots - 1 - i);
}

NodeStream::~NodeStream() {
  const std::lock_guard lock(mutex_);
  if (!closed_ || sessions_running_ != 0) {
    std::fprintf(stderr, "NodeStream destroyed before Close() returned\n");
    std::abort();
  }
}

bool NodeStream::TryAcquire(absl::Time now) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  const bool stream_is_up = session_ != nullptr && !session_->broken;
  if (breaker_.WouldProbe(now) && !stream_is_up &&
      channel_->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    return false;
  }
  return breaker_.TryAcquire(now);
}

std::optional<uint32_t> NodeStream::Refuses(double unit, absl::Time now) {
  if (!refusing_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  // Not what is to find out whether the node is there.
  const bool refuses =
      breaker_.state() == CircuitBreaker::State::kClosed && throttle_.Refuses(unit, now);
  refusing_.store(throttle_.refusing(), std::memory_order_relaxed);
  return refuses ? std::make_optional(retry_after_ms_) : std::nullopt;
}

std::unique_ptr<Operation> NodeStream::Submit(std::unique_ptr<Operation> op) {
  const std::lock_guard lock(mutex_);
  if (closed_) return op;
  queue_.push_back(std::move(op));
  if (!BatchScope::Defer(listener_, this)) WriteLocked();
  return nullptr;
}

void NodeStream::Flush() {
  const std::lock_guard lock(mutex_);
  WriteLocked();
}

void NodeStream::WriteLocked() {
  if (closed_ || queue_.empty()) return;
  if (session_ == nullptr) {
    ++sessions_running_;
    session_ = new Session(this);
    last_clock_us_ = 0;
  }
  if (session_->broken || session_->writing || free_slots_.empty()) return;

  std::vector<Slot*> frame;
  frame.reserve(std::min<size_t>(queue_.size(), options_.max_frame_requests));
  const uint64_t clock_us = ServerClockLocked(MonotonicNow());
  const size_t clock_bytes = clock_us == 0 ? 0 : 1 + CodedOutputStream::VarintSize64(clock_us);
  grpc::Slice slice(clock_bytes + FillWindowLocked(frame));
  auto* out = const_cast<uint8_t*>(slice.begin());
  if (clock_us != 0) {
    *out++ = kClockTag;
    out = CodedOutputStream::WriteVarint64ToArray(clock_us, out);
  }
  for (const Slot* slot : frame) {
    const v1::ClientRequest& request = slot->op->request;
    *out++ = kRequestsTag;
    out = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(request.GetCachedSize()),
                                                  out);
    out = request.SerializeWithCachedSizesToArray(out);
  }
  Count(counters_->frames_sent);
  Count(counters_->attempts, frame.size());
  session_->Write(slice);
}

uint64_t NodeStream::ServerClockLocked(absl::Time now) const {
  if (last_clock_us_ == 0) return 0;
  const int64_t passed_us = absl::ToInt64Microseconds(now - last_frame_at_);
  return last_clock_us_ + static_cast<uint64_t>(passed_us - passed_us * kDriftPerMille / 1000);
}

// Moves requests from the queue to the window, as many as one frame takes. Returns its bytes.
size_t NodeStream::FillWindowLocked(std::vector<Slot*>& frame) {
  const absl::Time now = MonotonicNow();
  size_t frame_bytes = 0;
  while (!queue_.empty() && !free_slots_.empty() && frame.size() < options_.max_frame_requests) {
    const uint32_t index = free_slots_.back();
    const uint64_t id = (sent_ + 1) << kSlotBits | index;
    Operation& next = *queue_.front();
    FillForAttempt(next, id, now);
    const size_t request_bytes = next.request.ByteSizeLong();
    const size_t with_header =
        1 + CodedOutputStream::VarintSize32(static_cast<uint32_t>(request_bytes)) + request_bytes;
    if (!frame.empty() && frame_bytes + with_header > options_.max_frame_bytes) {
      --next.attempts;  // it leaves with the next frame
      break;
    }
    ++sent_;
    frame_bytes += with_header;
    free_slots_.pop_back();
    Slot& slot = window_[index];
    slot.op = std::move(queue_.front());
    queue_.pop_front();
    slot.id = id;
    slot.sent_at = now;
    slot.check_at = now + (slot.op->deadline - now) / 2;
    check_window_at_ = std::min(check_window_at_, slot.check_at);
    frame.push_back(&slot);
  }
  return frame_bytes;
}

std::unique_ptr<Operation> NodeStream::TakeSlotLocked(uint32_t index) {
  free_slots_.push_back(index);
  return std::move(window_[index].op);
}

void NodeStream::OnFrame(Session* session, v1::ServerFrame& frame) {
  std::vector<std::pair<std::unique_ptr<Operation>, v1::ClientReply*>> answered;
  answered.reserve(static_cast<size_t>(frame.replies_size()));
  bool epoch_changed = false;
  {
    const std::lock_guard lock(mutex_);
    last_frame_at_ = MonotonicNow();
    if (session == session_) last_clock_us_ = frame.clock_us();
    epoch_changed = frame.epoch() != 0 && frame.epoch() != last_epoch_;
    if (epoch_changed) last_epoch_ = frame.epoch();
    uint64_t refused = 0;
    for (v1::ClientReply& reply : *frame.mutable_replies()) {
      const auto index = static_cast<uint32_t>(reply.id() & kSlotMask);
      // A reply to what was given up meanwhile finds its slot empty or with another id.
      if (index >= window_.size() || window_[index].id != reply.id()) continue;
      if (window_[index].op == nullptr) continue;
      const v1::ErrorDetail& detail = reply.error().detail();
      if (detail.reason() == v1::ErrorDetail::OVERLOADED) {
        ++refused;
        retry_after_ms_ = detail.retry_after_ms();
      }
      answered.emplace_back(TakeSlotLocked(index), &reply);
    }
    throttle_.OnAnswers(answered.size() - refused, refused, last_frame_at_);
    refusing_.store(throttle_.refusing(), std::memory_order_relaxed);
    if (!answered.empty() && session == session_) breaker_.Success();
    WriteLocked();  // the window has room again
  }
  BatchScope scope(listener_);
  if (epoch_changed) listener_->OnEpoch(*this, frame.epoch());
  for (auto& [op, reply] : answered) listener_->OnReply(*this, std::move(op), *reply);
}

void NodeStream::OnWritten(Session* session, bool ok) {
  const std::lock_guard lock(mutex_);
  session->writing = false;
  if (!ok) session->broken = true;
  WriteLocked();
}

void NodeStream::OnBroken(Session* session) {
  const std::lock_guard lock(mutex_);
  session->broken = true;
}

void NodeStream::OnEnded(Session* session, const absl::Status& why) {
  std::vector<std::unique_ptr<Operation>> lost;
  {
    const std::lock_guard lock(mutex_);
    for (uint32_t i = 0; i < window_.size(); ++i) {
      if (window_[i].op == nullptr) continue;
      if (window_[i].op->is_write()) window_[i].op->outcome_unknown = true;
      lost.push_back(TakeSlotLocked(i));
    }
    for (std::unique_ptr<Operation>& op : queue_) lost.push_back(std::move(op));
    queue_.clear();
    if (session_ == session) session_ = nullptr;
    breaker_.Trip(MonotonicNow());
  }
  listener_->OnLost(*this, std::move(lost), why);
  // Before Close may return: after it, the channel and the queue may go.
  delete session;
  const std::lock_guard lock(mutex_);
  --sessions_running_;
  ended_.notify_all();
}

NodeStream::Expired NodeStream::Expire(absl::Time now, RetryBudget& budget) {
  Expired expired;
  const std::lock_guard lock(mutex_);
  const bool was_open = breaker_.state() == CircuitBreaker::State::kOpen;
  const bool look = now >= check_window_at_;
  if (look) check_window_at_ = absl::InfiniteFuture();
  for (uint32_t i = 0; look && i < window_.size(); ++i) {
    Slot& slot = window_[i];
    if (slot.op == nullptr) continue;
    if (now >= slot.op->deadline) {
      if (slot.op->is_write()) slot.op->outcome_unknown = true;
      expired.late.push_back(TakeSlotLocked(i));
      continue;
    }
    const bool due = now >= slot.check_at;
    if (due) slot.check_at = slot.op->deadline;
    check_window_at_ = std::min(check_window_at_, slot.check_at);
    if (!due || last_frame_at_ > slot.sent_at) continue;
    breaker_.Failure(now);
    if (!budget.TrySpend()) {
      Count(counters_->retries_denied);
      continue;
    }
    if (slot.op->is_write()) slot.op->outcome_unknown = true;
    expired.silent.push_back(TakeSlotLocked(i));
  }
  const auto on_time = [now](const std::unique_ptr<Operation>& op) { return now < op->deadline; };
  const auto late = std::stable_partition(queue_.begin(), queue_.end(), on_time);
  std::move(late, queue_.end(), std::back_inserter(expired.late));
  queue_.erase(late, queue_.end());

  const bool opened = !was_open && breaker_.state() == CircuitBreaker::State::kOpen;
  if (opened && session_ != nullptr) session_->Cancel();
  // Not otherwise: what a batch has queued so far would leave before its end.
  if (!expired.late.empty() || !expired.silent.empty()) WriteLocked();
  return expired;
}

void NodeStream::Trip(absl::Time now) {
  const std::lock_guard lock(mutex_);
  breaker_.Trip(now);
}

void NodeStream::Close() {
  std::vector<std::unique_ptr<Operation>> unsent;
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    if (session_ != nullptr) session_->Cancel();
    while (sessions_running_ != 0) ended_.wait(lock);
    for (std::unique_ptr<Operation>& op : queue_) unsent.push_back(std::move(op));
    queue_.clear();
  }
  listener_->OnLost(*this, std::move(unsent), absl::CancelledError("the stream was closed"));
}

}  // namespace sdk
}  // namespace gyre
