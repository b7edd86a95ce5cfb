// CausalContext: what a client has seen of an item. A reply gives it; the write that comes with it
// replaces that, and only that.
//
// A read gives a version vector. A write may have left siblings standing which its client has never
// seen, and no vector covers the write without covering what its minter minted before: such a
// sibling perhaps, or what one replaced. Its context has the write's own dot besides (the dotted
// version vector of Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Brief Announcement: Efficient
// Causality Tracking in Distributed Storage Systems with Dotted Version Vectors", PODC 2012).
//
// Plain values.

#ifndef GYRE_STORAGE_VERSION_CAUSAL_CONTEXT_H_
#define GYRE_STORAGE_VERSION_CAUSAL_CONTEXT_H_

#include "storage/version/dot.h"
#include "storage/version/version_vector.h"

namespace gyre {

struct CausalContext {
  VersionVector vector;
  Dot beside;  // counter 0: none

  bool has_beside() const { return beside.counter != 0; }

  friend bool operator==(const CausalContext&, const CausalContext&) = default;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_CAUSAL_CONTEXT_H_
