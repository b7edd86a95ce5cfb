// What requests come back with, and the callbacks that take it. Plain values.

#ifndef GYRE_API_CLIENT_RESULTS_H_
#define GYRE_API_CLIENT_RESULTS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

struct PutResult {
  std::string context = {};  // covers what was written and what it replaced
  v1::ReplyInfo info =
      {};            // the epoch, how many replicas answered; with `explain`, each one's part
  int attempts = 1;  // how often the request went out
};

struct DeleteResult {
  std::string context = {};
  v1::ReplyInfo info = {};
  int attempts = 1;
};

// A key that is not there is no error: `values` is empty, and `context` still counts.
struct GetResult {
  std::vector<std::string> values = {};  // more than one: siblings, concurrent writes to be merged
  std::string context = {};              // hand it to the write that replaces these values
  v1::ReplyInfo info = {};
  int attempts = 1;
  // Of each value, for how long it lives on, infinite for one that does not expire. Empty where
  // none does.
  std::vector<absl::Duration> ttl_left = {};

  bool found() const { return !values.empty(); }
};

using PutCallback = std::function<void(absl::StatusOr<PutResult>)>;
using GetCallback = std::function<void(absl::StatusOr<GetResult>)>;
using DeleteCallback = std::function<void(absl::StatusOr<DeleteResult>)>;

// One outcome for each item, in the order of the request.
using MultiPutResult = std::vector<absl::StatusOr<PutResult>>;
using MultiGetResult = std::vector<absl::StatusOr<GetResult>>;
using MultiPutCallback = std::function<void(absl::StatusOr<MultiPutResult>)>;
using MultiGetCallback = std::function<void(absl::StatusOr<MultiGetResult>)>;

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_RESULTS_H_
