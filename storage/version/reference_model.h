// ReferenceModel: random histories of one partition, played on the real algebra beside a slow and
// obviously right reference, which keeps for every copy of a record the full set of writes that the
// copy reflects.
//
// Three owners out of four nodes hold two keys; two stand-ins keep hints; three clients read and
// write with contexts. Messages are lost, delayed and duplicated, owners crash and lose what was
// not synced, are wiped and refilled, are replaced while writes go on; anti-entropy breaks in the
// middle; stand-ins mint as guests. Versions expire: to the reference that is one event, which knew
// that version alone, and which each owner takes in by itself, whenever it likes. The rules of the
// protocol around the algebra are in here in their simplest form, and each can be broken, to see
// that the checks notice.
//
// Checked after each step, where something changed: the versions shown are the maximal writes of
// the reference history; nothing that the filled context covers is outside of it; no clock claims a
// write that its owner's copy lacks; no dot names two writes; any two owners that may be read know
// every acknowledged write. At the end, when everything was delivered: all owners show the same,
// and know every acknowledged write, also those for which a hint counted, unless W of its copies
// were wiped one after the other (a refill mends what owners hold, not what waits in a hint).
//
// A write is one bit of a 64-bit mask, so a history has at most 64 of them. One thread; a model
// may play many histories one after the other.
//
// Source: Schwarz and Mattern, "Detecting Causal Relationships in Distributed Computations: In
// Search of the Holy Grail" (1994), for causal histories as the reference of any clock.

#ifndef GYRE_STORAGE_VERSION_REFERENCE_MODEL_H_
#define GYRE_STORAGE_VERSION_REFERENCE_MODEL_H_

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ring/ids.h"
#include "ring/random.h"
#include "storage/version/partition_clock.h"
#include "storage/version/record.h"
#include "storage/version/version_vector.h"

namespace gyre {

// What may be left out, one bit each.
enum Rule : uint32_t {
  kFill = 1 << 0,        // records are filled before they are read, merged or sent
  kBase = 1 << 1,        // a broken exchange joins no base
  kGuest = 1 << 2,       // a new guest id after a hand-off
  kLife = 1 << 3,        // an unclean stop starts a new life where minted dots may be gone
  kRemint = 1 << 4,      // the same, and the check of dots looks away: seen by what it does to data
  kAmnesia = 1 << 5,     // wiped data starts a new life
  kWatermark = 1 << 6,   // only durable bases are reported
  kForgotten = 1 << 7,   // reports of an owner that lost state are forgotten
  kEarlyFlip = 1 << 8,   // a new owner counts only when its copy is complete
  kOneSource = 1 << 9,   // a dead owner's successor copies from all the others
  kOldOnly = 1 << 10,    // while a partition moves, writes go to both owner sets
  kEarlyBase = 1 << 11,  // a copy joins clocks only after its last record
  kMixed = 1 << 12,      // records and clock of a copy are of one snapshot
  kFilling = 1 << 13,    // an owner that is being filled joins no base in an exchange
  kLostHint = 1 << 14,   // a hint whose owner was replaced goes to all of today's owners
  kExplain = 1 << 15,    // a repair carries the dots that explain what it reflects
  kStartAnew = 1 << 16,  // a copy that lost its source begins again from nothing
  kCovered = 1 << 17,    // what has expired stays covered where it was removed
};

// How often what happens. Weights are relative; percentages are of 100.
struct Scenario {
  const char* name;
  int min_steps;
  int max_steps;
  int write, deliver, read, anti_entropy, hand_off, report, crash, wipe, refill, move, copy;
  int guest_percent;  // writes that reach no owner
  int hint_percent;   // replica writes that go to a stand-in
  int expire = {};    // an owner removes a version that has expired
};

class ReferenceModel {
 public:
  explicit ReferenceModel(const Scenario& scenario, uint32_t broken_rules = 0)
      : scenario_(scenario), broken_rules_(broken_rules) {}

  // Plays the history of `seed`. Returns what does not hold, or nothing.
  std::optional<std::string> Play(uint64_t seed);

  // As Play; appends a line for each step to `trace`.
  std::optional<std::string> PlayTraced(uint64_t seed, std::string* trace);

 private:
  static constexpr int kNodes = 4;
  static constexpr int kOwners = 3;
  static constexpr int kStandIns = 2;
  static constexpr int kKeys = 2;
  static constexpr int kClients = 3;
  static constexpr int kMaxEvents = 64;
  static constexpr int kWriteQuorum = 2;

  using Events = uint64_t;  // a set of writes

  static constexpr uint64_t Bit(int i) { return uint64_t{1} << i; }
  static constexpr uint8_t NodeBit(int node) { return static_cast<uint8_t>(1 << node); }

  // Calls f(i) for each bit i of the set, lowest first.
  template <typename F>
  static void ForEach(uint64_t set, F f) {
    for (; set != 0; set &= set - 1) f(std::countr_zero(set));
  }

  struct Copy {
    Record record;
    Events history = 0;  // the reference: every write that the copy reflects
  };
  struct Disk {
    std::array<Copy, kKeys> copies;
    PartitionClock clock;
    Events log = 0;
    uint64_t counter = 0;
    std::array<VersionVector, kNodes> reports;  // the bases that other owners reported
    uint8_t reported = 0;                       // a bit for each report that counts

    Events History() const;
    void Reset();
  };
  struct Node {
    Disk memory, disk;
    ReplicaId id;
    bool unsynced = false;
  };
  struct Message {
    int to = 0;
    int key = 0;
    Copy copy;
    Events dots = 0;
  };
  struct Hint {
    bool present = false;
    Copy copy;
    Events dots = 0;
  };
  struct StandIn {
    std::array<std::array<Hint, kKeys>, kNodes> hints;
    ReplicaId guest;
    uint64_t counter = 0;
  };
  struct Seen {
    VersionVector context;
    Events history = 0;
  };
  // A whole copy of the partition, one key at a time, with live writes in between.
  struct Transfer {
    int to = 0;
    Events keys_left = 0;          // a bit for each key still to copy
    uint8_t sources = 0;           // whose snapshots these are
    std::vector<ReplicaId> lives;  // and of which life
    std::vector<Disk> snapshots;
  };
  struct Move {
    int from = 0;
    Transfer transfer;
  };

  // Steps. One is drawn at random and sets touched_.
  void Step();
  void Write();
  void GuestWrite(int key, const Seen& seen, int event);
  void Deliver();
  void Read();
  void AntiEntropy();
  void HandOff();
  void Report();
  void Crash();
  void Wipe();
  void Refill();
  void StartMove();
  void CopyChunk();
  void FinishMove();
  void Expire();
  void Settle();
  void Exchange(int to, int from, bool breaks);

  // Parts of steps.
  Record Filled(int node, int key) const;
  void Store(int node, int key, Record record, Events history);
  void Apply(int node, int key, const Copy& copy, Events dots);
  void ApplyHint(int node, int key, const Hint& hint);
  void TakeOver(const Transfer& transfer);
  void Advance(Transfer* transfer, uint8_t sources);
  void CopyKey(Transfer* transfer);
  void RemoveExpired(int node, int key, int event);
  void SyncDisk(int node);
  void StartEmpty(int node);
  void ForgetReports(int node);
  void LeaveHint(int stand_in, const Message& message);
  int NewEvent(int key, const Seen& seen);
  void Mint(int event, ReplicaId replica, uint64_t counter, Record* record);
  ReplicaId NewId();

  // Checks.
  void Reset(uint64_t seed);
  void Acknowledge();
  void Check();
  void CheckCopy(const Record& filled, Events history, int key, const char* where);
  void CheckOwner(int node);
  void CheckAgreement();
  void Fail(std::string what);
  void Note(const char* what, int a, int b = -1, int c = -1);

  Events Shown(const Record& record) const;
  Events Maximal(Events history) const;
  bool Broken(Rule rule) const { return (broken_rules_ & rule) != 0; }
  bool Percent(int percent) { return random_.Below(100) < static_cast<uint64_t>(percent); }
  int Pick(uint8_t nodes);
  uint8_t Targets() const;  // who gets a write: the owners, and the one that is to be
  uint8_t OwnersAfterMove() const;
  uint8_t Readable() const { return owners_ & ~filling_; }

  const Scenario scenario_;
  const uint32_t broken_rules_;

  Random random_{0};
  std::array<Node, kNodes> nodes_;
  std::array<StandIn, kStandIns> stand_ins_;
  std::array<std::array<Seen, kKeys>, kClients> clients_;
  std::vector<Message> messages_;
  uint8_t owners_ = 0;   // node sets are bits
  uint8_t filling_ = 0;  // owners that were wiped and count in no quorum
  std::optional<Move> move_;
  std::optional<Transfer> refill_;  // of the owner that is being filled, once it has begun
  bool fsync_ = false;              // the durability of this history's table
  uint64_t last_id_ = 0;

  int events_ = 0;
  std::array<Dot, kMaxEvents> dots_;
  std::array<Events, kMaxEvents> past_;  // what the writer of each had seen
  std::array<Events, kKeys> of_key_;
  Events puts_ = 0;
  Events waiting_ = 0;                       // not yet acknowledged
  Events acknowledged_ = 0;                  // on W owners' disks
  Events sloppy_ = 0;                        // acknowledged with the help of hints
  std::array<int, kMaxEvents> copies_lost_;  // by wiped disks
  std::array<int, kMaxEvents> expiry_;       // the event that is its expiry; -1: it has not expired

  uint8_t touched_ = 0;  // owners to check after this step
  std::optional<std::string> failure_;
  std::string* trace_ = nullptr;
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_REFERENCE_MODEL_H_
