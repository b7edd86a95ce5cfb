#include "server/http_door.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "server/held_port.h"

namespace gyre {
namespace {

TEST(HttpDoor, ClosesAsSoonAsItIsOpen) {
  const HeldPort port;
  for (int round = 0; round < 100; ++round) {
    absl::StatusOr<std::unique_ptr<HttpDoor>> door =
        HttpDoor::Open(port.address(), {[] { return "metrics"; }, [] { return ""; }});
    ASSERT_TRUE(door.ok()) << door.status();
    door->reset();  // hangs where the thread had not begun to listen
  }
}

}  // namespace
}  // namespace gyre
