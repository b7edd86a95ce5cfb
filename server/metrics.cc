#include "server/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "ring/rebalance.h"

namespace gyre {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Families {
 public:
  void Counter(const char* name, const char* help, double value) {
    Start(name, help, MetricType::Counter).counter.value = value;
  }
  void Gauge(const char* name, const char* help, double value) {
    Start(name, help, MetricType::Gauge).gauge.value = value;
  }
  // One more metric of the family that was started last.
  ClientMetric& More(const char* label, const std::string& value) {
    families_.back().metric.emplace_back();
    ClientMetric& metric = families_.back().metric.back();
    metric.label.push_back({label, value});
    return metric;
  }
  void Open(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  ClientMetric& Start(const char* name, const char* help, MetricType type) {
    Open(name, help, type);
    families_.back().metric.emplace_back();
    return families_.back().metric.back();
  }
  std::vector<MetricFamily> families_;
};

void AddLatency(const LatencyBuckets::Counts& counts, ClientMetric* metric) {
  uint64_t below = 0;
  for (size_t i = 0; i < counts.buckets.size(); ++i) {
    below += counts.buckets[i];
    ClientMetric::Bucket bucket;
    bucket.cumulative_count = below;
    bucket.upper_bound = i < LatencyBuckets::kBoundsUs.size()
                             ? static_cast<double>(LatencyBuckets::kBoundsUs[i]) / 1e6
                             : std::numeric_limits<double>::infinity();
    metric->histogram.bucket.push_back(bucket);
  }
  metric->histogram.sample_count = below;
  metric->histogram.sample_sum = static_cast<double>(counts.sum_us) / 1e6;
}

void AddScrub(const std::vector<Lane*>& lanes, Families* out) {
  Scrub::Figures sum;
  for (const Lane* lane : lanes) sum.Add(lane->figures().scrub);
  out->Gauge("gyre_contradictions",
             "Items in which this node's copy and another owner's contradict each other, found by "
             "the scrub and not seen mended yet: one of them is corrupt",
             sum.standing);
  out->Counter("gyre_contradictions_total", "Such items found", sum.contradictions);
  out->Counter("gyre_amended_records_total",
               "Records put right here, for most owners contradicted them", sum.amended);
  out->Counter("gyre_scrub_passes_total", "Passes of the scrub through all that this node holds",
               sum.passes);
  out->Counter("gyre_scrub_items_total", "Items that the scrub read", sum.items);
  out->Counter("gyre_scrub_bytes_total", "Bytes of their records", sum.bytes);
  out->Counter("gyre_scrub_slices_total", "Runs of items compared with another owner", sum.slices);
  out->Counter("gyre_scrub_uncompared_total", "Runs of items read while no other owner answered",
               sum.uncompared);
  out->Counter("gyre_scrub_differing_total",
               "Items judged, for owners' digests differed: most are writes on their way",
               sum.differing);
  out->Counter("gyre_scrub_dropped_total",
               "Items that differ and found no room to be judged: a later pass meets them again",
               sum.dropped);
}

void AddShards(const std::vector<Lane*>& lanes, Families* out) {
  ShardFigures sum;
  HintCount hints;
  uint64_t rounds = 0;
  uint64_t events = 0;
  size_t limit = lanes.front()->admission_limit();
  for (const Lane* lane : lanes) {
    const ShardFigures one = lane->figures();
    sum.exchanges += one.exchanges;
    sum.repair.missing_dots += one.repair.missing_dots;
    sum.repair.filling += one.repair.filling;
    sum.repair.copies += one.repair.copies;
    sum.copy_pace += one.copy_pace;
    sum.repair.copied += one.repair.copied;
    sum.repair.copied_items += one.repair.copied_items;
    sum.repair.copies_left += one.repair.copies_left;
    sum.repair.copies_miscounted += one.repair.copies_miscounted;
    sum.record_cache.hits += one.record_cache.hits;
    sum.record_cache.misses += one.record_cache.misses;
    sum.record_cache.evictions += one.record_cache.evictions;
    sum.record_cache.bytes += one.record_cache.bytes;
    sum.damaged += one.damaged;
    sum.mended += one.mended;
    sum.reads += one.reads;
    sum.writes += one.writes;
    sum.forwards += one.forwards;
    sum.quorum_failures += one.quorum_failures;
    sum.overloads += one.overloads;
    sum.read_repairs += one.read_repairs;
    sum.late_attempts += one.late_attempts;
    sum.repair.items += one.repair.items;
    sum.repair.exchanges += one.repair.exchanges;
    sum.repair.log_cuts += one.repair.log_cuts;
    sum.repair.log_dropped += one.repair.log_dropped;
    sum.sheds += one.sheds;
    sum.misdirected += one.misdirected + one.repair.misdirected;
    sum.unreadable += one.unreadable;
    sum.disk_reads += one.disk_reads;
    sum.commits += one.commits;
    sum.stand_in.kept += one.stand_in.kept;
    sum.stand_in.delivered += one.stand_in.delivered;
    sum.stand_in.expired += one.stand_in.expired;
    sum.stand_in.refused += one.stand_in.refused;
    sum.stand_in.guests += one.stand_in.guests;
    sum.stand_in.damaged += one.stand_in.damaged;
    sum.pace.slow += one.pace.slow;
    sum.pace.slowed += one.pace.slowed;
    sum.pace.tries += one.pace.tries;
    sum.pace.hedges += one.pace.hedges;
    sum.pace.refused += one.pace.refused;
    sum.expired += one.expired;
    sum.expiry_lag_ms = std::max(sum.expiry_lag_ms, one.expiry_lag_ms);
    for (const auto& [owner, count] : one.hints) {
      hints.hints += count.hints;
      hints.bytes += count.bytes;
    }
    rounds += lane->loop_figures().rounds;
    events += lane->loop_figures().events;
    limit = std::min(limit, lane->admission_limit());
  }
  out->Gauge("gyre_exchanges", "Requests being coordinated", sum.exchanges);
  out->Gauge("gyre_missing_dots", "Dots that a peer had and this node lacked, when last compared",
             sum.repair.missing_dots);
  out->Gauge("gyre_partitions_to_fill",
             "Partitions whose data were lost here, and are not whole again: no reads of them",
             sum.repair.filling);
  out->Gauge("gyre_copies_under_way", "Whole copies of partitions that are being taken",
             sum.repair.copies);
  out->Gauge("gyre_copy_pace_bytes_per_second",
             "What may be taken of copies a second, and given, by how long clients wait",
             sum.copy_pace);
  out->Counter("gyre_copies_total", "Whole copies of partitions taken over", sum.repair.copied);
  out->Counter("gyre_copies_left_total",
               "Whole copies that were not taken over, for something was damaged, there or here",
               sum.repair.copies_left);
  out->Counter("gyre_copies_miscounted_total",
               "Whole copies that were not taken over, for other records came than their giver "
               "had counted",
               sum.repair.copies_miscounted);
  out->Counter("gyre_copied_items_total", "Records that came with such copies",
               sum.repair.copied_items);
  out->Counter("gyre_reads_total", "Reads coordinated", sum.reads);
  out->Counter("gyre_writes_total", "Writes coordinated", sum.writes);
  out->Counter("gyre_forwards_total", "Writes handed on to an owner", sum.forwards);
  out->Counter("gyre_quorum_failures_total", "Requests that too few replicas answered",
               sum.quorum_failures);
  out->Counter("gyre_shard_overloads_total", "Requests refused by a full shard", sum.overloads);
  out->Counter("gyre_read_repairs_total", "Reads that found a replica behind", sum.read_repairs);
  out->Counter("gyre_late_attempts_total",
               "First attempts of writes that may have come late, and so asked other owners",
               sum.late_attempts);
  out->Counter("gyre_repaired_items_total", "Items taken in by clock exchanges", sum.repair.items);
  out->Counter("gyre_clock_exchanges_total", "Clock exchanges started", sum.repair.exchanges);
  out->Counter("gyre_log_dropped_total",
               "Entries of dot logs dropped past their bound, though an owner may lack them",
               sum.repair.log_dropped);
  out->Counter("gyre_log_cuts_total", "Clock exchanges that came to need a whole copy",
               sum.repair.log_cuts);
  out->Counter("gyre_sheds_total",
               "Peers' questions refused, for the disk does not keep up or too many are served",
               sum.sheds);
  out->Counter("gyre_misdirected_messages_total",
               "Peers' messages dropped, for they spoke of another partition or item",
               sum.misdirected);
  out->Gauge("gyre_damaged_records",
             "Records that failed their checks, are served to nobody and have not been mended",
             sum.damaged);
  out->Counter(
      "gyre_mended_records_total",
      "Damaged records fetched again from the other nodes, or whole in memory and written again",
      sum.mended);
  out->Counter("gyre_unreadable_total",
               "Reads and scans that found a record damaged or the disk failing", sum.unreadable);
  out->Gauge("gyre_hints", "Writes kept for owners that could not be reached", hints.hints);
  out->Gauge("gyre_hint_bytes", "Their keys and values", hints.bytes);
  out->Counter("gyre_hints_kept_total", "Writes taken in for owners that could not be reached",
               sum.stand_in.kept);
  out->Counter("gyre_hints_delivered_total", "Hints that their owner took", sum.stand_in.delivered);
  out->Counter("gyre_hints_expired_total",
               "Hints dropped for their age: repair brings their owner what it missed",
               sum.stand_in.expired);
  out->Counter("gyre_hints_refused_total", "Hints that there was no room for",
               sum.stand_in.refused);
  out->Counter("gyre_hints_damaged_total",
               "Hints dropped, for what was kept cannot be decoded any more", sum.stand_in.damaged);
  out->Counter("gyre_guest_writes_total",
               "Writes taken in while none of their owners could be reached", sum.stand_in.guests);
  out->Gauge("gyre_slow_peers", "Peers, counted by each shard, that reads go round to others",
             sum.pace.slow);
  out->Counter("gyre_slow_peers_total", "Times that a shard began to go round a peer",
               sum.pace.slowed);
  out->Counter("gyre_slow_peer_tries_total", "Reads that tried a slow peer again", sum.pace.tries);
  out->Counter("gyre_hedges_total", "Reads that asked another owner, for one was late",
               sum.pace.hedges);
  out->Counter("gyre_hedges_refused_total", "Reads that would have, but had spent their budget",
               sum.pace.refused);
  out->Counter("gyre_expired_total", "Versions removed from the store, for their time had come",
               sum.expired);
  out->Gauge("gyre_expiry_lag_seconds",
             "For how long what expired first should have been removed; it is not shown meanwhile",
             static_cast<double>(sum.expiry_lag_ms) / 1000);
  out->Counter("gyre_record_cache_hits_total", "Looks for a record that found it decoded in memory",
               sum.record_cache.hits);
  out->Counter("gyre_record_cache_misses_total", "Looks for a record that had to ask the store",
               sum.record_cache.misses);
  out->Counter("gyre_record_cache_evictions_total", "Decoded records that left memory for others",
               sum.record_cache.evictions);
  out->Gauge("gyre_record_cache_bytes", "Of the decoded records that are kept, as they are charged",
             sum.record_cache.bytes);
  out->Counter("gyre_disk_reads_total", "Reads that had to wait for the disk", sum.disk_reads);
  out->Counter("gyre_shard_commits_total", "Commits of shards", sum.commits);
  out->Counter("gyre_loop_rounds_total", "Rounds of the event loops", rounds);
  out->Counter("gyre_loop_events_total", "Events taken by the event loops", events);
  out->Gauge(
      "gyre_admission_limit",
      "Clients' requests that may be in flight at the lane that may have the fewest, so that "
      "none waits too long to be begun",
      limit);
  out->Gauge("gyre_shards", "Threads that share the partitions", lanes.size());
}

void AddDisk(const DiskFailure& failure, const std::string& data_dir, Families* out) {
  out->Gauge("gyre_storage_failed",
             "1 once the disk has failed: the node serves nothing until a restart",
             failure.happened() ? 1 : 0);
  out->Gauge("gyre_disk_full", "1 where that was for want of room", failure.full() ? 1 : 0);
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(data_dir, error);
  if (error) return;  // a disk that cannot even say so shows in the absence of these two
  out->Gauge("gyre_disk_free_bytes", "Of the file system with the data directory, for this process",
             static_cast<double>(space.available));
  out->Gauge("gyre_disk_size_bytes", "Of the same, in all", static_cast<double>(space.capacity));
}

void AddStaleness(const std::vector<Lane*>& lanes, const View& view, Families* out) {
  const std::map<TableId, uint64_t> missing = MissingByTable(lanes);
  out->Open("gyre_table_missing_dots", "Of gyre_missing_dots, those of each table",
            MetricType::Gauge);
  for (const TableSpec& table : view.topology().tables) {
    const auto dots = missing.find(table.id);
    out->More("table", table.name).gauge.value =
        dots == missing.end() ? 0 : static_cast<double>(dots->second);
  }
}

void AddMembers(const Topology& topology, uint64_t waiting, Families* out) {
  constexpr std::array<const char*, 4> kStates = {"active", "waiting", "leaving", "dead"};
  std::array<uint64_t, kStates.size()> members = {};
  for (const Member& member : topology.members) ++members.at(static_cast<size_t>(member.state));
  out->Open("gyre_members",
            "Nodes that the topology lists: those that own their share, that wait to be told to, "
            "that leave, and that were declared dead",
            MetricType::Gauge);
  for (size_t state = 0; state < kStates.size(); ++state) {
    out->More("state", kStates.at(state)).gauge.value = static_cast<double>(members.at(state));
  }
  uint64_t filling = 0;
  for (const Move& move : topology.moves) filling += move.step == MoveStep::kFilling ? 1 : 0;
  out->Open("gyre_moves",
            "Copies of partitions that go from one node to another, in the whole cluster: waiting "
            "(said by the one node that plans, and 0 at all others), filling, and finishing, where "
            "the new owner serves and the former one is about to forget",
            MetricType::Gauge);
  out->More("step", "waiting").gauge.value = static_cast<double>(waiting);
  out->More("step", "filling").gauge.value = static_cast<double>(filling);
  out->More("step", "finishing").gauge.value = static_cast<double>(topology.moves.size() - filling);
}

void AddDoor(const Door& door, Families* out) {
  const Door::Figures figures = door.figures();
  out->Open("gyre_request_seconds", "From the door to the reply", MetricType::Histogram);
  AddLatency(figures.puts, &out->More("kind", "write"));
  AddLatency(figures.gets, &out->More("kind", "read"));
  out->Gauge("gyre_in_flight", "Clients' requests admitted and not replied to", door.in_flight());
  out->Gauge("gyre_in_flight_bytes", "Their bytes", door.in_flight_bytes());
  out->Counter("gyre_errors_total", "Requests answered with an error", figures.errors);
  out->Counter("gyre_overloads_total", "Requests refused by a full door", figures.overloads);
  out->Counter("gyre_delay_overloads_total",
               "Requests refused, for they would have waited too long to be begun",
               figures.delayed);
  out->Gauge("gyre_epoch", "Of the topology that is served", door.epoch().value());
  out->Gauge("gyre_draining", "1 while the node is shutting down", door.draining() ? 1 : 0);
}

void AddPeers(const std::vector<PeerLink::Figures>& links, const MembershipSeat& membership,
              Families* out) {
  const auto family = [&](const char* name, const char* help, MetricType type, auto value) {
    out->Open(name, help, type);
    for (const PeerLink::Figures& link : links) {
      ClientMetric& metric = out->More("peer", link.name);
      (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) =
          static_cast<double>(value(link));
    }
  };
  const MembershipSeat::TimeFigures time = membership.time();
  out->Gauge("gyre_time_known",
             "1 once most members' clocks were heard: before, nothing that expires is served",
             time.known ? 1 : 0);
  out->Gauge("gyre_clock_ahead_seconds",
             "How far this node's wall clock is ahead of the middle of the members' clocks",
             static_cast<double>(time.clock_ahead_ms) / 1000);
  using Figures = PeerLink::Figures;
  family("gyre_peer_up", "1 while both streams with the peer stand", MetricType::Gauge,
         [](const Figures& link) { return link.connected ? 1 : 0; });
  family("gyre_peer_liveness",
         "What the peer is taken for: 0 alive, 1 suspect, 2 dead; others are asked before who is "
         "not alive",
         MetricType::Gauge,
         [&](const Figures& link) { return static_cast<int>(membership.LivenessOf(link.id)); });
  family(
      "gyre_peer_load",
      "How busy the peer says that it is: 0 idle, 1 light, 2 busy, 3 full; of owners that are as "
      "good otherwise, others are asked before who is busy or full",
      MetricType::Gauge,
      [&](const Figures& link) { return static_cast<int>(membership.LoadOf(link.id)); });
  out->Gauge("gyre_incarnation",
             "How often this node, and its earlier lives, refuted that it does not answer; beyond "
             "2^40 a rumour was forged or damaged",
             static_cast<double>(membership.incarnation()));
  out->Gauge("gyre_load",
             "How busy this node says that it is, in quarters of what it can do: 0 idle, 1 light, "
             "2 busy, 3 full",
             static_cast<int>(membership.load()));
  family("gyre_peer_queued_bytes", "Waiting to be sent", MetricType::Gauge,
         [](const Figures& link) { return link.queued_bytes; });
  family("gyre_peer_frames_total", "Frames sent", MetricType::Counter,
         [](const Figures& link) { return link.frames; });
  family("gyre_peer_messages_total", "Messages sent", MetricType::Counter,
         [](const Figures& link) { return link.messages; });
  family("gyre_peer_dropped_total", "Messages dropped: no connection, or a full queue",
         MetricType::Counter, [](const Figures& link) { return link.dropped; });
  family("gyre_peer_dropped_repair_total", "Repair messages dropped by a full queue",
         MetricType::Counter, [](const Figures& link) { return link.dropped_repair; });
  family("gyre_peer_connects_total", "Streams opened", MetricType::Counter,
         [](const Figures& link) { return link.connects; });
}

}  // namespace

// Of the plan, and not begun. One node of the cluster says so: who says it makes a plan.
uint64_t Metrics::MovesWaiting(const View& view) const {
  std::set<NodeId> reached = {view.self()};
  for (const PeerLink::Figures& link : parts_.links->figures()) {
    if (link.connected) reached.insert(link.id);
  }
  const std::vector<Member>& members = view.topology().members;
  const auto planner = std::find_if(members.begin(), members.end(), [&](const Member& member) {
    return member.state == MemberState::kActive && reached.contains(member.id);
  });
  if (planner == members.end() || planner->id != view.self()) return 0;
  std::lock_guard<std::mutex> lock(mutex_);
  if (planned_ != view.epoch()) {
    planned_ = view.epoch();
    waiting_ = 0;
    for (const Flow& flow : FlowsOf(view.topology(), MakePlan(view.topology()))) {
      waiting_ += flow.waiting;
    }
  }
  return waiting_;
}

std::string Metrics::Text() const {
  Families families;
  const std::shared_ptr<const View> view = parts_.door->view();
  AddDoor(*parts_.door, &families);
  AddShards(parts_.lanes, &families);
  AddScrub(parts_.lanes, &families);
  AddStaleness(parts_.lanes, *view, &families);
  AddMembers(view->topology(), MovesWaiting(*view), &families);
  families.Gauge("gyre_build_level",
                 "As which level of builds the node behaves; below what its build can, where its "
                 "configuration holds it back",
                 parts_.seat->level());
  families.Gauge("gyre_cluster_level", "Of which all nodes are: what is used among them",
                 view->topology().level);
  AddDisk(*parts_.disk, parts_.data_dir, &families);
  AddPeers(parts_.links->figures(), *parts_.membership, &families);
  const PeerService::Figures incoming = parts_.peers->figures();
  families.Counter("gyre_peer_received_frames_total", "Frames taken in", incoming.frames);
  families.Counter("gyre_peer_received_messages_total", "Messages taken in", incoming.messages);
  families.Counter("gyre_peer_malformed_total", "Messages that could not be decoded",
                   incoming.malformed);
  families.Counter("gyre_peer_refused_total", "Streams refused at their hello", incoming.refused);
  families.Counter("gyre_topology_rejected_total",
                   "Documents from peers that were no sound document of this cluster",
                   parts_.seat->rejected());
  const StorePool::Figures store = parts_.pool->figures();
  families.Counter("gyre_store_commits_total", "Commits asked for", store.commits);
  families.Counter("gyre_store_groups_total", "Groups of commits written", store.groups);
  families.Counter("gyre_store_syncs_total", "Of these, with a sync", store.syncs);
  families.Counter("gyre_store_written_bytes_total", "Keys and values written", store.bytes);
  families.Open("gyre_store_reads_waiting",
                "Reads that wait for a thread of their lane: of clients' requests, of repair and "
                "hand-overs, of operators",
                MetricType::Gauge);
  constexpr std::array<const char*, StorePool::kReadLanes> kLanes = {"data", "repair", "admin"};
  for (size_t lane = 0; lane < kLanes.size(); ++lane) {
    families.More("lane", kLanes.at(lane)).gauge.value =
        static_cast<double>(store.waiting.at(lane));
  }
  families.Gauge("gyre_store_bytes", "On disk", parts_.engine->SizeBytes());
  return prometheus::TextSerializer().Serialize(families.Take());
}

}  // namespace gyre
