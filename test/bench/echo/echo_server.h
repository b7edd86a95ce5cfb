// The bare echo as a server, in each form that a gRPC server may take.
//
//   callback   the callback API; also serves the stream, whose frames it returns as they come
//   queue      one completion queue and one thread; unary calls alone
//
// Both serve until Shutdown, which any thread may call.

#ifndef GYRE_TEST_BENCH_ECHO_ECHO_SERVER_H_
#define GYRE_TEST_BENCH_ECHO_ECHO_SERVER_H_

#include <memory>
#include <string>

namespace gyre {

class EchoServer {
 public:
  virtual ~EchoServer() = default;
  virtual void Shutdown() = 0;
};

// Null: nothing can listen at `address` (host:port).
[[nodiscard]] std::unique_ptr<EchoServer> StartCallbackEcho(const std::string& address);
[[nodiscard]] std::unique_ptr<EchoServer> StartQueueEcho(const std::string& address);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_ECHO_ECHO_SERVER_H_
