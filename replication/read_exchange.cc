#include "replication/read_exchange.h"

#include <algorithm>
#include <memory>

#include "ring/check.h"

namespace gyre {
namespace {

bool SameVersions(const Record& a, const Record& b) {
  return std::equal(a.versions.begin(), a.versions.end(), b.versions.begin(), b.versions.end(),
                    [](const Version& x, const Version& y) { return x.dot == y.dot; });
}

}  // namespace

ReadExchange::ReadExchange(ReadRequest request) : request_(std::move(request)) {}

void ReadExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  deadline_ = now + request_.timeout;
  hedge_at_ = std::min(deadline_, now + kHedgeAfter);
  if (request_.needed > 1) {  // else nobody else is asked, as a rule
    if (std::optional<Record> record = around.at_hand()) at_hand_ = std::move(record->versions);
  }
  // Here first, then whoever can be reached, then the rest, each in preference order.
  std::vector<NodeId> order(around.owners.begin(), around.owners.end());
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
    const auto rank = [&](NodeId node) {
      return node == self_ ? 0 : around.reachable(node) ? 1 : 2;
    };
    return rank(a) < rank(b);
  });
  tally_.emplace(order, request_.needed);
  for (int i = 0; i < request_.needed && i < static_cast<int>(order.size()); ++i) {
    Ask(order[i], now, effects);
  }
  for (NodeId node : order) {
    if (node != self_ && !around.reachable(node)) tally_->Fail(node, Part::kUnreachable);
  }
  Decide(now, effects);
}

void ReadExchange::Ask(NodeId node, Time now, Effects* effects) {
  tally_->Ask(node, now);
  Fetch fetch{request_.item, {}};
  if (node != self_) {
    for (const Version& version : at_hand_) {
      if (fetch.known.size() == kMaxKnown) break;
      if (!version.value.empty()) fetch.known.push_back(version.dot);
    }
  }
  effects->sends.emplace_back(node, std::move(fetch));
}

bool ReadExchange::Complete(FetchReply* reply) const {
  if (reply->left_out.empty()) return true;
  Record record = *reply->found.record;
  for (const uint32_t place : reply->left_out) {
    if (place >= record.versions.size()) return false;
    Version& version = record.versions[place];
    const auto known = std::find_if(at_hand_.begin(), at_hand_.end(),
                                    [&](const Version& one) { return one.dot == version.dot; });
    if (known == at_hand_.end()) return false;
    version.value = known->value;
  }
  reply->found.record = std::make_shared<const Record>(std::move(record));
  return true;
}

void ReadExchange::OnMinted(MintOutcome, Time, Effects*) {
  GYRE_CHECK(false, "a read mints nothing");
}

void ReadExchange::OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) {
  if (auto* fetched = std::get_if<FetchReply>(&reply); fetched != nullptr && Complete(fetched)) {
    const Part part = from == self_ ? Part::kCoordinator : Part::kAnswered;
    if (tally_->Answer(from, part, now)) {
      answers_.emplace_back(from, std::move(fetched->found));
    }
  } else if (fetched != nullptr || std::holds_alternative<Failed>(reply)) {
    tally_->Fail(from, Part::kRefused);
    hedge_at_ = now;
    return OnWake(now, effects);
  } else if (std::holds_alternative<Refused>(reply)) {
    return End(Outcome::Code::kStaleEpoch, effects);
  }
  Decide(now, effects);
}

void ReadExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  tally_->Fail(node, Part::kUnreachable);
  hedge_at_ = now;
  OnWake(now, effects);
}

void ReadExchange::OnWake(Time now, Effects* effects) {
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  if (now >= hedge_at_) {
    for (NodeId node : tally_->NotAsked()) Ask(node, now, effects);
    hedge_at_ = deadline_;
  }
  Decide(now, effects);
}

void ReadExchange::OnLocalFailure(Outcome::Code code, Time now, Effects* effects) {
  // Another owner may still have a sound copy.
  tally_->Fail(self_, Part::kRefused);
  hedge_at_ = now;
  if (tally_->Impossible()) return End(code, effects);
  OnWake(now, effects);
}

void ReadExchange::Decide(Time, Effects* effects) {
  effects->wake = hedge_at_;
  if (tally_->Met()) {
    End(Outcome::Code::kOk, effects);
  } else if (tally_->Impossible()) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

void ReadExchange::Repair(const RecordPtr& merged, Effects* effects) {
  std::vector<Minted> minted;
  for (const auto& [node, answer] : answers_) {
    for (const Minted& one : answer.minted) {
      const bool alive = std::any_of(merged->versions.begin(), merged->versions.end(),
                                     [&](const Version& v) { return v.dot == one.dot; });
      const bool listed = std::any_of(minted.begin(), minted.end(),
                                      [&](const Minted& m) { return m.dot == one.dot; });
      if (alive && !listed) minted.push_back(one);
    }
  }
  for (const auto& [node, answer] : answers_) {
    if (SameVersions(*answer.record, *merged)) continue;
    tally_->Repaired(node);
    effects->sends.emplace_back(node, Apply{{request_.item, merged, minted}});
  }
}

void ReadExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome;
  outcome.code = code;
  if (code == Outcome::Code::kOk) {
    Record merged = *answers_.front().second.record;
    for (size_t i = 1; i < answers_.size(); ++i) {
      merged = Sync(std::move(merged), *answers_[i].second.record);
    }
    const bool behind = std::any_of(answers_.begin(), answers_.end(), [&](const auto& answer) {
      return !SameVersions(*answer.second.record, merged);
    });
    if (behind) {
      auto shared = std::make_shared<const Record>(std::move(merged));
      Repair(shared, effects);
      outcome.record = *shared;
      outcome.repair_sent = true;
    } else {
      outcome.record = std::move(merged);
    }
    KeepLast(&outcome.record);
    outcome.context.vector = std::move(outcome.record.context);
  }
  outcome.needed = request_.needed;
  outcome.answered = tally_->answered();
  outcome.epoch = epoch_;
  outcome.coordinator = self_;
  if (request_.explain) outcome.parts = tally_->Parts();
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
