#include "server/expiry_sweep.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "ring/cluster_time.h"

namespace gyre {

Time ExpirySweep::wake() const {
  if (!offset_ms_.has_value() || under_way_.has_value()) return Time::Never();
  Time wake = Time::Never();
  if (const std::optional<ExpiryIndex::Due> due = store_->expiry().Next()) {
    const auto expires_ms = static_cast<int64_t>(std::min(due->expires_ms, ClusterTime::kLatestMs));
    wake = Time() + Duration::Millis(expires_ms - *offset_ms_) + options_.margin;
  }
  for (const auto& [partition, failed] : failed_) wake = std::min(wake, failed.again);
  return std::max(rest_until_, wake);
}

std::optional<ExpiryScan> ExpirySweep::OnWake(bool behind, Instant now) {
  if (wake() > now.monotonic) return std::nullopt;
  if (behind) {
    rest_until_ = now.monotonic + options_.long_rest;
    return std::nullopt;
  }
  // What was removed last must be gone from the store before it is read anew.
  if (store_->durable() < last_removal_) {
    rest_until_ = now.monotonic + options_.rest;
    return std::nullopt;
  }
  PutBack(now.monotonic);
  under_way_ = store_->expiry().Next();
  if (!under_way_.has_value()) return std::nullopt;
  const uint64_t time_ms = ClusterTime::At(now.monotonic, *offset_ms_);
  const auto margin_ms = static_cast<uint64_t>(options_.margin.millis());
  ExpiryScan scan =
      store_->expiry().Begin(under_way_->partition, time_ms - std::min(time_ms, margin_ms),
                             options_.portion, store_->durable());
  if (const auto failed = failed_.find(scan.partition); failed != failed_.end()) {
    scan.after = failed->second.behind;
  }
  return scan;
}

void ExpirySweep::PutBack(Time now) {
  std::erase_if(failed_, [&](const auto& entry) {
    if (entry.second.again > now) return false;
    if (store_->Owns(entry.first)) store_->expiry().PutBack(entry.first, entry.second.first_ms);
    return true;
  });
}

void ExpirySweep::NoteFailed(uint64_t expires_ms, Time now) {
  const auto [it, first] =
      failed_.try_emplace(under_way_->partition, Failed{expires_ms, now + options_.long_rest});
  it->second.first_ms = std::min(it->second.first_ms, expires_ms);
}

std::vector<ExpiryKey> ExpirySweep::OnScan(const ExpiryScan& scan, absl::StatusOr<ExpiryPage> page,
                                           Instant now) {
  GYRE_CHECK(under_way_.has_value() && under_way_->partition == scan.partition && left_ == 0,
             "one scan at a time");
  rest_until_ = now.monotonic + options_.rest;
  if (!store_->Owns(scan.partition)) {
    under_way_.reset();  // it has moved on meanwhile
    return {};
  }
  if (!page.ok()) {
    NoteFailed(under_way_->expires_ms, now.monotonic);
    store_->expiry().End(scan.partition, /*next_ms=*/0);
    under_way_.reset();
    return {};
  }
  store_->expiry().End(scan.partition, page->next_ms);
  left_ = page->due.size();
  if (left_ == 0) {
    under_way_.reset();
  } else {
    last_ = page->due.back();
  }
  return std::move(page->due);
}

void ExpirySweep::OnRecord(const ExpiryKey& entry, absl::StatusOr<Record> stored, Instant now) {
  GYRE_CHECK(left_ > 0, "each record of a portion once");
  if (stored.ok()) {
    // No later than the entry says: when that is due was decided by the time as it was then.
    removed_ += store_->RemoveExpired(entry, *std::move(stored), entry.expires_ms);
    last_removal_ = std::max(last_removal_, store_->LastChange(entry.item.partition));
  } else {
    NoteFailed(entry.expires_ms, now.monotonic);
  }
  if (--left_ > 0) return;
  rest_until_ = now.monotonic + options_.rest;
  if (const auto failed = failed_.find(under_way_->partition); failed != failed_.end()) {
    failed->second.behind = std::move(last_);
  }
  last_.reset();
  under_way_.reset();
}

uint64_t ExpirySweep::LagMs(Instant now) const {
  if (!offset_ms_.has_value()) return 0;
  const std::optional<ExpiryIndex::Due> due =
      under_way_.has_value() ? under_way_ : store_->expiry().Next();
  uint64_t first_ms = due.has_value() ? due->expires_ms : UINT64_MAX;
  for (const auto& [partition, failed] : failed_) first_ms = std::min(first_ms, failed.first_ms);
  if (first_ms == UINT64_MAX) return 0;
  const uint64_t time_ms = ClusterTime::At(now.monotonic, *offset_ms_);
  const uint64_t by_ms =
      std::min(first_ms, ClusterTime::kLatestMs) + static_cast<uint64_t>(options_.margin.millis());
  return time_ms > by_ms ? time_ms - by_ms : 0;
}

}  // namespace gyre
