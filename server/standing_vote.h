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
// Thread-safe.

#ifndef GYRE_SERVER_STANDING_VOTE_H_
#define GYRE_SERVER_STANDING_VOTE_H_

#include <cstddef>
#include <mutex>
#include <optional>
#include <set>

#include "ring/ids.h"
#include "storage/identity.h"

namespace gyre {

class StandingVote {
 public:
  // `members`: of the cluster, this node included; at least 1.
  StandingVote(Standing standing, size_t members) : peers_(members - 1), standing_(standing) {}

  // Each of these returns the standing where it is another from now on: to be made durable.

  // At the start: who has no peers needs none.
  std::optional<Standing> OnStart() {
    std::lock_guard<std::mutex> lock(mutex_);
    return Decide();
  }
  // `peer` let this node in, and knew of no other directory.
  std::optional<Standing> OnGreeted(NodeId peer) {
    std::lock_guard<std::mutex> lock(mutex_);
    greeted_.insert(peer);
    return Decide();
  }
  // A peer has met another directory, or this one in a later state.
  std::optional<Standing> OnForgetful() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (standing_ == Standing::kReplaced) return std::nullopt;
    return standing_ = Standing::kReplaced;
  }

  Standing standing() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return standing_;
  }

 private:
  std::optional<Standing> Decide() {
    if (standing_ != Standing::kUnproven || greeted_.size() < peers_) return std::nullopt;
    return standing_ = Standing::kProven;
  }

  mutable std::mutex mutex_;
  const size_t peers_;
  Standing standing_;
  std::set<NodeId> greeted_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_STANDING_VOTE_H_
