#include "api/request_translation.h"

#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/context_codec.h"
#include "api/error_translation.h"
#include "api/limits.h"
#include "ring/partitioner.h"
#include "storage/version/varint.h"

namespace gyre {
namespace {

absl::StatusOr<const TableSpec*> FindTable(const std::string& name, const View& view) {
  const TableSpec* table = view.FindTable(name);
  if (table == nullptr) return UnknownTable(name);
  return table;
}

absl::StatusOr<Target> Locate(const TableSpec* table, std::string key, const View& view) {
  if (key.empty()) return InvalidField("key", "empty; 1 to 2048 bytes are allowed");
  if (key.size() > kMaxKeyBytes) return FieldTooLarge("key", key.size(), kMaxKeyBytes);
  Target target;
  target.table = table;
  target.key_hash = HashKey(table->id, key);
  target.item.partition =
      PartitionId(table->replicas, SliceOf(target.key_hash, view.topology().slices));
  target.item.table = table->id;
  target.item.key = std::move(key);
  return target;
}

absl::StatusOr<int> Quorum(const char* field, uint32_t wanted, int replicas) {
  if (wanted == 0 || wanted > static_cast<uint32_t>(replicas)) {
    return InvalidField(field, absl::StrCat(wanted, "; 1 to N = ", replicas,
                                            " are allowed, or none for the table's default"));
  }
  return static_cast<int>(wanted);
}

absl::StatusOr<Duration> Timeout(const v1::RequestOptions& options) {
  if (options.timeout_ms() > kMaxTimeoutMs) {
    return InvalidField("timeout_ms", absl::StrCat(options.timeout_ms(), "; 1 to ", kMaxTimeoutMs,
                                                   " are allowed, or 0 for ", kDefaultTimeoutMs));
  }
  return Duration::Millis(options.timeout_ms() == 0 ? kDefaultTimeoutMs : options.timeout_ms());
}

absl::StatusOr<WriteId> IdempotencyKey(std::string_view bytes) {
  WriteId id;
  if (bytes.empty()) return id;
  if (bytes.size() != kIdempotencyKeyBytes) {
    return InvalidField("idempotency_key",
                        absl::StrCat(bytes.size(), " bytes; 16 are allowed, or none"));
  }
  for (size_t i = 0; i < 8; ++i) {
    id.high = id.high << 8 | static_cast<uint8_t>(bytes[i]);
    id.low = id.low << 8 | static_cast<uint8_t>(bytes[8 + i]);
  }
  if (id.empty()) return InvalidField("idempotency_key", "all zeros; draw it at random");
  return id;
}

// The write that a client's key means for this item. A key that a client used for two items would
// otherwise pass for a retry at an owner of both, and the second write would be lost. Every door of
// a cluster binds alike: a retry may come through another one.
WriteId BindToItem(const WriteId& key, const Target& target) {
  if (key.empty()) return key;
  std::string parts;
  AppendFixed64(&parts, key.high);
  AppendFixed64(&parts, key.low);
  AppendFixed64(&parts, target.item.table.value());
  AppendFixed64(&parts, target.key_hash);
  const XXH128_hash_t mixed = XXH3_128bits(parts.data(), parts.size());
  WriteId bound;
  bound.high = mixed.high64;
  bound.low = mixed.low64;
  if (bound.empty()) bound.low = 1;
  return bound;
}

absl::StatusOr<uint64_t> Ttl(std::optional<uint64_t> wanted_ms, const TableSpec& table) {
  if (!wanted_ms.has_value()) return table.ttl_ms;
  if (*wanted_ms > kMaxTtlMs) {
    return InvalidField(
        "ttl_ms", absl::StrCat(*wanted_ms, "; at most ", kMaxTtlMs, " are allowed, or 0 for ever"));
  }
  return *wanted_ms;
}

// The TTL of a put message, where it has one.
template <typename Put>
std::optional<uint64_t> TtlOf(const Put& put) {
  if (!put.has_ttl_ms()) return std::nullopt;
  return put.ttl_ms();
}

absl::StatusOr<WriteMode> Mode(int mode) {
  switch (mode) {
    case v1::WRITE_MODE_DEFAULT:
      return WriteMode::kDefault;
    case v1::WRITE_MODE_BLIND:
      return WriteMode::kBlind;
    default:
      return InvalidField("mode", absl::StrCat(mode, " is no write mode"));
  }
}

// The parts of a write that puts and deletes share.
struct WriteParts {
  std::string key;
  const std::string* context;
  WriteKind kind;
  int mode;
  const std::string* idempotency_key;
  std::optional<uint64_t> ttl_ms = {};  // absent: the table's, for a put
};

absl::StatusOr<TranslatedWrite> TranslateWrite(WriteParts parts, const TableSpec* table,
                                               const v1::RequestOptions& options,
                                               const View& view) {
  absl::StatusOr<Target> target = Locate(table, std::move(parts.key), view);
  if (!target.ok()) return target.status();
  absl::StatusOr<int> needed = options.has_write_quorum()
                                   ? Quorum("write_quorum", options.write_quorum(), table->replicas)
                                   : table->write_quorum;
  if (!needed.ok()) return needed.status();
  absl::StatusOr<Duration> timeout = Timeout(options);
  if (!timeout.ok()) return timeout.status();
  absl::StatusOr<WriteMode> mode = Mode(parts.mode);
  if (!mode.ok()) return mode.status();
  absl::StatusOr<WriteId> write = IdempotencyKey(*parts.idempotency_key);
  if (!write.ok()) return write.status();
  if (options.attempt() > kMaxAttempt) {
    return InvalidField("attempt",
                        absl::StrCat(options.attempt(), "; at most ", kMaxAttempt, " is allowed"));
  }
  absl::StatusOr<uint64_t> ttl_ms = 0;
  if (parts.kind == WriteKind::kPut) ttl_ms = Ttl(parts.ttl_ms, *table);
  if (!ttl_ms.ok()) return ttl_ms.status();
  TranslatedWrite result;
  WriteIntent& intent = result.request.intent;
  intent.ttl_ms = *ttl_ms;
  if (!parts.context->empty()) {
    absl::StatusOr<CausalContext> context =
        DecodeContext(*parts.context, table->id, target->key_hash);
    if (!context.ok()) return context.status();
    intent.context = *std::move(context);
  }
  intent.kind = parts.kind;
  intent.mode = *mode;
  intent.write = BindToItem(*write, *target);
  // 0 is a first try, too. Forwarding counts its own tries below.
  intent.attempt = std::max(options.attempt(), 1u) * kFirstAttempt;
  intent.conflict = table->conflict;
  intent.durability = table->durability;
  result.request.item = target->item;
  result.request.needed = *needed;
  result.request.timeout = *timeout;
  result.request.explain = options.explain();
  result.request.sloppy = table->quorum == QuorumKind::kSloppy && !options.strict();
  result.target = *std::move(target);
  return result;
}

absl::StatusOr<TranslatedRead> TranslateRead(std::string key, const TableSpec* table,
                                             const v1::RequestOptions& options, const View& view) {
  absl::StatusOr<Target> target = Locate(table, std::move(key), view);
  if (!target.ok()) return target.status();
  absl::StatusOr<int> needed = options.has_read_quorum()
                                   ? Quorum("read_quorum", options.read_quorum(), table->replicas)
                                   : table->read_quorum;
  if (!needed.ok()) return needed.status();
  absl::StatusOr<Duration> timeout = Timeout(options);
  if (!timeout.ok()) return timeout.status();
  TranslatedRead result;
  result.request.item = target->item;
  result.request.needed = *needed;
  result.request.timeout = *timeout;
  result.request.explain = options.explain();
  result.request.sloppy = table->quorum == QuorumKind::kSloppy && !options.strict();
  result.target = *std::move(target);
  return result;
}

absl::Status CheckValue(const std::string& value) {
  if (value.size() > kMaxValueBytes) return FieldTooLarge("value", value.size(), kMaxValueBytes);
  return absl::OkStatus();
}

absl::Status CheckMulti(const std::string& table, int items, const char* field, const View& view) {
  if (items > kMaxMultiItems) {
    return InvalidField(field,
                        absl::StrCat(items, " items; at most ", kMaxMultiItems, " are allowed"));
  }
  return FindTable(table, view).status();
}

}  // namespace

absl::StatusOr<TranslatedWrite> TranslatePut(v1::PutRequest* request, const View& view) {
  absl::StatusOr<const TableSpec*> table = FindTable(request->table(), view);
  if (!table.ok()) return table.status();
  if (absl::Status status = CheckValue(request->value()); !status.ok()) return status;
  absl::StatusOr<TranslatedWrite> write =
      TranslateWrite({std::move(*request->mutable_key()), &request->context(), WriteKind::kPut,
                      request->mode(), &request->options().idempotency_key(), TtlOf(*request)},
                     *table, request->options(), view);
  if (write.ok()) write->request.intent.value = std::move(*request->mutable_value());
  return write;
}

absl::StatusOr<TranslatedWrite> TranslateDelete(v1::DeleteRequest* request, const View& view) {
  absl::StatusOr<const TableSpec*> table = FindTable(request->table(), view);
  if (!table.ok()) return table.status();
  return TranslateWrite(
      {std::move(*request->mutable_key()), &request->context(), WriteKind::kDelete,
       v1::WRITE_MODE_DEFAULT, &request->options().idempotency_key()},
      *table, request->options(), view);
}

absl::StatusOr<TranslatedRead> TranslateGet(v1::GetRequest* request, const View& view) {
  absl::StatusOr<const TableSpec*> table = FindTable(request->table(), view);
  if (!table.ok()) return table.status();
  return TranslateRead(std::move(*request->mutable_key()), *table, request->options(), view);
}

absl::Status CheckMultiGet(const v1::MultiGetRequest& request, const View& view) {
  return CheckMulti(request.table(), request.keys_size(), "keys", view);
}

absl::Status CheckMultiPut(const v1::MultiPutRequest& request, const View& view) {
  if (!request.options().idempotency_key().empty()) {
    return InvalidField("options.idempotency_key", "each item of a multi put has its own");
  }
  return CheckMulti(request.table(), request.items_size(), "items", view);
}

absl::StatusOr<TranslatedRead> TranslateMultiGetItem(v1::MultiGetRequest* request, int index,
                                                     const View& view) {
  absl::StatusOr<const TableSpec*> table = FindTable(request->table(), view);
  if (!table.ok()) return table.status();
  return TranslateRead(std::move(*request->mutable_keys(index)), *table, request->options(), view);
}

absl::StatusOr<TranslatedWrite> TranslateMultiPutItem(v1::MultiPutRequest* request, int index,
                                                      const View& view) {
  absl::StatusOr<const TableSpec*> table = FindTable(request->table(), view);
  if (!table.ok()) return table.status();
  v1::MultiPutRequest::Item* item = request->mutable_items(index);
  if (absl::Status status = CheckValue(item->value()); !status.ok()) return status;
  absl::StatusOr<TranslatedWrite> write =
      TranslateWrite({std::move(*item->mutable_key()), &item->context(), WriteKind::kPut,
                      item->mode(), &item->idempotency_key(), TtlOf(*item)},
                     *table, request->options(), view);
  if (write.ok()) write->request.intent.value = std::move(*item->mutable_value());
  return write;
}

}  // namespace gyre
