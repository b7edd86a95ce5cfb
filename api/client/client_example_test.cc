// The worked example of client.h, run against a cluster. It and the header's text are kept the same
// by the second test.

#include <fstream>
#include <future>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/client/client.h"
#include "api/client/fake_server.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

absl::Status Example(const std::vector<std::string>& addresses) {
  // clang-format off
  // [begin]
  absl::StatusOr<std::unique_ptr<gyre::Client>> client =
      gyre::Client::Connect({.seeds = addresses});
  if (!client.ok()) return client.status();

  // A table once, from any client: three copies of everything, read and written at two.
  gyre::v1::Table carts;
  carts.set_name("carts");
  carts.set_replicas(3);
  if (auto made = (*client)->CreateTable(carts); !made.ok()) return made.status();

  // Write, and wait for the outcome.
  absl::StatusOr<gyre::PutResult> put = (*client)->Put("carts", "ada", "tea").get();
  if (!put.ok()) return put.status();

  // Read, change, write back with the context of the read: it replaces what was read and only
  // that. A write that somebody else made meanwhile stays beside it, as a sibling.
  absl::StatusOr<gyre::GetResult> cart = (*client)->Get("carts", "ada").get();
  if (!cart.ok()) return cart.status();
  std::string merged;
  for (const std::string& sibling : cart->values) merged += sibling + ",";
  merged += "cups";
  put = (*client)->Put("carts", "ada", merged, {.context = cart->context}).get();
  if (!put.ok()) return put.status();

  // Many at once, without a thread for each: a callback instead of a future.
  std::promise<void> read;
  (*client)->Get("carts", "ada", {}, [&](absl::StatusOr<gyre::GetResult> result) {
    if (result.ok() && result->found()) std::cout << result->values.front() << "\n";
    read.set_value();
  });
  read.get_future().wait();
  // [end]
  // clang-format on
  return absl::OkStatus();
}

// The lines between two marks, without their first `indent` characters.
std::string Between(const std::string& path, const std::string& begin, const std::string& end,
                    size_t indent) {
  std::ifstream file(path);
  std::string text;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.find(end) != std::string::npos && inside) break;
    if (inside) text += (line.size() > indent ? line.substr(indent) : "") + "\n";
    if (line.find(begin) != std::string::npos && !inside) inside = true;
  }
  return text;
}

TEST(ClientExample, DoesWhatTheHeaderSays) {
  FakeCluster cluster;
  std::ostringstream printed;
  std::streambuf* const terminal = std::cout.rdbuf(printed.rdbuf());
  const absl::Status status = Example(cluster.addresses());
  std::cout.rdbuf(terminal);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(printed.str(), "tea,cups\n");
}

TEST(ClientExample, IsTheTextOfTheHeader) {
  const std::string folder = GYRE_SOURCE_DIR "/api/client/";
  const std::string in_header = Between(folder + "client.h", "// client_example_test.cc",
                                        "// What it does for its callers", 5);
  const std::string in_test = Between(folder + "client_example_test.cc", "[begin]", "[end]", 2);
  EXPECT_EQ(in_header, "\n" + in_test + "\n");
}

}  // namespace
}  // namespace gyre
