#include "server/peer_links.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "server/clock.h"

namespace gyre {

PeerLinks::PeerLinks(PeerLinkOptions options, const std::vector<Member>& peers, Random random,
                     PeerLink::Events events) {
  events.kick = [this] { Kick(); };
  events.on_peer = [this, on_peer = events.on_peer](NodeId node, bool reachable) {
    on_peer(node, reachable);
    Kick();
  };
  events.on_shut_out = [this, on_refused = events.on_refused] { OnShutOut(on_refused); };
  for (const Member& peer : peers) {
    links_.push_back(std::make_unique<PeerLink>(options, peer.id, peer.name, peer.peer_address,
                                                events, Random(random.Next())));
  }
}

PeerLinks::~PeerLinks() { Stop(); }

void PeerLinks::Start(const std::vector<grpc::CompletionQueue*>& queues) {
  GYRE_CHECK(!thread_.joinable(), "links start once");
  for (size_t i = 0; i < links_.size(); ++i) links_[i]->Attach(queues[i % queues.size()]);
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "peer-links");
}

void PeerLinks::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  kicked_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& link : links_) link->Stop();
}

void PeerLinks::Leave() {
  for (const auto& link : links_) link->Leave();
}

void PeerLinks::Kick() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    kick_ = true;
    ++kicks_;
  }
  kicked_.notify_all();
}

void PeerLinks::WaitUntilSettled(Duration patience) {
  const Time end = MonotonicNow() + patience;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_ && MonotonicNow() < end) {
    const uint64_t looked_at = kicks_;
    lock.unlock();  // links are asked without it: they kick under their own locks
    const bool settled =
        std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->settled(); });
    if (settled) return;
    lock.lock();
    kicked_.wait_until(lock, ToTimePoint(end), [&] { return stopping_ || kicks_ != looked_at; });
  }
}

void PeerLinks::OnShutOut(const std::function<void(std::string)>& on_refused) const {
  std::string all;
  for (const auto& link : links_) {
    const std::string why = link->shut_out();
    if (why.empty()) return;
    if (all.find(why) == std::string::npos) all.append(all.empty() ? "" : "; ").append(why);
  }
  on_refused(all);
}

void PeerLinks::Run() {
  for (;;) {
    Time next = Time::Never();
    for (const auto& link : links_) next = std::min(next, link->Tend(MonotonicNow()));
    std::unique_lock<std::mutex> lock(mutex_);
    const auto ready = [this] { return stopping_ || kick_; };
    if (next == Time::Never()) {
      kicked_.wait(lock, ready);
    } else {
      kicked_.wait_until(lock, ToTimePoint(next), ready);
    }
    if (stopping_) return;
    kick_ = false;
  }
}

PeerLink* PeerLinks::Find(NodeId id) const {
  for (const auto& link : links_) {
    if (link->id() == id) return link.get();
  }
  return nullptr;
}

void PeerLinks::Send(std::vector<Envelope> envelopes) {
  std::vector<PeerLink*> touched;
  for (Envelope& envelope : envelopes) {
    PeerLink* const link = Find(envelope.to);
    if (link == nullptr) continue;  // no member any more: as if the network had lost it
    link->Queue(std::move(envelope.message));
    if (std::find(touched.begin(), touched.end(), link) == touched.end()) touched.push_back(link);
  }
  for (PeerLink* link : touched) link->Flush();
}

void PeerLinks::OnGreeted(NodeId node) {
  if (PeerLink* const link = Find(node)) link->OnGreeted();
}

void PeerLinks::OnIncoming(NodeId node, bool up) {
  if (PeerLink* const link = Find(node)) link->OnIncoming(up);
}

std::vector<PeerLink::Figures> PeerLinks::figures() const {
  std::vector<PeerLink::Figures> figures;
  for (const auto& link : links_) figures.push_back(link->figures());
  return figures;
}

}  // namespace gyre
