#include "test/workload/replica_compare.h"

#include <map>
#include <set>
#include <vector>

namespace gyre {
namespace {

using Items = std::map<std::string, std::vector<std::string>>;

absl::StatusOr<Items> ReadSlice(Client* client, const std::string& table, uint32_t slice,
                                const std::string& node) {
  Items items;
  ScanOptions options;
  options.node = node;
  options.limit = 1000;
  options.timeout = absl::Seconds(20);
  for (;;) {
    auto page = client->ScanPartition(table, slice, options);
    if (!page.ok()) return page.status();
    for (const auto& item : page->items()) {
      items[item.key()].assign(item.values().begin(), item.values().end());
      options.after_key = item.key();
    }
    if (!page->more()) return items;
  }
}

}  // namespace

absl::StatusOr<ReplicaComparison> CompareReplicas(Client* client, const std::string& table) {
  auto spec = client->DescribeTable(table);
  if (!spec.ok()) return spec.status();
  auto topology = client->Topology();
  if (!topology.ok()) return topology.status();
  ReplicaComparison comparison;
  for (const v1::PartitionFamily& family : topology->families()) {
    if (family.replicas() != spec->replicas()) continue;
    for (uint32_t slice = 0; slice < topology->slices(); ++slice) {
      std::vector<Items> copies;
      std::set<std::string> keys;
      for (uint32_t rank = 0; rank < family.per_slice(); ++rank) {
        const auto owner = family.owners(static_cast<int>(slice * family.per_slice() + rank));
        auto items =
            ReadSlice(client, table, slice, topology->members(static_cast<int>(owner)).name());
        if (!items.ok()) return items.status();
        for (const auto& [key, values] : *items) keys.insert(key);
        copies.push_back(*std::move(items));
      }
      comparison.items += keys.size();
      for (const std::string& key : keys) {
        const auto first = copies.front().find(key);
        for (const Items& copy : copies) {
          const auto here = copy.find(key);
          const bool same =
              first != copies.front().end() && here != copy.end() && here->second == first->second;
          if (same) continue;
          ++comparison.different;
          break;
        }
      }
    }
  }
  return comparison;
}

}  // namespace gyre
