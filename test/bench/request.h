// Request and Reply: what a load asks of a store and what it hears, whichever store it is.
//
// Plain values.

#ifndef GYRE_TEST_BENCH_REQUEST_H_
#define GYRE_TEST_BENCH_REQUEST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace gyre {

struct Request {
  enum class Kind : uint8_t { kGet, kPut, kDelete, kMultiGet };
  static constexpr size_t kKinds = 4;

  Kind kind = Kind::kGet;
  bool blind = false;  // a put that replaces nothing
  std::string key;
  std::string value;
  std::string context;            // of a write: as a read of the same key gave it; may be empty
  std::vector<std::string> keys;  // of a multi get, in place of `key`
};

[[nodiscard]] constexpr std::string_view NameOf(Request::Kind kind) {
  constexpr std::array<std::string_view, Request::kKinds> kNames = {"get", "put", "delete",
                                                                    "multi_get"};
  return kNames[static_cast<size_t>(kind)];
}

struct Reply {
  absl::Status status = {};
  bool outcome_unknown = false;          // a write that failed and may still take effect
  std::vector<std::string> values = {};  // of a get
  std::string context = {};
  uint32_t absent = 0;  // keys of a get or multi get that are not there
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REQUEST_H_
