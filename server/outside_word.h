// OutsideWord: what a node that is no member by this node's document says of a newer one. A node
// that lost its data directory begins with the document of its configuration. Where none of the
// nodes that this lists is left, those that the cluster has by now call in vain, for here they are
// no members; and nobody else would ever tell this node. So their call is taken as word of a newer
// document, which is asked for at the caller's own address, and judged (JudgeLater).
//
// Nobody is asked more often than once in a `pause`, however many call.
//
// Thread rule: Stop from the owner, all others from any thread. `ask` and `take` are called on a
// thread of its own.

#ifndef GYRE_SERVER_OUTSIDE_WORD_H_
#define GYRE_SERVER_OUTSIDE_WORD_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "ring/ids.h"
#include "ring/topology.h"
#include "storage/identity.h"

namespace gyre {

// What a document from outside is to a node.
enum class LaterDocument : uint8_t {
  kNothing,  // none that is newer than the node's
  kForeign,  // the node's does not lead to it: of another cluster that has the name
  kRemoved,  // the node was removed
  kNews,     // the node has been away, and has lost nothing that is known here
  // Its directory has lost what it had, or none of those is left that could say so: it is to be
  // filled.
  kLost,
  // The node lost its directory, did not know, and has changed its own document since, as the only
  // one that votes there. What it acknowledged is in a cluster of its own.
  kSecond,
};

// Pure. `standing`: of the node's data directory. The only member of a document votes on whatever
// follows, so one that has not heard of it has forgotten it.
LaterDocument JudgeLater(const Topology& mine, const Topology& theirs, NodeId self,
                         Standing standing);

class OutsideWord {
 public:
  // The document of who is at that address. It is to look at `gives_up` before it asks: Stop waits
  // for it.
  using Ask = std::function<absl::StatusOr<Topology>(const std::string& address,
                                                     const std::function<bool()>& gives_up)>;
  // Whether the document, which `from` has, is this node's from now on.
  using Take = std::function<bool(NodeId from, const Topology& document)>;

  OutsideWord(Ask ask, Take take, Duration pause = Duration::Seconds(1));
  OutsideWord(const OutsideWord&) = delete;
  OutsideWord& operator=(const OutsideWord&) = delete;
  ~OutsideWord();

  // A node that is no member here says that it has a newer document.
  void OnStranger(NodeId node, const std::string& address);
  // Returns once a document was taken, and after `patience` in any case.
  void AwaitTaken(Duration patience);
  void Stop();

 private:
  struct Stranger {
    NodeId node;
    std::string address;
  };

  void Run();
  bool stopping() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return stopping_;
  }

  const Ask ask_;
  const Take take_;
  const Duration pause_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Stranger> next_;  // guarded by mutex_, and so are the next two; who called last
  bool taken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_OUTSIDE_WORD_H_
