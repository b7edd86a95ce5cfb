#include "server/stand_in.h"

#include <algorithm>
#include <optional>

#include "ring/check.h"
#include "ring/cluster_time.h"

namespace gyre {
namespace {

PartitionId After(PartitionId partition) { return PartitionId::FromValue(partition.value() + 1); }

}  // namespace

StandIn::StandIn(NodeId self, HintLog log, Guest guest, ReplicaStore* store,
                 ExchangeId first_exchange)
    : self_(self),
      log_(std::move(log)),
      guest_(std::move(guest)),
      store_(store),
      next_id_(first_exchange) {
  // What the process before this one had still to look through is not known.
  for (NodeId owner : log_.Owners()) errands_.try_emplace(owner).first->second.look_through = true;
}

// ----------------------------------------------------------------------------------------- keeping

void StandIn::OnHint(NodeId from, ExchangeId exchange, Hint hint, Instant now, Effects* effects) {
  bool kept = false;
  const CommitSeq after = store_->CommitBeside(hint.durability, [&](WriteBatch* batch) {
    kept = log_.Keep({hint.owner}, hint.change.item, *hint.change.record, hint.change.minted,
                     hint.ownerless, TimeMs(now).value_or(0), batch);
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
  Look look{from, exchange, item, {}, {}, {}};
  for (NodeId owner : log_.OwnersOf(item.partition)) {
    const std::string prefix = HintItemPrefix(owner, item);
    look.ranges.push_back({prefix, PrefixEnd(prefix)});
  }
  if (look.ranges.empty()) return Answer(std::move(look), effects);
  if (looks_.size() >= kMostLooks) {
    effects->sends.push_back({from, exchange, item.partition, Failed{Outcome::Code::kOverloaded}});
    return;
  }
  LookOn(std::move(look), effects);
}

void StandIn::LookOn(Look look, Effects* effects) {
  HintScan scan;
  scan.id = next_id_++;
  scan.ranges = look.ranges;
  scan.awaited = true;
  looks_.emplace(scan.id, std::move(look));
  effects->scans.push_back(std::move(scan));
}

void StandIn::OnLooked(Look look, const HintPage& page, Effects* effects) {
  for (const KeptHint& hint : page.hints) {
    look.merged = Sync(std::move(look.merged), hint.record);
    look.minted.insert(look.minted.end(), hint.minted.begin(), hint.minted.end());
  }
  std::sort(look.minted.begin(), look.minted.end());
  look.minted.erase(std::unique(look.minted.begin(), look.minted.end()), look.minted.end());
  if (page.next.empty()) return Answer(std::move(look), effects);
  std::erase_if(look.ranges, [&](const HintScan::Range& one) { return one.end <= page.next; });
  look.ranges.front().begin = page.next;
  LookOn(std::move(look), effects);
}

void StandIn::Answer(Look look, Effects* effects) {
  effects->sends.push_back(
      {look.from, look.exchange, look.item.partition,
       FetchReply{{look.item, std::make_shared<const Record>(std::move(look.merged)),
                   std::move(look.minted)},
                  {}}});
}

// ------------------------------------------------------------------------------------ handing over

void StandIn::OnPeer(NodeId node, bool reachable, Instant now) {
  const auto errand = errands_.find(node);
  if (reachable) {
    if (reachable_.insert(node).second && errand != errands_.end()) {
      errand->second.next_pass = now.monotonic;
      errand->second.rest = kRest;
      errand->second.patience = kPatience;
    }
  } else if (reachable_.erase(node) > 0 && errand != errands_.end()) {
    // What was under way is still kept.
    if (errand->second.pass.has_value()) errand->second.look_through = true;
    errand->second.pass.reset();
  }
}

// What is kept is to be read only where that changes what becomes of it: a table is no more, or the
// owner of a partition.
void StandIn::OnView(const View& before, const View& view) {
  const std::vector<TableSpec>& tables = before.topology().tables;
  const bool dropped = std::any_of(tables.begin(), tables.end(), [&](const TableSpec& table) {
    return WasDropped(view.topology(), table.id);
  });
  for (auto& [owner, errand] : errands_) {
    if (!dropped && OwnsAllKept(owner, view)) continue;
    errand.look_through = true;
    errand.pass.reset();  // what waits in it was sorted by the document before
  }
}

bool StandIn::OwnsAllKept(NodeId owner, const View& view) const {
  std::optional<PartitionId> kept = log_.NextPartition(owner, PartitionId());
  while (kept.has_value() && view.IsReplica(*kept, owner)) {
    kept = log_.NextPartition(owner, After(*kept));
  }
  return !kept.has_value();
}

void StandIn::OnWake(Instant now, Effects* effects) {
  if (sweep_at_ <= now.monotonic) {
    sweep_at_ = now.monotonic + kSweep;
    if (const std::optional<uint64_t> time_ms = TimeMs(now)) {
      for (auto& [owner, errand] : errands_) {
        if (log_.MayHaveOld(owner, *time_ms)) errand.look_through = true;
      }
    }
  }
  std::vector<NodeId> owners;
  for (const auto& [owner, errand] : errands_) owners.push_back(owner);
  for (NodeId owner : owners) {
    Errand& errand = errands_.at(owner);
    if (errand.pass.has_value()) {
      Pass& pass = *errand.pass;
      const size_t given_up = std::erase_if(pass.under_way, [&](const auto& one) {
        if (one.second.give_up_at > now.monotonic) return false;
        pass.bytes_under_way -= one.second.hint.bytes;
        return true;
      });
      if (given_up > 0) {
        errand.window.OnOverloaded(now.monotonic);
        errand.patience = std::min(kLongestPatience, errand.patience + errand.patience);
      }
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

bool StandIn::MaySend(const Errand& errand) {
  const Pass& pass = *errand.pass;
  if (pass.waiting.empty() || pass.under_way.size() >= errand.window.size()) return false;
  return pass.under_way.empty() || pass.bytes_under_way + pass.waiting.front().bytes <= kMostBytes;
}

void StandIn::Pump(NodeId owner, Instant now, Effects* effects) {
  Errand& errand = errands_.at(owner);
  if (!errand.pass.has_value()) return;
  Pass& pass = *errand.pass;
  while (MaySend(errand) && errand.window.open_at() <= now.monotonic) {
    const ExchangeId id = next_id_++;
    KeptHint hint = std::move(pass.waiting.front());
    pass.waiting.pop_front();
    effects->sends.push_back(
        {owner, id, hint.key.item.partition,
         Handoff{{hint.key.item, std::make_shared<const Record>(hint.record), hint.minted}}});
    pass.bytes_under_way += hint.bytes;
    pass.under_way.emplace(id, UnderWay{std::move(hint), now.monotonic + errand.patience});
  }
  if (!pass.waiting.empty() || pass.scan != 0) return;
  if (pass.partition.has_value()) return Read(owner, &pass, effects);
  if (!pass.under_way.empty()) return;
  // A pass that brought nothing makes the next one wait longer.
  errand.rest = pass.delivered ? kRest : std::min(kLongestRest, errand.rest + errand.rest);
  errand.pass.reset();
  errand.next_pass = now.monotonic + errand.rest;
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
  pass->oldest_ms.reset();
  pass->ageing_ms = HintCount::kNever;
}

void StandIn::OnScan(uint64_t id, absl::StatusOr<HintPage> page, const View& view, Instant now,
                     Effects* effects) {
  if (const auto look = looks_.find(id); look != looks_.end()) {
    Look one = std::move(look->second);
    looks_.erase(look);
    if (page.ok()) return OnLooked(std::move(one), *page, effects);
    effects->sends.push_back(
        {one.from, one.exchange, one.item.partition, Failed{Outcome::Code::kCorrupt}});
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
    for (const DamagedHint& hint : page->damaged) DropDamaged(hint);
    for (KeptHint& hint : page->hints) Sort(std::move(hint), view, TimeMs(now), &pass);
  }
  if (page.ok() && !page->next.empty()) {
    pass.from = page->next;
  } else {
    const PartitionId done = *pass.partition;
    if (page.ok() && pass.oldest_ms.has_value()) {
      // What was kept since it was read is not older than now.
      const uint64_t ageing_ms = std::min(pass.ageing_ms, TimeMs(now).value_or(0));
      log_.NoteOldest(owner, done, *pass.oldest_ms, ageing_ms);
    }
    TurnPage(owner, After(done), &pass);
  }
  Pump(owner, now, effects);
}

void StandIn::Sort(KeptHint hint, const View& view, std::optional<uint64_t> time_ms, Pass* pass) {
  const ItemKey& item = hint.key.item;
  if (WasDropped(view.topology(), item.table)) return Drop(hint);
  const View::Nodes owners = view.Replicas(item.partition);
  const bool placed = !owners.empty();  // else a newer document has its table
  if (placed && !view.IsReplica(item.partition, hint.key.owner)) return Redirect(hint, owners);
  const bool reachable = placed && Reachable(hint.key.owner);
  if (!reachable && time_ms.has_value()) {
    if (log_.IsOld(hint, *time_ms)) {
      ++figures_.expired;
      return Drop(hint);
    }
    if (hint.since_ms == 0) {
      store_->CommitBeside(Durability::kPeriodic,
                           [&](WriteBatch* batch) { HintLog::Stamp(&hint, *time_ms, batch); });
    }
  }
  pass->oldest_ms = std::min(pass->oldest_ms.value_or(hint.since_ms), hint.since_ms);
  if (!hint.ownerless) pass->ageing_ms = std::min(pass->ageing_ms, hint.since_ms);
  if (reachable) pass->waiting.push_back(std::move(hint));
}

void StandIn::Redirect(const KeptHint& hint, absl::Span<const NodeId> owners) {
  bool kept = false;
  store_->CommitBeside(Durability::kFsync, [&](WriteBatch* batch) {
    kept = log_.Keep(owners, hint.key.item, hint.record, hint.minted, hint.ownerless, hint.since_ms,
                     batch);
  });
  if (kept) {
    for (NodeId owner : owners) errands_.try_emplace(owner);
    return Drop(hint);
  }
  // There is no room for all of them. One that has it tells the others.
  const auto there =
      std::find_if(owners.begin(), owners.end(), [&](NodeId owner) { return Reachable(owner); });
  const NodeId owner = there != owners.end() ? *there : owners.front();
  errands_.try_emplace(owner);
  last_drop_ = store_->CommitBeside(Durability::kFsync,
                                    [&](WriteBatch* batch) { log_.Readdress(hint, owner, batch); });
}

void StandIn::DropDamaged(const DamagedHint& hint) {
  ++figures_.damaged;
  last_drop_ = store_->CommitBeside(Durability::kPeriodic,
                                    [&](WriteBatch* batch) { log_.DropDamaged(hint, batch); });
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
  pass.bytes_under_way -= hint.bytes;
  pass.under_way.erase(it);
  const Failed* const failed = std::get_if<Failed>(&body);
  if (std::holds_alternative<ApplyReply>(body)) {
    ++figures_.delivered;
    pass.delivered = true;
    errand->second.window.OnTaken();
    errand->second.patience = kPatience;
    Drop(hint);
  } else {
    errand->second.window.OnOverloaded(now.monotonic);
    if (failed != nullptr && failed->code == Outcome::Code::kOverloaded) {
      pass.waiting.push_front(std::move(hint));
    } else if (failed == nullptr || failed->code == Outcome::Code::kStorageFailed) {
      // It takes nothing at all for now. One that is damaged there is left alone by itself.
      pass.Stop();
    }
  }
  Pump(from, now, effects);
}

// -------------------------------------------------------------------------------------------- time

std::optional<uint64_t> StandIn::TimeMs(Instant now) const {
  if (!time_offset_ms_.has_value()) return std::nullopt;
  return ClusterTime::At(now.monotonic, *time_offset_ms_);
}

Time StandIn::wake() const {
  Time wake = errands_.empty() ? Time::Never() : sweep_at_;
  for (const auto& [owner, errand] : errands_) {
    if (!errand.pass.has_value()) {
      if (IsDue(owner, errand)) wake = std::min(wake, errand.next_pass);
      continue;
    }
    for (const auto& [id, one] : errand.pass->under_way) wake = std::min(wake, one.give_up_at);
    if (MaySend(errand)) {
      wake = std::min(wake, errand.window.open_at());
    }
  }
  return wake;
}

}  // namespace gyre
