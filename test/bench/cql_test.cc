#include "test/bench/cql.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

using Kind = CqlAnswer::Kind;

// A frame from a server: version, flags, stream 7, and the rest.
std::string Frame(uint8_t opcode, std::string_view body) {
  std::string frame("\x84\0\0\7", 4);
  frame.push_back(static_cast<char>(opcode));
  frame.append(3, '\0');
  frame.push_back(static_cast<char>(body.size()));
  return frame.append(body);
}
std::string_view Bytes(const char* text, size_t size) { return {text, size}; }

TEST(Cql, WritesAStatementWithItsArguments) {
  std::string out;
  AppendCqlExecute(258, "id", {"key", ""}, CqlConsistency::kQuorum, &out);
  EXPECT_EQ(out, Bytes("\4\0\1\2\x0a\0\0\0\x14"
                       "\0\2id\0\4\3\0\2\0\0\0\3key\0\0\0\0",
                       29));
}

TEST(Cql, TakesEachKindOfAnswerInTurn) {
  const std::string received =
      Frame(2, "") + Frame(8, Bytes("\0\0\0\1", 4)) + Frame(8, Bytes("\0\0\0\4\0\2id..", 10)) +
      Frame(8, Bytes("\0\0\0\2\0\0\0\4\0\0\0\1\0\0\0\1\0\0\0\5value", 25)) +
      Frame(8, Bytes("\0\0\0\2\0\0\0\5\0\0\0\1\0\0\0\0", 16)) +
      Frame(0, Bytes("\0\0\x10\0\0\4late", 10));
  size_t at = 0;
  const auto take = [&](Kind kind) {
    const CqlAnswer answer = TakeCqlAnswer(received, &at).value();
    EXPECT_EQ(answer.kind, kind) << at;
    EXPECT_EQ(answer.stream, 7);
    return answer.bytes;
  };
  take(Kind::kDone);
  take(Kind::kDone);
  EXPECT_EQ(take(Kind::kPrepared), "id");
  EXPECT_EQ(take(Kind::kRow), "value");
  take(Kind::kNoRow);
  EXPECT_EQ(take(Kind::kError), "late");
  EXPECT_EQ(at, received.size());
}

TEST(Cql, PassesOverTheWarningsOfAServer) {
  std::string received = Frame(8, Bytes("\0\2\0\3low\0\0\0\0\0\4\0\2id", 17));
  received[1] = 8;
  size_t at = 0;
  const CqlAnswer answer = TakeCqlAnswer(received, &at).value();
  EXPECT_EQ(answer.kind, Kind::kPrepared);
  EXPECT_EQ(answer.bytes, "id");
  EXPECT_EQ(at, received.size());
}

TEST(Cql, WaitsForAnAnswerThatHasNotComeInWhole) {
  const std::string whole = Frame(0, Bytes("\0\0\x10\0\0\4late", 10));
  for (size_t size = 0; size < whole.size(); ++size) {
    size_t at = 0;
    EXPECT_FALSE(TakeCqlAnswer(std::string_view(whole).substr(0, size), &at).has_value()) << size;
    EXPECT_EQ(at, 0u);
  }
}

TEST(Cql, TellsWhatIsNoAnswer) {
  std::string compressed = Frame(2, "");
  compressed[1] = 1;
  for (const std::string& received :
       {compressed, Frame(3, ""), Frame(8, ""), Frame(8, Bytes("\0\0\0\4\0\7id", 8)),
        Frame(8, Bytes("\0\0\0\2\0\0\0\4\0\0\0\1\0\0\0\1\0\0\0\5val", 23)), Frame(0, "late"),
        std::string("HTTP/1.1 400 Bad Request")}) {
    size_t at = 0;
    EXPECT_EQ(TakeCqlAnswer(received, &at).value().kind, Kind::kMalformed) << received;
  }
}

}  // namespace
}  // namespace gyre
