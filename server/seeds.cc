#include "server/seeds.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "api/limits.h"
#include "api/proto/peer.grpc.pb.h"
#include "server/clock.h"
#include "server/log.h"

namespace gyre {
namespace {

// Between two looks at whether to give up.
constexpr Duration kLook = Duration::Millis(20);
constexpr Duration kTellAgain = Duration::Seconds(30);

// Another try, or another seed, may end otherwise.
bool Passes(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
      return true;
    default:
      return false;
  }
}

grpc::Status AskOne(const std::string& seed, const SeedOptions& options,
                    const peer::JoinRequest& request, peer::JoinReply* reply) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(static_cast<int>(kMaxPeerMessageBytes));
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::unique_ptr<peer::Peer::Stub> stub = peer::Peer::NewStub(
      grpc::CreateCustomChannel(seed, grpc::InsecureChannelCredentials(), args));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::microseconds(options.patience.micros()));
  return stub->Join(&context, request, reply);
}

}  // namespace

absl::StatusOr<Topology> AskSeeds(const SeedOptions& options, const peer::JoinRequest& request) {
  const auto gives_up = [&] { return options.give_up && options.give_up(); };
  std::optional<Time> told_at;
  for (int round = 1;; ++round) {
    std::string why;
    for (const std::string& seed : options.seeds) {
      if (gives_up()) return absl::CancelledError("ended while it waited for a seed to let it in");
      peer::JoinReply reply;
      const grpc::Status status = AskOne(seed, options, request, &reply);
      if (status.ok()) return DecodeTopology(reply.topology());
      if (!Passes(status.error_code())) {
        return absl::Status(
            static_cast<absl::StatusCode>(status.error_code()),
            absl::StrCat("the cluster, asked at ", seed, ": ", status.error_message()));
      }
      absl::StrAppend(&why, why.empty() ? "" : "; ", seed, ": ", status.error_message());
    }
    if (round == options.rounds) return absl::UnavailableError(why);
    const Time now = MonotonicNow();
    if (!told_at.has_value() || now - *told_at >= kTellAgain) {
      told_at = now;
      Log(LogLevel::kInfo, "waiting_for_seeds", {{"why", why}});
    }
    while (MonotonicNow() - now < options.pause && !gives_up()) {
      std::this_thread::sleep_for(std::chrono::microseconds(kLook.micros()));
    }
  }
}

}  // namespace gyre
