#include "test/bench/redis_cluster_target.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(RedisCluster, HashesAKeyToItsSlotAsTheSpecificationDoes) {
  EXPECT_EQ(RedisSlotOf("123456789"), 0x31C3 % 16'384) << "the check value of CRC-16/XMODEM";
  EXPECT_EQ(RedisSlotOf("foo"), 12'182);
  EXPECT_EQ(RedisSlotOf(""), 0);
}

TEST(RedisCluster, SharesSlotsOutAsRedisCliDoes) {
  EXPECT_EQ(RedisPrimaryOf(0, 3), 0u);
  EXPECT_EQ(RedisPrimaryOf(5460, 3), 0u);
  EXPECT_EQ(RedisPrimaryOf(5461, 3), 1u);
  EXPECT_EQ(RedisPrimaryOf(10'922, 3), 1u);
  EXPECT_EQ(RedisPrimaryOf(10'923, 3), 2u);
  EXPECT_EQ(RedisPrimaryOf(16'383, 3), 2u);
  EXPECT_EQ(RedisPrimaryOf(16'383, 1), 0u);
}

}  // namespace
}  // namespace gyre
