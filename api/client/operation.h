// Operation: one request of a caller, from the call to the callback, over all of its attempts.
//
// It is in exactly one place at any time: in a NodeStream (waiting for a frame, or sent), in the
// WaitingRoom, or in the hands of the thread that moves it between these. Places pass it on as a
// unique_ptr, so a reply, a timeout and a lost connection cannot each believe it to be theirs, and
// no field needs a lock of its own.
//
// The request message is made once, with the caller's value moved into it; each attempt writes it
// into a frame straight from here.

#ifndef GYRE_API_CLIENT_OPERATION_H_
#define GYRE_API_CLIENT_OPERATION_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client/results.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

struct Operation {
  // Set by the caller.
  v1::ClientRequest request;  // a put, get or delete; `id` and the options below change per attempt
  std::variant<PutCallback, GetCallback, DeleteCallback> done;
  absl::Time deadline;
  size_t size_bytes = 0;  // what it counts against the client's bound

  // Where it stands.
  int attempts = 0;   // frames it went out in
  int retries = 0;    // after a wait
  int failovers = 0;  // after a lost connection or a draining node, without a wait: one at most
  int refreshes = 0;  // after a change of the topology, without drawing on the budget
  uint32_t turn = 0;  // offset into the owners: the next one at each retry
  uint64_t routed_epoch = 0;
  bool given_up = false;         // its caller is only to be told of last_error
  bool outcome_unknown = false;  // some attempt of a write may have taken effect
  absl::Status last_error;

  // In the waiting room: until then, or until that epoch is known (0: no epoch helps).
  absl::Time wake_at = absl::InfinitePast();
  uint64_t wake_epoch = 0;

  std::string_view table() const {
    switch (request.request_case()) {
      case v1::ClientRequest::kPut:
        return request.put().table();
      case v1::ClientRequest::kDelete:
        return request.delete_().table();
      default:
        return request.get().table();
    }
  }
  std::string_view key() const {
    switch (request.request_case()) {
      case v1::ClientRequest::kPut:
        return request.put().key();
      case v1::ClientRequest::kDelete:
        return request.delete_().key();
      default:
        return request.get().key();
    }
  }
  v1::RequestOptions& options() {
    switch (request.request_case()) {
      case v1::ClientRequest::kPut:
        return *request.mutable_put()->mutable_options();
      case v1::ClientRequest::kDelete:
        return *request.mutable_delete_()->mutable_options();
      default:
        return *request.mutable_get()->mutable_options();
    }
  }
  bool is_write() const { return request.request_case() != v1::ClientRequest::kGet; }
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_OPERATION_H_
