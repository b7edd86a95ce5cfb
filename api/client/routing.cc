#include "api/client/routing.h"

#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "xxhash.h"

namespace gyre {
inline namespace sdk {

uint64_t KeyHash(uint16_t table_id, std::string_view key) {
  // Keys fit a small buffer, whose one-shot hash is several times quicker than the streaming one.
  constexpr size_t kLongestKey = 2048;
  unsigned char buffer[2 + kLongestKey];
  const unsigned char id[2] = {static_cast<unsigned char>(table_id >> 8),
                               static_cast<unsigned char>(table_id)};
  if (key.size() <= kLongestKey) {
    std::memcpy(buffer, id, sizeof(id));
    std::memcpy(buffer + sizeof(id), key.data(), key.size());
    return XXH3_64bits(buffer, sizeof(id) + key.size());
  }
  std::string whole(reinterpret_cast<const char*>(id), sizeof(id));
  whole.append(key);
  return XXH3_64bits(whole.data(), whole.size());
}

absl::StatusOr<Routing> Routing::FromTopology(const v1::GetTopologyReply& topology) {
  Routing routing;
  routing.epoch_ = topology.epoch();
  routing.slices_ = topology.slices();
  if (!std::has_single_bit(topology.slices())) {
    return absl::InternalError(
        absl::StrCat("topology: slices is ", topology.slices(), ", not a power of two"));
  }
  routing.slice_bits_ = std::countr_zero(topology.slices());
  routing.members_.assign(topology.members().begin(), topology.members().end());

  std::map<uint32_t, size_t> family_of_replicas;
  for (const v1::PartitionFamily& family : topology.families()) {
    const uint64_t expected = uint64_t{topology.slices()} * family.per_slice();
    if (family.per_slice() == 0 || static_cast<uint64_t>(family.owners_size()) != expected) {
      return absl::InternalError(absl::StrCat("topology: family of N=", family.replicas(), " has ",
                                              family.owners_size(), " owners, not ", expected));
    }
    for (uint32_t owner : family.owners()) {
      if (owner >= routing.members_.size()) {
        return absl::InternalError(
            absl::StrCat("topology: owner ", owner, " of ", routing.members_.size(), " members"));
      }
    }
    family_of_replicas[family.replicas()] = routing.families_.size();
    routing.families_.push_back(
        {family.per_slice(), {family.owners().begin(), family.owners().end()}});
  }
  for (const v1::Table& table : topology.tables()) {
    const auto family = family_of_replicas.find(table.replicas());
    if (family == family_of_replicas.end()) {
      return absl::InternalError(absl::StrCat("topology: table ", table.name(),
                                              " has N=", table.replicas(), ", and no family has"));
    }
    if (table.id() > UINT16_MAX) {
      return absl::InternalError(absl::StrCat("topology: table ", table.name(), " has id ",
                                              table.id(), ", over ", UINT16_MAX));
    }
    routing.tables_[table.name()] = {static_cast<uint16_t>(table.id()), family->second};
  }
  return routing;
}

absl::Span<const uint32_t> Routing::OwnersOfKey(std::string_view table,
                                                std::string_view key) const {
  const auto it = tables_.find(table);
  if (it == tables_.end()) return {};
  return Owners(it->second, SliceOfHash(KeyHash(it->second.id, key)));
}

absl::Span<const uint32_t> Routing::OwnersOfSlice(std::string_view table, uint32_t slice) const {
  const auto it = tables_.find(table);
  if (it == tables_.end()) return {};
  return Owners(it->second, slice);
}

uint32_t Routing::SliceOfKey(std::string_view table, std::string_view key) const {
  return SliceOfHash(KeyHash(tables_.find(table)->second.id, key));
}

uint32_t Routing::SliceOfHash(uint64_t hash) const {
  return slice_bits_ == 0 ? 0 : static_cast<uint32_t>(hash >> (64 - slice_bits_));
}

absl::Span<const uint32_t> Routing::Owners(const TableRoute& table, uint32_t slice) const {
  const Family& family = families_[table.family];
  return absl::MakeConstSpan(family.owners)
      .subspan(size_t{slice} * family.per_slice, family.per_slice);
}

}  // namespace sdk
}  // namespace gyre
