#include "ring/cluster_time.h"

#include <gtest/gtest.h>

#include <optional>

namespace gyre {
namespace {

constexpr uint64_t kNoon = 1'790'000'000'000;
constexpr uint64_t kHour = 3'600'000;

Time At(int64_t ms) { return Time::FromMicros(ms * 1000); }

// The time that the node takes it for, whose own clock says `wall_ms`.
std::optional<uint64_t> TimeAt(const ClusterTime& time, int64_t ms, uint64_t wall_ms) {
  const std::optional<int64_t> offset = time.Offset({At(ms), wall_ms});
  if (!offset.has_value()) return std::nullopt;
  return ClusterTime::At(At(ms), *offset);
}

TEST(ClusterTime, IsTheOwnClockOfANodeThatIsAlone) {
  ClusterTime time;
  time.SetMembers({});
  EXPECT_EQ(TimeAt(time, 5, kNoon), kNoon);
}

TEST(ClusterTime, IsNotKnownBeforeMostMembersAreHeard) {
  ClusterTime time;
  time.SetMembers({NodeId(1), NodeId(2), NodeId(3), NodeId(4)});
  EXPECT_EQ(TimeAt(time, 0, kNoon), std::nullopt);
  time.OnHeard(NodeId(1), kNoon, At(0));
  time.OnHeard(NodeId(1), kNoon, At(0));
  time.OnHeard(NodeId(9), kNoon, At(0));
  time.OnHeard(NodeId(2), 0, At(0));
  time.OnHeard(NodeId(3), UINT64_MAX, At(0));
  EXPECT_EQ(TimeAt(time, 0, kNoon), std::nullopt)
      << "two of five; a stranger, one mute, and one that raves";
  time.OnHeard(NodeId(2), kNoon, At(0));
  EXPECT_EQ(TimeAt(time, 0, kNoon), kNoon);
}

TEST(ClusterTime, IsNotKnownToOneOfTwoAlone) {
  ClusterTime time;
  time.SetMembers({NodeId(1)});
  EXPECT_EQ(TimeAt(time, 0, kNoon), std::nullopt);
}

TEST(ClusterTime, DoesNotHeedOneClockThatIsAnHourOff) {
  for (const uint64_t wrong : {kNoon - kHour, kNoon + kHour}) {
    ClusterTime time;
    time.SetMembers({NodeId(1), NodeId(2)});
    time.OnHeard(NodeId(1), kNoon + 3, At(0));
    time.OnHeard(NodeId(2), wrong, At(0));
    EXPECT_LE(TimeAt(time, 0, kNoon), kNoon + 3);
    EXPECT_GE(TimeAt(time, 0, kNoon), kNoon);
  }
}

TEST(ClusterTime, DoesNotHeedTheOwnClockWhenItJumps) {
  ClusterTime time;
  time.SetMembers({NodeId(1), NodeId(2)});
  time.OnHeard(NodeId(1), kNoon, At(0));
  time.OnHeard(NodeId(2), kNoon, At(0));
  EXPECT_EQ(TimeAt(time, 1000, kNoon + 1000 + kHour), kNoon + 1000);
  EXPECT_EQ(TimeAt(time, 1000, kNoon + 1000 - kHour), kNoon + 1000);
}

TEST(ClusterTime, TakesTheEarlierOfTwo) {
  ClusterTime time;
  time.SetMembers({NodeId(1)});
  time.OnHeard(NodeId(1), kNoon, At(0));
  EXPECT_EQ(TimeAt(time, 0, kNoon + kHour), kNoon);
  EXPECT_EQ(TimeAt(time, 0, kNoon - kHour), kNoon - kHour);
}

TEST(ClusterTime, IsNotHeldBackByAMessageThatWaited) {
  ClusterTime time;
  time.SetMembers({NodeId(1), NodeId(2)});
  for (const NodeId peer : {NodeId(1), NodeId(2)}) {
    time.OnHeard(peer, kNoon + 60'000, At(60'000));
    time.OnHeard(peer, kNoon + 1, At(60'000));  // sent a minute ago
  }
  EXPECT_EQ(TimeAt(time, 60'000, kNoon + 60'000), kNoon + 60'000);
}

TEST(ClusterTime, BelievesAClockThatWasSetBackAfterSomeMessages) {
  ClusterTime time;
  time.SetMembers({NodeId(1)});
  time.OnHeard(NodeId(1), kNoon, At(0));
  for (size_t i = 0; i < ClusterTime::kHeard; ++i) {
    time.OnHeard(NodeId(1), kNoon - kHour, At(0));
  }
  EXPECT_EQ(TimeAt(time, 0, kNoon), kNoon - kHour);
}

TEST(ClusterTime, ForgetsWhoIsNoMemberAnyMore) {
  ClusterTime time;
  time.SetMembers({NodeId(1), NodeId(2)});
  time.OnHeard(NodeId(1), kNoon, At(0));
  EXPECT_EQ(TimeAt(time, 0, kNoon), kNoon);
  time.SetMembers({NodeId(2), NodeId(3)});
  EXPECT_EQ(TimeAt(time, 0, kNoon), std::nullopt);
}

}  // namespace
}  // namespace gyre
