// RESP, the protocol of Redis, as far as a load needs it: commands are arrays of byte strings, and
// replies are status lines, errors, integers or byte strings (redis.io, "Redis serialization
// protocol specification", version 2). Pure.

#ifndef GYRE_TEST_BENCH_RESP_H_
#define GYRE_TEST_BENCH_RESP_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace gyre {

struct RespReply {
  enum class Kind : uint8_t { kStatus, kError, kInteger, kBytes, kNull, kMalformed };
  Kind kind = Kind::kMalformed;
  std::string text;  // of a status, an error or bytes
  int64_t integer = 0;
};

void AppendRespCommand(std::initializer_list<std::string_view> words, std::string* out);

// The reply that starts at `*at`, which moves behind it. Nothing: it has not come in whole.
[[nodiscard]] std::optional<RespReply> TakeRespReply(std::string_view received, size_t* at);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_RESP_H_
