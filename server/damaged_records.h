// DamagedRecords: which records of one shard failed their checks and have not been mended, and
// which of them is fetched again next (replication/mend_exchange.h). All have their turn: one that
// cannot be mended now, since a node is away, stands in no other's way. One whose only owner is
// this node has nobody to be fetched from; it is counted, and waits in no queue.
//
// Pure. Thread rule: its shard's thread.

#ifndef GYRE_SERVER_DAMAGED_RECORDS_H_
#define GYRE_SERVER_DAMAGED_RECORDS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/functional/function_ref.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "storage/keys.h"

namespace gyre {

class DamagedRecords {
 public:
  // That are remembered, of each of the two kinds. Others are when they are met again.
  static constexpr size_t kMost = 1024;

  // `lone`: no other node owns the item. False where it is known, or there is no room.
  bool Note(const ItemKey& item, bool lone);
  // It is whole. Whether it was not.
  bool Forget(const ItemKey& item);
  void ForgetIf(absl::FunctionRef<bool(const ItemKey&)> gone);

  // Items that nothing mends, `most` at most, from the one behind the last that was given, over and
  // over.
  std::vector<ItemKey> Next(size_t most);
  // `exchange` mends the item. REQUIRES: Next gave it.
  void Begin(const ItemKey& item, ExchangeId exchange);
  // Whether `exchange` mends it, and it has not been forgotten since that began. Then it is now.
  bool Take(const ItemKey& item, ExchangeId exchange);
  // What mended the item has ended: if it is still known, it is tried again.
  void End(const ItemKey& item);

  // Whether there is anything to be mended.
  bool waits() const { return !shared_.empty(); }
  size_t size() const { return shared_.size() + lone_.size(); }

 private:
  // By which exchange each is mended; 0: by none.
  std::map<ItemKey, ExchangeId> shared_;
  std::set<ItemKey> lone_;
  std::optional<ItemKey> last_;  // that Next gave
};

}  // namespace gyre

#endif  // GYRE_SERVER_DAMAGED_RECORDS_H_
