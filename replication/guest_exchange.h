// GuestExchange: a write at a node that is no owner, while no owner can be reached. It looks what
// those that stand in keep of the item, mints as a guest on top of that (storage/guest.h), has a
// hint kept for every owner, and while the partition moves for the one beside them, each at another
// node and the first here, and answers once W of them are durable. A retry whose write is found
// among the hints is not minted again; what was found is kept for every owner.
//
// Only where the table's quorum is sloppy. Source: Dynamo (SOSP 2007) section 4.6; design 3,
// rule 6.

#ifndef GYRE_REPLICATION_GUEST_EXCHANGE_H_
#define GYRE_REPLICATION_GUEST_EXCHANGE_H_

#include <optional>
#include <utility>
#include <vector>

#include "replication/exchange.h"
#include "replication/tally.h"

namespace gyre {

class GuestExchange final : public Exchange {
 public:
  explicit GuestExchange(WriteRequest request) : request_(std::move(request)) {}

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  enum class Stage { kLooking, kMinting, kKeeping };

  void EndLooking(Effects* effects);
  void Keep(Time now, Effects* effects);
  // The node keeps nothing; another does, if there is one.
  void Lose(NodeId node, Time now, Effects* effects);
  void Decide(Effects* effects);
  void End(Outcome::Code code, Effects* effects);

  WriteRequest request_;
  NodeId self_;
  Epoch epoch_;
  std::vector<NodeId> owners_;
  Stage stage_ = Stage::kLooking;
  Time deadline_;
  Time look_until_;
  std::vector<NodeId> stand_ins_;  // still to be asked to keep, the next one last
  std::vector<NodeId> looking_;    // were asked what they keep, and have not answered
  Record known_;                   // what they answered
  std::vector<Minted> explained_;
  CausalContext context_;
  ExplainedRecord change_;
  std::optional<Tally> tally_;
  std::vector<std::pair<NodeId, NodeId>> substitutes_;  // a stand-in, and for whom
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_GUEST_EXCHANGE_H_
