#include "server/node.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

TableSpec Table(Durability durability) {
  TableSpec table;
  table.name = "table";
  table.durability = durability;
  return table;
}

Topology Initial() {
  std::vector<Member> members;
  for (const char* name : {"a", "b", "c", "d"}) members.push_back({{}, name, name, name, name});
  return *InitialTopology("test", 16, members);
}

Topology WithTable(Durability durability = Durability::kFsync) {
  return *CreateTable(Initial(), Table(durability));
}

NodeId Self() { return NodeIdFromName(Initial().cluster, "a"); }

std::unique_ptr<Node> Open(MemoryEngine* engine, const Topology& initial, bool clean_stop,
                           int shards = 3, uint64_t seed = 1) {
  NodeOptions options;
  options.shards = shards;
  auto node = Node::Open(options, engine, initial, Self(), clean_stop, Random(seed));
  EXPECT_TRUE(node.ok()) << node.status();
  return node.ok() ? *std::move(node) : nullptr;
}

// Writes one value into a partition of this node and answers the id that it was minted under.
ReplicaId WriteOne(Node* node, MemoryEngine* engine, const Topology& topology) {
  const auto view = View::Create(topology, Self());
  const TableSpec& table = *view->FindTable("table");
  const PartitionId partition = view->OwnedBy(Self()).front();
  std::string key;
  for (int i = 0; view->Locate(table, key) != partition; ++i) key = "key-" + std::to_string(i);
  WriteRequest request;
  request.item = {partition, table.id, key};
  request.intent.durability = table.durability;
  request.needed = 1;
  Shard& shard = node->shard(node->ShardOf(partition));
  shard.Write(1, request, Instant());
  ShardEffects effects = shard.TakeEffects(Instant());
  EXPECT_TRUE(effects.commit.has_value());
  EXPECT_TRUE(engine->Write(effects.commit->batch, effects.commit->sync).ok());
  shard.OnCommitted(effects.commit->seq, absl::OkStatus(), Instant());
  return shard.store().Self(partition);
}

// All peers greet the node; with `clocks`, each shows its clock of every partition too.
void Meet(Node* node, const Topology& topology, bool clocks = false) {
  const auto view = View::Create(topology, Self());
  for (const Member& peer : topology.members) {
    if (peer.id == Self()) continue;
    for (int i = 0; i < node->shards(); ++i) node->shard(i).OnPeer(peer.id, true, Instant());
    for (PartitionId partition : view->OwnedBy(Self())) {
      if (!clocks) continue;
      node->shard(node->ShardOf(partition))
          .OnMessage(peer.id, {1, topology.epoch, partition, ClockAsk{}}, Instant());
    }
  }
}

TEST(Node, SharesItsPartitionsOutSoThatEachBelongsToOneShard) {
  MemoryEngine engine;
  const auto node = Open(&engine, WithTable(), true);
  const auto view = View::Create(WithTable(), Self());
  std::set<PartitionId> shared;
  for (int i = 0; i < node->shards(); ++i) {
    size_t here = 0;
    node->shard(i).store().ForEachClock([&](PartitionId id, ReplicaId, const PartitionClock&) {
      EXPECT_EQ(node->ShardOf(id), i);
      EXPECT_TRUE(shared.insert(id).second);
      ++here;
    });
    EXPECT_GT(here, 0u);
  }
  const std::vector<PartitionId> owned = view->OwnedBy(Self());
  EXPECT_EQ(shared, std::set<PartitionId>(owned.begin(), owned.end()));
}

TEST(Node, ItsShardsShareTheRoomForHints) {
  MemoryEngine engine;
  NodeOptions options;
  options.shards = 2;
  options.hints.max_bytes = 1000;
  const auto node = *Node::Open(options, &engine, WithTable(), Self(), true, Random(1));
  const auto view = View::Create(WithTable(), Self());
  const NodeId owner = NodeIdFromName(Initial().cluster, "b");
  Record record;
  AddVersion(&record, {{ReplicaId(5), 1}, 0, std::string(600, 'x')});
  const auto kept_by = [&](int shard) {
    std::string key;
    const auto partition = [&] { return view->Locate(*view->FindTable("table"), key); };
    while (node->ShardOf(partition()) != shard) key += "x";
    const ItemKey item{partition(), view->FindTable("table")->id, key};
    const auto shared = std::make_shared<const Record>(record);
    node->shard(shard).OnMessage(
        owner, {1, view->epoch(), item.partition, Hint{owner, {item, shared, {}}}}, Instant());
    node->shard(shard).TakeEffects(Instant());
    return node->shard(shard).figures().stand_in.kept;
  };
  EXPECT_EQ(kept_by(0), 1u) << "though it is more than a half";
  EXPECT_EQ(kept_by(1), 0u);
}

TEST(Node, ServesByTheTopologyThatIsDurableHereRatherThanByItsConfiguration) {
  MemoryEngine engine;
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("topology"), EncodeTopology(WithTable()));
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  const auto node = Open(&engine, Initial(), true);
  EXPECT_EQ(node->control().view()->epoch(), WithTable().epoch);
}

TEST(Node, RefusesToOpenOnADamagedTopology) {
  MemoryEngine engine;
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("topology"), "nonsense");
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  EXPECT_FALSE(Node::Open({}, &engine, Initial(), Self(), true, Random(1)).ok());
}

TEST(Node, RefusesToOpenOnATopologyOfAHigherLevel) {
  MemoryEngine engine;
  Topology grown = Initial();
  grown.level = kBuildLevel;
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey("topology"), EncodeTopology(grown));
  ASSERT_TRUE(engine.Write(batch, WalSync::kYes).ok());
  NodeOptions options;
  options.level = kBuildLevel - 1;
  const auto older = Node::Open(options, &engine, Initial(), Self(), true, Random(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(older.status())) << older.status();
  options.level = kBuildLevel;
  EXPECT_TRUE(Node::Open(options, &engine, Initial(), Self(), true, Random(1)).ok());
}

TEST(Node, OpensThePartitionsThatANewerViewBrings) {
  MemoryEngine engine;
  const auto node = Open(&engine, Initial(), true);
  const auto view = View::Create(WithTable(), Self());
  size_t before = 0, after = 0;
  for (int i = 0; i < node->shards(); ++i) {
    const auto count = [](size_t* sum) {
      return [sum](PartitionId, ReplicaId, const PartitionClock&) { ++*sum; };
    };
    node->shard(i).store().ForEachClock(count(&before));
    ASSERT_TRUE(node->Install(i, view, Instant()).ok());
    node->shard(i).store().ForEachClock(count(&after));
  }
  EXPECT_EQ(before, 0u);
  EXPECT_EQ(after, view->OwnedBy(Self()).size());
}

TEST(Node, MintsOnUnderItsOldIdAfterACleanStop) {
  MemoryEngine engine;
  const Topology topology = WithTable(Durability::kPeriodic);
  const ReplicaId before = WriteOne(Open(&engine, topology, true).get(), &engine, topology);
  const auto again = Open(&engine, topology, /*clean_stop=*/true, 3, 2);
  Meet(again.get(), topology);
  EXPECT_EQ(WriteOne(again.get(), &engine, topology), before);
}

TEST(Node, TakesNewLivesAfterAnUncleanStopWhereATableIsPeriodic) {
  MemoryEngine engine;
  const Topology topology = WithTable(Durability::kPeriodic);
  const ReplicaId before = WriteOne(Open(&engine, topology, true).get(), &engine, topology);
  const auto again = Open(&engine, topology, /*clean_stop=*/false, 3, 2);
  Meet(again.get(), topology, /*clocks=*/true);
  EXPECT_NE(WriteOne(again.get(), &engine, topology), before);
}

TEST(Node, TakesNewLivesAfterAnUncleanStopWhereATableThatMayHaveBeenPeriodicWasDropped) {
  MemoryEngine engine;
  const Topology topology = *CreateTable(*DropTable(WithTable(Durability::kPeriodic), "table"),
                                         Table(Durability::kFsync));
  const ReplicaId before = WriteOne(Open(&engine, topology, true).get(), &engine, topology);
  const auto again = Open(&engine, topology, /*clean_stop=*/false, 3, 2);
  Meet(again.get(), topology, /*clocks=*/true);
  EXPECT_NE(WriteOne(again.get(), &engine, topology), before);
}

TEST(Node, ErasesAtItsStartWhatADroppedTableHeld) {
  MemoryEngine engine;
  const Topology topology = WithTable();
  WriteOne(Open(&engine, topology, true).get(), &engine, topology);
  const auto again = Open(&engine, *DropTable(topology, "table"), true, 3, 2);
  for (int i = 0; i < again->shards(); ++i) {
    const ShardEffects effects = again->shard(i).TakeEffects(Instant());
    if (effects.commit.has_value()) {
      ASSERT_TRUE(engine.Write(effects.commit->batch, effects.commit->sync).ok());
    }
  }
  size_t records = 0;
  ASSERT_TRUE(engine.TakeSnapshot()
                  ->Scan(Family::kRecords, "", "",
                         [&](std::string_view, std::string_view) { return ++records > 0; })
                  .ok());
  EXPECT_EQ(records, 0u);
}

TEST(Node, MintsOnAfterAnUncleanStopWhereEveryTableSyncsOnceItHasSeenTheOtherOwnersClocks) {
  const Topology topology = WithTable(Durability::kFsync);
  for (const bool clocks : {false, true}) {
    MemoryEngine engine;
    const ReplicaId before = WriteOne(Open(&engine, topology, true).get(), &engine, topology);
    const auto again = Open(&engine, topology, /*clean_stop=*/false, 3, 2);
    Meet(again.get(), topology, clocks);
    EXPECT_EQ(WriteOne(again.get(), &engine, topology) == before, clocks);
  }
}

// What membership sends in its first second and a half.
std::vector<MembershipEffects::Send> FirstWords(Membership* membership) {
  std::vector<MembershipEffects::Send> said;
  for (Time wake = membership->TakeEffects(Time()).wake; wake < Time() + Duration::Millis(1500);) {
    membership->OnWake(wake);
    MembershipEffects effects = membership->TakeEffects(wake);
    for (auto& send : effects.sends) said.push_back(std::move(send));
    wake = effects.wake;
  }
  return said;
}

TEST(Node, ProbesTheOtherMembersAndTellsThemItsEpoch) {
  MemoryEngine engine;
  const auto node = Open(&engine, Initial(), true);
  const auto view = View::Create(WithTable(), Self());
  node->SetMembers(*view, Time());
  const auto said = FirstWords(&node->membership());
  ASSERT_FALSE(said.empty());
  for (const auto& send : said) {
    EXPECT_NE(view->FindMember(send.to), nullptr);
    EXPECT_NE(send.to, Self());
    EXPECT_EQ(send.message.epoch, view->epoch());
  }
}

TEST(Node, ANodeThatIsAloneProbesNobody) {
  MemoryEngine engine;
  const Topology initial = *InitialTopology("test", 16, {{{}, "a", "a", "a", "a"}});
  const auto node = Open(&engine, initial, true);
  node->SetMembers(*View::Create(initial, Self()), Time());
  EXPECT_EQ(node->membership().TakeEffects(Time()).wake, Time::Never());
}

TEST(Node, EnclosesWhatMembershipSaysAsAMessageOfTheNode) {
  const NodeId peer = NodeIdFromName(Initial().cluster, "b");
  MembershipMessage message;
  message.kind = MembershipMessage::Kind::kProbe;
  message.epoch = Epoch(7);
  const Envelope envelope = Enclose({peer, message}, 1'790'000'000'000);
  EXPECT_EQ(envelope.to, peer);
  EXPECT_EQ(envelope.message.exchange, 0u);
  EXPECT_EQ(envelope.message.partition, PartitionId());
  EXPECT_EQ(envelope.message.epoch, Epoch(7));
  const auto& body = std::get<MembershipMessage>(envelope.message.body);
  EXPECT_EQ(body.kind, MembershipMessage::Kind::kProbe);
  EXPECT_EQ(body.wall_ms, 1'790'000'000'000u) << "the clock of this node, for the others";
}

TEST(Node, SharesTheRecordCacheOutToItsShards) {
  MemoryEngine engine;
  NodeOptions options;
  options.shards = 3;
  options.record_cache_bytes = 3 << 20;
  const auto node = Node::Open(options, &engine, WithTable(), Self(), true, Random(1));
  ASSERT_TRUE(node.ok()) << node.status();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((*node)->shard(i).store().cache().budget_bytes(), size_t{1} << 20);
  }
}

TEST(Node, TellsOthersHowBusyItIsOnceItHasBeenSoForAWhile) {
  MemoryEngine engine;
  NodeOptions options;
  options.load.rise_after = Duration::Seconds(2);
  const auto node = *Node::Open(options, &engine, Initial(), Self(), true, Random(1));
  node->SetMembers(*View::Create(Initial(), Self()), Time());
  const auto load_said_at = [&](int64_t ms) {
    const Time now = Time() + Duration::Millis(ms);
    node->OnLoad(100, now);
    node->membership().OnWake(now);
    const MembershipEffects effects = node->membership().TakeEffects(now);
    return effects.sends.empty() ? Load::kIdle : effects.sends.back().message.load;
  };
  EXPECT_EQ(load_said_at(1'000), Load::kIdle);
  EXPECT_EQ(load_said_at(2'500), Load::kIdle);
  EXPECT_EQ(load_said_at(4'000), Load::kFull);
  EXPECT_EQ(node->load(), Load::kFull);
}

}  // namespace
}  // namespace gyre
