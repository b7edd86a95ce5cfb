#include "server/disk_failure.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace gyre {

void DiskFailure::Give(const absl::Status& why, Deed deed) {
  const std::lock_guard<std::mutex> watch(watch_mutex_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!status_.ok()) return;
    status_ = why;
    deed_ = deed;
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
  const std::lock_guard<std::mutex> lock(mutex_);
  if (status_.ok()) return "";
  const char* what = "a write to the disk failed: ";
  if (deed_ == Deed::kRead) what = "a read of the disk failed: ";
  if (absl::IsResourceExhausted(status_)) what = "the disk is full: ";
  if (absl::IsDataLoss(status_)) what = "the store is damaged: ";
  return absl::StrCat(what, status_.message());
}

}  // namespace gyre
