#include "api/client/routing.h"

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

// Q slices, three members, N=2: slice s belongs to s % 3 and (s + 1) % 3.
v1::GetTopologyReply SmallTopology(uint32_t slices) {
  v1::GetTopologyReply topology;
  topology.set_epoch(4);
  topology.set_slices(slices);
  for (const char* name : {"a", "b", "c"}) {
    topology.add_members()->set_name(name);
  }
  v1::PartitionFamily* family = topology.add_families();
  family->set_replicas(2);
  family->set_per_slice(2);
  for (uint32_t slice = 0; slice < slices; ++slice) {
    family->add_owners(slice % 3);
    family->add_owners((slice + 1) % 3);
  }
  v1::Table* table = topology.add_tables();
  table->set_name("t");
  table->set_id(1);
  table->set_replicas(2);
  return topology;
}

std::string WhyRefused(const v1::GetTopologyReply& topology) {
  return std::string(Routing::FromTopology(topology).status().message());
}

TEST(Routing, AgreesWithThePublishedVectors) {
  std::ifstream file(GYRE_SOURCE_DIR "/docs/vectors/partitioner.txt");
  ASSERT_TRUE(file.is_open());
  const absl::StatusOr<Routing> routing = Routing::FromTopology(SmallTopology(256));
  ASSERT_TRUE(routing.ok());
  int vectors = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    uint32_t table = 0;
    uint32_t slice = 0;
    std::string key_hex;
    std::string hash_hex;
    ASSERT_TRUE(fields >> table >> key_hex >> hash_hex >> slice) << line;
    const std::string key = key_hex == "-" ? "" : absl::HexStringToBytes(key_hex);
    const uint64_t hash = KeyHash(static_cast<uint16_t>(table), key);
    EXPECT_EQ(hash, std::stoull(hash_hex, nullptr, 16)) << line;
    if (table == 1) {
      EXPECT_EQ(routing->SliceOfKey("t", key), slice) << line;
    }
    ++vectors;
  }
  EXPECT_GE(vectors, 10);
}

TEST(Routing, HashesAKeyOverTheLimitLikeAnyOther) {
  // One byte over what the quick path takes; the server refuses it, but must not be misrouted to.
  EXPECT_NE(KeyHash(1, std::string(2049, 'k')), KeyHash(1, std::string(2048, 'k')));
  EXPECT_NE(KeyHash(1, std::string(5000, 'k')), KeyHash(2, std::string(5000, 'k')));
}

TEST(Routing, NamesTheOwnersOfAKeyInTheOrderOfPreference) {
  const absl::StatusOr<Routing> routing = Routing::FromTopology(SmallTopology(8));
  ASSERT_TRUE(routing.ok());
  const uint32_t slice = routing->SliceOfKey("t", "some key");
  const absl::Span<const uint32_t> owners = routing->OwnersOfKey("t", "some key");
  ASSERT_EQ(owners.size(), 2u);
  EXPECT_EQ(owners[0], slice % 3);
  EXPECT_EQ(owners[1], (slice + 1) % 3);
  EXPECT_EQ(owners, routing->OwnersOfSlice("t", slice));
}

TEST(Routing, PutsEveryKeyIntoTheOnlySliceOfAClusterThatHasOne) {
  const absl::StatusOr<Routing> routing = Routing::FromTopology(SmallTopology(1));
  ASSERT_TRUE(routing.ok());
  EXPECT_EQ(routing->SliceOfKey("t", "a"), 0u);
  EXPECT_EQ(routing->SliceOfKey("t", "b"), 0u);
}

TEST(Routing, KnowsNoOwnerOfATableItDoesNotKnow) {
  const absl::StatusOr<Routing> routing = Routing::FromTopology(SmallTopology(8));
  ASSERT_TRUE(routing.ok());
  EXPECT_TRUE(routing->OwnersOfKey("other", "k").empty());
  EXPECT_TRUE(Routing().OwnersOfKey("t", "k").empty());
}

TEST(Routing, RefusesATopologyThatDoesNotHoldTogether) {
  v1::GetTopologyReply topology = SmallTopology(8);
  topology.set_slices(7);
  EXPECT_EQ(WhyRefused(topology), "topology: slices is 7, not a power of two");

  topology = SmallTopology(8);
  topology.mutable_families(0)->mutable_owners()->RemoveLast();
  EXPECT_EQ(WhyRefused(topology), "topology: family of N=2 has 15 owners, not 16");

  topology = SmallTopology(8);
  topology.mutable_families(0)->set_owners(3, 9);
  EXPECT_EQ(WhyRefused(topology), "topology: owner 9 of 3 members");

  topology = SmallTopology(8);
  topology.mutable_tables(0)->set_replicas(5);
  EXPECT_EQ(WhyRefused(topology), "topology: table t has N=5, and no family has");

  topology = SmallTopology(8);
  topology.mutable_tables(0)->set_id(70'000);
  EXPECT_EQ(WhyRefused(topology), "topology: table t has id 70000, over 65535");
}

}  // namespace
}  // namespace gyre
