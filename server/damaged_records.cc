#include "server/damaged_records.h"

#include "ring/check.h"

namespace gyre {

bool DamagedRecords::Note(const ItemKey& item, bool lone) {
  if (lone) return lone_.size() < kMost && lone_.insert(item).second;
  return shared_.size() < kMost && shared_.try_emplace(item, 0).second;
}

bool DamagedRecords::Forget(const ItemKey& item) {
  return shared_.erase(item) + lone_.erase(item) > 0;
}

void DamagedRecords::ForgetIf(absl::FunctionRef<bool(const ItemKey&)> gone) {
  std::erase_if(shared_, [&](const auto& entry) { return gone(entry.first); });
  std::erase_if(lone_, [&](const ItemKey& item) { return gone(item); });
}

std::vector<ItemKey> DamagedRecords::Next(size_t most) {
  std::vector<ItemKey> items;
  auto it = last_.has_value() ? shared_.upper_bound(*last_) : shared_.begin();
  for (size_t passed = 0; passed < shared_.size() && items.size() < most; ++passed, ++it) {
    if (it == shared_.end()) it = shared_.begin();
    if (it->second == 0) items.push_back(it->first);
  }
  if (!items.empty()) last_ = items.back();
  return items;
}

void DamagedRecords::Begin(const ItemKey& item, ExchangeId exchange) {
  const auto it = shared_.find(item);
  GYRE_CHECK(it != shared_.end() && it->second == 0, "nothing else mends it");
  it->second = exchange;
}

bool DamagedRecords::Take(const ItemKey& item, ExchangeId exchange) {
  const auto it = shared_.find(item);
  if (it == shared_.end() || it->second != exchange) return false;
  shared_.erase(it);
  return true;
}

void DamagedRecords::End(const ItemKey& item) {
  if (const auto it = shared_.find(item); it != shared_.end()) it->second = 0;
}

}  // namespace gyre
