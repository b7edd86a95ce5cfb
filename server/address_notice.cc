#include "server/address_notice.h"

#include <utility>

namespace gyre {

AddressNotice::AddressNotice(Parts parts, std::chrono::milliseconds pause)
    : parts_(std::move(parts)), pause_(pause), thread_([this] { Run(); }) {}

AddressNotice::~AddressNotice() {
  {
    const std::lock_guard lock(answers_->mutex);
    answers_->stopping = true;
  }
  answers_->changed.notify_all();
  thread_.join();
}

void AddressNotice::Run() {
  for (;;) {
    if (!parts_.is_told()) {
      const std::optional<absl::Status> outcome = Propose();
      if (!outcome.has_value()) return;
      if (!outcome->ok()) parts_.on_failure(*outcome);
    }
    // After a success as well: what is decided may take a moment until it is in force here.
    std::unique_lock lock(answers_->mutex);
    const bool stops =
        answers_->changed.wait_for(lock, pause_, [this] { return answers_->stopping; });
    if (stops) return;
  }
}

std::optional<absl::Status> AddressNotice::Propose() {
  {
    const std::lock_guard lock(answers_->mutex);
    answers_->of_last.reset();
  }
  parts_.propose([answers = answers_](absl::Status status) {
    {
      const std::lock_guard lock(answers->mutex);
      answers->of_last = std::move(status);
    }
    answers->changed.notify_all();
  });
  std::unique_lock lock(answers_->mutex);
  answers_->changed.wait(lock,
                         [this] { return answers_->stopping || answers_->of_last.has_value(); });
  if (answers_->stopping) return std::nullopt;
  return answers_->of_last;
}

}  // namespace gyre
