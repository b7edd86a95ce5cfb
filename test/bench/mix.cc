#include "test/bench/mix.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {
namespace {

constexpr uint64_t kLongestScan = 100;  // YCSB's maxscanlength
constexpr size_t kSpareBytes = size_t{1} << 20;

// Bytes that do not compress, so that no store gains by compressing them.
std::string RandomBytes(size_t count, uint64_t seed) {
  Random random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

}  // namespace

const std::vector<Mix>& AllMixes() {
  static const std::vector<Mix> mixes = {
      {.name = "load", .about = "writes every record once, in the order of the keys"},
      {.name = "a",
       .about = "YCSB A, update heavy: 50 % read, 50 % update",
       .reads = 50,
       .updates = 50,
       .keys = KeyLaw::kZipfian},
      {.name = "b",
       .about = "YCSB B, read mostly: 95 % read, 5 % update",
       .reads = 95,
       .updates = 5,
       .keys = KeyLaw::kZipfian},
      {.name = "c", .about = "YCSB C, read only", .reads = 100, .keys = KeyLaw::kZipfian},
      {.name = "d",
       .about = "YCSB D, read latest: 95 % read, 5 % insert",
       .reads = 95,
       .inserts = 5,
       .keys = KeyLaw::kLatest},
      {.name = "e",
       .about = "YCSB E, short ranges: 95 % multi get of 1 to 100 neighbours, 5 % insert",
       .inserts = 5,
       .scans = 95,
       .keys = KeyLaw::kZipfian},
      {.name = "f",
       .about = "YCSB F: 50 % read, 50 % read-modify-write",
       .reads = 50,
       .read_modify_writes = 50,
       .keys = KeyLaw::kZipfian},
      {.name = "read", .about = "gets alone", .reads = 100},
      {.name = "write", .about = "puts alone, of records that are there", .updates = 100},
      {.name = "half", .about = "50 % get, 50 % put", .reads = 50, .updates = 50},
      {.name = "delete",
       .about = "40 % delete, 40 % put, 20 % get",
       .reads = 20,
       .updates = 40,
       .deletes = 40},
      {.name = "siblings",
       .about = "two blind puts, a get of the siblings, a put with its context; on many keys, as\n"
                "a key that many slots meet at reaches the store's limit of 64 siblings",
       .sibling_rounds = 100},
      {.name = "large",
       .about = "50 % get, 50 % put of values of 100 KiB",
       .reads = 50,
       .updates = 50,
       .value_bytes = size_t{100} << 10},
  };
  return mixes;
}

const Mix* FindMix(std::string_view name) {
  for (const Mix& mix : AllMixes()) {
    if (mix.name == name) return &mix;
  }
  return nullptr;
}

MixSource::MixSource(MixOptions options)
    : options_(std::move(options)),
      chooser_(options_.mix.keys, options_.records),
      bytes_(RandomBytes(options_.mix.value_bytes + kSpareBytes, options_.seed)),
      slots_(static_cast<size_t>(options_.slots)),
      next_insert_(options_.mix.is_load() ? 0 : options_.records),
      acknowledged_(options_.records) {}

uint64_t MixSource::DrawKey(Random* random) const {
  return chooser_.Draw(random, acknowledged_.load(std::memory_order_relaxed));
}

Request MixSource::Put(std::string key, Random* random) const {
  Request request;
  request.kind = Request::Kind::kPut;
  request.key = std::move(key);
  request.value = bytes_.substr(random->Below(kSpareBytes), options_.mix.value_bytes);
  return request;
}

std::optional<Request> MixSource::GoOn(Slot* slot, Random* random) const {
  const Step step = std::exchange(slot->next, Step::kAny);
  switch (step) {
    case Step::kAny:
      return std::nullopt;
    case Step::kWriteBack: {
      Request request = Put(std::move(slot->key), random);
      request.context = std::move(slot->context);
      return request;
    }
    case Step::kBlindPut: {
      Request request = Put(slot->key, random);
      request.blind = true;
      slot->next = Step::kReadSiblings;
      return request;
    }
    case Step::kReadSiblings:
      break;
  }
  Request request;
  request.key = slot->key;
  slot->next = Step::kWriteBack;
  return request;
}

Request MixSource::Draw(Slot* slot, Random* random) {
  const Mix& mix = options_.mix;
  const auto draw = static_cast<int>(random->Below(100));
  int upto = mix.inserts;
  if (draw < upto) {
    return Put(KeyName(next_insert_.fetch_add(1, std::memory_order_relaxed)), random);
  }
  const uint64_t key = DrawKey(random);
  Request request;
  if (draw < (upto += mix.scans)) {
    request.kind = Request::Kind::kMultiGet;
    const uint64_t length = 1 + random->Below(kLongestScan);
    const uint64_t last = std::min(key + length, options_.records);
    for (uint64_t at = key; at < last; ++at) request.keys.push_back(KeyName(at));
    return request;
  }
  request.key = KeyName(key);
  if (draw < (upto += mix.updates)) return Put(std::move(request.key), random);
  if (draw < (upto += mix.deletes)) {
    request.kind = Request::Kind::kDelete;
    return request;
  }
  if (draw < (upto += mix.sibling_rounds)) {
    slot->key = request.key;
    slot->next = Step::kBlindPut;
    request = Put(std::move(request.key), random);
    request.blind = true;
    return request;
  }
  if (draw < (upto += mix.read_modify_writes)) {
    slot->key = request.key;
    slot->next = Step::kWriteBack;
  }
  return request;
}

std::optional<Request> MixSource::Next(int slot_number, int64_t, Random* random) {
  if (options_.mix.is_load()) {
    const uint64_t key = next_insert_.fetch_add(1, std::memory_order_relaxed);
    if (key >= options_.records) return std::nullopt;
    return Put(KeyName(key), random);
  }
  Slot* slot = &slots_[static_cast<size_t>(slot_number)];
  if (std::optional<Request> request = GoOn(slot, random)) return request;
  return Draw(slot, random);
}

void MixSource::OnReply(int slot_number, const Request& request, int64_t, int64_t,
                        const Reply& reply) {
  if (options_.mix.inserts > 0 && request.kind == Request::Kind::kPut) {
    acknowledged_.fetch_add(1, std::memory_order_relaxed);
  }
  Slot& slot = slots_[static_cast<size_t>(slot_number)];
  if (!reply.status.ok()) {
    slot.next = Step::kAny;
  } else if (slot.next == Step::kWriteBack) {
    slot.context = reply.context;
  }
}

std::vector<std::string> MixSource::Judge(const ReadFn&) { return {}; }

}  // namespace gyre
