// gyre-micro: micro-benchmarks (Google Benchmark) of what a request passes through: placement,
// codec, merge, clock, tally, frames between peers, and of the store under all of it.
// docs/benchmarks.md tells what they came to.
//
//   build/release/test/bench/gyre-micro --benchmark_repetitions=5
//
// One thread; every iteration is one call, but for frames, of which an item is one message.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/peer_translation.h"
#include "api/proto/frame_arena.h"
#include "api/proto/peer.pb.h"
#include "replication/message.h"
#include "replication/tally.h"
#include "ring/check.h"
#include "ring/random.h"
#include "ring/view.h"
#include "storage/keys.h"
#include "storage/rocks_engine.h"
#include "storage/scratch_directory.h"
#include "storage/version/partition_clock.h"
#include "storage/version/record.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr size_t kValueBytes = 1024;
constexpr ReplicaId kIds[] = {ReplicaId(0x11), ReplicaId(0x22), ReplicaId(0x33)};

// ----------------------------------------------------------------------------------------
// placement

std::shared_ptr<const View> NodesInThreeZones(int nodes, uint32_t slices) {
  std::vector<Member> members;
  for (int i = 0; i < nodes; ++i) {
    const std::string number = std::to_string(i);
    members.push_back(
        {NodeId(), "n" + number, "z" + std::to_string(i % 3), "c" + number, "p" + number});
  }
  absl::StatusOr<Topology> topology = InitialTopology("micro", slices, members);
  TableSpec table;
  table.name = "carts";
  if (topology.ok()) topology = CreateTable(*topology, table);
  GYRE_CHECK(topology.ok(), "a good topology");
  const NodeId self = topology->members.front().id;
  return View::Create(*std::move(topology), self);
}

// From a table's name and a key to the owners of its partition.
void PlacementLookUp(benchmark::State& state) {
  const auto view = NodesInThreeZones(static_cast<int>(state.range(0)), 1024);
  std::vector<std::string> keys(1024);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = "customer-" + std::to_string(i * 7919);
  size_t i = 0;
  for (auto _ : state) {
    const TableSpec* const table = view->FindTable("carts");
    const PartitionId partition = view->Locate(*table, keys[i++ % keys.size()]);
    benchmark::DoNotOptimize(view->Owners(partition).front());
  }
}
BENCHMARK(PlacementLookUp)->Arg(3)->Arg(64)->Arg(1000);

// ------------------------------------------------------------------------------- records and
// clocks

// What is stored of most keys: one version, and nothing that the clock does not say.
Record Settled() { return {{{{kIds[0], 123'456}, 0, std::string(kValueBytes, 'v')}}, {}}; }

// As many siblings, each with the context of its own write beside.
Record WithSiblings(int siblings) {
  Record record;
  for (int i = 0; i < siblings; ++i) {
    AddVersion(&record, {{kIds[i], 1000}, 0, std::string(kValueBytes, 'v')});
  }
  return record;
}

// Bases up to 1000 of each id, and every second dot of the next 128 above, from `first` on.
PartitionClock ClockWithGaps(uint64_t first = 1002) {
  PartitionClock clock;
  clock.JoinBases({{kIds[0], 1000}, {kIds[1], 1000}, {kIds[2], 1000}});
  for (const ReplicaId id : kIds) {
    for (uint64_t counter = first; counter <= 1128; counter += 2) clock.Add({id, counter});
  }
  return clock;
}

void RecordEncode(benchmark::State& state) {
  const Record record =
      state.range(0) == 1 ? Settled() : WithSiblings(static_cast<int>(state.range(0)));
  std::string bytes;
  for (auto _ : state) {
    bytes.clear();
    AppendRecord(record, &bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
}
BENCHMARK(RecordEncode)->Arg(1)->Arg(3);

void RecordDecode(benchmark::State& state) {
  const std::string bytes = EncodeRecord(
      state.range(0) == 1 ? Settled() : WithSiblings(static_cast<int>(state.range(0))));
  for (auto _ : state) benchmark::DoNotOptimize(DecodeRecord(bytes)->versions.data());
}
BENCHMARK(RecordDecode)->Arg(1)->Arg(3);

// A received write over the one that it replaces, both filled: the common merge.
void RecordSync(benchmark::State& state) {
  Record older = Settled(), newer = Settled();
  older.context = {{kIds[0], 123'456}, {kIds[1], 100}, {kIds[2], 100}};
  newer.versions[0].dot.counter = 123'457;
  newer.context = {{kIds[0], 123'457}, {kIds[1], 100}, {kIds[2], 100}};
  for (auto _ : state) benchmark::DoNotOptimize(Sync(older, newer).versions.data());
}
BENCHMARK(RecordSync);

void RecordFillAndStrip(benchmark::State& state) {
  const PartitionClock clock = ClockWithGaps();
  Record record = WithSiblings(1);
  for (auto _ : state) {
    Fill(&record, clock);
    Strip(&record, clock);
    benchmark::DoNotOptimize(record.context);
  }
}
BENCHMARK(RecordFillAndStrip);

// A dot that follows the last: what every put does to its partition's clock.
void ClockAdd(benchmark::State& state) {
  PartitionClock clock;
  uint64_t counter = 0;
  for (auto _ : state) benchmark::DoNotOptimize(clock.Add({kIds[0], ++counter}));
}
BENCHMARK(ClockAdd);

// Of two clocks whose gaps the other one fills; the copy that it starts from is part of it.
void ClockJoin(benchmark::State& state) {
  const PartitionClock mine = ClockWithGaps(1002), theirs = ClockWithGaps(1001);
  for (auto _ : state) {
    PartitionClock joined = mine;
    joined.JoinAll(theirs);
    benchmark::DoNotOptimize(joined.entries().data());
  }
}
BENCHMARK(ClockJoin);

void ClockJoinOfEqual(benchmark::State& state) {
  const PartitionClock theirs = ClockWithGaps();
  PartitionClock mine = theirs;
  for (auto _ : state) {
    mine.JoinAll(theirs);
    benchmark::DoNotOptimize(mine.entries().data());
  }
}
BENCHMARK(ClockJoinOfEqual);

// What an exchange of two owners that agree costs each, for one partition.
void ClockMissingOfEqual(benchmark::State& state) {
  const PartitionClock mine = ClockWithGaps(), theirs = ClockWithGaps();
  for (auto _ : state) benchmark::DoNotOptimize(mine.MissingFrom(theirs, 100).ranges.size());
}
BENCHMARK(ClockMissingOfEqual);

// --------------------------------------------------------------------------------------------
// tally

// A quorum of two among three, from the first question to the answer that meets it.
void TallyOfThree(benchmark::State& state) {
  const NodeId nodes[] = {NodeId(1), NodeId(2), NodeId(3)};
  const Time now = Time::FromMicros(1);
  for (auto _ : state) {
    Tally tally(nodes, 2);
    for (const NodeId node : nodes) tally.Ask(node, now);
    tally.Answer(nodes[0], Part::kCoordinator, now);
    tally.Answer(nodes[1], Part::kAnswered, now);
    benchmark::DoNotOptimize(tally.Met());
  }
}
BENCHMARK(TallyOfThree);

// -------------------------------------------------------------------------------------------
// frames

constexpr int kFrameMessages = 64;

PeerMessage Replicated() {
  PeerMessage message{42, Epoch(7), PartitionId(3, 17), {}};
  Record record = Settled();
  record.context = {{kIds[0], 123'456}, {kIds[1], 100}, {kIds[2], 100}};
  message.body = Apply{{{message.partition, TableId(1), "customer-123456"},
                        std::make_shared<const Record>(std::move(record)),
                        {{{kIds[0], 123'456}, {1, 2}, 0}}},
                       Durability::kFsync};
  return message;
}

// From messages to the bytes that gRPC is given.
void FrameEncode(benchmark::State& state) {
  const PeerMessage message = Replicated();
  FrameArena<peer::PeerFrame> frames(32 << 10);
  std::string bytes;
  for (auto _ : state) {
    peer::PeerFrame* const frame = frames.Renew();
    for (int i = 0; i < kFrameMessages; ++i) EncodePeerMessage(message, frame->add_messages());
    frame->SerializeToString(&bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetItemsProcessed(state.iterations() * kFrameMessages);
}
BENCHMARK(FrameEncode);

void FrameDecode(benchmark::State& state) {
  const PeerMessage message = Replicated();
  peer::PeerFrame written;
  for (int i = 0; i < kFrameMessages; ++i) EncodePeerMessage(message, written.add_messages());
  const std::string bytes = written.SerializeAsString();
  FrameArena<peer::PeerFrame> frames(32 << 10);
  for (auto _ : state) {
    peer::PeerFrame* const frame = frames.Renew();
    GYRE_CHECK(frame->ParseFromString(bytes), "what was written can be read");
    for (peer::PeerMessage& wire : *frame->mutable_messages()) {
      benchmark::DoNotOptimize(DecodePeerMessage(&wire)->exchange);
    }
  }
  state.SetItemsProcessed(state.iterations() * kFrameMessages);
}
BENCHMARK(FrameDecode);

// ------------------------------------------------------------------------------------------- store

// What the store takes for a put by itself, flushes and compactions included: a group of records
// and their log entries in one batch with one fsync, over 100,000 keys. CPU is the process's, an
// iteration one group.
void StoreCommit(benchmark::State& state) {
  const ScratchDirectory directory;
  RocksEngine::Options options;
  options.path = directory.path();
  absl::StatusOr<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(options);
  GYRE_CHECK(engine.ok(), "the store opens");
  Random random(1);
  const std::string value(kValueBytes, 'v');
  uint64_t counter = 0;
  for (auto _ : state) {
    WriteBatch batch;
    for (int64_t i = 0; i < state.range(0); ++i) {
      const uint64_t number = random.Below(100'000);
      const PartitionId partition(3, static_cast<uint32_t>(number % 256));
      batch.Put(Family::kRecords,
                EncodeItemKey({partition, TableId(1), "customer-" + std::to_string(number)}),
                value);
      batch.Put(Family::kDotLog, EncodeLogKey(partition, {kIds[0], ++counter}),
                "customer-" + std::to_string(number));
    }
    GYRE_CHECK((*engine)->Write(batch, WalSync::kYes).ok(), "the disk is sound");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(StoreCommit)->Arg(16)->Arg(64)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace gyre

BENCHMARK_MAIN();
