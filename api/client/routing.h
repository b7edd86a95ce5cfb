// Routing: which nodes own a key, from one answer of GetTopology. Immutable, so any number of
// threads read one while the next is being made; a new epoch is a new Routing.
//
// The slice of a key is the top log2(Q) bits of XXH3-64 over the table's id as two bytes, big
// endian, followed by the key: the contract of api/proto/gyre.proto, with vectors in
// docs/vectors/partitioner.txt that every SDK and the server are tested against.

#ifndef GYRE_API_CLIENT_ROUTING_H_
#define GYRE_API_CLIENT_ROUTING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

// XXH3-64 over the big-endian table id and the key.
[[nodiscard]] uint64_t KeyHash(uint16_t table_id, std::string_view key);

class Routing {
 public:
  // Knows no table and no member: every key is of no known owner.
  Routing() = default;

  // Checks all that the lookups rely on: Q a power of two, every family complete, every owner a
  // member, every table of a family that is there. INTERNAL names what is wrong.
  static absl::StatusOr<Routing> FromTopology(const v1::GetTopologyReply& topology);

  uint64_t epoch() const { return epoch_; }
  uint32_t slices() const { return slices_; }
  bool HasTable(std::string_view table) const { return tables_.contains(table); }

  // Indices into members(), in the order of preference; empty for a table that is not known.
  [[nodiscard]] absl::Span<const uint32_t> OwnersOfKey(std::string_view table,
                                                       std::string_view key) const;
  // REQUIRES: slice < slices().
  [[nodiscard]] absl::Span<const uint32_t> OwnersOfSlice(std::string_view table,
                                                         uint32_t slice) const;
  // REQUIRES: HasTable(table).
  [[nodiscard]] uint32_t SliceOfKey(std::string_view table, std::string_view key) const;

  const std::vector<v1::TopologyMember>& members() const { return members_; }

 private:
  struct Family {
    uint32_t per_slice = 0;
    std::vector<uint32_t> owners;  // owners[slice * per_slice + rank]
  };
  struct TableRoute {
    uint16_t id = 0;
    size_t family = 0;  // index into families_
  };

  uint32_t SliceOfHash(uint64_t hash) const;
  absl::Span<const uint32_t> Owners(const TableRoute& table, uint32_t slice) const;

  uint64_t epoch_ = 0;
  uint32_t slices_ = 1;
  int slice_bits_ = 0;
  std::vector<v1::TopologyMember> members_;
  std::vector<Family> families_;
  std::map<std::string, TableRoute, std::less<>> tables_;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_ROUTING_H_
