// Bytes of a peer: a delta of the topology document, applied to nothing and to a base; and the same
// bytes as the frame of a delta whose head is sound. What comes of it is a document or an error.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ring/bytes.h"
#include "ring/check.h"
#include "ring/documents.h"
#include "ring/topology.h"
#include "ring/topology_delta.h"

namespace gyre {
namespace {

DocumentPtr Base() {
  std::vector<Member> members;
  for (const char* name : {"a", "b", "c", "d"}) members.push_back({{}, name, name, name, name});
  absl::StatusOr<Topology> topology = InitialTopology("fuzz", 16, members);
  GYRE_CHECK(topology.ok(), "four nodes");
  return Documents().Of(*std::move(topology));
}

void Try(const DocumentPtr& base, std::string_view delta) {
  Documents documents;
  const absl::StatusOr<DocumentPtr> made = documents.Apply(base, delta);
  if (!made.ok()) return;
  GYRE_CHECK(ValidateTopology((*made)->topology).ok(), "what is taken is sound");
  GYRE_CHECK(CheckOf((*made)->encoded) == (*made)->check, "and is what it says");
}

}  // namespace
}  // namespace gyre

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gyre::DocumentPtr base = gyre::Base();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  gyre::Try(nullptr, bytes);
  gyre::Try(base, bytes);
  for (const gyre::DocumentPtr& from : {gyre::DocumentPtr(), base}) {
    gyre::ByteWriter head;
    head.Put(uint8_t{1});
    head.Put(from == nullptr ? uint64_t{0} : from->topology.epoch.value());
    head.Put(from == nullptr ? uint64_t{0} : from->check);
    head.Put(static_cast<uint32_t>(size * 4));
    head.Put(uint64_t{0});
    head.Put(uint32_t{0});  // nobody comes, nobody goes
    gyre::Try(from, head.Take() + std::string(bytes));
  }
  return 0;
}
