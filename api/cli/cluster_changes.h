// ClusterChanges: what is going on while a cluster changes: who is in which state, what moves, and
// whether it goes on by itself or waits for somebody. Made of what the members say, and of what one
// of them knows of the moves.
//
//   members: 3 active, 1 leaving
//   moving:  41 copies of partitions left: 30 waiting, 8 filling, 3 finishing; the oldest since
//            epoch 12
//            some 1.2 GiB, in about 40s
//            waits for n3, which gives partitions away and does not answer: bring it back or, ...
//   voters:  n1, n2, n3: 2 of 3 can be reached
//
// Pure functions. Any thread.

#ifndef GYRE_API_CLI_CLUSTER_CHANGES_H_
#define GYRE_API_CLI_CLUSTER_CHANGES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/cli/json_writer.h"
#include "api/cli/member_status.h"
#include "api/proto/gyre.pb.h"

namespace gyre {

struct ClusterChanges {
  std::map<std::string, uint64_t> members = {};  // by state; all that there are
  uint64_t waiting = 0;                          // copies that are planned, and not begun
  uint64_t filling = 0;
  uint64_t finishing = 0;
  uint64_t since = 0;  // the epoch in which the oldest under way began; 0: none
  v1::MoveOutlook outlook = {};
  // Partitions that a node owns and fills from their other owners, for it lost them or never had
  // them: by its name.
  std::map<std::string, uint64_t> refilling = {};
  struct Wait {
    std::string node;  // for whom
    std::string why;
  };
  // Nobody: what there is to do goes on by itself.
  std::vector<Wait> waits = {};
  // Who does not answer, and holds nothing up.
  std::vector<std::string> silent = {};
  // Members that have joined, and own nothing until they are told to.
  std::vector<std::string> to_join = {};
  // Who votes on changes of the topology, as the node that was asked sees it, and, while the voters
  // change, who did before: a change needs a majority of both. None: that node does not say.
  std::vector<v1::Voter> voters = {};
  std::vector<v1::Voter> voters_before = {};

  uint64_t copies() const { return waiting + filling + finishing; }
  // Whether so many of the voters are there that the topology can be changed.
  bool can_change() const;
};

ClusterChanges ChangesOf(const std::vector<MemberStatus>& members,
                         const v1::ListTransfersReply& transfers);

// What members say of a node that is about to be declared dead, and what the one node that is asked
// to do it cannot know.
struct LastWords {
  std::vector<std::string> dangers = {};  // data may be lost by it
  std::vector<std::string> unheard = {};  // members that stay, and do not answer
};

LastWords LastWordsOn(const std::string& node, const std::vector<MemberStatus>& members,
                      const v1::ListTransfersReply& transfers);

// Lines that end in a newline each.
std::string Told(const ClusterChanges& changes);
// The fields of an object that is open.
void WriteChanges(const ClusterChanges& changes, JsonWriter& json);

// Where the node that was asked could not tell how much the copies come to: by what the members
// have on their disks for what they own.
void FillIn(const std::vector<MemberStatus>& members,
            const google::protobuf::RepeatedPtrField<v1::Transfer>& transfers,
            v1::MoveOutlook* outlook);

// "1,204 copies of partitions".
std::string Counted(uint64_t count, const char* one, const char* many);
// "some 1.2 GB, in about 40s", with a word on what that rests on where it was not measured.
std::string About(const v1::MoveOutlook& outlook);

}  // namespace gyre

#endif  // GYRE_API_CLI_CLUSTER_CHANGES_H_
