// What a write wants, what a mint came to, and the rules of minting that owners (ReplicaStore) and
// guests (Guest) share.
//
// Values and pure functions; any thread.

#ifndef GYRE_STORAGE_MINTING_H_
#define GYRE_STORAGE_MINTING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ring/table.h"
#include "storage/version/causal_context.h"
#include "storage/version/dot.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

enum class WriteKind : uint8_t { kPut, kDelete };
enum class WriteMode : uint8_t { kDefault, kBlind };

// What a write wants, at the owner that mints it.
struct WriteIntent {
  WriteKind kind = WriteKind::kPut;
  WriteMode mode = WriteMode::kDefault;
  std::string value;
  std::optional<CausalContext> context;  // absent: the client gave none
  WriteId write;                         // empty: not protected against retries
  uint32_t attempt = 0;
  // Mint nothing where this owner has not seen all that the item's record reflects, and the write
  // would replace the record as it is here: what it has not seen may be this very write.
  bool unless_behind = false;
  // With it: nor where there is anything to replace, once this has passed. Until then, by the clock
  // of the node that mints, no later attempt of the write has begun.
  Time fresh_until = Time::Never();
  ConflictPolicy conflict = ConflictPolicy::kSiblings;
  Durability durability = Durability::kFsync;
  uint64_t ttl_ms = {};      // of a put: how long it lives; 0: for ever
  uint64_t expires_ms = {};  // and so when it expires, set by who mints (Version::expires_ms)
};

struct MintOutcome {
  enum class Kind : uint8_t {
    kMinted,           // a new dot
    kAlreadyKnown,     // this write has been taken in before: nothing changed
    kTooManySiblings,  // nothing changed; record.context mends it
    kBehind,           // nothing changed, as the intent wished; it is handed back
  };
  Kind kind = Kind::kMinted;
  Record record;                       // filled
  CausalContext seen;                  // of the client, when it hears of the write
  std::vector<Minted> minted;          // the dots that explain the record
  std::optional<WriteIntent> refused;  // kBehind: what was asked for
};

// Beyond these a put adds no sibling.
struct MintLimits {
  size_t max_siblings = 64;
  // Bytes of all values of a record: it travels whole. A value that stands alone is the door's to
  // bound.
  size_t max_record_bytes = size_t{16} << 20;
};

// Whether another sibling of `bytes` is one too many.
inline bool IsFull(const Record& record, size_t bytes, const MintLimits& limits) {
  if (record.versions.size() >= limits.max_siblings) return true;
  return !record.versions.empty() && bytes + ValueBytes(record) > limits.max_record_bytes;
}

// Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014): milliseconds in
// the upper 48 bits, a counter below. Always above every stamp that the write has seen.
inline uint64_t NextStamp(const Record& seen, uint64_t wall_ms) {
  return std::max(wall_ms << 16, GreatestStamp(seen) + 1);
}

// Whether the write replaces all that whoever mints it knows of the item.
inline bool ReplacesAll(const WriteIntent& intent) {
  return intent.conflict == ConflictPolicy::kLastWriteWins ||
         (!intent.context.has_value() && intent.mode == WriteMode::kDefault);
}

// Drops what the client has seen. The context of a record covers its versions, so it says by itself
// that the one beside is gone. Where that one has not arrived nothing can be said of it without its
// forerunners, and it will stay.
inline void DiscardSeen(const CausalContext& seen, Record* record) {
  Discard(record, seen.vector);
  if (!seen.has_beside()) return;
  std::erase_if(record->versions,
                [&](const Version& version) { return version.dot == seen.beside; });
}

// Adds what the write says, under the dot; REQUIRES: nobody has seen that.
inline void AddMinted(Dot dot, uint64_t stamp, WriteIntent* intent, Record* record) {
  if (intent->kind == WriteKind::kPut) {
    AddVersion(record, {dot, stamp, std::move(intent->value), intent->expires_ms});
  } else {
    record->context.RaiseTo(dot);
  }
}

inline VersionVector VectorOf(std::optional<CausalContext> context) {
  return context.has_value() ? std::move(context->vector) : VersionVector();
}

}  // namespace gyre

#endif  // GYRE_STORAGE_MINTING_H_
