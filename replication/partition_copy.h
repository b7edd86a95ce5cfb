// PartitionCopy: catches one partition up with a whole copy of another owner's, where the dot log
// no longer tells what is missing. It asks for the pages of one snapshot (replication/copy_page.h)
// and takes over its clock after the last: the asker then has what the other had, and has dropped
// what the other had seen deleted.
//
// What is there already stays where the copy knows nothing newer: the asker may hold writes that
// the other lacks. But the copy shows no deleted items. So of each range of keys that a page
// covers, the asker takes what it holds and the page does not show for deleted as far as the copy's
// bases say so. And what reaches it meanwhile, and is older than the snapshot, may be deleted
// there, too: such items are asked for by name in the end.
//
// The giver counts the records of its snapshot as it reads them, and the asker those that come. A
// page by which the two differ is not taken in, nor anything after it: what it fails to show would
// be taken for deleted.
//
// Where something is damaged, there or here, all else comes, and nothing is joined: what is left
// out is taken neither for deleted nor for taken in.
//
// A copy that breaks off has joined nothing; what has come of it is explained by dots of its own,
// and stays.
//
// Source: design section 3, rules 3, 4 and 7. The reference model (storage/version/reference_model)
// shows what is lost without them.

#ifndef GYRE_REPLICATION_PARTITION_COPY_H_
#define GYRE_REPLICATION_PARTITION_COPY_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/copy_page.h"
#include "replication/message.h"
#include "ring/ids.h"
#include "storage/keys.h"
#include "storage/version/partition_clock.h"

namespace gyre {

// Like ClockExchange no Exchange: the shard asks, lists and takes in, and then asks this what to do
// next.
class PartitionCopy {
 public:
  // How long a page may take before the copy is given up. A later one starts anew.
  static constexpr Duration kPatience = Duration::Seconds(30);
  // Items that may have to be asked for by name, and how many at once.
  static constexpr size_t kMostSuspects = 65'536;
  static constexpr size_t kSuspectsAtOnce = 256;

  PartitionCopy(PartitionId partition, NodeId peer, Time now)
      : partition_(partition), peer_(peer), deadline_(now + kPatience) {}

  enum class Next : uint8_t {
    kAsk,        // Question
    kList,       // Range: which items of it does this node hold? Ends in OnListed
    kJoinClock,  // everything is in: take over clock(); the copy is over
    kGiveUp,     // too much changed meanwhile
    kLeave,      // what can come has; some is damaged, and so the clock is not to be taken over
  };

  // REQUIRES: what was done last said kAsk; or nothing was done yet.
  CopyAsk Question();
  // The same once more, for it was not taken. REQUIRES: its answer is awaited.
  CopyAsk SameQuestion() const;
  // Whether this is the answer to the last question. To be asked before OnPage.
  bool Awaits(NodeId from, const CopyPage& page) const;
  // Whether as many records have come with this page as its giver has counted; true where that does
  // not count. To be asked before OnPage, and where it is not so the copy is over.
  bool Counts(const CopyPage& page) const;
  // Takes the page's items and log out of it. Take those in that it returns, then OnTakenIn.
  std::vector<ExplainedRecord> OnPage(CopyPage* page, Time now);
  // REQUIRES: what was done last said kList.
  ItemRange Range() const;
  // The same of what this node holds in the range.
  std::vector<ExplainedRecord> OnListed(const ItemList& list);
  // One of what was to be taken in could not be, for what is here of it is damaged.
  void OnMissed() { partial_ = true; }
  Next OnTakenIn();

  // Something else than this copy changed the item.
  void OnChanged(const ItemKey& item, const Record& incoming);

  PartitionId partition() const { return partition_; }
  NodeId peer() const { return peer_; }
  Time deadline() const { return deadline_; }
  const PartitionClock& clock() const { return clock_; }
  uint64_t records() const { return records_; }  // that have come so far
  // Whether the snapshot is still to be taken.
  bool at_first_page() const { return number_ <= 1; }

 private:
  const PartitionId partition_;
  const NodeId peer_;
  Time deadline_;
  CopyPart part_ = CopyPart::kRecords;
  uint32_t number_ = 0;  // of the last question
  bool expecting_ = false;
  std::string after_;        // where the next page begins
  PartitionClock clock_;     // of the snapshot, once a page has come
  std::set<ItemKey> shown_;  // by the last page
  std::optional<ItemRange> to_list_;
  std::set<ItemKey> suspects_;
  std::vector<ItemKey> asked_;  // of those
  uint64_t records_ = 0;
  bool partial_ = false;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_PARTITION_COPY_H_
