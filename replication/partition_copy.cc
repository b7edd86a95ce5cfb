#include "replication/partition_copy.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "ring/check.h"
#include "storage/version/record.h"

namespace gyre {

CopyAsk PartitionCopy::Question() {
  expecting_ = true;
  ++number_;
  if (part_ == CopyPart::kItems) {
    const size_t count = std::min(suspects_.size(), kSuspectsAtOnce);
    asked_.assign(suspects_.begin(), std::next(suspects_.begin(), static_cast<ptrdiff_t>(count)));
  }
  return SameQuestion();
}

CopyAsk PartitionCopy::SameQuestion() const {
  CopyAsk ask;
  ask.part = part_;
  ask.number = number_;
  ask.after = after_;
  ask.items = asked_;
  ask.in_parts = part_ == CopyPart::kItems;
  return ask;
}

bool PartitionCopy::Awaits(NodeId from, const CopyPage& page) const {
  if (!expecting_ || from != peer_ || page.number != number_ || page.part != part_) return false;
  const auto foreign = [&](const ItemKey& item) { return item.partition != partition_; };
  const bool about_it = std::none_of(page.items.begin(), page.items.end(),
                                     [&](const auto& one) { return foreign(one.item); }) &&
                        std::none_of(page.damaged.begin(), page.damaged.end(), foreign) &&
                        std::none_of(page.log.begin(), page.log.end(),
                                     [&](const auto& one) { return foreign(one.item); });
  const bool unread_here =
      page.unread_to.empty() ||
      (page.unread_to > std::max(after_, PartitionBegin(partition_)) &&
       page.unread_to <= PartitionEnd(partition_) && (page.last || page.upto >= page.unread_to));
  // Or it would go on for ever.
  const auto is_asked = [&](const ItemKey& item) {
    return std::find(asked_.begin(), asked_.end(), item) != asked_.end();
  };
  const bool goes_on = part_ == CopyPart::kItems
                           ? std::any_of(page.items.begin(), page.items.end(),
                                         [&](const auto& one) { return is_asked(one.item); }) ||
                                 std::any_of(page.damaged.begin(), page.damaged.end(), is_asked)
                           : page.last || page.upto > after_;
  return about_it && unread_here && goes_on;
}

bool PartitionCopy::Counts(const CopyPage& page) const {
  return part_ != CopyPart::kRecords ||
         page.records.value_or(records_ + page.items.size()) == records_ + page.items.size();
}

std::vector<ExplainedRecord> PartitionCopy::OnPage(CopyPage* page, Time now) {
  expecting_ = false;
  deadline_ = now + kPatience;
  clock_ = std::move(page->clock);
  shown_.clear();
  partial_ = partial_ || !page->unread_to.empty() || !page->damaged.empty();
  if (part_ == CopyPart::kRecords) {
    for (const ExplainedRecord& explained : page->items) shown_.insert(explained.item);
    shown_.insert(page->damaged.begin(), page->damaged.end());
    records_ += page->items.size();
    std::string from = page->unread_to.empty() ? after_ : std::move(page->unread_to);
    if (from < PartitionEnd(partition_)) {
      to_list_ = ItemRange{partition_, std::move(from), page->last ? std::string() : page->upto};
    }
  }
  asked_.clear();
  if (part_ == CopyPart::kItems) {
    for (const ExplainedRecord& one : page->items) suspects_.erase(one.item);
    for (const ItemKey& item : page->damaged) suspects_.erase(item);
  }
  after_ = std::move(page->upto);
  if (page->last) {
    after_.clear();
    part_ = part_ == CopyPart::kRecords ? CopyPart::kLog : CopyPart::kItems;
  }
  return std::move(page->items);
}

ItemRange PartitionCopy::Range() const {
  GYRE_CHECK(to_list_.has_value(), "nothing is to be listed");
  return *to_list_;
}

std::vector<ExplainedRecord> PartitionCopy::OnListed(const ItemList& list) {
  std::vector<ExplainedRecord> deleted;
  for (const ItemKey& item : list.items) {
    if (shown_.contains(item)) continue;
    Record nothing;
    Fill(&nothing, clock_);
    deleted.push_back({item, std::make_shared<const Record>(std::move(nothing)), {}});
  }
  partial_ = partial_ || list.unread;
  if (list.complete) {
    to_list_.reset();
  } else {
    to_list_->after = EncodeItemKey(list.items.back());
  }
  return deleted;
}

PartitionCopy::Next PartitionCopy::OnTakenIn() {
  if (suspects_.size() > kMostSuspects) return Next::kGiveUp;
  if (to_list_.has_value()) return Next::kList;
  if (part_ != CopyPart::kRecords && partial_) return Next::kLeave;
  if (part_ == CopyPart::kItems && suspects_.empty()) return Next::kJoinClock;
  return Next::kAsk;
}

void PartitionCopy::OnChanged(const ItemKey& item, const Record& incoming) {
  const bool old =
      std::any_of(incoming.versions.begin(), incoming.versions.end(),
                  [&](const Version& version) { return clock_.Contains(version.dot); });
  if (old) suspects_.insert(item);
}

}  // namespace gyre
