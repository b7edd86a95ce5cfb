#include "server/machine_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "storage/scratch_directory.h"

namespace gyre {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

class Groups : public ::testing::Test {
 protected:
  void Set(const std::string& file, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(root()) / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  std::string root() const { return scratch_.path(); }

 private:
  ScratchDirectory scratch_;
};

TEST_F(Groups, WithoutALimitThereIsNone) {
  EXPECT_EQ(GroupMemoryLimit(root(), ""), kNone);
  EXPECT_EQ(GroupMemoryLimit(root(), "0::/a/b\n"), kNone);
  Set("a/b/memory.max", "max");
  EXPECT_EQ(GroupMemoryLimit(root(), "0::/a/b\n"), kNone);
  EXPECT_EQ(GroupMemoryLimit(root(), "nonsense\n0:\n0::relative\n::\n"), kNone);
}

TEST_F(Groups, TheLeastOfAGroupAndThoseAboveItCounts) {
  Set("memory.max", "4000");
  Set("a/memory.max", "1000");
  Set("a/b/memory.max", "2000");
  Set("c/memory.max", "10");
  EXPECT_EQ(GroupMemoryLimit(root(), "0::/a/b\n"), 1000u);
  EXPECT_EQ(GroupMemoryLimit(root(), "0::/\n"), 4000u) << "as a container sees it";
}

TEST_F(Groups, OfVersionOneTheMemoryControllerCounts) {
  Set("memory/pod/memory.limit_in_bytes", "500");
  Set("cpu/pod/memory.limit_in_bytes", "5");
  EXPECT_EQ(GroupMemoryLimit(root(), "4:cpu,cpuacct:/pod\n9:hugetlb,memory:/pod\n"), 500u);
}

TEST(MachineMemory, BothCachesAreAnEighthWithinBounds) {
  const auto both = [](uint64_t memory_bytes) {
    const uint64_t blocks = DefaultBlockCacheBytes(memory_bytes);
    return blocks + DefaultRecordCacheBytes(blocks);
  };
  constexpr uint64_t kRounding = 3;
  EXPECT_NEAR(both(uint64_t{256} << 20), uint64_t{64} << 20, kRounding);
  EXPECT_NEAR(both(uint64_t{4} << 30), uint64_t{512} << 20, kRounding);
  EXPECT_NEAR(both(uint64_t{1} << 40), uint64_t{8} << 30, kRounding);
}

TEST(MachineMemory, TheRecordCacheIsHalfOfTheBlockCache) {
  EXPECT_EQ(DefaultRecordCacheBytes(uint64_t{64} << 20), uint64_t{32} << 20);
}

TEST(MachineMemory, IsWhatAMachineHas) {
  EXPECT_GT(UsableMemoryBytes(), uint64_t{16} << 20);
  EXPECT_LT(UsableMemoryBytes(), uint64_t{1} << 50);
}

}  // namespace
}  // namespace gyre
