#include "server/repair.h"

#include <algorithm>
#include <optional>

namespace gyre {
namespace {

// Ids come round again after so many: who asked so long ago is long gone.
constexpr uint64_t kIds = uint64_t{1} << 32;

}  // namespace

Repair::Repair(RepairOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
               ExchangeId first_exchange, Random random)
    : options_(options),
      view_(std::move(view)),
      store_(store),
      first_id_(first_exchange),
      random_(random) {
  List();
}

void Repair::OnView(std::shared_ptr<const View> view) {
  view_ = std::move(view);
  List();
}

void Repair::List() {
  const std::vector<PartitionId> before = std::exchange(round_, {});
  store_->ForEachClock(
      [&](PartitionId id, ReplicaId, const PartitionClock&) { round_.push_back(id); });
  next_ = 0;
  for (PartitionId partition : round_) {
    if (std::binary_search(before.begin(), before.end(), partition)) continue;
    for (NodeId owner : view_->Owners(partition)) {
      if (owner != view_->self()) in_a_hurry_.emplace(owner, partition);
    }
  }
}

void Repair::OnPeer(NodeId node, bool reachable, Instant now) {
  if (!reachable) {
    unreachable_.insert(node);
    std::erase_if(under_way_,
                  [&](const auto& entry) { return entry.second.exchange.peer() == node; });
    return;
  }
  if (unreachable_.erase(node) == 0) return;
  for (PartitionId partition : round_) {
    if (view_->IsOwner(partition, node)) in_a_hurry_.emplace(node, partition);
  }
  ask_at_ = std::min(ask_at_, now.monotonic);
}

void Repair::OnNothingNew(PartitionId partition, NodeId owner) {
  in_a_hurry_.erase({owner, partition});
}

// ------------------------------------------------------------------------------------ asking

void Repair::OnWake(Instant now, Effects* effects) {
  std::erase_if(under_way_, [&](const auto& entry) {
    return entry.second.exchange.deadline() <= now.monotonic;
  });
  if (ask_at_ <= now.monotonic) AskNext(now, effects);
}

void Repair::AskNext(Instant now, Effects* effects) {
  if (round_.empty()) {
    ask_at_ = now.monotonic + options_.interval;
    return;
  }
  while (!in_a_hurry_.empty() && !Reachable(in_a_hurry_.begin()->first)) {
    in_a_hurry_.erase(in_a_hurry_.begin());  // it is asked when it is back
  }
  const Duration pace = in_a_hurry_.empty() ? options_.interval : options_.hurry;
  const int64_t gap_us = std::max<int64_t>(1, pace.micros() / std::ssize(round_));
  // A little jitter, so that owners do not fall into step with each other.
  ask_at_ = now.monotonic + Duration::Micros(random_.Between(gap_us / 2, gap_us * 3 / 2 + 1));
  if (under_way_.size() >= options_.max_exchanges) return;
  if (!in_a_hurry_.empty()) {
    const auto [peer, partition] = *in_a_hurry_.begin();
    return Begin(partition, peer, now, effects);
  }
  const PartitionId partition = round_[next_ % round_.size()];
  const size_t pass = next_++ / round_.size();
  std::vector<NodeId> peers;
  for (NodeId owner : view_->Owners(partition)) {
    if (owner != view_->self() && Reachable(owner)) peers.push_back(owner);
  }
  if (view_->Owners(partition).size() == 1) {
    const std::optional<VersionVector> bases = store_->DurableBases(partition);
    if (bases.has_value()) store_->OnReport(partition, view_->self(), *bases, {});
  }
  if (!peers.empty()) Begin(partition, peers[pass % peers.size()], now, effects);
}

void Repair::Begin(PartitionId partition, NodeId peer, Instant now, Effects* effects) {
  in_a_hurry_.erase({peer, partition});
  const ExchangeId id = first_id_ + ids_++ % kIds;
  const auto [it, _] =
      under_way_.emplace(id, UnderWay{ClockExchange(partition, peer, now.monotonic)});
  Ask(id, it->second.exchange, effects);
  ++figures_.exchanges;
}

void Repair::Ask(ExchangeId id, const ClockExchange& exchange, Effects* effects) {
  const PartitionId partition = exchange.partition();
  ClockAsk ask{store_->Clock(partition), store_->DurableBases(partition)};
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
  store_->NoteSeen(partition, answer.bases);
  exchange.OnAnswer(answer, now.monotonic);
  missing_[partition] = answer.missing;
  if (answer.log_cut) ++figures_.log_cuts;
  it->second.arriving = answer.items.size();
  if (answer.items.empty()) return EndAnswer(id, effects);
  for (ExplainedRecord& change : answer.items) effects->arrivals.push_back({id, std::move(change)});
}

void Repair::OnTakenIn(ExchangeId id, bool taken, Instant, Effects* effects) {
  if (taken) ++figures_.items;
  auto it = under_way_.find(id);
  if (it == under_way_.end()) return;
  if (!taken) {
    under_way_.erase(it);  // the bases would claim what is not here
  } else if (--it->second.arriving == 0) {
    EndAnswer(id, effects);
  }
}

void Repair::EndAnswer(ExchangeId id, Effects* effects) {
  auto it = under_way_.find(id);
  ClockExchange& exchange = it->second.exchange;
  const PartitionId partition = exchange.partition();
  switch (exchange.OnTakenIn()) {
    case ClockExchange::Next::kAskAgain:
      return Ask(id, exchange, effects);
    case ClockExchange::Next::kJoinBases:
      store_->JoinBases(partition, exchange.bases());
      missing_.erase(partition);
      effects->in_step.push_back({partition, exchange.peer()});
      break;
    case ClockExchange::Next::kGiveUp:
      break;
  }
  under_way_.erase(it);
}

void Repair::OnRefused(ExchangeId id, NodeId from) {
  const auto it = under_way_.find(id);
  if (it != under_way_.end() && it->second.exchange.peer() == from) under_way_.erase(it);
}

void Repair::Stop() { under_way_.clear(); }

Repair::Figures Repair::figures() const {
  Figures figures = figures_;
  for (const auto& [partition, dots] : missing_) figures.missing_dots += dots;
  return figures;
}

}  // namespace gyre
