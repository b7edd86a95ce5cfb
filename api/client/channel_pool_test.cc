#include "api/client/channel_pool.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "api/proto/gyre.grpc.pb.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace gyre {
namespace {

// A server of names (RFC 1035) on a port of its own: every name has the same one address.
class FakeNames {
 public:
  explicit FakeNames(const std::string& address) : socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    Set(address);
    at_.sin_family = AF_INET;
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at_);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&at_), size), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&at_), &size), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeNames() {
    // An empty question ends it.
    sendto(socket_, "", 0, 0, reinterpret_cast<sockaddr*>(&at_), sizeof(at_));
    thread_.join();
    close(socket_);
  }

  void Set(const std::string& address) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(inet_pton(AF_INET, address.c_str(), address_.data()), 1);
  }
  // What gRPC resolves by this server.
  std::string TargetOf(std::string_view name, int port) const {
    return "dns://127.0.0.1:" + std::to_string(ntohs(at_.sin_port)) + "/" + std::string(name) +
           ":" + std::to_string(port);
  }

 private:
  void Serve() {
    std::array<char, 512> question;
    sockaddr_in from = {};
    for (;;) {
      socklen_t size = sizeof(from);
      const ssize_t got = recvfrom(socket_, question.data(), question.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
      if (got <= 0) return;
      const std::string reply = Answer({question.data(), static_cast<size_t>(got)});
      sendto(socket_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  std::string Answer(std::string_view question) {
    constexpr size_t kHeader = 12;
    // The name ends with an empty label; behind it are type and class.
    const size_t end = std::min(question.find('\0', kHeader) + 5, question.size());
    const bool of_ipv4 = question.substr(end - 4, 4) == std::string_view("\0\1\0\1", 4);
    std::string reply(question.substr(0, 2));
    reply += std::string_view("\x81\x80\0\1\0", 5);  // an answer, without an error, to one question
    reply += of_ipv4 ? '\1' : '\0';
    reply += std::string_view("\0\0\0\0", 4);
    reply += question.substr(kHeader, end - kHeader);
    if (!of_ipv4) return reply;
    // The name of the question, which does not stay: one address of four bytes.
    reply += std::string_view("\xc0\x0c\0\1\0\1\0\0\0\0\0\4", 12);
    const std::lock_guard lock(mutex_);
    return reply.append(address_.data(), address_.size());
  }

  const int socket_;
  sockaddr_in at_ = {};
  std::mutex mutex_;
  std::array<char, 4> address_ = {};
  std::thread thread_;
};

// A node that knows no call: it says so, which is enough to know that it was reached.
class Node {
 public:
  Node(const std::string& address, int port) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address + ":" + std::to_string(port),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~Node() { server_->Shutdown(std::chrono::system_clock::now()); }
  int port() const { return port_; }

 private:
  int port_ = 0;
  v1::Gyre::Service service_;
  std::unique_ptr<grpc::Server> server_;
};

// Waits until the node is reached, but not for as long as gRPC does by itself before it looks a
// name up again.
bool Reaches(const std::shared_ptr<grpc::Channel>& channel) {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(20);
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  // A call that was begun on a connection which ends meanwhile is unavailable at once.
  while (code == grpc::StatusCode::UNAVAILABLE) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(deadline);
    v1::ListTablesReply reply;
    code = v1::Gyre::NewStub(channel)->ListTables(&context, {}, &reply).error_code();
  }
  return code == grpc::StatusCode::UNIMPLEMENTED;
}

TEST(ChannelPool, ANodeThatComesBackWithAnotherAddressIsFoundAgain) {
  FakeNames names("127.0.0.1");
  ChannelPool pool;
  auto before = std::make_unique<Node>("127.0.0.1", 0);
  const int port = before->port();
  const auto channel = pool.To(names.TargetOf("node.gyre.test", port));
  ASSERT_TRUE(Reaches(channel));
  before.reset();
  const Node after("127.0.0.2", port);
  names.Set("127.0.0.2");
  EXPECT_TRUE(Reaches(channel));
}

}  // namespace
}  // namespace gyre
