// Bytes of clients and peers, carried out: a script of frames for one shard of a cluster of three,
// over a store in memory, and for the membership of its node. Nothing that is well formed may break
// an invariant of either, and what they send must survive the wire.
//
//   script := (kind(1) size(2) bytes{size})*      size big endian, cut to what is left
//   kind   := what comes: a client's frame, a frame of the one or the other peer, a while, a peer
//             that goes or comes, a read of the disk that is needed or not

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/peer_translation.h"
#include "api/proto/gyre.pb.h"
#include "api/request_translation.h"
#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "ring/check.h"
#include "ring/topology.h"
#include "server/node.h"
#include "storage/keys.h"
#include "storage/memory_engine.h"

namespace gyre {
namespace {

Topology MakeTopology() {
  absl::StatusOr<Topology> topology = InitialTopology("fuzz", 8,
                                                      {{NodeId(), "n1", "z", "h:1", "h:2"},
                                                       {NodeId(), "n2", "z", "h:3", "h:4"},
                                                       {NodeId(), "n3", "z", "h:5", "h:6"}});
  for (const auto& [name, conflict] : {std::pair("a", ConflictPolicy::kSiblings),
                                       std::pair("b", ConflictPolicy::kLastWriteWins)}) {
    TableSpec table;
    table.name = name;
    table.replicas = 3;
    table.read_quorum = table.write_quorum = 2;
    table.conflict = conflict;
    topology = CreateTable(*topology, table);
    GYRE_CHECK(topology.ok(), "the tables are sound");
  }
  return *std::move(topology);
}

class Script {
 public:
  explicit Script(const Topology& topology)
      : view_(View::Create(topology, topology.members[0].id)), owned_(view_->OwnedBy(self())) {
    absl::StatusOr<std::unique_ptr<Node>> node =
        Node::Open(Options(), &engine_, topology, self(), /*clean_stop=*/true, Random(1));
    GYRE_CHECK(node.ok(), "the node opens");
    node_ = *std::move(node);
    node_->SetMembers(*view_, now_.monotonic);
  }

  void Step(uint8_t kind, std::string_view bytes) {
    now_.monotonic = now_.monotonic + Duration::Micros(100);
    const NodeId peer = view_->topology().members[1 + kind / 8 % 2].id;
    switch (kind % 8) {
      case 0:
      case 1:
        ClientFrame(bytes);
        break;
      case 2:
      case 3:
      case 4:
        PeerFrame(peer, bytes);
        break;
      case 5:
        now_.monotonic = now_.monotonic + Duration::Millis(1 << bytes.size() % 14);
        shard().OnWake(now_);
        node_->membership().OnWake(now_.monotonic);
        break;
      case 6:
        shard().OnPeer(peer, bytes.size() % 2 == 0, now_);
        break;
      default:
        engine_.AnswerNeedsDisk(bytes.size() % 4, 1);
    }
    Settle();
  }

 private:
  // Whose scrub comes round within a script.
  static NodeOptions Options() {
    NodeOptions options;
    options.shard.scrub.pass = Duration::Seconds(1);
    return options;
  }
  NodeId self() const { return view_->topology().members[0].id; }
  Shard& shard() { return node_->shard(0); }

  void ClientFrame(std::string_view bytes) {
    v1::ClientFrame frame;
    if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    for (v1::ClientRequest& request : *frame.mutable_requests()) {
      if (request.has_put()) Write(TranslatePut(request.mutable_put(), *view_));
      if (request.has_delete_()) Write(TranslateDelete(request.mutable_delete_(), *view_));
      if (request.has_get()) Read(TranslateGet(request.mutable_get(), *view_));
    }
  }
  void Write(absl::StatusOr<TranslatedWrite> write) {
    if (write.ok()) shard().Write(++asked_, std::move(write->request), now_);
  }
  void Read(absl::StatusOr<TranslatedRead> read) {
    if (read.ok()) shard().Read(++asked_, std::move(read->request), now_);
  }

  // Addressed to what the shard serves, so that little is turned away at the door.
  void PeerFrame(NodeId from, std::string_view bytes) {
    peer::PeerFrame frame;
    if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    for (peer::PeerMessage& wire : *frame.mutable_messages()) {
      if (wire.has_membership()) {
        MembershipNews(from, &wire);
        continue;
      }
      const PartitionId partition = owned_[wire.partition() % owned_.size()];
      wire.set_partition(partition.value());
      if (wire.exchange() % 4 == 0) wire.set_exchange(newest_[from]);
      absl::StatusOr<PeerMessage> message = DecodePeerMessage(&wire);
      if (!message.ok()) continue;
      message->epoch = view_->epoch();
      shard().OnMessage(from, *std::move(message), now_);
    }
  }

  // About members, of whom alone membership takes anything in.
  void MembershipNews(NodeId from, peer::PeerMessage* wire) {
    const auto member = [this](uint64_t any) { return view_->topology().members[any % 3].id; };
    wire->set_exchange(0);
    wire->set_partition(0);
    peer::Membership* const said = wire->mutable_membership();
    said->set_about(member(said->about()).value());
    for (peer::Membership::Rumour& rumour : *said->mutable_rumours()) {
      rumour.set_node(member(rumour.node()).value());
      rumour.set_by(member(rumour.by()).value());
    }
    absl::StatusOr<PeerMessage> message = DecodePeerMessage(wire);
    if (!message.ok()) return;
    node_->OnMembership(from, std::get<MembershipMessage>(message->body), now_.monotonic);
  }

  // Until the shard wants nothing more.
  void Settle() {
    MembershipEffects membership = node_->membership().TakeEffects(now_.monotonic);
    for (const MembershipEffects::Change& change : membership.changes) {
      shard().OnLiveness(change.node, change.liveness);
    }
    for (const MembershipEffects::Loaded& loaded : membership.loads) {
      shard().OnLoad(loaded.node, loaded.load);
    }
    for (MembershipEffects::Send& send : membership.sends) {
      Send(Enclose(std::move(send), now_.wall_ms));
    }
    shard().OnClusterTime(node_->time().Offset(now_));
    for (;;) {
      ShardEffects effects = shard().TakeEffects(now_);
      for (const Envelope& envelope : effects.sends) Send(envelope);
      answered_ += effects.replies.size();
      GYRE_CHECK(answered_ <= asked_, "each request is answered at most once");
      if (!effects.commit.has_value() && effects.disk_reads.empty() &&
          effects.clock_scans.empty() && effects.copy_scans.empty() && effects.listings.empty() &&
          effects.hint_scans.empty() && effects.expiry_scans.empty() &&
          effects.slice_reads.empty() && !effects.scrub_scan.has_value() &&
          !effects.scrub_read.has_value()) {
        return;
      }
      if (effects.commit.has_value()) {
        const absl::Status status = engine_.Write(effects.commit->batch, effects.commit->sync);
        shard().OnCommitted(effects.commit->seq, status, now_);
      }
      for (const ShardEffects::DiskRead& read : effects.disk_reads) {
        shard().OnRead(read, engine_.Get(Family::kRecords, EncodeItemKey(read.item)), now_);
      }
      for (const ShardEffects::ClockScan& scan : effects.clock_scans) {
        shard().OnClockScan(
            scan, BuildClockAnswer(*engine_.TakeSnapshot(), scan.partition, scan.ask, {}), now_);
      }
      for (ShardEffects::CopyScan& scan : effects.copy_scans) {
        if (scan.snapshot == nullptr) scan.snapshot = engine_.TakeSnapshot();
        absl::StatusOr<CopyPage> page = BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, {});
        shard().OnCopyScan(std::move(scan), std::move(page), now_);
      }
      for (const Repair::Effects::Listing& listing : effects.listings) {
        shard().OnListed(listing.exchange,
                         ListItems(*engine_.TakeSnapshot(), listing.range, /*most=*/16), now_);
      }
      for (const HintScan& scan : effects.hint_scans) {
        shard().OnHintScan(scan.id, ScanHints(*engine_.TakeSnapshot(), scan), now_);
      }
      for (const ExpiryScan& scan : effects.expiry_scans) {
        shard().OnExpiryScan(scan, ScanExpired(*engine_.TakeSnapshot(), scan), now_);
      }
      Scrub(effects);
    }
  }
  void Scrub(const ShardEffects& effects) {
    constexpr SliceLimits kLimits{.max_items = 4, .max_bytes = 64};
    for (const ShardEffects::SliceRead& read : effects.slice_reads) {
      shard().OnSliceRead(
          read, AnswerSlice(*engine_.TakeSnapshot(), read.partition, read.ask, kLimits), now_);
    }
    if (const auto& scan = effects.scrub_scan; scan.has_value()) {
      shard().OnScrubScan(*scan, ReadSlice(*engine_.TakeSnapshot(), *scan, kLimits), now_);
    }
    if (const auto& read = effects.scrub_read; read.has_value()) {
      shard().OnScrubRead(read->partition,
                          ReadItems(*engine_.TakeSnapshot(), read->items, read->expired_by_ms),
                          now_);
    }
  }
  void Send(const Envelope& envelope) {
    if (envelope.message.exchange != 0) newest_[envelope.to] = envelope.message.exchange;
    peer::PeerMessage wire;
    EncodePeerMessage(envelope.message, &wire);
    GYRE_CHECK(DecodePeerMessage(&wire).ok(), "a peer can read what the node sends");
  }

  const std::shared_ptr<const View> view_;
  const std::vector<PartitionId> owned_;
  MemoryEngine engine_;
  std::unique_ptr<Node> node_;
  Instant now_{Time::FromMicros(0), 1'000'000};
  Token asked_ = 0;
  uint64_t answered_ = 0;
  std::map<NodeId, ExchangeId> newest_;
};

}  // namespace
}  // namespace gyre

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gyre::Topology topology = [] {
    google::protobuf::SetLogHandler(nullptr);  // it would tell of every bad byte
    return gyre::MakeTopology();
  }();
  gyre::Script script(topology);
  std::string_view left(reinterpret_cast<const char*>(data), size);
  while (left.size() >= 3) {
    const auto kind = static_cast<uint8_t>(left[0]);
    const size_t length = static_cast<uint8_t>(left[1]) << 8 | static_cast<uint8_t>(left[2]);
    left.remove_prefix(3);
    script.Step(kind, left.substr(0, length));
    left.remove_prefix(std::min(length, left.size()));
  }
  return 0;
}
