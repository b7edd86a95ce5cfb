// Mix: shares of requests under a name, such as YCSB A, and MixSource, which asks by them.
//
// YCSB (Cooper et al., SoCC 2010, table 2), in the terms of this store:
//   read                a get
//   update              a put without a context: it replaces what its coordinator knows
//   insert              a put of a new key
//   read-modify-write   a get, and then a put with the context of that get. Both are counted, each
//                       with its own latency: YCSB counts the pair as one.
//   scan                a multi get of 1 to 100 neighbouring keys, the number uniform. The store
//                       spreads keys by their hash and has no ordered scan over a table, so the
//                       client names the keys that an ordered store would have walked; each is a
//                       quorum read of its own. It counts as one request.
//
// Of its own:
//   sibling round       two blind puts to a key, a get of the siblings, a put with its context
//                       that resolves them: 2/4 blind puts, 1/4 gets, 1/4 context writes

#ifndef GYRE_TEST_BENCH_MIX_H_
#define GYRE_TEST_BENCH_MIX_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "test/bench/key_chooser.h"
#include "test/bench/request_source.h"

namespace gyre {

struct Mix {
  std::string_view name;
  std::string_view about;
  // In hundredths; together 100, or 0 for load.
  int reads = 0;
  int updates = 0;
  int inserts = 0;
  int scans = 0;
  int read_modify_writes = 0;
  int deletes = 0;
  int sibling_rounds = 0;
  KeyLaw keys = KeyLaw::kUniform;  // unless the command line says otherwise
  size_t value_bytes = 1024;       // unless the command line says otherwise

  // Writes the records 0 to `records` - 1, each once, and is through.
  bool is_load() const {
    return reads + updates + inserts + scans + read_modify_writes + deletes + sibling_rounds == 0;
  }
};

[[nodiscard]] const std::vector<Mix>& AllMixes();
[[nodiscard]] const Mix* FindMix(std::string_view name);

struct MixOptions {
  Mix mix;
  uint64_t records = 100'000;  // that are there, or that load writes
  int slots = 1;
  uint64_t seed = 1;  // of the bytes of the values
};

class MixSource final : public RequestSource {
 public:
  explicit MixSource(MixOptions options);

  std::optional<Request> Next(int slot, int64_t now_us, Random* random) override;
  void OnReply(int slot, const Request& request, int64_t started_us, int64_t ended_us,
               const Reply& reply) override;
  std::vector<std::string> Judge(const ReadFn& read) override;

 private:
  enum class Step : uint8_t { kAny, kWriteBack, kBlindPut, kReadSiblings };
  // What a slot goes on with after the reply to its last request.
  struct alignas(64) Slot {
    Step next = Step::kAny;
    std::string key;
    std::string context;
  };

  Request Put(std::string key, Random* random) const;
  uint64_t DrawKey(Random* random) const;
  std::optional<Request> GoOn(Slot* slot, Random* random) const;
  Request Draw(Slot* slot, Random* random);

  const MixOptions options_;
  const KeyChooser chooser_;
  std::string bytes_;                   // values are cut from it
  std::vector<Slot> slots_;             // each of one thread at a time
  std::atomic<uint64_t> next_insert_;   // number of the next new key
  std::atomic<uint64_t> acknowledged_;  // how many there are for `latest`
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_MIX_H_
