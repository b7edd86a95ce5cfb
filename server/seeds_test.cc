#include "server/seeds.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/fake_peer.h"
#include "server/held_port.h"

namespace gyre {
namespace {

Topology Document() { return *InitialTopology("test", 8, {{{}, "n0", "z", "h:1", "h:2"}}); }

grpc::Status Welcome(peer::JoinReply* reply) {
  reply->set_topology(EncodeTopology(Document()));
  return grpc::Status::OK;
}
grpc::Status LetAllIn(int, grpc::ServerContext*, const peer::JoinRequest& request,
                      peer::JoinReply* reply) {
  EXPECT_EQ(request.node_name(), "n9");
  return Welcome(reply);
}
std::string AddressOf(const FakePeer& seed) { return seed.member().peer_address; }

absl::StatusOr<Topology> Ask(std::vector<std::string> seeds, SeedOptions options = {}) {
  options.seeds = std::move(seeds);
  options.pause = Duration::Millis(1);
  peer::JoinRequest request;
  request.set_node_name("n9");
  return AskSeeds(options, request);
}

TEST(Seeds, TheFirstThatAnswersWillDo) {
  const HeldPort nobody;
  FakePeer first(LetAllIn);
  FakePeer second(LetAllIn);
  const absl::StatusOr<Topology> document =
      Ask({nobody.address().ToString(), AddressOf(first), AddressOf(second)});
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(*document, Document());
  EXPECT_EQ(second.joins(), 0);
}

TEST(Seeds, AreAskedNoMoreOftenThanIsWanted) {
  FakePeer busy([](int, grpc::ServerContext*, const peer::JoinRequest&, peer::JoinReply*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no majority");
  });
  SeedOptions twice;
  twice.rounds = 2;
  const absl::StatusOr<Topology> document = Ask({AddressOf(busy)}, twice);
  EXPECT_EQ(document.status().code(), absl::StatusCode::kUnavailable) << document.status();
  EXPECT_NE(document.status().message().find("no majority"), std::string::npos);
  EXPECT_EQ(busy.joins(), 2);
}

TEST(Seeds, AnAddressThatIsNoneHoldsNobodyUp) {
  FakePeer seed(LetAllIn);
  EXPECT_TRUE(Ask({"127.0.0.1:99999", "[::", "", AddressOf(seed)}).ok());
}

TEST(Seeds, AreAskedAgainAndAgain) {
  FakePeer seed([](int number, grpc::ServerContext*, const peer::JoinRequest&,
                   peer::JoinReply* reply) -> grpc::Status {
    if (number == 0) return {grpc::StatusCode::UNAVAILABLE, "no majority"};
    if (number == 1) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many changes wait"};
    if (number == 2) return {grpc::StatusCode::ABORTED, "another came first"};
    return Welcome(reply);
  });
  ASSERT_TRUE(Ask({AddressOf(seed)}).ok());
  EXPECT_EQ(seed.joins(), 4);
}

TEST(Seeds, WhatTheClusterRefusesIsFinalAndNamesTheSeed) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::ALREADY_EXISTS, grpc::StatusCode::FAILED_PRECONDITION,
        grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::UNIMPLEMENTED}) {
    FakePeer seed(
        [&](int, grpc::ServerContext*, const peer::JoinRequest&, peer::JoinReply*) -> grpc::Status {
          return {code, "there is another node 'n9'"};
        });
    const absl::Status status = Ask({AddressOf(seed)}).status();
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code)) << status;
    EXPECT_NE(status.message().find(AddressOf(seed)), std::string::npos) << status;
    EXPECT_NE(status.message().find("another node 'n9'"), std::string::npos) << status;
    EXPECT_EQ(seed.joins(), 1);
  }
}

TEST(Seeds, WhatIsNoDocumentIsRefused) {
  FakePeer seed([](int, grpc::ServerContext*, const peer::JoinRequest&, peer::JoinReply* reply) {
    reply->set_topology(EncodeTopology(Document()) + "more");
    return grpc::Status::OK;
  });
  EXPECT_EQ(Ask({AddressOf(seed)}).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Seeds, OneThatDoesNotAnswerHoldsNobodyUp) {
  FakePeer silent(
      [](int, grpc::ServerContext* context, const peer::JoinRequest&, peer::JoinReply*) {
        while (!context->IsCancelled()) std::this_thread::yield();
        return grpc::Status::CANCELLED;
      });
  FakePeer seed(LetAllIn);
  SeedOptions options;
  options.patience = Duration::Millis(50);
  // The second may take longer than that, where the machine is slow: it is asked again then.
  EXPECT_TRUE(Ask({AddressOf(silent), AddressOf(seed)}, options).ok());
  EXPECT_GE(silent.joins(), 1);
}

TEST(Seeds, TheWaitEndsWhenItIsTold) {
  const HeldPort nobody;
  int looks = 0;
  SeedOptions options;
  options.give_up = [&] { return ++looks > 20; };
  EXPECT_EQ(Ask({nobody.address().ToString()}, options).status().code(),
            absl::StatusCode::kCancelled);
}

// Names of a zone of its own, over UDP: each question for an IPv4 address is answered with the next
// of `addresses`, and then with the last again and again.
class NameServer {
 public:
  explicit NameServer(std::vector<std::string> addresses)
      : addresses_(std::move(addresses)), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in here = {};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
    socklen_t size = sizeof(here);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&here), &size), 0);
    port_ = ntohs(here.sin_port);
    const timeval patience = {0, 20'000};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    thread_ = std::thread([this] { Run(); });
  }
  ~NameServer() {
    stopping_ = true;
    thread_.join();
    close(socket_);
  }

  // As gRPC has it: which server to ask for which name, and the port of what is found.
  std::string Named(const std::string& name, int port) const {
    return absl::StrCat("dns://127.0.0.1:", port_, "/", name, ":", port);
  }
  int asked() const { return asked_; }

 private:
  void Run() {
    char message[512];
    while (!stopping_) {
      sockaddr_in from = {};
      socklen_t size = sizeof(from);
      const ssize_t bytes =
          recvfrom(socket_, message, sizeof(message), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (bytes < 17) continue;
      const std::string answer = AnswerTo(std::string(message, static_cast<size_t>(bytes)));
      sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  // RFC 1035, section 4: the question again, and for an address one record that points back at it.
  std::string AnswerTo(const std::string& question) {
    const size_t end = question.find('\0', 12);  // of the name, that follows the header
    const bool asks_ipv4 = end + 4 < question.size() && question[end + 2] == 1;
    std::string answer = question.substr(0, 2) + std::string("\x81\x80\0\x01\0\0\0\0\0\0", 10);
    answer += question.substr(12, end + 5 - 12);
    if (!asks_ipv4) return answer;
    answer[7] = 1;
    const size_t number = std::min(static_cast<size_t>(asked_++), addresses_.size() - 1);
    in_addr address = {};
    inet_pton(AF_INET, addresses_[number].c_str(), &address);
    answer += std::string("\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04", 12);
    return answer.append(reinterpret_cast<const char*>(&address), sizeof(address));
  }

  const std::vector<std::string> addresses_;
  const int socket_;
  int port_ = 0;
  std::atomic<int> asked_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

TEST(Seeds, ANameIsLookedUpAfreshAtEachTry) {
  // Two of the addresses are of pods that are gone.
  FakePeer seed(LetAllIn);
  NameServer names({"127.0.0.2", "127.0.0.3", "127.0.0.1"});
  int looks = 0;
  SeedOptions options;
  options.give_up = [&] { return ++looks > 20; };
  EXPECT_TRUE(Ask({names.Named("gyre.test", seed.port())}, options).ok());
  EXPECT_EQ(names.asked(), 3);
}

}  // namespace
}  // namespace gyre
