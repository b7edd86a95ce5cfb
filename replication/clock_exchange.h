// ClockExchange: anti-entropy of one partition with one other owner. Sends this owner's clock,
// takes in what it lacks, and joins the peer's bases after the last record: cost follows the
// difference.
//
// Every question carries the newest clock, so that nothing is remembered at the peer between two
// answers, and an exchange that breaks in the middle has joined nothing (design 3, rule 2).
//
// Where a peer's log no longer tells what this owner lacked when it asked, the clock of now may
// have come by it in another way, and is asked with; only if that lacks it too is a copy needed.
//
// What is damaged, at the peer or here, does not come, and then nothing is joined; all else comes.
// The peer passes over its own damage. Behind what is damaged here this asks for the rest, dot by
// dot (ClockAsk::after), for the clock would go on asking for the same.
//
// Source: Gonçalves et al., DottedDB (SRDS 2017), section IV.

#ifndef GYRE_REPLICATION_CLOCK_EXCHANGE_H_
#define GYRE_REPLICATION_CLOCK_EXCHANGE_H_

#include <optional>

#include "replication/message.h"
#include "ring/ids.h"
#include "storage/version/dot.h"

namespace gyre {

// Not an Exchange: what it steps on is a partition's clock, not one item. The shard asks with the
// clock of the moment, applies the items of each answer, and then asks this what to do next.
class ClockExchange {
 public:
  // How long an answer may take before the exchange is given up (a later one starts afresh).
  static constexpr Duration kPatience = Duration::Seconds(10);
  // Answers after which an exchange ends and leaves the rest to the next, so that one partition far
  // behind does not hold the others back.
  static constexpr int kMostAnswers = 64;

  // `after`: where an exchange ended that passed over damage here.
  ClockExchange(PartitionId partition, NodeId peer, Time now, Dot after = {})
      : partition_(partition), peer_(peer), deadline_(now + kPatience), after_(after) {}

  enum class Next : uint8_t {
    kJoinBases,  // everything is in: join the peer's bases; the exchange is over
    kAskAgain,   // some is in: ask again with the clock of now
    kCopy,       // its log was cut, also for the clock of now: only a copy can help
    kGiveUp,     // this has gone on for long enough; or what is left is damaged, here or there
  };

  // An answer has arrived: no other is expected until the next question.
  // REQUIRES: expecting().
  void OnAnswer(const ClockAnswer& answer, Time now);
  // One of its items could not be taken in, for what is here of it is damaged.
  void OnMissed() { ++missed_; }
  // All others have been.
  Next OnTakenIn();

  // The first question has what is missing counted; later answers only lessen it.
  bool counts() const { return answers_ == 0 && after_ == Dot{}; }
  // What the question is to leave out, for it was passed over: everything up to this dot. Once the
  // exchange is over, where the next one is to go on; Dot{}: at the front.
  const Dot& after() const { return after_; }
  bool expecting() const { return expecting_; }
  PartitionId partition() const { return partition_; }
  NodeId peer() const { return peer_; }
  Time deadline() const { return deadline_; }
  const VersionVector& bases() const { return bases_; }

 private:
  const PartitionId partition_;
  const NodeId peer_;
  Time deadline_;
  int answers_ = 0;
  bool expecting_ = true;
  bool complete_ = false;
  size_t brought_ = 0;  // items of the last answer
  size_t missed_ = 0;   // of these
  int cuts_ = 0;        // answers in a row whose log no longer told all
  Dot upto_;            // of the last answer
  Dot after_;
  VersionVector bases_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_CLOCK_EXCHANGE_H_
