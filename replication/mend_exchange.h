// MendExchange: brings back a record that is damaged here. Asks every other node of the cluster
// what it keeps of the item as a hint, then every other owner what it has of it, and puts what all
// of them have together in the damaged record's place.
//
// In this order: a hint that its keeper has no more when it is asked is durable at its owner, which
// is asked after that.
//
// All must answer. This owner's clock says that it has seen the item's writes: where it would hold
// less than that after the mending, what it lacks would pass for deleted, and it would take the
// last copies elsewhere with it. So a node that cannot be reached puts the mending off, and until
// then the record is served to nobody. An owner whose own copy is damaged has answered, too:
// what it had is lost there, and it may itself wait for this one. Where none of the owners can
// tell, the record stays damaged: that nothing is left passes for no delete. One that is being
// filled cannot tell where another one's copy is damaged: what it has of it, if anything, may be
// older than what both of these lost. But where all others are filled they wait for this one, and
// what they had of it is gone: it ends as what they and hints have, or as nothing.
//
// Its outcome is for the shard alone: kOk, or why it is to be tried again.

#ifndef GYRE_REPLICATION_MEND_EXCHANGE_H_
#define GYRE_REPLICATION_MEND_EXCHANGE_H_

#include <set>
#include <vector>

#include "replication/exchange.h"

namespace gyre {

class MendExchange final : public Exchange {
 public:
  // How long the others have to answer.
  static constexpr Duration kPatience = Duration::Seconds(5);

  // `members`: every node of the cluster.
  MendExchange(ItemKey item, std::vector<NodeId> members)
      : item_(std::move(item)), members_(std::move(members)) {}

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  void AskOwners(Effects* effects);
  // Whether what was heard is all that there is to be had.
  bool MayEnd() const;
  void End(Outcome::Code code, Effects* effects);

  const ItemKey item_;
  const std::vector<NodeId> members_;
  NodeId self_;
  Epoch epoch_;
  Time deadline_;
  std::set<NodeId> owners_;  // the others
  bool asks_owners_ = false;
  bool owner_told_ = false;      // what it has, be it nothing
  bool whole_told_ = false;      // of these one that is not being filled
  bool lost_elsewhere_ = false;  // what another owner had is damaged, too
  size_t empty_ = 0;             // owners that are being filled, and have nothing of it yet
  std::set<NodeId> asked_;       // and have not answered
  Record merged_;
  std::vector<Minted> minted_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_MEND_EXCHANGE_H_
