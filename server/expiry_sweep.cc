#include "server/expiry_sweep.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "ring/cluster_time.h"

namespace gyre {

Time ExpirySweep::wake() const {
  if (!offset_ms_.has_value() || under_way_.has_value()) return Time::Never();
  const std::optional<ExpiryIndex::Due> due = store_->expiry().Next();
  if (!due.has_value()) return Time::Never();
  const auto expires_ms = static_cast<int64_t>(std::min(due->expires_ms, ClusterTime::kLatestMs));
  return std::max(rest_until_,
                  Time() + Duration::Millis(expires_ms - *offset_ms_) + options_.margin);
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
  under_way_ = store_->expiry().Next();
  const uint64_t time_ms = ClusterTime::At(now.monotonic, *offset_ms_);
  const auto margin_ms = static_cast<uint64_t>(options_.margin.millis());
  return store_->expiry().Begin(under_way_->partition, time_ms - std::min(time_ms, margin_ms),
                                options_.portion, store_->durable());
}

std::vector<ExpiryKey> ExpirySweep::OnScan(const ExpiryScan& scan, absl::StatusOr<ExpiryPage> page,
                                           Instant now) {
  GYRE_CHECK(under_way_.has_value() && under_way_->partition == scan.partition && left_ == 0,
             "one scan at a time");
  if (!page.ok()) {
    store_->expiry().End(scan.partition, under_way_->expires_ms);
    under_way_.reset();
    rest_until_ = now.monotonic + options_.long_rest;
    return {};
  }
  store_->expiry().End(scan.partition, page->next_ms);
  left_ = page->due.size();
  failed_ = false;
  rest_until_ = now.monotonic + options_.rest;
  if (left_ == 0) under_way_.reset();
  return std::move(page->due);
}

void ExpirySweep::OnRecord(const ExpiryKey& entry, absl::StatusOr<Record> stored, Instant now) {
  GYRE_CHECK(left_ > 0, "each record of a portion once");
  if (stored.ok()) {
    // No later than the entry says: when that is due was decided by the time as it was then.
    removed_ += store_->RemoveExpired(entry, *std::move(stored), entry.expires_ms);
    last_removal_ = std::max(last_removal_, store_->LastChange(entry.item.partition));
  } else {
    failed_ = true;
  }
  if (--left_ > 0) return;
  rest_until_ = now.monotonic + options_.rest;
  if (failed_) {
    // Read again, and tried again, with whatever else is due by then.
    store_->expiry().End(under_way_->partition, under_way_->expires_ms);
    rest_until_ = now.monotonic + options_.long_rest;
  }
  under_way_.reset();
}

uint64_t ExpirySweep::LagMs(Instant now) const {
  if (!offset_ms_.has_value()) return 0;
  const std::optional<ExpiryIndex::Due> due =
      under_way_.has_value() ? under_way_ : store_->expiry().Next();
  if (!due.has_value()) return 0;
  const uint64_t time_ms = ClusterTime::At(now.monotonic, *offset_ms_);
  const uint64_t by_ms = std::min(due->expires_ms, ClusterTime::kLatestMs) +
                         static_cast<uint64_t>(options_.margin.millis());
  return time_ms > by_ms ? time_ms - by_ms : 0;
}

}  // namespace gyre
