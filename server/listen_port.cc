#include "server/listen_port.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

absl::StatusOr<int> BindOnce(const addrinfo& where) {
  const int socket_fd = socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0) return absl::UnavailableError(std::strerror(errno));
  const int on = 1;
  const auto fail = [&] {
    absl::Status status = absl::UnavailableError(std::strerror(errno));
    close(socket_fd);
    return status;
  };
  // As the real listener will: connections of the last life that linger do not count.
  if (setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return fail();
  if (bind(socket_fd, where.ai_addr, where.ai_addrlen) != 0) return fail();
  if (listen(socket_fd, 1) != 0) return fail();
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  if (getsockname(socket_fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) return fail();
  close(socket_fd);
  return bound.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

absl::Status Refusal(std::string_view field, const Address& address, const std::string& why) {
  return absl::UnavailableError(
      absl::StrCat(std::string(field), ": cannot listen on ", address.ToString(), ": ", why));
}

}  // namespace

absl::StatusOr<int> ClaimPort(std::string_view field, const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(field), ": cannot find host \"",
                                                   address.host, "\": ", gai_strerror(error)));
  }
  absl::StatusOr<int> bound = BindOnce(*found);
  freeaddrinfo(found);
  if (bound.ok()) return bound;
  return Refusal(field, address, std::string(bound.status().message()));
}

absl::Status CannotListen(std::string_view field, const Address& address) {
  const absl::StatusOr<int> again = ClaimPort(field, address);
  if (!again.ok()) return again.status();
  return Refusal(field, address, "the system gives no reason");
}

}  // namespace gyre
