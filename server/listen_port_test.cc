#include "server/listen_port.h"

#include <gtest/gtest.h>

#include <string>

#include "server/held_port.h"

namespace gyre {
namespace {

TEST(ListenPort, SaysWhyItCannotListen) {
  HeldPort held;
  held.Listen();
  const Address& address = held.address();
  for (const absl::Status& status :
       {ClaimPort("peer_listen", address).status(), CannotListen("peer_listen", address)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(status.message(),
              "peer_listen: cannot listen on " + address.ToString() + ": Address already in use");
  }
}

TEST(ListenPort, IsAnErrorEvenWhereTheReasonIsGone) {
  const absl::StatusOr<int> free = ClaimPort("x", {"127.0.0.1", 0});
  ASSERT_TRUE(free.ok());
  EXPECT_EQ(CannotListen("x", {"127.0.0.1", *free}).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace gyre
