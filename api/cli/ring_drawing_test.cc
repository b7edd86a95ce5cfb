#include "api/cli/ring_drawing.h"

#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

// Node 0 leads the first half of the circle, node 1 the second; N=2.
v1::GetTopologyReply Halves() {
  v1::GetTopologyReply topology;
  topology.set_cluster_name("halves");
  topology.set_epoch(7);
  topology.set_slices(16);
  for (const char* name : {"left", "right"}) {
    v1::TopologyMember* member = topology.add_members();
    member->set_name(name);
    member->set_zone("z");
  }
  v1::PartitionFamily* family = topology.add_families();
  family->set_replicas(2);
  family->set_per_slice(2);
  for (uint32_t slice = 0; slice < 16; ++slice) {
    family->add_owners(slice < 8 ? 0 : 1);
    family->add_owners(slice < 8 ? 1 : 0);
  }
  return topology;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string Draw(const Terminal& terminal) {
  const v1::GetTopologyReply topology = Halves();
  return DrawRing(topology, topology.families(0), terminal);
}

TEST(RingDrawing, PutsTheFirstHalfOfTheHashSpaceOnTheRight) {
  const std::vector<std::string> lines = Lines(Draw({.columns = 40}));
  // A row above the caption: from the left rim the bands of the second half, then of the first.
  const std::string& row = lines[5];
  const size_t first = row.find_first_of("AB");
  const size_t last = row.find_last_of("AB");
  EXPECT_EQ(row[first], 'B');
  EXPECT_EQ(row[last], 'A');
}

TEST(RingDrawing, DrawsTheFirstOwnerOutsideTheSecond) {
  const std::vector<std::string> lines = Lines(Draw({.columns = 40}));
  const std::string& row = lines[7];
  const std::string right_half = row.substr(row.size() / 2);
  EXPECT_LT(right_half.find('B'), right_half.find('A'));
}

TEST(RingDrawing, NamesTheClusterInTheMiddle) {
  const std::string picture = Draw({.columns = 40});
  for (const char* text : {"halves", "16 slices", "N=2", "epoch 7"}) {
    EXPECT_NE(picture.find(text), std::string::npos) << text;
  }
}

TEST(RingDrawing, IsPlainAsciiWithoutColours) {
  for (const bool unicode : {false, true}) {
    for (const char c : Draw({.unicode = unicode, .columns = 120})) {
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
    }
  }
}

TEST(RingDrawing, UsesBlocksInTheColoursOfTheNodes) {
  const std::string picture = Draw({.colour = true, .unicode = true, .columns = 120});
  EXPECT_NE(picture.find("\x1b[38;5;39m█"), std::string::npos);
  EXPECT_NE(picture.find("\x1b[38;5;208m█"), std::string::npos);
}

TEST(RingDrawing, PutsTheLegendBesideTheRingOnlyWhereThereIsRoom) {
  EXPECT_GT(Lines(Draw({.columns = 60})).size(), Lines(Draw({.columns = 120})).size());
  for (const std::string& line : Lines(Draw({.columns = 100}))) EXPECT_LE(line.size(), 100u);
}

TEST(RingDrawing, TellsTheShareOfEachNode) {
  const v1::GetTopologyReply topology = Halves();
  const std::vector<NodeShare> shares = SharesOf(topology, topology.families(0));
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_EQ(shares[0].first, 8u);
  EXPECT_EQ(shares[0].copies, 16u);
  EXPECT_DOUBLE_EQ(shares[0].share, 0.5);
}

TEST(RingDrawing, ShowsTheFamilyThatIsAskedForOrTheLargest) {
  v1::GetTopologyReply topology = Halves();
  v1::PartitionFamily* one = topology.add_families();
  one->set_replicas(1);
  one->set_per_slice(1);
  for (int slice = 0; slice < 16; ++slice) one->add_owners(0);
  EXPECT_EQ(FamilyOf(topology, 0)->replicas(), 2u);
  EXPECT_EQ(FamilyOf(topology, 1)->replicas(), 1u);
  EXPECT_EQ(FamilyOf(topology, 3).status().message(), "no table has N=3; there is N=2, N=1");
}

TEST(RingDrawing, RefusesAFamilyThatDoesNotHoldTogether) {
  v1::GetTopologyReply topology = Halves();
  topology.mutable_families(0)->set_owners(0, 9);
  EXPECT_TRUE(absl::IsInternal(FamilyOf(topology, 0).status()));
  topology = Halves();
  topology.mutable_families(0)->mutable_owners()->RemoveLast();
  EXPECT_TRUE(absl::IsInternal(FamilyOf(topology, 0).status()));
  topology.clear_families();
  EXPECT_TRUE(absl::IsNotFound(FamilyOf(topology, 0).status()));
}

TEST(RingDrawing, TellsManyNodesApart) {
  v1::GetTopologyReply topology;
  topology.set_slices(64);
  v1::PartitionFamily* family = topology.add_families();
  family->set_replicas(1);
  family->set_per_slice(1);
  for (uint32_t i = 0; i < 64; ++i) {
    topology.add_members()->set_name(absl::StrCat("n", i));
    family->add_owners(i);
  }
  const std::string picture = DrawRing(topology, *family, {.columns = 60});
  std::set<char> letters;
  for (const char c : picture) letters.insert(c);
  EXPECT_GT(letters.size(), 40u);
}

}  // namespace
}  // namespace gyre
