// gyre node join, leave, remove, replace; zone, cancel, transfers, rebalance.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/cli/cluster_changes.h"
#include "api/cli/commands.h"
#include "api/cli/interrupt.h"
#include "api/cli/json_writer.h"
#include "api/cli/member_status.h"
#include "api/cli/progress_bar.h"
#include "api/cli/text_table.h"

namespace gyre {
namespace {

using Change = v1::ChangeMemberRequest;

uint64_t CopiesOf(const v1::Transfer& transfer) {
  return transfer.waiting() + transfer.filling() + transfer.finishing();
}

void WriteTransfer(const v1::Transfer& transfer, JsonWriter& json) {
  json.BeginObject().Key("from").String(transfer.from()).Key("to").String(transfer.to());
  json.Key("waiting").Number(transfer.waiting()).Key("filling").Number(transfer.filling());
  json.Key("finishing").Number(transfer.finishing()).EndObject();
}

std::string TransferTable(const google::protobuf::RepeatedPtrField<v1::Transfer>& transfers) {
  TextTable table({"FROM", "TO", ">WAITING", ">FILLING", ">FINISHING"});
  for (const v1::Transfer& transfer : transfers) {
    table.Add({transfer.from(), transfer.to(), absl::StrCat(transfer.waiting()),
               absl::StrCat(transfer.filling()), absl::StrCat(transfer.finishing())});
  }
  return table.Render();
}

void WriteStrings(const char* key, const google::protobuf::RepeatedPtrField<std::string>& all,
                  JsonWriter& json) {
  json.Key(key).BeginArray();
  for (const std::string& one : all) json.String(one);
  json.EndArray();
}

void WriteOutlook(const v1::MoveOutlook& outlook, JsonWriter& json) {
  json.Key("bytes").Number(outlook.bytes()).Key("seconds").Number(outlook.seconds());
  json.Key("measured").Bool(outlook.measured());
}

// `done` says what was changed, in a sentence; `unheard` names who was asked what speaks against
// it, and did not answer.
Exit TellChange(const Invocation& invocation, const v1::ChangeMemberRequest& request,
                const v1::ChangeMemberReply& reply, const std::string& done,
                const std::vector<std::string>& unheard = {}) {
  uint64_t copies = 0;
  for (const v1::Transfer& transfer : reply.transfers()) copies += CopiesOf(transfer);
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("epoch").Number(reply.epoch()).Key("plan").Bool(request.plan());
    json.Key("copies").Number(copies);
    WriteOutlook(reply.outlook(), json);
    json.Key("safe").Bool(reply.dangers().empty() && unheard.empty());
    json.Key("transfers").BeginArray();
    for (const v1::Transfer& transfer : reply.transfers()) WriteTransfer(transfer, json);
    json.EndArray();
    WriteStrings("dangers", reply.dangers(), json);
    WriteStrings("warnings", reply.warnings(), json);
    WriteStrings("unheard", {unheard.begin(), unheard.end()}, json);
    json.EndObject();
    *invocation.out << line << "\n";
    return Exit::kOk;
  }
  std::ostream& out = *invocation.out;
  if (!request.plan()) out << done << " (epoch " << reply.epoch() << ").\n";
  if (copies == 0) {
    out << (request.plan() ? "Nothing would move.\n" : "Nothing is to move.\n");
  } else {
    out << Counted(copies, "copy of a partition", "copies of partitions")
        << (request.plan() ? " would move, " : " to move, ") << About(reply.outlook())
        << (request.plan() ? ":\n\n" : "; `gyre transfers` tells how far that is:\n\n")
        << TransferTable(reply.transfers());
  }
  for (const std::string& danger : reply.dangers()) out << "\nnot safe: " << danger << "\n";
  for (const std::string& warning : reply.warnings()) out << "\nwarning: " << warning << "\n";
  if (!request.plan()) return Exit::kOk;
  if (!unheard.empty()) {
    out << "\nNot known to be safe: " << absl::StrJoin(unheard, ", ")
        << " did not answer, and may have lost data. Bring back who is down first.\n";
  } else if (reply.dangers().empty()) {
    out << "\nIt is safe: nothing that was acknowledged is lost by it.\n";
  }
  out << "\nNothing was changed.\n";
  return Exit::kOk;
}

// Asks the others where the one that answered owns too little to tell.
void FillIn(Client& client, v1::ChangeMemberReply* reply) {
  if (reply->outlook().copies() == 0 || reply->outlook().bytes() > 0) return;
  const absl::StatusOr<v1::GetTopologyReply> topology = client.Topology();
  if (!topology.ok()) return;  // it is said that nobody can tell
  gyre::FillIn(AskAll(client, *topology), reply->transfers(), reply->mutable_outlook());
}

Exit ChangeMember(const Invocation& invocation, const v1::ChangeMemberRequest& request,
                  const std::string& done) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  absl::StatusOr<v1::ChangeMemberReply> reply = (*client)->ChangeMember(request);
  if (!reply.ok()) return invocation.Fail(reply.status());
  FillIn(**client, &*reply);
  return TellChange(invocation, request, *reply, done);
}

// How often the members are asked before they count as opposed: what they say of themselves and of
// what moves is not of one moment, and where copies begin and end meanwhile it may not fit.
constexpr int kLooks = 3;

absl::StatusOr<LastWords> AskForLastWords(Client& client, const std::string& node) {
  LastWords words;
  for (int look = 0; look < kLooks; ++look) {
    const absl::StatusOr<v1::GetTopologyReply> topology = client.Topology();
    if (!topology.ok()) return topology.status();
    const absl::StatusOr<v1::ListTransfersReply> transfers = client.ListTransfers();
    if (!transfers.ok()) return transfers.status();
    words = LastWordsOn(node, AskAll(client, *topology), *transfers);
    if (words.dangers.empty()) break;
  }
  return words;
}

// A node is declared dead, which cannot be taken back: all members are asked what they know of it.
Exit Bury(const Invocation& invocation, const v1::ChangeMemberRequest& request,
          const std::string& done) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  LastWords words;
  // Who overrules them does not wait for them.
  if (request.plan() || !request.force()) {
    absl::StatusOr<LastWords> asked = AskForLastWords(**client, request.node());
    if (!asked.ok()) return invocation.Fail(asked.status());
    words = *std::move(asked);
  }
  if (!words.dangers.empty() && !request.plan()) {
    return invocation.Fail(absl::FailedPreconditionError(absl::StrCat(
        "it is not safe, and nothing was changed: ", absl::StrJoin(words.dangers, "; "),
        ". With --force it is done all the same, and cannot be taken back; --plan says more")));
  }
  absl::StatusOr<v1::ChangeMemberReply> reply = (*client)->ChangeMember(request);
  if (!reply.ok()) return invocation.Fail(reply.status());
  FillIn(**client, &*reply);
  for (const std::string& danger : words.dangers) reply->add_dangers(danger);
  return TellChange(invocation, request, *reply, done, words.unheard);
}

// What is under way to a node (`join`), or away from it, is taken back. It says which: said again,
// when the first has been done, it must not be the opposite.
Exit Cancel(const Invocation& invocation, v1::ChangeMemberRequest request, bool join) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
  if (!topology.ok()) return invocation.Fail(topology.status());
  const auto& members = topology->members();
  const auto member =
      std::find_if(members.begin(), members.end(),
                   [&](const v1::TopologyMember& one) { return one.name() == request.node(); });
  if (member == members.end()) {
    return invocation.Fail(absl::NotFoundError(absl::StrCat("no node '", request.node(), "'")));
  }
  if (member->state() == v1::MEMBER_STATE_DEAD) {
    return invocation.Fail(absl::FailedPreconditionError(
        absl::StrCat("node '", request.node(), "' was declared dead, which cannot be taken back")));
  }
  if (!join && member->state() == v1::MEMBER_STATE_WAITING) {
    return invocation.Fail(absl::FailedPreconditionError(
        absl::StrCat("node '", request.node(), "' does not leave: it waits to be told to join")));
  }
  const bool leaves = member->state() == v1::MEMBER_STATE_LEAVING;
  request.set_change(join ? Change::RETIRE : Change::ACTIVATE);
  absl::StatusOr<v1::ChangeMemberReply> reply = (*client)->ChangeMember(request);
  if (!reply.ok()) return invocation.Fail(reply.status());
  FillIn(**client, &*reply);
  return TellChange(invocation, request, *reply,
                    absl::StrCat("node ", request.node(),
                                 join     ? " is to own nothing, and waits"
                                 : leaves ? " stays after all"
                                          : " stays, and did not leave"));
}

Exit Transfers(const Invocation& invocation) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::ListTransfersReply> reply = (*client)->ListTransfers();
  if (!reply.ok()) return invocation.Fail(reply.status());
  uint64_t copies = 0;
  for (const v1::Transfer& transfer : reply->transfers()) copies += CopiesOf(transfer);
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("epoch").Number(reply->epoch()).Key("copies").Number(copies);
    json.Key("since_epoch").Number(reply->since());
    WriteOutlook(reply->outlook(), json);
    json.Key("transfers").BeginArray();
    for (const v1::Transfer& transfer : reply->transfers()) WriteTransfer(transfer, json);
    json.EndArray().Key("members").BeginArray();
    for (int i = 0; i < reply->members_size(); ++i) {
      const v1::TopologyMember& member = reply->members(i);
      json.BeginObject().Key("node").String(member.name()).Key("zone").String(member.zone());
      json.Key("state").String(StateName(member.state()));
      json.Key("owned").Number(i < reply->owned_size() ? reply->owned(i) : 0).EndObject();
    }
    json.EndArray().EndObject();
    *invocation.out << line << "\n";
    return Exit::kOk;
  }
  TextTable members({"NODE", "ZONE", "STATE", ">OWNS"});
  std::vector<int> by_name(static_cast<size_t>(reply->members_size()));
  std::iota(by_name.begin(), by_name.end(), 0);
  std::sort(by_name.begin(), by_name.end(),
            [&](int a, int b) { return reply->members(a).name() < reply->members(b).name(); });
  for (int i : by_name) {
    const v1::TopologyMember& member = reply->members(i);
    members.Add({member.name(), member.zone(), StateName(member.state()),
                 absl::StrCat(i < reply->owned_size() ? reply->owned(i) : 0)});
  }
  *invocation.out << members.Render() << "\n";
  if (copies == 0) {
    *invocation.out << "nothing moves\n";
  } else {
    *invocation.out << TransferTable(reply->transfers());
    if (reply->outlook().copies() > 0) {
      *invocation.out << "\n"
                      << Counted(reply->outlook().copies(), "copy", "copies")
                      << " to come: " << About(reply->outlook()) << "\n";
    }
  }
  return Exit::kOk;
}

struct RebalanceArguments {
  bool plan = false;
  uint32_t seconds = 0;
};

// Once each, for a person who looks on.
void TellWaits(const ClusterChanges& changes, std::set<std::string>* told, std::ostream& err) {
  for (const ClusterChanges::Wait& wait : changes.waits) {
    if (!told->insert(wait.node).second) continue;
    err << "gyre: waits for " << wait.node << ", which " << wait.why << "\n";
  }
}

Exit TellRest(const Invocation& invocation, const ClusterChanges& changes, bool interrupted) {
  const bool rests = changes.copies() == 0;
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("copies").Number(changes.copies());
    WriteChanges(changes, json);
    json.EndObject();
    *invocation.out << line << "\n";
  } else if (rests) {
    *invocation.out << "Nothing is to move: every node that is active owns its share.\n";
  } else {
    *invocation.out << Told(changes);
  }
  if (interrupted) return Exit::kInterrupted;
  return rests ? Exit::kOk : Exit::kFailed;
}

// Moves begin by themselves, so what is left for an operator to ask is when they will have ended.
Exit Rebalance(const Invocation& invocation, const RebalanceArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const InterruptScope ctrl_c;
  const absl::Time start = absl::Now();
  ProgressBar bar(invocation.err, invocation.terminal, "move", "copies", start);
  std::set<std::string> told;
  absl::Duration pause = absl::Milliseconds(50);
  uint64_t most = 0;
  for (;;) {
    const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
    if (!topology.ok()) return invocation.Fail(topology.status());
    const absl::StatusOr<v1::ListTransfersReply> transfers = (*client)->ListTransfers();
    if (!transfers.ok()) return invocation.Fail(transfers.status());
    const ClusterChanges changes = ChangesOf(AskAll(**client, *topology), *transfers);
    most = std::max(most, changes.copies());
    const absl::Time now = absl::Now();
    const bool late = arguments.seconds > 0 && now - start >= absl::Seconds(arguments.seconds);
    if (arguments.plan || changes.copies() == 0 || late || ctrl_c.interrupted()) {
      return TellRest(invocation, changes, changes.copies() > 0 && ctrl_c.interrupted());
    }
    TellWaits(changes, &told, *invocation.err);
    const uint64_t done = most - changes.copies();
    bar.Update(done, static_cast<double>(done) / static_cast<double>(most), now);
    absl::SleepFor(pause);
    pause = std::min(2 * pause, absl::Seconds(1));
  }
}

CLI::App* AddChange(CLI::App& parent, Invocation& invocation, Change::Change change,
                    const std::string& command, const std::string& what, const std::string& done) {
  const auto request = std::make_shared<v1::ChangeMemberRequest>();
  request->set_change(change);
  CLI::App* const app = parent.add_subcommand(command, what);
  app->add_option_function<std::string>(
         "node", [request](const std::string& name) { request->set_node(name); }, "The node's name")
      ->required();
  if (change == Change::REPLACE) {
    app->add_option_function<std::string>(
           "with", [request](const std::string& name) { request->set_with(name); },
           "The node that takes its place: one that waits, or is active")
        ->required();
  }
  if (change == Change::SET_ZONE) {
    app->add_option_function<std::string>(
           "zone", [request](const std::string& zone) { request->set_zone(zone); },
           "Its failure domain")
        ->required();
  }
  app->add_flag_callback(
      "--plan", [request] { request->set_plan(true); }, "Say what would move, and change nothing");
  const bool buries = change == Change::REMOVE || change == Change::REPLACE;
  if (buries) {
    app->add_flag_callback(
        "--force", [request] { request->set_force(true); },
        "Do it although data may be lost; it cannot be taken back");
  }
  app->callback([&invocation, request, done, buries] {
    invocation.run = [&invocation, request, done, buries] {
      const std::string sentence = absl::StrCat("node ", request->node(), done);
      return buries ? Bury(invocation, *request, sentence)
                    : ChangeMember(invocation, *request, sentence);
    };
  });
  return app;
}

void AddCancel(CLI::App& app, Invocation& invocation) {
  const auto request = std::make_shared<v1::ChangeMemberRequest>();
  const auto join = std::make_shared<bool>(false);
  CLI::App* const cancel = app.add_subcommand(
      "cancel", "A node that leaves is to stay after all; with --join its join is taken back");
  cancel
      ->add_option_function<std::string>(
          "node", [request](const std::string& name) { request->set_node(name); },
          "The node's name")
      ->required();
  cancel->add_flag("--join", *join,
                   "It is to give away what it owns, and to wait; also one that joined long ago");
  cancel->add_flag_callback(
      "--plan", [request] { request->set_plan(true); }, "Say what would move, and change nothing");
  cancel->callback([&invocation, request, join] {
    invocation.run = [&invocation, request, join] { return Cancel(invocation, *request, *join); };
  });
}

}  // namespace

void AddNodeCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* const node = app.add_subcommand("node", "Members that come and go");
  node->require_subcommand(1);
  AddChange(*node, invocation, Change::ACTIVATE, "join",
            "A node that waits, or leaves, is to own its share", " is to own its share");
  AddChange(*node, invocation, Change::LEAVE, "leave",
            "A node gives away what it owns, and ends then", " leaves");
  AddChange(*node, invocation, Change::REMOVE, "remove",
            "A node is gone for good: others are filled without it", " is removed");
  AddChange(*node, invocation, Change::REPLACE, "replace",
            "A node is gone for good, and another one takes its place", " is replaced");
  AddChange(app, invocation, Change::SET_ZONE, "zone", "A node is in another zone",
            " is in its new zone");
  AddCancel(app, invocation);
  const auto arguments = std::make_shared<RebalanceArguments>();
  CLI::App* const rebalance = app.add_subcommand(
      "rebalance", "Wait until nothing moves any more; what is to move begins by itself");
  rebalance->add_flag("--plan", arguments->plan, "Say what is still to move, and do not wait");
  rebalance->add_option("--seconds", arguments->seconds,
                        "The longest to wait; default: until all has moved");
  rebalance->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Rebalance(invocation, *arguments); };
  });
  const auto transfers = [&invocation] {
    invocation.run = [&invocation] { return Transfers(invocation); };
  };
  app.add_subcommand("transfers", "What moves from one node to another, and what each owns")
      ->callback(transfers);
}

}  // namespace gyre
