#include "ring/topology_delta.h"

#include <zstd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ring/bytes.h"
#include "ring/documents.h"
#include "ring/random.h"
#include "ring/rebalance.h"
#include "ring/topology.h"

namespace gyre {
namespace {

Topology Beginning(int nodes, uint32_t slices) {
  std::vector<Member> members;
  for (int i = 0; i < nodes; ++i) {
    const std::string name = absl::StrCat("n", i);
    members.push_back({{}, name, absl::StrCat("z", i % 3), name, name});
  }
  TableSpec spec;
  spec.name = "t";
  return *CreateTable(*InitialTopology("test", slices, members), spec);
}

std::string Join(std::string_view head, std::string_view frame) {
  return absl::StrCat(std::string(head), std::string(frame));
}

Document DocumentOf(const Topology& topology) {
  std::string encoded = EncodeTopology(topology);
  const uint64_t check = CheckOf(encoded);
  return {topology, std::move(encoded), check};
}

std::string HeadOf(Epoch base_epoch, uint64_t base_check, uint32_t size, uint64_t check) {
  ByteWriter out;
  out.Put(uint8_t{1});
  out.Put(base_epoch.value());
  out.Put(base_check);
  out.Put(size);
  out.Put(check);
  out.Put(uint16_t{0});
  out.Put(uint16_t{0});
  return out.Take();
}

std::string Compressed(const std::string& bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 1));
  return frame;
}

// A change of any kind, as random as its seed.
Topology Changed(const Topology& topology, Random* random, int step) {
  const std::vector<Member>& members = topology.members;
  const std::string name = members[random->Below(members.size())].name;
  absl::StatusOr<Topology> next = topology;
  switch (random->Below(6)) {
    case 0:
      next = AddMember(topology, {{},
                                  absl::StrCat("new", step),
                                  absl::StrCat("z", step % 3),
                                  absl::StrCat("a", step),
                                  absl::StrCat("b", step),
                                  MemberState::kActive,
                                  random->Next() | 1});
      break;
    case 1:
      next = LeaveMember(topology, name);
      break;
    case 2:
      next = BuryMember(topology, name);
      break;
    case 3: {
      std::vector<MoveRef> ready;
      for (const Move& move : topology.moves) {
        if (random->Chance(1, 2)) ready.push_back({move.partition, move.since});
      }
      next = random->Chance(1, 2) ? SwitchMoves(topology, ready) : EndMoves(topology, ready);
      break;
    }
    default:
      next = BeginMoves(topology, MakePlan(topology), {4, 4});
  }
  return next.ok() ? *std::move(next) : topology;
}

TEST(TopologyDelta, TurnsAnyDocumentOfAHistoryIntoAnyLaterOne) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    std::vector<Topology> history = {Beginning(9, 64)};
    for (int step = 0; step < 40; ++step) {
      history.push_back(Changed(history.back(), &random, step));
      ASSERT_TRUE(ValidateTopology(history.back()).ok());
    }
    for (size_t to = 0; to < history.size(); to += 3) {
      const Document next = DocumentOf(history[to]);
      EXPECT_EQ(*ApplyDelta(nullptr, EncodeDelta(nullptr, next)), next.encoded);
      for (size_t from = 0; from < to; from += 5) {
        const Document base = DocumentOf(history[from]);
        const std::string delta = EncodeDelta(&base, next);
        EXPECT_EQ(*BaseOf(delta), (DeltaBase{history[from].epoch, base.check}));
        EXPECT_EQ(*ApplyDelta(&base, delta), next.encoded) << seed << ": " << from << " to " << to;
      }
    }
  }
}

TEST(TopologyDelta, IsSmallWhereLittleChanges) {
  const Document base = DocumentOf(Beginning(60, 16384));
  ASSERT_GT(base.encoded.size(), size_t{98'304});
  Topology changed = NextOf(base.topology);
  changed.members[7].zone = "elsewhere";
  const std::string delta = EncodeDelta(&base, DocumentOf(changed));
  EXPECT_LT(delta.size(), size_t{400});
}

// Owners are written by their places among the members, and these change with each that comes.
TEST(TopologyDelta, IsSmallWhereAMemberComesOrGoes) {
  const Document base = DocumentOf(Beginning(60, 16384));
  const Document more = DocumentOf(*AddMember(
      base.topology, {{}, "new", "z1", "new:1", "new:2", MemberState::kActive, 0x123456789}));
  const std::string coming = EncodeDelta(&base, more);
  EXPECT_LT(coming.size(), size_t{1000});
  EXPECT_EQ(*ApplyDelta(&base, coming), more.encoded);
  const std::string going = EncodeDelta(&more, base);
  EXPECT_LT(going.size(), size_t{1000});
  EXPECT_EQ(*ApplyDelta(&more, going), base.encoded);
}

TEST(TopologyDelta, ThatIsAppliedToAnotherBaseIsFoundOut) {
  const Document one = DocumentOf(Beginning(9, 64));
  const Document two = DocumentOf(*LeaveMember(one.topology, "n3"));
  const Document other = DocumentOf(*LeaveMember(one.topology, "n4"));  // the epoch of the second
  const Document three = DocumentOf(*LeaveMember(two.topology, "n5"));
  const std::string delta = EncodeDelta(&two, three);
  for (const Document* base : {&one, &other, &three}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(ApplyDelta(base, delta).status()));
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(ApplyDelta(nullptr, delta).status()));
  const std::string whole = EncodeDelta(nullptr, three);
  EXPECT_TRUE(absl::IsFailedPrecondition(ApplyDelta(&two, whole).status()));
}

TEST(TopologyDelta, OfAnyBitThatIsWrongIsNoneOrTheSame) {
  const Document base = DocumentOf(Beginning(5, 16));
  const Document next = DocumentOf(*LeaveMember(base.topology, "n3"));
  const std::string delta = EncodeDelta(&base, next);
  for (size_t i = 0; i < delta.size() * 8; ++i) {
    std::string wrong = delta;
    wrong[i / 8] = static_cast<char>(wrong[i / 8] ^ (1 << i % 8));
    const absl::StatusOr<std::string> made = ApplyDelta(&base, wrong);
    EXPECT_TRUE(!made.ok() || *made == next.encoded) << "bit " << i;
  }
  for (size_t size = 0; size < delta.size(); ++size) {
    EXPECT_FALSE(ApplyDelta(&base, delta.substr(0, size)).ok()) << size;
  }
  Random random(7);
  const std::string head = HeadOf(base.topology.epoch, base.check, 100, 1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random.Below(80), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Next());
    EXPECT_FALSE(ApplyDelta(&base, bytes).ok());
    EXPECT_FALSE(ApplyDelta(&base, Join(head, bytes)).ok());
  }
}

TEST(TopologyDelta, InflatesToNoMoreThanItSays) {
  const std::string zeros(size_t{8} << 20, '\0');
  const std::string bomb = Compressed(zeros);
  ASSERT_LT(bomb.size(), size_t{2000});
  const auto apply = [&](uint32_t size) {
    return ApplyDelta(nullptr, Join(HeadOf(Epoch(), 0, size, CheckOf(zeros)), bomb)).status();
  };
  EXPECT_TRUE(absl::IsDataLoss(apply(100)));
  EXPECT_TRUE(absl::IsDataLoss(apply((8u << 20) - 1)));
  EXPECT_TRUE(apply(8u << 20).ok());
  EXPECT_TRUE(absl::IsDataLoss(apply((8u << 20) + 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(apply(kMaxDocumentBytes + 1)));
  EXPECT_TRUE(absl::IsResourceExhausted(apply(UINT32_MAX)));
}

TEST(TopologyDelta, OfANewerFormatIsNotTakenForGarbage) {
  std::string delta = EncodeDelta(nullptr, DocumentOf(Beginning(3, 4)));
  delta[0] = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(ApplyDelta(nullptr, delta).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(BaseOf(delta).status()));
}

TEST(Documents, OfTheSameBytesAreOne) {
  Documents documents(2);
  const DocumentPtr one = documents.Of(Beginning(5, 16));
  EXPECT_EQ(*documents.Read(one->encoded), one);
  const DocumentPtr two = documents.Of(*LeaveMember(one->topology, "n3"));
  const auto delta = documents.Delta(one, two);
  EXPECT_EQ(documents.Delta(one, two), delta) << "made once";
  EXPECT_EQ(*documents.Apply(one, *delta), two);
  EXPECT_EQ(*documents.Apply(nullptr, *documents.Delta(nullptr, two)), two);
}

TEST(Documents, RememberAFewAndAnswerTheSameForOthers) {
  Documents documents(2);
  std::vector<DocumentPtr> all = {documents.Of(Beginning(9, 16))};
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("n", i);
    all.push_back(documents.Of(*LeaveMember(all.back()->topology, name)));
  }
  const absl::StatusOr<DocumentPtr> first = documents.Read(all[0]->encoded);
  ASSERT_TRUE(first.ok());
  EXPECT_NE(*first, all[0]);
  EXPECT_EQ((*first)->topology, all[0]->topology);
  EXPECT_EQ((*documents.Apply(all[0], *documents.Delta(all[0], all[5])))->topology,
            all[5]->topology);
}

TEST(Documents, RefuseWhatIsNoDocument) {
  Documents documents;
  const DocumentPtr one = documents.Of(Beginning(5, 16));
  const std::string garbage(9, '\0');
  EXPECT_TRUE(absl::IsDataLoss(documents.Read(garbage).status()));
  const std::string delta =
      Join(HeadOf(Epoch(), 0, static_cast<uint32_t>(garbage.size()), CheckOf(garbage)),
           Compressed(garbage));
  EXPECT_TRUE(absl::IsDataLoss(documents.Apply(nullptr, delta).status()));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(documents.Apply(one, EncodeDelta(nullptr, *one)).status()));
}

}  // namespace
}  // namespace gyre
