#include "server/repair.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "server/copy_pace.h"

namespace gyre {
namespace {

// Ids come round again after so many: who asked so long ago is long gone.
constexpr uint64_t kIds = uint64_t{1} << 32;

// Before what was refused is asked for again, the first time: who gives has mostly not yet put the
// document in force that the asker has.
constexpr Duration kLater = Duration::Millis(100);

// Of the log that comes with a copy: some 10 MB.
constexpr size_t kMostLogRows = 65'536;

}  // namespace

Repair::Repair(RepairOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
               ExchangeId first_exchange, Random random)
    : options_(options),
      view_(std::move(view)),
      store_(store),
      first_id_(first_exchange),
      random_(random) {
  List(nullptr);
}

void Repair::OnView(std::shared_ptr<const View> view) {
  const std::shared_ptr<const View> before = std::exchange(view_, std::move(view));
  List(before.get());
  for (auto& [id, copying] : copies_) {
    if (copying.ask_again == Time::Never()) continue;
    copying.ask_again = rests_until_;
    copies_wake_ = std::min(copies_wake_, rests_until_);
  }
}

void Repair::List(const View* before) {
  missing_changed_ = true;
  std::erase_if(missing_, [&](const auto& entry) { return !store_->Owns(entry.first); });
  std::erase_if(left_, [&](const auto& entry) { return !store_->Owns(entry.first.second); });
  std::erase_if(passed_, [&](const auto& entry) { return !store_->Owns(entry.first.second); });
  std::erase_if(waits_, [&](const auto& entry) { return !store_->Owns(entry.first.second); });
  std::erase_if(in_a_hurry_, [&](const Pair& pair) { return !store_->Owns(pair.second); });
  std::erase_if(to_copy_, [&](const auto& entry) { return !store_->Owns(entry.first.second); });
  std::erase_if(fillings_, [&](const auto& entry) { return !store_->Owns(entry.first); });
  std::erase_if(in_step_, [&](const auto& entry) { return !store_->Owns(entry.first); });
  std::erase_if(under_way_, [&](const auto& entry) {
    return !store_->Owns(entry.second.exchange.partition());
  });
  std::erase_if(copies_,
                [&](const auto& entry) { return !store_->Owns(entry.second.copy.partition()); });
  const std::vector<PartitionId> round = std::exchange(round_, {});
  store_->ForEachClock(
      [&](PartitionId id, ReplicaId, const PartitionClock&) { round_.push_back(id); });
  KeepPlace(round);
  for (PartitionId partition : round_) {
    if (!std::binary_search(round.begin(), round.end(), partition)) {
      Hasten(partition);
    } else if (store_->Filling(partition)) {
      ListUnheard(partition);
    }
    const Move* const move = view_->FindMove(partition);
    if (move == nullptr || move->to != view_->self()) continue;
    const Move* const was = before == nullptr ? nullptr : before->FindMove(partition);
    const bool waits = move->step == MoveStep::kSwitched && !MayStep(*move);
    if ((was != nullptr && *was == *move) && !(waits && !IsPending({move->from, partition}))) {
      continue;
    }
    in_a_hurry_.emplace(move->from, partition);
    ask_at_ = Time();
  }
}

// Views may come faster than a round takes: each partition is to have its turn all the same.
void Repair::KeepPlace(const std::vector<PartitionId>& before) {
  if (before.empty() || round_.empty()) {
    next_ = 0;
    return;
  }
  const size_t pass = next_ / before.size();
  const auto place = std::lower_bound(round_.begin(), round_.end(), before[next_ % before.size()]);
  next_ = pass * round_.size() + static_cast<size_t>(place - round_.begin());
}

bool Repair::IsPending(const Pair& pair) const {
  const bool asked = std::any_of(under_way_.begin(), under_way_.end(), [&](const auto& entry) {
    const ClockExchange& exchange = entry.second.exchange;
    return exchange.peer() == pair.first && exchange.partition() == pair.second;
  });
  return asked || waits_.contains(pair) || to_copy_.contains(pair) || IsCopied(pair.second);
}

void Repair::Hasten(PartitionId partition) {
  for (NodeId owner : view_->PeersOf(partition)) in_a_hurry_.emplace(owner, partition);
  if (store_->Filling(partition)) ListUnheard(partition);
}

std::set<NodeId> Repair::ToHear(PartitionId partition) const {
  const Move* const move = view_->FindMove(partition);
  const bool moves_here =
      move != nullptr && move->to == view_->self() && move->step == MoveStep::kFilling;
  if (moves_here && view_->FindMember(move->from)->state != MemberState::kDead) {
    return {move->from};
  }
  const View::Nodes peers = view_->PeersOf(partition);
  return {peers.begin(), peers.end()};
}

void Repair::ListUnheard(PartitionId partition) {
  Filling& filling = fillings_[partition];
  const Epoch since = store_->MovedSince(partition);
  if (filling.since != since) filling = Filling{since};
  const std::set<NodeId> before = std::exchange(filling.unheard, ToHear(partition));
  for (NodeId node : filling.heard) filling.unheard.erase(node);
  for (NodeId node : filling.unheard) {
    if (!before.contains(node)) in_a_hurry_.emplace(node, partition);
  }
  if (!filling.unheard.empty()) return;
  fillings_.erase(partition);
  store_->EndFilling(partition);  // nobody else has what was lost
}

bool Repair::Fills(PartitionId partition, NodeId from) const {
  const auto it = fillings_.find(partition);
  return it != fillings_.end() && it->second.unheard.contains(from);
}

bool Repair::MayStep(const Move& move) const {
  if (!store_->Owns(move.partition)) return false;
  if (move.step == MoveStep::kFilling) {
    return store_->MovedSince(move.partition) == move.since && !store_->Filling(move.partition);
  }
  const auto it = in_step_.find(move.partition);
  return view_->FindMember(move.from)->state == MemberState::kDead ||
         (it != in_step_.end() && it->second >= move.switched);
}

void Repair::OnWhole() {
  std::erase_if(fillings_, [&](const auto& entry) { return !store_->Filling(entry.first); });
  waits_.clear();
}

void Repair::Forget(PartitionId partition) {
  std::erase_if(under_way_,
                [&](const auto& entry) { return entry.second.exchange.partition() == partition; });
  std::erase_if(copies_,
                [&](const auto& entry) { return entry.second.copy.partition() == partition; });
}

void Repair::OnLostState(Instant now) {
  // Nothing that was compared before counts.
  fillings_.clear();
  in_step_.clear();
  under_way_.clear();
  copies_.clear();
  left_.clear();
  passed_.clear();
  waits_.clear();
  for (PartitionId partition : round_) Hasten(partition);
  ask_at_ = std::min(ask_at_, now.monotonic);
}

void Repair::OnPeer(NodeId node, bool reachable, Instant now) {
  if (!reachable) {
    unreachable_.insert(node);
    std::erase_if(under_way_,
                  [&](const auto& entry) { return entry.second.exchange.peer() == node; });
    std::erase_if(copies_, [&](const auto& entry) { return entry.second.copy.peer() == node; });
    std::erase_if(left_, [&](const auto& entry) { return entry.first.first == node; });
    std::erase_if(passed_, [&](const auto& entry) { return entry.first.first == node; });
    std::erase_if(waits_, [&](const auto& entry) { return entry.first.first == node; });
    return;
  }
  if (unreachable_.erase(node) == 0) return;
  for (PartitionId partition : round_) {
    if (view_->IsReplica(partition, node)) in_a_hurry_.emplace(node, partition);
  }
  ask_at_ = std::min(ask_at_, now.monotonic);
}

void Repair::OnNothingNew(PartitionId partition, NodeId owner, Epoch epoch) {
  ForgetMissing(partition, owner);
  if (fillings_.contains(partition)) return;
  NoteMoveInStep(partition, owner, epoch);
  in_a_hurry_.erase({owner, partition});
  waits_.erase({owner, partition});
}

// ------------------------------------------------------------------------------------ asking

void Repair::OnWake(Instant now, Effects* effects) {
  std::erase_if(under_way_, [&](const auto& entry) {
    const ClockExchange& exchange = entry.second.exchange;
    if (exchange.deadline() > now.monotonic) return false;
    AskLater(exchange.partition(), exchange.peer(), entry.second.hurried, now);
    return true;
  });
  std::erase_if(copies_, [&](const auto& entry) {
    const PartitionCopy& copy = entry.second.copy;
    if (copy.deadline() > now.monotonic) return false;
    AskLater(copy.partition(), copy.peer(), false, now);
    return true;
  });
  if (copies_wake_ <= now.monotonic) AskPages(now, effects);
  BeginCopies(now, effects);
  if (waits_end_ <= now.monotonic) HastenWaiting(now.monotonic);
  if (ask_at_ <= now.monotonic) AskNext(now, effects);
}

void Repair::AskLater(PartitionId partition, NodeId owner, bool pressing, Instant now) {
  const Move* const move = view_->FindMove(partition);
  const bool moves_here = move != nullptr && move->to == view_->self() && move->from == owner;
  const bool fills = Fills(partition, owner) || (moves_here && !MayStep(*move));
  if (!fills && !pressing) return;
  const auto [it, first] = waits_.try_emplace({owner, partition}, Wait{kLater, Time::Never()});
  Wait& wait = it->second;
  if (!first) wait.pause = wait.pause * 2;
  if (wait.pause > options_.interval && !fills) {
    waits_.erase(it);
    return;  // its turn comes as soon
  }
  wait.pause = std::max(kLater, std::min(wait.pause, options_.interval));
  wait.ends_at = now.monotonic + wait.pause;
  waits_end_ = std::min(waits_end_, wait.ends_at);
}

void Repair::HastenWaiting(Time now) {
  waits_end_ = Time::Never();
  for (auto& [of, wait] : waits_) {
    if (wait.ends_at <= now) {
      wait.ends_at = Time::Never();
      in_a_hurry_.insert(of);
      ask_at_ = std::min(ask_at_, now);
    }
    waits_end_ = std::min(waits_end_, wait.ends_at);
  }
}

void Repair::AskNext(Instant now, Effects* effects) {
  if (round_.empty()) {
    ask_at_ = now.monotonic + options_.interval;
    return;
  }
  const size_t most = std::min(options_.at_once, round_.size());
  size_t asked = 0;
  while (asked < most && under_way_.size() < options_.max_exchanges) {
    ++asked;
    const std::optional<Pair> hurried = NextInAHurry();
    if (hurried.has_value()) {
      Begin(hurried->second, hurried->first, true, now, effects);
    } else {
      GoRound(now, effects);
    }
  }
  const Duration pace = in_a_hurry_.empty() ? options_.interval : options_.hurry;
  const int64_t gap_us = std::max<int64_t>(
      1, pace.micros() * std::max<int64_t>(1, static_cast<int64_t>(asked)) / std::ssize(round_));
  // A little jitter, so that owners do not fall into step with each other.
  ask_at_ = now.monotonic + Duration::Micros(random_.Between(gap_us / 2, gap_us * 3 / 2 + 1));
}

std::optional<Repair::Pair> Repair::NextInAHurry() {
  while (!in_a_hurry_.empty()) {
    const Pair next = *in_a_hurry_.begin();
    in_a_hurry_.erase(in_a_hurry_.begin());
    if (Reachable(next.first)) return next;  // else it is asked when it is back
  }
  return std::nullopt;
}

void Repair::GoRound(Instant now, Effects* effects) {
  const PartitionId partition = round_[next_ % round_.size()];
  const size_t pass = next_++ / round_.size();
  figures_.log_dropped += store_->BoundLog(partition);
  std::vector<NodeId> peers;
  for (NodeId owner : view_->PeersOf(partition)) {
    if (Reachable(owner)) peers.push_back(owner);
  }
  if (view_->Replicas(partition).size() == 1) {
    const std::optional<VersionVector> bases = store_->DurableBases(partition);
    if (bases.has_value()) store_->OnReport(partition, view_->self(), *bases, {}, now.monotonic);
  }
  if (!peers.empty()) Begin(partition, peers[pass % peers.size()], false, now, effects);
}

void Repair::Begin(PartitionId partition, NodeId peer, bool hurried, Instant now,
                   Effects* effects) {
  in_a_hurry_.erase({peer, partition});
  const ExchangeId id = first_id_ + ids_++ % kIds;
  const auto passed = passed_.find({peer, partition});
  const Dot after = passed == passed_.end() ? Dot{} : passed->second;
  const auto [it, _] =
      under_way_.emplace(id, UnderWay{ClockExchange(partition, peer, now.monotonic, after)});
  it->second.hurried = hurried;
  it->second.begun = view_->epoch();
  Ask(id, it->second.exchange, effects);
  ++figures_.exchanges;
}

void Repair::Ask(ExchangeId id, const ClockExchange& exchange, Effects* effects) {
  const PartitionId partition = exchange.partition();
  ClockAsk ask{store_->Clock(partition), store_->DurableBases(partition), exchange.counts(),
               exchange.after()};
  effects->asks.push_back({exchange.peer(), id, partition, std::move(ask)});
}

// ------------------------------------------------------------------------------------ taking in

void Repair::OnAnswer(ExchangeId id, NodeId from, PartitionId partition, ClockAnswer answer,
                      Instant now, Effects* effects) {
  auto it = under_way_.find(id);
  if (it == under_way_.end()) return;
  ClockExchange& exchange = it->second.exchange;
  if (exchange.peer() != from || !exchange.expecting()) return;
  const bool about_it =
      std::all_of(answer.items.begin(), answer.items.end(), [&](const ExplainedRecord& explained) {
        return explained.item.partition == exchange.partition();
      });
  if (partition != exchange.partition() || !about_it) {
    ++figures_.misdirected;
    return;
  }
  it->second.filling = it->second.filling || answer.filling;
  if (!fillings_.contains(partition)) waits_.erase({from, partition});
  store_->NoteSeen(partition, answer.bases);
  NoteMissing(&it->second, answer);
  exchange.OnAnswer(answer, now.monotonic);
  it->second.arriving = answer.items.size();
  it->second.missed = false;
  it->second.mended = answer.mended;
  if (answer.items.empty()) return EndAnswer(id, now, effects);
  for (ExplainedRecord& change : answer.items) {
    effects->arrivals.push_back({id, std::move(change), false});
  }
}

void Repair::OnTakenIn(ExchangeId id, bool taken, Instant now, Effects* effects) {
  if (auto copy = copies_.find(id); copy != copies_.end()) {
    if (!taken) copy->second.copy.OnMissed();
    if (--copy->second.arriving == 0) GoOn(id, &copy->second, now, effects);
    return;
  }
  if (taken) ++figures_.items;
  auto it = under_way_.find(id);
  if (it == under_way_.end()) return;
  if (taken) {
    waits_.erase({it->second.exchange.peer(), it->second.exchange.partition()});
  } else {
    it->second.missed = true;
    it->second.exchange.OnMissed();
  }
  if (--it->second.arriving == 0) EndAnswer(id, now, effects);
}

void Repair::EndAnswer(ExchangeId id, Instant now, Effects* effects) {
  auto it = under_way_.find(id);
  LessenMissing(&it->second);
  ClockExchange& exchange = it->second.exchange;
  const PartitionId partition = exchange.partition();
  const NodeId peer = exchange.peer();
  switch (exchange.OnTakenIn()) {
    case ClockExchange::Next::kAskAgain:
      return Ask(id, exchange, effects);
    case ClockExchange::Next::kJoinBases:
      store_->JoinBases(partition, exchange.bases());
      NoteInStep(partition, peer, it->second.begun, it->second.filling, now, effects);
      break;
    case ClockExchange::Next::kCopy:
      ++figures_.log_cuts;
      if (MayCopy({peer, partition}, it->second.mended, now.monotonic)) {
        to_copy_.insert_or_assign({peer, partition}, it->second.mended);
      } else {
        AskLater(partition, peer, false, now);
      }
      break;
    case ClockExchange::Next::kGiveUp:
      AskLater(partition, peer, false, now);
      break;
  }
  if (exchange.after() == Dot{}) {
    passed_.erase({peer, partition});
  } else {
    passed_.insert_or_assign({peer, partition}, exchange.after());
  }
  under_way_.erase(it);
  BeginCopies(now, effects);
}

void Repair::NoteMoveInStep(PartitionId partition, NodeId owner, Epoch epoch) {
  const Move* const move = view_->FindMove(partition);
  if (move == nullptr || move->to != view_->self() || move->from != owner) return;
  in_step_[partition] = std::max(in_step_[partition], epoch);
}

void Repair::NoteInStep(PartitionId partition, NodeId owner, Epoch begun, bool filling, Instant now,
                        Effects* effects) {
  ForgetMissing(partition, owner);
  effects->in_step.push_back({partition, owner});
  waits_.erase({owner, partition});
  NoteMoveInStep(partition, owner, begun);
  const auto it = fillings_.find(partition);
  if (it == fillings_.end()) return;
  Filling& fill = it->second;
  // Of a move: what its giver had before it knew of the move is not all that it acknowledged.
  if (begun < fill.since) {
    in_a_hurry_.emplace(owner, partition);
    return;
  }
  // Nor is what one has that lost data all that there was. Of two that have, and nobody moves here,
  // each tells the other what there is.
  const Move* const move = view_->FindMove(partition);
  if (filling && move != nullptr && move->to == view_->self()) {
    return AskLater(partition, owner, false, now);
  }
  fill.heard.insert(owner);
  fill.unheard.erase(owner);
  if (!fill.unheard.empty()) return;
  fillings_.erase(it);
  store_->EndFilling(partition);
}

// ------------------------------------------------------------------------------------ copies

void Repair::BeginCopies(Instant now, Effects* effects) {
  if (!to_copy_.empty() && now.monotonic + kLeastRest < rests_until_) {
    copies_wake_ = std::min(copies_wake_, rests_until_);
    return;
  }
  for (auto next = to_copy_.begin(); next != to_copy_.end() && copies_.size() < most_copies_;) {
    const auto [peer, partition] = next->first;
    const uint64_t mended = next->second;
    // Two at once would each bring back what the other has seen deleted.
    if (IsCopied(partition)) {
      ++next;
      continue;
    }
    next = to_copy_.erase(next);
    if (!Reachable(peer) || !store_->Owns(partition)) continue;
    const ExchangeId id = first_id_ + ids_++ % kIds;
    Copying& copying = copies_
                           .emplace(id, Copying{PartitionCopy(partition, peer, now.monotonic), 0,
                                                LogTail(kMostLogRows), mended, view_->epoch()})
                           .first->second;
    effects->asks.push_back({peer, id, partition, copying.copy.Question()});
  }
}

bool Repair::MayCopy(const Pair& of, uint64_t mended, Time now) const {
  const auto left = left_.find(of);
  if (left == left_.end()) return true;
  return now >= (left->second.mended == mended ? left->second.again : left->second.pause);
}

void Repair::LeaveCopy(const Copying& copying, Time now) {
  ++figures_.copies_left;
  left_.insert_or_assign(
      Pair(copying.copy.peer(), copying.copy.partition()),
      Left{now + options_.copy_pause, now + options_.copy_again, copying.mended});
}

void Repair::OnMended(PartitionId partition) {
  for (auto& [of, left] : left_) {
    if (of.second == partition) left.again = std::min(left.again, left.pause);
  }
  std::erase_if(passed_, [&](const auto& entry) { return entry.first.second == partition; });
  std::erase_if(waits_, [&](const auto& entry) {
    if (entry.first.second != partition) return false;
    in_a_hurry_.insert(entry.first);  // it may come to more by now
    return true;
  });
}

bool Repair::IsCopied(PartitionId partition) const {
  return std::any_of(copies_.begin(), copies_.end(),
                     [&](const auto& entry) { return entry.second.copy.partition() == partition; });
}

void Repair::OnPage(ExchangeId id, NodeId from, CopyPage page, Instant now, Effects* effects) {
  auto it = copies_.find(id);
  if (it == copies_.end()) return;
  PartitionCopy& copy = it->second.copy;
  if (!copy.Awaits(from, page)) {
    ++figures_.misdirected;
    return;
  }
  if (!copy.Counts(page)) {
    ++figures_.copies_miscounted;
    const PartitionId partition = copy.partition();
    effects->miscounts.push_back(
        {partition, from, *page.records, copy.records() + page.items.size()});
    copies_.erase(it);
    AskLater(partition, from, false, now);
    return BeginCopies(now, effects);
  }
  store_->NoteSeen(copy.partition(), page.clock);
  if (rest_ != nullptr) {
    rests_until_ = std::max(rests_until_, now.monotonic) + rest_(BytesIn(page), now.monotonic);
  }
  figures_.copied_items += page.items.size();
  for (LogRow& row : page.log) it->second.log.Add(std::move(row));
  Arrive(id, copy.OnPage(&page, now.monotonic), &it->second, now, effects);
}

void Repair::OnListed(ExchangeId id, absl::StatusOr<ItemList> list, Instant now, Effects* effects) {
  auto it = copies_.find(id);
  if (it == copies_.end()) return;
  if (!list.ok()) {
    copies_.erase(it);
    return;
  }
  Arrive(id, it->second.copy.OnListed(*list), &it->second, now, effects);
}

void Repair::Arrive(ExchangeId id, std::vector<ExplainedRecord> items, Copying* copying,
                    Instant now, Effects* effects) {
  copying->arriving = items.size();
  if (items.empty()) return GoOn(id, copying, now, effects);
  for (ExplainedRecord& change : items) {
    effects->arrivals.push_back({id, std::move(change), true});
  }
}

void Repair::GoOn(ExchangeId id, Copying* copying, Instant now, Effects* effects) {
  PartitionCopy& copy = copying->copy;
  const PartitionId partition = copy.partition();
  const NodeId peer = copy.peer();
  switch (copy.OnTakenIn()) {
    case PartitionCopy::Next::kAsk: {
      CopyAsk ask = copy.Question();
      if (rests_until_ > now.monotonic + kLeastRest) {
        copying->ask_again = rests_until_;
        copies_wake_ = std::min(copies_wake_, rests_until_);
      } else {
        effects->asks.push_back({peer, id, partition, std::move(ask)});
      }
      return;
    }
    case PartitionCopy::Next::kList:
      effects->listings.push_back({id, copy.Range()});
      return;
    case PartitionCopy::Next::kJoinClock:
      copying->log.ForEach([&](const LogRow& row) { store_->TakeOver(row.item, row.minted); });
      store_->JoinAll(partition, copy.clock());
      ++figures_.copied;
      left_.erase({peer, partition});
      NoteInStep(partition, peer, copying->begun, /*filling=*/false, now, effects);
      CompareAnew(partition, now.monotonic);
      break;
    case PartitionCopy::Next::kGiveUp:
      AskLater(partition, peer, false, now);
      break;
    case PartitionCopy::Next::kLeave:
      LeaveCopy(*copying, now.monotonic);
      AskLater(partition, peer, false, now);
      break;
  }
  copies_.erase(id);
  BeginCopies(now, effects);
}

void Repair::CompareAnew(PartitionId partition, Time now) {
  std::erase_if(to_copy_, [&](const auto& entry) {
    if (entry.first.second != partition) return false;
    in_a_hurry_.insert(entry.first);
    ask_at_ = std::min(ask_at_, now);
    return true;
  });
}

void Repair::TellCopies(const ItemKey& item, const Record& incoming) {
  for (auto& [id, copying] : copies_) {
    if (copying.copy.partition() == item.partition) copying.copy.OnChanged(item, incoming);
  }
}

// What has come of a copy is of its snapshot whatever changes meanwhile, and stays.
void Repair::OnOutdated(ExchangeId id, NodeId from, Instant now) {
  const auto it = copies_.find(id);
  if (it == copies_.end() || it->second.copy.peer() != from) {
    return OnRefused(id, from, /*damaged=*/false, now);
  }
  it->second.ask_again = std::max(rests_until_, now.monotonic + kLater);
  copies_wake_ = std::min(copies_wake_, it->second.ask_again);
}

void Repair::AskPages(Instant now, Effects* effects) {
  copies_wake_ = Time::Never();
  for (auto& [id, copying] : copies_) {
    if (copying.ask_again <= now.monotonic) {
      copying.ask_again = Time::Never();
      const PartitionCopy& copy = copying.copy;
      if (copy.at_first_page()) copying.begun = view_->epoch();
      effects->asks.push_back({copy.peer(), id, copy.partition(), copy.SameQuestion()});
    }
    copies_wake_ = std::min(copies_wake_, copying.ask_again);
  }
}

void Repair::OnRefused(ExchangeId id, NodeId from, bool damaged, Instant now) {
  if (const auto it = under_way_.find(id);
      it != under_way_.end() && it->second.exchange.peer() == from) {
    // For want of room: who was to be asked at once is not to wait for the round.
    AskLater(it->second.exchange.partition(), from, it->second.hurried && !damaged, now);
    under_way_.erase(it);
  }
  if (const auto it = copies_.find(id); it != copies_.end() && it->second.copy.peer() == from) {
    // Another one would end like it.
    if (damaged) LeaveCopy(it->second, now.monotonic);
    AskLater(it->second.copy.partition(), from, false, now);
    copies_.erase(it);
  }
}

void Repair::Stop() {
  under_way_.clear();
  copies_.clear();
}

// ------------------------------------------------------------------------------------ figures

void Repair::NoteMissing(UnderWay* under_way, const ClockAnswer& answer) {
  const ClockExchange& exchange = under_way->exchange;
  if (exchange.counts() && answer.missing > 0) {
    missing_[exchange.partition()][exchange.peer()] = {
        answer.missing, {answer.missing_by_table.begin(), answer.missing_by_table.end()}};
    missing_changed_ = true;
  }
  const PartitionClock& mine = store_->Clock(exchange.partition());
  for (const ExplainedRecord& explained : answer.items) {
    for (const Minted& minted : explained.minted) {
      if (!mine.Contains(minted.dot)) ++under_way->coming[explained.item.table];
    }
  }
}

void Repair::LessenMissing(UnderWay* under_way) {
  const auto coming = std::exchange(under_way->coming, {});
  if (under_way->missed) return;  // which of them is not known: the next comparison tells
  const auto partition = missing_.find(under_way->exchange.partition());
  if (coming.empty() || partition == missing_.end()) return;
  const auto of_peer = partition->second.find(under_way->exchange.peer());
  if (of_peer == partition->second.end()) return;
  Missing& missing = of_peer->second;
  for (const auto& [table, dots] : coming) {
    missing.dots -= std::min(missing.dots, dots);
    uint64_t& of_table = missing.by_table[table];
    of_table -= std::min(of_table, dots);
  }
  missing_changed_ = true;
}

void Repair::ForgetMissing(PartitionId partition, NodeId owner) {
  const auto it = missing_.find(partition);
  if (it == missing_.end() || it->second.erase(owner) == 0) return;
  if (it->second.empty()) missing_.erase(it);
  missing_changed_ = true;
}

void Repair::SumMissing() {
  figures_.missing_dots = 0;
  std::map<TableId, uint64_t> sum;
  for (const auto& [partition, owners] : missing_) {
    Missing most;
    for (const auto& [owner, missing] : owners) {
      most.dots = std::max(most.dots, missing.dots);
      for (const auto& [table, dots] : missing.by_table) {
        most.by_table[table] = std::max(most.by_table[table], dots);
      }
    }
    figures_.missing_dots += most.dots;
    for (const auto& [table, dots] : most.by_table) sum[table] += dots;
  }
  std::erase_if(sum, [](const auto& entry) { return entry.second == 0; });
  figures_.missing_by_table.assign(sum.begin(), sum.end());
}

const Repair::Figures& Repair::figures() {
  if (std::exchange(missing_changed_, false)) SumMissing();
  figures_.filling = fillings_.size();
  figures_.refilling = std::count_if(fillings_.begin(), fillings_.end(), [&](const auto& entry) {
    const Move* const move = view_->FindMove(entry.first);
    return move == nullptr || move->to != view_->self();
  });
  figures_.copies = copies_.size();
  return figures_;
}

}  // namespace gyre
