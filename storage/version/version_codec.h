// The stored and sent bytes of version vectors, causal contexts, partition clocks, records and
// minted dots.
//
// Every value opens with one byte: its format version in the upper four bits, flags in the lower
// four. A decoder refuses a newer format with UNIMPLEMENTED and a message that says so, and
// everything else that an encoder would not have written (trailing bytes and overlong varints
// included) with DATA_LOSS. So equal values have equal bytes, and decoding never allocates more
// than a small multiple of its input. Pure functions, safe from any thread. Grammar:
// version_codec.cc.

#ifndef GYRE_STORAGE_VERSION_VERSION_CODEC_H_
#define GYRE_STORAGE_VERSION_VERSION_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/version/causal_context.h"
#include "storage/version/dot.h"
#include "storage/version/partition_clock.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

// The format that this build writes, and the newest that it reads; of records with a version that
// expires it is the second: an older build refuses those, and reads all others.
inline constexpr int kVersionFormat = 1;
inline constexpr int kExpiringFormat = 2;

// A settled record (one version, empty context, no stamp) takes 9 bytes and its counter's varint
// beside the value; a settled record of a last-write-wins table 8 more, and one that expires 8.
std::string EncodeRecord(const Record& record);
// The same, behind what is there.
void AppendRecord(const Record& record, std::string* out);
absl::StatusOr<Record> DecodeRecord(std::string_view bytes);

std::string EncodeVersionVector(const VersionVector& vector);
absl::StatusOr<VersionVector> DecodeVersionVector(std::string_view bytes);

// Of a context without a dot beside, the bytes are those of its vector.
std::string EncodeCausalContext(const CausalContext& context);
absl::StatusOr<CausalContext> DecodeCausalContext(std::string_view bytes);

std::string EncodePartitionClock(const PartitionClock& clock);
absl::StatusOr<PartitionClock> DecodePartitionClock(std::string_view bytes);

std::string EncodeMinted(const Minted& minted);
absl::StatusOr<Minted> DecodeMinted(std::string_view bytes);

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_VERSION_CODEC_H_
