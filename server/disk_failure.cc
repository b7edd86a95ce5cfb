#include "server/disk_failure.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace gyre {

void DiskFailure::Give(const absl::Status& why) {
  const std::lock_guard<std::mutex> watch(watch_mutex_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!status_.ok()) return;
    status_ = why;
  }
  if (on_failure_ != nullptr) on_failure_(why);
}

void DiskFailure::Watch(std::function<void(const absl::Status&)> on_failure) {
  const std::lock_guard<std::mutex> watch(watch_mutex_);
  on_failure_ = std::move(on_failure);
  if (on_failure_ != nullptr && happened()) on_failure_(status());
}

absl::Status DiskFailure::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

std::string DiskFailure::Words() const {
  const absl::Status why = status();
  if (why.ok()) return "";
  const char* what = "a write to the disk failed: ";
  if (absl::IsResourceExhausted(why)) what = "the disk is full: ";
  if (absl::IsDataLoss(why)) what = "the store is damaged: ";
  return absl::StrCat(what, why.message());
}

}  // namespace gyre
