#include "test/workload/cart_workload.h"

#include <algorithm>

namespace gyre {

CartWorkload::CartWorkload(TableSpec table, int carts, EventId first_event)
    : table_(std::move(table)), carts_(carts), next_event_(first_event) {}

std::set<EventId> CartWorkload::Merge(const std::vector<std::string>& values) {
  std::set<EventId> things;
  for (const std::string& value : values) {
    for (size_t at = 0; at + 8 <= value.size(); at += 8) {
      things.insert(History::EventOf(value.substr(at, 8)));
    }
  }
  return things;
}

Action CartWorkload::Next(int client, Time, Random* random) {
  Session& session = sessions_[client];
  Action operation;
  operation.table = table_.name;
  if (!session.has_read) {
    session.key = "cart-" + std::to_string(random->Below(carts_));
    operation.key = session.key;
    return operation;
  }
  operation.kind = Action::Kind::kPut;
  operation.key = session.key;
  operation.context = session.context;
  operation.event = next_event_++;
  session.things.insert(operation.event);
  for (EventId thing : session.things) operation.value += History::ValueOf(thing, 8);
  return operation;
}

std::optional<std::string> CartWorkload::OnResult(int client, const Action& operation,
                                                  const ActionResult& result) {
  Session& session = sessions_[client];
  const bool ok = result.kind == ActionResult::Kind::kOk;
  if (operation.kind == Action::Kind::kGet) {
    session.has_read = ok;
    if (!ok) return std::nullopt;
    session.context = result.context;
    session.things = Merge(result.values);
    return std::nullopt;
  }
  session.has_read = false;
  if (ok) acked_[operation.key].insert(operation.event);
  return std::nullopt;
}

std::optional<std::string> CartWorkload::Check(const ReadFn& read) {
  for (const auto& [key, things] : acked_) {
    const std::set<EventId> there = Merge(read(table_.name, key));
    for (EventId thing : things) {
      if (!there.contains(thing)) {
        return key + ": lost: thing " + std::to_string(thing) + " was acknowledged and is gone";
      }
    }
  }
  return std::nullopt;
}

}  // namespace gyre
