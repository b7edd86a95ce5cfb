#include "server/peer_link.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/limits.h"
#include "api/peer_translation.h"
#include "api/proto/client_stream.h"
#include "api/proto/frame_arena.h"
#include "server/clock.h"
#include "server/log.h"

namespace gyre {
namespace {

bool IsRepair(const PeerMessage& message) {
  return std::holds_alternative<ClockAsk>(message.body) ||
         std::holds_alternative<ClockAnswer>(message.body) ||
         std::holds_alternative<CopyAsk>(message.body) ||
         std::holds_alternative<CopyPage>(message.body) ||
         std::holds_alternative<SliceAsk>(message.body) ||
         std::holds_alternative<SliceAnswer>(message.body) ||
         std::holds_alternative<Doubt>(message.body) ||
         std::holds_alternative<Handoff>(message.body) ||
         (std::holds_alternative<Apply>(message.body) && message.exchange == 0);
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const PeerLinkOptions& options) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(static_cast<int>(kMaxPeerMessageBytes));
  args.SetMaxSendMessageSize(static_cast<int>(kMaxPeerMessageBytes));
  // A connection of its own, and no pause inside gRPC: pausing is this link's part.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(options.hello_timeout.millis()));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options.keepalive_time.millis()));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(options.keepalive_timeout.millis()));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // gRPC 1.51 may lose a call that it would retry: where the attempt to connect ends at the moment
  // at which the call is cancelled, its read never ends (one call in 700 that is cancelled as the
  // connection fails; with this none of 24,800). Whether to try again is this link's to say, too.
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
}

}  // namespace

Duration LongestPause(const PeerLinkOptions& options, int attempts, bool astray) {
  const Duration cap = astray ? options.astray_cap : options.retry_cap;
  return Duration::Micros(
      std::min(cap.micros(), options.retry_base.micros() << std::min(attempts, 10)));
}

std::string LevelObjection(const peer::Hello& one, const peer::Hello& other) {
  const BuildLevel cluster =
      std::max(LevelSaid(one.cluster_level()), LevelSaid(other.cluster_level()));
  for (const peer::Hello* hello : {&one, &other}) {
    const BuildLevel level = LevelSaid(hello->level());
    if (level >= cluster) continue;
    return absl::StrCat("node \"", hello->node_name(), "\" ", OutgrownWords(level, cluster));
  }
  return "";
}

// One stream. It lives until gRPC has reported its end.
class PeerLink::Call final : public ClientStream<peer::PeerFrame, peer::PeerFrame> {
 public:
  Call(PeerLink* link, std::shared_ptr<grpc::Channel> channel)
      : link_(link), stub_(peer::Peer::NewStub(channel)) {}

  void Open(peer::Hello hello) {
    peer::PeerFrame* const frame = frames_.Renew();
    *frame->mutable_hello() = std::move(hello);
    Start(stub_->PrepareAsyncLink(context(), link_->completions_), &answer_);
    StartWrite(*frame);
  }

  void Write(const std::vector<PeerMessage>& messages) {
    peer::PeerFrame* const frame = frames_.Renew();
    frame->mutable_messages()->Reserve(static_cast<int>(messages.size()));
    for (const PeerMessage& message : messages) {
      EncodePeerMessage(message, frame->add_messages());
    }
    StartWrite(*frame);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return link_->OnClosed();
    link_->OnHello(answer_);
    StartRead(&answer_);  // nothing more comes; this is how the end is noticed
  }
  void OnWriteDone(bool ok) override { link_->OnWritten(ok); }
  void OnDone(const grpc::Status& status) override {
    link_->OnDone(status.error_message(), static_cast<int>(status.error_code()));
  }

 private:
  PeerLink* const link_;
  const std::unique_ptr<peer::Peer::Stub> stub_;
  FrameArena<peer::PeerFrame> frames_{kKeptPeerFrameBytes};  // of the write under way
  peer::PeerFrame answer_;
};

PeerLink::PeerLink(PeerLinkOptions options, NodeId id, std::string name, std::string address,
                   Events events, Random random)
    : options_(options),
      id_(id),
      name_(std::move(name)),
      events_(std::move(events)),
      random_(random),
      address_(std::move(address)) {
  figures_.id = id_;
  figures_.name = name_;
}

PeerLink::~PeerLink() { Stop(); }

// ---------------------------------------------------------------------------------------- sending

void PeerLink::Queue(PeerMessage message) {
  const size_t bytes = ApproximateBytes(message);
  std::lock_guard<std::mutex> lock(mutex_);
  if (!established_ || bytes > options_.max_frame_bytes) {
    ++(IsRepair(message) ? figures_.dropped_repair : figures_.dropped);
    return;
  }
  if (!IsRepair(message)) {
    if (queue_bytes_ + bytes > options_.max_queue_bytes && !queue_.empty()) {
      ++figures_.dropped;
      return;
    }
    queue_bytes_ += bytes;
    queue_.push_back(std::move(message));
    return;
  }
  repair_bytes_ += bytes;
  repair_.push_back(std::move(message));
  while (repair_bytes_ > options_.max_repair_bytes && repair_.size() > 1) {
    repair_bytes_ -= ApproximateBytes(repair_.front());
    repair_.pop_front();
    ++figures_.dropped_repair;
  }
}

void PeerLink::Flush() { Write(std::unique_lock<std::mutex>(mutex_)); }

std::vector<PeerMessage> PeerLink::TakeFrame() {
  std::vector<PeerMessage> frame;
  size_t bytes = 0;
  // False: nothing waits, or it would make the frame too large.
  const auto take = [&](std::deque<PeerMessage>* queue, size_t* queued) {
    if (queue->empty()) return false;
    const size_t size = ApproximateBytes(queue->front());
    if (!frame.empty() && bytes + size > options_.max_frame_bytes) return false;
    bytes += size;
    *queued -= size;
    frame.push_back(std::move(queue->front()));
    queue->pop_front();
    return true;
  };
  const auto take_repair = [&] { return take(&repair_, &repair_bytes_); };
  // Repair gets what room clients leave, and never less than one message, in this frame or first of
  // all in the next: it must not starve.
  const bool repair_wanted = !repair_.empty();
  bool repair_taken = repair_waited_ && take_repair();
  while (bytes < options_.frame_bytes && take(&queue_, &queue_bytes_)) continue;
  if (!repair_taken) repair_taken = take_repair();
  while (repair_taken && bytes < options_.frame_bytes && take_repair()) continue;
  repair_waited_ = repair_wanted && !repair_taken;
  return frame;
}

void PeerLink::Write(std::unique_lock<std::mutex> lock) {
  if (!established_ || closing_ || writing_) return;
  if (confirmed_ && queue_.empty() && repair_.empty()) return;
  confirmed_ = true;
  const std::vector<PeerMessage> frame = TakeFrame();
  ++figures_.frames;
  figures_.messages += frame.size();
  writing_ = true;
  Call* const call = call_.get();
  call->Hold();  // the peer may end the stream meanwhile
  lock.unlock();
  call->Write(frame);
  call->Release();
}

void PeerLink::OnWritten(bool ok) {
  std::unique_lock<std::mutex> lock(mutex_);
  writing_ = false;
  if (ok) Write(std::move(lock));
  // After a failed write the read fails too, and that closes.
}

// -------------------------------------------------------------------------------------- the stream

std::string PeerLink::ObjectionTo(const peer::Hello& hello) const {
  if (NodeId(hello.node()) == id_) return LevelObjection(events_.hello(), hello);
  std::lock_guard<std::mutex> lock(mutex_);
  return absl::StrCat("at ", address_, " answers node \"", hello.node_name(), "\", not \"", name_,
                      "\"");
}

void PeerLink::OnHello(const peer::PeerFrame& frame) {
  const std::string why = ObjectionTo(frame.hello());
  const bool expected = why.empty();
  if (expected && frame.hello().forgetful()) {
    Log(LogLevel::kError, "forgetful",
        {{"peer", name_},
         {"why",
          "it has met other data of this node's, or later ones: new lives, and to be filled"}});
    events_.on_forgetful();
  }
  if (expected && frame.hello().wall_ms() != 0) events_.on_clock(id_, frame.hello().wall_ms());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closing_ || established_) return;
    if (!expected) {
      if (why != last_failure_) {
        Log(LogLevel::kError, "peer_refused", {{"peer", name_}, {"why", why}});
      }
      last_failure_ = why;
      turned_back_ = true;
      // Of a build that lets in whoever comes.
      astray_ = NodeId(frame.hello().node()) != id_;
      call_->Cancel();
      return;
    }
    established_ = true;
    level_ = LevelSaid(frame.hello().level());
    confirmed_ = false;
    turned_away_ = false;
    attempts_ = 0;
    name_taken_since_ = Time::Never();
    last_failure_.clear();
    shut_out_.clear();
    ++figures_.connects;
  }
  Report();
  Flush();
}

void PeerLink::OnClosed() {
  std::unique_lock<std::mutex> lock(mutex_);
  closing_ = true;
  established_ = false;
  queue_.clear();
  repair_.clear();
  queue_bytes_ = 0;
  repair_bytes_ = 0;
  lock.unlock();
  Report();
}

void PeerLink::OnDone(const std::string& why, int code) {
  std::unique_ptr<Call> dead;
  std::string refused;
  bool shut_out = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const Time now = MonotonicNow();
    dead = std::move(call_);
    established_ = false;
    writing_ = false;
    if (code == grpc::StatusCode::ALREADY_EXISTS) {
      name_taken_since_ = std::min(name_taken_since_, now);
      // Whoever was let in once has the right to the name: the other one came later.
      const bool newcomer = figures_.connects == 0;
      if (newcomer && now - name_taken_since_ >= options_.name_taken_patience) refused = why;
    } else if (code != grpc::StatusCode::UNAVAILABLE) {
      name_taken_since_ = Time::Never();
    }
    shut_out = figures_.connects == 0 && (code == grpc::StatusCode::PERMISSION_DENIED ||
                                          code == grpc::StatusCode::FAILED_PRECONDITION);
    shut_out_ = shut_out ? why : "";
    turned_away_ = code != grpc::StatusCode::ALREADY_EXISTS;  // that passes with our last life
    astray_ = astray_ || code == grpc::StatusCode::NOT_FOUND;
    if (!stopping_ && !turned_back_ && why != last_failure_) {
      last_failure_ = why;
      const bool expected = code == grpc::StatusCode::UNAVAILABLE ||
                            code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::OK;
      Log(expected ? LogLevel::kInfo : LogLevel::kError, "peer_link_ended",
          {{"peer", name_}, {"address", address_}, {"code", code}, {"why", why}});
    }
    const Duration most = LongestPause(options_, attempts_, astray_);
    ++attempts_;
    const int64_t pause_us = random_.Between(options_.retry_base.micros() / 2, most.micros());
    next_attempt_ = greeted_ ? now : now + Duration::Micros(pause_us);
  }
  Report();
  if (!refused.empty()) events_.on_refused(refused);
  if (shut_out) events_.on_shut_out();
  dead.reset();  // the call that this is called by, and last
  std::lock_guard<std::mutex> lock(mutex_);
  closing_ = false;
  events_.kick();
  ended_.notify_all();
}

void PeerLink::Report() {
  std::lock_guard<std::mutex> order(report_mutex_);
  bool up;
  BuildLevel level;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    up = established_ && incoming_;
    level = level_;
    figures_.connected = up;
  }
  if (up == reported_) return;
  reported_ = up;
  Log(LogLevel::kInfo, up ? "peer_up" : "peer_down", {{"peer", name_}});
  if (up) events_.on_level(id_, level);
  events_.on_peer(id_, up);
}

void PeerLink::OnGreeted() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    greeted_ = true;
    next_attempt_ = Time();
  }
  events_.kick();
}

void PeerLink::SetAddress(const std::string& address) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (address == address_) return;
    address_ = address;
    greeted_ = true;
    next_attempt_ = Time();
    if (call_ != nullptr && !established_) call_->Cancel();
  }
  events_.kick();
}

void PeerLink::OnIncoming(bool up) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    incoming_ = up;
  }
  Report();
}

Time PeerLink::Tend(Time now) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return Time::Never();
  if (call_ != nullptr) {
    if (established_ || closing_) return Time::Never();
    const Time patience = opened_at_ + options_.hello_timeout;
    if (now < patience) return patience;
    call_->Cancel();
    return now + options_.hello_timeout;
  }
  if (closing_) return Time::Never();  // its last callback is still running, and kicks
  if (now < next_attempt_) return next_attempt_;
  channel_ = OpenChannel(address_, options_);
  call_ = std::make_unique<Call>(this, channel_);
  opened_at_ = now;
  greeted_ = false;
  astray_ = false;
  turned_back_ = false;
  writing_ = true;  // the hello
  closing_ = false;
  peer::Hello hello = events_.hello();
  hello.set_wanted(id_.value());
  call_->Open(std::move(hello));
  return now + options_.hello_timeout;
}

void PeerLink::Leave() {
  std::lock_guard<std::mutex> lock(mutex_);
  stopping_ = true;
  if (call_ != nullptr) call_->Cancel();
}

void PeerLink::Stop() {
  Leave();
  std::unique_lock<std::mutex> lock(mutex_);
  ended_.wait(lock, [this] { return call_ == nullptr && !closing_; });
}

std::string PeerLink::shut_out() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return shut_out_;
}

bool PeerLink::settled() const {
  std::lock_guard<std::mutex> order(report_mutex_);  // on_peer has been told
  std::lock_guard<std::mutex> lock(mutex_);
  return figures_.connected || turned_away_;
}

PeerLink::Figures PeerLink::figures() const {
  std::lock_guard<std::mutex> lock(mutex_);
  Figures figures = figures_;
  figures.queued_bytes = queue_bytes_ + repair_bytes_;
  return figures;
}

}  // namespace gyre
