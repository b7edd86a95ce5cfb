#include "server/disk_failure.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gyre {
namespace {

TEST(DiskFailure, IsOfTheFirstThatIsGivenAndToldOnce) {
  DiskFailure failure;
  std::vector<std::string> told;
  failure.Watch([&](const absl::Status& why) { told.emplace_back(why.message()); });
  EXPECT_FALSE(failure.happened());
  EXPECT_EQ(failure.Words(), "");
  failure.Give(absl::UnavailableError("sync"));
  failure.Give(absl::ResourceExhaustedError("flush"));
  EXPECT_EQ(told, std::vector<std::string>{"sync"});
  EXPECT_TRUE(failure.happened());
  EXPECT_FALSE(failure.full());
  EXPECT_EQ(failure.Words(), "a write to the disk failed: sync");
}

TEST(DiskFailure, IsToldToWhoComesLaterAndNotToWhoHasLeft) {
  DiskFailure failure;
  int told = 0;
  failure.Watch([&](const absl::Status&) { ++told; });
  failure.Watch(nullptr);
  failure.Give(absl::UnavailableError("sync"));
  EXPECT_EQ(told, 0);
  failure.Watch([&](const absl::Status&) { ++told; });
  EXPECT_EQ(told, 1);
}

TEST(DiskFailure, SaysWhenWhatIsStoredIsDamaged) {
  DiskFailure failure;
  failure.Give(absl::DataLossError("compaction: 000017.sst"));
  EXPECT_FALSE(failure.full());
  EXPECT_EQ(failure.Words(), "the store is damaged: compaction: 000017.sst");
}

TEST(DiskFailure, SaysWhenWhatIsStoredCannotBeRead) {
  DiskFailure failure;
  failure.Give(absl::UnavailableError("partition state"), DiskFailure::Deed::kRead);
  failure.Give(absl::UnavailableError("sync"));
  EXPECT_EQ(failure.Words(), "a read of the disk failed: partition state");
}

TEST(DiskFailure, SaysWhenItIsForWantOfRoom) {
  DiskFailure failure;
  failure.Give(absl::ResourceExhaustedError("flush: no space left"));
  EXPECT_TRUE(failure.full());
  EXPECT_EQ(failure.Words(), "the disk is full: flush: no space left");
}

}  // namespace
}  // namespace gyre
