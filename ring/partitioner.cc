#include "ring/partitioner.h"

#include <array>
#include <cstring>
#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gyre {
namespace {

constexpr size_t kPrefixBytes = 2;
constexpr size_t kOnStackBytes = 2050;  // the door lets no longer key in than 2 KiB

void WritePrefix(TableId table, char* out) {
  out[0] = static_cast<char>(table.value() >> 8);
  out[1] = static_cast<char>(table.value() & 0xff);
}

}  // namespace

uint64_t HashKey(TableId table, std::string_view partition_key) {
  const size_t size = kPrefixBytes + partition_key.size();
  if (size > kOnStackBytes) {
    std::string input(kPrefixBytes, '\0');
    WritePrefix(table, input.data());
    input.append(partition_key);
    return XXH3_64bits(input.data(), input.size());
  }
  std::array<char, kOnStackBytes> input;
  WritePrefix(table, input.data());
  if (!partition_key.empty()) {
    std::memcpy(input.data() + kPrefixBytes, partition_key.data(), partition_key.size());
  }
  return XXH3_64bits(input.data(), size);
}

}  // namespace gyre
