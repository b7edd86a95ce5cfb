#include "test/bench/resp.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Kind = RespReply::Kind;

TEST(Resp, WritesACommandAsAnArrayOfBytes) {
  std::string out;
  AppendRespCommand({"SET", "k", std::string_view("a\r\n\0b", 5)}, &out);
  EXPECT_EQ(out, std::string("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\n\0b\r\n", 31));
}

TEST(Resp, TakesEachKindOfReplyInTurn) {
  const std::string_view received = "+OK\r\n-ERR no\r\n:17\r\n$3\r\na\r\n\r\n$-1\r\n$0\r\n\r\n";
  size_t at = 0;
  const auto take = [&] { return TakeRespReply(received, &at).value(); };
  EXPECT_EQ(take().text, "OK");
  EXPECT_EQ(take().kind, Kind::kError);
  EXPECT_EQ(take().integer, 17);
  EXPECT_EQ(take().text, "a\r\n");
  EXPECT_EQ(take().kind, Kind::kNull);
  EXPECT_EQ(take().text, "");
  EXPECT_EQ(at, received.size());
}

TEST(Resp, WaitsForAReplyThatHasNotComeInWhole) {
  const std::string whole = "$5\r\nab\r\nc\r\n";
  for (size_t size = 0; size < whole.size(); ++size) {
    size_t at = 0;
    EXPECT_FALSE(TakeRespReply(std::string_view(whole).substr(0, size), &at).has_value()) << size;
    EXPECT_EQ(at, 0u);
  }
}

TEST(Resp, TellsWhatIsNoReply) {
  for (const char* received : {"?\r\n", ":x\r\n", "$-2\r\n", "$1x\r\n", "\r\n", "*1\r\n"}) {
    size_t at = 0;
    EXPECT_EQ(TakeRespReply(received, &at).value().kind, Kind::kMalformed) << received;
  }
}

}  // namespace
}  // namespace gyre
