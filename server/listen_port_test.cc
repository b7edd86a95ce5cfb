#include "server/listen_port.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace gyre {
namespace {

// A port of loopback that somebody listens on.
class HeldPort {
 public:
  HeldPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(socket_, 1), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
  }
  ~HeldPort() { close(socket_); }
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;
  int port() const { return port_; }

 private:
  const int socket_;
  int port_ = 0;
};

TEST(ListenPort, SaysWhyItCannotListen) {
  const HeldPort held;
  const Address address{"127.0.0.1", held.port()};
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
