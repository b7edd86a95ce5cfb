#include "ring/member.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gyre {
namespace {

uint64_t NotZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

}  // namespace

ClusterId ClusterIdFromName(std::string_view name) {
  return ClusterId(NotZero(XXH3_64bits(name.data(), name.size())));
}

NodeId NodeIdFromName(ClusterId cluster, std::string_view name) {
  std::string input;
  input.reserve(8 + name.size());
  for (int shift = 56; shift >= 0; shift -= 8) {
    input.push_back(static_cast<char>(cluster.value() >> shift & 0xff));
  }
  input.append(name);
  return NodeId(NotZero(XXH3_64bits(input.data(), input.size())));
}

}  // namespace gyre
