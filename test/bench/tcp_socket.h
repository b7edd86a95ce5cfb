// TcpSocket: a blocking TCP connection, for the clients of the peers that Gyre is measured beside.
//
// One thread may send while another receives; Shut may be called by any.

#ifndef GYRE_TEST_BENCH_TCP_SOCKET_H_
#define GYRE_TEST_BENCH_TCP_SOCKET_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gyre {

class TcpSocket {
 public:
  // `address` is host:port, the host as numbers. Silence of over `timeout_ms` ends Receive; 0: it
  // waits for ever. INVALID_ARGUMENT, or UNAVAILABLE with what the system said.
  [[nodiscard]] static absl::StatusOr<TcpSocket> Dial(const std::string& address, int timeout_ms);

  TcpSocket(TcpSocket&& other) noexcept;
  TcpSocket& operator=(TcpSocket&&) = delete;
  ~TcpSocket();

  // All of it, or false: the connection is of no use any more.
  [[nodiscard]] bool Send(std::string_view bytes) const;
  // Appends what has come, at least a byte. False: it has ended, or was silent for too long.
  [[nodiscard]] bool Receive(std::string* received) const;
  // From now on no silence ends Receive.
  void WaitForEver() const;
  // Ends what another thread sends or receives.
  void Shut() const;

 private:
  explicit TcpSocket(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_TCP_SOCKET_H_
