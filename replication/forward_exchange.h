// ForwardExchange: a write at a node that is no owner. It mints nothing; it hands the write to an
// owner, one that nobody suspects where there is one, and passes the answer on. When an owner is
// lost or late the next one is asked, as a further attempt of the same write, so that it still has
// one effect.

#ifndef GYRE_REPLICATION_FORWARD_EXCHANGE_H_
#define GYRE_REPLICATION_FORWARD_EXCHANGE_H_

#include <vector>

#include "replication/exchange.h"

namespace gyre {

class ForwardExchange final : public Exchange {
 public:
  explicit ForwardExchange(WriteRequest request);

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  void AskNext(Time now, Effects* effects);
  void End(Outcome::Code code, Effects* effects);

  WriteRequest request_;
  NodeId self_;
  Epoch epoch_;
  std::vector<NodeId> owners_;  // still to be asked, the next one last
  NodeId asked_;                // of the owners that were asked, the last
  int times_asked_ = 0;
  Time deadline_;
  Duration patience_;  // with one owner
  Time give_up_at_;    // on the one that was asked
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_FORWARD_EXCHANGE_H_
