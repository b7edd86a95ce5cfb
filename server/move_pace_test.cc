#include "server/move_pace.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"

namespace gyre {
namespace {

// A cluster of three, and what moves to a fourth and a fifth node, one step after another.
class Moving {
 public:
  Moving() {
    std::vector<Member> members;
    for (const char* name : {"n0", "n1", "n2"}) members.push_back({{}, name, "z", name, name});
    TableSpec table;
    table.name = "table";
    topology_ = *CreateTable(*InitialTopology("test", 16, members), table);
    pace_.OnView(topology_, now_);
  }

  void Join(const std::string& name) {
    topology_ = *AddMember(topology_, {{}, name, "z", name, name, MemberState::kActive, 5});
  }
  void Begin() { See(*BeginMoves(topology_, MakePlan(topology_), {})); }
  // The first so many of those that are filled go over, after that time.
  void Switch(size_t count, Duration after) {
    std::vector<MoveRef> ready;
    for (const Move& move : topology_.moves) {
      if (move.step == MoveStep::kFilling && ready.size() < count) {
        ready.push_back({move.partition, move.since});
      }
    }
    GYRE_CHECK(ready.size() == count, "so many are filled");
    now_ = now_ + after;
    See(SwitchMoves(topology_, ready));
  }
  void See(Topology next) {
    topology_ = std::move(next);
    pace_.OnView(topology_, now_);
  }
  void Wait(Duration time) { now_ = now_ + time; }

  const MovePace& pace() const { return pace_; }
  const Topology& topology() const { return topology_; }

 private:
  Topology topology_;
  MovePace pace_;
  Time now_ = Time::FromMicros(1'000'000'000);
};

TEST(MovePace, SaysNothingBeforeACopyHasEnded) {
  Moving moving;
  EXPECT_EQ(moving.pace().EachCopy(), std::nullopt);
  moving.Join("n3");
  moving.Begin();
  moving.Wait(Duration::Seconds(9));
  moving.See(NextOf(moving.topology()));
  EXPECT_EQ(moving.pace().EachCopy(), std::nullopt);
}

TEST(MovePace, CountsTheTimeInWhichANodeIsGivenSomethingAlone) {
  Moving moving;
  moving.Wait(Duration::Seconds(1000));
  moving.Join("n3");
  moving.Begin();
  ASSERT_EQ(moving.topology().moves.size(), 12u);
  moving.Switch(2, Duration::Seconds(3));
  moving.Switch(1, Duration::Seconds(3));
  EXPECT_EQ(moving.pace().EachCopy(), Duration::Seconds(2));
  moving.Switch(9, Duration::Seconds(6));
  EXPECT_EQ(moving.pace().EachCopy(), Duration::Seconds(1));
  moving.Wait(Duration::Seconds(1000));
  moving.See(NextOf(moving.topology()));
  EXPECT_EQ(moving.pace().EachCopy(), Duration::Seconds(1)) << "nothing was filled meanwhile";
}

TEST(MovePace, CountsTheTimeOfEachNodeThatIsGivenSomething) {
  Moving moving;
  moving.Join("n3");
  moving.Join("n4");
  moving.Begin();
  moving.Switch(4, Duration::Seconds(2));
  EXPECT_EQ(moving.pace().EachCopy(), Duration::Seconds(1))
      << "two nodes, two seconds, four copies";
}

TEST(MovePace, CountsWhatIsOverOnceItIsSeenAndNotWhatWasTakenBack) {
  Moving moving;
  moving.Join("n3");
  moving.Begin();
  const Topology under_way = moving.topology();
  // Epochs are missed: all of it has ended.
  Topology ended = under_way;
  std::vector<MoveRef> all;
  for (const Move& move : under_way.moves) all.push_back({move.partition, move.since});
  ended = EndMoves(SwitchMoves(ended, all), all);
  moving.Wait(Duration::Seconds(24));
  moving.See(ended);
  EXPECT_EQ(moving.pace().EachCopy(), Duration::Seconds(2));

  Moving cancelled;
  cancelled.Join("n3");
  cancelled.Begin();
  cancelled.Wait(Duration::Seconds(24));
  Topology back = NextOf(cancelled.topology());
  back.moves.clear();
  cancelled.See(back);
  EXPECT_EQ(cancelled.pace().EachCopy(), std::nullopt);
}

TEST(MovePace, ForgetsAnOlderPace) {
  MovePace pace;
  TableSpec table;
  table.name = "table";
  table.replicas = table.read_quorum = table.write_quorum = 1;
  std::vector<Member> members;
  members.push_back({{}, "n0", "z", "n0", "n0"});
  Topology topology = *CreateTable(*InitialTopology("test", 4096, members), table);
  const NodeId self = topology.members[0].id;
  Time now;
  const auto copies = [&](uint32_t count, Duration each) {
    Topology before = NextOf(topology);
    for (uint32_t slice = 0; slice < count; ++slice) {
      before.moves.push_back({PartitionId(1, slice), NodeId(7), self, before.epoch});
    }
    pace.OnView(before, now);
    now = now + each * count;
    topology = NextOf(before);
    topology.moves.clear();
    pace.OnView(topology, now);
  };
  copies(500, Duration::Seconds(100));
  for (int i = 0; i < 20; ++i) copies(500, Duration::Seconds(1));
  EXPECT_LT(pace.EachCopy()->micros(), Duration::Millis(1100).micros());
}

TEST(MoveOutlook, IsOfTheNodeThatIsGivenMost) {
  const std::vector<Flow> flows = {{NodeId(1), NodeId(3), 10, 2, 5},
                                   {NodeId(2), NodeId(3), 8, 0, 0},
                                   {NodeId(1), NodeId(4), 19, 0, 0}};
  const MoveOutlook outlook = OutlookOf(flows, 1000, Duration::Millis(1500));
  EXPECT_EQ(outlook.copies, 39u) << "what is over already is not copied again";
  EXPECT_EQ(outlook.bytes, 39'000u);
  EXPECT_EQ(outlook.seconds, 30u);
  EXPECT_TRUE(outlook.measured);
}

TEST(MoveOutlook, AssumesAPaceWhereNoneWasSeen) {
  const std::vector<Flow> flows = {{NodeId(1), NodeId(3), 10, 0, 0}};
  const MoveOutlook large = OutlookOf(flows, 32 << 20, std::nullopt);
  EXPECT_EQ(large.seconds, 20u);
  EXPECT_FALSE(large.measured);
  EXPECT_EQ(OutlookOf(flows, 1, std::nullopt).seconds, 1u);
  EXPECT_EQ(OutlookOf({}, 1, std::nullopt).seconds, 0u);
}

}  // namespace
}  // namespace gyre
