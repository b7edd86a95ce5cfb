// The messages between the nodes of a cluster, as values. Their wire form is api/proto/peer.proto.
//
// A message is about one partition (so that it finds its shard), or, with partition 0, about the
// node. An answer repeats the `exchange` of its question. Messages may be lost, doubled, delayed
// and reordered: whatever a message asks for must be safe to do twice and late.
//
// Records in messages are filled. They are shared, never changed.

#ifndef GYRE_REPLICATION_MESSAGE_H_
#define GYRE_REPLICATION_MESSAGE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "replication/request.h"
#include "replication/slice.h"
#include "ring/ids.h"
#include "ring/membership_message.h"
#include "ring/move.h"
#include "ring/register.h"
#include "storage/keys.h"
#include "storage/version/dot.h"
#include "storage/version/partition_clock.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

// Names one exchange of one life of one process: the upper 24 bits are drawn at its start, so that
// an answer to an exchange of an earlier life finds nobody. 0: no exchange, no answer wanted.
using ExchangeId = uint64_t;

using RecordPtr = std::shared_ptr<const Record>;

// A record with the dots that explain it (design 3, rule 3).
struct ExplainedRecord {
  ItemKey item;
  RecordPtr record;
  std::vector<Minted> minted;
};

// Take this record in. Answered by ApplyReply once it is durable.
struct Apply {
  ExplainedRecord change;
  Durability durability = Durability::kFsync;
};
struct ApplyReply {};

// What have you of this item? The values of the versions `known`, at most kMaxKnown, are at hand,
// and need not come.
inline constexpr size_t kMaxKnown = 64;
struct Fetch {
  ItemKey item;
  std::vector<Dot> known = {};
  bool with_clock = false;  // for who judges
  // For who mends a copy that is damaged, and must hear of all there is: also an owner that is
  // being filled says what it has. It is no answer that counts in a read.
  bool mends = false;
};
struct FetchReply {
  ExplainedRecord found;
  // The versions of `found` whose values did not come: places among them, ascending.
  std::vector<uint32_t> left_out = {};
  std::optional<PartitionClock> clock = {};  // of the same moment, where it was asked for
  bool filling = false;  // it lost what it had of the partition: this may not be all; see Fetch
};

// Have you taken in this write of the item?
struct Lookup {
  ItemKey item;
  WriteId write;
};
struct LookupReply {
  bool known = false;
  ExplainedRecord found;  // when known
};

// I have `clock` of this partition: send what I lack. `durable_bases` is what I would have after a
// power cut, where that is known.
struct ClockAsk {
  PartitionClock clock;
  std::optional<VersionVector> durable_bases;
  bool count =
      false;  // also count what I lack, table by table: costs a look at the whole log of it
  // Only what I lack behind this, in the order of dots: what lies before it cannot be taken in
  // here. Dot{}: everything.
  Dot after = {};
};
// Some of what was lacking; with `complete`, all of it, and the asker may join `bases` once it has
// taken in every item. An answer to a question that had an `after` is never complete.
struct ClockAnswer {
  std::vector<ExplainedRecord> items;
  VersionVector bases;
  bool complete = false;
  bool log_cut = false;  // the dot log no longer tells all: only a copy of the partition can help
  uint64_t missing = 0;  // dots that were asked for and lacked before this answer
  // The same by table, ascending, where it was asked for; without dots that the log has dropped.
  std::vector<std::pair<TableId, uint64_t>> missing_by_table = {};
  // Records of the partition that were damaged there, and are whole again, since its start: what a
  // copy had to leave out may be there by now.
  uint64_t mended = 0;
  // Something was lost there, and has not been brought back: it is no word on all that there is.
  bool filling = false;
  // Where more was lacked: everything up to this dot that was asked for is in, or left out.
  // Dot{}: there is no more, or the answer is of a build that does not say.
  Dot upto = {};
  // What was left out, for it is damaged there; then the answer is not complete. For the node that
  // answers: it does not travel.
  std::vector<ItemKey> left_out = {};
};

// Your dot log no longer tells what I lack: send me your whole copy of this partition, page by
// page. All questions of one exchange are answered from one snapshot, which the first one takes.
enum class CopyPart : uint8_t { kRecords, kLog, kItems };  // in this order
struct CopyAsk {
  CopyPart part = CopyPart::kRecords;
  uint32_t number = 0;              // of the question, from 1
  std::string after = {};           // the last key of the page before; empty: the first page
  std::vector<ItemKey> items = {};  // kItems: these, also where there is nothing; at most kMaxNamed
  // kItems: some of them may do, at least one; builds that do not know this tell of all.
  bool in_parts = false;
};
inline constexpr size_t kMaxNamed = 1024;
struct LogRow {
  ItemKey item;
  Minted minted;
};
struct CopyPage {
  CopyPart part = CopyPart::kRecords;
  uint32_t number = 0;                      // of the question
  std::vector<ExplainedRecord> items = {};  // kRecords, kItems: filled from `clock`
  std::vector<LogRow> log = {};             // kLog
  std::string upto = {};                    // the last key of the page
  bool last = false;                        // of its part
  PartitionClock clock = {};                // of the snapshot
  // Left out, for it is damaged there: these, among the items of the page; and unless empty all
  // from where the page was to begin up to this key, or the partition's end, where nothing can be
  // read. What is here of it may be all that there is: such a copy's clock claims more than came.
  std::vector<ItemKey> damaged = {};
  std::string unread_to = {};
  // kRecords: how many the pages of this snapshot have had with this one, without what was left
  // out, as counted by who gives them. None: of a build that does not count.
  std::optional<uint64_t> records = {};
};

// What have you of this run of the partition's items (replication/slice.h)? With `digest`, which is
// of what I have: only if yours is another. Without: I cannot read mine, tell me what lies there.
struct SliceAsk {
  std::string after = {};  // keys of the store, or empty: SliceScan
  std::string upto = {};
  uint64_t expired_by_ms = 0;
  std::optional<Digest> digest = {};
};
inline constexpr size_t kMaxSliceItems = 1024;
struct SliceAnswer {
  bool same = false;
  std::vector<ItemDigest> items = {};  // unless the same: in the order of their keys, at most
                                       // kMaxSliceItems
  bool complete = true;                // up to what was asked for; otherwise up to
  std::string upto = {};
};

// We contradict each other in this item (replication/judgement.h), and it is not me who can mend
// it: look. Wants no answer.
struct Doubt {
  ItemKey item;
};

// Coordinate this write: I am no owner.
struct Forward {
  WriteRequest request;
};
struct ForwardReply {
  Outcome outcome;
};

// Your epoch is older than mine; here is the newer topology (its encoding).
struct Refused {
  std::string topology;
  std::string delta = {};  // instead, where the cluster is of kLevelOfDeltasEverywhere
};

// No answer: this node's disk failed (kStorageFailed), or does not keep up (kOverloaded), or what
// it holds of the item, or of the partition, is damaged (kCorrupt) or was lost (kFilling). Whoever
// asked goes on without this node at once.
struct Failed {
  Outcome::Code code = Outcome::Code::kStorageFailed;
};

// One step of the register that holds the topology document (ring/register.h).
struct RegisterAsk {
  RegisterRequest request;
  std::string delta = {};  // instead of its value, where the cluster is of kLevelOfDeltasEverywhere
};
struct RegisterAnswer {
  RegisterReply reply;
  std::string delta = {};  // likewise
};

// Keep this for `owner`, which cannot be reached: you stand in for it. Answered by HintReply once
// it is durable, or by Failed where there is no room.
struct Hint {
  NodeId owner;
  ExplainedRecord change;
  Durability durability = Durability::kFsync;
  bool ownerless = false;  // no owner has it
};
struct HintReply {};

// What do you keep of this item, for whichever owners? Answered by FetchReply, with an empty record
// where that is nothing.
struct FetchHints {
  ItemKey item;
};

// A hint for you: take it in. Answered by ApplyReply once it is synced.
struct Handoff {
  ExplainedRecord change;
};

// With `topology` or `delta`: the document of the message's epoch. With neither, and asking
// nothing: "I serve under the message's epoch". Deltas and questions are of kLevelOfDeltas
// (ring/build_level.h): whoever uses one knows the other.
struct TopologyNews {
  enum class Asks : uint8_t {
    kNothing = 0,
    kNews = 1,   // "the message's epoch is the newest that I know": a newer one, or a confirmation
    kWhole = 2,  // the same, and a delta would not do
  };
  std::string topology;    // its encoding
  std::string delta = {};  // ring/topology_delta.h; instead
  Asks asks = Asks::kNothing;
};

// Of kLevelOfMovesDue. To the node that plans (server/movement.h): these moves to the sender may
// take their next step. Not answered: the document says what came of it.
struct MovesDue {
  std::vector<MoveRef> filled = {};  // are to be switched (SwitchMoves)
  std::vector<MoveRef> ends = {};    // EndMoves
};

using PeerBody =
    std::variant<Apply, ApplyReply, Fetch, FetchReply, Lookup, LookupReply, ClockAsk, ClockAnswer,
                 Forward, ForwardReply, Refused, RegisterAsk, RegisterAnswer, TopologyNews, Failed,
                 Hint, HintReply, FetchHints, Handoff, CopyAsk, CopyPage, MembershipMessage,
                 SliceAsk, SliceAnswer, Doubt, MovesDue>;

// What a message is called in a trace.
inline const char* MessageName(const PeerBody& body) {
  static constexpr std::array<const char*, std::variant_size_v<PeerBody>> kNames = {
      "Apply",          "ApplyReply",   "Fetch",    "FetchReply",   "Lookup",    "LookupReply",
      "ClockAsk",       "ClockAnswer",  "Forward",  "ForwardReply", "Refused",   "RegisterAsk",
      "RegisterAnswer", "TopologyNews", "Failed",   "Hint",         "HintReply", "FetchHints",
      "Handoff",        "CopyAsk",      "CopyPage", "Membership",   "SliceAsk",  "SliceAnswer",
      "Doubt",          "MovesDue"};
  static_assert(kNames.back() != nullptr, "each kind has a name");
  return kNames[body.index()];
}

struct PeerMessage {
  ExchangeId exchange = 0;
  Epoch epoch;  // of the sender
  PartitionId partition;
  PeerBody body;
};

struct Envelope {
  NodeId to;
  PeerMessage message;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_MESSAGE_H_
