#include "api/client/throttle.h"

#include <limits>

#include "gtest/gtest.h"

namespace gyre {
inline namespace sdk {
namespace {

// A node that serves so many requests in 10 ms, and refuses what it gets beyond.
class Node {
 public:
  explicit Node(int capacity, ThrottleOptions options = {})
      : capacity_(capacity), throttle_(options) {}

  struct Told {
    int sent = 0;
    int served = 0;
  };
  // Asks for so many in 10 ms, so many times over.
  Told Ask(int requests, int times) {
    Told told;
    for (int i = 0; i < times; ++i) {
      now_ += absl::Milliseconds(10);
      int sent = 0;
      for (int j = 0; j < requests; ++j) {
        draw_ = draw_ * 6364136223846793005u + 1442695040888963407u;
        if (!throttle_.Refuses(static_cast<double>(draw_ >> 11) / (uint64_t{1} << 53), now_)) {
          ++sent;
        }
      }
      const int served = std::min(sent, capacity_);
      throttle_.OnAnswers(static_cast<uint64_t>(served), static_cast<uint64_t>(sent - served),
                          now_);
      told.sent += sent;
      told.served += served;
    }
    return told;
  }
  bool refusing() const { return throttle_.refusing(); }

 private:
  const int capacity_;
  Throttle throttle_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t draw_ = 7;
};

TEST(Throttle, SendsAllToANodeThatRefusesNothing) {
  Node node(100);
  EXPECT_EQ(node.Ask(100, 1'000).sent, 100'000);
  EXPECT_FALSE(node.refusing());
}

TEST(Throttle, SendsAsOftenAgainAsIsServedAndKeepsTheNodeBusy) {
  Node node(100);
  node.Ask(300, 200);
  const Node::Told told = node.Ask(300, 1'000);
  EXPECT_NEAR(told.sent, 150'000, 7'500);
  EXPECT_GT(told.served, 99'000);
}

TEST(Throttle, LetsAllThroughAgainSoonAfterAnOverload) {
  Node node(100);
  node.Ask(1'000, 500);
  node.Ask(50, 400);
  EXPECT_EQ(node.Ask(50, 1'000).served, 50'000);
  EXPECT_FALSE(node.refusing());
}

TEST(Throttle, FindsANodeThatServedNothingAtAll) {
  Node none(0);
  none.Ask(1'000, 300);
  const int sent = none.Ask(1'000, 100).sent;
  EXPECT_GT(sent, 10) << "in a second";
  EXPECT_LT(sent, 2'000) << "of 100,000";
}

TEST(Throttle, DoesNotMeasureByAFew) {
  Throttle throttle;
  throttle.OnAnswers(0, 2, absl::UnixEpoch());
  EXPECT_FALSE(throttle.Refuses(0.2, absl::UnixEpoch()));
}

TEST(Throttle, IsOffWhereThereIsNoBound) {
  Node node(0, {.most_per_served = std::numeric_limits<double>::infinity()});
  Node some(1, {.most_per_served = std::numeric_limits<double>::infinity()});
  EXPECT_EQ(some.Ask(100, 100).sent, 10'000);
  EXPECT_EQ(node.Ask(100, 2).sent, 200);
}

}  // namespace
}  // namespace sdk
}  // namespace gyre
