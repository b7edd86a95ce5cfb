#include "api/cli/cluster_changes.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/cli/progress_bar.h"
#include "api/cli/text_table.h"
#include "api/copy_speed.h"

namespace gyre {
namespace {

constexpr char kIndent[] = "         ";

const MemberStatus* Find(const std::vector<MemberStatus>& members, const std::string& name) {
  const auto it = std::find_if(members.begin(), members.end(),
                               [&](const MemberStatus& one) { return one.member.name() == name; });
  return it == members.end() ? nullptr : &*it;
}

bool IsSilent(const MemberStatus* member) {
  return member != nullptr && member->is_wanted() && !member->serves();
}

// Whether it says of itself that no streams stand between the two.
bool IsCutFrom(const MemberStatus& member, const std::string& peer) {
  if (!member.status.ok()) return false;
  const auto& peers = member.status->peers();
  return std::any_of(peers.begin(), peers.end(), [&](const v1::PeerStatus& one) {
    return one.node() == peer && !one.connected();
  });
}

// Whether it could vote now.
bool IsThere(const v1::Voter& voter) { return voter.reachable() && !voter.ended(); }

size_t ThereOf(const std::vector<v1::Voter>& voters) {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(), IsThere));
}

// "n0, n1 (life 3f), n2: 2 of 3 can be reached".
std::string Told(const std::vector<v1::Voter>& voters) {
  std::vector<std::string> names;
  size_t reachable = 0;
  for (const v1::Voter& voter : voters) {
    std::string& name = names.emplace_back(voter.node());
    if (voter.life() != 0) absl::StrAppend(&name, " (life ", absl::Hex(voter.life()), ")");
    if (voter.ended()) absl::StrAppend(&name, " (in a life that has ended)");
    if (voter.reachable()) ++reachable;
  }
  return absl::StrCat(absl::StrJoin(names, ", "), ": ", reachable, " of ", voters.size(),
                      " can be reached");
}

std::string ToldOfVoters(const ClusterChanges& changes) {
  std::string out;
  if (changes.voters.empty()) return out;
  absl::StrAppend(&out, "voters:  ", Told(changes.voters), "\n");
  if (!changes.voters_before.empty()) {
    absl::StrAppend(&out, kIndent, "and until they have taken over ", Told(changes.voters_before),
                    "\n");
  }
  if (changes.can_change()) return out;
  std::set<std::string> away;
  for (const auto* voters : {&changes.voters, &changes.voters_before}) {
    for (const v1::Voter& voter : *voters) {
      if (!IsThere(voter)) away.insert(voter.node());
    }
  }
  absl::StrAppend(&out, kIndent, "no majority of them is there, as the node that was asked sees ",
                  "it: changes of the topology are refused until more of ",
                  absl::StrJoin(away, ", "), " are back\n");
  return out;
}

void WriteVoters(const std::vector<v1::Voter>& voters, JsonWriter& json) {
  json.BeginArray();
  for (const v1::Voter& voter : voters) {
    json.BeginObject().Key("node").String(voter.node());
    json.Key("life").String(absl::StrCat(absl::Hex(voter.life())));
    json.Key("reachable").Bool(voter.reachable());
    json.Key("life_ended").Bool(voter.ended()).EndObject();
  }
  json.EndArray();
}

class Waits {
 public:
  explicit Waits(const std::vector<MemberStatus>& members) : members_(members) {}

  void Look(const v1::Transfer& transfer) {
    if (transfer.waiting() + transfer.filling() + transfer.finishing() == 0) return;
    const MemberStatus* const from = Find(members_, transfer.from());
    const MemberStatus* const to = Find(members_, transfer.to());
    if (IsSilent(to)) For(*to, "is given partitions");
    if (from == nullptr || to == nullptr) return;
    if (IsSilent(from)) For(*from, "gives partitions away");
    const bool both = !IsSilent(from) && !IsSilent(to) && from->is_wanted() && to->is_wanted();
    if (both && IsCutFrom(*to, transfer.from())) {
      Add(transfer.to(), absl::StrCat("is to be given partitions by ", transfer.from(),
                                      ", and cannot reach it: mend the network"));
    }
    // Nothing is begun to who is away for the node that begins moves, whichever that is.
    for (const MemberStatus& other : members_) {
      const bool begins = transfer.waiting() > 0 && !IsSilent(to) && !IsSilent(&other);
      if (!begins || !other.is_wanted() || !IsCutFrom(other, transfer.to())) continue;
      Add(transfer.to(), absl::StrCat("is to be given partitions, and ", other.member.name(),
                                      " cannot reach it: mend the network"));
    }
    // What is filled without that one is asked of all others.
    if (!from->is_wanted()) {
      LookAtAllBut(transfer.from(),
                   absl::StrCat("may own what is filled in the place of ", transfer.from()));
    }
  }
  void LookAtAllBut(const std::string& node, const std::string& why) {
    for (const MemberStatus& other : members_) {
      if (IsSilent(&other) && other.member.name() != node) For(other, why);
    }
  }
  void Look(const MemberStatus& member) {
    if (member.member.state() == v1::MEMBER_STATE_LEAVING && IsSilent(&member)) {
      For(member, "leaves, and may keep writes for others");
    }
  }
  std::vector<ClusterChanges::Wait> Take() { return std::move(waits_); }

 private:
  void For(const MemberStatus& member, const std::string& why) {
    const std::string& name = member.member.name();
    const std::string how = member.status.ok() ? absl::StrCat("is ", member.status->state())
                                               : std::string("does not answer");
    Add(name, absl::StrCat(why, " and ", how, ": bring it back or, if it is gone for good, `gyre ",
                           "node remove ", name, "` or `gyre node replace ", name, " WITH`"));
  }
  void Add(const std::string& node, const std::string& why) {
    if (told_.insert(node).second) waits_.push_back({node, why});
  }

  const std::vector<MemberStatus>& members_;
  std::set<std::string> told_;
  std::vector<ClusterChanges::Wait> waits_;
};

}  // namespace

bool ClusterChanges::can_change() const {
  const auto majority = [](const std::vector<v1::Voter>& set) {
    return set.empty() || 2 * ThereOf(set) > set.size();
  };
  return majority(voters) && majority(voters_before);
}

std::string Counted(uint64_t count, const char* one, const char* many) {
  return absl::StrCat(WithThousands(count), " ", count == 1 ? one : many);
}

std::string About(const v1::MoveOutlook& outlook) {
  if (outlook.bytes() == 0) return "of a size that nobody who was asked can tell";
  return absl::StrCat(
      "some ", HumanBytes(outlook.bytes()), ", in about ", HumanSeconds(outlook.seconds()),
      outlook.measured() ? ""
                         : absl::StrCat(" (at ", kAssumedCopyMibEachS,
                                        " MiB/s for each node: none was seen yet)"));
}

void FillIn(const std::vector<MemberStatus>& members,
            const google::protobuf::RepeatedPtrField<v1::Transfer>& transfers,
            v1::MoveOutlook* outlook) {
  if (outlook->bytes() > 0) return;
  uint64_t bytes = 0;
  uint64_t owned = 0;
  for (const MemberStatus& member : members) {
    if (!member.status.ok() || member.status->partitions_to_fill() > 0) continue;
    if (member.status->partitions_owned() == 0) continue;
    bytes += member.status->disk_bytes();
    owned += member.status->partitions_owned();
  }
  if (owned == 0) return;
  outlook->set_bytes(outlook->copies() * bytes / owned);
  if (outlook->measured()) return;
  std::map<std::string, uint64_t> to;
  uint64_t most = 0;
  for (const v1::Transfer& transfer : transfers) {
    most = std::max(most, to[transfer.to()] += transfer.waiting() + transfer.filling());
  }
  outlook->set_seconds(
      std::max(outlook->seconds(), most * (bytes / owned) / kAssumedCopyBytesEachS));
}

ClusterChanges ChangesOf(const std::vector<MemberStatus>& members,
                         const v1::ListTransfersReply& transfers) {
  ClusterChanges changes;
  for (const char* state : {"active", "waiting", "leaving", "dead"}) changes.members[state] = 0;
  changes.since = transfers.since();
  changes.outlook = transfers.outlook();
  FillIn(members, transfers.transfers(), &changes.outlook);
  changes.voters.assign(transfers.voters().begin(), transfers.voters().end());
  changes.voters_before.assign(transfers.voters_before().begin(), transfers.voters_before().end());
  Waits waits(members);
  for (const v1::Transfer& transfer : transfers.transfers()) {
    changes.waiting += transfer.waiting();
    changes.filling += transfer.filling();
    changes.finishing += transfer.finishing();
    waits.Look(transfer);
  }
  for (const MemberStatus& member : members) waits.Look(member);
  for (const MemberStatus& member : members) {
    if (!member.status.ok()) continue;
    const std::string& name = member.member.name();
    if (member.status->partitions_to_refill() == 0) continue;
    changes.refilling[name] = member.status->partitions_to_refill();
    waits.LookAtAllBut(name, absl::StrCat("may own what ", name, " fills"));
  }
  changes.waits = waits.Take();
  for (const MemberStatus& member : members) {
    const std::string& name = member.member.name();
    ++changes.members[StateName(member.member.state())];
    if (member.member.state() == v1::MEMBER_STATE_WAITING) changes.to_join.push_back(name);
    const bool waited_for =
        std::any_of(changes.waits.begin(), changes.waits.end(),
                    [&](const ClusterChanges::Wait& wait) { return wait.node == name; });
    if (IsSilent(&member) && !waited_for) changes.silent.push_back(name);
  }
  return changes;
}

LastWords LastWordsOn(const std::string& node, const std::vector<MemberStatus>& members,
                      const v1::ListTransfersReply& transfers) {
  LastWords words;
  const MemberStatus* const buried = Find(members, node);
  if (buried == nullptr || !buried->is_wanted()) return words;
  std::vector<std::string> reached_by;
  for (const MemberStatus& member : members) {
    const std::string& name = member.member.name();
    if (name == node || !member.is_wanted()) continue;
    if (!member.status.ok()) {
      words.unheard.push_back(name);
      continue;
    }
    const auto& peers = member.status->peers();
    const bool reaches = std::any_of(peers.begin(), peers.end(), [&](const v1::PeerStatus& peer) {
      return peer.node() == node && peer.connected();
    });
    if (reaches) reached_by.push_back(name);
  }
  if (buried->serves()) {
    words.dangers.push_back(absl::StrCat("node '", node, "' answers, and serves"));
  } else if (!reached_by.empty()) {
    words.dangers.push_back(absl::StrCat("node '", node, "' is connected with ",
                                         absl::StrJoin(reached_by, ", "),
                                         ": it is not dead for these"));
  }
  for (const auto& [other, partitions] : ChangesOf(members, transfers).refilling) {
    if (other == node) continue;
    words.dangers.push_back(absl::StrCat("node '", other, "' has yet to be filled with ",
                                         Counted(partitions, "partition", "partitions"),
                                         ", and cannot be by '", node,
                                         "' any more: what of them only that one has is lost"));
  }
  return words;
}

std::string Told(const ClusterChanges& changes) {
  std::vector<std::string> states;
  for (const char* state : {"active", "waiting", "leaving", "dead"}) {
    const uint64_t count = changes.members.at(state);
    if (count > 0) states.push_back(absl::StrCat(count, " ", state));
  }
  std::string out = absl::StrCat("members: ", absl::StrJoin(states, ", "), "\n");
  if (changes.copies() == 0) {
    absl::StrAppend(&out, "moving:  nothing\n");
  } else {
    absl::StrAppend(
        &out, "moving:  ", Counted(changes.copies(), "copy of a partition", "copies of partitions"),
        " left: ", changes.waiting, " waiting, ", changes.filling, " filling, ", changes.finishing,
        " finishing");
    if (changes.since > 0) absl::StrAppend(&out, "; the oldest since epoch ", changes.since);
    absl::StrAppend(&out, "\n");
    if (changes.outlook.copies() > 0) {
      absl::StrAppend(&out, kIndent, About(changes.outlook), "\n");
    }
  }
  for (const auto& [node, partitions] : changes.refilling) {
    absl::StrAppend(&out, "filling: ", node, " fills ",
                    Counted(partitions, "partition", "partitions"),
                    " from the other owners, and answers no reads of them meanwhile\n");
  }
  const bool goes_on =
      changes.copies() > 0 || changes.members.at("leaving") > 0 || !changes.refilling.empty();
  if (changes.waits.empty() && goes_on) absl::StrAppend(&out, kIndent, "it goes on by itself\n");
  for (const ClusterChanges::Wait& wait : changes.waits) {
    absl::StrAppend(&out, kIndent, "waits for ", wait.node, ", which ", wait.why, "\n");
  }
  absl::StrAppend(&out, ToldOfVoters(changes));
  for (const std::string& node : changes.silent) {
    absl::StrAppend(&out, node, " does not serve, and nothing that moves waits for it: bring it ",
                    "back (one of `members` in the configuration also with an empty directory: it ",
                    "is filled) or, if it is gone for good, `gyre node remove ", node,
                    "` or `gyre node replace ", node, " WITH`\n");
  }
  for (const std::string& node : changes.to_join) {
    absl::StrAppend(&out, node, " owns nothing until it is told to: `gyre node join ", node,
                    "` or `gyre node replace DEAD ", node, "`\n");
  }
  return out;
}

void WriteChanges(const ClusterChanges& changes, JsonWriter& json) {
  json.Key("states").BeginObject();
  for (const auto& [state, count] : changes.members) json.Key(state).Number(count);
  json.EndObject().Key("moves").BeginObject();
  json.Key("waiting").Number(changes.waiting).Key("filling").Number(changes.filling);
  json.Key("finishing").Number(changes.finishing).Key("since_epoch").Number(changes.since);
  json.Key("bytes").Number(changes.outlook.bytes());
  json.Key("seconds").Number(changes.outlook.seconds());
  json.Key("measured").Bool(changes.outlook.measured()).EndObject();
  json.Key("refilling").BeginObject();
  for (const auto& [node, partitions] : changes.refilling) json.Key(node).Number(partitions);
  json.EndObject().Key("waits_for").BeginArray();
  for (const ClusterChanges::Wait& wait : changes.waits) {
    json.BeginObject().Key("node").String(wait.node).Key("why").String(wait.why).EndObject();
  }
  json.EndArray().Key("silent").BeginArray();
  for (const std::string& node : changes.silent) json.String(node);
  json.EndArray().Key("to_join").BeginArray();
  for (const std::string& node : changes.to_join) json.String(node);
  json.EndArray().Key("voters");
  WriteVoters(changes.voters, json);
  json.Key("voters_before");
  WriteVoters(changes.voters_before, json);
  json.Key("can_change").Bool(changes.can_change());
}

}  // namespace gyre
