#include "api/client/channel_pool.h"

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace gyre {
inline namespace sdk {
namespace {

// A reply holds up to 64 siblings of 1 MiB each.
constexpr int kMaxReceiveBytes = 72 << 20;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  // gRPC's own 1 s to 120 s would leave a restarted node unused for minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // The longest that one connection attempt may take, gRPC's default being 20 s.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  // A node that comes back with another address is looked up again for each attempt or so; gRPC's
  // own 30 s would leave it unused for as long.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // Requests go to the owner itself; a proxy of the environment must not come between.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Two clients of one process do not share a connection, nor its limits on the server.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The SDK retries by itself; and gRPC 1.51 loses calls that it would retry (server/peer_link.cc).
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return arguments;
}

}  // namespace

std::shared_ptr<grpc::Channel> ChannelPool::To(const std::string& address) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) {
    channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments());
  }
  return channel;
}

}  // namespace sdk
}  // namespace gyre
