// FlipWorld: three nodes of shipped code and one partition that moves from one of them to another,
// stepped event by event, for an explorer that tries all orders (test/explorer/explore.h). A client
// writes once, and once that is acknowledged another one reads: it must see the write, whoever
// serves under which document of the move by then.
//
//   FlipWorld world(setup);
//   world.Enabled()        // what may happen next
//   world.Perform(event)   // "" or what is broken
//
// Messages between two nodes keep their order and are not lost; every commit and scan of a disk
// takes until its event; nodes put documents in force one after the other, or skip to the newest.
// One of them may crash, once, and starts again at once on what its disk holds.
// Time stands still but for the node that is filled, which asks when it is woken.
//
// One thread.

#ifndef GYRE_TEST_EXPLORER_FLIP_WORLD_H_
#define GYRE_TEST_EXPLORER_FLIP_WORLD_H_

#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replication/message.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "server/movement.h"
#include "server/node.h"
#include "storage/memory_engine.h"

namespace gyre {

struct FlipSetup {
  int replicas = 2;  // N: 1 or 2
  int write_quorum = 1;
  int read_quorum = 2;
  // The nodes by their part: 0 stays an owner (with N = 1 it owns nothing), 1 the partition moves
  // from, 2 it moves to.
  int writer = 1;
  int reader = 0;
  // Where the world begins: so many documents are there, and all that can have happened but what
  // clients do; only `behind` has put no newer one in force than the first.
  int documents = 2;
  std::optional<int> behind = {};
  bool dead_giver = false;  // node 1 is declared dead once it moves, and does nothing from then on
  // Node 2 is declared dead once it is an owner, so that the partition goes back; and it does
  // nothing from then on, unless whoever says so is wrong.
  bool dead_taker = false;
  bool serves_on = false;
  std::optional<int> crashes = {};  // this node may, whenever it has not
};

class FlipWorld {
 public:
  static constexpr int kNodes = 3;
  static constexpr int kGiver = 1;
  static constexpr int kTaker = 2;

  enum class Kind : uint8_t {
    kDeliver,
    kCommit,
    kScan,
    kInstall,
    kSkip,
    kDecide,
    kWake,
    kWrite,
    kRead,
    kCrash
  };
  // What may happen. The same in every order in which it may, so that orders can be compared.
  struct Event {
    Kind kind = Kind::kWrite;
    int node = 0;  // where it happens; of kDecide: whose step it is
    int from = 0;  // kDeliver
    int number =
        0;  // kDeliver: of the message on its link; kInstall, kSkip, kDecide: of the document
    friend auto operator<=>(const Event&, const Event&) = default;
  };
  // Whether one order of the two comes to the same as the other.
  static bool Independent(const Event& a, const Event& b);

  explicit FlipWorld(const FlipSetup& setup);

  std::vector<Event> Enabled() const;
  // What is broken, or "".
  std::string Perform(const Event& event);

  bool read_done() const { return read_.has_value(); }
  bool wrote() const { return write_.has_value() && write_->code == Outcome::Code::kOk; }
  int documents() const { return static_cast<int>(documents_.size()); }
  bool crashed() const { return crashed_; }
  static std::string Name(const Event& event);

 private:
  struct Seat {
    NodeId id;
    std::unique_ptr<MemoryEngine> engine;
    std::unique_ptr<Node> node;
    Instant now{Time(), 1000};
    int document = 0;  // in force
    std::optional<Commit> commit;
    std::deque<Departures::ClockScan> clock_scans;
    std::deque<Departures::CopyScan> copy_scans;
    std::deque<Repair::Effects::Listing> listings;
    Time wake = Time::Never();
    int woken = 0;
  };

  Shard& ShardAt(int seat) { return seats_[seat].node->shard(0); }
  const Shard& ShardAt(int seat) const { return seats_[seat].node->shard(0); }
  bool IsGone(int seat) const;
  void Lead();
  // On what its disk holds, with the document that it had put in force.
  void Start(int seat, bool clean_stop);
  void Crash(int seat);
  void Take(int seat);
  void Scan(int seat);
  void Install(int seat, int document);
  // The document that follows the newest, if it may be decided now.
  std::optional<Topology> Next() const;
  // Whose step the next one is.
  int Decider() const;
  std::string Judge() const;
  int SeatOf(NodeId id) const;

  const FlipSetup setup_;
  std::vector<Topology> documents_;
  TableSpec table_;
  ItemKey item_;
  std::array<Seat, kNodes> seats_;
  std::map<std::pair<int, int>, std::deque<std::pair<int, PeerMessage>>> links_;
  std::map<std::pair<int, int>, int> sent_;  // on each link
  bool crashed_ = false;
  bool write_begun_ = false;
  bool read_begun_ = false;
  std::optional<Outcome> write_;
  std::optional<Outcome> read_;
};

}  // namespace gyre

#endif  // GYRE_TEST_EXPLORER_FLIP_WORLD_H_
