#include "api/cli/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "api/client/fake_server.h"

namespace gyre {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// So many records of so many bytes each, which exist only once they are asked for.
class MadeRecords final : public RecordReader {
 public:
  MadeRecords(int count, size_t bytes_each)
      : RecordReader(&nothing_), left_(count), bytes_each_(bytes_each) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    if (left_ == 0) return std::nullopt;
    const std::string key = "k" + std::to_string(--left_);
    ++taken_;
    return Record{key, {std::string(bytes_each_ - key.size(), 'v')}};
  }
  int taken() const { return taken_; }

 private:
  std::istringstream nothing_;
  int left_;
  const size_t bytes_each_;
  std::atomic<int> taken_ = 0;
};

class LoaderTest : public testing::Test {
 protected:
  LoaderTest() : client_(*Client::Connect({.seeds = cluster_.addresses()})) {}

  // Loads while the node holds its answers back, until it has seen `seen` requests; answers what
  // was taken of the file by then.
  int TakenWhileHeld(const LoadOptions& options, MadeRecords* records, size_t seen) {
    cluster_.node(0).Hold();
    Loader loader(client_.get(), options);
    std::optional<LoadSummary> summary;
    std::thread loading([&] { summary = *loader.Load(*records, [](uint64_t, uint64_t) {}); });
    cluster_.node(0).AwaitSeen(seen);
    const int taken = records->taken();
    cluster_.node(0).Release();
    loading.join();
    EXPECT_EQ(summary->records, static_cast<uint64_t>(records->taken()));
    EXPECT_EQ(summary->failed, 0u) << summary->first_error;
    return taken;
  }

  FakeCluster cluster_{1};
  const std::unique_ptr<Client> client_;
};

TEST_F(LoaderTest, StartsNoMoreThanSoManyBytesAtOnce) {
  MadeRecords records(100, kMiB);
  EXPECT_EQ(TakenWhileHeld({.table = "t", .in_flight_bytes = 16 * kMiB}, &records, 16), 16);
  EXPECT_EQ(records.taken(), 100);
}

TEST_F(LoaderTest, StartsARecordThatIsLargerThanThatAlone) {
  MadeRecords records(3, kMiB);
  EXPECT_EQ(TakenWhileHeld({.table = "t", .in_flight_bytes = kMiB / 2}, &records, 1), 1);
  EXPECT_EQ(records.taken(), 3);
}

TEST_F(LoaderTest, GivesARecordTimeForAllThatIsUnderWayBeforeIt) {
  MadeRecords records(1, 100);
  TakenWhileHeld({.table = "t"}, &records, 1);
  EXPECT_GT(cluster_.node(0).seen()[0].put().options().timeout_ms(), 20'000u);
}

TEST_F(LoaderTest, StartsNoMoreThanSoManyRecordsAtOnce) {
  MadeRecords records(100, 100);
  EXPECT_EQ(TakenWhileHeld({.table = "t", .in_flight = 8}, &records, 8), 8);
  EXPECT_EQ(records.taken(), 100);
}

Verdict Overloaded() {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::OVERLOADED);
  detail.set_retry_after_ms(1);
  return Verdict::Refuse(static_cast<int>(absl::StatusCode::kResourceExhausted), detail);
}

// Far more often than the SDK comes again by itself.
TEST_F(LoaderTest, WhatIsRefusedForWantOfRoomComesAgain) {
  Loader loader(client_.get(), {.table = "t", .in_flight = 16, .remember = true});
  int refusals_left = 30;
  cluster_.node(0).SetScript(
      [&](const v1::ClientRequest&) { return refusals_left-- > 0 ? Overloaded() : Verdict(); });
  MadeRecords records(50, 100);
  const LoadSummary loaded = *loader.Load(records, [](uint64_t, uint64_t) {});
  EXPECT_EQ(loaded.failed, 0u) << loaded.first_error;
  EXPECT_EQ(loaded.records, 50u);

  refusals_left = 30;
  MadeRecords same(50, 100);
  const LoadSummary verified = *loader.Verify(same, [](uint64_t, uint64_t) {});
  EXPECT_EQ(verified.failed, 0u) << verified.first_error;
  EXPECT_EQ(verified.records, 50u);
  EXPECT_EQ(verified.different, 0u);
}

TEST_F(LoaderTest, WhatIsRefusedToTheEndOfItsTimeFails) {
  Loader loader(client_.get(), {.table = "t", .timeout = absl::Milliseconds(100)});
  cluster_.node(0).SetScript([](const v1::ClientRequest&) { return Overloaded(); });
  MadeRecords records(3, 100);
  const LoadSummary loaded = *loader.Load(records, [](uint64_t, uint64_t) {});
  EXPECT_EQ(loaded.records, 3u);
  EXPECT_EQ(loaded.failed, 3u);
}

// Also where all that is under way waits to come again.
TEST_F(LoaderTest, WhatWasRefusedFailsWhereThePassIsToStop) {
  std::atomic<int> seen = 0;
  Loader loader(client_.get(), {.table = "t", .in_flight = 2, .stop = [&] { return seen > 10; }});
  cluster_.node(0).SetScript([&](const v1::ClientRequest&) {
    ++seen;
    return Overloaded();
  });
  MadeRecords records(10, 100);
  const LoadSummary loaded = *loader.Load(records, [](uint64_t, uint64_t) {});
  EXPECT_TRUE(loaded.stopped);
  EXPECT_EQ(loaded.records, 2u);
  EXPECT_EQ(loaded.failed, 2u);
}

}  // namespace
}  // namespace gyre
