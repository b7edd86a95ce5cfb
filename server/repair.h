// Repair: keeps the partitions of one shard in step with their other owners. It asks each owner of
// each partition in turn what this node lacks (replication/clock_exchange.h): in a slow round that
// never ends, and at once, owner by owner, where one is back that may have what was missed. A
// question answers two: who is asked sees the asker's clock, and need not ask back where that holds
// nothing new. An owner whose dot log no longer tells what this node lacks gives a whole copy
// instead (replication/partition_copy.h). What is damaged, there or here, is left out, and nothing
// is joined before it is mended; all else comes.
//
// A partition whose data were lost here is filled again in the same way: it is whole once every
// other owner has been compared with since (ReplicaStore::Filling), and until then this node
// answers no reads of it. And so is one that moves here (ring/move.h): it is whole once the owner
// that it comes from has been compared with, while that served under the move already and had lost
// nothing itself; or, where that owner is dead, all others in that way (design 3, rule 7).
//
// Pure, and stepped by its shard, which performs what it wants done.
//
// Thread rule: its shard's thread.

#ifndef GYRE_SERVER_REPAIR_H_
#define GYRE_SERVER_REPAIR_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "replication/clock_exchange.h"
#include "replication/exchange.h"
#include "replication/log_tail.h"
#include "replication/message.h"
#include "replication/partition_copy.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/view.h"
#include "storage/replica_store.h"

namespace gyre {

struct RepairOptions {
  // Mean time between two questions about a partition. Default 10 s. Shorter finds a write that was
  // lost on the way sooner, and costs two messages a partition and round.
  Duration interval = Duration::Seconds(10);
  // In which all partitions are asked about once right after a start, or after a peer came back.
  // Default 1 s.
  Duration hurry = Duration::Seconds(1);
  // Exchanges that begin together, at the same pace in all. Default 8: their questions go in one
  // frame to each owner, and so do most answers. One at a time each costs as much again in headers;
  // many, and owners have their scans in bursts.
  size_t at_once = 8;
  // Exchanges under way at once, each way. Default 8: repair must not crowd clients out.
  size_t max_exchanges = 8;
  // A copy in which something is damaged, there or here, brings all else, and another one of the
  // same partition from the same owner would bring the same. So that begins once something of it
  // was mended, but not before the first of these; and after the second in any case, for damage may
  // end in other ways. Defaults 10 s and 10 min. Shorter copies again what is here.
  Duration copy_pause = Duration::Seconds(10);
  Duration copy_again = Duration::Seconds(600);
};

class Repair {
 public:
  struct Effects {
    struct Ask {
      NodeId to;
      ExchangeId exchange = 0;
      PartitionId partition;
      PeerBody body;
    };
    struct Arrival {
      ExchangeId exchange = 0;
      ExplainedRecord change;
      bool of_copy = false;
    };
    struct InStep {
      PartitionId partition;
      NodeId owner;
    };
    struct Listing {
      ExchangeId exchange = 0;
      ItemRange range;
    };
    std::vector<Ask> asks;          // for when the state that they speak of is durable
    std::vector<Arrival> arrivals;  // to be taken in; each ends in OnTakenIn
    std::vector<Listing>
        listings;  // ListItems, with all that the node has by now; ends in OnListed
    struct Miscount {
      PartitionId partition;
      NodeId giver;
      uint64_t counted = 0;  // by the giver
      uint64_t came = 0;
    };
    std::vector<InStep> in_step;      // this node has all that the owner had, and its bases
    std::vector<Miscount> miscounts;  // copies that were ended for it; for the log
  };
  struct Figures {
    // Dots that some peer had and this node lacked: of each partition as many as of the owner that
    // is furthest ahead, as of the last comparison with each, less what has come since. By table,
    // and in all; the latter with those that the owner's log no longer tells.
    std::vector<std::pair<TableId, uint64_t>> missing_by_table;
    uint64_t missing_dots = 0;
    uint64_t filling = 0;      // partitions that are not whole here: given to this node, or lost
    uint64_t refilling = 0;    // of those: what this node owned already, and lost
    uint64_t copies = 0;       // under way
    uint64_t exchanges = 0;    // since start, and so are all below
    uint64_t items = 0;        // taken in
    uint64_t log_dropped = 0;  // entries of this node's logs that some owner may not have seen
    uint64_t log_cuts = 0;     // exchanges that came to need a whole copy
    uint64_t copied = 0;       // whole copies taken over
    uint64_t copies_left = 0;  // in which something was damaged, there or here: not taken over
    uint64_t copies_miscounted = 0;  // other records came than the giver counted: not taken over
    uint64_t copied_items = 0;  // records that came with copies, also with those that broke off
    uint64_t misdirected = 0;   // answers about another partition: dropped
  };

  // `first_exchange` begins a range of exchange ids that is repair's alone. Begins with a question
  // to every owner: whatever was missed while this node was away. REQUIRES: `store` outlives it.
  Repair(RepairOptions options, std::shared_ptr<const View> view, ReplicaStore* store,
         ExchangeId first_exchange, Random random);

  // Whole copies that may be under way at once from now on; 0 at first.
  void AllowCopies(size_t most) { most_copies_ = most; }
  // How long copies rest after a page of so many bytes. Not at all by default.
  using RestFn = std::function<Duration(size_t bytes, Time now)>;
  void SetRest(RestFn rest) { rest_ = std::move(rest); }
  bool copying() const { return !copies_.empty(); }
  void OnView(std::shared_ptr<const View> view);
  void OnPeer(NodeId node, bool reachable, Instant now);
  // `owner` has shown its clock of the partition, under `epoch`, and this node has all that is in
  // it.
  void OnNothingNew(PartitionId partition, NodeId owner, Epoch epoch);
  void OnAnswer(ExchangeId id, NodeId from, PartitionId partition, ClockAnswer answer, Instant now,
                Effects* effects);
  void OnPage(ExchangeId id, NodeId from, CopyPage page, Instant now, Effects* effects);
  void OnListed(ExchangeId id, absl::StatusOr<ItemList> list, Instant now, Effects* effects);
  // What was asked was asked under an older document than that of who was asked: it is asked again
  // once the newer one is in force here.
  void OnOutdated(ExchangeId id, NodeId from, Instant now);
  // What was asked will not be answered; `damaged`: for something there fails its checks.
  void OnRefused(ExchangeId id, NodeId from, bool damaged, Instant now);
  // One of the arrivals has been taken in; or could not be, since the item is damaged here.
  void OnTakenIn(ExchangeId id, bool taken, Instant now, Effects* effects);
  // Something else than a copy is about to change the item.
  void OnChange(const ItemKey& item, const Record& incoming) {
    if (!copies_.empty()) TellCopies(item, incoming);
  }
  // The partition is about to be dropped: what is under way for it ends, and nothing comes of it.
  void Forget(PartitionId partition);
  // A record of it that was damaged here is whole again.
  void OnMended(PartitionId partition);
  // The data of this node's partitions are not what they were (ReplicaStore::BeginFilling).
  void OnLostState(Instant now);
  // They are, after all (ReplicaStore::EndAllFilling).
  void OnWhole();
  // Whether a move to this node may take its next step, as far as this shard's state in memory
  // goes: while it is filled, that it is whole; and once it is switched, that all is here that its
  // former owner has minted, which from then on mints no more.
  bool MayStep(const Move& move) const;
  void OnWake(Instant now, Effects* effects);
  // The disk failed: nothing is under way any more.
  void Stop();

  Time wake() const { return std::min({ask_at_, waits_end_, copies_wake_}); }
  const Figures& figures();

 private:
  struct UnderWay {
    ClockExchange exchange;
    size_t arriving = 0;  // items of the last answer that have not been taken in
    bool missed = false;  // some of them could not be
    uint64_t mended = 0;  // there, as of the last answer
    std::map<TableId, uint64_t> coming = {};  // dots that come with them
    bool hurried = false;                     // it is not the turn of the round
    Epoch begun = {};                         // under which it began
    bool filling = false;                     // who answers has lost data
  };
  // What one owner of a partition has that this node lacks.
  struct Missing {
    uint64_t dots = 0;
    std::map<TableId, uint64_t> by_table;
  };

  struct Copying {
    PartitionCopy copy;
    size_t arriving = 0;  // items that have not been taken in
    // To be taken over with the clock, and not before: the log tells of deletes, too, and what they
    // deleted may still reach this node.
    LogTail log;
    uint64_t mended = 0;             // there, before it began
    Epoch begun = {};                // under which its snapshot was asked for
    Time ask_again = Time::Never();  // its question is sent, or sent once more
  };
  // A copy that was not taken over.
  struct Left {
    Time pause;           // no other one before this
    Time again;           // another one after this, or once more was mended
    uint64_t mended = 0;  // there, before it began
  };
  // Before an owner is asked again that was asked in a hurry, and from which nothing came.
  struct Wait {
    Duration pause;
    Time ends_at;  // Never: it is over, and the owner has been, or is to be, asked
  };
  // A partition that is to be filled.
  struct Filling {
    Epoch since;                    // of the move that it is filled for; 0: none
    std::set<NodeId> heard = {};    // compared with since then
    std::set<NodeId> unheard = {};  // still to be
  };
  using Pair = std::pair<NodeId, PartitionId>;

  // Null: there was no view before.
  void List(const View* before);
  // In the round, which was this one before.
  void KeepPlace(const std::vector<PartitionId>& before);
  // Whether the owner is asked about the partition already, or is to be after a while.
  bool IsPending(const Pair& pair) const;
  void Hasten(PartitionId partition);
  // Whom it waits for, as the view has it now; ends the filling where that is nobody.
  void ListUnheard(PartitionId partition);
  std::set<NodeId> ToHear(PartitionId partition) const;
  bool Fills(PartitionId partition, NodeId from) const;
  // All that its former owner had under `epoch` is here, where the partition moves here from it.
  void NoteMoveInStep(PartitionId partition, NodeId owner, Epoch epoch);
  void AskNext(Instant now, Effects* effects);
  std::optional<Pair> NextInAHurry();
  // Asks one of the owners of the next partition, an other one in each round.
  void GoRound(Instant now, Effects* effects);
  void Begin(PartitionId partition, NodeId peer, bool hurried, Instant now, Effects* effects);
  void Ask(ExchangeId id, const ClockExchange& exchange, Effects* effects);
  void EndAnswer(ExchangeId id, Instant now, Effects* effects);
  void LeaveCopy(const Copying& copying, Time now);
  void NoteMissing(UnderWay* under_way, const ClockAnswer& answer);
  void LessenMissing(UnderWay* under_way);
  void ForgetMissing(PartitionId partition, NodeId owner);
  void SumMissing();
  bool IsCopied(PartitionId partition) const;
  bool MayCopy(const Pair& of, uint64_t mended, Time now) const;
  void BeginCopies(Instant now, Effects* effects);
  void AskPages(Instant now, Effects* effects);
  void Arrive(ExchangeId id, std::vector<ExplainedRecord> items, Copying* copying, Instant now,
              Effects* effects);
  void GoOn(ExchangeId id, Copying* copying, Instant now, Effects* effects);
  void TellCopies(const ItemKey& item, const Record& incoming);
  // A copy of it has come: those that would have been taken from its other owners may bring nothing
  // more, which a question about their clocks tells at a thousandth of the cost.
  void CompareAnew(PartitionId partition, Time now);
  // It has all that `owner` had as it was asked under the epoch `begun`, or later. `filling`: that
  // had lost data.
  void NoteInStep(PartitionId partition, NodeId owner, Epoch begun, bool filling, Instant now,
                  Effects* effects);
  // Asks again in a while, where a partition waits to be filled, or is `pressing` for another
  // reason: each time in a row after twice as long, up to the interval of the round. Otherwise, and
  // once that was in vain for what need not be filled, its turn will come.
  void AskLater(PartitionId partition, NodeId owner, bool pressing, Instant now);
  void HastenWaiting(Time now);
  bool Reachable(NodeId node) const { return !unreachable_.contains(node); }

  const RepairOptions options_;
  std::shared_ptr<const View> view_;
  ReplicaStore* const store_;
  size_t most_copies_ = 0;
  const ExchangeId first_id_;
  uint64_t ids_ = 0;  // given out
  Random random_;

  std::vector<PartitionId> round_;
  size_t next_ = 0;            // in the round, over and over
  std::set<Pair> in_a_hurry_;  // all of one owner before the next one's
  std::map<Pair, Wait> waits_;
  Time waits_end_ = Time::Never();  // the first of them, or earlier
  Time ask_at_;
  std::map<ExchangeId, UnderWay> under_way_;
  std::map<Pair, Dot> passed_;        // where an exchange is to go on that passed over damage here
  std::map<Pair, uint64_t> to_copy_;  // what was mended there before
  std::map<ExchangeId, Copying> copies_;
  Time copies_wake_ = Time::Never();  // the first of their `ask_again`, or earlier
  RestFn rest_;
  Time rests_until_;  // no page of any copy is asked for before
  std::map<Pair, Left> left_;
  std::set<NodeId> unreachable_;
  std::map<PartitionId, std::map<NodeId, Missing>> missing_;
  bool missing_changed_ = false;
  std::map<PartitionId, Filling> fillings_;
  // Of moves to this node: under which epoch it had all that the former owner had, at least.
  std::map<PartitionId, Epoch> in_step_;
  Figures figures_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_REPAIR_H_
