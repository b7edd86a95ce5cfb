// ShardBench: shard "a" of the cluster a, b, c (and d), stepped by hand. Take answers with a line
// that says all that the shard wants done; whatever it wants written waits for Commit. Its store
// keeps no records in memory, unless a test says so.
//
//   ShardBench bench;
//   bench.Write(1, "key", "x", 1).Take();   // "commit"
//   bench.Commit().Take();                  // "Apply>b, Apply>c, reply 1 OK"
//
// For tests. One thread.

#ifndef GYRE_SERVER_SHARD_BENCH_H_
#define GYRE_SERVER_SHARD_BENCH_H_

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "replication/slice_answer.h"
#include "server/shard.h"
#include "storage/memory_engine.h"
#include "storage/version/version_codec.h"

namespace gyre {

class ShardBench {
 public:
  struct Setup {
    std::vector<std::string> members = {"a", "b", "c"};
    uint32_t slices = 1;
    ShardOptions options = {};
    Durability durability = Durability::kFsync;
    size_t cached_bytes = 0;
    bool fill_what_is_new = false;
    size_t at_once = 1;  // questions of repair: tests read as scripts
  };

  ShardBench() : ShardBench(Setup()) {}
  explicit ShardBench(Setup setup)
      : durability_(setup.durability),
        store_options_{.cached_bytes = setup.cached_bytes,
                       .fill_what_is_new = setup.fill_what_is_new} {
    std::vector<Member> members;
    for (const std::string& name : setup.members) members.push_back({{}, name, name, name, name});
    TableSpec table;
    table.name = "table";
    table.replicas = std::min<int>(3, static_cast<int>(members.size()));
    table.read_quorum = table.write_quorum = table.replicas / 2 + 1;
    table.durability = setup.durability;
    topology_ = *CreateTable(*InitialTopology("test", setup.slices, members), table);
    view_ = View::Create(topology_, Id("a"));
    table_ = *view_->FindTable("table");
    store_ = std::make_unique<ReplicaStore>(&engine_, store_options_, Random(1));
    EXPECT_TRUE(store_->Open(view_->OwnedBy(Id("a")), false).ok());
    setup.options.repair.at_once = setup.at_once;
    shard_ = std::make_unique<Shard>(setup.options, store_.get(), view_, Random(2));
  }

  NodeId Id(const std::string& name) const { return NodeIdFromName(topology_.cluster, name); }
  ItemKey Item(const std::string& key) const {
    return {view_->Locate(table_, key), table_.id, key};
  }
  // A key of a partition that this node does not own.
  ItemKey Foreign() const {
    for (int i = 0;; ++i) {
      const ItemKey item = Item("foreign-" + std::to_string(i));
      if (!view_->IsOwner(item.partition, Id("a"))) return item;
    }
  }

  // And one of a partition that it owns.
  ItemKey Mine() const {
    for (int i = 0;; ++i) {
      const ItemKey item = Item("mine-" + std::to_string(i));
      if (view_->IsOwner(item.partition, Id("a"))) return item;
    }
  }
  std::string NameOf(NodeId node) const { return view_->FindMember(node)->name; }

  // ---- events
  ShardBench& Write(Token token, const ItemKey& item, std::string value, int needed) {
    shard_->Write(token, Request(item, std::move(value), needed), now_);
    return *this;
  }
  ShardBench& Write(Token token, const std::string& key, std::string value, int needed) {
    return Write(token, Item(key), std::move(value), needed);
  }
  ShardBench& Read(Token token, const std::string& key, int needed) {
    return Read(token, Item(key), needed, /*sloppy=*/false);
  }
  ShardBench& Read(Token token, const ItemKey& item, int needed, bool sloppy) {
    ReadRequest request;
    request.item = item;
    request.needed = needed;
    request.sloppy = sloppy;
    shard_->Read(token, request, now_);
    return *this;
  }
  ShardBench& WriteSloppily(Token token, const ItemKey& item, std::string value, int needed) {
    WriteRequest request = Request(item, std::move(value), needed);
    request.sloppy = true;
    shard_->Write(token, std::move(request), now_);
    return *this;
  }
  WriteRequest Request(const ItemKey& item, std::string value, int needed) const {
    WriteRequest request;
    request.item = item;
    request.intent.value = std::move(value);
    request.intent.attempt = kFirstAttempt;
    request.intent.durability = durability_;
    request.needed = needed;
    return request;
  }
  // A message of a peer: an answer to the newest message to it, unless `exchange` says otherwise.
  ShardBench& Hear(const std::string& from, PeerBody body, ExchangeId exchange = 0) {
    return HearUnder(topology_.epoch, from, std::move(body), exchange);
  }
  ShardBench& HearUnder(Epoch epoch, const std::string& from, PeerBody body,
                        ExchangeId exchange = 0) {
    return HearAbout(Item("key").partition, epoch, from, std::move(body), exchange);
  }
  ShardBench& HearAbout(PartitionId partition, Epoch epoch, const std::string& from, PeerBody body,
                        ExchangeId exchange = 0) {
    if (exchange == 0) exchange = last_exchange_[Id(from)];
    shard_->OnMessage(Id(from), {exchange, epoch, partition, std::move(body)}, now_);
    return *this;
  }
  ShardBench& DropTheTable() {
    topology_ = *DropTable(topology_, "table");
    Show();
    return *this;
  }
  ShardBench& SetState(const std::string& name, MemberState state) {
    topology_ = NextOf(topology_);
    for (Member& member : topology_.members) {
      if (member.name == name) member.state = state;
    }
    Show();
    return *this;
  }
  // A document in which nothing is new.
  ShardBench& NewEpoch() {
    topology_ = NextOf(topology_);
    Show();
    return *this;
  }
  // The partition of the tests begins to move to a node that is no owner; its next step; and all of
  // it at once.
  ShardBench& BeginMove(const std::string& from, const std::string& to) {
    const PartitionId partition = Item("key").partition;
    topology_ = NextOf(topology_);
    topology_.moves.push_back({partition, Id(from), Id(to), topology_.epoch});
    if (to == "a") {
      const bool is_new = !store_->Owns(partition);
      EXPECT_TRUE(!is_new || store_->Open({partition}, false).ok());
      store_->BeginMove(partition, topology_.epoch);
    }
    Show();
    return *this;
  }
  ShardBench& StepMove() {
    const Move move = topology_.moves.at(0);
    const std::vector<MoveRef> ref = {{move.partition, move.since}};
    topology_ =
        move.step == MoveStep::kFilling ? SwitchMoves(topology_, ref) : EndMoves(topology_, ref);
    Show();
    return *this;
  }
  ShardBench& MoveAll(const std::string& from, const std::string& to) {
    return BeginMove(from, to).StepMove().StepMove();
  }
  // From this node to one that is no owner.
  ShardBench& MoveAway() { return MoveAll("a", Outsider()); }
  absl::Span<const NodeId> OwnersOf(const ItemKey& item) const {
    return view_->Owners(item.partition);
  }
  // The last member that does not own the partition of the tests.
  std::string Outsider() const {
    std::string name;
    for (const Member& member : topology_.members) {
      if (!view_->IsOwner(Item("key").partition, member.id)) name = member.name;
    }
    return name;
  }
  ShardBench& Greet(const std::string& peer) {
    shard_->OnPeer(Id(peer), true, now_);
    return *this;
  }
  // The process ends, and another begins on what it left.
  ShardBench& Restart(bool clean) {
    ShardOptions options;
    options.clean_start = clean;
    store_ = std::make_unique<ReplicaStore>(&engine_, store_options_, Random(3));
    EXPECT_TRUE(store_->Open(view_->OwnedBy(Id("a")), false).ok());
    shard_ = std::make_unique<Shard>(options, store_.get(), view_, Random(4));
    return *this;
  }
  // The replica id that a write is minted under now.
  ReplicaId Minter() {
    Write(100, "key", "x", 1).CommitAll();
    return store_->Self(Item("key").partition);
  }
  ShardBench& Lose(const std::string& peer) {
    shard_->OnPeer(Id(peer), false, now_);
    return *this;
  }
  ShardBench& Suspect(const std::string& peer, Liveness liveness = Liveness::kSuspect) {
    shard_->OnLiveness(Id(peer), liveness);
    return *this;
  }
  ShardBench& HearThatItIs(const std::string& peer, Load load) {
    shard_->OnLoad(Id(peer), load);
    return *this;
  }
  ShardBench& Wake(int64_t after_ms) {
    now_.monotonic = now_.monotonic + Duration::Millis(after_ms);
    shard_->OnWake(now_);
    return *this;
  }
  // The commit under way ends.
  ShardBench& Commit() {
    EXPECT_TRUE(commit_.has_value());
    const absl::Status status = engine_.Write(commit_->batch, commit_->sync);
    const CommitSeq seq = commit_->seq;
    commit_.reset();
    shard_->OnCommitted(seq, status, now_);
    return *this;
  }
  // The oldest read of the disk ends.
  ShardBench& EndRead() {
    const ShardEffects::DiskRead read = reads_.front();
    reads_.erase(reads_.begin());
    shard_->OnRead(read, engine_.Get(Family::kRecords, EncodeItemKey(read.item)), now_);
    return *this;
  }
  // The oldest scan of hints ends.
  ShardBench& EndHintScan() {
    const HintScan scan = hint_scans_.front();
    hint_scans_.erase(hint_scans_.begin());
    shard_->OnHintScan(scan.id, ScanHints(*engine_.TakeSnapshot(), scan), now_);
    return *this;
  }
  // The oldest scan for a copy that a peer takes ends.
  ShardBench& EndCopyScan(CopyPageLimits limits = {}) {
    ShardEffects::CopyScan scan = copy_scans_.front();
    copy_scans_.erase(copy_scans_.begin());
    if (scan.snapshot == nullptr) scan.snapshot = engine_.TakeSnapshot();
    absl::StatusOr<CopyPage> page = BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, limits);
    shard_->OnCopyScan(std::move(scan), std::move(page), now_);
    return *this;
  }
  // The oldest listing of what this node holds ends.
  ShardBench& EndListing(size_t most = 100) {
    const Repair::Effects::Listing listing = listings_.front();
    listings_.erase(listings_.begin());
    shard_->OnListed(listing.exchange, ListItems(*engine_.TakeSnapshot(), listing.range, most),
                     now_);
    return *this;
  }
  // The oldest read of a slice that a peer asked for ends.
  ShardBench& EndSliceRead() {
    const ShardEffects::SliceRead read = slice_reads_.front();
    slice_reads_.erase(slice_reads_.begin());
    shard_->OnSliceRead(read, AnswerSlice(*engine_.TakeSnapshot(), read.partition, read.ask, {}),
                        now_);
    return *this;
  }
  // The scan of the dot log ends.
  ShardBench& EndScan(ClockAnswerLimits limits = {}) {
    const ShardEffects::ClockScan scan = *std::exchange(scan_, std::nullopt);
    shard_->OnClockScan(
        scan, BuildClockAnswer(*engine_.TakeSnapshot(), scan.partition, scan.ask, limits), now_);
    return *this;
  }

  std::string Take() {
    effects_ = shard_->TakeEffects(now_);
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (effects_.commit.has_value()) {
      add(effects_.commit->sync == WalSync::kYes ? "commit" : "commit unsynced");
      commit_ = std::move(effects_.commit);
    }
    for (const ShardEffects::DiskRead& read : effects_.disk_reads) {
      add("read " + read.item.key);
      reads_.push_back(read);
    }
    for (const ShardEffects::ClockScan& scan : effects_.clock_scans) {
      add("scan");
      scan_ = scan;
    }
    for (const ShardEffects::CopyScan& scan : effects_.copy_scans) {
      add("copy");
      copy_scans_.push_back(scan);
    }
    for (const Repair::Effects::Listing& listing : effects_.listings) {
      add("list");
      listings_.push_back(listing);
    }
    for (const ShardEffects::SliceRead& read : effects_.slice_reads) {
      add("slice");
      slice_reads_.push_back(read);
    }
    for (const HintScan& scan : effects_.hint_scans) {
      add("scan hints");
      hint_scans_.push_back(scan);
    }
    for (const Envelope& send : effects_.sends) {
      add(std::string(MessageName(send.message.body)) + ">" + NameOf(send.to));
      last_exchange_[send.to] = send.message.exchange;
    }
    for (const ShardEffects::Reply& reply : effects_.replies) {
      add("reply " + std::to_string(reply.token) + " " + Describe(reply.outcome));
    }
    return text;
  }
  // Has the questions of the last Take answered so, whoever was asked. Answers how many.
  size_t AnswerFetches(PartitionId partition, const FetchReply& reply) {
    size_t count = 0;
    for (const Envelope& send : std::vector<Envelope>(effects_.sends)) {
      if (!std::holds_alternative<Fetch>(send.message.body) &&
          !std::holds_alternative<FetchHints>(send.message.body)) {
        continue;
      }
      ++count;
      shard_->OnMessage(send.to, {send.message.exchange, topology_.epoch, partition, reply}, now_);
    }
    return count;
  }
  // How many questions of a kind it sends while so much time passes, to which nobody has an answer.
  size_t Asked(int64_t ms, const std::string& kind) {
    size_t count = 0;
    for (int64_t passed = 0; passed < ms; ++passed) {
      Wake(1).CommitAll();
      for (const Envelope& send : effects_.sends) {
        if (MessageName(send.message.body) != kind) continue;
        ++count;
        shard_->OnMessage(send.to,
                          {send.message.exchange, topology_.epoch, send.message.partition,
                           Failed{Outcome::Code::kCorrupt}},
                          now_);
      }
    }
    return count;
  }
  // Has every question for a clock that is due within two seconds answered so, by one owner.
  void AnswerClockAsks(const std::string& owner, const ClockAnswer& answer) {
    for (int64_t passed = 0; passed < 2000; ++passed) {
      Wake(1).Take();
      for (const Envelope& send : std::vector<Envelope>(effects_.sends)) {
        if (!std::holds_alternative<ClockAsk>(send.message.body)) continue;
        PeerBody body = Failed{Outcome::Code::kOverloaded};
        if (send.to == Id(owner)) body = answer;
        shard_->OnMessage(
            send.to,
            {send.message.exchange, topology_.epoch, send.message.partition, std::move(body)},
            now_);
      }
      CommitAll();
    }
  }
  size_t Partitions() const { return view_->OwnedBy(Id("a")).size(); }
  std::string CommitAll() {
    std::string text = Take();
    while (commit_.has_value()) text = Commit().Take();
    return text;
  }

  // Of the last Take.
  const ShardEffects& effects() const { return effects_; }
  template <typename Body>
  const Body& sent(size_t index) const {
    return std::get<Body>(effects_.sends.at(index).message.body);
  }
  // The exchange that the newest message to `peer` belongs to.
  ExchangeId LastExchange(const std::string& peer) { return last_exchange_[Id(peer)]; }

  // What a peer sends that has minted `value` under its first dots.
  gyre::Apply ApplyOf(const std::string& key, std::string value, uint64_t counter = 1) const {
    Record record;
    const Dot dot{ReplicaId(77), counter};
    AddVersion(&record, {dot, 0, std::move(value)});
    return {{Item(key), std::make_shared<const Record>(std::move(record)), {{dot, {}, 0}}},
            durability_};
  }
  // The same of another item, for an owner that cannot be reached.
  Hint HintOf(const std::string& owner, const ItemKey& item, std::string value) const {
    gyre::Apply apply = ApplyOf("key", std::move(value));
    apply.change.item = item;
    return {Id(owner), std::move(apply.change), durability_};
  }
  const PartitionClock& Clock() const { return store_->Clock(Item("key").partition); }

  Shard& shard() { return *shard_; }
  MemoryEngine& engine() { return engine_; }
  Instant now() const { return now_; }
  const Topology& topology() const { return topology_; }

 private:
  void Show() {
    view_ = View::Create(topology_, Id("a"));
    shard_->OnView(view_, now_);
  }
  static std::string Describe(const Outcome& outcome) {
    static constexpr const char* kCodes[] = {
        "OK",     "QUORUM_NOT_MET", "TIMED_OUT",      "TOO_MANY_SIBLINGS",
        "STALE",  "OVERLOADED",     "STORAGE_FAILED", "CORRUPT",
        "FILLING"};
    std::string text = kCodes[static_cast<size_t>(outcome.code)];
    for (const Version& version : outcome.record.versions) {
      text.append(" ").append(version.value.view());
    }
    return text;
  }

  const Durability durability_;
  const ReplicaStore::Options store_options_;
  Topology topology_;
  std::shared_ptr<const View> view_;
  TableSpec table_;
  MemoryEngine engine_;
  std::unique_ptr<ReplicaStore> store_;
  std::unique_ptr<Shard> shard_;
  Instant now_{Time::FromMicros(0), 1000};
  ShardEffects effects_;
  std::optional<gyre::Commit> commit_;
  std::optional<ShardEffects::ClockScan> scan_;
  std::vector<ShardEffects::DiskRead> reads_;
  std::vector<ShardEffects::CopyScan> copy_scans_;
  std::vector<Repair::Effects::Listing> listings_;
  std::vector<HintScan> hint_scans_;
  std::vector<ShardEffects::SliceRead> slice_reads_;
  std::map<NodeId, ExchangeId> last_exchange_;
};

// The parts of a line in the order of their letters, for steps whose order says nothing.
inline std::string Sorted(const std::string& line) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= line.size();) {
    const size_t end = std::min(line.find(", ", at), line.size());
    parts.push_back(line.substr(at, end - at));
    at = end + 2;
  }
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// What is stored of the item fails its checks.
inline void Damage(ShardBench* bench, const ItemKey& item) {
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(item), std::string(1, '\x1f'));
  ASSERT_TRUE(bench->engine().Write(damage, WalSync::kYes).ok());
}

}  // namespace gyre

#endif  // GYRE_SERVER_SHARD_BENCH_H_
