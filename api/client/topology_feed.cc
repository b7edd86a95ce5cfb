#include "api/client/topology_feed.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/client/error_detail.h"
#include "api/client/monotonic.h"
#include "api/proto/completion.h"
#include "api/proto/gyre.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace gyre {
inline namespace sdk {
namespace {

// Between two tries of a fetch that fails or comes back too old.
constexpr absl::Duration kRetryEvery = absl::Milliseconds(50);
// For one answer; a node that takes longer is passed over.
constexpr absl::Duration kFetchTimeout = absl::Seconds(1);
constexpr absl::Duration kLeastFetch = absl::Milliseconds(100);

std::chrono::system_clock::time_point WallDeadline(absl::Duration from_now) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(from_now);
}

}  // namespace

struct TopologyFeed::Fetch final : Completion {
  explicit Fetch(TopologyFeed* to) : feed(to) {}
  void OnComplete(bool) override { feed->OnFetched(status.ok()); }

  TopologyFeed* const feed;
  std::unique_ptr<v1::Gyre::Stub> stub;
  grpc::ClientContext context;
  v1::GetTopologyRequest request;
  v1::GetTopologyReply reply;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::GetTopologyReply>> reader;
};

TopologyFeed::TopologyFeed(ChannelPool* channels, grpc::CompletionQueue* queue,
                           std::vector<std::string> seeds, Install install)
    : channels_(channels),
      completions_(queue),
      seeds_(std::move(seeds)),
      install_(std::move(install)) {
  const std::lock_guard lock(mutex_);
  addresses_ = seeds_;
}

TopologyFeed::~TopologyFeed() = default;

absl::Status TopologyFeed::FetchNow(absl::Duration timeout) {
  const absl::Time end = MonotonicNow() + timeout;
  for (bool first = true;; first = false) {
    absl::Status status = absl::InvalidArgumentError("no seeds: name at least one host:port");
    const std::vector<std::string> addresses = Addresses();
    for (size_t i = 0; i < addresses.size(); ++i) {
      // A host that swallows packets must leave time for the next one, and the first turn over
      // all for a second: who has too much to do answers on the connection that is made by then.
      const absl::Time now = MonotonicNow();
      const auto turns_left = static_cast<int64_t>(addresses.size() - i);
      const absl::Duration share =
          timeout == absl::ZeroDuration()
              ? kFetchTimeout
              : std::max((end - now) / turns_left / (first ? 2 : 1), kLeastFetch);
      status = FetchFrom(addresses[i], std::min(share, kFetchTimeout));
      if (status.ok()) return status;
    }
    const absl::Time now = MonotonicNow();
    if (addresses.empty() || now >= end) return status;
    const absl::Duration pause = std::min(kRetryEvery, end - now);
    channels_->To(addresses[0])->WaitForConnected(WallDeadline(pause));
  }
}

absl::Status TopologyFeed::FetchFrom(const std::string& address, absl::Duration timeout) {
  const auto stub = v1::Gyre::NewStub(channels_->To(address));
  grpc::ClientContext context;
  context.set_deadline(WallDeadline(timeout));
  v1::GetTopologyReply reply;
  const grpc::Status status = stub->GetTopology(&context, v1::GetTopologyRequest(), &reply);
  if (status.ok()) return Accept(reply);
  const absl::Status why = StatusFromUnary(status, context);
  return absl::Status(why.code(), absl::StrCat(address, ": ", why.message()));
}

absl::Status TopologyFeed::Accept(const v1::GetTopologyReply& topology) {
  const std::lock_guard installing(install_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (topology.epoch() <= epoch_) return absl::OkStatus();
  }
  absl::StatusOr<Routing> routing = Routing::FromTopology(topology);
  if (!routing.ok()) return routing.status();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return absl::CancelledError("the client is being destroyed");
    epoch_ = topology.epoch();
    addresses_.clear();
    for (const v1::TopologyMember& member : topology.members()) {
      addresses_.push_back(member.client_address());
    }
    for (const std::string& seed : seeds_) {
      if (std::find(addresses_.begin(), addresses_.end(), seed) == addresses_.end()) {
        addresses_.push_back(seed);
      }
    }
  }
  install_(*std::move(routing));
  return absl::OkStatus();
}

void TopologyFeed::Want(uint64_t epoch, const std::string& address) {
  const std::lock_guard lock(mutex_);
  if (closed_ || epoch <= epoch_) return;
  wanted_ = std::max(wanted_, epoch);
  if (in_flight_ == nullptr) StartLocked(address);
}

void TopologyFeed::WantAny() {
  const std::lock_guard lock(mutex_);
  if (closed_ || in_flight_ != nullptr || MonotonicNow() < retry_at_) return;
  StartLocked(addresses_[next_address_++ % addresses_.size()]);
}

void TopologyFeed::Tick(absl::Time now) {
  const std::lock_guard lock(mutex_);
  if (closed_ || in_flight_ != nullptr || wanted_ <= epoch_ || now < retry_at_) return;
  StartLocked(addresses_[next_address_++ % addresses_.size()]);
}

bool TopologyFeed::Busy() const {
  const std::lock_guard lock(mutex_);
  return wanted_ > epoch_;
}

void TopologyFeed::StartLocked(const std::string& address) {
  in_flight_ = std::make_unique<Fetch>(this);
  Fetch* fetch = in_flight_.get();
  fetch->stub = v1::Gyre::NewStub(channels_->To(address));
  fetch->context.set_deadline(WallDeadline(kFetchTimeout));
  fetch->request.set_known_epoch(epoch_);
  retry_at_ = MonotonicNow() + kRetryEvery;
  fetch->reader = fetch->stub->AsyncGetTopology(&fetch->context, fetch->request, completions_);
  fetch->reader->Finish(&fetch->reply, &fetch->status, static_cast<Completion*>(fetch));
}

void TopologyFeed::OnFetched(bool ok) {
  Fetch* fetch = nullptr;
  {
    const std::lock_guard lock(mutex_);
    fetch = in_flight_.get();
  }
  // One that failed, or whose topology does not hold together, is tried again elsewhere by Tick.
  if (ok) Accept(fetch->reply).IgnoreError();
  const std::lock_guard lock(mutex_);
  // Before Close may return: after it, the channel and the queue may go.
  in_flight_ = nullptr;
  fetched_.notify_all();
}

std::vector<std::string> TopologyFeed::Addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

void TopologyFeed::Close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  if (in_flight_ != nullptr) in_flight_->context.TryCancel();
  while (in_flight_ != nullptr) fetched_.wait(lock);
}

}  // namespace sdk
}  // namespace gyre
