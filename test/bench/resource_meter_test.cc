#include "test/bench/resource_meter.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace gyre {
namespace {

TEST(ResourceMeter, ReadsTheStatOfAProcessWhoseNameHasBlanksAndParentheses) {
  const auto stat = ParseProcStat(
      "4242 (odd (name) x) S 1 4242 4242 0 -1 4194560 1000 0 0 0 150 25 7 3 20 0 9 0 987654 "
      "123456789 2048 18446744073709551615 1 1 0\n");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->name, "odd (name) x");
  EXPECT_EQ(stat->cpu_ticks, 175);
  EXPECT_EQ(stat->started_ticks, 987654u);
  EXPECT_EQ(stat->resident_pages, 2048);
}

TEST(ResourceMeter, TakesNothingFromWhatItDoesNotUnderstand) {
  EXPECT_FALSE(ParseProcStat("").has_value());
  EXPECT_FALSE(ParseProcStat("1 (short) S 1 2 3").has_value());
  EXPECT_FALSE(ParseLoopbackBytes("no such table").has_value());
  EXPECT_FALSE(ParseWrittenBytes("").has_value());
}

TEST(ResourceMeter, ReadsTheBytesOfTheLoopbackInterfaceAlone) {
  EXPECT_EQ(ParseLoopbackBytes("Inter-|   Receive\n face |bytes    packets\n"
                               "  eth0: 11 1 0 0\n    lo: 20193850451 14143339 0 0\n"),
            20193850451);
}

TEST(ResourceMeter, ReadsWrittenBytesAndNotThoseThatWereCancelled) {
  EXPECT_EQ(ParseWrittenBytes("wchar: 5\nwrite_bytes: 6197248\ncancelled_write_bytes: 819200\n"),
            6197248);
}

TEST(ResourceMeter, TellsAProcessThatIsNotThere) {
  const ResourceMeter meter({{"self", getpid()}, {"nobody", 2'000'000'000}}, {});
  const ResourceReading before = meter.Read();
  const ResourceUse use = meter.Between(before, meter.Read());
  ASSERT_EQ(use.processes.size(), 2u);
  EXPECT_TRUE(use.processes[0].measured);
  EXPECT_GT(use.processes[0].resident_bytes, 0);
  EXPECT_FALSE(use.processes[1].measured);
}

TEST(ResourceMeter, TellsAProcessThatWasReplacedByAnotherOfItsId) {
  const ResourceMeter meter({{"self", getpid()}}, {});
  const ResourceReading before = meter.Read();
  ResourceReading after = before;
  after.processes[0]->started_ticks += 1;
  EXPECT_FALSE(meter.Between(before, after).processes[0].measured);
}

TEST(ResourceMeter, CountsNoMoreOfAFolderThanItsFilesHold) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / ("meter-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder / "deeper");
  const ResourceMeter meter({}, {{"data", folder.string()}, {"none", "/nowhere/at/all"}});
  const ResourceReading before = meter.Read();
  std::ofstream(folder / "deeper" / "file") << std::string(100'000, 'x') << std::flush;
  const ResourceUse use = meter.Between(before, meter.Read());
  std::filesystem::remove_all(folder);
  ASSERT_EQ(use.folders.size(), 2u);
  EXPECT_LE(use.folders[0].grown_bytes, 100'000) << "nothing of what is reserved behind its end";
  EXPECT_EQ(use.folders[1].bytes, 0);
}

}  // namespace
}  // namespace gyre
