// History: what was written and what each write knew, kept apart from the store, and the judgement
// of what a read may show. It sees only what clients see; no code of the store takes part.
//
// Every write names its parents: the writes that the read behind its context showed. A write
// replaces its parents and all that they replaced. So, of the writes to a key:
//   * a write is *accounted for* by a set of shown values if it is shown, if it is a delete, or if
//   a
//     child of it that may have taken effect is accounted for;
//   * a shown value that is an ancestor of another shown value is a false sibling;
//   * a shown value that an acknowledged write had replaced before the read began has come back.
//
// A put without a context replaces what its coordinator knew, which no client can tell: it may have
// replaced any write that was asked for before it ended, and need not have replaced any. Its
// reply's context could tell, but that is the mechanism under test.
//
// Where writes are acknowledged before they are synced, a power cut excuses the writes that it may
// have taken from a node: from reads while that node may lack them, and for good once all W nodes
// may.
//
// In a last-write-wins table every write is like that, and a read shows one value at most: of what
// is left the one with the greatest stamp. So there, of the writes that were acknowledged before a
// read began, each
//   * is shown, or
//   * may have been replaced, for good, by a delete that had not ended when it was asked for, or
//   * gave way to the value that is shown. While all clocks are equal that one must then have ended
//     after the other was asked for, since a stamp is never below the clock of its minter. Once
//     clocks have been apart it may be any that no acknowledged write with a context replaced.

// A put that expires is not shown by reads that begin later than its time to live after it was
// acknowledged, and only by that time after it was asked for may it be missing as if a delete had
// named it: either within kSkew, and within what the nodes' times may have been apart besides.

#ifndef GYRE_TEST_WORKLOAD_HISTORY_H_
#define GYRE_TEST_WORKLOAD_HISTORY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ring/ids.h"
#include "ring/table.h"
#include "test/workload/action.h"

namespace gyre {

// What a judgement accuses the store of.
enum class Breach : uint8_t {
  kLost,          // an acknowledged write is neither shown nor replaced
  kResurrected,   // what was replaced or removed, or never took effect, is shown
  kFalseSibling,  // a value is shown beside one that replaced it, or twice
  kOther,         // a value that nobody wrote, a read that failed in the end
};
Breach BreachOf(std::string_view judgement);

class History {
 public:
  struct Write {
    EventId event = 0;
    Action::Kind kind = Action::Kind::kPut;
    Action::Mode mode = Action::Mode::kContext;
    std::vector<EventId> parents;
    EventId own = 0;  // what it may have replaced besides, a write of the same client
    Duration ttl;     // zero: for ever
    Time asked;
    std::optional<Time> acknowledged;
    bool refused = false;  // certainly without effect
    bool minted_again = false;
    bool sent_once = false;
    std::set<int> lost_at;  // nodes that a power cut may have taken it from
  };
  using Item = std::pair<std::string, std::string>;  // table, key

  // `write_quorum`: nodes, W, that hold a write that is acknowledged.
  explicit History(ConflictPolicy conflict = ConflictPolicy::kSiblings, size_t write_quorum = 2)
      : last_write_wins_(conflict == ConflictPolicy::kLastWriteWins), write_quorum_(write_quorum) {}

  // What nodes' times may differ by while most of their clocks are right: what is drifted, or under
  // way, between two messages.
  static constexpr Duration kSkew = Duration::Seconds(4);

  // Puts that name no time to live have that of the table, zero for none. `apart`: how far apart
  // the times of nodes may have been so far, for too many clocks were wrong.
  void SetExpiry(Duration table_ttl, std::function<Duration()> apart) {
    table_ttl_ = table_ttl;
    apart_ = std::move(apart);
  }

  void OnAsked(const Action& write, Time now);
  void OnEnded(const Action& write, const ActionResult& result);
  // Two attempts of the write were minted by owners that could not know of each other. They end as
  // one version; but who replaced the one before the other was known has not replaced the other,
  // and so its value may stand beside what replaced it. Where the last write wins, the attempt that
  // came late has the greater stamp, and what it replaced is gone even when it has given way.
  void OnMintedAgain(const Item& item, EventId event);
  // Nobody sees what is minted: who judges a real cluster knows only which writes were certainly
  // sent once. All others, those under way among them, may have been minted again.
  void OnMintsUnseen() { mints_unseen_ = true; }
  // From now on the nodes' clocks tell different times.
  void OnClocksApart() { clocks_apart_ = true; }

  // A node has lost what it had not synced: nothing of what it held at `synced`, and nothing that
  // was asked for after the power was cut. Where every write is synced before it is acknowledged
  // this is never to be told.
  void OnPowerCut(int node, Time synced, Time cut);

  // Nothing, or what is wrong with a read of R with R + W > N that showed `shown` between the
  // times.
  std::optional<std::string> JudgeRead(const Item& item, const std::set<EventId>& shown, Time began,
                                       Time ended) const;

  // The same when all is quiet and healed. What fewer nodes than W may have lost is there.
  std::optional<std::string> JudgeSettled(const Item& item, const std::set<EventId>& shown) const;

  // Nothing, or what a read of any R that began then shows though its time had come before.
  std::optional<std::string> JudgeExpired(const Item& item, const std::set<EventId>& shown,
                                          Time began) const;

  // Nothing, or what is wrong with a replica that claims to have taken in `claimed` and shows
  // `shown`.
  std::optional<std::string> JudgeEffects(const Item& item, const std::set<EventId>& claimed,
                                          const std::set<EventId>& shown) const;

  const std::map<EventId, Write>* Writes(const Item& item) const;
  std::vector<Item> Items() const;
  // Of a key, the writes that were acknowledged.
  std::vector<EventId> Acknowledged(const Item& item) const;

  // The event that a value carries; 0 for one that no workload wrote.
  static EventId EventOf(std::string_view value);
  // A value of `bytes` bytes, at least 8, that carries the event.
  static std::string ValueOf(EventId event, size_t bytes);

 private:
  struct Key {
    std::map<EventId, Write> writes;
    std::map<EventId, std::vector<EventId>> children;
    std::vector<EventId> deletes;
    std::vector<EventId> minted_again;
  };
  std::optional<std::string> Judge(const Item& item, const std::set<EventId>& shown, Time began,
                                   Time ended, size_t most_lost) const;
  Duration Slack() const { return apart_ ? kSkew + apart_() : kSkew; }
  bool MayHaveExpired(const Write& write, Time by) const;
  std::set<EventId> AccountedFor(const Key& key, const std::set<EventId>& shown, Time until) const;
  // What was asked for from then on, the write cannot have replaced unless its context named it.
  Time EndOfEffect(const Write& write) const;
  static std::set<EventId> Descendants(const Key& key, EventId event);
  bool MayBeMintedAgain(const Write& write) const {
    return write.minted_again || (mints_unseen_ && !write.sent_once);
  }

  const bool last_write_wins_;
  const size_t write_quorum_;
  bool clocks_apart_ = false;
  bool mints_unseen_ = false;
  Duration table_ttl_;
  std::function<Duration()> apart_;
  std::map<Item, Key> keys_;
};

}  // namespace gyre

#endif  // GYRE_TEST_WORKLOAD_HISTORY_H_
