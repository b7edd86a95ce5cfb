#include "server/admin.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/error_translation.h"
#include "api/limits.h"
#include "api/member_translation.h"
#include "api/table_translation.h"
#include "ring/cluster_time.h"
#include "ring/rebalance.h"
#include "ring/topology.h"
#include "server/clock.h"
#include "storage/keys.h"
#include "storage/version/record.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr uint32_t kRetryAfterMs = 200;

struct ScanPlan {
  MembershipSeat::TimeFigures time;
  std::string begin;
  std::string end;
  size_t limit = 0;
  bool keys_only = false;
};

absl::StatusOr<v1::ScanPartitionReply> Scan(const Engine& engine, const ScanPlan& plan) {
  v1::ScanPartitionReply reply;
  const uint64_t time_ms = ClusterTime::At(MonotonicNow(), plan.time.offset_ms);
  absl::Status refused;
  size_t bytes = 0;
  const absl::Status scanned = engine.TakeSnapshot()->Scan(
      Family::kRecords, plan.begin, plan.end, [&](std::string_view key, std::string_view value) {
        std::optional<ItemKey> item = DecodeItemKey(key);
        absl::StatusOr<Record> record = DecodeRecord(value);
        if (!item.has_value() || !record.ok()) {
          refused = Damaged("a stored record failed its checks", /*outcome_unknown=*/false);
          return false;
        }
        if (Expires(*record)) {
          if (!plan.time.known) {
            refused = TimeUnknown(/*outcome_unknown=*/false);
            return false;
          }
          DropExpired(&*record, time_ms);
        }
        if (record->versions.empty()) return true;  // deleted or expired, and not yet settled
        KeepLast(&*record);
        bytes += item->key.size() + ValueBytes(*record);
        const bool full = reply.items_size() > 0 && !plan.keys_only && bytes > kMaxReplyValueBytes;
        if (static_cast<size_t>(reply.items_size()) == plan.limit || full) {
          reply.set_more(true);
          return false;
        }
        v1::ScanPartitionReply::Item* out = reply.add_items();
        out->set_key(std::move(item->key));
        if (plan.keys_only) return true;
        for (const Version& version : record->versions) {
          out->add_values(std::string(version.value));
        }
        return true;
      });
  if (absl::IsDataLoss(scanned))
    return Damaged(std::string(scanned.message()), /*outcome_unknown=*/false);
  if (!scanned.ok()) return StorageFailed(/*outcome_unknown=*/false);
  if (!refused.ok()) return refused;
  return reply;
}

void AddStaleness(const std::vector<Lane*>& lanes, const View& view,
                  google::protobuf::RepeatedPtrField<v1::TableStaleness>* out) {
  for (const auto& [table, dots] : MissingByTable(lanes)) {
    const TableSpec* const spec = view.FindTable(table);
    if (spec == nullptr) continue;  // dropped
    v1::TableStaleness* one = out->Add();
    one->set_table(spec->name);
    one->set_missing_dots(dots);
  }
}

// The ages are by the cluster's time, and 0 while it is not known.
void AddHints(const std::vector<Lane*>& lanes, const View& view,
              const MembershipSeat::TimeFigures& time,
              google::protobuf::RepeatedPtrField<v1::HintsKept>* out) {
  std::map<NodeId, HintCount> kept;
  for (const Lane* lane : lanes) {
    for (const auto& [owner, count] : lane->figures().hints) {
      HintCount& sum = kept[owner];
      sum.oldest_ms = sum.hints == 0 ? count.oldest_ms : std::min(sum.oldest_ms, count.oldest_ms);
      sum.hints += count.hints;
      sum.bytes += count.bytes;
    }
  }
  const uint64_t now_ms = time.known ? ClusterTime::At(MonotonicNow(), time.offset_ms) : 0;
  for (const auto& [owner, count] : kept) {
    const Member* const member = view.FindMember(owner);
    v1::HintsKept* const one = out->Add();
    one->set_owner(member == nullptr ? absl::StrCat("node ", owner.value()) : member->name);
    one->set_hints(count.hints);
    one->set_bytes(count.bytes);
    const bool aged = count.oldest_ms != 0 && now_ms > count.oldest_ms;
    one->set_oldest_s(aged ? (now_ms - count.oldest_ms) / 1000 : 0);
  }
}

// Of a partition, by what this node holds; 0: too few to tell, for it is only about to be given
// them.
uint64_t BytesEach(const View& view, const Engine& engine) {
  const size_t kept = view.KeptBy(view.self()).size();
  const size_t owned = view.OwnedBy(view.self()).size();
  return 2 * owned <= kept ? 0 : engine.SizeBytes() / kept;
}

void ToProto(const MoveOutlook& outlook, v1::MoveOutlook* out) {
  out->set_copies(outlook.copies);
  out->set_bytes(outlook.bytes);
  out->set_seconds(outlook.seconds);
  out->set_measured(outlook.measured);
}

// To answer a call that comes on top of so many.
absl::Status TooMany(const char* calls) { return Overloaded(kRetryAfterMs, calls); }

}  // namespace

void Admin::CreateTable(const v1::CreateTableRequest& request, Done<v1::CreateTableReply> done) {
  const size_t members = ActiveNodes(parts_.door->view()->topology()).size();
  absl::StatusOr<TableSpec> wanted = WantedTable(request.table(), members);
  if (!wanted.ok()) return done(wanted.status());
  if (parts_.door->draining()) return done(Draining());
  std::shared_ptr<void> seat = changes_.TryTake();
  if (seat == nullptr) return done(TooMany("too many changes of the topology wait"));
  parts_.seat->Propose(
      [wanted = *wanted](const Topology& topology) { return gyre::CreateTable(topology, wanted); },
      [name = wanted->name, seat = std::move(seat),
       done = std::move(done)](absl::StatusOr<Topology> topology) mutable {
        seat.reset();
        if (!topology.ok()) return done(topology.status());
        v1::CreateTableReply reply;
        reply.set_epoch(topology->epoch.value());
        for (const TableSpec& table : topology->tables) {
          if (table.name == name) ToProto(table, reply.mutable_table());
        }
        done(std::move(reply));
      });
}

void Admin::DropTable(const v1::DropTableRequest& request, Done<v1::DropTableReply> done) {
  if (parts_.door->draining()) return done(Draining());
  std::shared_ptr<void> seat = changes_.TryTake();
  if (seat == nullptr) return done(TooMany("too many changes of the topology wait"));
  parts_.seat->Propose(
      [name = request.name()](const Topology& topology) { return gyre::DropTable(topology, name); },
      [seat = std::move(seat), done = std::move(done)](absl::StatusOr<Topology> topology) mutable {
        seat.reset();
        if (!topology.ok()) return done(topology.status());
        v1::DropTableReply reply;
        reply.set_epoch(topology->epoch.value());
        done(std::move(reply));
      });
}

absl::StatusOr<v1::ListTablesReply> Admin::ListTables() const {
  const std::shared_ptr<const View> view = parts_.door->view();
  v1::ListTablesReply reply;
  reply.set_epoch(view->epoch().value());
  for (const TableSpec& table : view->topology().tables) ToProto(table, reply.add_tables());
  return reply;
}

absl::StatusOr<v1::DescribeTableReply> Admin::DescribeTable(
    const v1::DescribeTableRequest& request) const {
  const std::shared_ptr<const View> view = parts_.door->view();
  const TableSpec* table = view->FindTable(request.name());
  if (table == nullptr) return UnknownTable(request.name());
  v1::DescribeTableReply reply;
  reply.set_epoch(view->epoch().value());
  ToProto(*table, reply.mutable_table());
  return reply;
}

absl::StatusOr<v1::GetTopologyReply> Admin::GetTopology(
    const v1::GetTopologyRequest& request) const {
  const std::shared_ptr<const View> view = parts_.door->view();
  v1::GetTopologyReply reply;
  if (request.known_epoch() == view->epoch().value()) {
    reply.set_epoch(view->epoch().value());
  } else {
    ToProto(view->topology(), &reply);
  }
  return reply;
}

void Admin::ChangeMember(const v1::ChangeMemberRequest& request, Done<v1::ChangeMemberReply> done) {
  auto change = ChangeOf(request);
  if (!change.ok()) return done(change.status());
  if (parts_.door->draining()) return done(Draining());
  std::shared_ptr<void> seat = changes_.TryTake();
  if (seat == nullptr) return done(TooMany("too many changes of the topology wait"));
  const std::shared_ptr<const View> view = parts_.door->view();
  absl::StatusOr<Topology> next = (*change)(view->topology());
  v1::ChangeMemberReply reply;
  if (next.ok()) Object(*view, *next, &reply);
  if (request.plan()) {
    if (!next.ok()) return done(FromTopologyError(next.status(), false, Changed::kMembers));
    return Describe(*std::move(next), std::move(reply), std::move(seat), std::move(done));
  }
  const bool buries = request.change() == v1::ChangeMemberRequest::REMOVE ||
                      request.change() == v1::ChangeMemberRequest::REPLACE;
  parts_.seat->Propose(
      // By the document that is changed, which may be newer than the one that this node has.
      [this, change = *std::move(change),
       guarded = buries && !request.force()](const Topology& topology) -> absl::StatusOr<Topology> {
        absl::StatusOr<Topology> made = change(topology);
        if (!guarded || !made.ok()) return made;
        if (absl::Status unsafe = RefuseUnsafe(topology, *made); !unsafe.ok()) return unsafe;
        return made;
      },
      [this, reply = std::move(reply), seat = std::move(seat),
       done = std::move(done)](absl::StatusOr<Topology> topology) mutable {
        if (!topology.ok()) return done(topology.status());
        Describe(*std::move(topology), std::move(reply), std::move(seat), std::move(done));
      },
      Changed::kMembers);
}

// A plan takes a while where the cluster is large: it is made on a thread that may wait.
void Admin::Describe(Topology topology, v1::ChangeMemberReply reply, std::shared_ptr<void> seat,
                     Done<v1::ChangeMemberReply> done) {
  const std::shared_ptr<const View> view = parts_.door->view();
  parts_.pool->Submit(
      StorePool::ReadLane::kAdmin,
      [topology = std::move(topology), reply = std::move(reply), view, pace = parts_.pace,
       seat = std::move(seat), done = std::move(done)](Engine* engine) mutable {
        reply.set_epoch(topology.epoch.value());
        const std::vector<Flow> flows = FlowsOf(topology, MakePlan(topology));
        for (const Flow& flow : flows) ToProto(flow, topology, reply.add_transfers());
        ToProto(OutlookOf(flows, BytesEach(*view, *engine), pace->EachCopy()),
                reply.mutable_outlook());
        seat.reset();
        done(std::move(reply));
      });
}

std::set<NodeId> Admin::Away() const {
  std::set<NodeId> away;
  for (const PeerLink::Figures& link : parts_.links->figures()) {
    if (!link.connected) away.insert(link.id);
  }
  return away;
}

Whereabouts Admin::Known(NodeId self) const {
  Whereabouts known;
  known.away = Away();
  for (const Lane* lane : parts_.lanes) {
    if (lane->figures().repair.refilling > 0) known.filling.insert(self);
  }
  return known;
}

absl::Status Admin::RefuseUnsafe(const Topology& now, const Topology& next) const {
  std::shared_ptr<const View> view = parts_.door->view();
  if (view->epoch() != now.epoch) view = View::Create(now, view->self());
  const Objections objections = ObjectionsTo(*view, next, Known(view->self()));
  if (objections.dangers.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("it is not safe: ", absl::StrJoin(objections.dangers, "; "),
                   ". With `force` it is done all the same, and cannot be taken back"));
}

void Admin::Object(const View& now, const Topology& next, v1::ChangeMemberReply* reply) const {
  Objections objections = ObjectionsTo(now, next, Known(now.self()));
  for (std::string& danger : objections.dangers) reply->add_dangers(std::move(danger));
  for (std::string& warning : objections.warnings) reply->add_warnings(std::move(warning));
}

void Admin::ListTransfers(Done<v1::ListTransfersReply> done) {
  std::shared_ptr<void> seat = status_calls_.TryTake();
  if (seat == nullptr) return done(TooMany("too many ask for the status"));
  parts_.pool->Submit(StorePool::ReadLane::kAdmin, [view = parts_.door->view(), pace = parts_.pace,
                                                    away = Away(), seat = std::move(seat),
                                                    done =
                                                        std::move(done)](Engine* engine) mutable {
    const Topology& topology = view->topology();
    v1::ListTransfersReply reply;
    reply.set_epoch(topology.epoch.value());
    const std::vector<Flow> flows = FlowsOf(topology, MakePlan(topology));
    for (const Flow& flow : flows) ToProto(flow, topology, reply.add_transfers());
    for (const Member& member : topology.members) {
      ToProto(member, reply.add_members());
      reply.add_owned(view->OwnedBy(member.id).size());
    }
    for (const Move& move : topology.moves) {
      const bool first = reply.since() == 0 || move.since.value() < reply.since();
      if (first) reply.set_since(move.since.value());
    }
    AddVoters(topology, away, &reply);
    ToProto(OutlookOf(flows, BytesEach(*view, *engine), pace->EachCopy()), reply.mutable_outlook());
    seat.reset();
    done(std::move(reply));
  });
}

void Admin::NodeStatus(Done<v1::NodeStatusReply> done) {
  std::shared_ptr<void> seat = status_calls_.TryTake();
  if (seat == nullptr) return done(TooMany("too many ask for the status"));
  const std::shared_ptr<const View> view = parts_.door->view();
  v1::NodeStatusReply reply;
  const Member* self = view->FindMember(view->self());
  if (self != nullptr) {
    reply.set_node(self->name);
    reply.set_zone(self->zone);
  }
  reply.set_cluster_name(view->topology().cluster_name);
  reply.set_version(kVersion);
  reply.set_level(parts_.seat->level());
  reply.set_cluster_level(view->topology().level);
  reply.set_epoch(view->epoch().value());
  reply.set_uptime_s(static_cast<uint64_t>((MonotonicNow() - started_).micros() / 1'000'000));
  reply.set_state(parts_.door->draining() ? "draining" : "serving");
  if (parts_.disk->happened()) reply.set_state(absl::StrCat("failed: ", parts_.disk->Words()));
  for (const Lane* lane : parts_.lanes) {
    const ShardFigures figures = lane->figures();
    const Repair::Figures& repair = figures.repair;
    reply.set_contradictions(reply.contradictions() + figures.scrub.standing);
    reply.set_damaged_records(reply.damaged_records() + figures.damaged);
    reply.set_missing_dots(reply.missing_dots() + repair.missing_dots);
    reply.set_partitions_to_fill(reply.partitions_to_fill() + repair.filling);
    reply.set_partitions_to_refill(reply.partitions_to_refill() + repair.refilling);
    reply.set_copied_items(reply.copied_items() + repair.copied_items);
  }
  AddStaleness(parts_.lanes, *view, reply.mutable_staleness());
  AddHints(parts_.lanes, *view, parts_.membership->time(), reply.mutable_hints());
  for (const PeerLink::Figures& link : parts_.links->figures()) {
    v1::PeerStatus* peer = reply.add_peers();
    peer->set_node(link.name);
    peer->set_connected(link.connected);
    peer->set_liveness(LivenessName(parts_.membership->LivenessOf(link.id)));
    peer->set_load(LoadName(parts_.membership->LoadOf(link.id)));
  }
  reply.set_load(LoadName(parts_.membership->load()));
  reply.set_partitions_owned(view->OwnedBy(view->self()).size());
  reply.set_requests_in_flight(parts_.door->in_flight());
  parts_.pool->Submit(StorePool::ReadLane::kAdmin,
                      [reply = std::move(reply), seat = std::move(seat),
                       done = std::move(done)](Engine* engine) mutable {
                        reply.set_disk_bytes(engine->SizeBytes());
                        reply.set_log_entries(engine->EstimateKeys(Family::kDotLog));
                        seat.reset();
                        done(std::move(reply));
                      });
}

void Admin::ScanPartition(const v1::ScanPartitionRequest& request,
                          Done<v1::ScanPartitionReply> done) {
  const std::shared_ptr<const View> view = parts_.door->view();
  const TableSpec* table = view->FindTable(request.table());
  if (table == nullptr) return done(UnknownTable(request.table()));
  if (parts_.disk->happened()) return done(StorageFailed(/*outcome_unknown=*/false));
  const uint32_t slices = view->topology().slices;
  if (request.slice() >= slices) {
    return done(InvalidField("slice",
                             absl::StrCat(request.slice(), "; 0 to ", slices - 1, " are allowed")));
  }
  if (request.limit() > kMaxScanItems) {
    return done(InvalidField("limit", absl::StrCat(request.limit(), "; 1 to ", kMaxScanItems,
                                                   " are allowed, or 0 for ", kDefaultScanItems)));
  }
  if (request.after_key().size() > kMaxKeyBytes) {
    return done(FieldTooLarge("after_key", request.after_key().size(), kMaxKeyBytes));
  }
  const PartitionId partition(table->replicas, request.slice());
  if (!view->IsOwner(partition, view->self())) {
    std::string owners;
    for (NodeId owner : view->Owners(partition)) {
      absl::StrAppend(&owners, owners.empty() ? "" : ", ", view->FindMember(owner)->name);
    }
    return done(NotAnOwner(request.slice(), owners));
  }
  ScanPlan plan;
  plan.time = parts_.membership->time();
  plan.begin = TableBegin(partition, table->id);
  plan.end = TableEnd(partition, table->id);
  if (!request.after_key().empty()) {
    plan.begin = EncodeItemKey({partition, table->id, request.after_key()}) + '\0';
  }
  plan.limit = request.limit() == 0 ? kDefaultScanItems : request.limit();
  plan.keys_only = request.keys_only();
  std::shared_ptr<void> seat = scans_.TryTake();
  if (seat == nullptr) return done(TooMany("too many scans are under way"));
  parts_.pool->Submit(
      StorePool::ReadLane::kAdmin,
      [plan, seat = std::move(seat), done = std::move(done)](Engine* engine) mutable {
        absl::StatusOr<v1::ScanPartitionReply> reply = Scan(*engine, plan);
        seat.reset();
        done(std::move(reply));
      });
}

}  // namespace gyre
