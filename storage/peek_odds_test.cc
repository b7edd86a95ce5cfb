#include "storage/peek_odds.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

// Of `asked` questions, how many are found worth a look. `answered`: what comes of each look.
int Looks(PeekOdds* odds, int asked, bool answered) {
  int looks = 0;
  for (int i = 0; i < asked; ++i) {
    if (!odds->Worth()) continue;
    ++looks;
    odds->Note(answered);
  }
  return looks;
}

TEST(PeekOdds, LooksAlwaysWhereThatHelps) {
  PeekOdds odds;
  EXPECT_EQ(Looks(&odds, 1000, true), 1000);
}

TEST(PeekOdds, LooksNowAndThenWhereItIsInVain) {
  PeekOdds odds;
  Looks(&odds, 1000, false);
  EXPECT_EQ(Looks(&odds, 1600, false), 100);
}

TEST(PeekOdds, NoticesThatItHasBecomeWorthIt) {
  PeekOdds odds;
  Looks(&odds, 10'000, false);
  EXPECT_LT(Looks(&odds, 1000, true), 1000);
  EXPECT_EQ(Looks(&odds, 1000, true), 1000);
}

TEST(PeekOdds, LooksWhereHalfOfTheLooksHelp) {
  PeekOdds odds;
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (!odds.Worth()) continue;
    ++looks;
    odds.Note(i % 2 == 0);
  }
  EXPECT_EQ(looks, 10'000);
}

}  // namespace
}  // namespace gyre
