// Documents: what costs time with topology documents, done once for the same input: reading bytes,
// writing them, deltas and what comes of those. A change reaches a node from several others, and a
// node tells it to many.
//
// Documents remembers a few results of each kind, and nothing that callers rely on: with or without
// it they get the same. Documents that come to the same bytes are one object, so many nodes of one
// process (a simulation) can share one of each epoch.
//
// Thread rule: one thread.

#ifndef GYRE_RING_DOCUMENTS_H_
#define GYRE_RING_DOCUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ring/document.h"
#include "ring/topology.h"

namespace gyre {

class Documents {
 public:
  // `most`: results of each kind that are remembered. Default 8: of each a few hundred kilobytes
  // where there are a thousand nodes.
  explicit Documents(size_t most = 8) : most_(most) {}

  // REQUIRES: ValidateTopology(topology).ok().
  DocumentPtr Of(Topology topology);
  // As DecodeTopology.
  absl::StatusOr<DocumentPtr> Read(std::string_view encoded);
  // A delta, from nothing where `base` is null.
  std::shared_ptr<const std::string> Delta(const DocumentPtr& base, const DocumentPtr& next);
  // As ApplyDelta and DecodeTopology; `base` may be null.
  absl::StatusOr<DocumentPtr> Apply(const DocumentPtr& base, std::string_view delta);

 private:
  struct MadeDelta {
    uint64_t base = 0;  // their checks
    uint64_t next = 0;
    std::shared_ptr<const std::string> delta;
  };
  struct Applied {
    uint64_t base = 0;
    uint64_t delta = 0;
    DocumentPtr document;
  };

  DocumentPtr Find(std::string_view encoded, uint64_t check) const;
  DocumentPtr Remember(Topology topology, std::string encoded, uint64_t check);
  // By their checks, 0 for no base. Null: not remembered.
  std::shared_ptr<const std::string> FindDelta(uint64_t base, uint64_t next) const;
  void RememberDelta(uint64_t base, uint64_t next, std::shared_ptr<const std::string> delta);

  const size_t most_;
  std::deque<DocumentPtr> documents_;  // the newest last
  std::deque<MadeDelta> deltas_;
  std::deque<Applied> applied_;
};

}  // namespace gyre

#endif  // GYRE_RING_DOCUMENTS_H_
