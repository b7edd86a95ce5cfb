#include "server/data_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "storage/scratch_directory.h"

namespace gyre {
namespace {

namespace fs = std::filesystem;

class DataDirectory : public ::testing::Test {
 protected:
  static fs::perms Mode(const fs::path& path) { return fs::status(path).permissions(); }
  static void SetMode(const fs::path& path, int mode) {
    fs::permissions(path, static_cast<fs::perms>(mode));
  }
  static void Write(const fs::path& path) { std::ofstream(path) << "text"; }

  ScratchDirectory scratch_;
  const fs::path path_ = fs::path(scratch_.path()) / "data";
};

TEST_F(DataDirectory, IsMadeForItsOwnerAlone) {
  for (const fs::path& path : {path_, path_ / "deep" / "er", path_ / "slash" / ""}) {
    const absl::StatusOr<std::string> store = PrepareDataDirectory(path.string());
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(Mode(path), fs::perms::owner_all);
    EXPECT_EQ(Mode(*store), fs::perms::owner_all);
    if (path == path_) fs::remove_all(path_);
  }
}

TEST_F(DataDirectory, KeepsTheModeOfADirectoryThatWasThere) {
  fs::create_directory(path_);
  SetMode(path_, 0755);
  const absl::StatusOr<std::string> store = PrepareDataDirectory(path_.string());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(Mode(path_), static_cast<fs::perms>(0755));
  EXPECT_EQ(Mode(*store), fs::perms::owner_all);
}

TEST_F(DataDirectory, IsRefusedUntouchedWhereItHoldsSomethingElse) {
  fs::create_directory(path_);
  SetMode(path_, 0755);
  Write(path_ / "letter.txt");
  const absl::Status refused = PrepareDataDirectory(path_.string()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("holds no store of Gyre (it has \"letter.txt\")"),
            std::string::npos)
      << refused;
  EXPECT_EQ(Mode(path_), static_cast<fs::perms>(0755));
  EXPECT_FALSE(fs::exists(path_ / "store"));
}

TEST_F(DataDirectory, OfAnotherProgramWithAFolderOfThatNameIsRefused) {
  fs::create_directories(path_ / "store");
  Write(path_ / "store" / "goods");
  EXPECT_EQ(PrepareDataDirectory(path_.string()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(DataDirectory, IsTakenWhereItHoldsAStoreBesideOtherThings) {
  fs::create_directories(path_ / "store");
  Write(path_ / "store" / "CURRENT");
  Write(path_ / "letter.txt");
  EXPECT_TRUE(PrepareDataDirectory(path_.string()).ok());
}

TEST_F(DataDirectory, IsTakenWhereAFirstStartWasKilled) {
  fs::create_directories(path_ / "store");
  EXPECT_TRUE(PrepareDataDirectory(path_.string()).ok());
  Write(path_ / "store" / "LOG");
  EXPECT_TRUE(PrepareDataDirectory(path_.string()).ok());
}

TEST_F(DataDirectory, MayBeANewVolumeOrHoldTheLog) {
  fs::create_directories(path_ / "lost+found");
  Write(path_ / "gyred.log");
  EXPECT_TRUE(PrepareDataDirectory(path_.string()).ok());
}

TEST_F(DataDirectory, ThatIsAFileIsRefused) {
  Write(path_);
  EXPECT_EQ(PrepareDataDirectory(path_.string()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(DataDirectory, BeginsAnewBesideADamagedStoreThatWasMovedAway) {
  ASSERT_TRUE(PrepareDataDirectory(path_.string()).ok());
  Write(path_ / "store" / "CURRENT");
  fs::rename(path_ / "store", path_ / "store.damaged");
  const absl::StatusOr<std::string> store = PrepareDataDirectory(path_.string());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(fs::is_empty(*store));
  EXPECT_TRUE(fs::exists(path_ / "store.damaged" / "CURRENT"));
}

TEST(ExplainDamage, NamesTheCommandThatHasTheNodeFilledByItsPeers) {
  const absl::Status damaged = absl::DataLossError("000007.log is damaged");
  const auto told = [&](Refill refill) {
    const absl::Status status = ExplainDamage(damaged, DamageAdvice("/var/lib/gyre", "n4", refill));
    EXPECT_TRUE(absl::IsDataLoss(status));
    return std::string(status.message());
  };
  EXPECT_EQ(told(Refill::kInPlace),
            "000007.log is damaged; the other owners hold this data. To have it filled by them, "
            "run: mv '/var/lib/gyre/store' '/var/lib/gyre/store.damaged' and start the node again");
  EXPECT_EQ(
      told(Refill::kIfOthersJoined),
      "000007.log is damaged; where no node has joined the cluster since, no other node holds "
      "this data: restore a backup. Where some have, the other owners hold it; to have it "
      "filled by them, while they run, run: mv '/var/lib/gyre/store' "
      "'/var/lib/gyre/store.damaged' and start the node again");
  // Without its store it would be another node of its name, which is refused.
  EXPECT_EQ(told(Refill::kByAnother),
            "000007.log is damaged; the other owners hold this data, and since node \"n4\" joined "
            "the cluster, another one is to be filled by them: start a node of another name with "
            "join_waits, and run: gyre node replace n4 OTHER");
  const absl::Status other = absl::UnavailableError("the disk failed");
  EXPECT_EQ(ExplainDamage(other, "advice"), other);
}

}  // namespace
}  // namespace gyre
