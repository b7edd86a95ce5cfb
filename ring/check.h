// GYRE_CHECK: an assertion about our own mistakes. It stays on in production: a node that has
// broken one of its own invariants must stop before it acknowledges anything else.
//
// Bad input and failing devices are not our mistakes; those travel as absl::Status or as an enum.

#ifndef GYRE_RING_CHECK_H_
#define GYRE_RING_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace gyre {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition,
                                     const char* why) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s (%s)\n", file, line, condition, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace gyre

#define GYRE_CHECK(condition, why)                              \
  do {                                                          \
    if (!(condition)) {                                         \
      ::gyre::CheckFailed(__FILE__, __LINE__, #condition, why); \
    }                                                           \
  } while (false)

#endif  // GYRE_RING_CHECK_H_
