#include "test/bench/echo/echo_target.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/hash/hash.h"
#include "grpcpp/grpcpp.h"
#include "test/bench/echo/echo.grpc.pb.h"
#include "test/bench/unary_call.h"

namespace gyre {
namespace {

constexpr int kLargestFrame = 32;
constexpr int kTimeoutMs = 10'000;

const grpc::Status kEnded(grpc::StatusCode::UNAVAILABLE, "the stream has ended");

std::string TakePayload(Request* request) {
  return request->value.empty() ? request->key : std::move(request->value);
}

Reply ReplyOfValue(echo::Value* value) {
  Reply reply;
  reply.values.push_back(std::move(*value->mutable_value()));
  return reply;
}

// A call of the queue form.
struct QueuedCall {
  grpc::ClientContext context;
  echo::Value reply;
  grpc::Status status;
  Target::Done done;
  std::unique_ptr<grpc::ClientAsyncResponseReader<echo::Value>> reader;
};

class CallbackTarget final : public Target {
 public:
  CallbackTarget(const std::string& address, int connections) {
    for (int i = 0; i < connections; ++i) {
      connections_.push_back(echo::Echo::NewStub(DialAlone(address)));
    }
  }

  void Start(Request* request, Done done) override {
    using Async = class echo::Echo::Stub::async;
    Async* const stub = connections_[absl::HashOf(request) % connections_.size()]->async();
    echo::Value value;
    value.set_value(TakePayload(request));
    StartUnaryCall(stub, &Async::Unary, std::move(value), kTimeoutMs, ReplyOfValue,
                   std::move(done));
  }

 private:
  std::vector<std::unique_ptr<echo::Echo::Stub>> connections_;
};

class QueueTarget final : public Target {
 public:
  explicit QueueTarget(const std::string& address)
      : stub_(echo::Echo::NewStub(DialAlone(address))), thread_([this] { Serve(); }) {}
  ~QueueTarget() override {
    queue_.Shutdown();
    thread_.join();
  }

  void Start(Request* request, Done done) override {
    auto* call = new QueuedCall();  // its event owns it
    call->done = std::move(done);
    echo::Value value;
    value.set_value(TakePayload(request));
    call->reader = stub_->AsyncUnary(&call->context, value, &queue_);
    call->reader->Finish(&call->reply, &call->status, call);
  }

 private:
  void Serve() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<QueuedCall> owned(static_cast<QueuedCall*>(tag));
      owned->done(owned->status.ok() ? ReplyOfValue(&owned->reply) : ReplyOfStatus(owned->status));
    }
  }

  const std::unique_ptr<echo::Echo::Stub> stub_;
  grpc::CompletionQueue queue_;
  std::thread thread_;
};

class StreamTarget final : public Target,
                           private grpc::ClientBidiReactor<echo::Frame, echo::Frame> {
 public:
  explicit StreamTarget(const std::string& address)
      : stub_(echo::Echo::NewStub(DialAlone(address))) {
    stub_->async()->Stream(&context_, this);
    StartRead(&read_);
    StartCall();
  }
  ~StreamTarget() override {
    std::unique_lock lock(mutex_);
    if (!ended_) context_.TryCancel();
    while (!ended_) changed_.wait(lock);
  }

  void Start(Request* request, Done done) override {
    std::unique_lock lock(mutex_);
    if (broken_) {
      lock.unlock();
      done(ReplyOfStatus(kEnded));
      return;
    }
    waiting_.push_back({TakePayload(request), std::move(done)});
    if (!reading_) WriteLocked();
  }

 private:
  struct Waiting {
    std::string value;
    Done done;
  };

  void WriteLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || broken_ || waiting_.empty()) return;
    written_.clear_values();
    while (!waiting_.empty() && written_.values_size() < kLargestFrame) {
      written_.add_values(std::move(waiting_.front().value));
      sent_.push_back(std::move(waiting_.front().done));
      waiting_.pop_front();
    }
    writing_ = true;
    StartWrite(&written_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) WriteLocked();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(mutex_);
      broken_ = true;
      return;
    }
    std::deque<Done> answered;
    {
      const std::lock_guard lock(mutex_);
      reading_ = true;  // what the callbacks start leaves together
      for (int i = 0; i < read_.values_size() && !sent_.empty(); ++i) {
        answered.push_back(std::move(sent_.front()));
        sent_.pop_front();
      }
    }
    for (size_t i = 0; i < answered.size(); ++i) {
      Reply reply;
      reply.values.push_back(std::move(*read_.mutable_values(static_cast<int>(i))));
      answered[i](std::move(reply));
    }
    {
      const std::lock_guard lock(mutex_);
      reading_ = false;
      WriteLocked();
    }
    read_.Clear();
    StartRead(&read_);
  }

  void OnDone(const grpc::Status& status) override {
    std::deque<Done> lost;
    {
      const std::lock_guard lock(mutex_);
      broken_ = true;
      lost.swap(sent_);
      for (Waiting& one : waiting_) lost.push_back(std::move(one.done));
      waiting_.clear();
    }
    for (const Done& done : lost) done(ReplyOfStatus(status.ok() ? kEnded : status));
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  const std::unique_ptr<echo::Echo::Stub> stub_;
  grpc::ClientContext context_;
  echo::Frame read_;
  echo::Frame written_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<Done> sent_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<Target> EchoByCallback(const std::string& address, int connections) {
  return std::make_unique<CallbackTarget>(address, connections);
}

std::unique_ptr<Target> EchoByQueue(const std::string& address) {
  return std::make_unique<QueueTarget>(address);
}

std::unique_ptr<Target> EchoByStream(const std::string& address) {
  return std::make_unique<StreamTarget>(address);
}

}  // namespace gyre
