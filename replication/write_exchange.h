// WriteExchange: a put or a delete at an owner. Mints here, sends the filled record to the other
// owners and answers once W of them, this one included, hold it durably.
//
// A retry, or a forwarded write, that this owner does not know first asks the others whether they
// know it, and waits for enough answers to meet every write quorum (N - W others): so a write that
// was acknowledged is never minted again. Where they cannot be had the retry fails, as the write
// itself would with W > 1; with W = 1, which puts being writeable above all, it is minted all the
// same. An attempt that was not acknowledged, and that nobody in reach knows, may so be minted
// again; when the owners come to know both, the later attempt replaces the earlier (ReplicaStore).
// An owner that lost its data and is not filled yet asks one more: that it does not know says
// nothing.
//
// A first attempt may come late, too, after its client has been served elsewhere. It asks like a
// retry where it would replace all of this owner's record, and either that reflects what has not
// come here, or a later attempt may have begun by now (WriteIntent::fresh_until).
//
// Where the table's quorum is sloppy, an owner that cannot be reached, is suspected, refuses, or is
// silent for a quarter of the timeout is stood in for: the next node that is no owner keeps its
// copy as a hint, and counts as that owner's in W. A retry asks all other owners, and where one of
// them does not answer the stand-ins, too, for what it looks for may be among their hints; it is
// minted all the same where that is not enough, or not in time.
//
// While the partition moves, the one beside the owners (ring/move.h) takes the write like them, and
// W is counted in both sets. It is not asked by who looks for an earlier attempt: an acknowledged
// one has W of the owners as well.
//
// Source: Dynamo (SOSP 2007) sections 4.5 and 4.6; minting as in Almeida et al., DAIS 2015,
// section 4.

#ifndef GYRE_REPLICATION_WRITE_EXCHANGE_H_
#define GYRE_REPLICATION_WRITE_EXCHANGE_H_

#include <memory>
#include <optional>
#include <vector>

#include "replication/exchange.h"
#include "replication/tally.h"

namespace gyre {

class WriteExchange final : public Exchange {
 public:
  // What this owner remembers of the write. kLost: nothing, for it lost data, and may have known.
  enum class Memory { kKnows, kDoesNotKnow, kLost };

  WriteExchange(WriteRequest request, Memory memory);

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnStandIns(std::vector<NodeId> nodes, Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  enum class Stage { kProbing, kMinting, kReplicating };

  void Probe(Time now, Effects* effects);
  void NoteUnanswered(NodeId owner, Part part);
  void EndProbing(Time now, Effects* effects);
  void Adopt(ExplainedRecord found, Time now, Effects* effects);
  // The node takes no copy, or an owner's copy no longer.
  void Lose(NodeId node, Part part);
  // Finds stand-ins for the owners that want one.
  void HandOver(Time now, Effects* effects);
  void Mint(Time now, Effects* effects);
  void GiveUpProbing(Outcome::Code code, Time now, Effects* effects);
  // Of those whose copy nobody has acknowledged yet, the next stand-in is to take the place.
  void LoseTheSilent();
  void Decide(Time now, Effects* effects);
  void End(Outcome::Code code, Effects* effects);

  WriteRequest request_;
  const Memory memory_;
  NodeId self_;
  Epoch epoch_;
  std::vector<NodeId> others_;       // the other owners; after minting, who is beside them as well
  NodeId beside_;                    // or none
  std::vector<NodeId> unreachable_;  // nodes, when last heard
  std::vector<NodeId> suspected_;    // of the other owners, those that may not answer
  Stage stage_ = Stage::kMinting;
  int probe_quorum_ =
      0;                // others who must not know a write before it is minted; 0: nobody is asked
  bool retry_ = false;  // an earlier attempt may have taken effect
  bool late_ = false;   // or a later one, for this is a first attempt that came late
  Time deadline_;
  Time probe_deadline_;
  std::optional<Tally> probe_;
  std::optional<Tally> tally_;
  CausalContext context_;   // after minting
  ExplainedRecord change_;  // likewise

  // Sloppy quorums.
  struct Substitute {
    NodeId stand_in;
    NodeId owner;
  };
  std::optional<std::vector<NodeId>> stand_ins_;  // once they are known
  size_t next_stand_in_ = 0;
  std::vector<NodeId> asking_;  // other owners that were asked for it, and have not answered
  bool look_among_hints_ = false;
  std::vector<NodeId> looking_;  // stand-ins that were asked for the write and have not answered
  std::vector<NodeId> lost_;     // owners that answer nothing, as opposed to: not yet
  std::vector<NodeId> wanting_;  // owners whose copy nobody keeps yet
  std::vector<Substitute> substitutes_;
  Time silent_at_ = Time::Never();  // who has not answered by then is stood in for
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_WRITE_EXCHANGE_H_
