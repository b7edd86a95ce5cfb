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
    asked_.insert(node);
  }
  if (around.owners.size() < 2) return End(Outcome::Code::kQuorumNotMet, effects);
  for (NodeId node : asked_) {
    const bool owns =
        std::find(around.owners.begin(), around.owners.end(), node) != around.owners.end();
    if (owns) {
      effects->sends.emplace_back(node, Fetch{item_, {}});
    } else {
      effects->sends.emplace_back(node, FetchHints{item_});
    }
  }
}

void MendExchange::OnReply(NodeId from, PeerBody reply, Time, Effects* effects) {
  effects->wake = deadline_;
  if (std::holds_alternative<Refused>(reply)) return End(Outcome::Code::kStaleEpoch, effects);
  if (std::holds_alternative<Failed>(reply)) return End(Outcome::Code::kQuorumNotMet, effects);
  auto* fetched = std::get_if<FetchReply>(&reply);
  if (fetched == nullptr || asked_.erase(from) == 0) return;
  merged_ = heard_ ? Sync(std::move(merged_), *fetched->found.record) : *fetched->found.record;
  heard_ = true;
  minted_.insert(minted_.end(), fetched->found.minted.begin(), fetched->found.minted.end());
  if (!asked_.empty()) return;
  effects->restore = ExplainedRecord{item_, std::make_shared<const Record>(std::move(merged_)),
                                     std::move(minted_)};
  End(Outcome::Code::kOk, effects);
}

void MendExchange::OnUnreachable(NodeId node, Time, Effects* effects) {
  effects->wake = deadline_;
  if (asked_.contains(node)) End(Outcome::Code::kQuorumNotMet, effects);
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
  Outcome outcome;
  outcome.code = code;
  outcome.epoch = epoch_;
  outcome.coordinator = self_;
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
