// From what came of a request to the reply that its client sees.
//
// Pure functions; any thread.

#ifndef GYRE_API_REPLY_TRANSLATION_H_
#define GYRE_API_REPLY_TRANSLATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "api/proto/gyre.pb.h"
#include "replication/request.h"
#include "ring/ids.h"
#include "ring/view.h"

namespace gyre {

// Which item an outcome is about: what its context is bound to.
struct RepliedItem {
  TableId table;
  uint64_t key_hash = 0;
};

// Each fills *reply and answers OK, or answers the error that the client is to see instead. `view`
// gives nodes their names.
absl::Status TranslatePutReply(Outcome outcome, RepliedItem item, const View& view,
                               v1::PutReply* reply);
absl::Status TranslateDeleteReply(Outcome outcome, RepliedItem item, const View& view,
                                  v1::DeleteReply* reply);
// Values beyond kMaxReplyValueBytes are an error that carries their context.
absl::Status TranslateGetReply(Outcome outcome, RepliedItem item, const View& view,
                               v1::GetReply* reply);

}  // namespace gyre

#endif  // GYRE_API_REPLY_TRANSLATION_H_
