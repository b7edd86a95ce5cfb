#include "test/bench/request_path.h"

#include <algorithm>
#include <utility>

#include "api/peer_translation.h"
#include "api/reply_translation.h"
#include "api/request_translation.h"
#include "ring/check.h"
#include "ring/partitioner.h"
#include "ring/topology.h"
#include "storage/keys.h"

namespace gyre {
namespace {

constexpr const char* kTable = "records";
constexpr uint32_t kSlices = 256;

Topology MakeTopology(bool fsync) {
  absl::StatusOr<Topology> topology = InitialTopology("path", kSlices,
                                                      {{NodeId(), "n1", "z1", "h:1", "h:2"},
                                                       {NodeId(), "n2", "z2", "h:3", "h:4"},
                                                       {NodeId(), "n3", "z3", "h:5", "h:6"}});
  GYRE_CHECK(topology.ok(), "three members make a cluster");
  TableSpec table;
  table.name = kTable;
  table.replicas = 3;
  table.read_quorum = table.write_quorum = 2;
  table.durability = fsync ? Durability::kFsync : Durability::kPeriodic;
  topology = CreateTable(*topology, table);
  GYRE_CHECK(topology.ok(), "the table is sound");
  return *std::move(topology);
}

std::string KeyOf(uint64_t number) {
  std::string digits = std::to_string(number);
  return "user" + std::string(12 - digits.size(), '0') + digits;
}

}  // namespace

RequestPath::RequestPath(const std::string& directory, Options options) : options_(options) {
  const Topology topology = MakeTopology(options.fsync);
  for (size_t i = 0; i < topology.members.size(); ++i) {
    Host& host = hosts_.emplace_back();
    RocksEngine::Options store;
    store.path = directory + "/" + topology.members[i].name;
    absl::StatusOr<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(store);
    GYRE_CHECK(engine.ok(), "the store opens");
    host.engine = *std::move(engine);
    const NodeId self = topology.members[i].id;
    host.view = View::Create(topology, self);
    NodeOptions node_options;
    node_options.shards = options.shards;
    absl::StatusOr<std::unique_ptr<Node>> node = Node::Open(
        node_options, host.engine.get(), topology, self, /*clean_stop=*/true, Random(i + 1));
    GYRE_CHECK(node.ok(), "the node opens");
    host.node = *std::move(node);
    for (const Member& other : topology.members) {
      if (other.id == self) continue;
      for (int s = 0; s < options.shards; ++s) host.node->shard(s).OnPeer(other.id, true, now_);
    }
  }
  counts_.steps.resize(options.shards);
}

RequestPath::Script RequestPath::Make(uint64_t first, uint64_t count,
                                      std::optional<char> writer) const {
  const View& view = *hosts_.front().view;
  const TableSpec* const table = view.FindTable(kTable);
  Script script;
  script.requests = count;
  std::vector<v1::ClientFrame> gathering(hosts_.size());
  const auto close = [&](size_t node) {
    if (gathering[node].requests_size() == 0) return;
    script.frames.push_back({node, gathering[node].SerializeAsString()});
    gathering[node].Clear();
  };
  for (uint64_t number = first; number < first + count; ++number) {
    const std::string key = KeyOf(number);
    const NodeId owner = view.Owners(view.Locate(*table, key)).front();
    size_t node = 0;
    while (hosts_[node].view->self() != owner) ++node;
    v1::ClientRequest* const request = gathering[node].add_requests();
    request->set_id(number + 1);
    if (writer.has_value()) {
      request->mutable_put()->set_table(kTable);
      request->mutable_put()->set_key(key);
      request->mutable_put()->set_value(std::string(options_.value_bytes, 'v'));
      // As the SDK sends it: with a key that makes a retry safe.
      std::string write(16, *writer);
      for (int i = 0; i < 8; ++i) write[i] = static_cast<char>((number + 1) >> (8 * i));
      request->mutable_put()->mutable_options()->set_idempotency_key(write);
    } else {
      request->mutable_get()->set_table(kTable);
      request->mutable_get()->set_key(key);
    }
    if (static_cast<size_t>(gathering[node].requests_size()) == options_.frame_requests) {
      close(node);
    }
  }
  for (size_t node = 0; node < hosts_.size(); ++node) close(node);
  return script;
}

size_t RequestPath::Run(const Script& script) {
  size_t answered = 0, bytes = 0;
  for (const Script::Frame& frame : script.frames) {
    Host& host = hosts_[frame.node];
    TakeClientFrame(&host, frame.bytes);
    for (bool busy = true; busy;) {
      busy = false;
      for (size_t i = 0; i < hosts_.size(); ++i) busy |= Round(i);
    }
    answered += host.answers.replies_size();
    bytes += host.answers.SerializeAsString().size();
    host.answers.Clear();
    now_.monotonic = now_.monotonic + Duration::Millis(1);
  }
  GYRE_CHECK(answered == script.requests, "every request is answered");
  return bytes;
}

void RequestPath::TakeClientFrame(Host* host, const std::string& bytes) {
  v1::ClientFrame& frame = *client_frames_.Renew();
  GYRE_CHECK(frame.ParseFromString(bytes), "the script's frames are sound");
  const auto shard_of = [&](PartitionId partition) -> Shard& {
    const int index = host->node->ShardOf(partition);
    ++counts_.steps[index];
    return host->node->shard(index);
  };
  for (v1::ClientRequest& request : *frame.mutable_requests()) {
    const Token token = next_token_++;
    if (request.has_put()) {
      absl::StatusOr<TranslatedWrite> write = TranslatePut(request.mutable_put(), *host->view);
      GYRE_CHECK(write.ok(), "the script's puts are sound");
      host->asked.emplace(token, Asked{true, write->target.key_hash});
      Shard& shard = shard_of(write->request.item.partition);
      shard.Write(token, std::move(write->request), now_);
    } else {
      absl::StatusOr<TranslatedRead> read = TranslateGet(request.mutable_get(), *host->view);
      GYRE_CHECK(read.ok(), "the script's gets are sound");
      host->asked.emplace(token, Asked{false, read->target.key_hash});
      Shard& shard = shard_of(read->request.item.partition);
      shard.Read(token, std::move(read->request), now_);
    }
  }
}

bool RequestPath::Round(size_t index) {
  Host& host = hosts_[index];
  for (const auto& [from, bytes] : std::exchange(host.inbox, {})) TakeIn(&host, from, bytes);
  bool busy = false;
  std::vector<ShardEffects> effects;
  for (int s = 0; s < options_.shards; ++s) {
    Shard& shard = host.node->shard(s);
    ShardEffects& wanted = effects.emplace_back(shard.TakeEffects(now_));
    for (const ShardEffects::DiskRead& read : wanted.disk_reads) {
      shard.OnRead(read, host.engine->Get(Family::kRecords, EncodeItemKey(read.item)), now_);
    }
    busy |= !wanted.sends.empty() || !wanted.replies.empty() || !wanted.disk_reads.empty() ||
            wanted.commit.has_value();
    Send(index, wanted.sends);
    Answer(&host, std::move(wanted.replies));
  }
  Commit(&host, &effects);
  return busy;
}

void RequestPath::TakeIn(Host* host, size_t from, const std::string& bytes) {
  peer::PeerFrame& frame = *read_frames_.Renew();
  GYRE_CHECK(frame.ParseFromString(bytes), "frames between peers are sound");
  for (peer::PeerMessage& wire : *frame.mutable_messages()) {
    absl::StatusOr<PeerMessage> message = DecodePeerMessage(&wire);
    GYRE_CHECK(message.ok(), "messages between peers are sound");
    const int shard = host->node->ShardOf(message->partition);
    ++counts_.steps[shard];
    host->node->shard(shard).OnMessage(hosts_[from].view->self(), *std::move(message), now_);
  }
}

void RequestPath::Send(size_t index, const std::vector<Envelope>& sends) {
  for (size_t to = 0; to < hosts_.size(); ++to) {
    peer::PeerFrame* const frame = written_frames_.Renew();
    for (const Envelope& envelope : sends) {
      if (hosts_[to].view->self() != envelope.to) continue;
      EncodePeerMessage(envelope.message, frame->add_messages());
    }
    if (frame->messages_size() == 0) continue;
    ++counts_.frames;
    counts_.messages += frame->messages_size();
    hosts_[to].inbox.emplace_back(index, frame->SerializeAsString());
  }
}

// As StorePool does: what waits is written together.
void RequestPath::Commit(Host* host, std::vector<ShardEffects>* effects) {
  std::optional<WriteBatch> group;
  WalSync sync = WalSync::kNo;
  for (ShardEffects& wanted : *effects) {
    if (!wanted.commit.has_value()) continue;
    ++counts_.commits;
    if (wanted.commit->sync == WalSync::kYes) sync = WalSync::kYes;
    if (group.has_value()) {
      group->Append(wanted.commit->batch);
    } else {
      group = std::move(wanted.commit->batch);
    }
  }
  if (!group.has_value()) return;
  ++counts_.groups;
  const absl::Status status = host->engine->Write(*group, sync);
  for (size_t s = 0; s < effects->size(); ++s) {
    const std::optional<gyre::Commit>& commit = (*effects)[s].commit;
    if (commit.has_value()) {
      host->node->shard(static_cast<int>(s)).OnCommitted(commit->seq, status, now_);
    }
  }
}

void RequestPath::Answer(Host* host, std::vector<ShardEffects::Reply> replies) {
  for (ShardEffects::Reply& reply : replies) {
    const auto asked = host->asked.find(reply.token);
    GYRE_CHECK(asked != host->asked.end(), "a request is answered once");
    const RepliedItem item{host->view->FindTable(kTable)->id, asked->second.key_hash};
    v1::ClientReply* const out = host->answers.add_replies();
    out->set_id(reply.token);
    const absl::Status status =
        asked->second.put
            ? TranslatePutReply(std::move(reply.outcome), item, *host->view, out->mutable_put())
            : TranslateGetReply(std::move(reply.outcome), item, *host->view, out->mutable_get());
    GYRE_CHECK(status.ok(), "the script's requests succeed");
    GYRE_CHECK(asked->second.put || out->get().found(), "what was put is found");
    host->asked.erase(asked);
  }
}

}  // namespace gyre
