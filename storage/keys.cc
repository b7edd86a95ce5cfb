#include "storage/keys.h"

#include "ring/check.h"
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

std::string HintPartitionPrefix(NodeId owner, PartitionId partition) {
  std::string out;
  AppendBigEndian<8>(&out, owner.value());
  AppendPartition(&out, partition.value());
  return out;
}

std::string HintItemPrefix(NodeId owner, const ItemKey& item) {
  std::string out = HintPartitionPrefix(owner, item.partition);
  AppendBigEndian<2>(&out, item.table.value());
  AppendBigEndian<2>(&out, item.key.size());
  out.append(item.key);
  return out;
}

std::string EncodeHintKey(const HintKey& key) {
  std::string out = HintItemPrefix(key.owner, key.item);
  AppendBigEndian<8>(&out, key.number);
  return out;
}

std::optional<HintKey> DecodeHintKey(std::string_view bytes) {
  constexpr size_t kBeforeKey = 8 + 3 + 2 + 2;
  if (bytes.size() < kBeforeKey + 8) return std::nullopt;
  const size_t size = ReadBigEndian(bytes.substr(kBeforeKey - 2, 2));
  if (bytes.size() != kBeforeKey + size + 8) return std::nullopt;
  HintKey key;
  key.owner = NodeId(ReadBigEndian(bytes.substr(0, 8)));
  key.item = {ReadPartition(bytes.substr(8)),
              TableId(static_cast<uint16_t>(ReadBigEndian(bytes.substr(11, 2)))),
              std::string(bytes.substr(kBeforeKey, size))};
  key.number = ReadBigEndian(bytes.substr(kBeforeKey + size));
  return key;
}

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  GYRE_CHECK(!prefix.empty(), "there is a key behind it");
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

std::string EncodeExpiryKey(const ExpiryKey& key) {
  std::string out;
  out.reserve(kItemPrefixBytes + 8 + key.item.key.size());
  AppendPartition(&out, key.item.partition.value());
  AppendBigEndian<8>(&out, key.expires_ms);
  AppendBigEndian<2>(&out, key.item.table.value());
  out.append(key.item.key);
  return out;
}

std::optional<ExpiryKey> DecodeExpiryKey(std::string_view bytes) {
  if (bytes.size() < kItemPrefixBytes + 8) return std::nullopt;
  ExpiryKey key;
  key.expires_ms = ReadBigEndian(bytes.substr(3, 8));
  key.item = {ReadPartition(bytes),
              TableId(static_cast<uint16_t>(ReadBigEndian(bytes.substr(11, 2)))),
              std::string(bytes.substr(13))};
  return key;
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

std::string EncodeRemainsKey(const ItemKey& item) { return "u" + EncodeItemKey(item); }

std::optional<ItemKey> DecodeRemainsKey(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != 'u') return std::nullopt;
  return DecodeItemKey(bytes.substr(1));
}

std::string RemainsBegin(PartitionId partition) { return "u" + PartitionBegin(partition); }
std::string RemainsEnd(PartitionId partition) { return "u" + PartitionEnd(partition); }

std::optional<PartitionId> PartitionOfKey(std::string_view key) {
  constexpr size_t kPartitionBytes = 3;
  if (key.size() < kPartitionBytes) return std::nullopt;
  return ReadPartition(key.substr(0, kPartitionBytes));
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
