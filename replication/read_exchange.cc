#include "replication/read_exchange.h"

#include <algorithm>
#include <memory>

#include "ring/check.h"
#include "storage/remembered_writes.h"

namespace gyre {
namespace {

bool SameVersions(const Record& a, const Record& b) {
  return std::equal(a.versions.begin(), a.versions.end(), b.versions.begin(), b.versions.end(),
                    [](const Version& x, const Version& y) { return x.dot == y.dot; });
}

bool Holds(const Record& record, const Dot& dot) {
  return std::any_of(record.versions.begin(), record.versions.end(),
                     [&](const Version& version) { return version.dot == dot; });
}

bool LivesAny(const Record& record, uint64_t time_ms) {
  return std::any_of(record.versions.begin(), record.versions.end(), [&](const Version& one) {
    return one.expires_ms == 0 || one.expires_ms > time_ms;
  });
}

}  // namespace

ReadExchange::ReadExchange(ReadRequest request) : request_(std::move(request)) {}

void ReadExchange::Start(const Surroundings& around, Time now, Effects* effects) {
  self_ = around.self;
  epoch_ = around.epoch;
  time_ms_ = around.time_ms;
  deadline_ = now + request_.timeout;
  rest_at_ = now + request_.timeout / 4;
  pace_ = around.pace;
  pace_->OnRead();
  if (request_.needed > 1) {  // else nobody else is asked, as a rule
    if (std::optional<Record> record = around.at_hand()) at_hand_ = std::move(record->versions);
  }
  std::vector<NodeId> order(around.owners.begin(), around.owners.end());
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
    return AskingRank(around, a, now) < AskingRank(around, b, now);
  });
  const bool spare = request_.needed < static_cast<int>(order.size());
  hedge_after_ = pace_->HedgeAfter(spare ? order[request_.needed] : NodeId());
  hedge_at_ = now + hedge_after_;
  tally_.emplace(order, request_.needed);
  for (int i = 0; i < request_.needed && i < static_cast<int>(order.size()); ++i) {
    Ask(order[i], now, effects);
  }
  for (NodeId node : order) {
    if (node != self_ && !around.reachable(node)) Lose(node, Part::kUnreachable);
  }
  Decide(now, effects);
}

void ReadExchange::Ask(NodeId node, Time now, Effects* effects) {
  tally_->Ask(node, now);
  Fetch fetch{request_.item, {}};
  if (node != self_) {
    pace_->OnAsked(node, now);
    for (const Version& version : at_hand_) {
      if (fetch.known.size() == kMaxKnown) break;
      if (!version.value.empty()) fetch.known.push_back(version.dot);
    }
  }
  effects->sends.emplace_back(node, std::move(fetch));
}

void ReadExchange::AskTheRest(Time now, Effects* effects) {
  hedge_at_ = Time::Never();
  for (NodeId node : tally_->NotAsked()) Ask(node, now, effects);
  if (!request_.sloppy) rest_at_ = Time::Never();
}

void ReadExchange::Hedge(Time now, Effects* effects) {
  hedge_at_ = Time::Never();
  const std::vector<NodeId> spare = tally_->NotAsked();
  for (NodeId node : tally_->Unanswered()) {
    const bool asked = tally_->Asked(node) && !lost_.contains(node);
    if (asked && node != self_) pace_->OnSilence(node, now);
  }
  if (spare.empty() || !pace_->TryHedge()) return;
  Ask(spare.front(), now, effects);
  if (spare.size() == 1 && !request_.sloppy) rest_at_ = Time::Never();
}

void ReadExchange::NotePace(NodeId node) {
  const Duration took = tally_->Took(node);
  pace_->OnAnswer(node, took, /*late=*/took >= hedge_after_);
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
    const NodeId* const owner = StoodInForBy(from);
    const bool counts =
        owner != nullptr ? tally_->AnswerFor(*owner, from, now) : tally_->Answer(from, part, now);
    if (counts) answers_.emplace_back(from, std::move(fetched->found));
    if (counts && owner == nullptr && from != self_) NotePace(from);
  } else if (fetched != nullptr || std::holds_alternative<Failed>(reply)) {
    const auto* const failed = std::get_if<Failed>(&reply);
    if (failed != nullptr && failed->code == Outcome::Code::kOverloaded) {
      pace_->OnSilence(from, now);
    }
    Lose(from, Part::kRefused);
    AskTheRest(now, effects);
    return OnWake(now, effects);
  } else if (std::holds_alternative<Refused>(reply)) {
    return End(Outcome::Code::kStaleEpoch, effects);
  }
  Decide(now, effects);
}

void ReadExchange::OnUnreachable(NodeId node, Time now, Effects* effects) {
  if (stand_ins_.has_value()) std::erase(*stand_ins_, node);
  Lose(node, Part::kUnreachable);
  AskTheRest(now, effects);
  OnWake(now, effects);
}

void ReadExchange::OnWake(Time now, Effects* effects) {
  if (now >= deadline_) return End(Outcome::Code::kTimedOut, effects);
  if (now >= hedge_at_) Hedge(now, effects);
  if (now >= rest_at_) {
    AskTheRest(now, effects);
    rest_at_ = Time::Never();
    short_ = silent_ = true;
    LoseSilentStandIns();
  }
  Decide(now, effects);
}

const NodeId* ReadExchange::StoodInForBy(NodeId node) const {
  for (const auto& [stand_in, owner] : substitutes_) {
    if (stand_in == node) return &owner;
  }
  return nullptr;
}

void ReadExchange::Lose(NodeId node, Part part) {
  if (const NodeId* const owner = StoodInForBy(node); owner != nullptr) {
    // It may still answer itself.
    tally_->Fail(*owner, lost_.contains(*owner) ? part : Part::kNoAnswer);
    std::erase_if(substitutes_, [&](const auto& one) { return one.first == node; });
    return;
  }
  lost_.insert(node);
  if (!HasStandIn(node)) tally_->Fail(node, part);
}

bool ReadExchange::HasStandIn(NodeId owner) const {
  return std::any_of(substitutes_.begin(), substitutes_.end(),
                     [&](const auto& one) { return one.second == owner; });
}

void ReadExchange::OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) {
  stand_ins_.emplace(nodes.rbegin(), nodes.rend());
  Decide(now, effects);
}

void ReadExchange::AskStandIns(Time now, Effects* effects) {
  for (NodeId owner : tally_->Unanswered()) {
    if (HasStandIn(owner) || (!silent_ && !lost_.contains(owner))) continue;
    if (stand_ins_->empty()) return;
    const NodeId stand_in = stand_ins_->back();
    stand_ins_->pop_back();
    substitutes_.emplace_back(stand_in, owner);
    tally_->Ask(owner, now);
    effects->sends.emplace_back(stand_in, FetchHints{request_.item});
  }
  // A stand-in may be silent too, and then the next one takes its place.
  const bool waits = std::any_of(substitutes_.begin(), substitutes_.end(),
                                 [&](const auto& one) { return !HasAnswered(one.first); });
  if (waits && !stand_ins_->empty() && rest_at_ == Time::Never()) {
    rest_at_ = now + request_.timeout / 4;
  }
}

void ReadExchange::LoseSilentStandIns() {
  if (!stand_ins_.has_value()) return;
  size_t others = stand_ins_->size();
  const std::vector<std::pair<NodeId, NodeId>> substitutes = substitutes_;
  for (const auto& one : substitutes) {
    if (others == 0) return;  // better to wait on than to wait for nobody
    if (HasAnswered(one.first)) continue;
    --others;
    Lose(one.first, Part::kNoAnswer);
  }
}

bool ReadExchange::HasAnswered(NodeId node) const {
  return std::any_of(answers_.begin(), answers_.end(),
                     [&](const auto& answer) { return answer.first == node; });
}

// That nothing is there, or nothing any more that lives, a stand-in cannot know.
bool ReadExchange::IsSaidByWhoKnows() const {
  return tally_->answered() > tally_->stand_ins() ||
         std::any_of(answers_.begin(), answers_.end(), [this](const auto& answer) {
           return LivesAny(*answer.second.record, time_ms_.value_or(0));
         });
}

bool ReadExchange::OwnersAreLost() const {
  const std::vector<ReplicaPart> owners = tally_->Parts();
  return std::all_of(owners.begin(), owners.end(),
                     [&](const ReplicaPart& owner) { return lost_.contains(owner.node); });
}

void ReadExchange::OnLocalFailure(Outcome::Code code, Time now, Effects* effects) {
  // Another owner may still have a sound copy.
  Lose(self_, Part::kRefused);
  AskTheRest(now, effects);
  if (tally_->Impossible() && !request_.sloppy) return End(code, effects);
  OnWake(now, effects);
}

void ReadExchange::Decide(Time now, Effects* effects) {
  if (request_.sloppy && !tally_->Met() && (short_ || tally_->Impossible())) {
    short_ = true;
    if (stand_ins_.has_value()) {
      AskStandIns(now, effects);
    } else {
      effects->stand_ins = true;
    }
  }
  effects->wake = std::min({deadline_, hedge_at_, rest_at_});
  if (effects->stand_ins) return;
  if (tally_->Met() && IsSaidByWhoKnows()) {
    End(Outcome::Code::kOk, effects);
  } else if (tally_->Met()) {
    if (OwnersAreLost()) return End(Outcome::Code::kQuorumNotMet, effects);
    effects->wake = deadline_;
  } else if (tally_->Impossible()) {
    End(Outcome::Code::kQuorumNotMet, effects);
  }
}

// Of a write that was minted twice (WriteExchange) each owner may have met another attempt yet: who
// reads them together sees both dots with their write, and lets one stand as an owner would.
void ReadExchange::DropRepeats(Record* merged) const {
  if (merged->versions.size() < 2) return;
  std::vector<Minted> alive;
  for (const auto& [node, answer] : answers_) {
    for (const Minted& one : answer.minted) {
      if (!one.write.empty() && Holds(*merged, one.dot)) alive.push_back(one);
    }
  }
  std::erase_if(merged->versions, [&](const Version& version) {
    return std::any_of(alive.begin(), alive.end(), [&](const Minted& stands) {
      return std::any_of(alive.begin(), alive.end(), [&](const Minted& gives_way) {
        return gives_way.dot == version.dot && gives_way.write == stands.write &&
               stands.dot != gives_way.dot && GivesWay(gives_way, stands);
      });
    });
  });
}

void ReadExchange::Repair(const RecordPtr& merged, Effects* effects) {
  std::vector<Minted> minted;
  for (const auto& [node, answer] : answers_) {
    for (const Minted& one : answer.minted) {
      const bool alive = Holds(*merged, one.dot);
      const bool listed = std::any_of(minted.begin(), minted.end(),
                                      [&](const Minted& m) { return m.dot == one.dot; });
      if (alive && !listed) minted.push_back(one);
    }
  }
  for (const auto& [node, answer] : answers_) {
    if (StoodInForBy(node) != nullptr || SameVersions(*answer.record, *merged)) continue;
    tally_->Repaired(node);
    effects->sends.emplace_back(node, Apply{{request_.item, merged, minted}});
  }
}

// First what has expired goes, as if it had been deleted, and then what gave way to the last write.
// The context covers all of it still.
bool ReadExchange::Show(Outcome* outcome) const {
  if (Expires(outcome->record)) {
    if (!time_ms_.has_value()) return false;
    DropExpired(&outcome->record, *time_ms_);
    outcome->time_ms = *time_ms_;
  }
  KeepLast(&outcome->record);
  return true;
}

void ReadExchange::End(Outcome::Code code, Effects* effects) {
  Outcome outcome = Outcome::Of(code, epoch_, self_);
  if (code == Outcome::Code::kOk) {
    Record merged = *answers_.front().second.record;
    for (size_t i = 1; i < answers_.size(); ++i) {
      merged = Sync(std::move(merged), *answers_[i].second.record);
    }
    DropRepeats(&merged);
    const bool behind = std::any_of(answers_.begin(), answers_.end(), [&](const auto& answer) {
      return StoodInForBy(answer.first) == nullptr && !SameVersions(*answer.second.record, merged);
    });
    if (behind) {
      auto shared = std::make_shared<const Record>(std::move(merged));
      Repair(shared, effects);
      outcome.record = *shared;
      outcome.repair_sent = true;
    } else {
      outcome.record = std::move(merged);
    }
    if (Show(&outcome)) {
      outcome.context.vector = std::move(outcome.record.context);
    } else {
      outcome.code = Outcome::Code::kTimeUnknown;
      outcome.record = Record();
    }
  }
  outcome.needed = request_.needed;
  outcome.answered = tally_->answered();
  outcome.stand_ins = tally_->stand_ins();
  if (request_.explain) outcome.parts = tally_->Parts();
  effects->outcome = std::move(outcome);
}

}  // namespace gyre
