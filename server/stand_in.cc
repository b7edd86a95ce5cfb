#include "server/stand_in.h"

#include <algorithm>
#include <optional>

#include "ring/check.h"

namespace gyre {
namespace {

// Of one item, for all owners together: what is merged into one answer.
constexpr size_t kMostOfAnItem = 1024;
constexpr size_t kMostBytesOfAnItem = size_t{8} << 20;

PartitionId After(PartitionId partition) { return PartitionId::FromValue(partition.value() + 1); }

}  // namespace

StandIn::StandIn(NodeId self, HintLog log, Guest guest, ReplicaStore* store,
                 ExchangeId first_exchange)
    : self_(self),
      log_(std::move(log)),
      guest_(std::move(guest)),
      store_(store),
      next_id_(first_exchange) {
  for (NodeId owner : log_.Owners()) errands_.try_emplace(owner);
}

// ----------------------------------------------------------------------------------------- keeping

void StandIn::OnHint(NodeId from, ExchangeId exchange, Hint hint, Instant now, Effects* effects) {
  bool kept = false;
  const CommitSeq after = store_->CommitBeside(hint.durability, [&](WriteBatch* batch) {
    kept = log_.Keep(hint.owner, hint.change.item, *hint.change.record, hint.change.minted,
                     hint.ownerless, now.wall_ms, batch);
  });
  ++(kept ? figures_.kept : figures_.refused);
  if (kept) errands_.try_emplace(hint.owner);
  if (exchange == 0) return;
  PeerBody reply = HintReply{};
  if (!kept) reply = Failed{Outcome::Code::kOverloaded};
  effects->sends.push_back(
      {from, exchange, hint.change.item.partition, std::move(reply), kept ? after : 0});
}

MintOutcome StandIn::Mint(const ItemKey& item, GuestWork work, WriteIntent intent, Instant now) {
  MintOutcome minted = guest_.Mint(item, std::move(work.known), std::move(work.explained),
                                   std::move(intent), now.wall_ms);
  if (minted.kind == MintOutcome::Kind::kMinted) ++figures_.guests;
  return minted;
}

void StandIn::OnFetchHints(NodeId from, ExchangeId exchange, const ItemKey& item,
                           Effects* effects) {
  const Look look{from, exchange, item};
  HintScan scan;
  for (NodeId owner : log_.OwnersOf(item.partition)) {
    const std::string prefix = HintItemPrefix(owner, item);
    scan.ranges.push_back({prefix, PrefixEnd(prefix)});
  }
  if (scan.ranges.empty()) return Answer(look, HintPage(), effects);
  scan.id = next_id_++;
  scan.most = kMostOfAnItem;
  scan.most_bytes = kMostBytesOfAnItem;
  looks_.emplace(scan.id, look);
  effects->scans.push_back(std::move(scan));
}

void StandIn::Answer(const Look& look, const HintPage& page, Effects* effects) {
  Record merged;
  std::vector<Minted> minted;
  for (const KeptHint& hint : page.hints) {
    merged = Sync(std::move(merged), hint.record);
    minted.insert(minted.end(), hint.minted.begin(), hint.minted.end());
  }
  std::sort(minted.begin(), minted.end());
  minted.erase(std::unique(minted.begin(), minted.end()), minted.end());
  effects->sends.push_back(
      {look.from, look.exchange, look.item.partition,
       FetchReply{{look.item, std::make_shared<const Record>(std::move(merged)), std::move(minted)},
                  {}}});
}

// ------------------------------------------------------------------------------------ handing over

void StandIn::OnPeer(NodeId node, bool reachable, Instant now) {
  const auto errand = errands_.find(node);
  if (reachable) {
    if (reachable_.insert(node).second && errand != errands_.end()) {
      errand->second.next_pass = now.monotonic;
    }
  } else if (reachable_.erase(node) > 0 && errand != errands_.end()) {
    errand->second.pass.reset();  // what was under way is still kept
  }
}

void StandIn::OnView() {
  for (auto& [owner, errand] : errands_) errand.look_through = true;
}

void StandIn::OnWake(Instant now, Effects* effects) {
  if (sweep_at_ <= now.monotonic) {
    sweep_at_ = now.monotonic + kSweep;
    for (auto& [owner, errand] : errands_) {
      if (log_.MayHaveOld(owner, now.wall_ms)) errand.look_through = true;
    }
  }
  std::vector<NodeId> owners;
  for (const auto& [owner, errand] : errands_) owners.push_back(owner);
  for (NodeId owner : owners) {
    Errand& errand = errands_.at(owner);
    if (errand.pass.has_value()) {
      std::erase_if(errand.pass->under_way,
                    [&](const auto& one) { return one.second.give_up_at <= now.monotonic; });
    } else if (IsDue(owner, errand) && errand.next_pass <= now.monotonic) {
      if (!MayBegin()) {
        errand.next_pass = now.monotonic + kShortRest;
        continue;
      }
      errand.look_through = false;
      errand.pass.emplace();
      TurnPage(owner, PartitionId(), &*errand.pass);
    }
    Pump(owner, now, effects);
  }
}

void StandIn::Pump(NodeId owner, Instant now, Effects* effects) {
  Errand& errand = errands_.at(owner);
  if (!errand.pass.has_value()) return;
  Pass& pass = *errand.pass;
  while (!pass.waiting.empty() && pass.under_way.size() < errand.window.size() &&
         errand.window.open_at() <= now.monotonic) {
    const ExchangeId id = next_id_++;
    KeptHint hint = std::move(pass.waiting.front());
    pass.waiting.pop_front();
    effects->sends.push_back(
        {owner, id, hint.key.item.partition,
         Handoff{{hint.key.item, std::make_shared<const Record>(hint.record), hint.minted}}});
    pass.under_way.emplace(id, UnderWay{std::move(hint), now.monotonic + kPatience});
  }
  if (!pass.waiting.empty() || pass.scan != 0) return;
  if (pass.partition.has_value()) return Read(owner, &pass, effects);
  if (!pass.under_way.empty()) return;
  errand.pass.reset();
  errand.next_pass = now.monotonic + kRest;
  if (log_.CountOf(owner).hints == 0) errands_.erase(owner);
}

void StandIn::Read(NodeId owner, Pass* pass, Effects* effects) {
  const std::string prefix = HintPartitionPrefix(owner, *pass->partition);
  HintScan scan;
  scan.id = pass->scan = next_id_++;
  scan.ranges.push_back({pass->from.empty() ? prefix : pass->from, PrefixEnd(prefix)});
  passes_.emplace(scan.id, owner);
  effects->scans.push_back(std::move(scan));
}

void StandIn::TurnPage(NodeId owner, PartitionId from, Pass* pass) {
  pass->partition = log_.NextPartition(owner, from);
  pass->from.clear();
  pass->oldest_ms = 0;
}

void StandIn::OnScan(uint64_t id, absl::StatusOr<HintPage> page, const View& view, Instant now,
                     Effects* effects) {
  if (const auto look = looks_.find(id); look != looks_.end()) {
    if (page.ok()) {
      Answer(look->second, *page, effects);
    } else {
      effects->sends.push_back({look->second.from, look->second.exchange,
                                look->second.item.partition, Failed{Outcome::Code::kCorrupt}});
    }
    looks_.erase(look);
    return;
  }
  const auto read = passes_.find(id);
  if (read == passes_.end()) return;
  const NodeId owner = read->second;
  passes_.erase(read);
  const auto errand = errands_.find(owner);
  // The owner was lost meanwhile.
  if (errand == errands_.end() || !errand->second.pass.has_value()) return;
  Pass& pass = *errand->second.pass;
  if (pass.scan != id) return;
  pass.scan = 0;
  if (page.ok()) {
    for (KeptHint& hint : page->hints) Sort(std::move(hint), view, now, &pass);
  }
  if (page.ok() && !page->next.empty()) {
    pass.from = page->next;
  } else {
    const PartitionId done = *pass.partition;
    if (page.ok() && pass.oldest_ms != 0) log_.NoteOldest(owner, done, pass.oldest_ms);
    TurnPage(owner, After(done), &pass);
  }
  Pump(owner, now, effects);
}

void StandIn::Sort(KeptHint hint, const View& view, Instant now, Pass* pass) {
  const ItemKey& item = hint.key.item;
  const absl::Span<const NodeId> owners = view.Owners(item.partition);
  if (owners.empty() || WasDropped(view.topology(), item.table)) return Drop(hint);
  if (log_.IsOld(hint, now.wall_ms)) {
    ++figures_.expired;
    return Drop(hint);
  }
  if (!view.IsOwner(item.partition, hint.key.owner)) return Redirect(hint, owners);
  pass->oldest_ms = pass->oldest_ms == 0 ? hint.since_ms : std::min(pass->oldest_ms, hint.since_ms);
  if (Reachable(hint.key.owner)) pass->waiting.push_back(std::move(hint));
}

void StandIn::Redirect(const KeptHint& hint, absl::Span<const NodeId> owners) {
  bool all = true;
  store_->CommitBeside(Durability::kFsync, [&](WriteBatch* batch) {
    for (NodeId owner : owners) {
      if (!log_.Keep(owner, hint.key.item, hint.record, hint.minted, hint.ownerless, hint.since_ms,
                     batch)) {
        all = false;
        continue;
      }
      errands_.try_emplace(owner);
    }
  });
  if (all) Drop(hint);  // else it stays, and the next pass tries again
}

void StandIn::Drop(const KeptHint& hint) {
  // Losing this in a power cut means that it is handed over once more, which is harmless: no sync.
  guest_.Forget(hint.key.item.partition);
  last_drop_ = store_->CommitBeside(Durability::kPeriodic,
                                    [&](WriteBatch* batch) { log_.Drop(hint, batch); });
}

void StandIn::OnReply(NodeId from, ExchangeId exchange, const PeerBody& body, Instant now,
                      Effects* effects) {
  const auto errand = errands_.find(from);
  if (errand == errands_.end() || !errand->second.pass.has_value()) return;
  Pass& pass = *errand->second.pass;
  const auto it = pass.under_way.find(exchange);
  if (it == pass.under_way.end()) return;  // late, or doubled
  KeptHint hint = std::move(it->second.hint);
  pass.under_way.erase(it);
  const Failed* const failed = std::get_if<Failed>(&body);
  if (std::holds_alternative<ApplyReply>(body)) {
    ++figures_.delivered;
    errand->second.window.OnTaken();
    Drop(hint);
  } else if (failed != nullptr && failed->code == Outcome::Code::kOverloaded) {
    errand->second.window.OnOverloaded(now.monotonic);
    pass.waiting.push_front(std::move(hint));
  }  // else it is left to the next pass
  Pump(from, now, effects);
}

// -------------------------------------------------------------------------------------------- time

Time StandIn::wake() const {
  Time wake = errands_.empty() ? Time::Never() : sweep_at_;
  for (const auto& [owner, errand] : errands_) {
    if (!errand.pass.has_value()) {
      if (IsDue(owner, errand)) wake = std::min(wake, errand.next_pass);
      continue;
    }
    for (const auto& [id, one] : errand.pass->under_way) wake = std::min(wake, one.give_up_at);
    if (!errand.pass->waiting.empty() && errand.pass->under_way.size() < errand.window.size()) {
      wake = std::min(wake, errand.window.open_at());
    }
  }
  return wake;
}

}  // namespace gyre
