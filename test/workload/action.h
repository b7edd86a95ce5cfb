// Action and its result: what a workload asks of a store and what it hears. The same workloads
// drive the simulator and, through the SDK, a real cluster.
//
// Plain values.

#ifndef GYRE_TEST_WORKLOAD_ACTION_H_
#define GYRE_TEST_WORKLOAD_ACTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ring/ids.h"

namespace gyre {

// Names a write of a workload, for ever; it is in the value, so that whoever reads knows what it
// read. 0: none.
using EventId = uint64_t;

struct Action {
  enum class Kind : uint8_t { kGet, kPut, kDelete };
  enum class Mode : uint8_t {
    kContext,  // hands `context` back
    kDefault,  // hands nothing back: replaces what the coordinator knows
    kBlind,    // replaces nothing
  };
  Kind kind = Kind::kGet;
  Mode mode = Mode::kContext;
  std::string table;
  std::string key;
  std::string value;
  std::string context;           // opaque; as a reply gave it
  Duration ttl;                  // of a put; zero: as the table says
  EventId event = 0;             // of a write
  std::vector<EventId> parents;  // what the context's read showed
  // Where a write's reply gave the context: that write. Its parents are among `parents`; it itself
  // need not be replaced by every owner, but may.
  EventId own = 0;
};

struct ActionResult {
  enum class Kind : uint8_t {
    kOk,
    kFailed,   // nothing was written, nor will be
    kUnknown,  // a write that may or may not take effect
  };
  Kind kind = Kind::kUnknown;
  std::vector<std::string> values;
  std::string context;
  Time started;
  Time ended;
  // Of a write: it was sent to one node and no other, so it was minted once, if at all.
  bool sent_once = false;
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_ACTION_H_
