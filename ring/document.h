// Document: a topology document with its bytes. A plain value that is made once and shared
// (ring/documents.h). Any thread.

#ifndef GYRE_RING_DOCUMENT_H_
#define GYRE_RING_DOCUMENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "ring/topology.h"

namespace gyre {

struct Document {
  Topology topology;    // valid
  std::string encoded;  // the bytes that it was made with, or came as
  uint64_t check = 0;   // CheckOf(encoded) (ring/topology_delta.h)
};

using DocumentPtr = std::shared_ptr<const Document>;

}  // namespace gyre

#endif  // GYRE_RING_DOCUMENT_H_
