// RedisClusterTarget: a Redis Cluster, each key asked of the primary of its slot. What a cluster
// acknowledges one node has; no client can ask for more (WAIT aside).
//
// The primaries are told in the order of their slots, which are shared out evenly, as `redis-cli
// --cluster create` does. One that is told wrongly answers MOVED, and the request fails.

#ifndef GYRE_TEST_BENCH_REDIS_CLUSTER_TARGET_H_
#define GYRE_TEST_BENCH_REDIS_CLUSTER_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "test/bench/redis_target.h"

namespace gyre {

// CRC-16/XMODEM of the key, modulo 16,384 (redis.io, "Redis cluster specification", "Key
// distribution model"); keys with braces, which the specification hashes in part, are not meant.
[[nodiscard]] uint16_t RedisSlotOf(std::string_view key);

// Which of `primaries` has the slot.
[[nodiscard]] size_t RedisPrimaryOf(uint16_t slot, size_t primaries);

class RedisClusterTarget final : public Target {
 public:
  // `options` are of each primary, but for the address.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RedisClusterTarget>> Connect(
      const std::vector<std::string>& primaries, RedisOptions options);

  void Start(Request* request, Done done) override;

 private:
  explicit RedisClusterTarget(std::vector<std::unique_ptr<RedisTarget>> primaries)
      : primaries_(std::move(primaries)) {}

  const std::vector<std::unique_ptr<RedisTarget>> primaries_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REDIS_CLUSTER_TARGET_H_
