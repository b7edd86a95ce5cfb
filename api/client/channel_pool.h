// ChannelPool: one gRPC channel for each address, made when it is first asked for and kept for the
// client's life. The stream of a node and the unary calls to it share one connection.
//
// Thread-safe. A channel does not connect before it is used.

#ifndef GYRE_API_CLIENT_CHANNEL_POOL_H_
#define GYRE_API_CLIENT_CHANNEL_POOL_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "grpcpp/channel.h"

namespace gyre {
inline namespace sdk {

class ChannelPool {
 public:
  std::shared_ptr<grpc::Channel> To(const std::string& address);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_CHANNEL_POOL_H_
