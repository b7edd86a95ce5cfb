#include "test/bench/redis_cluster_target.h"

#include <cmath>
#include <utility>

namespace gyre {
namespace {

constexpr size_t kSlots = 16'384;

}  // namespace

uint16_t RedisSlotOf(std::string_view key) {
  uint16_t crc = 0;
  for (const char c : key) {
    crc = static_cast<uint16_t>(crc ^ (static_cast<unsigned char>(c) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      const bool carries = (crc & 0x8000) != 0;
      crc = static_cast<uint16_t>(crc << 1);
      if (carries) crc = static_cast<uint16_t>(crc ^ 0x1021);
    }
  }
  return crc % kSlots;
}

size_t RedisPrimaryOf(uint16_t slot, size_t primaries) {
  const double share = static_cast<double>(kSlots) / static_cast<double>(primaries);
  size_t primary = 0;
  while (primary + 1 < primaries && slot >= std::lround(share * static_cast<double>(primary + 1))) {
    ++primary;
  }
  return primary;
}

absl::StatusOr<std::unique_ptr<RedisClusterTarget>> RedisClusterTarget::Connect(
    const std::vector<std::string>& primaries, RedisOptions options) {
  std::vector<std::unique_ptr<RedisTarget>> connected;
  for (const std::string& address : primaries) {
    options.address = address;
    auto primary = RedisTarget::Connect(options);
    if (!primary.ok()) return primary.status();
    connected.push_back(*std::move(primary));
  }
  return std::unique_ptr<RedisClusterTarget>(new RedisClusterTarget(std::move(connected)));
}

void RedisClusterTarget::Start(Request* request, Done done) {
  const size_t primary = RedisPrimaryOf(RedisSlotOf(request->key), primaries_.size());
  primaries_[primary]->Start(request, std::move(done));
}

}  // namespace gyre
