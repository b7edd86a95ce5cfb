// RetryBudget: a bound on retries as a share of the traffic that succeeds, so that a cluster in
// trouble is not finished off by its clients. A token bucket as in Finagle's RetryBudget and gRPC's
// retry throttling (gRFC A6): each success puts `per_success` tokens in, each retry takes one out,
// and a retry that finds no token is not made: the request fails with what went wrong.
//
// The first retry of a request that follows a lost connection or a draining node does not draw on
// it, so that the death of one node costs nothing however much was in flight to it; each further
// one does. Nor does a retry by a new epoch, which happens once per change.
//
// Thread-safe; one atomic, and a success at a full bucket only reads it.

#ifndef GYRE_API_CLIENT_RETRY_BUDGET_H_
#define GYRE_API_CLIENT_RETRY_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace gyre {
inline namespace sdk {

struct RetryBudgetOptions {
  // Tokens a success adds. Default 0.1: retries are at most 10 % of what succeeds. 0: only the
  // initial tokens are ever spent. 1: a broken cluster sees twice its traffic.
  double per_success = 0.1;
  // Tokens at the start, so that a quiet client can retry at all. Default 20.
  double initial = 20;
  // The most that a long quiet time saves up. Default 100: a burst of so many retries at once.
  double capacity = 100;
};

class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options = {});

  void Success();
  // Takes a token. False: there is none, do not retry.
  [[nodiscard]] bool TrySpend();

 private:
  const int64_t per_success_milli_;
  const int64_t capacity_milli_;
  std::atomic<int64_t> tokens_milli_;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_RETRY_BUDGET_H_
