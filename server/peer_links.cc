#include "server/peer_links.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "server/clock.h"

namespace gyre {

PeerLinks::PeerLinks(PeerLinkOptions options, const std::vector<Member>& peers, Random random,
                     PeerLink::Events events)
    : options_(options), events_(std::move(events)), random_(random) {
  events_.kick = [this] { Kick(); };
  events_.on_peer = [this, on_peer = std::move(events_.on_peer)](NodeId node, bool reachable) {
    on_peer(node, reachable);
    Kick();
  };
  events_.on_shut_out = [this] { OnShutOut(events_.on_refused); };
  Links links;
  for (const Member& peer : peers) links.push_back(Make(peer));
  links_ = std::make_shared<const Links>(std::move(links));
}

std::shared_ptr<PeerLink> PeerLinks::Make(const Member& peer) {
  return std::make_shared<PeerLink>(options_, peer.id, peer.name, peer.peer_address, events_,
                                    Random(random_.Next()));
}

PeerLinks::~PeerLinks() { Stop(); }

void PeerLinks::Start(const std::vector<grpc::CompletionQueue*>& queues) {
  GYRE_CHECK(!thread_.joinable(), "links start once");
  queues_ = queues;
  const std::shared_ptr<const Links> links = this->links();
  for (size_t i = 0; i < links->size(); ++i) (*links)[i]->Attach(queues[i % queues.size()]);
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
  for (const auto& link : *links()) link->Stop();
}

void PeerLinks::Leave() {
  std::lock_guard<std::mutex> lock(links_mutex_);
  left_ = true;
  for (const auto& link : *links_) link->Leave();
}

void PeerLinks::SetMembers(std::vector<Member> peers) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    members_ = std::move(peers);
  }
  Kick();
}

void PeerLinks::FollowMembers() {
  std::vector<Member> members;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!members_.has_value()) return;
    members = *std::exchange(members_, std::nullopt);
  }
  Links next;
  Links gone = *links();
  for (const Member& member : members) {
    const auto has_it = [&](const auto& link) { return link->id() == member.id; };
    const auto it = std::find_if(gone.begin(), gone.end(), has_it);
    const bool known = it != gone.end();
    next.push_back(known ? *it : Make(member));
    if (known) gone.erase(it);
    std::string& documented = documented_[member.id];
    // Where the document says nothing new, the configuration, or the peer, may know better.
    const bool news = documented != member.peer_address && !documented.empty();
    documented = member.peer_address;
    if (known && news) next.back()->SetAddress(member.peer_address);
    if (!known) next.back()->Attach(queues_[random_.Below(queues_.size())]);
  }
  {
    std::lock_guard<std::mutex> lock(links_mutex_);
    links_ = std::make_shared<const Links>(next);
    for (const auto& link : next) {
      if (left_) link->Leave();
      if (incoming_.contains(link->id())) link->OnIncoming(true);
    }
  }
  for (const auto& link : gone) {
    documented_.erase(link->id());
    link->Stop();
  }
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
    const std::shared_ptr<const Links> links = this->links();
    const bool settled =
        std::all_of(links->begin(), links->end(), [](const auto& link) { return link->settled(); });
    if (settled) return;
    lock.lock();
    kicked_.wait_until(lock, ToTimePoint(end), [&] { return stopping_ || kicks_ != looked_at; });
  }
}

void PeerLinks::OnShutOut(const std::function<void(std::string)>& on_refused) const {
  std::string all;
  for (const auto& link : *links()) {
    const std::string why = link->shut_out();
    if (why.empty()) return;
    if (all.find(why) == std::string::npos) all.append(all.empty() ? "" : "; ").append(why);
  }
  on_refused(all);
}

void PeerLinks::Run() {
  for (;;) {
    FollowMembers();
    Time next = Time::Never();
    for (const auto& link : *links()) next = std::min(next, link->Tend(MonotonicNow()));
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

std::shared_ptr<PeerLink> PeerLinks::Find(NodeId id) const {
  for (const auto& link : *links()) {
    if (link->id() == id) return link;
  }
  return nullptr;
}

void PeerLinks::Send(std::vector<Envelope> envelopes) {
  const std::shared_ptr<const Links> links = this->links();
  std::vector<PeerLink*> touched;
  for (Envelope& envelope : envelopes) {
    const auto it = std::find_if(links->begin(), links->end(),
                                 [&](const auto& one) { return one->id() == envelope.to; });
    if (it == links->end()) continue;  // no member any more: as if the network had lost it
    PeerLink* const link = it->get();
    link->Queue(std::move(envelope.message));
    if (std::find(touched.begin(), touched.end(), link) == touched.end()) touched.push_back(link);
  }
  for (PeerLink* link : touched) link->Flush();
}

void PeerLinks::OnGreeted(NodeId node) {
  if (const auto link = Find(node)) link->OnGreeted();
}

void PeerLinks::SetAddress(NodeId node, const std::string& address) {
  if (const auto link = Find(node)) link->SetAddress(address);
}

void PeerLinks::OnIncoming(NodeId node, bool up) {
  std::lock_guard<std::mutex> lock(links_mutex_);
  if (up) {
    incoming_.insert(node);
  } else {
    incoming_.erase(node);
  }
  for (const auto& link : *links_) {
    if (link->id() == node) link->OnIncoming(up);
  }
}

std::vector<PeerLink::Figures> PeerLinks::figures() const {
  std::vector<PeerLink::Figures> figures;
  for (const auto& link : *links()) figures.push_back(link->figures());
  return figures;
}

}  // namespace gyre
