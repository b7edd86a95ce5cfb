#include "ring/member.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gyre {
namespace {

uint64_t NotZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

void AppendBigEndian(uint64_t number, std::string* to) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    to->push_back(static_cast<char>(number >> shift & 0xff));
  }
}

}  // namespace

ClusterId ClusterIdFromName(std::string_view name) {
  return ClusterId(NotZero(XXH3_64bits(name.data(), name.size())));
}

NodeId NodeIdFromName(ClusterId cluster, std::string_view name, uint64_t key) {
  std::string input;
  input.reserve(16 + name.size());
  AppendBigEndian(cluster.value(), &input);
  input.append(name);
  if (key != 0) AppendBigEndian(key, &input);
  return NodeId(NotZero(XXH3_64bits(input.data(), input.size())));
}

std::vector<std::string> PlacesOf(const std::vector<Member>& members) {
  std::vector<std::string> places;
  places.reserve(members.size());
  for (const Member& member : members) {
    places.push_back("\"" + member.name + "\" in zone \"" + member.zone + "\"");
  }
  std::sort(places.begin(), places.end());
  return places;
}

std::string PlacesDifference(std::string_view mine_is, const std::vector<std::string>& mine,
                             std::string_view theirs_is, const std::vector<std::string>& theirs) {
  std::string text;
  const auto add = [&](std::string_view whose, const std::vector<std::string>& these,
                       const std::vector<std::string>& those) {
    std::string_view before = ": ";
    for (const std::string& place : these) {
      if (std::find(those.begin(), those.end(), place) != those.end()) continue;
      if (before == ": ") text.append(text.empty() ? "only " : "; only ").append(whose);
      text.append(before).append(place);
      before = ", ";
    }
  };
  add(mine_is, mine, theirs);
  add(theirs_is, theirs, mine);
  return text;
}

}  // namespace gyre
