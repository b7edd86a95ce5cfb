#include "storage/partition_state.h"

#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr char kVersion = 1;

bool TakeVersion(std::string_view* in) {
  if (in->empty() || in->front() != kVersion) return false;
  in->remove_prefix(1);
  return true;
}

}  // namespace

std::string EncodePartitionState(const PartitionState& state) {
  std::string out(1, kVersion);
  AppendFixed64(&out, state.self.value());
  AppendVarint(&out, state.counter);
  out.append(EncodePartitionClock(state.clock));
  return out;
}

absl::StatusOr<PartitionState> DecodePartitionState(std::string_view bytes) {
  PartitionState state;
  uint64_t self = 0;
  if (!TakeVersion(&bytes) || !ConsumeFixed64(&bytes, &self) ||
      !ConsumeVarint(&bytes, &state.counter)) {
    return absl::DataLossError("partition state: malformed, or of a newer format");
  }
  state.self = ReplicaId(self);
  absl::StatusOr<PartitionClock> clock = DecodePartitionClock(bytes);
  if (!clock.ok()) return clock.status();
  state.clock = *std::move(clock);
  return state;
}

std::string EncodeLogEntry(const LogEntry& entry) {
  std::string out(1, kVersion);
  AppendVarint(&out, entry.table.value());
  AppendVarint(&out, entry.key.size());
  out.append(entry.key);
  AppendVarint(&out, uint64_t{entry.attempt} << 1 | (entry.write.empty() ? 0 : 1));
  if (!entry.write.empty()) {
    AppendFixed64(&out, entry.write.high);
    AppendFixed64(&out, entry.write.low);
  }
  return out;
}

absl::StatusOr<LogEntry> DecodeLogEntry(std::string_view bytes) {
  const absl::Status malformed =
      absl::DataLossError("dot-log entry: malformed, or of a newer format");
  LogEntry entry;
  uint64_t table = 0, length = 0, attempt = 0;
  if (!TakeVersion(&bytes) || !ConsumeVarint(&bytes, &table) || table > UINT16_MAX ||
      !ConsumeVarint(&bytes, &length) || length > bytes.size()) {
    return malformed;
  }
  entry.table = TableId(static_cast<uint16_t>(table));
  entry.key = std::string(bytes.substr(0, length));
  bytes.remove_prefix(length);
  if (!ConsumeVarint(&bytes, &attempt) || attempt >> 1 > UINT32_MAX) return malformed;
  entry.attempt = static_cast<uint32_t>(attempt >> 1);
  if ((attempt & 1) != 0 &&
      (!ConsumeFixed64(&bytes, &entry.write.high) || !ConsumeFixed64(&bytes, &entry.write.low))) {
    return malformed;
  }
  if (!bytes.empty()) return malformed;
  return entry;
}

}  // namespace gyre
