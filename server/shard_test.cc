#include "server/shard.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "replication/slice_answer.h"
#include "storage/memory_engine.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

// Shard "a" of the cluster a, b, c (and d), stepped by hand. Take answers with a line that says all
// that the shard wants done; whatever it wants written waits for Commit. Its store keeps no
// records in memory, unless a test says so.
class Bench {
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

  Bench() : Bench(Setup()) {}
  explicit Bench(Setup setup)
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
  Bench& Write(Token token, const ItemKey& item, std::string value, int needed) {
    shard_->Write(token, Request(item, std::move(value), needed), now_);
    return *this;
  }
  Bench& Write(Token token, const std::string& key, std::string value, int needed) {
    return Write(token, Item(key), std::move(value), needed);
  }
  Bench& Read(Token token, const std::string& key, int needed) {
    return Read(token, Item(key), needed, /*sloppy=*/false);
  }
  Bench& Read(Token token, const ItemKey& item, int needed, bool sloppy) {
    ReadRequest request;
    request.item = item;
    request.needed = needed;
    request.sloppy = sloppy;
    shard_->Read(token, request, now_);
    return *this;
  }
  Bench& WriteSloppily(Token token, const ItemKey& item, std::string value, int needed) {
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
  Bench& Hear(const std::string& from, PeerBody body, ExchangeId exchange = 0) {
    return HearUnder(topology_.epoch, from, std::move(body), exchange);
  }
  Bench& HearUnder(Epoch epoch, const std::string& from, PeerBody body, ExchangeId exchange = 0) {
    return HearAbout(Item("key").partition, epoch, from, std::move(body), exchange);
  }
  Bench& HearAbout(PartitionId partition, Epoch epoch, const std::string& from, PeerBody body,
                   ExchangeId exchange = 0) {
    if (exchange == 0) exchange = last_exchange_[Id(from)];
    shard_->OnMessage(Id(from), {exchange, epoch, partition, std::move(body)}, now_);
    return *this;
  }
  Bench& DropTheTable() {
    topology_ = *DropTable(topology_, "table");
    shard_->OnView(View::Create(topology_, Id("a")));
    return *this;
  }
  Bench& Greet(const std::string& peer) {
    shard_->OnPeer(Id(peer), true, now_);
    return *this;
  }
  // The process ends, and another begins on what it left.
  Bench& Restart(bool clean) {
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
  Bench& Lose(const std::string& peer) {
    shard_->OnPeer(Id(peer), false, now_);
    return *this;
  }
  Bench& Suspect(const std::string& peer, Liveness liveness = Liveness::kSuspect) {
    shard_->OnLiveness(Id(peer), liveness);
    return *this;
  }
  Bench& HearThatItIs(const std::string& peer, Load load) {
    shard_->OnLoad(Id(peer), load);
    return *this;
  }
  Bench& Wake(int64_t after_ms) {
    now_.monotonic = now_.monotonic + Duration::Millis(after_ms);
    shard_->OnWake(now_);
    return *this;
  }
  // The commit under way ends.
  Bench& Commit() {
    EXPECT_TRUE(commit_.has_value());
    const absl::Status status = engine_.Write(commit_->batch, commit_->sync);
    const CommitSeq seq = commit_->seq;
    commit_.reset();
    shard_->OnCommitted(seq, status, now_);
    return *this;
  }
  // The oldest read of the disk ends.
  Bench& EndRead() {
    const ItemKey item = reads_.front();
    reads_.erase(reads_.begin());
    shard_->OnRead(item, engine_.Get(Family::kRecords, EncodeItemKey(item)), now_);
    return *this;
  }
  // The oldest scan of hints ends.
  Bench& EndHintScan() {
    const HintScan scan = hint_scans_.front();
    hint_scans_.erase(hint_scans_.begin());
    shard_->OnHintScan(scan.id, ScanHints(*engine_.TakeSnapshot(), scan), now_);
    return *this;
  }
  // The oldest scan for a copy that a peer takes ends.
  Bench& EndCopyScan(CopyPageLimits limits = {}) {
    ShardEffects::CopyScan scan = copy_scans_.front();
    copy_scans_.erase(copy_scans_.begin());
    if (scan.snapshot == nullptr) scan.snapshot = engine_.TakeSnapshot();
    absl::StatusOr<CopyPage> page = BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, limits);
    shard_->OnCopyScan(std::move(scan), std::move(page), now_);
    return *this;
  }
  // The oldest listing of what this node holds ends.
  Bench& EndListing(size_t most = 100) {
    const Repair::Effects::Listing listing = listings_.front();
    listings_.erase(listings_.begin());
    shard_->OnListed(listing.exchange, ListItems(*engine_.TakeSnapshot(), listing.range, most),
                     now_);
    return *this;
  }
  // The oldest read of a slice that a peer asked for ends.
  Bench& EndSliceRead() {
    const ShardEffects::SliceRead read = slice_reads_.front();
    slice_reads_.erase(slice_reads_.begin());
    shard_->OnSliceRead(read, AnswerSlice(*engine_.TakeSnapshot(), read.partition, read.ask, {}),
                        now_);
    return *this;
  }
  // The scan of the dot log ends.
  Bench& EndScan(ClockAnswerLimits limits = {}) {
    const ShardEffects::ClockScan scan = *std::exchange(scan_, std::nullopt);
    shard_->OnClockScan(
        scan,
        BuildClockAnswer(*engine_.TakeSnapshot(), scan.partition, scan.theirs, limits, scan.count),
        now_);
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
      reads_.push_back(read.item);
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
      add(Name(send.message.body) + ">" + NameOf(send.to));
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
  // How many messages of a kind it sends while so much time passes, answers to nothing included.
  size_t Asked(int64_t ms, const std::string& kind) {
    size_t count = 0;
    for (int64_t passed = 0; passed < ms; ++passed) {
      Wake(1).CommitAll();
      for (const Envelope& send : effects_.sends) {
        if (Name(send.message.body) != kind) continue;
        ++count;
        shard_->OnMessage(send.to,
                          {send.message.exchange, topology_.epoch, send.message.partition,
                           Failed{Outcome::Code::kOverloaded}},
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
  static std::string Name(const PeerBody& body) {
    static constexpr const char* kNames[] = {
        "Apply",       "ApplyReply",  "Fetch",          "FetchReply",   "Lookup",
        "LookupReply", "ClockAsk",    "ClockAnswer",    "Forward",      "ForwardReply",
        "Refused",     "RegisterAsk", "RegisterAnswer", "TopologyNews", "Failed",
        "Hint",        "HintReply",   "FetchHints",     "Handoff",      "CopyAsk",
        "CopyPage",    "Membership",  "SliceAsk",       "SliceAnswer",  "Doubt"};
    return kNames[body.index()];
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
  std::vector<ItemKey> reads_;
  std::vector<ShardEffects::CopyScan> copy_scans_;
  std::vector<Repair::Effects::Listing> listings_;
  std::vector<HintScan> hint_scans_;
  std::vector<ShardEffects::SliceRead> slice_reads_;
  std::map<NodeId, ExchangeId> last_exchange_;
};

std::string Sorted(const std::string& line) {
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

// ---- nothing leaves before it is durable

TEST(Shard, SendsAWriteToTheOtherOwnersOnlyOnceItIsDurableHere) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 2).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
}

TEST(Shard, RepliesToAWriteOfOneCopyOnlyOnceItIsDurable) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 1 OK");
}

TEST(Shard, AcknowledgesAPeersWriteOnlyOnceItIsDurable) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "x"), 5).Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
}

TEST(Shard, ShowsAValueOnlyOnceItIsDurable) {
  Bench bench;
  bench.Write(1, "key", "x", 3).Take();
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK x");
}

TEST(Shard, ARequestThatCameDuringACommitWaitsForTheNextOne) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit");
  EXPECT_EQ(bench.Write(2, "other", "y", 1).Take(), "") << "one commit at a time";
  const std::string first = Sorted(bench.Commit().Take());
  EXPECT_EQ(first, "Apply>b, Apply>c, commit, reply 1 OK");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK");
}

TEST(Shard, WhatIsSaidOfOnePartitionDoesNotWaitForTheCommitOfAnother) {
  Bench bench({.slices = 8});
  ItemKey other = bench.Item("other");
  for (int i = 0; other.partition == bench.Item("key").partition; ++i) {
    ASSERT_LT(i, 100) << "one of eight partitions";
    other = bench.Item("other-" + std::to_string(i));
  }
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "x")).Take(), "commit") << "no answer is wanted";
  const Epoch epoch = bench.topology().epoch;
  EXPECT_EQ(bench.HearAbout(other.partition, epoch, "b", bench.ApplyOf(other.key, "y"), 5).Take(),
            "");
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 6).Take(), "");
  EXPECT_EQ(bench.Commit().Take(), "commit, FetchReply>c");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
}

TEST(Shard, ManyWritesShareOneCommit) {
  Bench bench;
  for (Token token = 1; token <= 20; ++token) {
    bench.Write(token, "key-" + std::to_string(token), "x", 1);
  }
  EXPECT_EQ(bench.Take(), "commit");
  bench.Commit().Take();
  EXPECT_EQ(bench.effects().replies.size(), 20u);
  EXPECT_EQ(bench.engine().counters().syncs, 1u);
}

TEST(Shard, AReadOfAQuietPartitionWaitsForNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "reply 2 OK x");
}

TEST(Shard, AfterAFailedCommitItAcknowledgesNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(bench.Commit().Take(), "reply 1 STORAGE_FAILED");
  EXPECT_TRUE(bench.shard().failed());
  EXPECT_EQ(bench.Write(2, "key", "y", 1).Take(), "reply 2 STORAGE_FAILED");
}

TEST(Shard, AfterAFailedCommitItTellsPeersThatItAnswersNothing) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  bench.Commit().Take();
  const ItemKey item = bench.Item("key");
  for (const PeerBody& body : {PeerBody(bench.ApplyOf("key", "z")), PeerBody(Fetch{item}),
                               PeerBody(Lookup{item, {4, 2}}), PeerBody(ClockAsk{})}) {
    EXPECT_EQ(bench.Hear("b", body, 5).Take(), "Failed>b") << body.index();
    EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
    EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kStorageFailed);
  }
  EXPECT_EQ(bench.Hear("b", Forward{bench.Request(item, "y", 2)}, 6).Take(), "ForwardReply>b");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kStorageFailed);
}

TEST(Shard, AFailedCommitTellsThePeersWhoseQuestionsWaitForIt) {
  Bench bench;
  bench.Write(1, "quiet", "x", 2).CommitAll();
  bench.Hear("b", bench.ApplyOf("key", "x"), 5);
  bench.Hear("c", Fetch{bench.Item("key")}, 6);
  bench.Hear("c", Forward{bench.Request(bench.Item("other"), "y", 1)}, 7).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("elsewhere")}, 8).Take(), "read elsewhere");
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(Sorted(bench.Commit().Take()),
            "Failed>b, Failed>b, Failed>c, ForwardReply>c, reply 1 STORAGE_FAILED");
  for (const Envelope& send : bench.effects().sends) {
    const auto* forwarded = std::get_if<ForwardReply>(&send.message.body);
    if (forwarded == nullptr) continue;
    EXPECT_EQ(forwarded->outcome.code, Outcome::Code::kStorageFailed);
    EXPECT_TRUE(forwarded->outcome.outcome_unknown);
  }
}

TEST(Shard, ADiskThatFailsUnderAnotherPartOfTheNodeEndsEverythingHereToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).Take();
  bench.shard().OnDiskFailed(bench.now());
  EXPECT_EQ(bench.Take(), "reply 1 STORAGE_FAILED");
  EXPECT_EQ(bench.Commit().Take(), "") << "though this commit was written";
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "reply 2 STORAGE_FAILED");
}

TEST(Shard, AFailedCommitEndsWhatWaitsForPeersToo) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  bench.Write(2, "other", "y", 2).Take();
  bench.engine().FailNextWrite(absl::InternalError("device"));
  EXPECT_EQ(Sorted(bench.Commit().Take()), "reply 1 STORAGE_FAILED, reply 2 STORAGE_FAILED");
}

TEST(Shard, APeriodicWriteIsAcknowledgedUnsyncedAndSyncedSoonAfter) {
  Bench bench({.durability = Durability::kPeriodic});
  EXPECT_EQ(bench.Write(1, "key", "x", 1).Take(), "commit unsynced");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 1 OK");
  EXPECT_LE(bench.effects().wake, bench.now().monotonic + Duration::Seconds(1));
  bench.Wake(1001);
  EXPECT_EQ(bench.Take().substr(0, 6), "commit");
  bench.Commit();
  EXPECT_EQ(bench.engine().unsynced_batches(), 0u);
}

// ---- lives that an earlier process began

TEST(Shard, TellsWhetherALifeIsStillUnconfirmed) {
  Bench bench;
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "there is none yet";
  bench.Minter();
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "its own";
  EXPECT_FALSE(bench.Restart(true).shard().AllConfirmed());
  EXPECT_FALSE(bench.Greet("b").shard().AllConfirmed());
  EXPECT_TRUE(bench.Greet("c").shard().AllConfirmed());
  bench.Restart(false).Minter();
  EXPECT_TRUE(bench.shard().AllConfirmed()) << "a new one has begun";
}

TEST(Shard, MintsUnderAnInheritedLifeOnlyOnceEveryOtherOwnerHasGreetedIt) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Greet("b").Greet("c").Minter(), before);
  const ReplicaId after = bench.Restart(true).Greet("b").Minter();
  EXPECT_NE(after, before);
  EXPECT_EQ(bench.Greet("c").Minter(), after) << "its own life needs nobody";
}

TEST(Shard, APeerThatWasThereAndLeftHasConfirmedALife) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Greet("b").Greet("c").Lose("b").Minter(), before);
}

TEST(Shard, ASoleOwnerMintsOnUnderItsInheritedLife) {
  Bench bench({.members = {"a"}});
  const ReplicaId before = bench.Minter();
  EXPECT_EQ(bench.Restart(true).Minter(), before);
  EXPECT_EQ(bench.Restart(false).Minter(), before);
}

TEST(Shard, AfterAnUncleanEndOnlyTheClocksOfTheOtherOwnersConfirmALife) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(false).Greet("b").Greet("c");
  bench.Hear("b", ClockAsk{}, 5).Hear("c", ClockAsk{}, 5).Take();
  EXPECT_EQ(bench.Minter(), before);
  bench.Restart(false).Greet("b").Greet("c").Hear("b", ClockAsk{}, 5).Take();
  EXPECT_NE(bench.Minter(), before);
}

TEST(Shard, ACompleteClockAnswerConfirmsALifeToo) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(false).Hear("c", ClockAsk{}, 5).Take();
  ASSERT_EQ(bench.Wake(1).Take(), "ClockAsk>b");
  ClockAnswer nothing;
  nothing.complete = true;
  EXPECT_EQ(bench.Hear("b", nothing).Minter(), before);
}

TEST(Shard, EndsItsInheritedLivesWhenItIsCalledForgetful) {
  Bench bench;
  const ReplicaId before = bench.Minter();
  bench.Restart(true);
  bench.shard().OnForgetful(bench.now());
  EXPECT_NE(bench.Greet("b").Greet("c").Minter(), before);
}

// ---- exchanges

TEST(Shard, AnswersAReadOfTwoFromThisNodeAndAPeer) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Read(2, "key", 2).Take().substr(0, 6), "Fetch>");
  const std::string peer = bench.effects().sends[0].to == bench.Id("b") ? "b" : "c";
  FetchReply nothing;
  nothing.found = {bench.Item("key"), std::make_shared<const Record>(), {}};
  EXPECT_EQ(Sorted(bench.Hear(peer, nothing).Take()), "Apply>" + peer + ", reply 2 OK x");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 0u) << "a repair wants no answer";
}

TEST(Shard, AsksWhomNobodySuspectsFirstUntilItIsTakenForAliveAgain) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  for (const Liveness liveness : {Liveness::kSuspect, Liveness::kDead}) {
    EXPECT_EQ(bench.Suspect(peer, liveness).Read(2, "key", 2).Take(), "Fetch>" + other);
  }
  EXPECT_EQ(bench.Suspect(peer, Liveness::kAlive).Read(3, "key", 2).Take(), first);
}

TEST(Shard, AsksOwnersThatAreBusyAfterThoseThatAreNot) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  EXPECT_EQ(bench.HearThatItIs(peer, Load::kLight).Read(2, "key", 2).Take(), first);
  for (const Load load : {Load::kBusy, Load::kFull}) {
    EXPECT_EQ(bench.HearThatItIs(peer, load).Read(3, "key", 2).Take(), "Fetch>" + other);
  }
  EXPECT_EQ(bench.HearThatItIs(other, Load::kBusy).Read(4, "key", 2).Take(), "Fetch>" + other)
      << "the less busy of two";
  EXPECT_EQ(bench.HearThatItIs(other, Load::kFull).Read(5, "key", 2).Take(), first);
}

TEST(Shard, ABusyOwnerIsBetterThanOneThatIsSuspected) {
  Bench bench;
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  bench.HearThatItIs(peer, Load::kFull).Suspect(other);
  EXPECT_EQ(bench.Read(2, "key", 2).Take(), first);
  EXPECT_EQ(bench.Suspect(peer).Read(3, "key", 2).Take(), "Fetch>" + other)
      << "of two that are, the one that is not busy";
}

TEST(Shard, EveryOwnerHasItsCopyOfAWriteHoweverBusyItIs) {
  Bench bench;
  bench.HearThatItIs("b", Load::kFull).HearThatItIs("c", Load::kFull);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
}

TEST(Shard, ASuspicionEndsNothingThatIsUnderWay) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Suspect("b", Liveness::kDead).Suspect("c", Liveness::kDead).Take(), "");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
}

TEST(Shard, ServesARequestThoughEveryOtherIsUnderSuspicion) {
  Bench bench;
  bench.Suspect("b").Suspect("c", Liveness::kDead);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
}

TEST(Shard, ServesAFetchWithTheFilledRecordAndItsDots) {
  Bench bench;
  bench.Write(1, "other", "y", 1).CommitAll();
  bench.Write(2, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "FetchReply>b");
  const ExplainedRecord& found = bench.sent<FetchReply>(0).found;
  EXPECT_EQ(found.record->versions[0].value, "x");
  EXPECT_EQ(found.minted[0].dot, found.record->versions[0].dot);
  EXPECT_TRUE(found.record->context.CoversAll(bench.Clock().Bases()));
}

TEST(Shard, ServesAFetchWithoutTheValuesThatTheAskerKnows) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Hear("b", Fetch{bench.Item("key"), {}}, 5).Take();
  const Dot dot = bench.sent<FetchReply>(0).found.record->versions[0].dot;
  bench.Hear("b", Fetch{bench.Item("key"), {{dot.replica, dot.counter + 1}, dot}}, 6).Take();
  const FetchReply& reply = bench.sent<FetchReply>(0);
  EXPECT_EQ(reply.left_out, std::vector<uint32_t>{0});
  EXPECT_TRUE(reply.found.record->versions[0].value.empty());
  EXPECT_EQ(reply.found.record->versions[0].dot, dot);
  EXPECT_TRUE(reply.found.record->context.Covers(dot));

  bench.Hear("b", Fetch{bench.Item("key"), {{dot.replica, dot.counter + 1}}}, 7).Take();
  EXPECT_TRUE(bench.sent<FetchReply>(0).left_out.empty());
  EXPECT_EQ(bench.sent<FetchReply>(0).found.record->versions[0].value, "x");
}

TEST(Shard, NamesTheVersionsThatItHasInMemoryWhenItReads) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Read(2, "key", 2).Take();
  EXPECT_EQ(bench.sent<Fetch>(0).known.size(), 1u);
  bench.Read(3, "other", 2).Take();
  EXPECT_TRUE(bench.sent<Fetch>(0).known.empty());
}

TEST(Shard, KnowsAWriteByItsIdempotencyKeyWhenAPeerLooksItUp) {
  Bench bench;
  WriteRequest request = bench.Request(bench.Item("key"), "x", 1);
  request.intent.write = {4, 2};
  bench.shard().Write(1, request, bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", Lookup{bench.Item("key"), {4, 2}}, 5).Take(), "LookupReply>b");
  EXPECT_TRUE(bench.sent<LookupReply>(0).known);
  EXPECT_EQ(bench.sent<LookupReply>(0).found.minted.back().write, (WriteId{4, 2}));
  bench.Hear("b", Lookup{bench.Item("key"), {4, 3}}, 6).Take();
  EXPECT_FALSE(bench.sent<LookupReply>(0).known);
}

TEST(Shard, ARetryOfAWriteThatIsThereHasOneEffectAndIsAcknowledged) {
  Bench bench;
  WriteRequest request = bench.Request(bench.Item("key"), "x", 2);
  request.intent.write = {4, 2};
  bench.shard().Write(1, request, bench.now());
  bench.CommitAll();
  request.intent.attempt = 2 * kFirstAttempt;
  bench.shard().Write(2, request, bench.now());
  EXPECT_EQ(Sorted(bench.Take()), "Apply>b, Apply>c") << "nothing to commit";
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 2 OK");
  EXPECT_EQ(bench.Clock().entries()[0].base, 1u);
}

TEST(Shard, ADoubledAnswerFindsNobody) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "reply 1 OK");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "");
}

TEST(Shard, EndsAWriteThatTooFewAcknowledgeInTime) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Wake(2000).Take().substr(0, 17), "ClockAsk>b, reply");
  EXPECT_TRUE(bench.effects().replies[0].outcome.outcome_unknown);
}

TEST(Shard, EndsAWriteWhenTooFewPeersAreLeft) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Lose("b").Take(), "");
  EXPECT_EQ(bench.Lose("c").Take(), "reply 1 QUORUM_NOT_MET");
}

TEST(Shard, RefusesWhatNeedsMoreReplicasThanThereAreAndMintsNothing) {
  Bench bench;
  EXPECT_EQ(bench.Write(1, "key", "x", 4).Take(), "reply 1 QUORUM_NOT_MET");
  EXPECT_EQ(bench.effects().replies[0].outcome.needed, 4);
  EXPECT_EQ(bench.effects().replies[0].outcome.answered, 0);
  EXPECT_FALSE(bench.effects().replies[0].outcome.outcome_unknown);
  EXPECT_TRUE(bench.Clock().empty());
  EXPECT_EQ(bench.Read(2, "key", 4).Take(), "reply 2 QUORUM_NOT_MET");
  EXPECT_EQ(bench.Hear("c", Forward{bench.Request(bench.Item("key"), "x", 4)}, 5).Take(),
            "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kQuorumNotMet);
}

TEST(Shard, RefusesMoreThanItsBoundInFlight) {
  ShardOptions options;
  options.max_exchanges = 1;
  Bench bench({.options = options});
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Write(2, "key", "y", 2).Take(), "reply 2 OVERLOADED");
  EXPECT_EQ(bench.shard().figures().overloads, 1u);
  bench.Hear("b", ApplyReply{}).Take();
  EXPECT_EQ(bench.Write(3, "key", "z", 2).Take(), "commit");
}

TEST(Shard, WhatPeersForwardLeavesThisNodesClientsRoom) {
  ShardOptions options;
  options.max_exchanges = 4;
  Bench bench({.options = options});
  const auto forward = [&](ExchangeId exchange) {
    return bench.Hear("c", Forward{bench.Request(bench.Item("key"), "x", 3)}, exchange).CommitAll();
  };
  for (const ExchangeId exchange : {5, 6}) EXPECT_EQ(Sorted(forward(exchange)), "Apply>b, Apply>c");
  EXPECT_EQ(forward(7), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_EQ(Sorted(bench.Write(1, "key", "x", 2).CommitAll()), "Apply>b, Apply>c");
  bench.Hear("b", ApplyReply{}).Hear("c", ApplyReply{}).Take();
  bench.Lose("b").Lose("c").Take();
  EXPECT_EQ(bench.shard().figures().exchanges, 0u);
  EXPECT_EQ(Sorted(forward(8)), "Apply>b, Apply>c, ForwardReply>c") << "those that ended make room";
}

TEST(Shard, PeersThatFillTheirBoundStopNoClientAndNoRepair) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  options.max_waiting_reads = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "ten bytes."), 5).Take(), "commit");
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y", 2), 6).Take(), "Failed>b");
  bench.Write(1, "other", "x", 1);
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 7).Take(), "scan");
  EXPECT_EQ(Sorted(bench.Commit().Take()).substr(0, 7), "ApplyRe");
  EXPECT_NE(Sorted(bench.CommitAll()).find("reply 1 OK"), std::string::npos);
}

TEST(Shard, GoesRoundAPeerThatReadsFindSlowAndTriesItAgain) {
  ShardOptions options;
  options.pace.silences_to_slow = 2;
  Bench bench({.options = options});
  const std::string first = bench.Read(1, "key", 2).Take();
  const std::string peer = first.substr(first.size() - 1), other = peer == "b" ? "c" : "b";
  EXPECT_EQ(bench.Read(2, "key", 2).Take(), "Fetch>" + peer);
  EXPECT_EQ(bench.Wake(20).Take().substr(0, 16), "Fetch>" + other + ", Fetch>" + other);
  EXPECT_EQ(bench.Read(3, "key", 2).Take(), "Fetch>" + other);
  FetchReply nothing;
  nothing.found = {bench.Item("key"), std::make_shared<const Record>(), {}};
  EXPECT_EQ(bench.Hear(other, nothing).Take(), "reply 3 OK");
  EXPECT_EQ(bench.shard().figures().pace.slow, 1u);
  EXPECT_EQ(bench.shard().figures().pace.hedges, 2u);
  bench.Wake(120).Take();
  EXPECT_EQ(bench.Read(4, "key", 2).Take(), "Fetch>" + peer) << "one tries it again";
  EXPECT_EQ(bench.Read(5, "key", 2).Take(), "Fetch>" + other) << "and only one";
  EXPECT_EQ(bench.shard().figures().pace.tries, 1u);
}

TEST(Shard, ForwardsAWriteOfAPartitionThatItDoesNotOwn) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  EXPECT_EQ(bench.Write(1, bench.Foreign(), "x", 2).Take().substr(0, 8), "Forward>");
  EXPECT_EQ(bench.effects().sends.size(), 1u);
}

TEST(Shard, AsksTheNextOwnerForTheSameWriteThoughItsClientGaveNoKey) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  bench.Write(1, bench.Foreign(), "x", 2).Take();
  const WriteId first = bench.sent<Forward>(0).request.intent.write;
  EXPECT_FALSE(first.empty());
  bench.Wake(1000).Take();
  WriteId next;
  for (const Envelope& send : bench.effects().sends) {
    const auto* forward = std::get_if<Forward>(&send.message.body);
    if (forward != nullptr) next = forward->request.intent.write;
  }
  EXPECT_EQ(next, first);
  bench.Write(2, bench.Foreign(), "x", 2).Take();
  EXPECT_NE(bench.sent<Forward>(0).request.intent.write, first);
}

TEST(Shard, CoordinatesAForwardedWriteAndAnswersWhoForwarded) {
  Bench bench;
  const WriteRequest request = bench.Request(bench.Item("key"), "x", 2);
  EXPECT_EQ(bench.Hear("c", Forward{request}, 5).Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c");
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "ForwardReply>c");
  EXPECT_EQ(bench.effects().sends[0].message.exchange, 5u);
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOk);
}

TEST(Shard, DropsAQuestionAboutAnItemOfAnotherPartition) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey foreign = bench.Foreign();
  const PartitionId mine = bench.Mine().partition;
  const Epoch epoch = bench.topology().epoch;
  for (const PeerBody& body :
       {PeerBody(bench.ApplyOf(foreign.key, "x")), PeerBody(Fetch{foreign}),
        PeerBody(Lookup{foreign, {4, 2}}), PeerBody(Forward{bench.Request(foreign, "x", 2)})}) {
    EXPECT_EQ(bench.HearAbout(mine, epoch, "b", body, 5).Take(), "") << body.index();
  }
  EXPECT_EQ(bench.shard().figures().misdirected, 4u);
}

TEST(Shard, DropsAnAnswerAboutAnotherItem) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Read(2, "key", 3).Take();
  EXPECT_EQ(bench.Hear("b", FetchReply{bench.ApplyOf("other", "y").change}).Take(), "");
  EXPECT_EQ(bench.shard().figures().misdirected, 1u);
  bench.Hear("b", FetchReply{bench.ApplyOf("key", "y").change});
  bench.Hear("c", FetchReply{bench.ApplyOf("key", "y").change}).Take();
  ASSERT_EQ(bench.effects().replies.size(), 1u);
  EXPECT_EQ(bench.effects().replies[0].outcome.record.versions.size(), 2u);
}

// ---- epochs

TEST(Shard, RefusesAQuestionOfAnOlderEpochAndSendsTheNewerTopology) {
  Bench bench;
  EXPECT_EQ(bench.HearUnder(Epoch(1), "b", bench.ApplyOf("key", "x"), 5).Take(), "Refused>b");
  EXPECT_EQ(*DecodeTopology(bench.sent<Refused>(0).topology), bench.topology());
  EXPECT_TRUE(bench.Clock().empty());
}

TEST(Shard, ARefusalEndsAWriteAsStale) {
  Bench bench;
  bench.Write(1, "key", "x", 2).CommitAll();
  EXPECT_EQ(bench.Hear("b", Refused{"newer"}).Take(), "reply 1 STALE");
}

// ---- the disk

TEST(Shard, ReadsFromTheDiskWhatIsNotAtHandOnceForAllWhoWait) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "");
  EXPECT_EQ(bench.EndRead().Take(), "reply 2 OK x, reply 3 OK x");
}

TEST(Shard, WhoWaitedForTheDiskSeesWhatOneBeforeItWrote) {
  for (const size_t cached_bytes : {size_t{0}, size_t{1} << 20}) {
    Bench bench({.cached_bytes = cached_bytes});
    bench.Write(1, "key", "x", 1).CommitAll();
    bench.Restart(/*clean=*/true).Greet("b").Greet("c").engine().AnswerNeedsDisk(1, 1);
    EXPECT_EQ(bench.Write(2, "key", "y", 1).Read(3, "key", 1).Take(), "read key");
    EXPECT_EQ(bench.EndRead().Take(), "commit");
    EXPECT_EQ(Sorted(bench.Commit().Take()), "Apply>b, Apply>c, reply 2 OK, reply 3 OK y");
  }
}

TEST(Shard, WhatTheDiskBroughtIsAtHandFromThenOn) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Restart(/*clean=*/true).engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  EXPECT_EQ(bench.EndRead().Take(), "reply 2 OK x");
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().disk_reads, 1u);
  EXPECT_EQ(bench.shard().figures().record_cache.misses, 1u);
  EXPECT_EQ(bench.shard().figures().record_cache.hits, 1u);
  EXPECT_GT(bench.shard().figures().record_cache.bytes, 0u);
}

TEST(Shard, WhatTheDiskBroughtOfADroppedTableIsNotKept) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Restart(/*clean=*/true).engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  bench.DropTheTable().EndRead().CommitAll();
  EXPECT_EQ(bench.shard().figures().record_cache.bytes, 0u);
}

TEST(Shard, ADiskReadOfOneKeyDoesNotHoldUpAnother) {
  Bench bench;
  bench.Write(1, "other", "y", 1).CommitAll();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Read(2, "key", 1).Take(), "read key");
  bench.engine().AnswerNeedsDisk(0, 1);
  EXPECT_EQ(bench.Read(3, "other", 1).Take(), "reply 3 OK y");
}

TEST(Shard, RefusesPeersWritesWhileTheDiskIsTooFarBehind) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "seven b"), 5).Take(), "commit");
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 6).Take(), "Failed>c")
      << "seven bytes and a key";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("c", Forward{bench.Request(bench.Item("key"), "y", 1)}, 7).Take(),
            "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_FALSE(bench.sent<ForwardReply>(0).outcome.outcome_unknown);
  EXPECT_EQ(bench.shard().figures().sheds, 2u);
  EXPECT_GE(bench.shard().load_percent(), 100);
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 8).Take(), "") << "waits for the commit";
  EXPECT_EQ(Sorted(bench.Commit().Take()), "ApplyReply>b, FetchReply>c");
  EXPECT_EQ(bench.shard().load_percent(), 0);
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 9).Take(), "commit");
}

TEST(Shard, RefusesForwardedWritesWhileTooManyBytesOfThemAreUnderWay) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  Bench bench({.options = options});
  const auto forward = [&](ExchangeId exchange) {
    return bench.Hear("c", Forward{bench.Request(bench.Item("key"), "ten bytes.", 2)}, exchange)
        .CommitAll();
  };
  EXPECT_EQ(Sorted(forward(5)), "Apply>b, Apply>c");
  EXPECT_EQ(forward(6), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("b", ApplyReply{}).Take(), "ForwardReply>c");
  EXPECT_EQ(bench.sent<ForwardReply>(0).outcome.code, Outcome::Code::kOk);
  EXPECT_EQ(Sorted(forward(7)), "Apply>b, Apply>c");
}

TEST(Shard, RefusesPeersWhileTooMuchWaitsForReads) {
  ShardOptions options;
  options.max_unwritten_bytes = 10;
  options.max_waiting_reads = 2;
  Bench bench({.options = options});
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "read key");
  EXPECT_EQ(bench.shard().load_percent(), 50);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "");
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 7).Take(), "Failed>b") << "two wait";
  EXPECT_EQ(bench.EndRead().Take(), "FetchReply>b, FetchReply>b");
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "ten bytes "), 8).Take(), "read key");
  EXPECT_EQ(bench.Hear("c", bench.ApplyOf("key", "y", 2), 9).Take(), "Failed>c")
      << "ten bytes wait";
  EXPECT_EQ(bench.EndRead().Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
  EXPECT_EQ(bench.Hear("c", Fetch{bench.Item("key")}, 10).Take(), "read key");
}

TEST(Shard, ReadsElsewhereWhatIsDamagedHere) {
  Bench bench;
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("key")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  EXPECT_EQ(Sorted(bench.Read(1, "key", 1).Take()), "Fetch>b, Fetch>c");
  EXPECT_EQ(bench.Write(2, "key", "x", 2).Take(), "reply 2 CORRUPT");
}

TEST(Shard, TellsAPeerThatItsRecordIsDamaged) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("key")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kCorrupt);
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y"), 6).Take(), "Failed>b");
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 7).Take(), "scan");
  EXPECT_EQ(bench.EndScan().Take(), "ClockAnswer>b");
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).items.empty());
  EXPECT_FALSE(bench.sent<ClockAnswer>(0).complete);
}

// What is stored of the item fails its checks.
void Damage(Bench* bench, const ItemKey& item) {
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(item), std::string(1, '\x1f'));
  ASSERT_TRUE(bench->engine().Write(damage, WalSync::kYes).ok());
}

TEST(Shard, FetchesADamagedRecordAgainFromTheOthers) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey item = bench.Mine();
  bench.Write(1, item, "x", 1).CommitAll();
  Damage(&bench, item);
  bench.Read(2, item, 1, false).Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  const std::string asked = Sorted(bench.Wake(0).Take());
  EXPECT_NE(asked.find("FetchHints>"), std::string::npos) << asked;
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "x").change.record;
  found.found.minted = bench.ApplyOf("key", "x").change.minted;
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 1u);
  bench.Take();
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 2u);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(3, item, 1, false).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().mended, 1u);
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, WhatIsWrittenWhileADamagedRecordIsFetchedStays) {
  Bench bench;
  const ItemKey item = bench.Item("key");
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch whole;
  whole.Put(Family::kRecords, EncodeItemKey(item),
            *bench.engine().Get(Family::kRecords, EncodeItemKey(item)));
  Damage(&bench, item);
  bench.Hear("b", ClockAsk{}, 7).Take();
  bench.EndScan().Take();
  // As where what was found was an older state, which a scan's snapshot showed.
  ASSERT_TRUE(bench.engine().Write(whole, WalSync::kYes).ok());
  EXPECT_NE(bench.Wake(0).Take().find("Fetch>b"), std::string::npos);
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "elsewhere").change.record;
  bench.Write(2, "key", "y", 1).CommitAll();
  bench.AnswerFetches(item.partition, found);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK y");
  EXPECT_EQ(bench.shard().figures().mended, 0u);
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, ADamagedRecordIsMendedOnlyOnceEveryNodeIsThere) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Lose("c").Read(2, "key", 1).Take();
  EXPECT_EQ(bench.Wake(0).Take().find("Fetch>c"), std::string::npos);
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  bench.Greet("c").Wake(5000);
  const std::string asked = bench.Take();
  EXPECT_NE(asked.find("Fetch>b"), std::string::npos) << asked;
  EXPECT_NE(asked.find("Fetch>c"), std::string::npos) << asked;
}

// Of those that could be fetched none waits for others that could not.
TEST(Shard, WhatCannotBeMendedNowStandsInNobodysWay) {
  Bench bench;
  std::set<std::string> damaged;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "key-" + std::to_string(i);
    bench.Write(1, key, "x", 1).CommitAll();
    Damage(&bench, bench.Item(key));
    bench.Read(2, key, 1).Take();
    damaged.insert(key);
  }
  std::set<std::string> asked;
  for (int tries = 0; tries < 3; ++tries) {
    bench.Wake(tries == 0 ? 0 : 5000).Take();
    for (const Envelope& send : std::vector<Envelope>(bench.effects().sends)) {
      const auto* fetch = std::get_if<Fetch>(&send.message.body);
      if (fetch == nullptr) continue;
      asked.insert(fetch->item.key);
      bench.HearAbout(send.message.partition, bench.topology().epoch, bench.NameOf(send.to),
                      Failed{Outcome::Code::kOverloaded}, send.message.exchange);
    }
  }
  EXPECT_EQ(asked, damaged);
}

TEST(Shard, WhatIsDamagedOfATableIsForgottenWithIt) {
  Bench bench({.members = {"a"}});  // whose records nobody else has, so that nothing mends them
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Read(2, "key", 1).Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
  bench.DropTheTable().Take();
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
}

TEST(Shard, WhatIsDamagedOnTheDiskAndWholeInMemoryIsWrittenAgain) {
  Bench bench({.cached_bytes = 1 << 20});
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", SliceAsk{}, 5).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "commit");
  EXPECT_EQ(bench.shard().figures().damaged, 0u);
  EXPECT_EQ(bench.Commit().Take(), "Failed>b");
  EXPECT_TRUE(
      ReplicaStore::Decode(bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))))
          .ok());
}

TEST(Shard, WhatIsMendedAsItsTableIsDroppedStaysAway) {
  Bench bench;
  const ItemKey item = bench.Item("key");
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, item);
  bench.Read(2, "key", 1).Take();
  bench.Wake(0).Take();
  FetchReply found{{item, nullptr, {}}, {}};
  found.found.record = bench.ApplyOf("key", "x").change.record;
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.AnswerFetches(item.partition, found), 2u);
  EXPECT_EQ(bench.Take(), "read key");
  bench.DropTheTable();
  Damage(&bench, item);  // as its disk, which is slow, has read it
  bench.EndRead().CommitAll();
  EXPECT_EQ(bench.shard().figures().mended, 0u);
  EXPECT_EQ(bench.Take(), "");
}

TEST(Shard, WhatAScanFindsDamagedIsFetchedAgainToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", ClockAsk{}, 7).Take();
  bench.EndScan().Take();
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
}

// ---- the scrub (server/scrub_test.cc has the walk, test/sim/scrub_scenarios_test.cc the whole)

TEST(Shard, TellsAPeerWhatItHasOfASlice) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 5).Take(), "slice");
  EXPECT_EQ(bench.EndSliceRead().Take(), "SliceAnswer>b");
  const SliceAnswer mine = bench.sent<SliceAnswer>(0);
  EXPECT_EQ(mine.items.size(), 1u);
  bench.Hear("b", SliceAsk{.digest = DigestOf(mine.items)}, 6).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "SliceAnswer>b");
  EXPECT_TRUE(bench.sent<SliceAnswer>(0).same);
}

TEST(Shard, ReadsAFewSlicesForPeersAtOnceAndNoneOfWhatItLost) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 5).Take(), "slice");
  EXPECT_EQ(bench.Hear("b", SliceAsk{}, 6).Take(), "slice");
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 7).Take(), "Failed>c");
  bench.EndSliceRead().Take();
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 8).Take(), "slice");
  bench.EndSliceRead().EndSliceRead().Take();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("c", SliceAsk{}, 9).Take(), "Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
}

TEST(Shard, WhatASliceFindsDamagedIsFetchedAgainToo) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  Damage(&bench, bench.Item("key"));
  bench.Hear("b", SliceAsk{}, 5).Take();
  EXPECT_EQ(bench.EndSliceRead().Take(), "Failed>b");
  EXPECT_EQ(bench.shard().figures().damaged, 1u);
}

TEST(Shard, TakesInWhatItLostOnceTheOthersContradictIt) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  FetchReply held{{bench.Item("key"), nullptr, {}}, {}};
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "FetchReply>b");
  held.found = bench.sent<FetchReply>(0).found;
  ASSERT_TRUE(bench.engine().Lose(Family::kRecords, EncodeItemKey(bench.Item("key"))));
  held.clock = bench.Clock();
  bench.Hear("b", Doubt{bench.Item("key")}, 0).Wake(1);
  const std::string asked = bench.Take();
  EXPECT_NE(asked.find("Fetch>b"), std::string::npos) << asked;
  EXPECT_EQ(bench.AnswerFetches(bench.Item("key").partition, held), 2u);
  EXPECT_EQ(bench.Take().substr(0, 6), "commit");
  EXPECT_EQ(bench.effects().contradictions.size(), 1u);
  EXPECT_TRUE(bench.effects().contradictions[0].mended);
  bench.Commit();
  EXPECT_EQ(bench.Read(3, "key", 1).Take(), "reply 3 OK x");
  EXPECT_EQ(bench.shard().figures().scrub.amended, 1u);
}

// ---- anti-entropy

// What a peer has minted, under replica id 77: counters 1 to `upto`.
ClockAnswer AnswerOf(const Bench& bench, uint64_t upto, bool complete) {
  ClockAnswer answer;
  for (uint64_t counter = 1; counter <= upto; ++counter) {
    const std::string key = "missed-" + std::to_string(counter);
    answer.items.push_back(bench.ApplyOf(key, "x", counter).change);
  }
  answer.bases = {{ReplicaId(77), 9}};
  answer.complete = complete;
  answer.missing = 9;
  return answer;
}

TEST(Shard, AsksAPeerWithItsClockNowAndThen) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Wake(0).Take().substr(0, 9), "ClockAsk>");
  EXPECT_EQ(bench.sent<ClockAsk>(0).clock, bench.Clock());
  EXPECT_EQ(bench.sent<ClockAsk>(0).durable_bases, bench.Clock().Bases());
}

TEST(Shard, JoinsAPeersBasesAfterTheLastRecordOfACompleteAnswer) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true)).Take(), "commit");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  bench.Commit();
  EXPECT_EQ(bench.Read(1, "missed-3", 1).Take(), "reply 1 OK x");
}

TEST(Shard, SettlesTheRecordsThatWereBehindWhenAnExchangeEnds) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", /*counter=*/4), 5).CommitAll();
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 3, true)).CommitAll();
  const auto stored =
      DecodeRecord(*bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))));
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(stored->context.empty());
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK x");
}

TEST(Shard, SettlesNothingOfATableThatWasDroppedMeanwhile) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", /*counter=*/4), 5).CommitAll();
  bench.Wake(0).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true)).CommitAll(),
            "read missed-1, read missed-2, read missed-3");
  for (int i = 0; i < 3; ++i) bench.EndRead();
  EXPECT_EQ(bench.Take(), "commit, read key");
  bench.DropTheTable().EndRead().Take();
  bench.Commit().CommitAll();
  EXPECT_FALSE(bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("key"))).ok());
}

TEST(Shard, JoinsNothingAfterAPartOfAnAnswerAndAsksAgainWithWhatItHasThen) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, false)).Take(), "commit");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 3u) << "no more than what it was sent";
  EXPECT_EQ(bench.Commit().Take(), "ClockAsk>b");
  EXPECT_EQ(bench.sent<ClockAsk>(0).clock.Base(ReplicaId(77)), 3u);
}

TEST(Shard, JoinsNothingBeforeTheLastRecordCameFromTheDisk) {
  Bench bench;
  bench.Wake(0).Take();
  bench.engine().AnswerNeedsDisk(1, 1);
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 2, true)).Take(), "read missed-1, read missed-2");
  bench.EndRead();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 1u);
  bench.EndRead();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
}

TEST(Shard, JoinsNothingWhenARecordOfTheAnswerCannotBeTakenIn) {
  Bench bench;
  WriteBatch damage;
  damage.Put(Family::kRecords, EncodeItemKey(bench.Item("missed-1")), std::string(1, '\x1f'));
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 2, true)).Take();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 0u);
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 1}));
}

TEST(Shard, AsksAboutAFewPartitionsAtOnceAtTheSamePaceInAll) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(8);
  Bench bench({.slices = 8, .options = options, .at_once = 4});
  EXPECT_EQ(bench.Wake(0).Take(), "ClockAsk>b, ClockAsk>b, ClockAsk>b, ClockAsk>b");
  bench.Asked(10'000, "ClockAsk");
  const size_t partitions = bench.Partitions();
  const size_t asked = bench.Asked(80'000, "ClockAsk");
  EXPECT_GE(asked, partitions * 9) << "ten rounds";
  EXPECT_LE(asked, partitions * 11);
}

TEST(Shard, ANodeThatFindsNothingNewInAPeersClockNeedNotAskItBack) {
  ShardOptions options;
  options.repair.interval = Duration::Seconds(3600);
  Bench bench({.slices = 8, .options = options});
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Hear("b", ClockAsk{bench.Clock(), {}}, 5).Hear("c", ClockAsk{bench.Clock(), {}}, 6).Take();
  EXPECT_EQ(bench.Asked(4000, "ClockAsk"), bench.Partitions() * 2 - 2)
      << "but about the others it asks both";
}

TEST(Shard, CountsWhatItLacksByTable) {
  Bench bench;
  bench.Wake(0).Take();
  EXPECT_TRUE(bench.sent<ClockAsk>(0).count);
  const TableId table = bench.Item("key").table;
  ClockAnswer part = AnswerOf(bench, 3, false);
  part.missing_by_table = {{table, 7}, {TableId(99), 2}};
  EXPECT_EQ(bench.Hear("b", part).Take(), "commit");
  const auto lacks = [&] { return bench.shard().figures().repair.missing_by_table; };
  using Lacks = std::vector<std::pair<TableId, uint64_t>>;
  EXPECT_EQ(lacks(), (Lacks{{table, 4}, {TableId(99), 2}})) << "less what came";
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 6u);
  EXPECT_EQ(bench.Commit().Take(), "ClockAsk>b");
  EXPECT_FALSE(bench.sent<ClockAsk>(0).count) << "once an exchange";
  bench.Hear("b", AnswerOf(bench, 9, true)).CommitAll();
  EXPECT_EQ(lacks(), Lacks());
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 0u);
}

TEST(Shard, WhatTwoOwnersHaveAndItLacksCountsOnce) {
  Bench bench;
  ClockAnswer answer = AnswerOf(bench, 1, false);
  answer.missing_by_table = {{bench.Item("key").table, 9}};
  for (const char* peer : {"b", "c"}) {
    while (bench.Wake(1000).Take().find(std::string("ClockAsk>") + peer) == std::string::npos) {
    }
    bench.Hear(peer, answer).CommitAll();
  }
  EXPECT_EQ(bench.shard().figures().repair.missing_dots, 9u) << "as the second one has them";
}

// ---- whole copies

// A page of a peer's copy of the test's partition: the peer has minted 1 to 9 under id 77.
CopyPage PageOf(const Bench& bench, const CopyAsk& ask, const std::vector<std::string>& keys) {
  CopyPage page;
  page.part = ask.part;
  page.number = ask.number;
  page.last = true;
  for (uint64_t n = 1; n <= 9; ++n) page.clock.Add({ReplicaId(77), n});
  for (const std::string& key : keys) {
    page.items.push_back(bench.ApplyOf(key, "copied", page.items.size() + 1).change);
    page.upto = EncodeItemKey(page.items.back().item);
  }
  return page;
}

ClockAnswer Cut() {
  ClockAnswer cut;
  cut.log_cut = true;
  cut.missing = 9;
  cut.bases = {{ReplicaId(77), 9}};
  return cut;
}

TEST(Shard, WhereTheLogNoLongerTellsItTakesAWholeCopyAndThenTheClock) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("deleted-there", "x", 5), 5).CommitAll();
  bench.Wake(0).Take();
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "ClockAsk>b") << "it may be here by now";
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "CopyAsk>b");
  EXPECT_EQ(bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"key"})).Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "list") << "what is here by now is listed";
  EXPECT_EQ(bench.EndListing().Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "CopyAsk>b");
  EXPECT_EQ(bench.sent<CopyAsk>(0).part, CopyPart::kLog);
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 9})) << "not before the last page";
  CopyPage log = PageOf(bench, bench.sent<CopyAsk>(0), {});
  log.log.push_back({bench.Item("key"), {{ReplicaId(77), 2}, {1, 2}, 0}});
  EXPECT_EQ(bench.Hear("b", log).Take(), "commit unsynced");
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  bench.CommitAll();
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK copied");
  EXPECT_EQ(bench.Read(2, "deleted-there", 1).Take(), "reply 2 OK");
  EXPECT_EQ(bench.shard().figures().repair.copied, 1u);
}

TEST(Shard, WhatTheLogNoLongerTellsAndIsHereByNowNeedsNoCopy) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("c", bench.ApplyOf("key", "x", 1), 5).CommitAll();
  EXPECT_EQ(bench.Hear("b", Cut()).Take(), "ClockAsk>b");
  bench.Hear("b", AnswerOf(bench, 1, true)).CommitAll();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 9u);
  EXPECT_EQ(bench.shard().figures().repair.log_cuts, 0u);
}

TEST(Shard, ACopyThatBreaksOffHasJoinedNothing) {
  Bench bench;
  bench.Wake(0).Take();
  bench.Hear("b", Cut()).Take();
  bench.Hear("b", Cut()).Take();
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"key"})).CommitAll();
  bench.Lose("b").EndListing().CommitAll();
  EXPECT_EQ(bench.Clock().Base(ReplicaId(77)), 1u) << "what came is explained by its own dot";
}

TEST(Shard, GivesACopyOutOfOneSnapshot) {
  Bench bench;
  bench.Write(1, "key", "old", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "") << "doubled";
  EXPECT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.sent<CopyPage>(0).items.size(), 1u);
  bench.Write(2, "key", "new", 1).CommitAll();
  bench.Hear("b", CopyAsk{CopyPart::kItems, 2, "", {bench.Item("key")}}, 5).Take();
  ASSERT_EQ(bench.EndCopyScan().Take(), "CopyPage>b");
  EXPECT_EQ(bench.sent<CopyPage>(0).items[0].record->versions[0].value, "old");
}

TEST(Shard, ALaterPageOfACopyThatIsGoneIsRefused) {
  Bench bench;
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 5).Take(), "Failed>b");
  bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 6).Take();
  bench.EndCopyScan().Take();
  bench.Wake(61'000).Take();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kLog, 2}, 6).Take(), "Failed>b") << "after a minute";
}

TEST(Shard, GivesOnlySoManyCopiesAtOnce) {
  ShardOptions options;
  options.repair.max_copies_given = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "copy");
  EXPECT_EQ(bench.Hear("c", CopyAsk{CopyPart::kRecords, 1}, 6).Take(), "Failed>c");
}

// ---- copies in which something is damaged

// The log of "b" no longer tells what is missing, and a copy begins; or not, and what happens
// instead.
std::string AskForACopy(Bench* bench, uint64_t mended) {
  ClockAnswer cut = Cut();
  cut.mended = mended;
  for (int64_t passed = 0; passed < 60'000; passed += 100) {
    const std::string asked = bench->Wake(100).CommitAll();
    if (asked == "ClockAsk>b") break;
  }
  bench->Hear("b", cut).Take();
  return bench->Hear("b", cut).Take();
}

TEST(Shard, WhatIsDamagedHereKeepsNothingElseOfACopyAway) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged", "x", 1), 5).CommitAll();
  Damage(&bench, bench.Item("damaged"));
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"damaged", "key"})).CommitAll();
  EXPECT_EQ(bench.EndListing().Take(), "") << "the copy is over";
  EXPECT_EQ(bench.Read(1, "key", 1).Take(), "reply 1 OK copied");
  EXPECT_FALSE(bench.Clock().Contains({ReplicaId(77), 9})) << "the damaged one was not taken in";
  EXPECT_EQ(bench.shard().figures().repair.copies_left, 1u);
  EXPECT_EQ(bench.shard().figures().repair.copied, 0u);
}

TEST(Shard, ACopyThatDamageThereHasEndedIsNotBegunAgainAtOnce) {
  Bench damaged;
  ASSERT_EQ(AskForACopy(&damaged, 0), "CopyAsk>b");
  damaged.Hear("b", Failed{Outcome::Code::kCorrupt}).Take();
  EXPECT_EQ(damaged.shard().figures().repair.copies_left, 1u);
  EXPECT_EQ(AskForACopy(&damaged, 0), "") << "it would end like the first";

  Bench busy;
  ASSERT_EQ(AskForACopy(&busy, 0), "CopyAsk>b");
  busy.Hear("b", Failed{Outcome::Code::kOverloaded}).Take();
  EXPECT_EQ(busy.shard().figures().repair.copies_left, 0u);
  EXPECT_EQ(AskForACopy(&busy, 0), "CopyAsk>b");
}

TEST(Shard, NoOtherCopyBeginsBeforeWhatIsDamagedThereIsMended) {
  Bench bench;
  ASSERT_EQ(AskForACopy(&bench, 3), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {"key"});
  page.damaged = {bench.Item("damaged")};
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(bench.shard().figures().repair.copies_left, 1u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskForACopy(&bench, 3), "") << "it is damaged there";
  EXPECT_EQ(AskForACopy(&bench, 4), "CopyAsk>b") << "it was mended";
}

TEST(Shard, NoOtherCopyBeginsBeforeWhatIsDamagedHereIsMended) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged", "x", 1), 5).CommitAll();
  WriteBatch whole;
  whole.Put(Family::kRecords, EncodeItemKey(bench.Item("damaged")),
            *bench.engine().Get(Family::kRecords, EncodeItemKey(bench.Item("damaged"))));
  Damage(&bench, bench.Item("damaged"));
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  bench.Hear("b", PageOf(bench, bench.sent<CopyAsk>(0), {"damaged"})).CommitAll();
  bench.EndListing().CommitAll();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskForACopy(&bench, 0), "");
  ASSERT_TRUE(bench.engine().Write(whole, WalSync::kYes).ok());
  bench.Read(1, "damaged", 1).Take();
  EXPECT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
}

TEST(Shard, DamageWithoutANameIsCopiedAroundOnceInAWhile) {
  Bench bench;
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {"key"});
  page.unread_to = EncodeItemKey(bench.Item("key"));
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(AskForACopy(&bench, 0), "");
  bench.Wake(600'000);
  EXPECT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
}

TEST(Shard, WhatAPageLeavesOutAsDamagedIsNotTakenForDeleted) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("damaged-there", "x", 1), 5).CommitAll();
  ASSERT_EQ(AskForACopy(&bench, 0), "CopyAsk>b");
  CopyPage page = PageOf(bench, bench.sent<CopyAsk>(0), {});
  page.damaged = {bench.Item("damaged-there")};
  bench.Hear("b", page).CommitAll();
  bench.EndListing().CommitAll();
  EXPECT_EQ(bench.Read(1, "damaged-there", 1).Take(), "reply 1 OK x");
}

TEST(Shard, ToWhoMendsAnOwnerThatIsBeingFilledSaysWhatItHas) {
  Bench bench;
  bench.Hear("b", bench.ApplyOf("key", "x", 1), 4).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  const auto answer = [&](const std::string& key, bool mends) {
    return bench.Hear("b", Fetch{bench.Item(key), {}, false, mends}, 5).Take();
  };
  EXPECT_EQ(answer("key", true), "FetchReply>b");
  EXPECT_EQ(answer("key", false), "Failed>b");
  EXPECT_EQ(answer("other", true), "Failed>b") << "nothing here is not that there was nothing";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
}

// It holds all that it ever did, and does not know yet whether that was put back to an earlier
// state.
TEST(Shard, ToWhoMendsAnOwnerThatHasHeardNobodyYetSaysNothing) {
  ShardOptions options;
  options.await_peers = true;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key"), {}, false, /*mends=*/true}, 5).Take(),
            "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded) << "not: it is being filled";
}

// ---- lost data

TEST(Shard, WhoLostWhatItHadAnswersNoReadsUntilItHasComparedWithEveryOtherOwner) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.shard().figures().repair.filling, bench.Partitions());
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kFilling);
  EXPECT_EQ(bench.Hear("b", Lookup{bench.Item("key"), {1, 2}}, 6).Take(), "Failed>b");
  EXPECT_EQ(Sorted(bench.Read(2, "key", 1).Take()), "Fetch>b, Fetch>c") << "it asks the others";
  EXPECT_EQ(bench.Write(3, "key", "y", 1).Take().substr(0, 8), "Forward>") << "and so it writes";
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "z"), 7).CommitAll(), "ApplyReply>b")
      << "but it keeps what it is given";
  ClockAnswer nothing;
  nothing.complete = true;
  for (const char* owner : {"b", "c"}) {
    EXPECT_NE(bench.Hear("b", Fetch{bench.Item("key")}, 8).Take(), "FetchReply>b");
    bench.AnswerClockAsks(owner, nothing);
  }
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 9).Take(), "FetchReply>b");
  EXPECT_EQ(bench.shard().figures().repair.filling, 0u);
}

TEST(Shard, ThatItIsToBeFilledOutlastsARestart) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  bench.Restart(true);
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
}

TEST(Shard, WhatIsToBeFilledGivesNoCopies) {
  Bench bench;
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", CopyAsk{CopyPart::kRecords, 1}, 5).Take(), "Failed>b");
}

TEST(Shard, ADirectoryThatProvesToBeTheFirstHasNothingToBeFilledWith) {
  Bench bench({.fill_what_is_new = true});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).CommitAll(), "Failed>b");
  bench.shard().OnProven();
  bench.CommitAll();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "FetchReply>b");
  EXPECT_EQ(bench.shard().figures().repair.filling, 0u);
}

TEST(Shard, AnswersNoReadsBeforeItHasHeardWhatItsPeersKnowOfItsData) {
  ShardOptions options;
  options.await_peers = true;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 5).Take(), "Failed>b");
  bench.shard().OnHeardPeers();
  EXPECT_EQ(bench.Hear("b", Fetch{bench.Item("key")}, 6).Take(), "FetchReply>b");
}

TEST(Shard, AWriteForwardedToWhoIsToBeFilledIsMintedThere) {
  Bench bench;
  bench.shard().OnForgetful(bench.now());
  bench.CommitAll();
  Forward forward{bench.Request(bench.Item("key"), "x", 1)};
  forward.request.timeout = Duration::Seconds(1);
  EXPECT_NE(bench.Hear("b", std::move(forward), 5).CommitAll().find("ForwardReply>b"),
            std::string::npos)
      << "or two such owners would hand it to and fro";
}

TEST(Shard, ADoubledOrForeignClockAnswerFindsNobody) {
  Bench bench;
  bench.Wake(0).Take();
  const ExchangeId exchange = bench.LastExchange("b");
  bench.Hear("c", AnswerOf(bench, 3, true), exchange).Take();
  EXPECT_TRUE(bench.Clock().empty()) << "c was not asked";
  bench.Hear("b", AnswerOf(bench, 3, true), exchange).CommitAll();
  EXPECT_EQ(bench.Hear("b", AnswerOf(bench, 3, true), exchange).Take(), "");
}

TEST(Shard, CountsTheRecordsThatItCannotRead) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  WriteBatch damage;
  for (const char* key : {"key", "missed-1"}) {
    damage.Put(Family::kRecords, EncodeItemKey(bench.Item(key)), std::string(1, '\x1f'));
  }
  ASSERT_TRUE(bench.engine().Write(damage, WalSync::kYes).ok());
  bench.Wake(0).Take();
  bench.Hear("b", AnswerOf(bench, 2, true)).Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 1u) << "of what a peer sent";
  bench.Hear("b", ClockAsk{}, 5).Take();
  bench.EndScan().Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 2u) << "of what a peer asked for";
  bench.engine().AnswerNeedsDisk(1, 1);
  bench.Hear("b", Fetch{bench.Item("key")}, 6).Take();
  bench.EndRead().Take();
  EXPECT_EQ(bench.shard().figures().unreadable, 3u) << "from the disk";
}

TEST(Shard, APeerThatCannotAnswerEndsTheClockExchangeAtOnce) {
  ShardOptions options;
  options.repair.max_exchanges = 1;
  Bench bench({.options = options});
  EXPECT_EQ(bench.Wake(0).Take(), "ClockAsk>b");
  EXPECT_EQ(bench.Wake(1000).Take(), "") << "one at a time";
  bench.Hear("b", Failed{Outcome::Code::kCorrupt}).Take();
  EXPECT_EQ(bench.Wake(2000).Take().substr(0, 9), "ClockAsk>");
}

TEST(Shard, AClockAnswerAboutAnotherPartitionIsDropped) {
  Bench bench({.members = {"a", "b", "c", "d"}, .slices = 8});
  const ItemKey foreign = bench.Foreign();
  bench.Wake(0).Take();
  const Envelope& asked = bench.effects().sends.at(0);
  const std::string peer = bench.NameOf(asked.to);
  const PartitionId partition = asked.message.partition;
  ClockAnswer answer;
  answer.items.push_back(bench.ApplyOf(foreign.key, "x").change);
  answer.complete = true;
  const Epoch epoch = bench.topology().epoch;
  EXPECT_EQ(bench.HearAbout(foreign.partition, epoch, peer, answer).Take(), "");
  EXPECT_EQ(bench.HearAbout(partition, epoch, peer, answer).Take(), "");
  EXPECT_EQ(bench.shard().figures().repair.misdirected, 2u);
  answer.items.clear();
  answer.bases = {{ReplicaId(77), 9}};
  // The true one is still awaited.
  EXPECT_EQ(bench.HearAbout(partition, epoch, peer, answer).Take(), "commit unsynced");
}

TEST(Shard, TellsAnAskerThatLacksNothingSoAtOnce) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", ClockAsk{bench.Clock(), {}}, 5).Take(), "ClockAnswer>b");
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).complete);
  EXPECT_TRUE(bench.sent<ClockAnswer>(0).items.empty());
}

TEST(Shard, AnswersAnAskerWhatItLacksFromADurableSnapshot) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Write(2, "other", "y", 1).Take();
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 5).Take(), "scan");
  EXPECT_EQ(bench.EndScan().Take(), "ClockAnswer>b");
  const ClockAnswer& answer = bench.sent<ClockAnswer>(0);
  ASSERT_EQ(answer.items.size(), 1u) << "the other write is not durable yet";
  EXPECT_EQ(answer.items[0].item.key, "key");
  EXPECT_EQ(answer.bases.entries()[0].counter, 1u);
}

TEST(Shard, TakesANewLifeWhenAPeerAsksOrAnswersWithDotsThatItHasForgotten) {
  for (const bool asks : {true, false}) {
    Bench bench;
    bench.Write(1, "key", "x", 1).CommitAll();
    const ReplicaId before = bench.Clock().entries()[0].replica;
    if (asks) {
      PartitionClock theirs;
      theirs.Add({before, 5});
      bench.Hear("b", ClockAsk{theirs, {}}, 5).CommitAll();
    } else {
      bench.Wake(0).Take();
      ClockAnswer answer;
      answer.bases = {{before, 5}};  // incomplete: nothing will be joined
      bench.Hear("b", answer).CommitAll();
    }
    bench.Write(2, "key", "y", 1).CommitAll();
    EXPECT_EQ(bench.Clock().entries().size(), 2u) << asks;
    EXPECT_EQ(bench.Clock().Base(before), 1u) << "what it minted next is of another id";
  }
}

TEST(Shard, ASoleOwnerDropsTheLogThatNobodyWillAskFor) {
  Bench bench({.members = {"a"}});
  for (Token token = 1; token <= 3000; ++token) bench.Write(token, "key", "x", 1);
  bench.CommitAll();
  EXPECT_EQ(bench.Wake(0).Take(), "commit unsynced");
  EXPECT_EQ(bench.Commit().Wake(20'000).Take(), "commit") << "the sync of it, in time";
  EXPECT_EQ(bench.Commit().Wake(20'000).Take(), "") << "there is nothing more to drop";
}

TEST(Shard, ErasesWhatADroppedTableHeldAndTakesNothingMoreOfIt) {
  Bench bench;
  bench.Write(1, "key", "x", 1).CommitAll();
  bench.Write(2, "key", "y", 2).CommitAll();  // waits for a peer
  bench.Take();
  bench.DropTheTable();
  EXPECT_EQ(bench.Take(), "commit unsynced, reply 2 STALE");
  bench.Commit().Take();
  bench.Hear("b", bench.ApplyOf("late", "z", /*counter=*/1), 5).CommitAll();
  EXPECT_EQ(bench.Write(3, "later", "z", 1).CommitAll(), "reply 3 STALE");
  EXPECT_EQ(bench.Read(4, "later", 1).CommitAll(), "reply 4 STALE");
  const auto snapshot = bench.engine().TakeSnapshot();
  size_t records = 0;
  ASSERT_TRUE(snapshot
                  ->Scan(Family::kRecords, "", "",
                         [&](std::string_view, std::string_view) { return ++records > 0; })
                  .ok());
  EXPECT_EQ(records, 0u);
  EXPECT_EQ(bench.Clock().entries().size(), 2u) << "the late dot has been seen all the same";
}

TEST(Shard, ForgetsWhatAnOwnerReportedOnceItCannotBeReached) {
  for (const bool lost : {false, true}) {
    Bench bench;
    for (Token token = 1; token <= 3000; ++token) bench.Write(token, "key", "x", 1);
    bench.CommitAll();
    const ClockAsk has_all{bench.Clock(), bench.Clock().Bases()};
    bench.Hear("b", has_all, 5).Take();
    if (lost) bench.Lose("b").Take();
    EXPECT_EQ(bench.Hear("c", has_all, 6).Take().substr(0, 6), lost ? "ClockA" : "commit")
        << "what b may have lost is not dropped from the log";
  }
}

TEST(Shard, ServesOnlySoManyAskersAtOnce) {
  ShardOptions options;
  options.repair.max_exchanges = 1;
  Bench bench({.options = options});
  bench.Write(1, "key", "x", 1).CommitAll();
  EXPECT_EQ(bench.Hear("b", ClockAsk{}, 5).Take(), "scan");
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 6).Take(), "Failed>c") << "it will ask again";
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  bench.EndScan().Take();
  EXPECT_EQ(bench.Hear("c", ClockAsk{}, 7).Take(), "scan");
}

// ------------------------------------------------------------------------------------------- hints

const Bench::Setup kFour = {.members = {"a", "b", "c", "d"}, .slices = 16};

// The owners of an item that "a" does not own, which are all others; the message that asks "a"
// comes from one of them.
TEST(Shard, AHintIsAcknowledgedOnceItIsDurable) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  const Hint hint = bench.HintOf("b", item, "milk");
  bench.HearAbout(item.partition, bench.topology().epoch, "c", hint, 5);
  EXPECT_EQ(bench.Take(), "commit");
  EXPECT_EQ(bench.Commit().Take(), "HintReply>c");
}

TEST(Shard, AHintOfAPeriodicTableIsAcknowledgedUnsynced) {
  Bench::Setup setup = kFour;
  setup.durability = Durability::kPeriodic;
  Bench bench(setup);
  const ItemKey item = bench.Foreign();
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  EXPECT_EQ(bench.Take(), "commit unsynced");
}

TEST(Shard, AnOwnerThatIsBackGetsItsHintsAndTheyAreDropped) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  bench.Lose("b");
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  bench.CommitAll();
  EXPECT_EQ(bench.Greet("b").Wake(0).Take().substr(0, 10), "scan hints");
  EXPECT_EQ(bench.EndHintScan().Take(), "Handoff>b");
  EXPECT_EQ(*bench.sent<Handoff>(0).change.record, *bench.HintOf("b", item, "milk").change.record);
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 1u);
  bench.HearAbout(item.partition, bench.topology().epoch, "b", ApplyReply{});
  EXPECT_EQ(bench.Take(), "commit unsynced") << "to hand it over twice is harmless";
  bench.Commit().Take();
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 0u);
}

TEST(Shard, WhatIsHandedOverIsSyncedWhateverTheTablesDurability) {
  Bench bench({.durability = Durability::kPeriodic});
  const ItemKey item = bench.Item("key");
  bench.Hear("b", Handoff{bench.HintOf("a", item, "milk").change}, 5);
  EXPECT_EQ(bench.Take(), "commit") << "whoever kept it forgets it now";
  EXPECT_EQ(bench.Commit().Take(), "ApplyReply>b");
}

TEST(Shard, HandOversGiveWayBeforeClientsDo) {
  ShardOptions options;
  options.max_unwritten_bytes = 1000;
  Bench bench({.options = options});
  const ItemKey item = bench.Item("key");
  bench.Hear("b", bench.ApplyOf("key", std::string(400, 'x')), 5);
  bench.Hear("c", Handoff{bench.HintOf("a", item, "milk").change}, 6);
  EXPECT_EQ(bench.Take(), "commit, Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  bench.Hear("b", bench.ApplyOf("key", "y", 2), 7);
  EXPECT_EQ(bench.CommitAll(), "ApplyReply>b") << "what clients wait for is taken";
}

TEST(Shard, OfABusyLaneHandOversTakeTurns) {
  Bench bench;
  const auto hand_over = [&](ExchangeId exchange) {
    const ItemKey item = bench.Item("key-" + std::to_string(exchange));
    return bench.Hear("c", Handoff{bench.HintOf("a", item, "milk").change}, exchange).CommitAll();
  };
  bench.shard().OnLoad(49);
  EXPECT_EQ(hand_over(1), "ApplyReply>c");
  EXPECT_EQ(hand_over(2), "ApplyReply>c");
  bench.shard().OnLoad(50);
  EXPECT_EQ(hand_over(3), "Failed>c");
  EXPECT_EQ(bench.sent<Failed>(0).code, Outcome::Code::kOverloaded);
  EXPECT_EQ(bench.Hear("b", bench.ApplyOf("key", "y", 2), 4).CommitAll(), "ApplyReply>b");
  bench.Wake(10).Take();
  EXPECT_EQ(hand_over(5), "ApplyReply>c") << "a few go on";
  EXPECT_EQ(hand_over(6), "Failed>c");
}

TEST(Shard, ASloppyWriteGoesToTheNodeThatStandsIn) {
  Bench bench(kFour);
  const ItemKey item = bench.Mine();
  std::vector<std::string> others;
  std::string stand_in;
  for (const std::string& name : kFour.members) {
    const auto view = View::Create(bench.topology(), bench.Id("a"));
    if (!view->IsOwner(item.partition, bench.Id(name))) stand_in = name;
    if (view->IsOwner(item.partition, bench.Id(name)) && name != "a") others.push_back(name);
  }
  for (const std::string& other : others) bench.Lose(other);
  bench.Take();
  bench.WriteSloppily(1, item, "milk", 2);
  EXPECT_EQ(bench.Take(), "commit");
  EXPECT_EQ(Sorted(bench.Commit().Take()),
            Sorted("Apply>" + others[0] + ", Apply>" + others[1] + ", Hint>" + stand_in))
      << "not before it is durable here";
  bench.HearAbout(item.partition, bench.topology().epoch, stand_in, HintReply{});
  EXPECT_EQ(bench.Take(), "reply 1 OK");
}

TEST(Shard, OfThoseThatMayStandInTheBusyAreAskedLast) {
  Bench bench({.members = {"a", "b", "c", "d", "e", "f"}, .slices = 16});
  const ItemKey item = bench.Mine();
  const auto view = View::Create(bench.topology(), bench.Id("a"));
  const auto any = [](NodeId) { return true; };
  std::vector<std::string> stand_ins;
  for (const NodeId node : view->StandIns(item.partition, 10, any)) {
    stand_ins.push_back(bench.NameOf(node));
  }
  ASSERT_EQ(stand_ins.size(), 3u);
  std::string owner;
  for (const NodeId node : view->Owners(item.partition)) {
    if (node != bench.Id("a")) owner = bench.NameOf(node);
  }
  bench.Lose(owner).Take();
  const auto hinted = [&](Token token) {
    bench.WriteSloppily(token, item, "milk", 3).CommitAll();
    for (const Envelope& send : bench.effects().sends) {
      if (std::holds_alternative<Hint>(send.message.body)) return bench.NameOf(send.to);
    }
    return std::string("nobody");
  };
  EXPECT_EQ(hinted(1), stand_ins[0]);
  bench.HearThatItIs(stand_ins[0], Load::kBusy);
  EXPECT_EQ(hinted(2), stand_ins[1]);
  bench.HearThatItIs(stand_ins[1], Load::kFull);
  EXPECT_EQ(hinted(3), stand_ins[0]) << "and never one beyond those that a retry looks at";
}

TEST(Shard, ACoordinatorThatStandsInItselfLooksAmongItsOwnHints) {
  Bench bench(kFour);
  const ItemKey item = bench.Foreign();
  bench.HearAbout(item.partition, bench.topology().epoch, "c", bench.HintOf("b", item, "milk"), 5);
  bench.CommitAll();
  for (const char* owner : {"b", "c", "d"}) bench.Lose(owner);
  bench.Take();
  bench.Read(1, item, /*needed=*/1, /*sloppy=*/true);
  bench.Take();
  EXPECT_EQ(bench.EndHintScan().Take(), "reply 1 OK milk");
}

TEST(Shard, AWriteWhoseOwnersAreAllLostIsKeptHereAndElsewhere) {
  Bench bench({.members = {"a", "b", "c", "d", "e"}, .slices = 16});
  const ItemKey item = bench.Foreign();
  std::string other;
  const auto view = View::Create(bench.topology(), bench.Id("a"));
  for (const char* name : {"b", "c", "d", "e"}) {
    if (view->IsOwner(item.partition, bench.Id(name))) {
      bench.Lose(name);
    } else {
      other = name;
    }
  }
  bench.Take();
  bench.WriteSloppily(1, item, "milk", 2);
  EXPECT_EQ(bench.Take(), "FetchHints>" + other);
  bench.HearAbout(item.partition, bench.topology().epoch, other,
                  FetchReply{{item, std::make_shared<const Record>(), {}}, {}});
  EXPECT_EQ(bench.Take(), "commit, Hint>" + other);
  bench.HearAbout(item.partition, bench.topology().epoch, other, HintReply{});
  EXPECT_EQ(bench.Take(), "") << "its own copy is not durable yet";
  EXPECT_EQ(bench.Commit().Take(), "reply 1 OK");
  EXPECT_EQ(bench.engine().EstimateKeys(Family::kHints), 1u);
  EXPECT_EQ(bench.shard().figures().stand_in.guests, 1u);
}

}  // namespace
}  // namespace gyre
