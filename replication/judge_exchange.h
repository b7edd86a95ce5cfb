// JudgeExchange: asks the other owners of an item what they hold of it, and has that judged
// together with what this owner holds (replication/judgement.h). Where they differ in a way that
// need not be a contradiction, for a write is on its way, it asks again a few times; what is not
// clear by then a later pass of the scrub meets again. Who cannot be reached has no say.
//
// Its outcome is for the shard alone: kOk, or why nothing could be judged.

#ifndef GYRE_REPLICATION_JUDGE_EXCHANGE_H_
#define GYRE_REPLICATION_JUDGE_EXCHANGE_H_

#include <array>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "replication/exchange.h"

namespace gyre {

class JudgeExchange final : public Exchange {
 public:
  // How long the others have to answer each time, and the pauses before they are asked again: the
  // last is longer than repair takes to come round.
  static constexpr Duration kPatience = Duration::Seconds(5);
  static constexpr std::array<Duration, 3> kPauses = {Duration::Millis(200), Duration::Seconds(2),
                                                      Duration::Seconds(20)};

  explicit JudgeExchange(ItemKey item) : item_(std::move(item)) {}

  void Start(const Surroundings& around, Time now, Effects* effects) override;
  void OnMinted(MintOutcome minted, Time now, Effects* effects) override;
  void OnReply(NodeId from, PeerBody reply, Time now, Effects* effects) override;
  void OnUnreachable(NodeId node, Time now, Effects* effects) override;
  void OnWake(Time now, Effects* effects) override;
  void OnJudged(const Judgement& judgement, Time now, Effects* effects) override;
  void OnLocalFailure(Outcome::Code code, Time now, Effects* effects) override;

 private:
  void Ask(Time now, Effects* effects);
  // Nobody is waited for any more.
  void Tell(Effects* effects);
  void End(Outcome::Code code, Effects* effects);

  const ItemKey item_;
  NodeId self_;
  Epoch epoch_;
  std::set<NodeId> others_;  // that could be reached so far
  std::set<NodeId> asked_;   // and have not answered
  std::vector<OwnersRecord> heard_;
  size_t rounds_ = 0;
  bool pausing_ = false;
  Time wake_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_JUDGE_EXCHANGE_H_
