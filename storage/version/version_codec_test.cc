#include "storage/version/version_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ring/random.h"
#include "storage/version/varint.h"

namespace gyre {
namespace {

constexpr ReplicaId kA{0x1122334455667788};
constexpr ReplicaId kB{0xffeeddccbbaa9988};

// Counters of every size, small ones most often.
uint64_t AnyCounter(Random* random) {
  return 1 + (random->Next() >> random->Between(3, 63)) % (kMaxCounter - 1);
}

VersionVector AnyVector(Random* random) {
  VersionVector vector;
  for (uint64_t i = random->Below(6); i > 0; --i) {
    vector.RaiseTo({ReplicaId(1 + random->Below(9)), AnyCounter(random)});
  }
  return vector;
}

CausalContext AnyContext(Random* random) {
  CausalContext context{AnyVector(random), {}};
  if (random->Chance(1, 2)) {
    context.beside = {ReplicaId(1 + random->Below(9)), AnyCounter(random)};
  }
  return context;
}

PartitionClock AnyClock(Random* random) {
  PartitionClock clock;
  for (uint64_t i = random->Below(40); i > 0; --i) {
    const ReplicaId replica(1 + random->Below(4));
    if (random->Chance(1, 10)) {
      clock.JoinBases(VersionVector{{replica, AnyCounter(random)}});
    } else if (random->Chance(1, 5)) {
      clock.Add({replica, AnyCounter(random)});
    } else {
      clock.Add({replica, 1 + random->Below(200)});
    }
  }
  return clock;
}

Record AnyRecord(Random* random) {
  Record record;
  record.context = AnyVector(random);
  const bool stamps = random->Chance(1, 2);
  const bool expire = random->Chance(1, 3);
  VersionVector used;
  for (uint64_t i = random->Below(5); i > 0; --i) {
    used.RaiseTo({ReplicaId(1 + random->Below(9)), AnyCounter(random)});
  }
  for (const Dot& dot : used.entries()) {
    const uint64_t stamp = stamps ? random->Next() >> random->Below(64) : 0;
    record.versions.push_back({dot, stamp,
                               std::string(random->Below(30), static_cast<char>(random->Next())),
                               expire ? random->Next() >> random->Below(64) : 0});
  }
  return record;
}

Minted AnyMinted(Random* random) {
  Minted minted{{ReplicaId(1 + random->Next() / 2), AnyCounter(random)}, {}, 0};
  if (random->Chance(2, 3)) {
    minted.write = {random->Next(), random->Next()};
    minted.attempt = static_cast<uint32_t>(random->Next() >> random->Between(32, 63));
  }
  return minted;
}

// One kind of value with its encoder and decoder, so that each property is said once.
template <typename T>
struct Codec {
  T (*any)(Random*);
  std::string (*encode)(const T&);
  absl::StatusOr<T> (*decode)(std::string_view);
};
constexpr Codec<Record> kRecords{AnyRecord, EncodeRecord, DecodeRecord};
constexpr Codec<VersionVector> kVectors{AnyVector, EncodeVersionVector, DecodeVersionVector};
constexpr Codec<CausalContext> kContexts{AnyContext, EncodeCausalContext, DecodeCausalContext};
constexpr Codec<PartitionClock> kClocks{AnyClock, EncodePartitionClock, DecodePartitionClock};
constexpr Codec<Minted> kMinteds{AnyMinted, EncodeMinted, DecodeMinted};

template <typename F>
void ForEachCodec(F f) {
  f(kRecords);
  f(kVectors);
  f(kContexts);
  f(kClocks);
  f(kMinteds);
}

// What a decoder accepts is exactly what an encoder writes; all else is refused with a typed error.
template <typename T>
void ExpectRefusedOrExact(const Codec<T>& codec, std::string_view bytes) {
  const absl::StatusOr<T> decoded = codec.decode(bytes);
  if (decoded.ok()) {
    RC_ASSERT(codec.encode(*decoded) == bytes);
  } else {
    const absl::StatusCode code = decoded.status().code();
    RC_ASSERT(code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnimplemented);
  }
}

TEST(VersionCodec, ReadsBackWhatItWrote) {
  ForEachCodec([](const auto& codec) {
    EXPECT_TRUE(rc::check("round trip", [&codec](uint64_t seed) {
      Random random(seed);
      for (int i = 0; i < 20; ++i) {
        const auto value = codec.any(&random);
        const auto decoded = codec.decode(codec.encode(value));
        RC_ASSERT(decoded.ok());
        RC_ASSERT(*decoded == value);
      }
    }));
  });
}

TEST(VersionCodec, SurvivesEveryTruncation) {
  ForEachCodec([](const auto& codec) {
    EXPECT_TRUE(rc::check("truncation", [&codec](uint64_t seed) {
      Random random(seed);
      const std::string bytes = codec.encode(codec.any(&random));
      for (size_t length = 0; length < bytes.size(); ++length) {
        // A copy on the heap, so that a sanitizer sees a read beyond its end.
        const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
        ExpectRefusedOrExact(codec, std::string_view(cut.data(), cut.size()));
      }
    }));
  });
}

TEST(VersionCodec, SurvivesRandomMutations) {
  ForEachCodec([](const auto& codec) {
    EXPECT_TRUE(rc::check("mutation", [&codec](uint64_t seed) {
      Random random(seed);
      const std::string bytes = codec.encode(codec.any(&random));
      for (int i = 0; i < 50; ++i) {
        std::string mutated = bytes;
        for (uint64_t n = 1 + random.Below(4); n > 0 && !mutated.empty(); --n) {
          const size_t at = random.Below(mutated.size());
          switch (random.Below(4)) {
            case 0:
              mutated[at] = static_cast<char>(random.Next());
              break;
            case 1:
              mutated[at] = static_cast<char>(mutated[at] ^ (1 << random.Below(8)));
              break;
            case 2:
              mutated.erase(at, 1 + random.Below(3));
              break;
            default:
              mutated.insert(at, 1, static_cast<char>(random.Next()));
              break;
          }
        }
        ExpectRefusedOrExact(codec, mutated);
      }
    }));
  });
}

TEST(VersionCodec, SurvivesRandomBytesBehindAGoodOpening) {
  ForEachCodec([](const auto& codec) {
    EXPECT_TRUE(rc::check("garbage", [&codec](uint64_t seed) {
      Random random(seed);
      std::string bytes(1, static_cast<char>(random.Between(0x10, 0x30)));
      for (uint64_t n = random.Below(60); n > 0; --n) {
        bytes.push_back(static_cast<char>(random.Next() >> random.Below(64)));
      }
      ExpectRefusedOrExact(codec, bytes);
    }));
  });
}

TEST(VersionCodec, SaysThatAFormatIsNewer) {
  ForEachCodec([](const auto& codec) {
    Random random(1);
    std::string bytes = codec.encode(codec.any(&random));
    bytes[0] = static_cast<char>((bytes[0] & 0x0f) | 0x30);
    const absl::Status refused = codec.decode(bytes).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
    EXPECT_NE(refused.message().find("format 3, which is newer than format "),
              std::string_view::npos)
        << refused;
  });
}

TEST(VersionCodec, RefusesTrailingBytes) {
  EXPECT_EQ(DecodeMinted(EncodeMinted({{kA, 1}, {}, 0}) + "x").status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeVersionVector(EncodeVersionVector({{kA, 1}}) + "x").status().code(),
            absl::StatusCode::kDataLoss);
  PartitionClock clock;
  clock.Add({kA, 1});
  EXPECT_EQ(DecodePartitionClock(EncodePartitionClock(clock) + "x").status().code(),
            absl::StatusCode::kDataLoss);
  const Record two{{{{kA, 1}, 0, "x"}, {{kB, 1}, 0, "y"}}, {}};
  EXPECT_EQ(DecodeRecord(EncodeRecord(two) + "x").status().code(), absl::StatusCode::kDataLoss);
}

TEST(VersionCodec, RefusesACountThatTheBytesCannotHold) {
  std::string bytes(1, '\x14');  // a record with a context, of very many entries
  AppendVarint(&bytes, uint64_t{1} << 60);
  bytes.append(64, 'x');
  EXPECT_EQ(DecodeRecord(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(VersionCodec, StoresASettledRecordInAtMostThirteenBytesBesideItsValue) {
  const uint64_t many = (uint64_t{1} << 28) - 1;  // 268 million writes of one replica id
  const Record settled{{{{kA, many}, 0, std::string(1000, 'v')}}, {}};
  EXPECT_EQ(EncodeRecord(settled).size(), 1000u + 13u);
  const Record small{{{{kA, 1}, 0, ""}}, {}};
  EXPECT_EQ(EncodeRecord(small).size(), 10u);
}

TEST(VersionCodec, StoresASettledRecordWithAStampInAtMost24BytesBesideItsValue) {
  const uint64_t many = (uint64_t{1} << 28) - 1;
  const Record settled{{{{kA, many}, UINT64_MAX, std::string(1000, 'v')}}, {}};
  EXPECT_LE(EncodeRecord(settled).size(), 1000u + 24u);
}

// The bytes of docs/formats.md: stored data must stay readable.
TEST(VersionCodec, WritesTheBytesOfFormatOne) {
  EXPECT_EQ(EncodeRecord({{{{kA, 300}, 0, "hi"}}, {}}),
            std::string_view("\x11\x11\x22\x33\x44\x55\x66\x77\x88\xac\x02hi", 13));
  EXPECT_EQ(EncodeRecord({{}, {{kA, 1}}}),
            std::string_view("\x14\x01\x11\x22\x33\x44\x55\x66\x77\x88\x01\x00", 12));
  EXPECT_EQ(EncodeMinted({{kA, 1}, {}, 0}),
            std::string_view("\x10\x11\x22\x33\x44\x55\x66\x77\x88\x01", 10));
  PartitionClock clock;
  clock.Add({kA, 1});
  clock.Add({kA, 65});
  EXPECT_EQ(EncodePartitionClock(clock),
            std::string_view("\x10\x11\x22\x33\x44\x55\x66\x77\x88\x01\x01"
                             "\x01\x00\x00\x00\x00\x00\x00\x00\x02",
                             20));
}

TEST(VersionCodec, WritesFormatTwoWhereAVersionExpiresAndOnlyThere) {
  EXPECT_EQ(EncodeRecord({{{{kA, 300}, 0, "hi", 0x0102030405}}, {}}),
            std::string_view("\x29\x11\x22\x33\x44\x55\x66\x77\x88\xac\x02"
                             "\x00\x00\x00\x01\x02\x03\x04\x05hi",
                             21));
  EXPECT_EQ(EncodeRecord({{{{kA, 300}, 0, "hi", 0}}, {}})[0], '\x11');
  std::string without = EncodeRecord({{{{kA, 300}, 0, "hi", 7}}, {}});
  without[0] = '\x21';
  EXPECT_EQ(DecodeRecord(without).status().code(), absl::StatusCode::kDataLoss);
  without[0] = '\x19';
  EXPECT_EQ(DecodeRecord(without).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Varint, HasOneFormOnly) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, UINT64_MAX}) {
    std::string bytes;
    AppendVarint(&bytes, value);
    std::string_view in = bytes;
    uint64_t read = 1;
    EXPECT_TRUE(ConsumeVarint(&in, &read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(in.empty());
  }
  for (const std::string_view bad :
       {std::string_view("\x80\x00", 2), std::string_view("\x80", 1), std::string_view("", 0),
        std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10)}) {
    std::string_view in = bad;
    uint64_t read = 0;
    EXPECT_FALSE(ConsumeVarint(&in, &read));
    EXPECT_EQ(in.size(), bad.size()) << "a refused varint stays in the input";
  }
}

}  // namespace
}  // namespace gyre
