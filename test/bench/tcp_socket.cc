#include "test/bench/tcp_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

bool SetPatience(int socket, int timeout_ms) {
  const timeval patience = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
  return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0;
}

}  // namespace

absl::StatusOr<TcpSocket> TcpSocket::Dial(const std::string& address, int timeout_ms) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port <= 0 || port > 65'535 ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("'", address, "' is no IPv4 address and port"));
  }
  to.sin_port = htons(static_cast<uint16_t>(port));
  TcpSocket dialled(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int socket = dialled.descriptor_;
  if (socket < 0 || connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 ||
      setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      !SetPatience(socket, timeout_ms)) {
    return absl::UnavailableError(absl::StrCat(address, ": ", std::strerror(errno)));
  }
  return dialled;
}

TcpSocket::TcpSocket(TcpSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

TcpSocket::~TcpSocket() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool TcpSocket::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TcpSocket::Receive(std::string* received) const {
  char bytes[64 << 10];
  for (;;) {
    const ssize_t count = recv(descriptor_, bytes, sizeof bytes, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    received->append(bytes, static_cast<size_t>(count));
    return true;
  }
}

void TcpSocket::WaitForEver() const { SetPatience(descriptor_, 0); }

void TcpSocket::Shut() const { shutdown(descriptor_, SHUT_RDWR); }

}  // namespace gyre
