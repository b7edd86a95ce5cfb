#include "server/shard.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "replication/forward_exchange.h"
#include "replication/guest_exchange.h"
#include "replication/judge_exchange.h"
#include "replication/mend_exchange.h"
#include "replication/read_exchange.h"
#include "replication/write_exchange.h"
#include "ring/check.h"
#include "ring/cluster_time.h"

namespace gyre {
namespace {

// Records that one clock exchange brings into their settled form, so that none holds a shard up.
constexpr size_t kSettledAtOnce = 256;

// How long a copy that is given to a peer waits for its next question, and the snapshot with it.
constexpr Duration kCopyPatience = Duration::Seconds(60);
// Once all of it is given, items may be asked for by name, which takes a few rounds. Each holds a
// snapshot; of more than so many the one ends that was given first.
constexpr Duration kItemsPatience = Duration::Seconds(10);
constexpr size_t kMostOver = 64;

// Between two counts of the hints for the figures.
constexpr Duration kTellHints = Duration::Millis(100);

// Of the ids that a life draws from, the upper half is the stand-in's, and of the rest the upper
// half repair's; of those again the scrub's.
constexpr ExchangeId kStandInIds = ExchangeId{1} << 39;
constexpr ExchangeId kRepairIds = ExchangeId{1} << 38;
constexpr ExchangeId kScrubIds = kRepairIds | ExchangeId{1} << 37;

// Damaged records that are fetched again at once.
constexpr size_t kMendedAtOnce = 8;

// Between two tries to mend what is damaged.
constexpr Duration kMendEvery = Duration::Seconds(5);

// A lane that is as busy as this takes hints from who stood in for it one at a time.
constexpr int kBusyPercent = 50;
constexpr Duration kHandoffPace = Duration::Millis(10);

// Of what the shard itself wants, and nobody is told of.
constexpr Token kNobody = ~Token{0};
constexpr Token kScrub = kNobody - 1;

bool IsQuestion(const PeerBody& body) {
  return std::holds_alternative<Apply>(body) || std::holds_alternative<Fetch>(body) ||
         std::holds_alternative<Lookup>(body) || std::holds_alternative<ClockAsk>(body) ||
         std::holds_alternative<Forward>(body) || std::holds_alternative<Hint>(body) ||
         std::holds_alternative<FetchHints>(body) || std::holds_alternative<Handoff>(body) ||
         std::holds_alternative<CopyAsk>(body) || std::holds_alternative<SliceAsk>(body) ||
         std::holds_alternative<Doubt>(body);
}

// Whether what answers it is of now, and not of a snapshot that was taken before.
bool BeginsAnswer(const PeerBody& body) {
  const auto* const copy = std::get_if<CopyAsk>(&body);
  return std::holds_alternative<ClockAsk>(body) || (copy != nullptr && copy->number <= 1);
}

// The one item that a body speaks of, or null.
struct ItemOf {
  const ItemKey* operator()(const Apply& body) const { return &body.change.item; }
  const ItemKey* operator()(const Fetch& body) const { return &body.item; }
  const ItemKey* operator()(const FetchReply& body) const { return &body.found.item; }
  const ItemKey* operator()(const Lookup& body) const { return &body.item; }
  const ItemKey* operator()(const LookupReply& body) const {
    return body.known ? &body.found.item : nullptr;
  }
  const ItemKey* operator()(const Forward& body) const { return &body.request.item; }
  const ItemKey* operator()(const Hint& body) const { return &body.change.item; }
  const ItemKey* operator()(const FetchHints& body) const { return &body.item; }
  const ItemKey* operator()(const Handoff& body) const { return &body.change.item; }
  const ItemKey* operator()(const Doubt& body) const { return &body.item; }
  template <typename Other>
  const ItemKey* operator()(const Other&) const {
    return nullptr;
  }
};

template <typename T>
void Append(std::vector<T>&& more, std::vector<T>* to) {
  if (to->empty()) return to->swap(more);
  to->insert(to->end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// Takes the values of the versions `known` out of the record; answers which.
std::vector<uint32_t> LeaveOut(const std::vector<Dot>& known, Record* record) {
  std::vector<uint32_t> places;
  if (known.empty()) return places;
  for (size_t i = 0; i < record->versions.size(); ++i) {
    Version& version = record->versions[i];
    if (std::find(known.begin(), known.end(), version.dot) == known.end()) continue;
    version.value = Value();
    places.push_back(static_cast<uint32_t>(i));
  }
  return places;
}

}  // namespace

Shard::Shard(ShardOptions options, ReplicaStore* store, std::shared_ptr<const View> view,
             Random random, HintLog hints)
    : options_(options),
      store_(store),
      view_(std::move(view)),
      random_(random),
      next_exchange_(random_.Next() << 40 | 1),
      pace_(options.pace),
      repair_(options.repair, view_, store, next_exchange_ | kRepairIds, Random(random_.Next())),
      copy_pace_(options.copies),
      stand_in_(view_->self(), std::move(hints),
                Guest(store->options().limits, Random(random_.Next())), store,
                next_exchange_ | kStandInIds),
      sweep_(options.expiry, store),
      scrub_(options.scrub, view_, store, next_exchange_ | kScrubIds, Random(random_.Next())),
      heard_peers_(!options.await_peers) {
  repair_.AllowCopies(copy_pace_.copies());
  repair_.SetRest([this](size_t bytes, Time now) { return copy_pace_.RestAfter(bytes, now); });
}

// ------------------------------------------------------------------------------ client requests

void Shard::Write(Token token, WriteRequest request, Instant now) {
  ++figures_.writes;
  StartWrite({token, NodeId(), 0}, std::move(request), now);
}

void Shard::StartWrite(Origin origin, WriteRequest request, Instant now) {
  const ItemKey item = request.item;
  const int needed = request.needed;
  const size_t forwarded_bytes = origin.node == NodeId() ? 0 : request.intent.value.size();
  std::unique_ptr<Exchange> exchange;
  // Who was forwarded to mints, though it be filled: it must not go round in circles.
  // Who is merely beside the owners mints nothing: of one that the partition leaves, all that it
  // minted is to have come to the others at some time.
  const bool mints =
      view_->IsOwner(item.partition, view_->self()) &&
      (Holds(item.partition) || (store_->Owns(item.partition) &&
                                 (origin.node != NodeId() || OtherOwnersAreLost(item.partition))));
  if (mints) {
    using Memory = WriteExchange::Memory;
    const Memory memory = store_->FindWrite(item.partition, request.intent.write) != nullptr
                              ? Memory::kKnows
                          : Holds(item.partition) ? Memory::kDoesNotKnow
                                                  : Memory::kLost;
    exchange = std::make_unique<WriteExchange>(std::move(request), memory);
  } else if (request.sloppy && NoOwnerIsHealthy(item.partition) && MayKeep(view_->self())) {
    exchange = std::make_unique<GuestExchange>(std::move(request));
  } else {
    ++figures_.forwards;
    // An owner that is given up may still take the write in, after the next one did: they must be
    // able to tell that it is one write.
    if (request.intent.write.empty()) request.intent.write = {random_.Next(), random_.Next() | 1};
    exchange = std::make_unique<ForwardExchange>(std::move(request));
  }
  Begin(origin, item, needed, std::move(exchange), now, forwarded_bytes);
}

bool Shard::OtherOwnersAreLost(PartitionId partition) const {
  const absl::Span<const NodeId> owners = view_->Owners(partition);
  return std::none_of(owners.begin(), owners.end(),
                      [&](NodeId owner) { return owner != view_->self() && Reachable(owner); });
}

bool Shard::MayKeep(NodeId node) const {
  const Member* const member = view_->FindMember(node);
  return member != nullptr && KeepsHints(*member);
}

bool Shard::NoOwnerIsHealthy(PartitionId partition) const {
  const absl::Span<const NodeId> owners = view_->Owners(partition);
  return std::none_of(owners.begin(), owners.end(), [&](NodeId owner) { return Healthy(owner); });
}

void Shard::Read(Token token, ReadRequest request, Instant now) {
  ++figures_.reads;
  const ItemKey item = request.item;
  const int needed = request.needed;
  Begin({token, NodeId(), 0}, item, needed, std::make_unique<ReadExchange>(std::move(request)),
        now);
}

void Shard::Begin(Origin origin, ItemKey item, int needed, std::unique_ptr<Exchange> exchange,
                  Instant now, size_t forwarded_bytes) {
  Outcome refusal = Ended(Outcome::Code::kOk);
  const absl::Span<const NodeId> owners = view_->Owners(item.partition);
  if (failed_) {
    refusal.code = Outcome::Code::kStorageFailed;
  } else if (live_.size() >= options_.max_exchanges ||
             (origin.node != NodeId() && forwarded_ >= options_.max_exchanges / 2)) {
    ++figures_.overloads;
    refusal.code = Outcome::Code::kOverloaded;
  } else if (owners.empty() || WasDropped(view_->topology(), item.table)) {
    refusal.code = Outcome::Code::kStaleEpoch;
  } else if (needed > static_cast<int>(owners.size())) {
    refusal.code = Outcome::Code::kQuorumNotMet;
    refusal.needed = needed;
  }
  if (refusal.code != Outcome::Code::kOk) return Answer(origin, item, std::move(refusal));

  const ExchangeId id = NextExchange();
  Live& live = live_[id];
  live.begun = now.monotonic;
  live.exchange = std::move(exchange);
  live.origin = origin;
  live.item = std::move(item);
  live.forwarded_bytes = forwarded_bytes;
  forwarded_bytes_ += forwarded_bytes;
  if (origin.node != NodeId()) ++forwarded_;
  const auto reachable = [this](NodeId node) { return Reachable(node); };
  const auto healthy = [this](NodeId node) { return Healthy(node); };
  const auto at_hand = [this, &live]() -> std::optional<Record> {
    if (!Holds(live.item.partition)) return std::nullopt;
    return store_->AtHand(live.item);
  };
  const Surroundings around{view_->self(), view_->epoch(), owners,
                            reachable,     healthy,        at_hand,
                            &pace_,        TimeMs(now),    view_->FindMove(live.item.partition)};
  Effects effects;
  live.exchange->Start(around, now.monotonic, &effects);
  Perform(id, std::move(effects), now);
}

// --------------------------------------------------------------------------------------- exchanges

// The lowest quarter of a life's ids, over and over: who asked so long ago is long gone.
ExchangeId Shard::NextExchange() {
  const ExchangeId id = next_exchange_;
  next_exchange_ = (id & ~(kRepairIds - 1)) | ((id + 1) & (kRepairIds - 1));
  return id;
}

template <typename Step>
void Shard::StepExchange(ExchangeId id, Instant now, Step step) {
  auto it = live_.find(id);
  if (it == live_.end()) return;
  Effects effects;
  step(it->second.exchange.get(), &effects);
  Perform(id, std::move(effects), now);
}

void Shard::Perform(ExchangeId id, Effects&& effects, Instant now) {
  auto it = live_.find(id);
  GYRE_CHECK(it != live_.end(), "only a live exchange has effects");
  const NodeId self = view_->self();
  const PartitionId partition = it->second.item.partition;
  SetWake(id, &it->second, effects.wake);
  if (effects.mint.has_value()) return PerformMint(id, std::move(effects), now);
  if (effects.restore.has_value()) PerformRestore(id, *std::move(effects.restore), now);
  if (effects.judge.has_value()) return PerformJudge(id, *std::move(effects.judge), now);

  // What is sent with the end of an exchange wants no answer.
  const bool ends = effects.outcome.has_value();
  const ExchangeId answer_to = ends ? 0 : id;
  std::vector<PeerBody> here;
  for (auto& [to, body] : effects.sends) {
    if (to == self) {
      here.push_back(std::move(body));
    } else {
      Send(to, answer_to, partition, std::move(body));
    }
  }
  if (ends) {
    Finish(id, *std::move(effects.outcome), now);
  } else if (effects.stand_ins) {
    std::vector<NodeId> nodes = StandInsFor(partition);
    StepExchange(id, now, [&](Exchange* exchange, Effects* next) {
      exchange->OnStandIns(std::move(nodes), now.monotonic, next);
    });
  }
  for (PeerBody& body : here) Serve(self, answer_to, std::move(body), now);
}

std::vector<NodeId> Shard::StandInsFor(PartitionId partition) const {
  const NodeId self = view_->self();
  std::vector<NodeId> nodes = view_->StandIns(
      partition, 2 * kMaxReplicas, [&](NodeId node) { return node == self || Healthy(node); });
  // The busy last, but only among as many as whoever tries a write again, or is a guest, looks at
  // anyway: nobody may miss a hint for another's word of how busy it is.
  const size_t others = view_->Owners(partition).size() - 1;
  const auto looked_at =
      nodes.begin() + static_cast<std::ptrdiff_t>(std::min(nodes.size(), others));
  std::stable_sort(nodes.begin(), looked_at,
                   [&](NodeId a, NodeId b) { return pace_.Burden(a) < pace_.Burden(b); });
  // Who leaves takes nothing in any more, but may have what is looked for.
  std::stable_partition(nodes.begin(), nodes.end(), [&](NodeId node) { return MayKeep(node); });
  return nodes;
}

void Shard::PerformRestore(ExchangeId id, ExplainedRecord fetched, Instant now) {
  // Otherwise it was read since this was asked for, and may have changed.
  const bool unread = damaged_.Take(fetched.item, id);
  const ItemKey item = fetched.item;
  WithRecord(item, now,
             [this, unread, fetched = std::move(fetched)](
                 const ItemKey& its, absl::StatusOr<Record> record, Instant) mutable {
               if (!MayWrite(its)) return;
               if (record.ok()) {
                 // Whole in memory, or on the disk again.
                 if (unread) NoteMended(its.partition);
                 store_->Amend(its, *record, *record, {});
               } else if (unread && absl::IsDataLoss(record.status())) {
                 repair_.OnChange(its, *fetched.record);
                 store_->Restore(its, *fetched.record, fetched.minted);
                 ++figures_.mended;
                 damaged_.Forget(its);
                 NoteMended(its.partition);
               }
             });
}

void Shard::PerformMint(ExchangeId id, Effects&& effects, Instant now) {
  const ItemKey item = live_.at(id).item;
  WriteIntent& wanted = *effects.mint;
  if (wanted.ttl_ms > 0) {
    const std::optional<uint64_t> time_ms = TimeMs(now);
    if (!time_ms.has_value()) {
      return StepExchange(id, now, [&](Exchange* exchange, Effects* out) {
        exchange->OnLocalFailure(Outcome::Code::kTimeUnknown, now.monotonic, out);
      });
    }
    wanted.expires_ms = *time_ms + wanted.ttl_ms;
  }
  if (effects.guest.has_value()) {
    MintOutcome minted =
        stand_in_.Mint(item, *std::move(effects.guest), *std::move(effects.mint), now);
    return StepExchange(id, now, [&](Exchange* exchange, Effects* out) {
      exchange->OnMinted(std::move(minted), now.monotonic, out);
    });
  }
  WithRecord(item, now,
             [this, id, intent = std::move(*effects.mint), adopt = std::move(effects.adopt)](
                 const ItemKey& its, absl::StatusOr<Record> record, Instant then) mutable {
               // Nobody waits any more: what has not been minted need not be.
               if (!live_.contains(id)) return;
               if (record.ok() && adopt.has_value()) {
                 repair_.OnChange(its, *adopt->record);
                 store_->Apply(its, *std::move(record), *adopt->record, adopt->minted,
                               intent.durability);
                 std::optional<Record> again = store_->AtHand(its);
                 GYRE_CHECK(again.has_value(), "what was just stored is at hand");
                 record = *std::move(again);
               }
               if (!record.ok()) {
                 StepExchange(id, then, [&](Exchange* exchange, Effects* out) {
                   exchange->OnLocalFailure(Outcome::Code::kCorrupt, then.monotonic, out);
                 });
                 return;
               }
               MintOutcome minted = Mint(its, *std::move(record), std::move(intent), then);
               StepExchange(id, then, [&](Exchange* exchange, Effects* out) {
                 exchange->OnMinted(std::move(minted), then.monotonic, out);
               });
             });
}

MintOutcome Shard::Mint(const ItemKey& item, Record stored, WriteIntent intent, Instant now) {
  if (store_->Inherited(item.partition) && !Confirmed(item.partition)) {
    store_->StartLife(item.partition);
  }
  MintOutcome minted = store_->Mint(item, std::move(stored), std::move(intent), now);
  if (minted.kind == MintOutcome::Kind::kBehind) ++figures_.late_attempts;
  return minted;
}

void Shard::PerformJudge(ExchangeId id, std::vector<OwnersRecord> others, Instant now) {
  const ItemKey item = live_.at(id).item;
  WithRecord(
      item, now,
      [this, id, others = std::move(others)](const ItemKey& its, absl::StatusOr<Record> stored,
                                             Instant then) {
        if (!live_.contains(id)) return;
        if (!stored.ok() || !Holds(its.partition) || WasDropped(view_->topology(), its.table)) {
          return StepExchange(id, then, [&](Exchange* exchange, Effects* out) {
            exchange->OnLocalFailure(Outcome::Code::kCorrupt, then.monotonic, out);
          });
        }
        const Judgement judgement =
            Judge(store_->Filled(its.partition, *stored), store_->Clock(its.partition), others,
                  view_->Owners(its.partition).size(), scrub_.expired_by(then));
        if (judgement.mended.has_value()) {
          repair_.OnChange(its, *judgement.mended);
          store_->Amend(its, *stored, *judgement.mended, judgement.minted);
        }
        Scrub::Effects told;
        scrub_.OnJudged(its, judgement, then, &told);
        PerformScrub(std::move(told), then);
        StepExchange(id, then, [&](Exchange* exchange, Effects* out) {
          exchange->OnJudged(judgement, then.monotonic, out);
        });
      });
}

bool Shard::Confirmed(PartitionId partition) const {
  const View::Nodes peers = view_->PeersOf(partition);
  return std::all_of(peers.begin(), peers.end(), [&](NodeId owner) {
    return options_.clean_start ? greeted_.contains(owner) : shown_.contains({partition, owner});
  });
}

bool Shard::AllConfirmed() const {
  bool all = true;
  store_->ForEachClock([&](PartitionId partition, ReplicaId, const PartitionClock&) {
    all = all && (!store_->Inherited(partition) || Confirmed(partition));
  });
  return all;
}

void Shard::NoteShown(PartitionId partition, NodeId owner) {
  if (store_->Inherited(partition)) shown_.insert({partition, owner});
}

void Shard::SetWake(ExchangeId id, Live* live, Time wake) {
  if (live->wake == wake) return;
  if (live->wake != Time::Never()) wakes_.erase({live->wake, id});
  live->wake = wake;
  if (wake != Time::Never()) wakes_.insert({wake, id});
}

void Shard::Finish(ExchangeId id, Outcome outcome, Instant now) {
  auto it = live_.find(id);
  if (it->second.origin.token < kScrub) {
    // Elsewhere as well: it may have waited for who copies there.
    const bool moving =
        repair_.copying() || !copies_given_.empty() || !view_->topology().moves.empty();
    copy_pace_.OnRequest(now.monotonic - it->second.begun, moving, now.monotonic);
  }
  SetWake(id, &it->second, Time::Never());
  forwarded_bytes_ -= it->second.forwarded_bytes;
  if (it->second.origin.node != NodeId()) --forwarded_;
  Answer(it->second.origin, it->second.item, std::move(outcome));
  live_.erase(it);
}

void Shard::Answer(const Origin& origin, const ItemKey& item, Outcome outcome) {
  if (origin.node == NodeId() && origin.token == kNobody) {
    return damaged_.End(item);
  }
  if (origin.node == NodeId() && origin.token == kScrub) return scrub_.OnJudgeEnd(item);
  if (outcome.code == Outcome::Code::kQuorumNotMet || outcome.code == Outcome::Code::kTimedOut) {
    ++figures_.quorum_failures;
  }
  if (outcome.repair_sent) ++figures_.read_repairs;
  if (origin.node != NodeId()) {
    Send(origin.node, origin.exchange, item.partition, ForwardReply{std::move(outcome)});
  } else {
    DeparturesOf(item.partition).replies.push_back({origin.token, std::move(outcome)});
  }
}

// ----------------------------------------------------------------------------------------- records

void Shard::NoteDamaged(const ItemKey& item, Instant now) {
  if (failed_ || !MayWrite(item)) return;
  if (const std::optional<Record> whole = store_->AtHand(item)) {
    damaged_.Forget(item);
    ++figures_.mended;
    NoteMended(item.partition);
    return store_->Amend(item, *whole, *whole, {});
  }
  const bool lone = view_->Owners(item.partition).size() < 2;
  damaged_.Note(item, lone);
  if (damaged_.waits() && mend_at_ == Time::Never()) mend_at_ = now.monotonic;
}

void Shard::NoteUnread(const std::vector<ItemKey>& damaged, bool more, Instant now) {
  if (!damaged.empty() || more) ++figures_.unreadable;
  for (const ItemKey& item : damaged) NoteDamaged(item, now);
}

void Shard::NoteWhole(const ItemKey& item) {
  if (damaged_.size() > 0 && damaged_.Forget(item)) NoteMended(item.partition);
}

void Shard::NoteMended(PartitionId partition) {
  ++mended_[partition];
  repair_.OnMended(partition);
}

bool Shard::MayWrite(const ItemKey& item) const {
  return store_->Owns(item.partition) && !WasDropped(view_->topology(), item.table);
}

void Shard::Mend(Instant now) {
  damaged_.ForgetIf([&](const ItemKey& item) { return !MayWrite(item); });
  mend_at_ = damaged_.waits() ? now.monotonic + kMendEvery : Time::Never();
  std::vector<NodeId> members;
  for (const Member& member : view_->topology().members) members.push_back(member.id);
  for (const ItemKey& item : damaged_.Next(kMendedAtOnce)) {
    damaged_.Begin(item, next_exchange_);
    Begin({kNobody, NodeId(), 0}, item, 0, std::make_unique<MendExchange>(item, members), now);
  }
}

template <typename Then>
void Shard::WithRecord(const ItemKey& item, Instant now, Then then) {
  if (!loading_.empty()) {
    if (auto it = loading_.find(item); it != loading_.end()) {
      it->second.waiting.push_back(std::move(then));
      ++waiting_reads_;
      return;
    }
  }
  absl::StatusOr<std::optional<Record>> record = store_->Load(item);
  if (!record.ok()) {
    ++figures_.unreadable;
    if (absl::IsDataLoss(record.status())) NoteDamaged(item, now);
    return then(item, record.status(), now);
  }
  if (record->has_value()) {
    NoteWhole(item);
    return then(item, **std::move(record), now);
  }
  Loading& loading = loading_[item];
  loading.read = ++last_read_;
  loading.waiting.push_back(std::move(then));
  ++waiting_reads_;
  ++figures_.disk_reads;
  out_.disk_reads.push_back({item, loading.read});
}

void Shard::OnRead(const ShardEffects::DiskRead& read, absl::StatusOr<std::string> bytes,
                   Instant now) {
  const ItemKey& item = read.item;
  auto it = loading_.find(item);
  // One that was begun before the partition was dropped tells nothing of what is here now.
  if (it == loading_.end() || it->second.read != read.number || failed_) return;
  absl::StatusOr<Record> from_disk = store_->TakeRead(item, std::move(bytes));
  if (!from_disk.ok()) ++figures_.unreadable;
  if (absl::IsDataLoss(from_disk.status())) NoteDamaged(item, now);
  if (from_disk.ok()) NoteWhole(item);
  // Whoever asks for the item meanwhile still queues behind: what was read from the disk stays true
  // until one of these changes the record, and then it is at hand.
  for (size_t i = 0; i < it->second.waiting.size(); ++i) {
    --waiting_reads_;
    WithRecordFn then = std::move(it->second.waiting[i]);
    std::optional<Record> changed = store_->AtHand(item);
    if (changed.has_value()) {
      then(item, *std::move(changed), now);
    } else {
      then(item, from_disk, now);
    }
  }
  loading_.erase(it);
}

// ------------------------------------------------------------------------------------------- peers

Refused Shard::Outdated() const {
  if (const std::string* const delta = view_->delta()) return {"", *delta};
  return {EncodeTopology(view_->topology())};
}

void Shard::OnMessage(NodeId from, PeerMessage message, Instant now) {
  if (failed_) return RefuseToServe(from, std::move(message), now);
  // What follows serves items of the message's partition, which it owns.
  const ItemKey* const item = std::visit(ItemOf(), message.body);
  if (item != nullptr && item->partition != message.partition) {
    ++figures_.misdirected;
    return;
  }
  if (IsQuestion(message.body)) {
    if (message.epoch < view_->epoch()) {
      // Its sender may count on owners that are none any more.
      Send(from, message.exchange, message.partition, Outdated());
    } else if (Crowded(message.body, now.monotonic)) {
      PeerBody answer = Failed{Outcome::Code::kOverloaded};
      if (std::holds_alternative<Forward>(message.body)) {
        answer = ForwardReply{Ended(Outcome::Code::kOverloaded)};
      }
      Shed(from, message.exchange, message.partition, std::move(answer));
    } else if (auto* forward = std::get_if<Forward>(&message.body)) {
      StartWrite({0, from, message.exchange}, std::move(forward->request), now);
    } else if (std::holds_alternative<Hint>(message.body) ||
               std::holds_alternative<FetchHints>(message.body)) {
      Serve(from, message.exchange, std::move(message.body), now);
    } else if (!store_->Owns(message.partition)) {
      // Sent under a newer topology, which is on its way here: the sender's patience covers it.
    } else if (message.epoch > view_->epoch() && BeginsAnswer(message.body)) {
      // The answer is to be of a time at which this node refuses what was sent before that epoch.
      Shed(from, message.exchange, message.partition, Failed{Outcome::Code::kOverloaded});
    } else if (auto* ask = std::get_if<ClockAsk>(&message.body)) {
      ServeClockAsk(from, message, std::move(*ask), now);
    } else if (auto* copy = std::get_if<CopyAsk>(&message.body)) {
      ServeCopyAsk(from, message.exchange, message.partition, std::move(*copy), now);
    } else if (auto* slice = std::get_if<SliceAsk>(&message.body)) {
      ServeSliceAsk(from, message.exchange, message.partition, std::move(*slice));
    } else if (const auto* doubt = std::get_if<Doubt>(&message.body)) {
      scrub_.OnDoubt(doubt->item);
    } else {
      Serve(from, message.exchange, std::move(message.body), now);
    }
    return;
  }
  if ((message.exchange & kStandInIds) == 0 && (message.exchange & kRepairIds) != 0) {
    Repair::Effects effects;
    if ((message.exchange & kScrubIds) == kScrubIds) {
      Scrub::Effects scrubbed;
      if (auto* slice = std::get_if<SliceAnswer>(&message.body)) {
        scrub_.OnAnswer(message.exchange, from, message.partition, std::move(*slice), now,
                        &scrubbed);
      } else {
        scrub_.OnRefused(message.exchange, from, now);
      }
      return PerformScrub(std::move(scrubbed), now);
    }
    if (auto* answer = std::get_if<ClockAnswer>(&message.body)) {
      repair_.OnAnswer(message.exchange, from, message.partition, std::move(*answer), now,
                       &effects);
    } else if (auto* page = std::get_if<CopyPage>(&message.body)) {
      repair_.OnPage(message.exchange, from, std::move(*page), now, &effects);
    } else if (std::holds_alternative<Refused>(message.body)) {
      repair_.OnOutdated(message.exchange, from, now);
    } else if (const auto* failed = std::get_if<Failed>(&message.body)) {
      repair_.OnRefused(message.exchange, from, failed->code == Outcome::Code::kCorrupt, now);
    }
    return PerformRepair(std::move(effects), now);
  }
  if ((message.exchange & kStandInIds) != 0) {
    return StepStandIn(now, [&](StandIn::Effects* effects) {
      stand_in_.OnReply(from, message.exchange, message.body, now, effects);
    });
  }
  const auto asked = live_.find(message.exchange);
  if (asked != live_.end() && item != nullptr && *item != asked->second.item) {
    ++figures_.misdirected;
    return;
  }
  StepExchange(message.exchange, now, [&](Exchange* exchange, Effects* effects) {
    exchange->OnReply(from, std::move(message.body), now.monotonic, effects);
  });
}

void Shard::Serve(NodeId from, ExchangeId exchange, PeerBody body, Instant now) {
  if (auto* apply = std::get_if<Apply>(&body)) {
    ServeApply(from, exchange, std::move(*apply), now);
  } else if (auto* fetch = std::get_if<Fetch>(&body)) {
    ServeFetch(from, exchange, std::move(*fetch), now);
  } else if (auto* lookup = std::get_if<Lookup>(&body)) {
    ServeLookup(from, exchange, std::move(*lookup), now);
  } else if (auto* hint = std::get_if<Hint>(&body)) {
    ServeHint(from, exchange, std::move(*hint), now);
  } else if (auto* look = std::get_if<FetchHints>(&body)) {
    StepStandIn(now, [&](StandIn::Effects* effects) {
      stand_in_.OnFetchHints(from, exchange, look->item, effects);
    });
  } else if (auto* handoff = std::get_if<Handoff>(&body)) {
    ServeHandoff(from, exchange, std::move(*handoff), now);
  }
}

// ---------------------------------------------------------------------------------------- hints

template <typename Step>
void Shard::StepStandIn(Instant now, Step step) {
  StandIn::Effects effects;
  step(&effects);
  Append(std::move(effects.scans), &out_.hint_scans);
  const NodeId self = view_->self();
  for (StandIn::Effects::Send& send : effects.sends) {
    if (send.to != self || send.after > store_->durable()) {
      DeparturesAfter(send.after)
          .sends.push_back(
              {send.to, {send.exchange, view_->epoch(), send.partition, std::move(send.body)}});
    } else if (IsQuestion(send.body)) {
      Serve(self, send.exchange, std::move(send.body), now);
    } else {
      StepExchange(send.exchange, now, [&](Exchange* exchange, Effects* next) {
        exchange->OnReply(self, std::move(send.body), now.monotonic, next);
      });
    }
  }
}

void Shard::ServeHint(NodeId from, ExchangeId exchange, Hint hint, Instant now) {
  if (WasDropped(view_->topology(), hint.change.item.table)) {
    return Respond(from, exchange, hint.change.item.partition, HintReply{}, now);
  }
  if (!view_->IsReplica(hint.change.item.partition, hint.owner)) {
    ++figures_.misdirected;
    return;
  }
  if (!MayKeep(view_->self())) {
    // It is to be gone as soon as it keeps nothing. Another one may.
    const PartitionId partition = hint.change.item.partition;
    return Respond(from, exchange, partition, Failed{Outcome::Code::kOverloaded}, now);
  }
  StepStandIn(now, [&](StandIn::Effects* effects) {
    stand_in_.OnHint(from, exchange, std::move(hint), now, effects);
  });
}

void Shard::ServeHandoff(NodeId from, ExchangeId exchange, Handoff handoff, Instant now) {
  next_handoff_ = now.monotonic + kHandoffPace;
  ServeApply(from, exchange, Apply{std::move(handoff.change), Durability::kFsync}, now);
}

void Shard::OnHintScan(uint64_t id, absl::StatusOr<HintPage> page, Instant now) {
  if (failed_) return;
  if (!page.ok() || !page->damaged.empty()) ++figures_.unreadable;
  StepStandIn(now, [&](StandIn::Effects* effects) {
    stand_in_.OnScan(id, std::move(page), *view_, now, effects);
  });
}

bool Shard::Crowded(const PeerBody& body, Time now) const {
  // These have bounds of their own.
  if (std::holds_alternative<ClockAsk>(body) || std::holds_alternative<CopyAsk>(body) ||
      std::holds_alternative<SliceAsk>(body) || std::holds_alternative<Doubt>(body)) {
    return false;
  }
  const bool handoff = std::holds_alternative<Handoff>(body);  // never in the way of clients
  if (handoff && lane_load_percent_ >= kBusyPercent && now < next_handoff_) return true;
  const size_t share = handoff ? 4 : 1;
  if (WaitingReads() >= options_.max_waiting_reads / share) return true;
  const bool writes = handoff || std::holds_alternative<Apply>(body) ||
                      std::holds_alternative<Forward>(body) || std::holds_alternative<Hint>(body);
  return writes && UnwrittenBytes() >= options_.max_unwritten_bytes / share;
}

void Shard::OnLoad(int load_percent, int wait_percent) {
  lane_load_percent_ = load_percent;
  pace_.OnOwnLoad(wait_percent >= kBusyPercent);
}

int Shard::load_percent() const {
  return static_cast<int>(std::max(UnwrittenBytes() * 100 / options_.max_unwritten_bytes,
                                   WaitingReads() * 100 / options_.max_waiting_reads));
}

void Shard::Shed(NodeId from, ExchangeId exchange, PartitionId partition, PeerBody answer) {
  ++figures_.sheds;
  if (exchange == 0) return;
  // It says nothing of the partition's state, so there is nothing for it to wait for.
  out_.sends.push_back({from, {exchange, view_->epoch(), partition, std::move(answer)}});
}

void Shard::ServeApply(NodeId from, ExchangeId exchange, Apply apply, Instant now) {
  const ItemKey item = std::move(apply.change.item);
  const size_t bytes = ValueBytes(*apply.change.record);
  waiting_bytes_ += bytes;
  WithRecord(item, now,
             [this, from, exchange, bytes, apply = std::move(apply), epoch = view_->epoch()](
                 const ItemKey& its, absl::StatusOr<Record> record, Instant then) {
               waiting_bytes_ -= bytes;
               if (IsStale(its.partition, epoch)) {
                 // A copy of the partition may have been given meanwhile, without this.
                 return Respond(from, exchange, its.partition, Outdated(), then);
               }
               if (!record.ok()) return RespondFailure(from, exchange, its.partition, then);
               repair_.OnChange(its, *apply.change.record);
               TakeIn(its, apply.change, *std::move(record), apply.durability);
               Respond(from, exchange, its.partition, ApplyReply{}, then);
             });
}

bool Shard::MayTell(const Fetch& fetch) const {
  const PartitionId partition = fetch.item.partition;
  return Holds(partition) || (fetch.mends && heard_peers_ && store_->Owns(partition));
}

void Shard::ServeFetch(NodeId from, ExchangeId exchange, Fetch fetch, Instant now) {
  if (!MayTell(fetch)) {
    // To who mends, being filled means that there is nothing here: that cannot be told yet.
    if (!fetch.mends) return RefuseWhileFilling(from, exchange, fetch.item, now);
    return Respond(from, exchange, fetch.item.partition, Failed{Outcome::Code::kOverloaded}, now);
  }
  const ItemKey item = std::move(fetch.item);
  WithRecord(
      item, now,
      [this, from, exchange, known = std::move(fetch.known), with_clock = fetch.with_clock,
       mends = fetch.mends](const ItemKey& its, absl::StatusOr<Record> record, Instant then) {
        if (!record.ok() && mends && !absl::IsDataLoss(record.status())) {
          // It may be there yet.
          return Respond(from, exchange, its.partition, Failed{Outcome::Code::kStorageFailed},
                         then);
        }
        if (!record.ok()) return RespondFailure(from, exchange, its.partition, then);
        // Nothing, here, is not that there was nothing.
        const bool may_lack = mends && !Holds(its.partition);
        if (may_lack && record->versions.empty()) {
          return RefuseWhileFilling(from, exchange, its, then);
        }
        Record filled = store_->Filled(its.partition, *std::move(record));
        FetchReply reply;
        reply.left_out = LeaveOut(known, &filled);
        if (with_clock) reply.clock = store_->Clock(its.partition);
        reply.filling = may_lack;
        reply.found = {its, nullptr, store_->Explain(filled)};
        reply.found.record = std::make_shared<const Record>(std::move(filled));
        Respond(from, exchange, its.partition, std::move(reply), then);
      });
}

void Shard::ServeLookup(NodeId from, ExchangeId exchange, Lookup lookup, Instant now) {
  if (!Holds(lookup.item.partition)) return RefuseWhileFilling(from, exchange, lookup.item, now);
  const Minted* known = store_->FindWrite(lookup.item.partition, lookup.write);
  if (known == nullptr) return Respond(from, exchange, lookup.item.partition, LookupReply{}, now);
  WithRecord(lookup.item, now,
             [this, from, exchange, known = *known](const ItemKey& its,
                                                    absl::StatusOr<Record> record, Instant then) {
               if (!record.ok()) return RespondFailure(from, exchange, its.partition, then);
               Record filled = store_->Filled(its.partition, *std::move(record));
               std::vector<Minted> minted = store_->Explain(filled);
               minted.push_back(known);
               Respond(from, exchange, its.partition,
                       LookupReply{true,
                                   {its, std::make_shared<const Record>(std::move(filled)),
                                    std::move(minted)}},
                       then);
             });
}

// That it does not have an item says nothing of an owner that lost what it had.
void Shard::RefuseWhileFilling(NodeId to, ExchangeId exchange, const ItemKey& item, Instant now) {
  Respond(to, exchange, item.partition, Failed{Outcome::Code::kFilling}, now);
}

void Shard::Respond(NodeId to, ExchangeId exchange, PartitionId partition, PeerBody body,
                    Instant now) {
  if (exchange == 0) return;
  if (to != view_->self()) return Send(to, exchange, partition, std::move(body));
  if ((exchange & kStandInIds) != 0) {
    return StepStandIn(now, [&](StandIn::Effects* effects) {
      stand_in_.OnReply(to, exchange, body, now, effects);
    });
  }
  StepExchange(exchange, now, [&](Exchange* live, Effects* effects) {
    live->OnReply(to, std::move(body), now.monotonic, effects);
  });
}

void Shard::RespondFailure(NodeId to, ExchangeId exchange, PartitionId partition, Instant now) {
  const Outcome::Code code = failed_ ? Outcome::Code::kStorageFailed : Outcome::Code::kCorrupt;
  if (to == view_->self() && (exchange & kStandInIds) != 0) {
    return Respond(to, exchange, partition, Failed{code}, now);
  }
  if (to != view_->self()) return Respond(to, exchange, partition, Failed{code}, now);
  StepExchange(exchange, now, [&](Exchange* live, Effects* effects) {
    live->OnLocalFailure(code, now.monotonic, effects);
  });
}

void Shard::RefuseToServe(NodeId from, PeerMessage message, Instant now) {
  if (auto* forward = std::get_if<Forward>(&message.body)) {
    StartWrite({0, from, message.exchange}, std::move(forward->request), now);
  } else if (IsQuestion(message.body)) {
    RespondFailure(from, message.exchange, message.partition, now);
  }
}

void Shard::OnPeer(NodeId node, bool reachable, Instant now) {
  stand_in_.OnPeer(node, reachable, now);
  repair_.OnPeer(node, reachable, now);
  scrub_.OnPeer(node, reachable);
  if (reachable) {
    greeted_.insert(node);
    unreachable_.erase(node);
    return;
  }
  if (!unreachable_.insert(node).second) return;
  store_->ForgetReports(node);  // it may come back with another disk
  std::vector<ExchangeId> ids;
  ids.reserve(live_.size());
  for (const auto& [id, live] : live_) ids.push_back(id);
  for (ExchangeId id : ids) {
    StepExchange(id, now, [&](Exchange* exchange, Effects* effects) {
      exchange->OnUnreachable(node, now.monotonic, effects);
    });
  }
}

void Shard::OnLiveness(NodeId node, Liveness liveness) {
  if (liveness == Liveness::kAlive) {
    suspected_.erase(node);
  } else {
    suspected_.insert(node);
  }
}

void Shard::OnClusterTime(std::optional<int64_t> offset_ms) {
  time_offset_ms_ = offset_ms;
  sweep_.OnClusterTime(offset_ms);
  scrub_.OnClusterTime(offset_ms);
  stand_in_.OnClusterTime(offset_ms);
}

std::optional<uint64_t> Shard::TimeMs(Instant now) const {
  if (!time_offset_ms_.has_value()) return std::nullopt;
  return ClusterTime::At(now.monotonic, *time_offset_ms_);
}

void Shard::OnView(std::shared_ptr<const View> view, Instant now) {
  GYRE_CHECK(view->epoch() >= view_->epoch(), "epochs only grow");
  const std::shared_ptr<const View> before = std::exchange(view_, std::move(view));
  for (const TableSpec& table : before->topology().tables) {
    if (WasDropped(view_->topology(), table.id)) EraseTable(table, now);
  }
  FollowMoves(*before, now);
  damaged_.ForgetIf([&](const ItemKey& item) { return !MayWrite(item); });
  repair_.OnView(view_);
  scrub_.OnView(view_);
  stand_in_.OnView(*before, *view_);
}

bool Shard::IsStale(PartitionId partition, Epoch epoch) const {
  if (moved_.empty()) return false;
  const auto it = moved_.find(partition);
  return it != moved_.end() && epoch < it->second;
}

void Shard::FollowMoves(const View& before, Instant now) {
  EndStale([&](const Live& live) { return !view_->PlacesLike(before, live.item.partition); }, now);
  std::vector<PartitionId> gone;
  store_->ForEachClock([&](PartitionId partition, ReplicaId, const PartitionClock&) {
    if (view_->PlacesLike(before, partition)) return;
    moved_[partition] = view_->epoch();
    if (!view_->IsReplica(partition, view_->self())) gone.push_back(partition);
    for (NodeId node : before.Replicas(partition)) {
      // It drops what it said that it has, and may be one again.
      if (!view_->IsReplica(partition, node)) store_->ForgetReport(partition, node);
    }
  });
  for (PartitionId partition : gone) DropPartition(partition, now);
}

void Shard::DropPartition(PartitionId partition, Instant now) {
  repair_.Forget(partition);  // of what is told below nothing follows
  store_->Drop(partition);
  std::erase_if(copies_given_, [&](const auto& entry) { return entry.second.of == partition; });
  std::erase_if(shown_, [&](const auto& shown) { return shown.first == partition; });
  mended_.erase(partition);
  std::vector<std::pair<ItemKey, std::vector<WithRecordFn>>> waiting;
  for (auto it = loading_.begin(); it != loading_.end();) {
    auto next = std::next(it);
    if (it->first.partition == partition) {
      waiting.emplace_back(it->first, std::move(it->second.waiting));
      loading_.erase(it);
    }
    it = next;
  }
  for (auto& [item, all] : waiting) {
    waiting_reads_ -= all.size();
    for (WithRecordFn& then : all) {
      then(item, absl::UnavailableError("the partition is here no more"), now);
    }
  }
  moved_.erase(partition);
}

template <typename IsSo>
void Shard::EndStale(IsSo is_so, Instant now) {
  std::vector<ExchangeId> ids;
  for (const auto& [id, live] : live_) {
    if (is_so(live)) ids.push_back(id);
  }
  for (ExchangeId id : ids) {
    Outcome outcome = Ended(Outcome::Code::kStaleEpoch);
    outcome.outcome_unknown = true;
    Finish(id, std::move(outcome), now);
  }
}

// What is under way on a table that is no more ends, so that nothing of it is written afterwards.
void Shard::EraseTable(const TableSpec& table, Instant now) {
  EndStale([&](const Live& live) { return live.item.table == table.id; }, now);
  store_->ForEachClock([&](PartitionId partition, ReplicaId, const PartitionClock&) {
    if (partition.replicas() == table.replicas) store_->EraseTable(partition, table.id);
  });
}

// Of a table that is no more nothing is kept but that its dots have been seen.
void Shard::TakeIn(const ItemKey& item, const ExplainedRecord& change, Record stored,
                   Durability durability) {
  if (WasDropped(view_->topology(), item.table)) {
    return store_->Apply(item, Record{}, Record{}, change.minted, durability);
  }
  store_->Apply(item, std::move(stored), *change.record, change.minted, durability);
}

// ------------------------------------------------------------------------------------ anti-entropy

void Shard::PerformRepair(Repair::Effects&& effects, Instant now) {
  for (Repair::Effects::Ask& ask : effects.asks) {
    Send(ask.to, ask.exchange, ask.partition, std::move(ask.body));
  }
  for (Repair::Effects::Arrival& arrival : effects.arrivals) {
    const ItemKey item = arrival.change.item;
    WithRecord(item, now,
               [this, id = arrival.exchange, of_copy = arrival.of_copy,
                change = std::move(arrival.change)](const ItemKey& its,
                                                    absl::StatusOr<Record> record, Instant then) {
                 const bool taken = record.ok();
                 if (!of_copy) repair_.OnChange(its, *change.record);
                 if (taken) TakeIn(its, change, *std::move(record), Durability::kFsync);
                 Repair::Effects next;
                 repair_.OnTakenIn(id, taken, then, &next);
                 PerformRepair(std::move(next), then);
               });
  }
  for (Repair::Effects::Listing& listing : effects.listings) {
    DeparturesOf(listing.range.partition).listings.push_back(std::move(listing));
  }
  Append(std::move(effects.miscounts), &out_.miscounts);
  for (const Repair::Effects::InStep& in_step : effects.in_step) {
    NoteShown(in_step.partition, in_step.owner);
    SettleRecords(in_step.partition, now);
  }
}

void Shard::ServeClockAsk(NodeId from, const PeerMessage& message, ClockAsk ask, Instant now) {
  const auto& [exchange, epoch, partition, body] = message;
  store_->NoteSeen(partition, ask.clock);
  NoteShown(partition, from);
  if (ask.durable_bases.has_value()) {
    store_->OnReport(partition, from, *ask.durable_bases, view_->PeersOf(partition), now.monotonic);
  }
  const PartitionClock& mine = store_->Clock(partition);
  if (mine.ContainsAll(ask.clock)) repair_.OnNothingNew(partition, from, epoch);
  if (ask.clock.ContainsAll(mine)) {
    ClockAnswer nothing;
    nothing.complete = true;  // and its bases are no less than those of this clock
    nothing.filling = !Holds(partition);
    return Send(from, exchange, partition, std::move(nothing));
  }
  const Move* const move = view_->FindMove(partition);
  ShardEffects::ClockScan scan{
      from,           exchange,          partition,
      std::move(ask), !Holds(partition), move != nullptr && move->to == from};
  const bool rests = scan.fills && !GivesNow(now.monotonic);
  // More, and who waits longest asks again meanwhile.
  constexpr size_t kMostResting = 4;
  if (rests ? resting_.size() >= kMostResting
            : clock_scans_under_way_ >= options_.repair.max_exchanges) {
    return Shed(from, exchange, partition, Failed{Outcome::Code::kOverloaded});
  }
  if (rests) {
    resting_.emplace_back(std::move(scan));
  } else {
    Give(std::move(scan));
  }
}

void Shard::Give(ShardEffects::ClockScan scan) {
  if (!store_->Owns(scan.partition)) {
    // What was asked for was dropped while it rested.
    return Shed(scan.asker, scan.exchange, scan.partition, Failed{Outcome::Code::kOverloaded});
  }
  ++clock_scans_under_way_;
  // While the partition moves: what was taken in may have been acknowledged before the asker counts
  // as an owner, so it is to be in the snapshot.
  const bool moves = view_->FindMove(scan.partition) != nullptr;
  Departures& departures = moves ? DeparturesOf(scan.partition) : out_;
  departures.clock_scans.push_back(std::move(scan));
}

void Shard::ServeCopyAsk(NodeId from, ExchangeId exchange, PartitionId partition, CopyAsk ask,
                         Instant now) {
  const std::pair<NodeId, ExchangeId> key(from, exchange);
  auto it = copies_given_.find(key);
  const bool begins = it == copies_given_.end();
  if (begins) {
    // Who begins anew has left what it had begun, maybe in a former life.
    if (ask.number == 1) {
      std::erase_if(copies_given_, [&](const auto& one) {
        return one.first.first == from && one.second.of == partition && !one.second.over;
      });
    }
    // What waits to be filled itself has nothing to give, nor has who may have lost something and
    // has not heard of it yet; and a later page is of a snapshot that is gone.
    if (ask.number != 1 || !Holds(partition) || CopiesGiven() >= copy_pace_.copies()) {
      return Shed(from, exchange, partition, Failed{Outcome::Code::kOverloaded});
    }
    it = copies_given_.emplace(key, CopyGiven{partition}).first;
  } else if (it->second.busy) {
    return;  // doubled on its way
  }
  it->second.busy = true;
  it->second.until = now.monotonic + (it->second.over ? kItemsPatience : kCopyPatience);
  ShardEffects::CopyScan scan{from, exchange, partition, std::move(ask), it->second.snapshot};
  if (GivesNow(now.monotonic)) {
    Give(std::move(scan));
  } else {
    resting_.emplace_back(std::move(scan));
  }
}

void Shard::RestAfter(size_t bytes, Instant now) {
  gives_at_ = std::max(gives_at_, now.monotonic) + copy_pace_.RestAfter(bytes, now.monotonic);
}

void Shard::Give(ShardEffects::CopyScan scan) {
  if (!copies_given_.contains({scan.asker, scan.exchange})) {
    // What it was of was dropped while it rested.
    return Shed(scan.asker, scan.exchange, scan.partition, Failed{Outcome::Code::kOverloaded});
  }
  Departures& departures = scan.snapshot == nullptr ? DeparturesOf(scan.partition) : out_;
  departures.copy_scans.push_back(std::move(scan));
}

void Shard::OnCopyScan(ShardEffects::CopyScan scan, absl::StatusOr<CopyPage> page, Instant now) {
  const auto it = copies_given_.find({scan.asker, scan.exchange});
  if (it == copies_given_.end() && !failed_) {
    // What it was of is here no more, or is not what it was: nothing is damaged, and who asks again
    // is told what there is.
    return Shed(scan.asker, scan.exchange, scan.partition, Failed{Outcome::Code::kOverloaded});
  }
  if (!page.ok()) {
    ++figures_.unreadable;
  } else {
    RestAfter(BytesIn(*page), now);
    NoteUnread(page->damaged, !page->unread_to.empty(), now);
  }
  if (!page.ok() || failed_) {
    if (it != copies_given_.end()) copies_given_.erase(it);
    return RespondFailure(scan.asker, scan.exchange, scan.partition, now);
  }
  if (page->part == CopyPart::kRecords) {
    CopyGiven& given = it->second;
    if (page->number > given.counted) {  // a page may be asked for twice
      given.counted = page->number;
      given.records += page->items.size();
    }
    page->records = given.records;
  }
  it->second.snapshot = std::move(scan.snapshot);
  it->second.busy = false;
  if (page->part == CopyPart::kLog && page->last && !it->second.over) {
    it->second.over = true;
    it->second.until = now.monotonic + kItemsPatience;
    BoundCopiesOver();
  }
  out_.sends.push_back(
      {scan.asker, {scan.exchange, view_->epoch(), scan.partition, *std::move(page)}});
}

size_t Shard::CopiesGiven() const {
  return static_cast<size_t>(std::count_if(copies_given_.begin(), copies_given_.end(),
                                           [](const auto& entry) { return !entry.second.over; }));
}

void Shard::BoundCopiesOver() {
  if (copies_given_.size() - CopiesGiven() <= kMostOver) return;
  auto first = copies_given_.end();
  for (auto it = copies_given_.begin(); it != copies_given_.end(); ++it) {
    const bool sooner = first == copies_given_.end() || it->second.until < first->second.until;
    if (it->second.over && !it->second.busy && sooner) first = it;
  }
  if (first != copies_given_.end()) copies_given_.erase(first);
}

void Shard::OnListed(ExchangeId id, absl::StatusOr<ItemList> list, Instant now) {
  if (failed_) return;
  if (!list.ok() || list->unread) ++figures_.unreadable;
  Repair::Effects effects;
  repair_.OnListed(id, std::move(list), now, &effects);
  PerformRepair(std::move(effects), now);
}

void Shard::OnForgetful(Instant now) {
  if (failed_) return;
  store_->EndInheritedLives();
  store_->BeginFilling();
  copies_given_.clear();
  repair_.OnLostState(now);
}

void Shard::OnProven() {
  if (failed_) return;
  store_->EndAllFilling();
  repair_.OnWhole();
}

void Shard::OnClockScan(const ShardEffects::ClockScan& scan, absl::StatusOr<ClockAnswer> answer,
                        Instant now) {
  GYRE_CHECK(clock_scans_under_way_ > 0, "a scan ends once");
  --clock_scans_under_way_;
  if (!store_->Owns(scan.partition) && !failed_) {
    // Nor is what is found of it now what there was.
    return Shed(scan.asker, scan.exchange, scan.partition, Failed{Outcome::Code::kOverloaded});
  }
  if (!answer.ok()) {
    ++figures_.unreadable;
  } else {
    if (scan.fills) RestAfter(BytesIn(answer->items), now);
    NoteUnread(answer->left_out, false, now);
    const auto mended = mended_.find(scan.partition);
    answer->mended = mended == mended_.end() ? 0 : mended->second;
    answer->filling = scan.filling || !Holds(scan.partition);
  }
  if (!answer.ok() || failed_) {
    return RespondFailure(scan.asker, scan.exchange, scan.partition, now);
  }
  // The answer is of a durable snapshot, so there is nothing for it to wait for.
  out_.sends.push_back(
      {scan.asker, {scan.exchange, view_->epoch(), scan.partition, *std::move(answer)}});
}

// What was stored while a base was behind carries a context that the clock says by now, and a
// deleted item its key: they go when the owners are in step.
void Shard::SettleRecords(PartitionId partition, Instant now) {
  for (const ItemKey& item : store_->Settleable(partition, kSettledAtOnce)) {
    WithRecord(item, now, [this](const ItemKey& its, absl::StatusOr<Record> record, Instant) {
      const bool dropped = WasDropped(view_->topology(), its.table);
      if (record.ok() && !dropped) store_->Settle(its, *std::move(record));
    });
  }
}

// ----------------------------------------------------------------------------------------- expiry

// So that these are in the way of clients no more than hand-overs are.
bool Shard::IsBehind() const {
  return WaitingReads() >= options_.max_waiting_reads / 4 ||
         store_->uncommitted_bytes() >= options_.max_unwritten_bytes / 4;
}

void Shard::SweepExpired(Instant now) {
  if (std::optional<ExpiryScan> scan = sweep_.OnWake(IsBehind(), now)) {
    out_.expiry_scans.push_back(*std::move(scan));
  }
}

void Shard::OnExpiryScan(const ExpiryScan& scan, absl::StatusOr<ExpiryPage> page, Instant now) {
  if (failed_) return;
  if (!page.ok()) ++figures_.unreadable;
  for (ExpiryKey& entry : sweep_.OnScan(scan, std::move(page), now)) {
    const ItemKey item = entry.item;
    WithRecord(item, now,
               [this, entry = std::move(entry)](const ItemKey&, absl::StatusOr<Record> record,
                                                Instant then) {
                 sweep_.OnRecord(entry, std::move(record), then);
               });
  }
}

// ------------------------------------------------------------------------------------------ scrub

void Shard::PerformScrub(Scrub::Effects&& effects, Instant now) {
  if (effects.scan.has_value()) out_.scrub_scan = std::move(effects.scan);
  if (effects.read.has_value()) out_.scrub_read = std::move(effects.read);
  if (effects.ask.has_value()) {
    Scrub::Effects::Ask& ask = *effects.ask;
    Send(ask.to, ask.exchange, ask.partition, std::move(ask.body));
  }
  for (const ItemKey& item : effects.damaged) NoteDamaged(item, now);
  for (auto& [owner, item] : effects.doubts) {
    const PartitionId partition = item.partition;
    Send(owner, 0, partition, Doubt{std::move(item)});
  }
  Append(std::move(effects.told), &out_.contradictions);
  for (const ItemKey& item : effects.judge) {
    Begin({kScrub, NodeId(), 0}, item, 0, std::make_unique<JudgeExchange>(item), now);
  }
}

void Shard::WakeScrub(Instant now) {
  Scrub::Effects effects;
  scrub_.OnWake(IsBehind(), now, &effects);
  PerformScrub(std::move(effects), now);
}

void Shard::OnScrubScan(const SliceScan& scan, absl::StatusOr<Slice> slice, Instant now) {
  if (failed_) return;
  if (!slice.ok() || !slice->damaged.empty()) ++figures_.unreadable;
  Scrub::Effects effects;
  scrub_.OnSlice(scan, std::move(slice), now, &effects);
  PerformScrub(std::move(effects), now);
}

void Shard::OnScrubRead(PartitionId partition, absl::StatusOr<Slice> slice, Instant now) {
  if (failed_) return;
  if (!slice.ok() || !slice->damaged.empty()) ++figures_.unreadable;
  Scrub::Effects effects;
  scrub_.OnItems(partition, std::move(slice), now, &effects);
  PerformScrub(std::move(effects), now);
}

void Shard::ServeSliceAsk(NodeId from, ExchangeId exchange, PartitionId partition, SliceAsk ask) {
  if (!Holds(partition)) {
    return Send(from, exchange, partition, Failed{Outcome::Code::kFilling});
  }
  if (slice_reads_under_way_ >= options_.scrub.max_answers) {
    return Shed(from, exchange, partition, Failed{Outcome::Code::kOverloaded});
  }
  ++slice_reads_under_way_;
  out_.slice_reads.push_back({from, exchange, partition, std::move(ask)});
}

void Shard::OnSliceRead(const ShardEffects::SliceRead& read, absl::StatusOr<SliceAnswer> answer,
                        Instant now) {
  GYRE_CHECK(slice_reads_under_way_ > 0, "a read ends once");
  --slice_reads_under_way_;
  if (!answer.ok()) {
    ++figures_.unreadable;
    if (const auto item = DamagedItem(answer.status())) NoteDamaged(*item, now);
  }
  if (!answer.ok() || failed_) {
    return RespondFailure(read.asker, read.exchange, read.partition, now);
  }
  // It is of a snapshot, and says nothing of this node's clock: there is nothing for it to wait
  // for.
  out_.sends.push_back(
      {read.asker, {read.exchange, view_->epoch(), read.partition, *std::move(answer)}});
}

// --------------------------------------------------------------------------- time and durability

void Shard::OnWake(Instant now) {
  if (failed_) return;
  while (!wakes_.empty() && wakes_.begin()->first <= now.monotonic) {
    const ExchangeId id = wakes_.begin()->second;
    SetWake(id, &live_.at(id), Time::Never());
    StepExchange(id, now, [&](Exchange* exchange, Effects* effects) {
      exchange->OnWake(now.monotonic, effects);
    });
  }
  if (mend_at_ <= now.monotonic) Mend(now);
  Repair::Effects repairs;
  repair_.OnWake(now, &repairs);
  PerformRepair(std::move(repairs), now);
  if (!resting_.empty() && gives_at_ <= now.monotonic) {
    std::visit([&](auto& scan) { Give(std::move(scan)); }, resting_.front());
    resting_.pop_front();
  }
  std::erase_if(copies_given_, [&](const auto& entry) {
    return entry.second.until <= now.monotonic && !entry.second.busy;
  });
  if (sweep_.wake() <= now.monotonic) SweepExpired(now);
  if (scrub_.wake() <= now.monotonic) WakeScrub(now);
  if (stand_in_.wake() <= now.monotonic) {
    StepStandIn(now, [&](StandIn::Effects* effects) { stand_in_.OnWake(now, effects); });
  }
}

void Shard::OnCommitted(CommitSeq seq, const absl::Status& status, Instant now) {
  if (failed_) return;
  commit_under_way_ = false;
  if (!status.ok()) return OnDiskFailed(now);
  ++figures_.commits;
  store_->OnCommitted(seq);
  sync_at_ = store_->unsynced() ? std::min(sync_at_, now.monotonic + options_.periodic_sync)
                                : Time::Never();
  for (; !held_.empty() && held_.front().after <= seq; held_.pop_front()) {
    Append(std::move(held_.front().what.sends), &out_.sends);
    Append(std::move(held_.front().what.replies), &out_.replies);
    Append(std::move(held_.front().what.listings), &out_.listings);
    Append(std::move(held_.front().what.clock_scans), &out_.clock_scans);
    Append(std::move(held_.front().what.copy_scans), &out_.copy_scans);
  }
  // What this node waited for itself.
  const auto others =
      std::stable_partition(out_.sends.begin(), out_.sends.end(),
                            [&](const auto& send) { return send.to != view_->self(); });
  std::vector<Envelope> own(std::make_move_iterator(others),
                            std::make_move_iterator(out_.sends.end()));
  out_.sends.erase(others, out_.sends.end());
  for (Envelope& send : own) {
    StepExchange(send.message.exchange, now, [&](Exchange* exchange, Effects* effects) {
      exchange->OnReply(send.to, std::move(send.message.body), now.monotonic, effects);
    });
  }
}

void Shard::OnDiskFailed(Instant now) {
  if (std::exchange(failed_, true)) return;
  Outcome outcome = Ended(Outcome::Code::kStorageFailed);
  outcome.outcome_unknown = true;
  for (const Held& held : std::exchange(held_, {})) {
    for (const ShardEffects::Reply& reply : held.what.replies) {
      out_.replies.push_back({reply.token, outcome});
    }
    for (const auto& [to, message] : held.what.sends) {
      if (std::holds_alternative<ForwardReply>(message.body)) {
        Send(to, message.exchange, message.partition, ForwardReply{outcome});
      } else if (!IsQuestion(message.body)) {
        RespondFailure(to, message.exchange, message.partition, now);
      }
    }
  }
  for (auto& [id, live] : std::exchange(live_, {})) Answer(live.origin, live.item, outcome);
  wakes_.clear();
  repair_.Stop();
  scrub_.Stop();
  copies_given_.clear();
  for (auto& resting : std::exchange(resting_, {})) {
    std::visit(
        [&](const auto& scan) { RespondFailure(scan.asker, scan.exchange, scan.partition, now); },
        resting);
  }
  for (auto& [item, loading] : std::exchange(loading_, {})) {
    for (WithRecordFn& then : loading.waiting)
      then(item, absl::UnavailableError("the disk failed"), now);
  }
}

void Shard::Send(NodeId to, ExchangeId exchange, PartitionId partition, PeerBody body) {
  DeparturesOf(partition).sends.push_back(
      {to, {exchange, view_->epoch(), partition, std::move(body)}});
}

Departures& Shard::DeparturesOf(PartitionId partition) {
  return DeparturesAfter(store_->LastChange(partition));
}

Departures& Shard::DeparturesAfter(CommitSeq after) {
  // After a failure nothing leaves but refusals, and no commit comes that they could wait for.
  if (failed_ || after <= store_->durable()) return out_;
  auto it = held_.end();
  while (it != held_.begin() && std::prev(it)->after >= after) --it;
  if (it == held_.end() || it->after != after) it = held_.insert(it, {after, {}});
  return it->what;
}

std::vector<MoveRef> Shard::MovesToStep(MoveStep from) const {
  std::vector<MoveRef> moves;
  if (failed_) return moves;
  for (const Move& move : view_->topology().moves) {
    if (move.to != view_->self() || move.step != from || !repair_.MayStep(move)) continue;
    if (store_->LastChange(move.partition) > store_->durable()) continue;
    moves.push_back({move.partition, move.since});
  }
  return moves;
}

bool Shard::MayDepart(Epoch epoch) const {
  const Member* const self = view_->FindMember(view_->self());
  const bool leaves = self != nullptr && self->state == MemberState::kLeaving;
  return leaves && view_->epoch() >= epoch && !failed_ && stand_in_.log().Owners().empty();
}

ShardEffects Shard::TakeEffects(Instant now) {
  if (!failed_ && !commit_under_way_) {
    if (store_->dirty()) {
      out_.commit = sync_at_ <= now.monotonic ? store_->TakeSync() : store_->TakeCommit();
    } else if (sync_at_ <= now.monotonic) {
      out_.commit = store_->TakeSync();
    }
    commit_under_way_ = out_.commit.has_value();
  }
  figures_.exchanges = live_.size();
  figures_.record_cache = store_->cache().figures();
  if (now.monotonic >= hints_told_at_) {
    hints_told_at_ = now.monotonic + kTellHints;
    figures_.hints.clear();
    for (NodeId owner : stand_in_.log().Owners()) {
      figures_.hints.emplace_back(owner, stand_in_.log().CountOf(owner));
    }
  }
  figures_.stand_in = stand_in_.figures();
  figures_.repair = repair_.figures();
  figures_.copy_pace = copy_pace_.pace();
  figures_.damaged = damaged_.size();
  figures_.pace = pace_.figures();
  figures_.scrub = scrub_.figures();
  figures_.expired = sweep_.removed();
  figures_.expiry_lag_ms = sweep_.LagMs(now);
  ShardEffects effects = std::exchange(out_, {});
  if (!failed_) {
    effects.wake = std::min(repair_.wake(), commit_under_way_ ? Time::Never() : sync_at_);
    if (!wakes_.empty()) effects.wake = std::min(effects.wake, wakes_.begin()->first);
    effects.wake =
        std::min({effects.wake, stand_in_.wake(), mend_at_, sweep_.wake(), scrub_.wake()});
    if (!resting_.empty()) effects.wake = std::min(effects.wake, gives_at_);
  }
  return effects;
}

}  // namespace gyre
