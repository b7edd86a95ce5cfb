// Named stories of deletes that must stay deleted, and leave nothing: whatever was away for however
// long, and whatever comes late.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

constexpr int64_t kDay = 24 * 3600;

class DeletesStory : public Story {
 protected:
  DeletesStory() : Story(Months()) { cluster_.RunFor(Duration::Seconds(600)); }
  // Nodes that have nothing to do do it rarely.
  static SimOptions Months() {
    SimOptions options = Quiet();
    options.unhurried = 100;
    return options;
  }

  void DeleteOk(int node, const std::string& key = "ada") {
    EXPECT_EQ(Delete(node, key).code, Outcome::Code::kOk);
  }
  // All is well, the key holds nothing, and nothing of it is on any disk.
  void ExpectNothingLeft() {
    ExpectSettled({});
    for (int node = 0; node < cluster_.size(); ++node) EXPECT_EQ(Values(Get(node)), Strings{});
    EXPECT_EQ(cluster_.Stored(Family::kRecords), 0u);
  }
  // Long enough for whatever is left to do: twice the age of a log entry, and two rounds of
  // reports.
  void Wait() { cluster_.RunFor(Duration::Seconds(2000)); }
};

TEST_F(DeletesStory, WhatIsDeletedLeavesNothingOnceAllOwnersHaveSeenIt) {
  for (int i = 0; i < 50; ++i) Put(owners_[0], "milk", "carts", "key-" + std::to_string(i));
  EXPECT_EQ(cluster_.Stored(Family::kRecords), 150u);
  for (int i = 0; i < 50; ++i) DeleteOk(i % 5, "key-" + std::to_string(i));
  Wait();
  EXPECT_EQ(cluster_.Stored(Family::kRecords), 0u);
  EXPECT_EQ(cluster_.Stored(Family::kDotLog), 0u) << "nor their keys in the logs";
}

TEST_F(DeletesStory, AnOwnerThatWasAwayForAMonthBringsNothingBack) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[2]});
  DeleteOk(owners_[0]);
  cluster_.RunFor(Duration::Seconds(30 * kDay));
  EXPECT_EQ(Values(Get(owners_[1])), Strings{});
  Restart({owners_[2]});
  Wait();
  ExpectNothingLeft();
}

// Two owners are away while the third deletes; then that one is away, for a month each time.
TEST_F(DeletesStory, OwnersThatTakeTurnsBeingAwayForAMonthBringNothingBack) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[1], owners_[2]});
  DeleteOk(owners_[0]);  // the second copy is a hint's
  cluster_.RunFor(Duration::Seconds(30 * kDay));
  Crash({owners_[0]});
  Restart({owners_[1], owners_[2]});
  cluster_.RunFor(Duration::Seconds(30 * kDay));
  Restart({owners_[0]});
  Wait();
  ExpectNothingLeft();
}

TEST_F(DeletesStory, AHintOfADeadNodeThatReturnsBringsNothingBack) {
  Crash({owners_[2]});
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash(others_);  // one of them keeps the put for the third owner
  Restart({owners_[2]});
  Wait();
  DeleteOk(owners_[1]);
  Wait();
  EXPECT_EQ(cluster_.Stored(Family::kRecords), 0u);
  EXPECT_GT(cluster_.Stored(Family::kHints), 0u) << "the story is about that one";
  Restart(others_);
  Wait();
  ExpectNothingLeft();
}

// riak: a delete, the key put again, and then a handoff with the delete, or with the first value.
TEST_F(DeletesStory, AHandOffOfTheDeleteTakesNothingOfWhatWasPutAgain) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[2]});
  DeleteOk(owners_[0]);  // a hint of it waits
  Crash(others_);
  Restart({owners_[2]});
  EXPECT_EQ(Put(owners_[2], "eggs").code, Outcome::Code::kOk);
  Wait();
  Restart(others_);
  Wait();
  ExpectSettled({"eggs"});
}

TEST_F(DeletesStory, AHandOffOfTheFirstValueAddsNothingToWhatWasPutAgain) {
  Crash({owners_[2]});
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);  // a hint of it waits
  Crash(others_);
  DeleteOk(owners_[1]);
  EXPECT_EQ(Put(owners_[0], "eggs").code, Outcome::Code::kOk);
  Restart({owners_[2]});
  Wait();
  Restart(others_);
  Wait();
  ExpectSettled({"eggs"});
}

TEST_F(DeletesStory, AGuestsPutThatWasDeletedDoesNotComeBackWithItsHints) {
  Crash(owners_);
  EXPECT_EQ(Put(others_[0], "milk").code, Outcome::Code::kOk);
  Crash({others_[1]});  // with a hint of it
  Restart(owners_);
  Wait();
  DeleteOk(owners_[0]);
  Wait();
  Restart({others_[1]});
  Wait();
  ExpectNothingLeft();
}

TEST_F(DeletesStory, RestartsAndReplayedLogsBringNothingBack) {
  EXPECT_EQ(Put(owners_[0], "milk").code, Outcome::Code::kOk);
  Crash({owners_[2]});
  DeleteOk(owners_[0]);
  Crash({owners_[0], owners_[1]});
  Restart({owners_[0]});
  Crash({owners_[0]});
  Restart(owners_);
  Wait();
  ExpectNothingLeft();
  Crash(All());
  Restart(All());
  Wait();
  ExpectNothingLeft();
}

TEST_F(DeletesStory, WhatExpiredWhileAnOwnerWasAwayForAMonthStaysAway) {
  EXPECT_EQ(Put(owners_[0], "milk", "carts", "ada", Duration::Seconds(kDay)).code,
            Outcome::Code::kOk);
  Crash({owners_[2]});
  cluster_.RunFor(Duration::Seconds(30 * kDay));
  Restart({owners_[2]});
  Wait();
  ExpectNothingLeft();
}

}  // namespace
}  // namespace gyre
