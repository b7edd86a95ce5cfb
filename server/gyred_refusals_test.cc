// What Gyred takes of the machine, and what it refuses: at its start, of connections, and when
// there is too much.

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "api/limits.h"
#include "server/client_calls.h"
#include "server/gyred.h"
#include "server/local_cluster.h"
#include "server/machine_memory.h"

namespace gyre {
namespace {

TEST(Gyred, SizesItsCachesByTheMachineWhereNothingElseIsSaid) {
  LocalCluster cluster(1);
  const auto node = Gyred::Start(cluster.config(0), {[](const std::string&) {}});
  ASSERT_TRUE(node.ok()) << node.status();
  const uint64_t blocks = DefaultBlockCacheBytes(UsableMemoryBytes());
  EXPECT_EQ((*node)->config().block_cache_bytes, blocks);
  EXPECT_EQ((*node)->config().record_cache_bytes, DefaultRecordCacheBytes(blocks));
  EXPECT_TRUE((*node)->Stop().ok());
}

TEST(Gyred, SizesTheRecordCacheByTheBlockCacheThatIsConfigured) {
  LocalCluster cluster(1);
  cluster.config(0).block_cache_bytes = uint64_t{16} << 20;
  const auto node = Gyred::Start(cluster.config(0), {[](const std::string&) {}});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ((*node)->config().record_cache_bytes, uint64_t{8} << 20);
  EXPECT_TRUE((*node)->Stop().ok());
}

TEST(Gyred, RefusesAPortInUseAndNamesIt) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  cluster.config(1).client_listen = cluster.config(0).client_listen;
  const absl::Status status = cluster.Start(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("client_listen"), std::string::npos) << status;
  EXPECT_NE(status.message().find("in use"), std::string::npos) << status;
}

TEST(Gyred, RefusesADirectoryWithOtherFilesAndLeavesItAlone) {
  LocalCluster cluster(1);
  const std::filesystem::path directory = cluster.config(0).data_dir;
  std::filesystem::create_directory(directory);
  std::filesystem::permissions(directory, static_cast<std::filesystem::perms>(0755));
  std::ofstream(directory / "letter.txt") << "text";
  const absl::Status status = cluster.Start(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("data_dir"), std::string::npos) << status;
  EXPECT_EQ(std::filesystem::status(directory).permissions(),
            static_cast<std::filesystem::perms>(0755));
  EXPECT_FALSE(std::filesystem::exists(directory / "store"));
}

TEST(Gyred, RefusesADataDirectoryThatAnotherHolds) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  cluster.config(1).data_dir = cluster.config(0).data_dir;
  EXPECT_EQ(cluster.Start(1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Gyred, RefusesTheDataDirectoryOfAnotherNode) {
  LocalCluster cluster(2);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  cluster.config(1).data_dir = cluster.config(0).data_dir;
  EXPECT_EQ(cluster.Start(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(cluster.Start(0).ok());  // and leaves it as it was
}

TEST(Gyred, RefusesTheDataDirectoryOfAnotherCluster) {
  LocalCluster cluster(1);
  ASSERT_TRUE(cluster.Start(0).ok());
  ASSERT_TRUE(cluster.Stop(0).ok());
  cluster.config(0).cluster_name = "other";
  EXPECT_EQ(cluster.Start(0).code(), absl::StatusCode::kFailedPrecondition);
}

const std::string kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kEmptySettings("\0\0\0\4\0\0\0\0\0", 9);

// A connection to a port of this machine, byte by byte.
class RawConnection {
 public:
  explicit RawConnection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    const timeval patience{10, 0};
    EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { close(fd_); }

  void Send(const std::string& bytes) const {
    EXPECT_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // So many bytes, or fewer where no more come.
  std::string Read(size_t count) const {
    std::string bytes(count, 0);
    size_t have = 0;
    while (have < count) {
      const ssize_t got = read(fd_, bytes.data() + have, count - have);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }
  // Whether the other end has closed it; waits for that.
  bool closed() const {
    char byte;
    const ssize_t got = read(fd_, &byte, 1);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

 private:
  const int fd_;
};

TEST(Gyred, ClosesAConnectionThatSendsHalfAFrameAndThenNothing) {
  LocalCluster cluster(1);
  cluster.config(0).keepalive = Duration::Millis(200);
  cluster.config(0).keepalive_timeout = Duration::Millis(200);
  cluster.config(0).handshake = Duration::Millis(400);
  ASSERT_TRUE(cluster.Start(0).ok());
  const std::string half_headers("\0\0\x40\1\4\0\0\0\1\x82\x84", 11);
  for (const std::string& sent :
       {kHttp2Preface.substr(0, 10), kHttp2Preface + kEmptySettings + half_headers}) {
    const RawConnection connection(cluster.config(0).client_listen.port);
    connection.Send(sent);
    while (!connection.Read(1).empty()) {
    }
    EXPECT_TRUE(connection.closed()) << "still open";
  }
}

TEST(Gyred, AllowsFewStreamsOnAPeersConnection) {
  LocalCluster cluster(1);
  ASSERT_TRUE(cluster.Start(0).ok());
  const RawConnection connection(cluster.config(0).peer_listen.port);
  connection.Send(kHttp2Preface + kEmptySettings);
  // The first frame of an HTTP/2 server: its length in 3 bytes, its type, 5 bytes more, and then
  // each setting as its number in 2 bytes and its value in 4.
  const std::string head = connection.Read(9);
  ASSERT_EQ(head.size(), 9u);
  ASSERT_EQ(head[3], 4) << "SETTINGS";
  const auto number = [](const std::string& bytes, size_t from, size_t count) {
    uint32_t value = 0;
    for (size_t i = from; i < from + count; ++i)
      value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  };
  const std::string settings = connection.Read(number(head, 0, 3));
  constexpr uint32_t kMaxConcurrentStreams = 3;
  std::optional<uint32_t> streams;
  for (size_t at = 0; at + 6 <= settings.size(); at += 6) {
    if (number(settings, at, 2) == kMaxConcurrentStreams) streams = number(settings, at + 2, 4);
  }
  EXPECT_EQ(streams, 4u);
}

TEST(Gyred, AnswersOverloadedWhenTooMuchIsInFlight) {
  LocalCluster cluster(1);
  cluster.config(0).max_in_flight = 2;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (int i = 0; i < 10; ++i) puts.add_items()->set_key("k" + std::to_string(i));
  v1::MultiPutReply reply;
  ASSERT_TRUE(stub->MultiPut(&context, puts, &reply).ok());
  int overloaded = 0;
  for (const v1::ItemOutcome& item : reply.items()) {
    if (item.status().detail().reason() != v1::ErrorDetail::OVERLOADED) continue;
    EXPECT_GT(item.status().detail().retry_after_ms(), 0u);
    ++overloaded;
  }
  EXPECT_EQ(overloaded, 8);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok());
}

TEST(Gyred, AnswersOverloadedWhenTooManyBytesAreInFlight) {
  LocalCluster cluster(1);
  cluster.config(0).max_in_flight_bytes = size_t{1} << 20;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiPutRequest puts;
  puts.set_table("carts");
  for (int i = 0; i < 8; ++i) {
    auto* const item = puts.add_items();
    item->set_key("k" + std::to_string(i));
    item->set_value(std::string(400'000, 'v'));
  }
  v1::MultiPutReply reply;
  ASSERT_TRUE(stub->MultiPut(&context, puts, &reply).ok());
  const auto overloaded =
      std::count_if(reply.items().begin(), reply.items().end(), [](const v1::ItemOutcome& item) {
        return item.status().detail().reason() == v1::ErrorDetail::OVERLOADED;
      });
  EXPECT_EQ(overloaded, 6);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok()) << "they are counted no more";
}

TEST(Gyred, AnswersOverloadedWhenMoreAtOnceWouldWaitTooLong) {
  LocalCluster cluster(1);
  cluster.config(0).admission.most = 2;
  cluster.StartAll("carts");
  const auto stub = cluster.Connect(0);
  grpc::ClientContext context;
  v1::MultiGetRequest gets;
  gets.set_table("carts");
  for (int i = 0; i < 10; ++i) gets.add_keys("k" + std::to_string(i));
  v1::MultiGetReply reply;
  ASSERT_TRUE(stub->MultiGet(&context, gets, &reply).ok());
  int overloaded = 0;
  for (const v1::ItemOutcome& item : reply.items()) {
    if (item.status().detail().reason() != v1::ErrorDetail::OVERLOADED) continue;
    EXPECT_GE(item.status().detail().retry_after_ms(), 10u);
    ++overloaded;
  }
  EXPECT_EQ(overloaded, 8);
  EXPECT_TRUE(Put(stub.get(), PutOf("k", "v")).status.ok()) << "what was answered makes room";
}

}  // namespace
}  // namespace gyre
