// ReadExchange: a get, coordinated by any node. Asks R owners (this node first, if it is one, then
// those that nobody suspects and that are not slow), one more when an answer is late (PeerPace says
// when, and how often that may be), the rest when a node is lost or after a quarter of the timeout,
// merges what R answered, and sends the merged record to those that were behind: read repair is one
// of its effects.
//
// Where the table's quorum is sloppy and fewer than R owners can be reached, or have answered
// within a quarter of the timeout, stand-ins are asked what they keep for the others, and count as
// those. That an item is not there, though, only an owner can say.
//
// What this node has in memory of the item it names to the others, so that they answer without the
// values of those versions: between owners that agree, a value travels once, to the client.
//
// Source: Dynamo (SOSP 2007) sections 4.5 and 5; hedging after Dean and Barroso, "The Tail at
// Scale" (CACM 2013).

#ifndef GYRE_REPLICATION_READ_EXCHANGE_H_
#define GYRE_REPLICATION_READ_EXCHANGE_H_

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "replication/exchange.h"
#include "replication/tally.h"

namespace gyre {

class ReadExchange final : public Exchange {
 public:
  explicit ReadExchange(ReadRequest request);

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  void Ask(NodeId node, Time now, Effects* effects);
  void AskTheRest(Time now, Effects* effects);
  // An answer is late: tells whose, and asks one more where that may be.
  void Hedge(Time now, Effects* effects);
  void NotePace(NodeId node);
  // Puts the values that did not come back into their places; false where they are not known here.
  bool Complete(FetchReply* reply) const;
  // The node answers nothing.
  void Lose(NodeId node, Part part);
  // Asks stand-ins for the owners that have none, in their place.
  void AskStandIns(Time now, Effects* effects);
  // Of those that have not answered; the next ones take their places.
  void LoseSilentStandIns();
  bool HasAnswered(NodeId node) const;
  // The owner that the node stands in for, or null.
  const NodeId* StoodInForBy(NodeId node) const;
  bool HasStandIn(NodeId owner) const;
  bool IsSaidByWhoKnows() const;
  bool OwnersAreLost() const;
  void Decide(Time now, Effects* effects);
  void Repair(const RecordPtr& merged, Effects* effects);
  void DropRepeats(Record* merged) const;
  void End(Outcome::Code code, Effects* effects);
  // Leaves of the record what is to be shown; false where only the time could tell.
  bool Show(Outcome* outcome) const;

  const ReadRequest request_;
  NodeId self_;
  Epoch epoch_;
  Time deadline_;
  PeerPace* pace_ = nullptr;
  Duration hedge_after_;  // since the start
  Time hedge_at_;         // Never: it has been done
  // Who was not asked by then is asked, whatever has become of the others.
  Time rest_at_;
  std::optional<uint64_t> time_ms_;  // the cluster's, as the read began
  std::optional<Tally> tally_;
  std::vector<Version> at_hand_;
  std::vector<std::pair<NodeId, ExplainedRecord>> answers_;

  // Sloppy quorums.
  std::set<NodeId> lost_;  // of all nodes, those that answer nothing
  bool silent_ = false;    // rest_at_ has passed: who has not answered is stood in for
  bool short_ = false;     // stand-ins are wanted
  std::optional<std::vector<NodeId>> stand_ins_;        // still to be asked, the next one last
  std::vector<std::pair<NodeId, NodeId>> substitutes_;  // a stand-in, and for whom
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_READ_EXCHANGE_H_
