#include "api/cli/text_table.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(TextTable, AlignsTextToTheLeftAndNumbersToTheRight) {
  TextTable table({"NAME", ">SIZE", "NOTE"});
  table.Add({"a", "7", "x"});
  table.Add({"longer", "12345", ""});
  EXPECT_EQ(table.Render(),
            "NAME     SIZE  NOTE\n"
            "a           7  x\n"
            "longer  12345\n");
}

TEST(TextTable, WritesBytesAndSecondsForPeople) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(uint64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(HumanSeconds(59), "59s");
  EXPECT_EQ(HumanSeconds(3725), "1h 2m");
  EXPECT_EQ(HumanSeconds(200'000), "2d 7h");
}

}  // namespace
}  // namespace gyre
