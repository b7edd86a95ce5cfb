#include "storage/keys.h"

#include "storage/version/varint.h"

namespace gyre {
namespace {

void AppendPartition(std::string* out, uint32_t partition) { AppendBigEndian<3>(out, partition); }

PartitionId ReadPartition(std::string_view bytes) {
  return PartitionId::FromValue(static_cast<uint32_t>(ReadBigEndian(bytes.substr(0, 3))));
}

}  // namespace

std::string EncodeItemKey(const ItemKey& item) {
  std::string out;
  out.reserve(kItemPrefixBytes + item.key.size());
  AppendItemKey(item, &out);
  return out;
}

void AppendItemKey(const ItemKey& item, std::string* out) {
  AppendPartition(out, item.partition.value());
  AppendBigEndian<2>(out, item.table.value());
  out->append(item.key);
}

std::optional<ItemKey> DecodeItemKey(std::string_view bytes) {
  if (bytes.size() < kItemPrefixBytes) return std::nullopt;
  return ItemKey{ReadPartition(bytes),
                 TableId(static_cast<uint16_t>(ReadBigEndian(bytes.substr(3, 2)))),
                 std::string(bytes.substr(kItemPrefixBytes))};
}

std::string EncodeLogKey(PartitionId partition, Dot dot) {
  std::string out;
  out.reserve(kLogKeyBytes);
  AppendLogKey(partition, dot, &out);
  return out;
}

void AppendLogKey(PartitionId partition, Dot dot, std::string* out) {
  AppendPartition(out, partition.value());
  AppendBigEndian<8>(out, dot.replica.value());
  AppendBigEndian<8>(out, dot.counter);
}

std::optional<LogKey> DecodeLogKey(std::string_view bytes) {
  if (bytes.size() != kLogKeyBytes) return std::nullopt;
  return LogKey{ReadPartition(bytes), Dot{ReplicaId(ReadBigEndian(bytes.substr(3, 8))),
                                          ReadBigEndian(bytes.substr(11, 8))}};
}

std::string EncodeClockKey(PartitionId partition) {
  std::string out = "c";
  AppendPartition(&out, partition.value());
  return out;
}

std::optional<PartitionId> DecodeClockKey(std::string_view bytes) {
  if (bytes.size() != 4 || bytes[0] != 'c') return std::nullopt;
  return ReadPartition(bytes.substr(1));
}

std::string PartitionBegin(PartitionId partition) {
  std::string out;
  AppendPartition(&out, partition.value());
  return out;
}

std::string PartitionEnd(PartitionId partition) {
  return PartitionBegin(PartitionId::FromValue(partition.value() + 1));
}

std::string TableBegin(PartitionId partition, TableId table) {
  return EncodeItemKey({partition, table, {}});
}

std::string TableEnd(PartitionId partition, TableId table) {
  std::string out;
  const uint64_t next = (uint64_t{partition.value()} << 16 | table.value()) + 1;
  AppendBigEndian<5>(&out, next);
  return out;
}

std::string EncodeNodeKey(std::string_view name) { return "n" + std::string(name); }

}  // namespace gyre
