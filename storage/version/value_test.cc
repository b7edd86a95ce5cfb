#include "storage/version/value.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace gyre {
namespace {

TEST(Value, ACopySharesTheBytes) {
  std::string bytes(1000, 'v');
  const char* const where = bytes.data();
  const Value value(std::move(bytes));
  const Value copy = value;
  EXPECT_EQ(copy, std::string(1000, 'v'));
  EXPECT_EQ(value.view().data(), where);
  EXPECT_EQ(copy.view().data(), where);
}

TEST(Value, IsEqualByItsBytes) {
  EXPECT_EQ(Value("a"), Value("a"));
  EXPECT_FALSE(Value("a") == Value("b"));
  EXPECT_EQ(Value(std::string("a\0b", 3)).size(), 3u);
}

TEST(Value, EmptyBytesAreTheEmptyValue) {
  EXPECT_EQ(Value(std::string()), Value());
  EXPECT_TRUE(Value(std::string()).empty());
  EXPECT_EQ(Value().size(), 0u);
  EXPECT_EQ(std::string(Value()), "");
}

}  // namespace
}  // namespace gyre
