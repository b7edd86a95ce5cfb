#include "ring/partitioner.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace gyre {
namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  if (hex == "-") return bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(Partitioner, AgreesWithThePublishedVectors) {
  std::ifstream file(GYRE_PARTITIONER_VECTORS);
  ASSERT_TRUE(file.is_open()) << GYRE_PARTITIONER_VECTORS;
  int vectors = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    unsigned table = 0;
    std::string key;
    std::string hash;
    uint32_t slice = 0;
    ASSERT_TRUE(fields >> table >> key >> hash >> slice) << line;
    const uint64_t computed = HashKey(TableId(static_cast<uint16_t>(table)), FromHex(key));
    EXPECT_EQ(computed, std::stoull(hash, nullptr, 16)) << line;
    EXPECT_EQ(SliceOf(computed, 256), slice) << line;
    ++vectors;
  }
  EXPECT_GE(vectors, 20);
}

TEST(Partitioner, HashesALongKeyAsItWouldAShortOne) {
  // Around the size above which the input no longer lies on the stack; any length must be defined.
  const std::string key(4096, 'k');
  uint64_t previous = 0;
  for (const size_t size : {2047u, 2048u, 2049u, 4096u}) {
    const uint64_t hash = HashKey(TableId(1), std::string_view(key).substr(0, size));
    EXPECT_NE(hash, previous);
    previous = hash;
  }
  EXPECT_EQ(HashKey(TableId(1), std::string_view(key).substr(0, 2048)), 0xe48c8eef0107eca4ULL);
  EXPECT_EQ(HashKey(TableId(1), std::string_view(key).substr(0, 2049)), 0xae314b104335d614ULL);
}

TEST(Partitioner, TakesTheTopBitsForTheSlice) {
  EXPECT_EQ(SliceOf(~0ULL, 1), 0u);
  EXPECT_EQ(SliceOf(~0ULL, 2), 1u);
  EXPECT_EQ(SliceOf(0x8000000000000000ULL, 2), 1u);
  EXPECT_EQ(SliceOf(0x7fffffffffffffffULL, 2), 0u);
  EXPECT_EQ(SliceOf(0x1234567890abcdefULL, 4096), 0x123u);
  EXPECT_EQ(SliceOf(0x1234567890abcdefULL, kMaxSlices), 0x1234u);
}

TEST(Partitioner, SpreadsSequentialKeysEvenlyOverSlices) {
  std::vector<int> counts(256, 0);
  const int keys = 256 * 1000;
  for (int i = 0; i < keys; ++i) {
    ++counts[SliceOf(HashKey(TableId(1), "user:" + std::to_string(i)), 256)];
  }
  for (const int count : counts) {  // six standard deviations of a fair throw
    EXPECT_GT(count, 1000 - 190);
    EXPECT_LT(count, 1000 + 190);
  }
}

}  // namespace
}  // namespace gyre
