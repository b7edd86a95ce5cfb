// Identity: whose data directory this is, in which format, and how its last run ended.
//
//   identity  := format(4) cluster(8) node(8) slices(4) instance(8) cluster_name node_name
//   name      := length(4) bytes                            key 'n' "identity", written once
//   runs      := boots(8) clean(1)                          key 'n' "runs"
//   places    := version(1)=1 count(4) name*                key 'n' "places", written once
//   standing  := Standing(1)                                key 'n' "standing"; absent: kProven
//
// All integers big endian; all in family kMeta. A build reads the format that it writes and refuses
// a greater one: format comes first in every version, so that any build can read it.
//
// A directory is bound to its node at the first open, for good: another node, cluster or Q would
// find records in places where its ring does not look. The id of a node that joins a running
// cluster derives from its name and the instance, so that another directory is another node.
// `places` is what PlacesOf (ring/member.h) said of the configured members then, or at the first
// open by a build that keeps it; none of a node that joined. A configuration that lists neither
// those, nor the members that there are now, is a mistake.
//
// Thread rule: for the thread that starts and stops the node; both calls wait for the disk.

#ifndef GYRE_STORAGE_IDENTITY_H_
#define GYRE_STORAGE_IDENTITY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/engine.h"

namespace gyre {

// Of the whole directory: raised when an older build would misread it. Codecs that can be told
// apart by their own first byte are raised on their own.
inline constexpr uint32_t kStorageFormat = 1;

// What the configuration says.
struct ExpectedIdentity {
  ClusterId cluster;
  std::string cluster_name;  // for messages: `cluster` derives from it
  NodeId node;               // by its names alone; not looked at where it `joins`
  std::string node_name;
  uint32_t slices = 0;  // Q
  std::vector<std::string> places;
  bool joins = false;  // it is none of the configured members
  // Of the members in the newest document that the directory holds; none where it holds none.
  std::vector<std::string> places_now = {};
};

// What is known of the data directories that this node had before this one.
enum class Standing : uint8_t {
  kProven = 0,    // none: what is not here was never there
  kUnproven = 1,  // nobody has said yet
  kReplaced = 2,  // there was one, or this one was put back to an earlier state
};

struct Identity {
  ClusterId cluster;
  NodeId node;
  std::string node_name;
  uint32_t slices = 0;
  uint64_t instance = 0;  // random, given at the first open: tells a directory from its successor
  uint64_t boots = 0;     // opens so far, this one included

  // False: the last run ended without MarkClean, and what it had not synced may be gone. True at
  // the first open, where nothing can be.
  bool last_stop_clean = true;

  Standing standing = Standing::kProven;
};

// Reads the identity, or writes it into an empty store with `new_instance`; counts this boot and
// takes back the clean mark, durably, before it returns. FAILED_PRECONDITION when the directory
// belongs to another cluster, node, Q, other members or to a newer format (nothing is written
// then), DATA_LOSS when the identity is damaged or missing beside data.
absl::StatusOr<Identity> OpenIdentity(Engine* engine, const ExpectedIdentity& expected,
                                      uint64_t new_instance);

// To be written, with a sync, when the standing is another than at OpenIdentity.
WriteBatch StandingBatch(Standing standing);

// The last write of a clean stop; syncs everything before it. REQUIRES: OpenIdentity succeeded.
[[nodiscard]] absl::Status MarkClean(Engine* engine);

}  // namespace gyre

#endif  // GYRE_STORAGE_IDENTITY_H_
