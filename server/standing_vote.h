// StandingVote: whether this node's data directory, that was made empty, is its first. If another
// one came before, what that one had was lost, and the node is to be filled before it answers
// reads; if none did, there is nothing to be filled with, and nobody to wait for.
//
// The peers know, for each remembers which directories it has met under this node's name
// (storage/peer_runs.h). One that has met another is believed. Else it is the first once every
// other member has greeted it: a write may have been acknowledged by the directory before and by
// any one peer, so no fewer can speak for all. Until then it is to be taken for lost: it takes
// writes in, and answers no reads of a partition before it has compared it with all its other
// owners.
//
// What is decided is told in its order, one after the other: a directory that is proven by one
// thread and known for lost by another at the same time is lost in the end, wherever that is told.
//
// Thread-safe.

#ifndef GYRE_SERVER_STANDING_VOTE_H_
#define GYRE_SERVER_STANDING_VOTE_H_

#include <cstddef>
#include <functional>
#include <mutex>
#include <set>
#include <utility>

#include "ring/ids.h"
#include "storage/identity.h"

namespace gyre {

class StandingVote {
 public:
  // The standing is that from now on: to be made durable. Called on the thread that brought it
  // about, which is to call nothing here.
  using Tell = std::function<void(Standing)>;

  // `members`: of the cluster, this node included; at least 1.
  StandingVote(Standing standing, size_t members, Tell tell)
      : tell_(std::move(tell)), peers_(members - 1), standing_(standing) {}

  // At the start: who has no peers needs none.
  void OnStart() {
    std::lock_guard<std::mutex> lock(mutex_);
    Decide();
  }
  // `peer` let this node in, and knew of no other directory.
  void OnGreeted(NodeId peer) {
    std::lock_guard<std::mutex> lock(mutex_);
    greeted_.insert(peer);
    Decide();
  }
  // A peer has met another directory, or this one in a later state. Told as often as it is said.
  void OnForgetful() {
    std::lock_guard<std::mutex> lock(mutex_);
    standing_ = Standing::kReplaced;
    tell_(standing_);
  }

  Standing standing() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return standing_;
  }

 private:
  void Decide() {
    if (standing_ != Standing::kUnproven || greeted_.size() < peers_) return;
    standing_ = Standing::kProven;
    tell_(standing_);
  }

  const Tell tell_;
  mutable std::mutex mutex_;
  const size_t peers_;
  Standing standing_;
  std::set<NodeId> greeted_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_STANDING_VOTE_H_
