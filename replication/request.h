// What a client wants of one item, and what came of it. The door (api/) has checked every limit and
// turned names into numbers; nothing here can be malformed.
//
// Plain values; any thread.

#ifndef GYRE_REPLICATION_REQUEST_H_
#define GYRE_REPLICATION_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ring/ids.h"
#include "ring/table.h"
#include "storage/keys.h"
#include "storage/replica_store.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

// WriteIntent::attempt: the client's attempt, from 1, in the upper 16 bits, and in the lower ones
// how often it was forwarded under way. Only an attempt that is exactly this may be new for
// certain.
inline constexpr uint32_t kFirstAttempt = 1 << 16;

struct WriteRequest {
  ItemKey item;
  WriteIntent intent;
  int needed = 2;  // W
  Duration timeout = Duration::Seconds(2);
  bool explain = false;
  bool sloppy = false;  // stand-ins count where owners cannot be reached
};

struct ReadRequest {
  ItemKey item;
  int needed = 2;  // R
  Duration timeout = Duration::Seconds(2);
  bool explain = false;
  bool sloppy = false;
};

// What one replica did for a request. The numbers are those of gyre.v1.ReplicaPart.Part.
enum class Part : uint8_t {
  kCoordinator = 1,
  kAnswered = 2,
  kRepaired = 3,
  kNoAnswer = 4,
  kUnreachable = 5,
  kRefused = 6,
  kNotAsked = 7,
  kStoodInFor = 8,
};

struct ReplicaPart {
  NodeId node;
  Part part = Part::kNotAsked;
  Duration took;
  NodeId stand_in = {};  // kStoodInFor
};

struct Outcome {
  enum class Code : uint8_t {
    kOk,
    kQuorumNotMet,     // fewer than `needed` could answer
    kTimedOut,         // fewer than `needed` had answered in time
    kTooManySiblings,  // `context` covers them all
    kStaleEpoch,       // the topology changed; retry with the newer one
    kOverloaded,       // too much in flight at this node; nothing was done
    kStorageFailed,    // this node's disk failed; it acknowledges nothing more
    kCorrupt,          // the stored record failed its checks
    kFilling,          // this node lost what it had of the partition, and waits to be filled again
    kTimeUnknown,      // what expires, or is to, needs the time, and this node does not know it yet
  };
  Code code = Code::kOk;
  Record record;          // of a read: what R replicas hold, merged
  CausalContext context;  // what the client has seen once it has the reply
  int needed = 0;
  int answered = 0;
  int stand_ins = 0;             // of those
  bool outcome_unknown = false;  // of a failed write: it may still take effect
  bool repair_sent = false;
  Epoch epoch;
  NodeId coordinator;
  std::vector<ReplicaPart> parts;  // where explain was asked for
  uint64_t time_ms = {};  // of a read that shows what will expire: the cluster's, as it began

  // Of what `coordinator` ended under `epoch`, with all else still to be said.
  static Outcome Of(Code code, Epoch epoch, NodeId coordinator) {
    Outcome outcome;
    outcome.code = code;
    outcome.epoch = epoch;
    outcome.coordinator = coordinator;
    return outcome;
  }
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_REQUEST_H_
