#include "replication/mend_exchange.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "ring/check.h"

namespace gyre {

void MendExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  deadline_ = now + kPatience;
  effects->wake = deadline_;
  for (NodeId node : members_) {
    if (node == self_) continue;
    if (!around.reachable(node)) return End(Outcome::Code::kQuorumNotMet, effects);
    const bool owns =
        std::find(around.owners.begin(), around.owners.end(), node) != around.owners.end();
    (owns ? owners_ : asked_).insert(node);
  }
  if (owners_.empty()) return End(Outcome::Code::kQuorumNotMet, effects);
  if (asked_.empty()) return AskOwners(effects);
  for (NodeId node : asked_) effects->sends.emplace_back(node, FetchHints{item_});
}

void MendExchange::AskOwners(Effects* effects) {
  asks_owners_ = true;
  asked_ = owners_;
  for (NodeId owner : owners_) {
    effects->sends.emplace_back(owner, Fetch{item_, {}, /*with_clock=*/false, /*mends=*/true});
  }
}

void MendExchange::OnReply(NodeId from, PeerBody reply, Time, Effects* effects) {
  effects->wake = deadline_;
  if (std::holds_alternative<Refused>(reply)) return End(Outcome::Code::kStaleEpoch, effects);
  if (!asked_.contains(from)) return;
  if (const auto* failed = std::get_if<Failed>(&reply)) {
    // What a stand-in keeps, or an owner cannot read for now, is not lost.
    const bool lost = asks_owners_ && failed->code == Outcome::Code::kCorrupt;
    const bool empty = asks_owners_ && failed->code == Outcome::Code::kFilling;
    if (empty) ++empty_;
    if (lost) lost_elsewhere_ = true;
    if (!lost && !empty) return End(Outcome::Code::kQuorumNotMet, effects);
  } else if (auto* fetched = std::get_if<FetchReply>(&reply)) {
    merged_ = Sync(std::move(merged_), *fetched->found.record);
    minted_.insert(minted_.end(), fetched->found.minted.begin(), fetched->found.minted.end());
    owner_told_ = asks_owners_;
    if (asks_owners_ && !fetched->filling) whole_told_ = true;
  } else {
    return;
  }
  asked_.erase(from);
  if (!asked_.empty()) return;
  if (!asks_owners_) return AskOwners(effects);
  if (!MayEnd()) return End(Outcome::Code::kQuorumNotMet, effects);
  effects->restore = ExplainedRecord{item_, std::make_shared<const Record>(std::move(merged_)),
                                     std::move(minted_)};
  End(Outcome::Code::kOk, effects);
}

bool MendExchange::MayEnd() const {
  if (lost_elsewhere_) return whole_told_;
  return owner_told_ || empty_ == owners_.size();
}

void MendExchange::OnUnreachable(NodeId node, Time, Effects* effects) {
  effects->wake = deadline_;
  if (asked_.contains(node) || (!asks_owners_ && owners_.contains(node))) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

void MendExchange::OnWake(Time now, Effects* effects) {
  effects->wake = deadline_;
  if (now >= deadline_) End(Outcome::Code::kTimedOut, effects);
}

void MendExchange::OnMinted(MintOutcome, Time, Effects*) {
  GYRE_CHECK(false, "who mends mints nothing");
}

void MendExchange::OnLocalFailure(Outcome::Code, Time, Effects*) {
  GYRE_CHECK(false, "the damaged record itself is not asked for");
}

void MendExchange::End(Outcome::Code code, Effects* effects) {
  effects->outcome = Outcome::Of(code, epoch_, self_);
}

}  // namespace gyre
