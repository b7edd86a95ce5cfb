#include "storage/partition_state.h"

#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr char kVersion = 1;
constexpr char kVersionFilling = 2;
constexpr char kVersionMoved = 3;

bool TakeVersion(std::string_view* in) {
  if (in->empty() || in->front() != kVersion) return false;
  in->remove_prefix(1);
  return true;
}

// What follows the version; false where that is unknown.
bool TakeHead(std::string_view* in, PartitionState* state) {
  if (in->empty()) return false;
  const char version = in->front();
  in->remove_prefix(1);
  if (version < kVersion || version > kVersionMoved) return false;
  state->filling = version == kVersionFilling;
  uint64_t self = 0;
  if (!ConsumeFixed64(in, &self)) return false;
  state->self = ReplicaId(self);
  if (version != kVersionMoved) return true;
  uint64_t since = 0;
  if (!ConsumeFixed64(in, &since) || since == 0 || in->empty()) return false;
  const char filling = in->front();
  in->remove_prefix(1);
  state->since = Epoch(since);
  state->filling = filling == 1;
  return filling == 0 || filling == 1;
}

}  // namespace

std::string EncodePartitionState(const PartitionState& state) {
  const bool moved = state.since != Epoch();
  std::string out(1, moved ? kVersionMoved : state.filling ? kVersionFilling : kVersion);
  AppendFixed64(&out, state.self.value());
  if (moved) {
    AppendFixed64(&out, state.since.value());
    out.push_back(state.filling ? 1 : 0);
  }
  out.append(EncodePartitionClock(state.clock));
  return out;
}

absl::StatusOr<PartitionState> DecodePartitionState(std::string_view bytes) {
  PartitionState state;
  if (!TakeHead(&bytes, &state)) {
    return absl::DataLossError("partition state: malformed, or of a newer format");
  }
  absl::StatusOr<PartitionClock> clock = DecodePartitionClock(bytes);
  if (!clock.ok()) return clock.status();
  state.clock = *std::move(clock);
  return state;
}

absl::StatusOr<PartitionState> ReadPartitionState(const Snapshot& snapshot, PartitionId partition) {
  PartitionState state;
  absl::StatusOr<std::string> bytes = snapshot.Get(Family::kMeta, EncodeClockKey(partition));
  if (bytes.ok()) {
    absl::StatusOr<PartitionState> written = DecodePartitionState(*bytes);
    if (!written.ok()) return written.status();
    state = *std::move(written);
  } else if (!absl::IsNotFound(bytes.status())) {
    return bytes.status();
  }
  // The log holds the dots of one replica id after those of another: of each, what the clock's base
  // says already is passed over.
  std::string from = PartitionBegin(partition);
  const std::string end = PartitionEnd(partition);
  for (bool passing_over = true; passing_over;) {
    passing_over = false;
    absl::Status malformed;
    const absl::Status scanned =
        snapshot.Scan(Family::kDotLog, from, end, [&](std::string_view key, std::string_view) {
          const std::optional<LogKey> log_key = DecodeLogKey(key);
          if (!log_key.has_value()) {
            malformed = absl::DataLossError("dot log: malformed key");
            return false;
          }
          const Dot& dot = log_key->dot;
          const uint64_t base = state.clock.Base(dot.replica);
          if (dot.counter < base) {
            from = EncodeLogKey(partition, {dot.replica, base + 1});
            passing_over = true;
            return false;
          }
          state.clock.Add(dot);
          return true;
        });
    if (!scanned.ok()) return scanned;
    if (!malformed.ok()) return malformed;
  }
  return state;
}

std::string EncodeLogEntry(const LogEntry& entry) {
  std::string out;
  AppendLogEntry(entry.table, entry.key, entry.write, entry.attempt, &out);
  return out;
}

void AppendLogEntry(TableId table, std::string_view key, const WriteId& write, uint32_t attempt,
                    std::string* out) {
  out->push_back(kVersion);
  AppendVarint(out, table.value());
  AppendVarint(out, key.size());
  out->append(key);
  AppendVarint(out, uint64_t{attempt} << 1 | (write.empty() ? 0 : 1));
  if (!write.empty()) {
    AppendFixed64(out, write.high);
    AppendFixed64(out, write.low);
  }
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
