#include "test/workload/mixed_workload.h"

#include <algorithm>

namespace gyre {

MixedWorkload::MixedWorkload(MixedOptions options)
    : options_(std::move(options)),
      next_event_(options_.first_event),
      history_(options_.table.conflict, static_cast<size_t>(options_.table.write_quorum)) {
  if (!options_.mints_seen) history_.OnMintsUnseen();
  history_.SetExpiry(Duration::Millis(static_cast<int64_t>(options_.table.ttl_ms)), options_.apart);
}

Action MixedWorkload::Next(int client, Time now, Random* random) {
  Action operation;
  operation.table = options_.table.name;
  const uint64_t key = random->Below(options_.keys);
  operation.key = "key-" + std::to_string(key);
  const auto draw = static_cast<int>(random->Below(100));
  int upto = options_.context_puts;
  operation.kind = Action::Kind::kPut;
  if (draw < upto) {
    operation.mode = Action::Mode::kContext;
  } else if (draw < (upto += options_.default_puts)) {
    // Which writes a default put replaced cannot be told from outside, which excuses much: so only
    // some keys have them.
    operation.mode = key % 4 == 0 ? Action::Mode::kDefault : Action::Mode::kBlind;
  } else if (draw < (upto += options_.blind_puts)) {
    operation.mode = Action::Mode::kBlind;
  } else if (draw < (upto += options_.deletes)) {
    // Nor which writes a delete removed where the last write wins.
    const bool last_wins = options_.table.conflict == ConflictPolicy::kLastWriteWins;
    operation.kind = last_wins && key % 2 == 0 ? Action::Kind::kGet : Action::Kind::kDelete;
    if (operation.kind == Action::Kind::kGet) return operation;
  } else {
    operation.kind = Action::Kind::kGet;
    return operation;
  }
  if (operation.mode == Action::Mode::kContext) {
    auto it = remembered_.find({client, operation.key});
    if (it == remembered_.end()) {  // look before you write
      operation.kind = Action::Kind::kGet;
      return operation;
    }
    operation.context = it->second.context;
    operation.parents = it->second.shown;
    operation.own = it->second.own;
  }
  operation.event = next_event_++;
  if (operation.kind == Action::Kind::kPut) {
    operation.value =
        History::ValueOf(operation.event, 8 + random->Below(options_.max_value_bytes - 7));
    if (options_.max_ttl > Duration() && random->Chance(3, 4)) {
      operation.ttl =
          Duration::Millis(random->Between(options_.min_ttl.millis(), options_.max_ttl.millis()));
    }
  }
  history_.OnAsked(operation, now);
  return operation;
}

std::optional<std::string> MixedWorkload::OnResult(int client, const Action& operation,
                                                   const ActionResult& result) {
  if (operation.kind != Action::Kind::kGet) {
    history_.OnEnded(operation, result);
    const std::pair key(client, operation.key);
    if (operation.event % 4 == 0) return std::nullopt;  // it writes twice from one reply
    if (operation.event % 4 == 1 && result.kind == ActionResult::Kind::kOk) {
      remembered_[key] = {result.context, operation.parents, operation.event};
    } else {
      remembered_.erase(key);
    }
    return std::nullopt;
  }
  if (result.kind != ActionResult::Kind::kOk) return std::nullopt;
  std::set<EventId> shown;
  for (const std::string& value : result.values) shown.insert(History::EventOf(value));
  const bool last_wins = options_.table.conflict == ConflictPolicy::kLastWriteWins;
  if (last_wins && result.values.size() > 1) return "more than the last write is shown";
  remembered_[{client, operation.key}] = {result.context, {shown.begin(), shown.end()}, 0};
  const History::Item item(operation.table, operation.key);
  if (auto wrong = history_.JudgeExpired(item, shown, result.started)) return wrong;
  if (!options_.strict) return std::nullopt;
  // With stand-ins in quorums a read need not show what was acknowledged; what it shows must still
  // hold together.
  const bool fresh = options_.table.quorum == QuorumKind::kStrict;
  return history_.JudgeRead(item, shown, fresh ? result.started : Time(), result.ended);
}

std::optional<std::string> MixedWorkload::Check(const ReadFn& read) {
  for (const History::Item& item : history_.Items()) {
    const std::vector<std::string> values = read(item.first, item.second);
    std::set<EventId> shown;
    for (const std::string& value : values) {
      if (!shown.insert(History::EventOf(value)).second) {
        return item.second + ": one write shows twice";
      }
    }
    if (!options_.strict) continue;
    std::optional<std::string> wrong = history_.JudgeSettled(item, shown);
    if (wrong.has_value()) return item.second + ": " + *wrong;
  }
  return std::nullopt;
}

}  // namespace gyre
