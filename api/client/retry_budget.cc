#include "api/client/retry_budget.h"

#include <algorithm>
#include <cmath>

namespace gyre {
inline namespace sdk {
namespace {

constexpr int64_t kToken = 1000;

int64_t ToMilli(double tokens) { return std::llround(std::max(tokens, 0.0) * kToken); }

}  // namespace

RetryBudget::RetryBudget(const RetryBudgetOptions& options)
    : per_success_milli_(ToMilli(options.per_success)),
      capacity_milli_(ToMilli(options.capacity)),
      tokens_milli_(std::min(ToMilli(options.initial), capacity_milli_)) {}

void RetryBudget::Success() {
  int64_t tokens = tokens_milli_.load(std::memory_order_relaxed);
  while (tokens < capacity_milli_) {
    const int64_t filled = std::min(tokens + per_success_milli_, capacity_milli_);
    if (tokens_milli_.compare_exchange_weak(tokens, filled, std::memory_order_relaxed)) return;
  }
}

bool RetryBudget::TrySpend() {
  int64_t tokens = tokens_milli_.load(std::memory_order_relaxed);
  while (tokens >= kToken) {
    if (tokens_milli_.compare_exchange_weak(tokens, tokens - kToken, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

}  // namespace sdk
}  // namespace gyre
