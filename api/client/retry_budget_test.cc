#include "api/client/retry_budget.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

int SpendAll(RetryBudget& budget) {
  int spent = 0;
  while (budget.TrySpend()) ++spent;
  return spent;
}

TEST(RetryBudget, LetsAQuietClientRetryFromTheStart) {
  RetryBudget budget;
  EXPECT_EQ(SpendAll(budget), 20);
}

TEST(RetryBudget, GrantsOneRetryForTenSuccesses) {
  RetryBudget budget({.initial = 0});
  for (int i = 0; i < 9; ++i) budget.Success();
  EXPECT_FALSE(budget.TrySpend());
  budget.Success();
  EXPECT_TRUE(budget.TrySpend());
  EXPECT_FALSE(budget.TrySpend());
}

TEST(RetryBudget, KeepsRetriesAtATenthOfTheTrafficInTheLongRun) {
  RetryBudget budget;
  int retries = 0;
  for (int i = 0; i < 100'000; ++i) {
    budget.Success();
    if (budget.TrySpend()) ++retries;
  }
  EXPECT_GE(retries, 10'000);
  EXPECT_LE(retries, 10'020);
}

TEST(RetryBudget, SavesUpNoMoreThanItsCapacity) {
  RetryBudget budget;
  for (int i = 0; i < 100'000; ++i) budget.Success();
  EXPECT_EQ(SpendAll(budget), 100);
}

TEST(RetryBudget, StartsWithNoMoreThanItsCapacity) {
  RetryBudget budget({.initial = 50, .capacity = 7});
  EXPECT_EQ(SpendAll(budget), 7);
}

}  // namespace
}  // namespace gyre
