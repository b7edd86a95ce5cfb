#include "test/bench/mix.h"

#include <map>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace gyre {
namespace {

MixSource Source(std::string_view name, uint64_t records = 1000) {
  return MixSource({.mix = *FindMix(name), .records = records});
}

// Asks `count` times in one slot, each answered well, and counts by kind.
std::map<Request::Kind, int> Ask(MixSource* source, int count) {
  Random random(3);
  std::map<Request::Kind, int> kinds;
  for (int i = 0; i < count; ++i) {
    const Request request = source->Next(0, 0, &random).value();
    ++kinds[request.kind];
    source->OnReply(0, request, 0, 0, {.context = "context"});
  }
  return kinds;
}

TEST(Mix, SharesAddUpToAHundred) {
  for (const Mix& mix : AllMixes()) {
    const int sum = mix.reads + mix.updates + mix.inserts + mix.scans + mix.read_modify_writes +
                    mix.deletes + mix.sibling_rounds;
    EXPECT_EQ(sum, mix.is_load() ? 0 : 100) << mix.name;
  }
}

TEST(Mix, LoadWritesEachRecordOnceAndIsThrough) {
  MixSource source = Source("load", 100);
  Random random(1);
  std::set<std::string> keys;
  while (const auto request = source.Next(0, 0, &random)) {
    EXPECT_EQ(request->kind, Request::Kind::kPut);
    EXPECT_EQ(request->value.size(), 1024u);
    EXPECT_TRUE(keys.insert(request->key).second);
  }
  EXPECT_EQ(keys.size(), 100u);
  EXPECT_FALSE(source.Next(0, 0, &random).has_value());
}

TEST(Mix, AsksByItsShares) {
  MixSource source = Source("b");
  auto kinds = Ask(&source, 20'000);
  EXPECT_NEAR(kinds[Request::Kind::kPut], 1000, 150);
  EXPECT_EQ(kinds[Request::Kind::kPut] + kinds[Request::Kind::kGet], 20'000);
  MixSource deletes = Source("delete");
  kinds = Ask(&deletes, 20'000);
  EXPECT_NEAR(kinds[Request::Kind::kDelete], 8000, 400);
  EXPECT_NEAR(kinds[Request::Kind::kGet], 4000, 400);
}

TEST(Mix, AReadModifyWriteHandsTheContextOfItsReadBack) {
  MixSource source = Source("f");
  Random random(1);
  int written = 0;
  std::string read;
  for (int i = 0; i < 1000; ++i) {
    const Request request = source.Next(0, 0, &random).value();
    if (request.kind == Request::Kind::kPut) {
      EXPECT_EQ(request.key, read);
      EXPECT_EQ(request.context, "context of " + read);
      ++written;
    }
    read = request.key;
    source.OnReply(0, request, 0, 0, {.context = "context of " + read});
  }
  EXPECT_NEAR(written, 333, 60) << "of three requests one is a write";
}

TEST(Mix, AReadModifyWriteWhoseReadFailedIsGivenUp) {
  MixSource source = Source("f");
  Random random(1);
  for (int i = 0; i < 100; ++i) {
    const Request request = source.Next(0, 0, &random).value();
    EXPECT_EQ(request.kind, Request::Kind::kGet);
    source.OnReply(0, request, 0, 0, {.status = absl::UnavailableError("down")});
  }
}

TEST(Mix, ASiblingRoundResolvesWhatItMade) {
  MixSource source = Source("siblings");
  Random random(1);
  for (int round = 0; round < 10; ++round) {
    std::string key;
    for (int step = 0; step < 4; ++step) {
      const Request request = source.Next(0, 0, &random).value();
      if (step == 0) key = request.key;
      EXPECT_EQ(request.key, key);
      EXPECT_EQ(request.kind, step == 2 ? Request::Kind::kGet : Request::Kind::kPut);
      EXPECT_EQ(request.blind, step < 2);
      EXPECT_EQ(request.context, step == 3 ? "context" : "");
      source.OnReply(0, request, 0, 0, {.context = "context"});
    }
  }
}

TEST(Mix, AScanNamesNeighboursInOrderAndStaysWithinTheRecords) {
  MixSource source = Source("e", 150);
  Random random(1);
  size_t longest = 0;
  for (int i = 0; i < 2000; ++i) {
    const Request request = source.Next(0, 0, &random).value();
    if (request.kind != Request::Kind::kMultiGet) continue;
    ASSERT_FALSE(request.keys.empty());
    longest = std::max(longest, request.keys.size());
    uint64_t at = std::stoull(request.keys.front().substr(4));
    for (const std::string& key : request.keys) EXPECT_EQ(key, KeyName(at++));
    EXPECT_LE(at, 150u);
  }
  EXPECT_LE(longest, 100u);
  EXPECT_GT(longest, 90u);
}

TEST(Mix, InsertsGoOnBehindTheRecordsAndReadsOfTheLatestFollow) {
  MixSource source = Source("d", 100);
  Random random(1);
  uint64_t inserted = 100;
  for (int i = 0; i < 5000; ++i) {
    const Request request = source.Next(0, 0, &random).value();
    const uint64_t key = std::stoull(request.key.substr(4));
    if (request.kind == Request::Kind::kPut) {
      EXPECT_EQ(key, inserted++);
    } else {
      EXPECT_LT(key, inserted);
    }
    source.OnReply(0, request, 0, 0, {});
  }
  EXPECT_GT(inserted, 300u);
}

TEST(Mix, AnUnknownNameIsNoMix) { EXPECT_EQ(FindMix("z"), nullptr); }

}  // namespace
}  // namespace gyre
