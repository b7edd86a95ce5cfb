// Record: what is stored for a key, and how two copies of it are merged.
//
// A record is a set of versions, none of which knew of another (siblings), and a causal context
// that covers every write the record reflects, also those that were overwritten or deleted. It is
// stored *stripped* (without what the partition clock's bases say anyway: usually one version and
// an empty context) and *filled* whenever it is read, merged or sent. An unfilled record that
// leaves its owner brings deleted values back.
//
//   Record mine = stored;            // as it was on disk
//   Fill(&mine, clock);
//   mine = Sync(std::move(mine), std::move(received));
//   for (dot of the message) clock.Add(dot);
//   Strip(&mine, clock);
//   Erasable(mine) ? erase : store;  // in one batch with clock and dot log
//
// A put at an owner: Fill, Discard what the client's context covers, add the version under a fresh
// dot, raise the context to that dot, add the dot to the clock, Strip. A delete does the same and
// adds no version: it needs no tombstone, since a stale copy learns that its dot is covered and
// drops it.
//
// A version that expires needs not even a dot of its own to be removed: every owner drops it by
// itself once its time has come (DropExpired), and keeps its dot covered.
//
// Always: versions are sorted by dot, each dot once, no counter 0; the context of a record that was
// merged or minted into covers the dots of its own versions, filled or stripped by a clock that
// holds them. Plain values, not synchronised.
//
// Source: Almeida, Gonçalves, Baquero, Fonte, "Concise Server-Wide Causality Management for
// Eventually Consistent Data Stores" (DAIS 2015), section 4.

#ifndef GYRE_STORAGE_VERSION_RECORD_H_
#define GYRE_STORAGE_VERSION_RECORD_H_

#include <cstdint>
#include <vector>

#include "storage/version/causal_context.h"
#include "storage/version/dot.h"
#include "storage/version/partition_clock.h"
#include "storage/version/value.h"
#include "storage/version/version_vector.h"

namespace gyre {

struct Version {
  Dot dot;
  uint64_t stamp = 0;  // hybrid logical clock in last-write-wins tables, 0 in tables with siblings
  Value value;
  // When it expires, in milliseconds of the cluster's time (ring/cluster_time.h); 0: never. Fixed
  // when the dot is minted, and so one number for all owners.
  uint64_t expires_ms = {};

  friend bool operator==(const Version&, const Version&) = default;
};

struct Record {
  std::vector<Version> versions;  // sorted by dot
  VersionVector context;

  friend bool operator==(const Record&, const Record&) = default;
};

// The merge: keeps a version that is in both, or in one and not covered by the other's context; the
// contexts join. Commutative, associative, idempotent. Values are moved, never copied.
// REQUIRES: both filled.
//
// It does not apply last-write-wins: see KeepLast.
[[nodiscard]] Record Sync(Record a, Record b);

// Joins the context with the bases of `clock`.
void Fill(Record* record, const PartitionClock& clock);

// Drops the context entries that the bases of `clock` cover; Fill with the same clock, or with any
// later state of it, brings them back.
void Strip(Record* record, const PartitionClock& clock);

// Drops the versions that `context` covers and joins it: what a write does with its client's
// context.
void Discard(Record* record, const VersionVector& context);

// What a client has seen that had seen `before` of the item and learns that its write is `own`;
// `record` is what the item is now, at an owner that has `own`. It covers the write and what it
// replaced, and none of the versions that the write left standing. REQUIRES: filled.
[[nodiscard]] CausalContext SeenByWriter(const Record& record, const Dot& own,
                                         VersionVector before);

// Adds a version under a dot that was just minted, and raises the context to it.
// REQUIRES: the context does not cover version.dot.
void AddVersion(Record* record, Version version);

// Last-write-wins, as it is *shown* to a client: of the versions with a stamp only the one with the
// greatest (stamp, dot) stays. The context still covers the others, so the next write that comes
// with it removes them. Does nothing where no version has a stamp, so that no schema is needed.
//
// For answers to clients only: never store, send or repair a record that went through it, and never
// apply it inside a merge. Otherwise what is left depends on the order of the merges: with x (stamp
// 5), y (stamp 7) and a delete that knew only y, "x and y, then the delete" leaves nothing while "y
// and the delete, then x" leaves x; both owners know all three dots, so that no anti-entropy would
// ever mend it. Stored, the losers stay siblings, and are few: a put into a last-write-wins table
// discards with the filled context of its owner's own record, so each replica id has at most one.
void KeepLast(Record* record);

// The greatest stamp among the versions: a new stamp must be greater. 0 where there is none.
uint64_t GreatestStamp(const Record& record);

// Of all versions' values.
size_t ValueBytes(const Record& record);

// Whether some version expires.
bool Expires(const Record& record);

// Drops the versions whose time has come at `time_ms`; answers how many. The context still covers
// them: like a delete that knew exactly these versions, so that no copy that still holds one brings
// it back, and what was written beside them stays.
size_t DropExpired(Record* record, uint64_t time_ms);

// Nothing is left to store. REQUIRES: stripped.
bool Erasable(const Record& record);

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_RECORD_H_
