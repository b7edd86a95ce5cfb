#include "api/cli/json_writer.h"

#include <limits>

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(JsonWriter, PutsCommasBetweenWhatStandsSideBySide) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Key("a").Number(1).Key("b").BeginArray();
  json.BeginObject().EndObject().Bool(true).Number(-2).EndArray();
  json.Key("c").Double(0.5).EndObject();
  EXPECT_EQ(line, R"({"a":1,"b":[{},true,-2],"c":0.500})");
}

TEST(JsonWriter, EscapesWhatJsonDoesNotAllowInText) {
  std::string line;
  JsonWriter(&line).String(std::string("q\" b\\ n\n t\t z\0 d\x7f", 17));
  EXPECT_EQ(line, R"("q\" b\\ n\n t\t z\u0000 d\u007f")");
}

TEST(JsonWriter, KeepsTextAndEncodesOtherBytes) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Bytes("k", "caf\xc3\xa9").Bytes("v", "\xff\x00").EndObject();
  EXPECT_EQ(line, "{\"k\":\"caf\xc3\xa9\",\"v_base64\":\"/w==\"}");
}

TEST(JsonWriter, EncodesAllItemsOfAnArrayAlike) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().BytesArray("values", {"a", "\xff"}).EndObject();
  EXPECT_EQ(line, R"({"values_base64":["YQ==","/w=="]})");
}

TEST(JsonWriter, WritesNullForANumberThatIsNone) {
  std::string line;
  JsonWriter(&line).Double(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(line, "null");
}

TEST(JsonWriter, KnowsUtf8FromOtherBytes) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("plain"));
  EXPECT_TRUE(IsUtf8("\xe2\x82\xac \xf0\x9f\x8d\xb5"));
  EXPECT_FALSE(IsUtf8("\x80"));              // a tail without a lead
  EXPECT_FALSE(IsUtf8("\xc3"));              // cut off
  EXPECT_FALSE(IsUtf8("\xc0\xaf"));          // overlong
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));      // a surrogate
  EXPECT_FALSE(IsUtf8("\xf4\x90\x80\x80"));  // over U+10FFFF
}

}  // namespace
}  // namespace gyre
