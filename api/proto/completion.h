// Completion: whoever waits for an operation of gRPC's asynchronous API; its address is the tag.
//
// All gRPC of a node, and of a client but for its blocking calls about tables and status, is on
// completion queues that threads of ours poll, and none of it on gRPC's callback API. gRPC 1.51
// serves callbacks from threads of its own, two at least. They hand the poll to each other at each
// event, whatever a callback does about a shard is one more hand-over, and a write that another
// thread starts is one back: some twenty switches of threads for a request at a moderate load.
//
// Thread rule: OnComplete runs on the thread that polls the queue, and sees all that was done
// before the operation was started.

#ifndef GYRE_API_PROTO_COMPLETION_H_
#define GYRE_API_PROTO_COMPLETION_H_

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace gyre {

class Completion {
 public:
  // The operation is done; `ok` as gRPC tells it. Once for each that was started with this tag.
  virtual void OnComplete(bool ok) = 0;

 protected:
  ~Completion() = default;
};

// Tells a member function of its owner.
template <typename Owner, void (Owner::*kTell)(bool ok)>
class CompletionOf final : public Completion {
 public:
  explicit CompletionOf(Owner* owner) : owner_(owner) {}
  CompletionOf(const CompletionOf&) = delete;
  CompletionOf& operator=(const CompletionOf&) = delete;

  void OnComplete(bool ok) override { (owner_->*kTell)(ok); }
  // What gRPC takes and gives back. REQUIRES: taken anew for each operation, when it is started.
  void* tag() {
    Completion* const tag = this;
#if defined(__SANITIZE_THREAD__)
    // ThreadSanitizer does not see how gRPC, built without it, hands the operation over.
    __tsan_release(tag);
#endif
    return tag;
  }

 private:
  Owner* const owner_;
};

inline void Complete(void* tag, bool ok) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(tag);
#endif
  static_cast<Completion*>(tag)->OnComplete(ok);
}

}  // namespace gyre

#endif  // GYRE_API_PROTO_COMPLETION_H_
