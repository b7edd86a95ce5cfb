// From a client's request as it came over the wire to what a shard serves. Every limit of the
// contract (api/limits.h, api/proto/gyre.proto) is checked here, and nothing behind it checks
// again.
//
// Pure functions; any thread. Errors are the typed ones of api/error_translation.h.

#ifndef GYRE_API_REQUEST_TRANSLATION_H_
#define GYRE_API_REQUEST_TRANSLATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "api/proto/gyre.pb.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/table.h"
#include "ring/view.h"

namespace gyre {

// A request's item, found on the ring.
struct Target {
  const TableSpec* table = nullptr;  // lives as long as the View
  ItemKey item;
  uint64_t key_hash = 0;
};

struct TranslatedWrite {
  Target target;
  WriteRequest request;
};
struct TranslatedRead {
  Target target;
  ReadRequest request;
};

// Moves values and keys out of `request`.
absl::StatusOr<TranslatedWrite> TranslatePut(v1::PutRequest* request, const View& view);
absl::StatusOr<TranslatedWrite> TranslateDelete(v1::DeleteRequest* request, const View& view);
absl::StatusOr<TranslatedRead> TranslateGet(v1::GetRequest* request, const View& view);

// What is common to all items of a multi request; the errors of a single item are that item's
// outcome.
absl::Status CheckMultiGet(const v1::MultiGetRequest& request, const View& view);
absl::Status CheckMultiPut(const v1::MultiPutRequest& request, const View& view);
// REQUIRES: the check above passed; 0 <= index < items.
absl::StatusOr<TranslatedRead> TranslateMultiGetItem(v1::MultiGetRequest* request, int index,
                                                     const View& view);
absl::StatusOr<TranslatedWrite> TranslateMultiPutItem(v1::MultiPutRequest* request, int index,
                                                      const View& view);

}  // namespace gyre

#endif  // GYRE_API_REQUEST_TRANSLATION_H_
