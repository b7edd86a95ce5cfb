// How long values live, as people write it: "90s", "1h30m", "7d", "never".
//
// Pure functions; any thread.

#ifndef GYRE_API_CLI_TTL_H_
#define GYRE_API_CLI_TTL_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace gyre {

// Days, hours, minutes, seconds and milliseconds (d, h, m, s, ms), in this order, or "never", which
// is absl::InfiniteDuration(). INVALID_ARGUMENT for anything else, below 1 ms, or over 100 years.
absl::StatusOr<absl::Duration> ParseTtl(std::string_view text);

// Back, in at most two units, of which the last is rounded down: "6d23h", "59m1s", "1.5s", "never".
std::string TtlText(absl::Duration ttl);

}  // namespace gyre

#endif  // GYRE_API_CLI_TTL_H_
