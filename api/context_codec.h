// The opaque context that a client gets with a reply and hands back with a write: a causal context,
// bound to the item that it is about, so that a context of another key or table is refused instead
// of silently replacing what its writer never saw.
//
//   opaque   := version(1)=1 table(2) key_hash(8) context checksum(4)
//   key_hash := HashKey(table, key)                 ring/partitioner.h
//   checksum := low 32 bits of XXH3-64 of all before it
//
// All integers big endian; `context` is the grammar of storage/version/version_codec.h. The
// checksum finds mistakes, not malice: a client may forge a context, and so may overwrite what it
// likes, which it may do anyway. Pure functions; any thread.

#ifndef GYRE_API_CONTEXT_CODEC_H_
#define GYRE_API_CONTEXT_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "storage/version/causal_context.h"

namespace gyre {

// `key_hash` is HashKey(table, key).
std::string EncodeContext(TableId table, uint64_t key_hash, const CausalContext& context);

// INVALID_ARGUMENT, naming the field `context`: garbage, a newer format, or of another item.
absl::StatusOr<CausalContext> DecodeContext(std::string_view bytes, TableId table,
                                            uint64_t key_hash);

}  // namespace gyre

#endif  // GYRE_API_CONTEXT_CODEC_H_
