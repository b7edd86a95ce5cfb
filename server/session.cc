#include "server/session.h"

#include <optional>
#include <utility>
#include <vector>

#include "api/error_translation.h"
#include "api/limits.h"
#include "server/clock.h"

namespace gyre {

std::shared_ptr<Session> Session::Make(Door* door, Events events) {
  std::shared_ptr<Session> session(new Session(door, std::move(events)));
  session->self_ = session;
  return session;
}

void Session::OnOpen() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    reading_ = true;
  }
  events_.on_open(self_);
  Read();
}

void Session::OnNever() {
  const std::shared_ptr<Session> self = std::move(self_);
  events_.on_done(this);
}

void Session::Read() {
  incoming_ = frames_.Renew();
  StartRead(incoming_);
}

void Session::OnReadDone(bool ok) {
  if (ok && incoming_->requests_size() > kMaxFrameRequests) {
    std::unique_lock<std::mutex> lock(mutex_);
    reading_ = false;
    reads_ended_ = true;
    end_ = ToGrpc(FrameTooLarge(incoming_->requests_size(), kMaxFrameRequests));
    return Proceed(std::move(lock));
  }
  if (ok) {
    std::vector<v1::ClientRequest*> requests;
    requests.reserve(incoming_->requests_size());
    for (v1::ClientRequest& request : *incoming_->mutable_requests()) requests.push_back(&request);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      in_flight_ += requests.size();
    }
    const Time sent = Time::FromMicros(static_cast<int64_t>(incoming_->clock_us()));
    const bool known = sent > Time() && sent <= MonotonicNow();
    door_->Serve(requests, shared_from_this(), Duration::Millis(kMaxTimeoutMs),
                 known ? std::optional(sent) : std::nullopt);
  }
  std::unique_lock<std::mutex> lock(mutex_);
  reading_ = false;
  if (!ok) reads_ended_ = true;
  Proceed(std::move(lock));
}

void Session::OnReply(v1::ClientReply reply) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (broken_) {
    --in_flight_;
    return;
  }
  ready_.Push(std::move(reply));
}

void Session::Flush() { Proceed(std::unique_lock<std::mutex>(mutex_)); }

void Session::Drain() {
  std::unique_lock<std::mutex> lock(mutex_);
  draining_ = true;
  Proceed(std::move(lock));
}

void Session::OnWriteDone(bool ok) {
  std::unique_lock<std::mutex> lock(mutex_);
  writing_ = false;
  in_flight_ -= in_frame_;
  in_frame_ = 0;
  if (!ok) broken_ = true;
  Proceed(std::move(lock));
}

void Session::OnCancel() {
  std::unique_lock<std::mutex> lock(mutex_);
  broken_ = true;
  Proceed(std::move(lock));
}

void Session::OnDone() {
  const std::shared_ptr<Session> self = std::move(self_);
  events_.on_done(this);
}

void Session::Proceed(std::unique_lock<std::mutex> lock) {
  if (finished_) return;
  if (broken_) {
    in_flight_ -= ready_.size();
    ready_.Clear();
  }
  const bool idle = ready_.empty() && in_flight_ == 0;
  if (!writing_ && ((broken_ && !reading_) || (idle && (reads_ended_ || draining_)))) {
    finished_ = true;
    if (draining_ && !reads_ended_) end_ = ToGrpc(Draining());
    const grpc::Status end = end_;
    lock.unlock();
    Finish(end);
    return;
  }
  const bool write = !writing_ && !ready_.empty();
  if (write) {
    writing_ = true;
    outgoing_.Clear();
    outgoing_.set_epoch(door_->epoch().value());
    outgoing_.set_clock_us(static_cast<uint64_t>(MonotonicNow().micros()));
    in_frame_ = ready_.FillFrame(&outgoing_);
  }
  const bool read = !reading_ && !reads_ended_ && !broken_ && !draining_ &&
                    in_flight_ < kMaxInFlight && ready_.ReadOn();
  if (read) reading_ = true;
  // Under the lock, so that no other thread ends the stream meanwhile.
  if (write) StartWrite(outgoing_);
  if (read) Read();
}

}  // namespace gyre
