// CompareReplicas: reads a whole table from each owner of each slice and counts the items in which
// owners differ. Not a quorum read: it looks at what each replica holds by itself.

#ifndef GYRE_TEST_WORKLOAD_REPLICA_COMPARE_H_
#define GYRE_TEST_WORKLOAD_REPLICA_COMPARE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "api/client/client.h"

namespace gyre {

struct ReplicaComparison {
  uint64_t items = 0;      // over all slices, each counted once
  uint64_t different = 0;  // missing at some owner, or with other values there
};

absl::StatusOr<ReplicaComparison> CompareReplicas(Client* client, const std::string& table);

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_REPLICA_COMPARE_H_
