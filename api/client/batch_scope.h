// BatchScope: while one is open on a thread, streams of its owner only queue what the thread
// submits; when the outermost closes, each stream writes all of it at once.
//
//   {
//     BatchScope scope(owner);
//     for (Operation& op : many) node->Submit(op);   // no frame is written here
//   }                                                // one frame for each node
//
// A scope belongs to the thread that made it and is a local variable.

#ifndef GYRE_API_CLIENT_BATCH_SCOPE_H_
#define GYRE_API_CLIENT_BATCH_SCOPE_H_

#include "absl/container/inlined_vector.h"

namespace gyre {
inline namespace sdk {

class NodeStream;

class BatchScope {
 public:
  explicit BatchScope(const void* owner);
  ~BatchScope();
  BatchScope(const BatchScope&) = delete;
  BatchScope& operator=(const BatchScope&) = delete;

  // True: a scope of `owner` is open on this thread and will flush `node`.
  [[nodiscard]] static bool Defer(const void* owner, NodeStream* node);

 private:
  static BatchScope* Find(const void* owner);

  const void* const owner_;
  BatchScope* const outer_;
  absl::InlinedVector<NodeStream*, 8> nodes_;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_BATCH_SCOPE_H_
