#include "test/workload/history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

// Stamps are of whole milliseconds: of two writes in one of them either may be the last.
constexpr Duration kStampUnit = Duration::Millis(1);

// How a judgement says what it accuses the store of; read by BreachOf.
constexpr char kLost[] = "lost: ";
constexpr char kCameBack[] = "came back: ";
constexpr char kTookEffect[] = "was refused and yet took effect";
constexpr char kFalseSibling[] = "false sibling: ";
constexpr char kTwice[] = "shows twice";

}  // namespace

Breach BreachOf(std::string_view judgement) {
  const auto says = [judgement](std::string_view words) {
    return judgement.find(words) != std::string_view::npos;
  };
  if (says(kLost)) return Breach::kLost;
  if (says(kCameBack) || says(kTookEffect)) return Breach::kResurrected;
  if (says(kFalseSibling) || says(kTwice)) return Breach::kFalseSibling;
  return Breach::kOther;
}

EventId History::EventOf(std::string_view value) {
  if (value.size() < 8) return 0;
  EventId event = 0;
  for (int i = 0; i < 8; ++i) event = event << 8 | static_cast<uint8_t>(value[i]);
  return event;
}

std::string History::ValueOf(EventId event, size_t bytes) {
  std::string value(std::max<size_t>(8, bytes), '.');
  for (int i = 0; i < 8; ++i) value[i] = static_cast<char>(event >> (56 - 8 * i));
  return value;
}

void History::OnAsked(const Action& operation, Time now) {
  Key& key = keys_[{operation.table, operation.key}];
  Write& write = key.writes[operation.event];
  write.event = operation.event;
  write.kind = operation.kind;
  write.mode = last_write_wins_ ? Action::Mode::kDefault : operation.mode;
  write.parents = operation.parents;
  write.own = operation.own;
  if (operation.kind == Action::Kind::kPut) {
    write.ttl = operation.ttl > Duration() ? operation.ttl : table_ttl_;
  }
  write.asked = now;
  for (EventId parent : operation.parents) key.children[parent].push_back(operation.event);
  if (operation.kind == Action::Kind::kDelete) key.deletes.push_back(operation.event);
}

void History::OnEnded(const Action& operation, const ActionResult& result) {
  Write& write = keys_[{operation.table, operation.key}].writes[operation.event];
  if (result.kind == ActionResult::Kind::kOk) write.acknowledged = result.ended;
  if (result.kind == ActionResult::Kind::kFailed) write.refused = true;
  write.sent_once = result.sent_once;
}

void History::OnMintedAgain(const Item& item, EventId event) {
  Key& key = keys_[item];
  const auto it = key.writes.find(event);
  if (it == key.writes.end() || it->second.minted_again) return;
  it->second.minted_again = true;
  key.minted_again.push_back(event);
}

bool History::MayHaveExpired(const Write& write, Time by) const {
  if (write.ttl == Duration()) return false;
  return by == Time::Never() || by + Slack() >= write.asked + write.ttl;
}

std::optional<std::string> History::JudgeExpired(const Item& item, const std::set<EventId>& shown,
                                                 Time began) const {
  const auto key = keys_.find(item);
  if (key == keys_.end()) return std::nullopt;
  for (EventId event : shown) {
    const auto it = key->second.writes.find(event);
    if (it == key->second.writes.end()) continue;
    const Write& write = it->second;
    // An attempt that was minted again has begun to live again.
    if (write.ttl == Duration() || !write.acknowledged.has_value() || write.minted_again) continue;
    if (began > *write.acknowledged + write.ttl + Slack()) {
      return "event " + std::to_string(event) + " is shown though its time had come";
    }
  }
  return std::nullopt;
}

Time History::EndOfEffect(const Write& write) const {
  if (!write.acknowledged.has_value()) return Time::Never();
  if (!last_write_wins_) return *write.acknowledged;
  return write.minted_again ? Time::Never() : *write.acknowledged + kStampUnit;
}

std::set<EventId> History::AccountedFor(const Key& key, const std::set<EventId>& shown,
                                        Time until) const {
  std::set<EventId> accounted;
  std::vector<EventId> todo(shown.begin(), shown.end());
  const auto may_have_effect = [&](const Write& write) {
    return write.asked <= until && !write.refused;
  };
  for (EventId deleted : key.deletes) {
    if (may_have_effect(key.writes.at(deleted))) todo.push_back(deleted);
  }
  for (const auto& [event, write] : key.writes) {
    if (may_have_effect(write) && MayHaveExpired(write, until)) todo.push_back(event);
  }
  if (last_write_wins_) todo.insert(todo.end(), key.minted_again.begin(), key.minted_again.end());
  std::optional<Time> last;  // end of effect of what may have replaced anything
  while (!todo.empty()) {
    const EventId event = todo.back();
    todo.pop_back();
    if (!accounted.insert(event).second) continue;
    auto it = key.writes.find(event);
    if (it == key.writes.end() || !may_have_effect(it->second)) continue;
    const Write& write = it->second;
    todo.insert(todo.end(), write.parents.begin(), write.parents.end());
    if (write.own != 0) todo.push_back(write.own);
    if (write.mode != Action::Mode::kDefault) continue;
    const Time end = EndOfEffect(write);
    if (last.has_value() && end <= *last) continue;
    last = end;
    for (const auto& [other, replaced] : key.writes) {
      if (replaced.asked < end) todo.push_back(other);
    }
  }
  return accounted;
}

std::set<EventId> History::Descendants(const Key& key, EventId event) {
  std::set<EventId> descendants;
  std::vector<EventId> todo = {event};
  while (!todo.empty()) {
    auto it = key.children.find(todo.back());
    todo.pop_back();
    if (it == key.children.end()) continue;
    for (EventId child : it->second) {
      if (descendants.insert(child).second) todo.push_back(child);
    }
  }
  return descendants;
}

void History::OnPowerCut(int node, Time synced, Time cut) {
  for (auto& [item, key] : keys_) {
    for (auto& [event, write] : key.writes) {
      const bool was_safe = write.acknowledged.has_value() && *write.acknowledged <= synced;
      if (!was_safe && write.asked <= cut) write.lost_at.insert(node);
    }
  }
}

std::optional<std::string> History::JudgeRead(const Item& item, const std::set<EventId>& shown,
                                              Time began, Time ended) const {
  return Judge(item, shown, began, ended, 0);
}

std::optional<std::string> History::JudgeSettled(const Item& item,
                                                 const std::set<EventId>& shown) const {
  return Judge(item, shown, Time::Never(), Time::Never(), write_quorum_ - 1);
}

std::optional<std::string> History::Judge(const Item& item, const std::set<EventId>& shown,
                                          Time began, Time ended, size_t most_lost) const {
  auto found = keys_.find(item);
  if (found == keys_.end()) {
    return shown.empty() ? std::nullopt : std::optional<std::string>("a value nobody wrote");
  }
  const Key& key = found->second;
  const auto must_be_known = [&](const Write& write) {
    return write.acknowledged.has_value() && *write.acknowledged < began &&
           write.lost_at.size() <= most_lost;
  };
  if (last_write_wins_ && shown.size() > 1) return "more than the last write is shown";
  for (EventId event : shown) {
    const std::string name = "event " + std::to_string(event);
    auto write = key.writes.find(event);
    if (write == key.writes.end()) return name + ": a value nobody wrote to this key";
    if (write->second.refused) return absl::StrCat(name, ": ", kTookEffect);
    if (MayBeMintedAgain(write->second)) continue;
    for (EventId later : Descendants(key, event)) {
      if (shown.contains(later)) {
        return absl::StrCat(kFalseSibling, name, " beside ", later, ", which replaced it");
      }
      if (must_be_known(key.writes.at(later))) {
        return absl::StrCat(kCameBack, name, ", which acknowledged event ", later, " had replaced");
      }
    }
  }
  // Any of them may have had the greatest stamp.
  if (last_write_wins_ && clocks_apart_ && !shown.empty()) return std::nullopt;
  const std::set<EventId> accounted = AccountedFor(key, shown, ended);
  for (const auto& [event, write] : key.writes) {
    if (must_be_known(write) && !accounted.contains(event)) {
      return absl::StrCat(kLost, "acknowledged event ", event,
                          " is neither shown nor replaced by one that knew it");
    }
  }
  return std::nullopt;
}

std::optional<std::string> History::JudgeEffects(const Item& item, const std::set<EventId>& claimed,
                                                 const std::set<EventId>& shown) const {
  auto found = keys_.find(item);
  if (found == keys_.end()) return claimed.empty() ? std::nullopt : std::optional<std::string>("?");
  const Key& key = found->second;
  for (EventId event : shown) {
    auto write = key.writes.find(event);
    if (write == key.writes.end()) return "event " + std::to_string(event) + ": nobody wrote it";
    if (write->second.minted_again) continue;
    for (EventId later : Descendants(key, event)) {
      if (claimed.contains(later)) {
        return "event " + std::to_string(event) + " is shown although event " +
               std::to_string(later) + ", which replaced it, is claimed";
      }
    }
  }
  const std::set<EventId> accounted = AccountedFor(key, shown, Time::Never());
  for (EventId event : claimed) {
    if (!accounted.contains(event)) {
      return "event " + std::to_string(event) +
             " is claimed and neither shown nor replaced by one that knew it";
    }
  }
  return std::nullopt;
}

const std::map<EventId, History::Write>* History::Writes(const Item& item) const {
  auto found = keys_.find(item);
  return found == keys_.end() ? nullptr : &found->second.writes;
}

std::vector<History::Item> History::Items() const {
  std::vector<Item> items;
  for (const auto& [item, key] : keys_) items.push_back(item);
  return items;
}

std::vector<EventId> History::Acknowledged(const Item& item) const {
  std::vector<EventId> events;
  if (const auto* writes = Writes(item)) {
    for (const auto& [event, write] : *writes) {
      if (write.acknowledged.has_value()) events.push_back(event);
    }
  }
  return events;
}

}  // namespace gyre
