// Named stories of disks that are lost, or put back to what they were: identity, filling, and that
// nothing is minted twice (which the observer sees in every batch).

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "test/sim/story.h"

namespace gyre {
namespace {

using Strings = std::vector<std::string>;

class LostDiskStory : public Story {
 protected:
  LostDiskStory() : Story(Quiet()) {}

  // Keys whose owners are all nodes in turn.
  static constexpr int kKeys = 40;
  static std::string KeyOf(int i) { return "key-" + std::to_string(i); }
  void PutAll(const std::string& value, int times = 1) {
    for (int i = 0; i < kKeys * times; ++i) {
      const std::string key = KeyOf(i % kKeys);
      const int node = cluster_.OwnersOf(cluster_.Locate("carts", key)).front();
      WriteIntent intent;
      intent.value = value;
      intent.attempt = kFirstAttempt;
      intent.write = {++written_, 1};
      bool ok = false;
      EXPECT_TRUE(cluster_.Write(
          0, node, "carts", key, intent, Duration::Seconds(2),
          [&ok](const Outcome& outcome) { ok = outcome.code == Outcome::Code::kOk; }));
      cluster_.RunFor(Duration::Millis(200));
      EXPECT_TRUE(ok) << key;
    }
  }
  void ExpectAll(const std::string& value) {
    for (int i = 0; i < kKeys; ++i) ExpectSettled({value}, KeyOf(i));
  }
  void ReturnWithout(int node) {
    cluster_.Wipe(node);
    cluster_.RunFor(Duration::Seconds(2));
    Restart({node});
  }
};

// From what their logs still tell, or by whole copies where they tell no more.
TEST_F(LostDiskStory, AWipedNodeIsFilledAgainFromTheOthers) {
  PutAll("milk");
  ReturnWithout(owners_[0]);
  EXPECT_EQ(cluster_.Figures().repair.copied, 0u);
  EXPECT_EQ(cluster_.Figures().repair.filling, 0u);
  ExpectAll("milk");
  cluster_.RunFor(Duration::Seconds(300));
  ReturnWithout(owners_[0]);
  EXPECT_GT(cluster_.Figures().repair.copied, 0u);
  EXPECT_EQ(cluster_.Figures().repair.filling, 0u);
  ExpectAll("milk");
}

TEST_F(LostDiskStory, AWipedNodeAnswersNoReadUntilItIsFilled) {
  const std::vector<int> owners = cluster_.OwnersOf(cluster_.Locate("ledger", "ada"));
  EXPECT_EQ(Put(owners[0], "milk", "ledger").code, Outcome::Code::kOk);
  Crash({owners[2]});  // without which nothing can be filled
  ReturnWithout(owners[0]);
  EXPECT_GT(cluster_.Figures().repair.filling, 0u);
  for (const int node : {owners[0], owners[1]}) {
    EXPECT_EQ(Get(node, "ada", "ledger").code, Outcome::Code::kQuorumNotMet)
        << "one of three owners can tell";
  }
  Restart({owners[2]});
  EXPECT_EQ(cluster_.Figures().repair.filling, 0u);
  EXPECT_EQ(Values(Get(owners[0], "ada", "ledger")), Strings{"milk"});
}

TEST_F(LostDiskStory, ANodeThatDiesWhileItIsFilledBeginsAnew) {
  PutAll("milk");
  cluster_.Wipe(owners_[0]);
  for (int i = 0; i < 8; ++i) {
    cluster_.Restart(owners_[0]);
    cluster_.RunFor(Duration::Millis(350 + 40 * i));
    cluster_.Crash(owners_[0]);
  }
  Restart({owners_[0]});
  EXPECT_EQ(cluster_.Figures().repair.filling, 0u);
  ExpectAll("milk");
}

TEST_F(LostDiskStory, AllDisksAreLostOneAfterAnotherAndNothingIsLost) {
  PutAll("milk");
  for (const int node : All()) {
    ReturnWithout(node);
    EXPECT_TRUE(cluster_.HasRecovered());
  }
  ExpectAll("milk");
}

TEST_F(LostDiskStory, WhatWasDeletedDoesNotComeBackWithAWipedDisk) {
  PutAll("milk");
  Crash({owners_[2]});  // which keeps what is deleted now
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(Delete(owners_[0], KeyOf(i)).code, Outcome::Code::kOk);
  }
  ReturnWithout(owners_[0]);
  Restart({owners_[2]});
  cluster_.RunFor(Duration::Seconds(60));
  for (int i = 0; i < kKeys; ++i) ExpectSettled({}, KeyOf(i));
}

// What was written since is minted by the same owners, under the counters that the copy has free.
TEST_F(LostDiskStory, YesterdaysCopyOfADiskLosesNothingAndMintsNothingTwice) {
  PutAll("milk");
  cluster_.Keep(owners_[0]);
  PutAll("eggs", 3);
  cluster_.PutBack(owners_[0]);
  Restart({owners_[0]});
  ExpectAll("eggs");
  PutAll("tea");
  ExpectAll("tea");
}

TEST_F(LostDiskStory, YesterdaysCopyBringsNothingBackThatWasDeletedSince) {
  PutAll("milk");
  cluster_.Keep(owners_[0]);
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(Delete(owners_[1], KeyOf(i)).code, Outcome::Code::kOk);
  }
  cluster_.RunFor(Duration::Seconds(120));  // and is gone from all logs
  cluster_.PutBack(owners_[0]);
  Restart({owners_[0]});
  cluster_.RunFor(Duration::Seconds(60));
  for (int i = 0; i < kKeys; ++i) ExpectSettled({}, KeyOf(i));
}

}  // namespace
}  // namespace gyre
