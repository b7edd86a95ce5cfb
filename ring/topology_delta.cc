#include "ring/topology_delta.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ring/bytes.h"
#include "ring/check.h"

namespace gyre {
namespace {

constexpr uint8_t kFormat = 1;
// Fast: a delta is made on the thread that waits for it. Higher levels save a few per cent.
constexpr int kLevel = 3;

struct Head {
  DeltaBase base;
  uint32_t size = 0;
  uint64_t check = 0;
  std::vector<NodeId> come;
  std::vector<NodeId> gone;
  std::string_view frame;
};

absl::Status Garbage() { return absl::DataLossError("topology delta: the bytes are no delta"); }

void PutIds(const std::vector<NodeId>& ids, ByteWriter* out) {
  out->Put(static_cast<uint16_t>(ids.size()));
  for (const NodeId id : ids) out->Put(id.value());
}

bool GetIds(ByteReader* in, std::vector<NodeId>* ids) {
  const size_t count = in->Get<uint16_t>();
  if (count > in->remaining() / sizeof(uint64_t)) return false;
  for (size_t i = 0; i < count; ++i) ids->emplace_back(in->Get<uint64_t>());
  return true;
}

std::vector<NodeId> IdsOf(const Topology& topology) {
  std::vector<NodeId> ids;
  for (const Member& member : topology.members) ids.push_back(member.id);
  return ids;
}

// Of two ascending lists, what is in the first alone.
std::vector<NodeId> Without(const std::vector<NodeId>& ids, const std::vector<NodeId>& others) {
  std::vector<NodeId> left;
  std::set_difference(ids.begin(), ids.end(), others.begin(), others.end(),
                      std::back_inserter(left));
  return left;
}

// What both ends compress with. It may be anything that both come to; the nearer to the next
// document, the smaller the frame. So it follows the grammar of topology_codec.cc, but need not.
std::string DictionaryOf(const Document& base, std::vector<NodeId> come, std::vector<NodeId> gone) {
  std::string dictionary = base.encoded;
  if (come.empty() && gone.empty()) return dictionary;
  std::sort(come.begin(), come.end());
  std::sort(gone.begin(), gone.end());
  const std::vector<NodeId> stay = Without(IdsOf(base.topology), gone);
  std::vector<NodeId> members;
  std::merge(stay.begin(), stay.end(), come.begin(), come.end(), std::back_inserter(members));
  ByteWriter out;
  const auto put = [&](NodeId id) {
    const auto at = std::lower_bound(members.begin(), members.end(), id);
    const bool is_one = at != members.end() && *at == id;
    out.Put(is_one ? static_cast<uint16_t>(at - members.begin()) : uint16_t{0xffff});
  };
  for (const Ownership& family : base.topology.families) {
    for (const NodeId owner : family.owners) put(owner);
  }
  for (const Move& move : base.topology.moves) {
    out.Put(move.partition.value());
    put(move.from);
    put(move.to);
    out.Put(move.since.value());
    out.Put(move.switched.value());
  }
  return dictionary + out.Take();
}

absl::StatusOr<Head> ReadHead(std::string_view delta) {
  ByteReader in(delta);
  const uint8_t format = in.Get<uint8_t>();
  if (in.failed() || format == 0) return Garbage();
  if (format > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat("topology delta: format ", format, " is newer than ", kFormat));
  }
  Head head;
  head.base.epoch = Epoch(in.Get<uint64_t>());
  head.base.check = in.Get<uint64_t>();
  head.size = in.Get<uint32_t>();
  head.check = in.Get<uint64_t>();
  if (!GetIds(&in, &head.come) || !GetIds(&in, &head.gone) || in.failed()) return Garbage();
  head.frame = delta.substr(delta.size() - in.remaining());
  return head;
}

bool Worked(size_t code) { return ZSTD_isError(code) == 0; }

}  // namespace

// What the largest valid document takes (topology_codec.cc), with a little for each thing's
// numbers.
static_assert(kMaxMembers * (4 * kMaxNameBytes + 64) + kMaxTables * (kMaxNameBytes + 64) +
                      kMaxSlices * (2 * kMaxReplicas * (kMaxReplicas + 1) / 2) +
                      kMaxSlices * kMaxReplicas * 32 + kMaxRemoved * sizeof(uint64_t) <=
                  kMaxDocumentBytes,
              "any valid document can go out as a delta");

uint64_t CheckOf(std::string_view encoded) { return XXH3_64bits(encoded.data(), encoded.size()); }

std::string EncodeDelta(const Document* base, const Document& next) {
  GYRE_CHECK((base == nullptr || base->encoded.size() <= kMaxDocumentBytes) &&
                 next.encoded.size() <= kMaxDocumentBytes,
             "a document is bounded");
  std::vector<NodeId> come, gone;
  std::string dictionary;
  if (base != nullptr) {
    come = Without(IdsOf(next.topology), IdsOf(base->topology));
    gone = Without(IdsOf(base->topology), IdsOf(next.topology));
    dictionary = DictionaryOf(*base, come, gone);
  }
  ByteWriter out;
  out.Put(kFormat);
  out.Put(base == nullptr ? uint64_t{0} : base->topology.epoch.value());
  out.Put(base == nullptr ? uint64_t{0} : base->check);
  out.Put(static_cast<uint32_t>(next.encoded.size()));
  out.Put(next.check);
  PutIds(come, &out);
  PutIds(gone, &out);
  std::string delta = out.Take();
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> zstd(ZSTD_createCCtx(), ZSTD_freeCCtx);
  GYRE_CHECK(zstd != nullptr, "out of memory");
  // All of the base is to be within reach of the last byte, or what has moved to the end of a
  // large document is not found.
  const int window =
      std::clamp(static_cast<int>(std::bit_width(dictionary.size() + next.encoded.size())), 17, 27);
  bool set = Worked(ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, kLevel)) &&
             Worked(ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_windowLog, window)) &&
             Worked(ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_enableLongDistanceMatching, 1));
  if (!dictionary.empty()) {
    set = set && Worked(ZSTD_CCtx_refPrefix(zstd.get(), dictionary.data(), dictionary.size()));
  }
  GYRE_CHECK(set, "parameters that this zstd has");
  const size_t head = delta.size();
  delta.resize(head + ZSTD_compressBound(next.encoded.size()));
  const size_t size = ZSTD_compress2(zstd.get(), delta.data() + head, delta.size() - head,
                                     next.encoded.data(), next.encoded.size());
  GYRE_CHECK(Worked(size), "there is room for what does not compress");
  delta.resize(head + size);
  return delta;
}

absl::StatusOr<DeltaBase> BaseOf(std::string_view delta) {
  const absl::StatusOr<Head> head = ReadHead(delta);
  if (!head.ok()) return head.status();
  return head->base;
}

absl::StatusOr<std::string> ApplyDelta(const Document* base, std::string_view delta) {
  const absl::StatusOr<Head> head = ReadHead(delta);
  if (!head.ok()) return head.status();
  if (head->size > kMaxDocumentBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("topology delta: its result would have ", head->size, " bytes"));
  }
  const DeltaBase given =
      base == nullptr ? DeltaBase() : DeltaBase{base->topology.epoch, base->check};
  if (given != head->base) {
    return absl::FailedPreconditionError("topology delta: it is made from another base");
  }
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> zstd(ZSTD_createDCtx(), ZSTD_freeDCtx);
  GYRE_CHECK(zstd != nullptr, "out of memory");
  std::string dictionary;
  if (base != nullptr) {
    dictionary = DictionaryOf(*base, head->come, head->gone);
    if (!Worked(ZSTD_DCtx_refPrefix(zstd.get(), dictionary.data(), dictionary.size()))) {
      return Garbage();
    }
  }
  std::string next(head->size, '\0');
  // What would inflate beyond the size that it says is an error of zstd's.
  const size_t size = ZSTD_decompressDCtx(zstd.get(), next.data(), next.size(), head->frame.data(),
                                          head->frame.size());
  if (!Worked(size) || size != next.size() || CheckOf(next) != head->check) return Garbage();
  return next;
}

}  // namespace gyre
