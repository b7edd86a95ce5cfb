#include "server/node.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {

absl::StatusOr<std::unique_ptr<Node>> Node::Open(NodeOptions options, Engine* engine,
                                                 const Topology& initial, NodeId self,
                                                 bool clean_stop, Random random) {
  GYRE_CHECK(options.shards >= 1 && options.shards <= 64, "1 to 64 shards");
  absl::StatusOr<Control::Durable> durable =
      Control::Load(*engine->TakeSnapshot(), initial, options.standing);
  if (!durable.ok()) return durable.status();
  if (durable->topology.level > options.level) {
    return absl::FailedPreconditionError("this node " +
                                         OutgrownWords(options.level, durable->topology.level));
  }
  // A table that was dropped may have been one of those.
  const std::vector<TableSpec>& tables = durable->topology.tables;
  const bool periodic = tables.size() + 1 < durable->topology.next_table_id.value() ||
                        std::any_of(tables.begin(), tables.end(), [](const TableSpec& table) {
                          return table.durability == Durability::kPeriodic;
                        });
  const std::shared_ptr<const View> view = View::Create(std::move(durable->topology), self);

  const auto hint_room = std::make_shared<HintRoom>(options.hints.max_bytes);
  options.shard.clean_start = clean_stop;
  options.store.cached_bytes = options.record_cache_bytes / options.shards;
  std::unique_ptr<Node> node(new Node(options.load));
  node->shards_.resize(options.shards);
  std::vector<HintLog> hints;
  for (int i = 0; i < options.shards; ++i) hints.emplace_back(options.hints, hint_room);
  absl::Status counted = OpenHints(*engine->TakeSnapshot(), [&](PartitionId partition) {
    return &hints[node->ShardOf(partition)];
  });
  if (!counted.ok()) return counted;
  for (int i = 0; i < options.shards; ++i) {
    Part& part = node->shards_[i];
    part.store = std::make_unique<ReplicaStore>(engine, options.store, Random(random.Next()));
    absl::Status opened = part.store->Open(node->PartitionsOf(i, *view), periodic && !clean_stop);
    if (!opened.ok()) return opened;
    absl::Status dropped = part.store->DropOthers(
        [&](PartitionId partition) { return node->ShardOf(partition) == i; });
    if (!dropped.ok()) return dropped;
    node->BeginMoves(i, *view);
    absl::Status erased = part.store->EraseTablesBut(
        [&](TableId table) { return !WasDropped(view->topology(), table); });
    if (!erased.ok()) return erased;
    part.shard = std::make_unique<Shard>(options.shard, part.store.get(), view,
                                         Random(random.Next()), std::move(hints[i]));
  }
  node->control_ = std::make_unique<Control>(view, initial, std::move(durable->acceptor),
                                             durable->memory, Random(random.Next()),
                                             std::make_shared<Documents>(), options.level);
  node->movement_ = std::make_unique<Movement>(options.movement);
  node->membership_ = std::make_unique<Membership>(self, options.membership, Random(random.Next()));
  return node;
}

void Node::SetMembers(const View& view, Time now) {
  std::vector<NodeId> others;
  for (const Member& member : view.topology().members) {
    if (member.id != view.self()) others.push_back(member.id);
  }
  membership_->SetMembers(others, now);
  time_.SetMembers(others);
  membership_->SetEpoch(view.epoch());
}

std::vector<PartitionId> Node::PartitionsOf(int shard, const View& view) const {
  std::vector<PartitionId> mine;
  for (PartitionId partition : view.KeptBy(view.self())) {
    if (ShardOf(partition) == shard) mine.push_back(partition);
  }
  return mine;
}

void Node::BeginMoves(int shard, const View& view) {
  for (const Move& move : view.topology().moves) {
    const bool begins = move.to == view.self() && move.step == MoveStep::kFilling;
    if (begins && ShardOf(move.partition) == shard) {
      shards_[shard].store->BeginMove(move.partition, move.since);
    }
  }
}

absl::Status Node::Install(int shard, std::shared_ptr<const View> view, Instant now) {
  Part& part = shards_[shard];
  std::vector<PartitionId> fresh = PartitionsOf(shard, *view);
  std::erase_if(fresh, [&](PartitionId partition) { return part.store->Owns(partition); });
  if (absl::Status opened = part.store->Open(fresh, /*new_lives=*/false); !opened.ok()) {
    return opened;
  }
  BeginMoves(shard, *view);
  part.shard->OnView(std::move(view), now);
  return absl::OkStatus();
}

}  // namespace gyre
