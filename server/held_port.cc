#include "server/held_port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring/check.h"

namespace gyre {

HeldPort::HeldPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in bound{};
  bound.sin_family = AF_INET;
  bound.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(bound);
  auto* const any = reinterpret_cast<sockaddr*>(&bound);
  GYRE_CHECK(bind(socket_, any, length) == 0, "loopback has free ports");
  GYRE_CHECK(getsockname(socket_, any, &length) == 0, "a bound socket has a name");
  // Only now: otherwise a port that another test holds in this way could be ours as well.
  const int on = 1;
  GYRE_CHECK(setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0,
             "a held port can be shared");
  address_ = {"127.0.0.1", ntohs(bound.sin_port)};
}

HeldPort::~HeldPort() { close(socket_); }

void HeldPort::Listen() { GYRE_CHECK(listen(socket_, 1) == 0, "a held port can be listened on"); }

}  // namespace gyre
