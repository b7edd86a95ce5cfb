// FaultCounts: the kinds of fault that the simulator carries out, and how often each did. A kind is
// one thing that fails in its own way. It is counted where it takes effect, not where somebody
// wants it: a crash of a node that is down counts nothing.
//
// A new kind is an enumerator with a name in fault_counts.cc, and the call of Add beside what
// carries it out. `gyre_sim --every-fault`, which every test/run.sh runs, names those that its
// seeds have not hit.
//
// One thread.

#ifndef GYRE_TEST_SIM_FAULT_COUNTS_H_
#define GYRE_TEST_SIM_FAULT_COUNTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gyre {

enum class FaultKind : uint8_t {
  // Processes.
  kCrash,             // a process ends without a word, as by a power cut
  kCrashAsItStarts,   // within half a second of its start
  kCrashOfAllOwners,  // of a partition, at once
  kCrashOfAllNodes,
  kCrashOfHintKeeper,  // with hints on its disk, while the owner that they are for is down as well
  kStop,               // in order, in the midst of everything
  kPause,              // it stands still, and what arrives waits
  // What a power cut does to the disk.
  kUnsyncedLost,            // writes that were there, but not synced, are gone
  kWriteUnderWayLost,       // so is one that was on its way to the disk
  kWriteUnderWayStored,     // or it is there though nobody was told
  kFailedWriteFoundStored,  // a write that the disk had refused is there after the restart
  // Disks.
  kSyncFails,          // a write or sync fails, and with it the node
  kDiskSlow,           // it takes many times as long for everything
  kRecordDamaged,      // a stored record fails its checks
  kSecondCopyDamaged,  // of which another owner's fails its checks already
  kDiskWiped,
  kDiskPutBack,     // to what it was a while ago
  kSecondDiskLost,  // once all owners have again what there was when the first one was lost
  // Clocks.
  kClockAhead,  // jumps forward
  kClockBack,
  kClockDrifts,
  // Messages between nodes.
  kMessageLost,
  kMessageDoubled,
  kMessageLate,          // much later than others
  kMessageOvertaken,     // by one that was sent after it on the same way
  kMessageCutOff,        // under way when the network was cut, or at a cut
  kMessageOfFormerLife,  // arrives when its sender is another process already
  kManyLost,             // up to a third of all messages, for a while
  // The network.
  kCutOneWay,         // between halves of the cluster: one hears the other, but not back
  kCutBothWays,       // between halves
  kPairCut,           // two nodes alone do not hear each other
  kNodeIsolated,      // by all others
  kConnectionBroken,  // and what was under way is lost; it is there again in a moment
  kLinkSlow,          // one way between two nodes takes long
  // Topology.
  kTopologyMissed,     // it changes while some node is down
  kOlderBuild,         // a node is started again as one of a lower level
  kOutgrown,           // while the cluster passes that level, or has: the node ends
  kMemberJoins,        // a node that is new is let in, and starts
  kMembersChange,      // a node gives all that it owns to the others, or takes its share again
  kMemberLeaves,       // a node is to give all that it has to the others, and end
  kMemberBuried,       // a node is declared dead, and never comes back
  kMemberBuriedAlive,  // and runs, until it learns of it
  kMemberReplaced,     // one that is declared dead is, by one that waited
  kCrashOfMoveTaker,   // a node to which a partition moves; once for each
  kCrashOfMoveGiver,   // a node from which a partition moves; likewise
  // Clients.
  kRequestLost,     // or its answer
  kRequestDoubled,  // likewise
  kClientGaveUp,    // waiting for an answer
  kClientRetried,   // though an earlier attempt may take effect yet
  kAnswerTooLate,   // for one that had given up
  kContextOutrun,   // a write's context is of a read that others have written since
  // Too much.
  kRequestsRefused,  // clients', by a node that has as many as it may
  kPeersRefused,     // what peers ask, by a node whose disk does not keep up
  kNoRoomForHints,
  kLogOutgrown,  // entries of a dot log are dropped though an owner that is away lacks them
  kCount
};

inline constexpr size_t kFaultKinds = static_cast<size_t>(FaultKind::kCount);

std::string_view FaultName(FaultKind kind);

// Plain memory, so that one process can hand it to another.
class FaultCounts {
 public:
  void Add(FaultKind kind, uint64_t times = 1) { counts_[static_cast<size_t>(kind)] += times; }
  void Join(const FaultCounts& other) {
    for (size_t i = 0; i < kFaultKinds; ++i) counts_[i] += other.counts_[i];
  }
  uint64_t Of(FaultKind kind) const { return counts_[static_cast<size_t>(kind)]; }
  // Of all kinds.
  uint64_t Sum() const;
  std::vector<FaultKind> Unhit() const;

 private:
  std::array<uint64_t, kFaultKinds> counts_ = {};
};

}  // namespace gyre

#endif  // GYRE_TEST_SIM_FAULT_COUNTS_H_
