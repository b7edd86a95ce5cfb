#include "api/cli/ttl.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(Ttl, IsReadInTheUnitsThatPeopleWrite) {
  EXPECT_EQ(*ParseTtl("90s"), absl::Seconds(90));
  EXPECT_EQ(*ParseTtl("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseTtl("7d"), absl::Hours(7 * 24));
  EXPECT_EQ(*ParseTtl("1d12h"), absl::Hours(36));
  EXPECT_EQ(*ParseTtl("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseTtl("1ms"), absl::Milliseconds(1));
  EXPECT_EQ(*ParseTtl("36500d"), absl::Hours(36'500 * 24));
  EXPECT_EQ(*ParseTtl("never"), absl::InfiniteDuration());
}

TEST(Ttl, IsRefusedWhereItIsNoSpanThatAValueMayLive) {
  for (const char* wrong :
       {"", "0", "0s", "-5s", "+5s", "5", "s", "d", "-1d", "36501d", "1d-3h", "36500d1s",
        "99999999999999999999d", "inf", "1us", "soon", "1d2d", "9223372036854775807h"}) {
    EXPECT_FALSE(ParseTtl(wrong).ok()) << wrong;
  }
}

TEST(Ttl, IsShownInTwoUnitsAtMost) {
  EXPECT_EQ(TtlText(absl::Hours(7 * 24)), "7d");
  EXPECT_EQ(TtlText(absl::Hours(7 * 24) - absl::Seconds(1)), "6d23h");
  EXPECT_EQ(TtlText(absl::Minutes(90)), "1h30m");
  EXPECT_EQ(TtlText(absl::Seconds(61)), "1m1s");
  EXPECT_EQ(TtlText(absl::Milliseconds(1500)), "1.5s");
  EXPECT_EQ(TtlText(absl::InfiniteDuration()), "never");
}

}  // namespace
}  // namespace gyre
