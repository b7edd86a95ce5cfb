// The grammar. `varint` is LEB128 in its shortest form, `u64` is 8 bytes big-endian, and the
// opening byte is format version (upper four bits; 1, but for records with flag 8, which are of
// format 2) and flags (lower four bits; a flag not named below is refused).
//
//   record    := byte entries? version                      flag 1: one version
//              | byte entries? varint:count version{count}  else; count is never 1
//              flag 4: entries, the context, are there
//   version   := dot stamp? expires? value                  value: to the end under flag 1,
//   stamp     := u64                                          varint:length bytes{length} else
//              flag 2: stamps are there; then one of them at least is not 0
//   expires   := u64:milliseconds of the Unix epoch, 0 for never
//              flag 8: they are there; then one of them at least is not 0
//   vector    := byte entries?                              entries fill what is left
//   context   := byte dot? entries?                         flag 1: dot, the one beside, is there
//   entries   := varint:count dot{count}                    count > 0, replica ids ascend
//   dot       := u64:replica varint:counter                 0 < replica, 0 < counter < 2^62
//   clock     := byte entry*                                replica ids ascend
//   entry     := u64:replica varint:base varint:count word{count}
//   word      := varint:gap u64:bits                        index = previous index + 1 + gap; the
//                                                             first one = base / 64 + gap
//   minted    := byte dot write?                            flag 1: write is there
//   write     := u64:high u64:low varint:attempt            not both 0; attempt < 2^32
//
// A settled record is `0x11 replica counter value`.

#include "storage/version/version_codec.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ring/check.h"
#include "storage/version/varint.h"

namespace gyre {
namespace {

constexpr uint8_t kSingle = 1;   // record: one version, its value to the end
constexpr uint8_t kStamped = 2;  // record: versions have a stamp
constexpr uint8_t kContext = 4;  // record: a context stands before the versions
constexpr uint8_t kExpires = 8;  // record: versions have an expiry
constexpr uint8_t kBeside = 1;   // context: a dot stands before the vector
constexpr uint8_t kWrite = 1;    // minted: an idempotency key follows the dot

constexpr size_t kReplicaBytes = 8;
constexpr size_t kMinDotBytes = kReplicaBytes + 1;
constexpr size_t kMinVersionBytes = kMinDotBytes + 1;
constexpr size_t kMinWordBytes = 1 + 8;

constexpr uint64_t kWordBits = 64;

absl::Status Malformed(std::string_view what, std::string_view why) {
  return absl::DataLossError(absl::StrCat("malformed ", std::string(what), ": ", std::string(why)));
}

char OpeningByte(uint8_t flags, int format = kVersionFormat) {
  return static_cast<char>(format << 4 | flags);
}

absl::StatusOr<uint8_t> ConsumeOpening(std::string_view* in, std::string_view what,
                                       uint8_t known_flags, int newest = kVersionFormat) {
  if (in->empty()) return Malformed(what, "empty");
  const auto byte = static_cast<uint8_t>(in->front());
  const int format = byte >> 4;
  if (format > newest) {
    return absl::UnimplementedError(absl::StrCat(std::string(what), " in format ", format,
                                                 ", which is newer than format ", newest,
                                                 " that this build reads"));
  }
  if (format < kVersionFormat) return Malformed(what, "unknown format");
  const uint8_t flags = byte & 0x0f;
  if ((flags & ~known_flags) != 0) return Malformed(what, "unknown flags");
  in->remove_prefix(1);
  return flags;
}

void AppendDot(std::string* out, const Dot& dot) {
  AppendFixed64(out, dot.replica.value());
  AppendVarint(out, dot.counter);
}

bool ConsumeReplica(std::string_view* in, ReplicaId* replica) {
  uint64_t value = 0;
  if (!ConsumeFixed64(in, &value) || value == 0) return false;
  *replica = ReplicaId(value);
  return true;
}

bool ConsumeDot(std::string_view* in, Dot* dot) {
  return ConsumeReplica(in, &dot->replica) && ConsumeVarint(in, &dot->counter) &&
         dot->counter > 0 && dot->counter < kMaxCounter;
}

void AppendEntries(std::string* out, const VersionVector& vector) {
  AppendVarint(out, vector.size());
  for (const Dot& entry : vector.entries()) AppendDot(out, entry);
}

bool ConsumeEntries(std::string_view* in, VersionVector* vector) {
  uint64_t count = 0;
  if (!ConsumeVarint(in, &count) || count == 0 || count > in->size() / kMinDotBytes) return false;
  ReplicaId previous;
  for (uint64_t i = 0; i < count; ++i) {
    Dot entry;
    if (!ConsumeDot(in, &entry) || entry.replica <= previous) return false;
    previous = entry.replica;
    vector->Append(entry);
  }
  return true;
}

// A vector, with a dot beside it where that is among the known flags.
absl::StatusOr<CausalContext> DecodeSeen(std::string_view bytes, std::string_view what,
                                         uint8_t known_flags) {
  const absl::StatusOr<uint8_t> flags = ConsumeOpening(&bytes, what, known_flags);
  if (!flags.ok()) return flags.status();
  CausalContext context;
  if ((*flags & kBeside) != 0 && !ConsumeDot(&bytes, &context.beside)) {
    return Malformed(what, "dot beside");
  }
  if (!bytes.empty() && !ConsumeEntries(&bytes, &context.vector)) return Malformed(what, "entries");
  if (!bytes.empty()) return Malformed(what, "trailing bytes");
  return context;
}

bool ConsumeVersion(std::string_view* in, uint8_t flags, Version* version) {
  if (!ConsumeDot(in, &version->dot)) return false;
  if ((flags & kStamped) != 0 && !ConsumeFixed64(in, &version->stamp)) return false;
  if ((flags & kExpires) != 0 && !ConsumeFixed64(in, &version->expires_ms)) return false;
  uint64_t length = in->size();
  if ((flags & kSingle) == 0 && !ConsumeVarint(in, &length)) return false;
  if (length > in->size()) return false;
  version->value = Value(std::string(in->substr(0, length)));
  in->remove_prefix(length);
  return true;
}

bool ConsumeVersions(std::string_view* in, uint8_t flags, std::vector<Version>* versions) {
  uint64_t count = 1;
  if ((flags & kSingle) == 0) {
    if (!ConsumeVarint(in, &count) || count == 1) return false;
    if (count > in->size() / kMinVersionBytes) return false;
  }
  versions->reserve(count);
  bool stamped = false;
  bool expires = false;
  for (uint64_t i = 0; i < count; ++i) {
    Version version;
    if (!ConsumeVersion(in, flags, &version)) return false;
    if (!versions->empty() && versions->back().dot >= version.dot) return false;
    stamped |= version.stamp != 0;
    expires |= version.expires_ms != 0;
    versions->push_back(std::move(version));
  }
  return stamped == ((flags & kStamped) != 0) && expires == ((flags & kExpires) != 0);
}

bool ConsumeClockEntry(std::string_view* in, PartitionClock::Entry* entry) {
  uint64_t count = 0;
  if (!ConsumeReplica(in, &entry->replica) || !ConsumeVarint(in, &entry->base) ||
      entry->base >= kMaxCounter || !ConsumeVarint(in, &count) ||
      count > in->size() / kMinWordBytes) {
    return false;
  }
  entry->above.reserve(count);
  uint64_t next_index = entry->base / kWordBits;
  for (uint64_t i = 0; i < count; ++i) {
    PartitionClock::Word word;
    uint64_t gap = 0;
    if (!ConsumeVarint(in, &gap) || gap >= kMaxCounter || !ConsumeFixed64(in, &word.bits)) {
      return false;
    }
    word.index = next_index + gap;  // both below 2^62: no overflow
    if (word.index >= kMaxCounter / kWordBits) return false;
    next_index = word.index + 1;
    entry->above.push_back(word);
  }
  return true;
}

}  // namespace

std::string EncodeRecord(const Record& record) {
  size_t bytes = 1 + record.context.size() * (kReplicaBytes + kMaxVarintBytes) + kMaxVarintBytes;
  for (const Version& version : record.versions) {
    bytes += version.value.size() + 3 * kReplicaBytes + 2 * kMaxVarintBytes;
  }
  std::string out;
  out.reserve(bytes);
  AppendRecord(record, &out);
  return out;
}

void AppendRecord(const Record& record, std::string* out) {
  uint8_t flags = 0;
  for (const Version& version : record.versions) {
    if (version.stamp != 0) flags |= kStamped;
    if (version.expires_ms != 0) flags |= kExpires;
  }
  if (record.versions.size() == 1) flags |= kSingle;
  if (!record.context.empty()) flags |= kContext;

  out->push_back(OpeningByte(flags, (flags & kExpires) != 0 ? kExpiringFormat : kVersionFormat));
  if (!record.context.empty()) AppendEntries(out, record.context);
  if ((flags & kSingle) == 0) AppendVarint(out, record.versions.size());
  for (const Version& version : record.versions) {
    AppendDot(out, version.dot);
    if ((flags & kStamped) != 0) AppendFixed64(out, version.stamp);
    if ((flags & kExpires) != 0) AppendFixed64(out, version.expires_ms);
    if ((flags & kSingle) == 0) AppendVarint(out, version.value.size());
    out->append(version.value);
  }
}

absl::StatusOr<Record> DecodeRecord(std::string_view bytes) {
  constexpr std::string_view kWhat = "record";
  const int format = bytes.empty() ? 0 : static_cast<uint8_t>(bytes.front()) >> 4;
  const absl::StatusOr<uint8_t> flags =
      ConsumeOpening(&bytes, kWhat, kSingle | kStamped | kContext | kExpires, kExpiringFormat);
  if (!flags.ok()) return flags.status();
  if ((format == kExpiringFormat) != ((*flags & kExpires) != 0)) {
    return Malformed(kWhat, "unknown flags");
  }
  Record record;
  if ((*flags & kContext) != 0 && !ConsumeEntries(&bytes, &record.context)) {
    return Malformed(kWhat, "context");
  }
  if (!ConsumeVersions(&bytes, *flags, &record.versions)) return Malformed(kWhat, "versions");
  if (!bytes.empty()) return Malformed(kWhat, "trailing bytes");
  return record;
}

std::string EncodeVersionVector(const VersionVector& vector) {
  return EncodeCausalContext({vector, {}});
}

absl::StatusOr<VersionVector> DecodeVersionVector(std::string_view bytes) {
  absl::StatusOr<CausalContext> context = DecodeSeen(bytes, "version vector", 0);
  if (!context.ok()) return context.status();
  return std::move(context->vector);
}

std::string EncodeCausalContext(const CausalContext& context) {
  std::string out(1, OpeningByte(context.has_beside() ? kBeside : 0));
  if (context.has_beside()) AppendDot(&out, context.beside);
  if (!context.vector.empty()) AppendEntries(&out, context.vector);
  return out;
}

absl::StatusOr<CausalContext> DecodeCausalContext(std::string_view bytes) {
  return DecodeSeen(bytes, "causal context", kBeside);
}

std::string EncodePartitionClock(const PartitionClock& clock) {
  std::string out(1, OpeningByte(0));
  for (const PartitionClock::Entry& entry : clock.entries()) {
    AppendFixed64(&out, entry.replica.value());
    AppendVarint(&out, entry.base);
    AppendVarint(&out, entry.above.size());
    uint64_t next_index = entry.base / kWordBits;
    for (const PartitionClock::Word& word : entry.above) {
      AppendVarint(&out, word.index - next_index);
      AppendFixed64(&out, word.bits);
      next_index = word.index + 1;
    }
  }
  return out;
}

absl::StatusOr<PartitionClock> DecodePartitionClock(std::string_view bytes) {
  constexpr std::string_view kWhat = "partition clock";
  const absl::StatusOr<uint8_t> flags = ConsumeOpening(&bytes, kWhat, 0);
  if (!flags.ok()) return flags.status();
  std::vector<PartitionClock::Entry> entries;
  while (!bytes.empty()) {
    PartitionClock::Entry entry;
    if (!ConsumeClockEntry(&bytes, &entry)) return Malformed(kWhat, "entry");
    entries.push_back(std::move(entry));
  }
  std::optional<PartitionClock> clock = PartitionClock::FromEntries(std::move(entries));
  if (!clock.has_value()) return Malformed(kWhat, "entries out of order or unsettled");
  return *std::move(clock);
}

std::string EncodeMinted(const Minted& minted) {
  GYRE_CHECK(!minted.write.empty() || minted.attempt == 0, "an attempt of no known write");
  std::string out;
  out.reserve(1 + 3 * kReplicaBytes + 2 * kMaxVarintBytes);
  out.push_back(OpeningByte(minted.write.empty() ? 0 : kWrite));
  AppendDot(&out, minted.dot);
  if (!minted.write.empty()) {
    AppendFixed64(&out, minted.write.high);
    AppendFixed64(&out, minted.write.low);
    AppendVarint(&out, minted.attempt);
  }
  return out;
}

absl::StatusOr<Minted> DecodeMinted(std::string_view bytes) {
  constexpr std::string_view kWhat = "minted dot";
  const absl::StatusOr<uint8_t> flags = ConsumeOpening(&bytes, kWhat, kWrite);
  if (!flags.ok()) return flags.status();
  Minted minted;
  if (!ConsumeDot(&bytes, &minted.dot)) return Malformed(kWhat, "dot");
  if ((*flags & kWrite) != 0) {
    uint64_t attempt = 0;
    if (!ConsumeFixed64(&bytes, &minted.write.high) || !ConsumeFixed64(&bytes, &minted.write.low) ||
        minted.write.empty() || !ConsumeVarint(&bytes, &attempt) || attempt > UINT32_MAX) {
      return Malformed(kWhat, "write");
    }
    minted.attempt = static_cast<uint32_t>(attempt);
  }
  if (!bytes.empty()) return Malformed(kWhat, "trailing bytes");
  return minted;
}

}  // namespace gyre
