// The keys under which a node stores things, and their byte order.
//
//   item       := partition(3) table(2) key(*)        family kRecords; one record per item
//   log        := partition(3) replica(8) counter(8)  family kDotLog; one entry per dot
//   hint       := owner(8) partition(3) table(2) size(2) key(size) number(8)
//                                                     family kHints; storage/hint_log.h
//   expiry     := partition(3) expires_ms(8) table(2) key(*)
//                                                     family kExpiry; storage/expiry_index.h
//   clock      := 'c' partition(3)                    family kMeta; storage/partition_state.h
//   node       := 'n' name(*)                         family kMeta; storage/identity.h
//   remains    := 'u' item                            family kMeta; storage/replica_store.h
//   partition  := replicas(1) slice(2)
//
// All integers big endian, so that a partition's items, and a replica's log entries in the order of
// their counters, are contiguous. Pure functions; any thread.

#ifndef GYRE_STORAGE_KEYS_H_
#define GYRE_STORAGE_KEYS_H_

#include <optional>
#include <string>
#include <string_view>

#include "ring/ids.h"
#include "storage/version/dot.h"

namespace gyre {

struct ItemKey {
  PartitionId partition;
  TableId table;
  std::string key;

  friend auto operator<=>(const ItemKey&, const ItemKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ItemKey& item) {
    return H::combine(std::move(h), item.partition, item.table, item.key);
  }
};

inline constexpr size_t kItemPrefixBytes = 5;
inline constexpr size_t kLogKeyBytes = 19;
inline constexpr size_t kLogRowBytes = 11;  // of a log key: all but the counter

std::string EncodeItemKey(const ItemKey& item);
void AppendItemKey(const ItemKey& item, std::string* out);  // the same, behind what is there
std::optional<ItemKey> DecodeItemKey(std::string_view bytes);

std::string EncodeLogKey(PartitionId partition, Dot dot);
void AppendLogKey(PartitionId partition, Dot dot, std::string* out);  // the same
struct LogKey {
  PartitionId partition;
  Dot dot;
};
std::optional<LogKey> DecodeLogKey(std::string_view bytes);

// That a version of the item expires then; those of a partition in the order of that.
struct ExpiryKey {
  uint64_t expires_ms = 0;
  ItemKey item;
};
std::string EncodeExpiryKey(const ExpiryKey& key);
std::optional<ExpiryKey> DecodeExpiryKey(std::string_view bytes);

std::string EncodeClockKey(PartitionId partition);
std::optional<PartitionId> DecodeClockKey(std::string_view bytes);

// One hint for `owner`. Hints of one item are apart by their number, ascending.
struct HintKey {
  NodeId owner;
  ItemKey item;
  uint64_t number = 0;
};
std::string EncodeHintKey(const HintKey& key);
std::optional<HintKey> DecodeHintKey(std::string_view bytes);
// What precedes the number: the first bytes of all hints of one item for one owner, and no others'.
std::string HintItemPrefix(NodeId owner, const ItemKey& item);
// The same of all hints of one partition for one owner.
std::string HintPartitionPrefix(NodeId owner, PartitionId partition);
// The first key behind all that begin with `prefix`. REQUIRES: some byte of it is not 0xff.
std::string PrefixEnd(std::string prefix);

// That of an item without versions a context is left; and the range of those of a partition.
std::string EncodeRemainsKey(const ItemKey& item);
std::optional<ItemKey> DecodeRemainsKey(std::string_view bytes);
std::string RemainsBegin(PartitionId partition);
std::string RemainsEnd(PartitionId partition);

// Of a key of an item, a log entry or an expiry entry: of which partition it is.
std::optional<PartitionId> PartitionOfKey(std::string_view key);

// The range of all items, log entries, or expiry entries, of a partition: [PartitionBegin,
// PartitionEnd).
std::string PartitionBegin(PartitionId partition);
std::string PartitionEnd(PartitionId partition);
// The range of all items of one table in a partition.
std::string TableBegin(PartitionId partition, TableId table);
std::string TableEnd(PartitionId partition, TableId table);

// The key of a node-wide entry in family kMeta.
std::string EncodeNodeKey(std::string_view name);

}  // namespace gyre

#endif  // GYRE_STORAGE_KEYS_H_
