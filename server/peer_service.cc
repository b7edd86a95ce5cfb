#include "server/peer_service.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/peer_translation.h"
#include "api/proto/frame_arena.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/server_stream.h"
#include "server/unary_call.h"

namespace gyre {
namespace {

constexpr int kFramesInProcess = 4;
// Many may call at a wrong door, and each again and again.
constexpr Duration kTellOfThemAgain = Duration::Seconds(30);

// Whether it is to be told, and from now on not for a while.
bool IsToBeTold(std::optional<Time>* told_at) {
  const Time now = MonotonicNow();
  if (told_at->has_value() && now - **told_at < kTellOfThemAgain) return false;
  *told_at = now;
  return true;
}

}  // namespace

// One stream of one peer. It ends (Finish) when the read has failed and no frame is in process, so
// that tickets never outlive it.
class PeerService::Incoming final : public ServerStream<peer::PeerFrame, peer::PeerFrame> {
 public:
  Incoming(PeerService* service, grpc::ServerCompletionQueue* queue)
      : service_(service), queue_(queue) {}

  void Cancel() { TryCancel(); }

 private:
  void OnOpen() override {
    service_->AwaitLink(queue_);
    const std::shared_ptr<Strangers> strangers = service_->strangers_;
    {
      std::lock_guard<std::mutex> lock(strangers->mutex);
      number_ = strangers->next++;
      strangers->streams.emplace(number_, this);
    }
    patience_.Set(std::chrono::system_clock::now() +
                      std::chrono::microseconds(service_->options_.hello_timeout.micros()),
                  [strangers, number = number_](bool rang) {
                    if (!rang) return;
                    // Under the lock: a stream that is still here has not ended.
                    std::lock_guard<std::mutex> lock(strangers->mutex);
                    const auto stream = strangers->streams.find(number);
                    if (stream != strangers->streams.end()) stream->second->Cancel();
                  });
    Read();
  }

  void OnNever() override { Vanish(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      std::unique_lock<std::mutex> lock(mutex_);
      closed_ = true;
      return FinishIfIdle(std::move(lock));
    }
    if (from_ == NodeId()) {
      if (Greet()) Read();
      return;
    }
    if (!std::exchange(confirmed_, true)) service_->Confirm(from_, this);
    TakeIn();
  }

  void OnWriteDone(bool) override {
    std::unique_lock<std::mutex> lock(mutex_);
    writing_ = false;
    FinishIfIdle(std::move(lock));
  }

  void OnDone() override {
    LeaveStrangers();
    if (from_ != NodeId()) service_->Leave(from_, this);
    Vanish();
  }
  void Vanish() {
    PeerService* const service = service_;
    delete this;
    service->open_.Remove();
  }

  void Read() {
    frame_ = frames_.Renew();
    StartRead(frame_);
  }

  // The first frame. False: refused, and the stream ends.
  bool Greet() {
    const grpc::Status status = service_->Admit(frame_->hello(), this, greeting_.mutable_hello());
    if (!status.ok()) {
      Finish(status);
      return false;
    }
    from_ = NodeId(frame_->hello().node());
    LeaveStrangers();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      writing_ = true;
    }
    StartWrite(greeting_);
    return true;
  }

  void LeaveStrangers() {
    std::lock_guard<std::mutex> lock(service_->strangers_->mutex);
    service_->strangers_->streams.erase(number_);
  }

  void TakeIn() {
    service_->frames_.fetch_add(1, std::memory_order_relaxed);
    std::vector<PeerMessage> messages;
    messages.reserve(frame_->messages_size());
    for (peer::PeerMessage& wire : *frame_->mutable_messages()) {
      absl::StatusOr<PeerMessage> message = DecodePeerMessage(&wire);
      if (message.ok()) {
        messages.push_back(*std::move(message));
      } else if (service_->malformed_.fetch_add(1, std::memory_order_relaxed) % 1000 == 0) {
        Log(LogLevel::kError, "peer_message_malformed",
            {{"from", from_.value()}, {"why", std::string(message.status().message())}});
      }
    }
    service_->messages_.fetch_add(messages.size(), std::memory_order_relaxed);
    bool read_on;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      read_on = ++in_process_ < kFramesInProcess;
      paused_ = !read_on;
    }
    std::shared_ptr<void> ticket(this, [](void* self) { static_cast<Incoming*>(self)->OnTaken(); });
    if (!messages.empty()) service_->sink_(from_, std::move(messages), ticket);
    if (read_on) Read();
  }

  void OnTaken() {
    std::unique_lock<std::mutex> lock(mutex_);
    --in_process_;
    if (std::exchange(paused_, false)) {
      lock.unlock();
      Read();
    } else {
      FinishIfIdle(std::move(lock));
    }
  }

  void FinishIfIdle(std::unique_lock<std::mutex> lock) {
    if (!closed_ || finished_ || writing_ || in_process_ > 0) return;
    finished_ = true;
    lock.unlock();
    Finish(grpc::Status::OK);
  }

  PeerService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::Alarm patience_;
  uint64_t number_ = 0;
  NodeId from_;  // of the reading callbacks, and so are the next three
  bool confirmed_ = false;
  FrameArena<peer::PeerFrame> frames_{kKeptPeerFrameBytes};
  peer::PeerFrame* frame_ = nullptr;  // of the read under way; in frames_
  peer::PeerFrame greeting_;

  std::mutex mutex_;
  int in_process_ = 0;  // guarded by mutex_, and so are the rest
  bool paused_ = false;
  bool writing_ = false;
  bool closed_ = false;
  bool finished_ = false;
};

PeerService::PeerService(std::string cluster_name, Questions questions, PeerLinks* links, Sink sink,
                         Memory memory, Options options)
    : cluster_name_(std::move(cluster_name)),
      questions_(std::move(questions)),
      links_(links),
      sink_(std::move(sink)),
      options_(options),
      persist_(std::move(memory.persist)),
      met_(std::move(memory.met)) {}

PeerService::~PeerService() = default;

void PeerService::Await(grpc::ServerCompletionQueue* queue) {
  AwaitLink(queue);
  AwaitJoin(queue);
}

void PeerService::AwaitJoin(grpc::ServerCompletionQueue* queue) {
  using Call = UnaryCall<peer::JoinRequest, peer::JoinReply>;
  Call::Service calls;
  calls.request = [this, queue](grpc::ServerContext* context, peer::JoinRequest* request,
                                Call::Writer* writer, void* tag) {
    open_.Add();
    service_.RequestJoin(context, request, writer, queue, queue, tag);
  };
  calls.serve = [this](const Call::Pointer& call) {
    questions_.join(call->request(),
                    [call](const absl::StatusOr<peer::JoinReply>& answer) { call->End(answer); });
  };
  calls.on_done = [this] { open_.Remove(); };
  Call::Await(std::make_shared<const Call::Service>(std::move(calls)));
}

void PeerService::AwaitLink(grpc::ServerCompletionQueue* queue) {
  open_.Add();
  (new Incoming(this, queue))
      ->Await([&](grpc::ServerContext* context, Incoming::Rpc* rpc, void* tag) {
        service_.RequestLink(context, rpc, queue, queue, tag);
      });
}

grpc::Status PeerService::Admit(const peer::Hello& hello, Incoming* stream, peer::Hello* answer) {
  const auto refuse = [&](grpc::StatusCode code, const std::string& why) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    Log(LogLevel::kError, "peer_refused", {{"peer", hello.node_name()}, {"why", why}});
    return grpc::Status(code, why);
  };
  const peer::Hello mine = questions_.hello();
  if (hello.cluster() != mine.cluster()) {
    return refuse(grpc::StatusCode::FAILED_PRECONDITION,
                  absl::StrCat("node \"", hello.node_name(), "\" is of another cluster than \"",
                               cluster_name_, "\""));
  }
  if (hello.version() != kPeerProtocol) {
    return refuse(grpc::StatusCode::UNIMPLEMENTED,
                  absl::StrCat("node \"", hello.node_name(), "\" speaks version ", hello.version(),
                               " of the peers' protocol, this node version ", kPeerProtocol));
  }
  const NodeId node(hello.node());
  const bool astray = hello.wanted() != 0 && hello.wanted() != mine.node();
  if (node == NodeId(mine.node())) {
    if (hello.instance() == mine.instance() && hello.run() == mine.run()) {
      // Another member has this node's address, and that is no fault of this node's.
      if (astray) return TurnAway(hello, mine);
      return refuse(grpc::StatusCode::FAILED_PRECONDITION,
                    "the node speaks to itself: a peer_address points back at it");
    }
    return refuse(grpc::StatusCode::ALREADY_EXISTS,
                  absl::StrCat("two nodes are called \"", hello.node_name(), "\""));
  }
  if (astray) return TurnAway(hello, mine);
  const bool is_member = questions_.is_member(node);
  if (!is_member && hello.epoch() > mine.epoch()) {
    // It may be this node that does not know. Who calls is not to end for that.
    if (questions_.on_stranger) questions_.on_stranger(hello);
    return AskToComeAgain(hello, mine);
  }
  if (!is_member) {
    return refuse(grpc::StatusCode::PERMISSION_DENIED,
                  absl::StrCat("node \"", hello.node_name(), "\" is no member of cluster \"",
                               cluster_name_, "\""));
  }
  // Rings that differ place the same key at different nodes.
  if (hello.slices() != mine.slices()) {
    return refuse(
        grpc::StatusCode::FAILED_PRECONDITION,
        absl::StrCat("node \"", hello.node_name(), "\" is configured with ", hello.slices(),
                     " partitions, node \"", mine.node_name(), "\" with ", mine.slices()));
  }
  if (const std::string why = LevelObjection(mine, hello); !why.empty()) {
    return refuse(grpc::StatusCode::FAILED_PRECONDITION, why);
  }
  const bool both_first = !hello.places().empty() && !mine.places().empty();
  const std::string difference =
      PlacesDifference(hello.node_name(), {hello.places().begin(), hello.places().end()},
                       mine.node_name(), {mine.places().begin(), mine.places().end()});
  if (both_first && !difference.empty()) {
    return refuse(grpc::StatusCode::FAILED_PRECONDITION,
                  absl::StrCat("node \"", hello.node_name(), "\" and node \"", mine.node_name(),
                               "\" are configured with other members: ", difference));
  }
  std::lock_guard<std::mutex> lock(mutex_);
  // Not as others are refused: it passes, and is this node's fault.
  if (!left_.empty()) return {grpc::StatusCode::UNAVAILABLE, left_};
  Entry& entry = streams_[node];
  // A node that has just been started again comes back until the end of its last stream has been
  // noticed, at the latest by the keepalive. A process that still answers would be the other half
  // of a pair that mints the same dots.
  if (entry.stream != nullptr && entry.run.run != hello.run()) {
    const bool copied = entry.run.instance == hello.instance();
    return refuse(
        grpc::StatusCode::ALREADY_EXISTS,
        absl::StrCat("another node called \"", hello.node_name(), "\" is connected, with ",
                     copied ? "a copy of its data directory" : "another data directory"));
  }
  if (entry.stream != nullptr) {
    // It reconnected before we saw the loss. What it had to say on the old stream may be lost.
    entry.stream->Cancel();
    links_->OnIncoming(node, false);
  }
  entry = {{hello.instance(), hello.boots(), hello.run()}, stream};
  *answer = mine;
  answer->set_forgetful(IsForgetful(hello));
  answer->set_wall_ms(InstantNow().wall_ms);
  if (!hello.peer_address().empty()) links_->SetAddress(node, hello.peer_address());
  links_->OnGreeted(node);
  return grpc::Status::OK;
}

// Before anything is done to the stream that the caller may have here already: it is not another
// attempt at that one.
grpc::Status PeerService::TurnAway(const peer::Hello& hello, const peer::Hello& mine) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  const std::string why =
      absl::StrCat("this is node \"", mine.node_name(), "\", and not the one that was called");
  std::lock_guard<std::mutex> lock(mutex_);
  if (IsToBeTold(&told_of_strays_at_)) {
    Log(LogLevel::kError, "peer_astray",
        {{"peer", hello.node_name()},
         {"wanted", hello.wanted()},
         {"why",
          "another member has this node's peer_address in the newest document, or in the "
          "configuration of who called"}});
  }
  return {grpc::StatusCode::NOT_FOUND, why};
}

grpc::Status PeerService::AskToComeAgain(const peer::Hello& hello, const peer::Hello& mine) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  const std::string why =
      absl::StrCat("node \"", hello.node_name(), "\" is no member by document ", mine.epoch(),
                   ", which node \"", mine.node_name(), "\" has; it has ", hello.epoch());
  std::lock_guard<std::mutex> lock(mutex_);
  if (IsToBeTold(&told_of_strangers_at_)) {
    Log(LogLevel::kInfo, "stranger_with_newer_document",
        {{"peer", hello.node_name()}, {"address", hello.peer_address()}, {"why", why}});
  }
  return {grpc::StatusCode::UNAVAILABLE, why};
}

bool PeerService::IsForgetful(const peer::Hello& hello) {
  const NodeId node(hello.node());
  const PeerRun run{hello.instance(), hello.boots(), hello.run()};
  const bool replaced = hello.unproven() && met_.MetAnother(node, run);
  const PeerRuns::Verdict verdict = met_.Judge(node, run);
  if (verdict == PeerRuns::Verdict::kLater) persist_(met_.Remember(node, run));
  if (verdict != PeerRuns::Verdict::kForgetful && !replaced) return false;
  Log(LogLevel::kError, "peer_forgetful",
      {{"peer", hello.node_name()},
       {"boots", hello.boots()},
       {"run", hello.run()},
       {"directory", replaced ? "replaced" : "put back to an earlier state"}});
  return true;
}

void PeerService::Confirm(NodeId node, Incoming* stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = streams_.find(node);
  if (it != streams_.end() && it->second.stream == stream) links_->OnIncoming(node, true);
}

void PeerService::Leave(NodeId node, Incoming* stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto it = streams_.find(node);
  if (it == streams_.end() || it->second.stream != stream) return;
  streams_.erase(it);
  links_->OnIncoming(node, false);
}

void PeerService::Leave(std::string why) {
  std::lock_guard<std::mutex> lock(mutex_);
  left_ = std::move(why);
  for (const auto& [node, entry] : streams_) {
    if (entry.stream != nullptr) entry.stream->Cancel();
  }
}

PeerService::Figures PeerService::figures() const {
  return {frames_.load(std::memory_order_relaxed), messages_.load(std::memory_order_relaxed),
          malformed_.load(std::memory_order_relaxed), refused_.load(std::memory_order_relaxed)};
}

}  // namespace gyre
