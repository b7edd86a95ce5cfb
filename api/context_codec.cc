#include "api/context_codec.h"

#include <xxhash.h>

#include "api/error_translation.h"
#include "api/limits.h"
#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr char kFormat = 1;
constexpr size_t kHeadBytes = 1 + 2 + 8;
constexpr size_t kChecksumBytes = 4;

uint32_t Checksum(std::string_view bytes) {
  return static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

}  // namespace

std::string EncodeContext(TableId table, uint64_t key_hash, const CausalContext& context) {
  std::string out;
  out.push_back(kFormat);
  AppendBigEndian<2>(&out, table.value());
  AppendFixed64(&out, key_hash);
  out += EncodeCausalContext(context);
  AppendBigEndian<kChecksumBytes>(&out, Checksum(out));
  return out;
}

absl::StatusOr<CausalContext> DecodeContext(std::string_view bytes, TableId table,
                                            uint64_t key_hash) {
  if (bytes.size() > kMaxContextBytes) {
    return FieldTooLarge("context", bytes.size(), kMaxContextBytes);
  }
  if (bytes.size() < kHeadBytes + kChecksumBytes) {
    return InvalidField("context", "this is no context from a reply");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (ReadBigEndian(bytes.substr(body.size())) != Checksum(body)) {
    return InvalidField("context", "this is no context from a reply, or it was damaged");
  }
  if (body[0] != kFormat) {
    return InvalidField("context", "its format is newer than this node");
  }
  if (ReadBigEndian(body.substr(1, 2)) != table.value()) {
    return InvalidField("context", "it is of another table");
  }
  if (ReadBigEndian(body.substr(3, 8)) != key_hash) {
    return InvalidField("context", "it is of another key");
  }
  absl::StatusOr<CausalContext> context = DecodeCausalContext(body.substr(kHeadBytes));
  if (!context.ok()) return InvalidField("context", "this is no context from a reply");
  return context;
}

}  // namespace gyre
