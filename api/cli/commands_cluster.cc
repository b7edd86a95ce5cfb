// gyre status, hints, ring.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "api/cli/cluster_changes.h"
#include "api/cli/commands.h"
#include "api/cli/json_writer.h"
#include "api/cli/member_status.h"
#include "api/cli/ring_drawing.h"
#include "api/cli/text_table.h"

namespace gyre {
namespace {

std::string PeersOf(const v1::NodeStatusReply& status) {
  int connected = 0;
  for (const v1::PeerStatus& peer : status.peers()) connected += peer.connected() ? 1 : 0;
  return absl::StrCat(connected, "/", status.peers_size());
}

// Builds of the first level do not say.
uint32_t LevelOf(const v1::NodeStatusReply& status) { return std::max(status.level(), 1u); }

// What all nodes are of, as far as one that answers knows.
uint32_t LevelOf(const std::vector<MemberStatus>& all) {
  uint32_t level = 1;
  for (const MemberStatus& member : all) {
    if (member.status.ok()) level = std::max(level, member.status->cluster_level());
  }
  return level;
}

void WriteStatus(const MemberStatus& member, JsonWriter& json) {
  json.BeginObject().Key("node").String(member.member.name());
  json.Key("zone").String(member.member.zone());
  json.Key("address").String(member.member.client_address());
  json.Key("member").String(StateName(member.member.state()));
  json.Key("reachable").Bool(member.status.ok());
  if (!member.status.ok()) {
    json.Bytes("error", std::string(member.status.status().message())).EndObject();
    return;
  }
  const v1::NodeStatusReply& status = *member.status;
  json.Key("state").String(status.state()).Key("version").String(status.version());
  json.Key("level").Number(LevelOf(status));
  json.Key("epoch").Number(status.epoch()).Key("uptime_s").Number(status.uptime_s());
  json.Key("partitions_owned").Number(status.partitions_owned());
  json.Key("disk_bytes").Number(status.disk_bytes());
  json.Key("requests_in_flight").Number(status.requests_in_flight());
  json.Key("load").String(status.load());
  json.Key("missing_dots").Number(status.missing_dots());
  json.Key("missing_by_table").BeginObject();
  for (const v1::TableStaleness& table : status.staleness()) {
    json.Key(table.table()).Number(table.missing_dots());
  }
  json.EndObject();
  json.Key("partitions_to_fill").Number(status.partitions_to_fill());
  json.Key("copied_items").Number(status.copied_items());
  json.Key("contradictions").Number(status.contradictions());
  json.Key("damaged_records").Number(status.damaged_records());
  json.Key("log_entries").Number(status.log_entries()).Key("peers").BeginArray();
  for (const v1::PeerStatus& peer : status.peers()) {
    json.BeginObject().Key("node").String(peer.node());
    json.Key("connected").Bool(peer.connected());
    json.Key("liveness").String(peer.liveness());
    json.Key("load").String(peer.load()).EndObject();
  }
  json.EndArray().EndObject();
}

void WriteCorruption(const MemberStatus& member, std::ostream& out) {
  const v1::NodeStatusReply& status = *member.status;
  const auto write = [&](uint64_t count, const char* one, const char* many, const char* what) {
    if (count == 0) return;
    out << "\n"
        << member.member.name() << " " << what << " " << count << " " << (count == 1 ? one : many)
        << "\n";
  };
  write(status.damaged_records(), "record", "records", "waits for others to mend");
  write(status.contradictions(), "item", "items", "contradicts other owners in");
}

Exit Status(const Invocation& invocation) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
  if (!topology.ok()) return invocation.Fail(topology.status());
  const std::vector<MemberStatus> all = AskAll(**client, *topology);
  const absl::StatusOr<v1::ListTransfersReply> transfers = (*client)->ListTransfers();
  if (!transfers.ok()) return invocation.Fail(transfers.status());
  const ClusterChanges changes = ChangesOf(all, *transfers);
  int serving = 0;
  int wanted = 0;
  for (const MemberStatus& member : all) {
    serving += member.serves() && member.is_wanted() ? 1 : 0;
    wanted += member.is_wanted() ? 1 : 0;
  }
  const Exit exit = serving == wanted ? Exit::kOk : Exit::kFailed;

  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("cluster").String(topology->cluster_name());
    json.Key("epoch").Number(topology->epoch()).Key("slices").Number(topology->slices());
    json.Key("level").Number(LevelOf(all));
    json.Key("tables").Number(topology->tables_size()).Key("serving").Number(serving);
    json.Key("members").BeginArray();
    for (const MemberStatus& member : all) WriteStatus(member, json);
    json.EndArray();
    WriteChanges(changes, json);
    json.EndObject();
    *invocation.out << line << "\n";
    return exit;
  }
  *invocation.out << "cluster " << topology->cluster_name() << ", epoch " << topology->epoch()
                  << ", level " << LevelOf(all) << ", " << topology->slices() << " slices, "
                  << topology->tables_size()
                  << (topology->tables_size() == 1 ? " table, " : " tables, ") << serving << " of "
                  << wanted << " nodes serving\n\n";
  TextTable table({"NODE", "ZONE", "ADDRESS", "MEMBER", "STATE", ">LEVEL", ">EPOCH", ">UPTIME",
                   ">OWNS", ">TO FILL", ">DISK", ">IN FLIGHT", "LOAD", ">MISSING", ">LOG",
                   ">PEERS"});
  for (const MemberStatus& member : all) {
    const v1::TopologyMember& who = member.member;
    if (!member.status.ok()) {
      table.Add({who.name(), who.zone(), who.client_address(), StateName(who.state()),
                 member.is_wanted() ? "unreachable" : "gone", "-", "-", "-", "-", "-", "-", "-",
                 "-", "-", "-", "-"});
      continue;
    }
    const v1::NodeStatusReply& status = *member.status;
    table.Add({who.name(), who.zone(), who.client_address(), StateName(who.state()), status.state(),
               absl::StrCat(LevelOf(status)), absl::StrCat(status.epoch()),
               HumanSeconds(status.uptime_s()), absl::StrCat(status.partitions_owned()),
               absl::StrCat(status.partitions_to_fill()), HumanBytes(status.disk_bytes()),
               absl::StrCat(status.requests_in_flight()), status.load(),
               absl::StrCat(status.missing_dots()), absl::StrCat(status.log_entries()),
               PeersOf(status)});
  }
  *invocation.out << table.Render() << "\n" << Told(changes);
  for (const MemberStatus& member : all) {
    if (!member.status.ok()) continue;
    WriteCorruption(member, *invocation.out);
    for (const v1::TableStaleness& stale : member.status->staleness()) {
      *invocation.out << "\n"
                      << member.member.name() << " lacks " << stale.missing_dots()
                      << (stale.missing_dots() == 1 ? " write" : " writes") << " of table "
                      << stale.table();
    }
    if (member.status->staleness_size() > 0) *invocation.out << "\n";
  }
  return exit;
}

Exit Hints(const Invocation& invocation) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
  if (!topology.ok()) return invocation.Fail(topology.status());
  const std::vector<MemberStatus> all = AskAll(**client, *topology);
  int silent = 0;
  for (const MemberStatus& member : all) silent += member.status.ok() ? 0 : 1;
  const Exit exit = silent == 0 ? Exit::kOk : Exit::kFailed;

  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("unreachable").Number(silent).Key("hints").BeginArray();
    for (const MemberStatus& member : all) {
      if (!member.status.ok()) continue;
      for (const v1::HintsKept& kept : member.status->hints()) {
        json.BeginObject().Key("kept_by").String(member.member.name());
        json.Key("for").String(kept.owner()).Key("hints").Number(kept.hints());
        json.Key("bytes").Number(kept.bytes()).Key("oldest_s").Number(kept.oldest_s());
        json.EndObject();
      }
    }
    json.EndArray().EndObject();
    *invocation.out << line << "\n";
    return exit;
  }
  TextTable table({"KEPT BY", "FOR", ">HINTS", ">BYTES", ">OLDEST"});
  bool any = false;
  for (const MemberStatus& member : all) {
    if (!member.status.ok()) {
      table.Add({member.member.name(), "unreachable", "-", "-", "-"});
      any = true;
      continue;
    }
    for (const v1::HintsKept& kept : member.status->hints()) {
      table.Add({member.member.name(), kept.owner(), absl::StrCat(kept.hints()),
                 HumanBytes(kept.bytes()), HumanSeconds(kept.oldest_s())});
      any = true;
    }
  }
  *invocation.out << (any ? table.Render() : "no hints\n");
  return exit;
}

struct RingArguments {
  uint32_t replicas = 0;
};

Exit Ring(const Invocation& invocation, const RingArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
  if (!topology.ok()) return invocation.Fail(topology.status());
  const absl::StatusOr<v1::PartitionFamily> family = FamilyOf(*topology, arguments.replicas);
  if (!family.ok()) return invocation.Fail(family.status());
  if (!invocation.json) {
    *invocation.out << DrawRing(*topology, *family, invocation.terminal);
    return Exit::kOk;
  }
  const std::vector<NodeShare> shares = SharesOf(*topology, *family);
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Key("cluster").String(topology->cluster_name());
  json.Key("epoch").Number(topology->epoch()).Key("slices").Number(topology->slices());
  json.Key("replicas").Number(family->replicas()).Key("nodes").BeginArray();
  for (int i = 0; i < topology->members_size(); ++i) {
    const v1::TopologyMember& member = topology->members(i);
    const NodeShare& share = shares[static_cast<size_t>(i)];
    json.BeginObject().Key("node").String(member.name()).Key("zone").String(member.zone());
    json.Key("address").String(member.client_address()).Key("first").Number(share.first);
    json.Key("copies").Number(share.copies).Key("share").Double(share.share).EndObject();
  }
  json.EndArray().Key("owners").BeginArray();
  for (uint32_t slice = 0; slice < topology->slices(); ++slice) {
    json.BeginArray();
    for (uint32_t rank = 0; rank < family->per_slice(); ++rank) {
      json.Number(family->owners(static_cast<int>(slice * family->per_slice() + rank)));
    }
    json.EndArray();
  }
  json.EndArray().EndObject();
  *invocation.out << line << "\n";
  return Exit::kOk;
}

}  // namespace

void AddClusterCommands(CLI::App& app, Invocation& invocation) {
  app.add_subcommand("status", "Ask every member how it is; exits with 3 if one does not serve")
      ->callback([&invocation] { invocation.run = [&invocation] { return Status(invocation); }; });

  app.add_subcommand("hints", "Who keeps what for whom; exits with 3 if a node does not answer")
      ->callback([&invocation] { invocation.run = [&invocation] { return Hints(invocation); }; });

  const auto arguments = std::make_shared<RingArguments>();
  CLI::App* ring = app.add_subcommand("ring", "Draw who owns which part of the hash space");
  ring->add_option("--replicas", arguments->replicas,
                   "Of tables with this N; default: the largest there is")
      ->check(CLI::Range(1, 5));
  ring->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Ring(invocation, *arguments); };
  });
}

}  // namespace gyre
