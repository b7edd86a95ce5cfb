#include "api/cli/command_line.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/client/fake_server.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace gyre {
namespace {

using google::protobuf::Struct;

struct Outcome {
  int exit = -1;
  std::string out;
  std::string err;
};

Outcome RunReading(const std::vector<std::string>& words, std::istream& in,
                   const Terminal& terminal = {}) {
  std::ostringstream out;
  std::ostringstream err;
  const int exit = RunCommandLine(words, &in, &out, &err, terminal);
  return {exit, out.str(), err.str()};
}

Outcome RunWords(const std::vector<std::string>& words, const std::string& input = "",
                 const Terminal& terminal = {}) {
  std::istringstream in(input);
  return RunReading(words, in, terminal);
}

Struct Parsed(const std::string& json) {
  Struct object;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &object);
  EXPECT_TRUE(status.ok()) << json;
  return object;
}

double NumberAt(const Struct& object, const std::string& field) {
  const auto it = object.fields().find(field);
  return it == object.fields().end() ? -1 : it->second.number_value();
}

class CommandLineTest : public testing::Test {
 protected:
  // Runs with the cluster's addresses and with `input` on standard input.
  Outcome Run(std::vector<std::string> words, const std::string& input = "") {
    words.push_back("--connect");
    words.push_back(absl::StrJoin(cluster_.addresses(), ","));
    return RunWords(words, input);
  }

  std::string WriteFile(const std::string& name, const std::string& bytes) {
    const std::string path = absl::StrCat(testing::TempDir(), "/", getpid(), "-", name);
    std::ofstream(path, std::ios::binary) << bytes;
    files_.push_back(path);
    return path;
  }

  ~CommandLineTest() override {
    for (const std::string& file : files_) std::remove(file.c_str());
  }

  FakeCluster cluster_;
  std::vector<std::string> files_;
};

// --------------------------------------------------------------------------------------------
// items

TEST_F(CommandLineTest, GetsWhatWasPutByteForByte) {
  EXPECT_EQ(Run({"put", "t", "k", "tea"}).out, "ok\n");
  const Outcome got = Run({"get", "t", "k"});
  EXPECT_EQ(got.exit, 0);
  EXPECT_EQ(got.out, "tea");
  EXPECT_EQ(got.err, "");
}

TEST_F(CommandLineTest, ReadsTheValueFromStandardInputOrAFile) {
  const std::string bytes("a\0b\n\xff", 5);
  EXPECT_EQ(Run({"put", "t", "in"}, bytes).exit, 0);
  EXPECT_EQ(Run({"get", "t", "in"}).out, bytes);
  EXPECT_EQ(Run({"put", "t", "file", "--file", WriteFile("value", bytes)}).exit, 0);
  EXPECT_EQ(Run({"get", "t", "file"}).out, bytes);
  EXPECT_EQ(Run({"put", "t", "k", "v", "--file", "x"}).exit, 2);
  EXPECT_EQ(Run({"put", "t", "k", "--file", WriteFile("none", "") + "/below"}).exit, 2);
}

TEST_F(CommandLineTest, RefusesInputThatCannotBeRead) {
  const Outcome directory = Run({"put", "t", "k", "--file", testing::TempDir()});
  EXPECT_EQ(directory.exit, 2);
  EXPECT_NE(directory.err.find("cannot read " + testing::TempDir()), std::string::npos);
  const std::string connect = absl::StrJoin(cluster_.addresses(), ",");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"put", "t", "k", "--connect", connect},
        {"load", "-", "--table", "t", "--format", "debian", "--connect", connect},
        {"load", "-", "--table", "t", "--format", "jsonl", "--connect", connect},
        {"load", "-", "--table", "t", "--format", "tsv", "--connect", connect}}) {
    std::ifstream unreadable(testing::TempDir());
    const Outcome outcome = RunReading(words, unreadable);
    EXPECT_EQ(outcome.exit, 2) << words.front();
    EXPECT_NE(outcome.err.find("read"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(Run({"get", "t", "k"}).exit, 1);
}

TEST_F(CommandLineTest, ExitsWithOneForAKeyThatIsNotThere) {
  const Outcome got = Run({"get", "t", "nothing"});
  EXPECT_EQ(got.exit, 1);
  EXPECT_EQ(got.out, "");
  EXPECT_EQ(got.err, "gyre: no such key\n");
  EXPECT_EQ(Run({"get", "t", "nothing", "--json"}).exit, 1);
}

TEST_F(CommandLineTest, PrintsAllSiblingsAndExitsWithFour) {
  Run({"put", "t", "k", "tea"});
  Run({"put", "t", "k", "cups", "--blind"});
  const Outcome got = Run({"get", "t", "k"});
  EXPECT_EQ(got.exit, 4);
  EXPECT_EQ(got.out, "--- sibling 1 of 2, 3 bytes\ntea\n--- sibling 2 of 2, 4 bytes\ncups\n");
  EXPECT_EQ(got.err, "context " + absl::Base64Escape("context of k") + "\n");
}

TEST_F(CommandLineTest, PrintsAnItemAsJson) {
  Run({"put", "t", "k", "tea"});
  const Outcome got = Run({"get", "t", "k", "--json"});
  const Struct object = Parsed(got.out);
  EXPECT_TRUE(object.fields().at("found").bool_value());
  EXPECT_EQ(object.fields().at("values").list_value().values(0).string_value(), "tea");
  EXPECT_EQ(object.fields().at("context").string_value(), absl::Base64Escape("context of k"));
  EXPECT_EQ(NumberAt(object, "epoch"), static_cast<double>(cluster_.epoch()));
}

TEST_F(CommandLineTest, SendsTheContextItIsGiven) {
  EXPECT_EQ(Run({"put", "t", "k", "v", "--context", absl::Base64Escape("before"), "--w", "3"}).exit,
            0);
  const auto seen = cluster_.node(cluster_.OwnerOf("k")).seen();
  EXPECT_EQ(seen.back().put().context(), "before");
  EXPECT_EQ(seen.back().put().options().write_quorum(), 3u);
  const Outcome garbage = Run({"put", "t", "k", "v", "--context", "%%%"});
  EXPECT_EQ(garbage.exit, 2);
  EXPECT_NE(garbage.err.find("--context: not base64"), std::string::npos);
}

TEST_F(CommandLineTest, PutsWithATimeToLiveAndShowsWhatIsLeft) {
  EXPECT_EQ(Run({"put", "t", "k", "tea", "--ttl", "1h30m"}).exit, 0);
  const auto seen = cluster_.node(cluster_.OwnerOf("k")).seen();
  EXPECT_EQ(seen.back().put().ttl_ms(), 5'400'000u);
  const Outcome got = Run({"get", "t", "k"});
  EXPECT_EQ(got.out, "tea") << "the value stays clean";
  EXPECT_EQ(got.err, "expires in 1h30m\n");
  const Struct object = Parsed(Run({"get", "t", "k", "--json"}).out);
  EXPECT_EQ(object.fields().at("ttl_left_ms").list_value().values(0).number_value(), 5'400'000);
  Run({"put", "t", "k", "milk", "--ttl", "2d", "--blind"});
  EXPECT_EQ(Run({"get", "t", "k"}).err.substr(0, 58),
            "sibling 1 does not expire\nsibling 2 expires in 2d\ncontext ");
}

TEST_F(CommandLineTest, RefusesATimeToLiveThatIsNone) {
  for (const char* wrong : {"0s", "-5s", "soon", "40000d"}) {
    EXPECT_EQ(Run({"put", "t", "k", "tea", "--ttl", wrong}).exit, 2) << wrong;
    EXPECT_EQ(Run({"table", "create", "u", "--ttl", wrong}).exit, 2) << wrong;
  }
}

TEST_F(CommandLineTest, MakesATableWhoseValuesExpire) {
  EXPECT_EQ(Run({"table", "create", "sessions", "--ttl", "30m"}).exit, 0);
  EXPECT_NE(Run({"table", "describe", "sessions"}).out.find("30m"), std::string::npos);
  EXPECT_EQ(NumberAt(Parsed(Run({"table", "describe", "sessions", "--json"}).out), "ttl_ms"),
            1'800'000);
}

TEST_F(CommandLineTest, RefusesAnEmptyContext) {
  Run({"put", "t", "k", "before"});
  for (const std::string empty : {"", " "}) {
    const Outcome put = Run({"put", "t", "k", "v", "--context", empty});
    EXPECT_EQ(put.exit, 2);
    EXPECT_NE(put.err.find("--context: empty; to replace whatever is there, leave"),
              std::string::npos)
        << put.err;
    EXPECT_EQ(Run({"delete", "t", "k", "--context", empty}).exit, 2);
  }
  EXPECT_EQ(Run({"put", "t", "k", "v", "--context="}).exit, 2);
  EXPECT_EQ(Run({"get", "t", "k"}).out, "before");
}

TEST_F(CommandLineTest, WritesAnEmptyValueThatIsNamed) {
  EXPECT_EQ(Run({"put", "t", "k", ""}, "not this").exit, 0);
  const Outcome got = Run({"get", "t", "k"});
  EXPECT_EQ(got.exit, 0);
  EXPECT_EQ(got.out, "");
}

TEST_F(CommandLineTest, DeletesAKey) {
  Run({"put", "t", "k", "v"});
  EXPECT_EQ(Run({"delete", "t", "k"}).out, "ok\n");
  EXPECT_EQ(Run({"get", "t", "k"}).exit, 1);
}

TEST_F(CommandLineTest, TakesAValueThatLooksLikeAnOptionAfterTwoDashes) {
  std::vector<std::string> words = {
      "--connect", absl::StrJoin(cluster_.addresses(), ","), "put", "t", "k", "--", "--tea"};
  EXPECT_EQ(RunWords(words).exit, 0);
  EXPECT_EQ(Run({"get", "t", "k"}).out, "--tea");
}

// -------------------------------------------------------------------------------------------
// errors

TEST_F(CommandLineTest, TellsAnErrorToPeopleAndToScripts) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::TOO_MANY_SIBLINGS);
  detail.set_context("mends");
  for (size_t i = 0; i < cluster_.size(); ++i) {
    cluster_.node(i).SetScript([&](const auto&) { return Verdict::Refuse(9, detail); });
  }
  const Outcome people = Run({"put", "t", "k", "v"});
  EXPECT_EQ(people.exit, 3);
  EXPECT_EQ(people.out, "");
  EXPECT_EQ(people.err,
            "gyre: refused by the test [FAILED_PRECONDITION]\n"
            "      write with --context bWVuZHM=\n");
  const Outcome script = Run({"put", "t", "k", "v", "--json"});
  EXPECT_EQ(script.exit, 3);
  const Struct error = Parsed(script.out).fields().at("error").struct_value();
  EXPECT_EQ(error.fields().at("code").string_value(), "FAILED_PRECONDITION");
  EXPECT_EQ(error.fields().at("reason").string_value(), "TOO_MANY_SIBLINGS");
  EXPECT_EQ(error.fields().at("context").string_value(), "bWVuZHM=");
}

TEST(CommandLine, ExitsWithThreeWhenNoNodeCanBeReached) {
  FakeCluster cluster(1);
  cluster.node(0).Stop();
  const Outcome outcome = RunWords({"get", "t", "k", "--connect", cluster.addresses()[0]});
  EXPECT_EQ(outcome.exit, 3);
  EXPECT_NE(outcome.err.find("cannot reach a node; " + cluster.addresses()[0]), std::string::npos);
}

TEST(CommandLine, ExitsWithTwoForAWrongCommandLine) {
  EXPECT_EQ(RunWords({}).exit, 2);
  EXPECT_EQ(RunWords({"put", "t"}).exit, 2);
  EXPECT_EQ(RunWords({"no-such-command"}).exit, 2);
  EXPECT_EQ(RunWords({"get", "t", "k", "--timeout-ms", "0"}).exit, 2);
  EXPECT_EQ(RunWords({"get", "t", "k", "--r", "6"}).exit, 2);
  EXPECT_EQ(RunWords({"load", "f", "--table", "t", "--format", "xml"}).exit, 2);
  EXPECT_EQ(RunWords({"get", "t", "k", "--connect", ""}).exit, 2);
}

TEST(CommandLine, NamesAWordThatItDoesNotKnow) {
  EXPECT_EQ(RunWords({"nosuch", "carts"}).err,
            "gyre: there is no command \"nosuch\"\nRun with --help for more information.\n");
  EXPECT_NE(RunWords({"table", "nosuch"}).err.find("there is no command \"nosuch\""),
            std::string::npos);
  EXPECT_NE(RunWords({"--nosuch"}).err.find("--nosuch"), std::string::npos);
  EXPECT_NE(RunWords({"get", "t", "k", "--nosuch"}).err.find("--nosuch"), std::string::npos);
}

TEST(CommandLine, TellsAWrongCommandLineToScriptsAsAnObject) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--json", "nosuch"},
                                                {"put", "t", "--json"},
                                                {"get", "t", "k", "--timeout-ms", "0", "--json"},
                                                {"delete", "t", "k", "--context", "", "--json"}}) {
    const Outcome outcome = RunWords(words);
    EXPECT_EQ(outcome.exit, 2);
    EXPECT_EQ(outcome.err, "");
    const Struct error = Parsed(outcome.out).fields().at("error").struct_value();
    EXPECT_EQ(error.fields().at("code").string_value(), "INVALID_ARGUMENT");
    EXPECT_NE(error.fields().at("message").string_value(), "");
  }
  EXPECT_EQ(RunWords({"put", "t", "--", "--json"}).out, "");  // a key of that name
}

TEST_F(CommandLineTest, ExitsWithThreeWhenItsOutputIsLost) {
  Run({"put", "t", "k", "tea"});
  const std::string connect = absl::StrJoin(cluster_.addresses(), ",");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"get", "t", "k"},
                                                {"get", "t", "none", "--json"},
                                                {"put", "t", "k", "v"},
                                                {"dump", "t"},
                                                {"delete", "t", "k"},
                                                {"table", "list"},
                                                {"status"},
                                                {"ring"},
                                                {"--help"},
                                                {"completion", "bash"}}) {
    std::vector<std::string> all = words;
    if (words.front() != "--help") all.insert(all.end(), {"--connect", connect});
    std::istringstream in;
    std::ofstream full("/dev/full");
    std::ostringstream err;
    EXPECT_EQ(RunCommandLine(all, &in, &full, &err, {}), 3) << words.front();
    EXPECT_NE(err.str().find("cannot be written"), std::string::npos) << words.front();
  }
}

TEST_F(CommandLineTest, LeavesThePromptOfAPersonItsOwnLine) {
  Run({"put", "t", "k", "tea"});
  Terminal terminal;
  terminal.out = true;
  const std::vector<std::string> words = {"get", "t", "k", "--connect",
                                          absl::StrJoin(cluster_.addresses(), ",")};
  EXPECT_EQ(RunWords(words, "", terminal).out, "tea\n");
  Run({"put", "t", "k", "tea\n"});
  EXPECT_EQ(RunWords(words, "", terminal).out, "tea\n");
}

TEST(CommandLine, HelpsWithEveryCommandAndTellsTheExitCodes) {
  const Outcome help = RunWords({"--help"});
  EXPECT_EQ(help.exit, 0);
  EXPECT_NE(help.out.find("Exit codes:"), std::string::npos);
  for (const std::string command :
       {"put", "get", "delete", "scan-partition", "table", "status", "ring", "load", "dump",
        "completion", "node", "zone", "cancel", "rebalance", "transfers"}) {
    EXPECT_NE(help.out.find("  " + command), std::string::npos) << command;
    const Outcome one = RunWords({command, "--help"});
    EXPECT_EQ(one.exit, 0) << command;
    EXPECT_NE(one.out.find(command), std::string::npos) << command;
    const size_t examples = one.out.find("Examples:\n");
    ASSERT_NE(examples, std::string::npos) << command;
    std::istringstream lines(one.out.substr(examples));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      EXPECT_NE(line.find("gyre " + command), std::string::npos) << line;
    }
  }
  EXPECT_NE(RunWords({"get", "--help"}).out.find("\n  4  "), std::string::npos);
  EXPECT_EQ(RunWords({"put", "--help"}).out.find("\n  4  "), std::string::npos);
  EXPECT_EQ(RunWords({"get", "--help"}).out.find("\n  5  "), std::string::npos);
  EXPECT_EQ(RunWords({"table", "create", "--help"}).exit, 0);
  EXPECT_EQ(RunWords({"--version"}).out, "gyre 0.1.0\n");
}

// ------------------------------------------------------------------------------ tables and cluster

TEST_F(CommandLineTest, MakesListsDescribesAndDropsTables) {
  const Outcome made = Run({"table", "create", "carts", "--durability", "periodic"});
  EXPECT_EQ(made.exit, 0) << made.err;
  EXPECT_NE(made.out.find("carts   2  3  2  2  siblings  periodic"), std::string::npos) << made.out;
  EXPECT_EQ(
      Parsed(Run({"table", "list", "--json"}).out).fields().at("tables").list_value().values_size(),
      2);
  EXPECT_EQ(NumberAt(Parsed(Run({"table", "describe", "carts", "--json"}).out), "w"), 2);
  EXPECT_EQ(Run({"table", "drop", "carts"}).out, "ok\n");
  EXPECT_EQ(Run({"table", "describe", "carts"}).exit, 1);
  EXPECT_EQ(Run({"table", "create", "t", "--last-write-wins"}).exit, 3);
}

TEST_F(CommandLineTest, TellsTheStatusOfEveryMember) {
  const Outcome all = Run({"status"});
  EXPECT_EQ(all.exit, 0);
  EXPECT_NE(all.out.find("3 of 3 nodes serving"), std::string::npos);
  EXPECT_NE(all.out.find("n2"), std::string::npos);
  EXPECT_NE(all.out.find("LOAD"), std::string::npos);
  EXPECT_NE(all.out.find(" busy "), std::string::npos);
  cluster_.node(1).Stop();
  const Outcome one_less = Run({"status"});
  EXPECT_EQ(one_less.exit, 3);
  EXPECT_NE(one_less.out.find("unreachable"), std::string::npos);
  const Struct object = Parsed(Run({"status", "--json"}).out);
  EXPECT_EQ(NumberAt(object, "serving"), 2);
  const Struct& first = object.fields().at("members").list_value().values(0).struct_value();
  EXPECT_EQ(first.fields().at("load").string_value(), "busy");
  const Struct& peer = first.fields().at("peers").list_value().values(0).struct_value();
  EXPECT_EQ(peer.fields().at("load").string_value(), "light");
  EXPECT_EQ(object.fields().at("members").list_value().values_size(), 3);
}

// What one of the cluster's nodes gives another.
v1::ListTransfersReply Giving(uint64_t waiting, uint64_t filling, uint64_t finishing) {
  v1::ListTransfersReply reply;
  v1::Transfer* const transfer = reply.add_transfers();
  transfer->set_from("n1");
  transfer->set_to("n2");
  transfer->set_waiting(waiting);
  transfer->set_filling(filling);
  transfer->set_finishing(finishing);
  reply.set_since(7);
  reply.mutable_outlook()->set_copies(waiting + filling);
  reply.mutable_outlook()->set_bytes((waiting + filling) << 20);
  reply.mutable_outlook()->set_seconds(90);
  reply.mutable_outlook()->set_measured(true);
  v1::Voter* const voter = reply.add_voters();
  voter->set_node("n0");
  voter->set_life(63);
  return reply;
}

v1::ChangeMemberReply PlanOf(const v1::ListTransfersReply& giving) {
  v1::ChangeMemberReply reply;
  *reply.mutable_transfers() = giving.transfers();
  *reply.mutable_outlook() = giving.outlook();
  return reply;
}

TEST_F(CommandLineTest, TheStatusSaysWhatMovesAndForWhomItWaits) {
  cluster_.SetTransfers({Giving(3, 2, 1)});
  EXPECT_EQ(Run({"node", "leave", "n1"}).exit, 0);
  const Outcome goes_on = Run({"status"});
  EXPECT_EQ(goes_on.exit, 0) << "all serve";
  EXPECT_NE(goes_on.out.find("members: 2 active, 1 leaving\n"), std::string::npos) << goes_on.out;
  EXPECT_NE(goes_on.out.find("6 copies of partitions left"), std::string::npos) << goes_on.out;
  EXPECT_NE(goes_on.out.find("it goes on by itself\n"), std::string::npos) << goes_on.out;
  cluster_.node(2).Stop();
  const Outcome waits = Run({"status"});
  EXPECT_EQ(waits.exit, 3);
  EXPECT_NE(waits.out.find("waits for n2, which is given"), std::string::npos) << waits.out;
  EXPECT_NE(waits.out.find("voters:  n0 (life 3f): 0 of 1"), std::string::npos) << waits.out;
  const Struct object = Parsed(Run({"status", "--json"}).out);
  EXPECT_EQ(NumberAt(object.fields().at("states").struct_value(), "leaving"), 1);
  const Struct& moves = object.fields().at("moves").struct_value();
  EXPECT_EQ(NumberAt(moves, "waiting"), 3);
  EXPECT_EQ(NumberAt(moves, "filling"), 2);
  EXPECT_EQ(NumberAt(moves, "finishing"), 1);
  EXPECT_EQ(NumberAt(moves, "since_epoch"), 7);
  EXPECT_EQ(NumberAt(moves, "seconds"), 90);
  const auto& waits_for = object.fields().at("waits_for").list_value();
  ASSERT_EQ(waits_for.values_size(), 1);
  EXPECT_EQ(waits_for.values(0).struct_value().fields().at("node").string_value(), "n2");
  EXPECT_FALSE(object.fields().at("can_change").bool_value());
  const Struct& voter = object.fields().at("voters").list_value().values(0).struct_value();
  EXPECT_EQ(voter.fields().at("node").string_value(), "n0");
  EXPECT_EQ(voter.fields().at("life").string_value(), "3f");
  EXPECT_FALSE(voter.fields().at("reachable").bool_value());
}

TEST_F(CommandLineTest, TheStatusDoesNotMissTheDead) {
  cluster_.node(2).Stop();
  EXPECT_EQ(Run({"status"}).exit, 3);
  EXPECT_EQ(Run({"node", "remove", "n2"}).exit, 0);
  const Outcome status = Run({"status"});
  EXPECT_EQ(status.exit, 0);
  EXPECT_NE(status.out.find("2 of 2 nodes serving"), std::string::npos) << status.out;
  EXPECT_NE(status.out.find("members: 2 active, 1 dead\n"), std::string::npos) << status.out;
}

TEST_F(CommandLineTest, EachChangeOfAMemberAsksForWhatItSays) {
  using Request = v1::ChangeMemberRequest;
  EXPECT_EQ(Run({"node", "join", "n0"}).out.substr(0, 37), "node n0 is to own its share (epoch 3)");
  EXPECT_EQ(Run({"node", "leave", "n0"}).exit, 0);
  EXPECT_EQ(Run({"node", "remove", "n0", "--force"}).exit, 0);
  EXPECT_EQ(Run({"node", "replace", "n1", "n2", "--force"}).exit, 0);
  EXPECT_EQ(Run({"zone", "n2", "rack-7"}).exit, 0);
  const std::vector<Request> seen = cluster_.changes_seen();
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0].change(), Request::ACTIVATE);
  EXPECT_EQ(seen[1].change(), Request::LEAVE);
  EXPECT_EQ(seen[2].change(), Request::REMOVE);
  EXPECT_EQ(seen[3].change(), Request::REPLACE);
  EXPECT_EQ(seen[3].with(), "n2");
  EXPECT_EQ(seen[4].change(), Request::SET_ZONE);
  EXPECT_EQ(seen[4].zone(), "rack-7");
  for (const Request& request : seen) EXPECT_FALSE(request.plan());
  EXPECT_TRUE(seen[2].force());
  EXPECT_TRUE(seen[3].force());
  EXPECT_EQ(Run({"node", "leave", "nobody"}).exit, 1);
  EXPECT_EQ(Run({"node", "leave"}).exit, 2);
  EXPECT_EQ(Run({"node", "replace", "n1"}).exit, 2);
  EXPECT_EQ(Run({"node"}).exit, 2);
  EXPECT_EQ(Run({"zone", "n1"}).exit, 2);
}

TEST_F(CommandLineTest, APlanSaysWhatWouldMoveAndAsksForNoChange) {
  cluster_.SetChangeReply(PlanOf(Giving(40, 0, 0)));
  const Outcome plan = Run({"node", "leave", "n1", "--plan"});
  EXPECT_EQ(plan.exit, 0);
  EXPECT_NE(plan.out.find("40 copies of partitions would move, some 40.0 MiB, in about 1m 30s:"),
            std::string::npos)
      << plan.out;
  EXPECT_NE(plan.out.find("\nIt is safe: "), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("\nNothing was changed.\n"), std::string::npos) << plan.out;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"node", "join", "n1"},
                                                {"node", "remove", "n1"},
                                                {"node", "replace", "n1", "n2"},
                                                {"zone", "n1", "z9"},
                                                {"cancel", "n1"}}) {
    std::vector<std::string> planned = words;
    planned.push_back("--plan");
    EXPECT_EQ(Run(planned).exit, 0) << words.front();
  }
  for (const v1::ChangeMemberRequest& seen : cluster_.changes_seen()) EXPECT_TRUE(seen.plan());
  EXPECT_EQ(cluster_.changes_seen().size(), 6u);
}

TEST_F(CommandLineTest, APlanThatIsNotSafeSaysWhy) {
  v1::ChangeMemberReply reply = PlanOf(Giving(1, 0, 0));
  reply.add_dangers("7 of its partitions have no other owner");
  reply.add_warnings("node 'n0' cannot be reached");
  cluster_.SetChangeReply(reply);
  cluster_.node(1).Stop();  // for the members have nothing more to say of it then
  const Outcome plan = Run({"node", "remove", "n1", "--plan"});
  EXPECT_NE(plan.out.find("\nnot safe: 7 of its partitions have no other owner\n"),
            std::string::npos)
      << plan.out;
  EXPECT_NE(plan.out.find("\nwarning: node 'n0' cannot be reached\n"), std::string::npos);
  EXPECT_EQ(plan.out.find("It is safe"), std::string::npos) << plan.out;
  const Struct object = Parsed(Run({"node", "remove", "n1", "--plan", "--json"}).out);
  EXPECT_FALSE(object.fields().at("safe").bool_value());
  EXPECT_TRUE(object.fields().at("plan").bool_value());
  EXPECT_EQ(NumberAt(object, "copies"), 1);
  EXPECT_EQ(NumberAt(object, "seconds"), 90);
  EXPECT_EQ(object.fields().at("dangers").list_value().values_size(), 1);
  EXPECT_EQ(object.fields().at("warnings").list_value().values_size(), 1);
}

TEST_F(CommandLineTest, ATypingErrorBuriesNobody) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"node", "remove", "n1"}, {"node", "replace", "n1", "n2"}}) {
    const Outcome refused = Run(words);
    EXPECT_EQ(refused.exit, 3);
    EXPECT_NE(refused.err.find("'n1' answers"), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
  }
  EXPECT_TRUE(cluster_.changes_seen().empty()) << "nobody was asked to";
  const Outcome plan = Run({"node", "remove", "n1", "--plan"});
  EXPECT_EQ(plan.exit, 0);
  EXPECT_NE(plan.out.find("\nnot safe: node 'n1' answers"), std::string::npos) << plan.out;
  EXPECT_EQ(plan.out.find("It is safe"), std::string::npos) << plan.out;
}

// What moves is told in turn: the first answer, to whoever asks first.
TEST_F(CommandLineTest, WhoForcesItAsksNobodyFirst) {
  v1::ListTransfersReply first, later;
  first.set_since(4711);
  cluster_.SetTransfers({first, later});
  EXPECT_EQ(Run({"node", "remove", "n1", "--force"}).exit, 0);
  EXPECT_EQ(NumberAt(Parsed(Run({"transfers", "--json"}).out), "since_epoch"), 4711);
}

TEST_F(CommandLineTest, APlanIsNotSafeAsLongAsSomebodyIsSilent) {
  cluster_.node(1).Stop();
  const Outcome safe = Run({"node", "remove", "n1", "--plan"});
  EXPECT_NE(safe.out.find("\nIt is safe: "), std::string::npos) << safe.out;
  cluster_.node(2).Stop();
  const Outcome unknown = Run({"node", "remove", "n1", "--plan"});
  EXPECT_NE(unknown.out.find("\nNot known to be safe: n2 did not answer"), std::string::npos)
      << unknown.out;
  EXPECT_EQ(unknown.out.find("It is safe"), std::string::npos) << unknown.out;
  const Struct object = Parsed(Run({"node", "remove", "n1", "--plan", "--json"}).out);
  EXPECT_FALSE(object.fields().at("safe").bool_value());
  EXPECT_EQ(object.fields().at("unheard").list_value().values_size(), 1);
  EXPECT_EQ(Run({"node", "remove", "n1"}).exit, 0) << "it may be all that helps";
}

TEST_F(CommandLineTest, CancelTakesBackWhatIsUnderWay) {
  using Request = v1::ChangeMemberRequest;
  EXPECT_NE(Run({"cancel", "n0", "--join"}).out.find("is to own nothing"), std::string::npos);
  EXPECT_EQ(cluster_.changes_seen().back().change(), Request::RETIRE);
  Run({"node", "leave", "n1"});
  EXPECT_NE(Run({"cancel", "n1"}).out.find("node n1 stays after all"), std::string::npos);
  EXPECT_EQ(cluster_.changes_seen().back().change(), Request::ACTIVATE);
  Run({"node", "remove", "n2", "--force"});
  const size_t before = cluster_.changes_seen().size();
  const Outcome dead = Run({"cancel", "n2"});
  EXPECT_EQ(dead.exit, 3);
  EXPECT_NE(dead.err.find("cannot be taken back"), std::string::npos) << dead.err;
  EXPECT_EQ(Run({"cancel", "nobody"}).exit, 1);
  EXPECT_EQ(cluster_.changes_seen().size(), before);
}

TEST_F(CommandLineTest, CancelSaidAgainDrainsNobody) {
  using Request = v1::ChangeMemberRequest;
  Run({"node", "leave", "n1"});
  Run({"cancel", "n1"});
  const Outcome again = Run({"cancel", "n1"});
  EXPECT_EQ(again.exit, 0);
  EXPECT_NE(again.out.find("node n1 stays, and did not leave"), std::string::npos) << again.out;
  EXPECT_EQ(cluster_.changes_seen().back().change(), Request::ACTIVATE);
  // A join that was taken back is begun by `node join`, and not by the way.
  Run({"cancel", "n1", "--join"});
  const size_t before = cluster_.changes_seen().size();
  const Outcome waits = Run({"cancel", "n1"});
  EXPECT_EQ(waits.exit, 3);
  EXPECT_NE(waits.err.find("does not leave"), std::string::npos) << waits.err;
  EXPECT_EQ(cluster_.changes_seen().size(), before);
}

TEST_F(CommandLineTest, TellsWhatMovesAndWhatEachOwns) {
  EXPECT_NE(Run({"transfers"}).out.find("nothing moves\n"), std::string::npos);
  cluster_.SetTransfers({Giving(3, 2, 1)});
  const Outcome some = Run({"transfers"});
  EXPECT_NE(some.out.find("n1    n2        3        2          1"), std::string::npos) << some.out;
  EXPECT_NE(some.out.find("5 copies to come: some 5.0 MiB, in about 1m 30s"), std::string::npos)
      << some.out;
  const Struct object = Parsed(Run({"transfers", "--json"}).out);
  EXPECT_EQ(NumberAt(object, "copies"), 6);
  EXPECT_EQ(NumberAt(object, "since_epoch"), 7);
  EXPECT_EQ(object.fields().at("members").list_value().values_size(), 3);
}

TEST_F(CommandLineTest, RebalanceWaitsUntilNothingMoves) {
  cluster_.SetTransfers({Giving(3, 2, 1), Giving(0, 1, 0), v1::ListTransfersReply()});
  const Outcome waited = Run({"rebalance"});
  EXPECT_EQ(waited.exit, 0) << waited.err;
  EXPECT_NE(waited.out.find("Nothing is to move"), std::string::npos) << waited.out;
  EXPECT_TRUE(cluster_.changes_seen().empty());
}

TEST_F(CommandLineTest, RebalanceSaysForWhomItWaits) {
  cluster_.SetTransfers({Giving(3, 2, 1), Giving(3, 2, 1), v1::ListTransfersReply()});
  cluster_.node(2).Stop();
  const Outcome waited = Run({"rebalance"});
  EXPECT_EQ(waited.exit, 0) << waited.err;
  const std::string words = "gyre: waits for n2, which is given partitions";
  EXPECT_NE(waited.err.find(words), std::string::npos) << waited.err;
  EXPECT_EQ(waited.err.find(words, waited.err.find(words) + 1), std::string::npos) << "once";
}

TEST_F(CommandLineTest, RebalanceSaysWhatIsLeftWhereItIsNotToWait) {
  EXPECT_EQ(Run({"rebalance", "--plan"}).exit, 0);
  cluster_.SetTransfers({Giving(3, 2, 1)});
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"rebalance", "--plan"}, {"rebalance", "--seconds", "1"}}) {
    const Outcome left = Run(words);
    EXPECT_EQ(left.exit, 3);
    EXPECT_NE(left.out.find("6 copies of partitions left"), std::string::npos) << left.out;
  }
  const Outcome json = Run({"rebalance", "--plan", "--json"});
  EXPECT_EQ(json.exit, 3);
  EXPECT_EQ(NumberAt(Parsed(json.out), "copies"), 6);
}

TEST_F(CommandLineTest, DrawsTheRing) {
  const Outcome ring = Run({"ring"});
  EXPECT_EQ(ring.exit, 0);
  EXPECT_NE(ring.out.find("AA n0"), std::string::npos) << ring.out;
  EXPECT_NE(ring.out.find("33.3 %"), std::string::npos);
  const Struct object = Parsed(Run({"ring", "--json"}).out);
  EXPECT_EQ(object.fields().at("owners").list_value().values_size(), 8);
  EXPECT_EQ(Run({"ring", "--replicas", "5"}).exit, 1);
}

// ---------------------------------------------------------------------------- scan, dump and load

std::string Stanzas(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&text, "Package: p", i, "\nVersion: 1.", i, "\n\n");
  }
  return text;
}

TEST_F(CommandLineTest, LoadsStanzasAndVerifiesEveryByte) {
  const std::string file = WriteFile("Packages", Stanzas(500));
  const Outcome load =
      Run({"load", file, "--table", "t", "--format", "debian", "--verify", "--r", "2", "--json"});
  EXPECT_EQ(load.exit, 0) << load.err;
  const Struct summary = Parsed(load.out);
  EXPECT_EQ(NumberAt(summary, "records"), 500);
  EXPECT_EQ(NumberAt(summary, "failed"), 0);
  EXPECT_EQ(NumberAt(summary, "verified"), 500);
  EXPECT_EQ(NumberAt(summary, "verify_errors"), 0);
  EXPECT_GT(NumberAt(summary, "per_s"), 0);
  EXPECT_GE(NumberAt(summary, "p99_ms"), NumberAt(summary, "p50_ms"));
  EXPECT_EQ(Run({"get", "t", "p7"}).out, "Package: p7\nVersion: 1.7\n");
}

TEST_F(CommandLineTest, LoadsForPeopleWithoutABarWhereThereIsNoTerminal) {
  const Outcome load = Run({"load", "-", "--table", "t", "--format", "tsv"}, "a\t1\nb\t2\n");
  EXPECT_EQ(load.exit, 0);
  EXPECT_EQ(load.err, "");
  EXPECT_EQ(load.out.rfind("loaded    2 records, 4 B in ", 0), 0u) << load.out;
}

TEST_F(CommandLineTest, KeepsTheLastOfTheRecordsWithOneKey) {
  std::string lines;
  for (int i = 0; i < 300; ++i) absl::StrAppend(&lines, "k", i % 3, "\t", i, "\n");
  const std::string file = WriteFile("twice.tsv", lines);
  const Outcome load = Run({"load", file, "--table", "t", "--format", "tsv", "--verify", "--json"});
  EXPECT_EQ(load.exit, 0) << load.out;
  EXPECT_EQ(NumberAt(Parsed(load.out), "verified"), 3);
  EXPECT_EQ(Run({"get", "t", "k0"}).out, "297");
  EXPECT_EQ(Run({"get", "t", "k2"}).out, "299");
}

TEST_F(CommandLineTest, HasNoMoreInFlightThanItIsAllowed) {
  for (size_t i = 0; i < cluster_.size(); ++i) cluster_.node(i).Hold();
  std::thread loading([this] {
    EXPECT_EQ(Run({"load", "-", "--table", "t", "--format", "debian", "--in-flight", "4",
                   "--timeout-ms", "60000"},
                  Stanzas(40))
                  .exit,
              0);
  });
  const auto seen = [this] {
    return cluster_.node(0).seen().size() + cluster_.node(1).seen().size() +
           cluster_.node(2).seen().size();
  };
  while (seen() < 4) std::this_thread::yield();
  EXPECT_EQ(seen(), 4u);
  for (size_t i = 0; i < cluster_.size(); ++i) cluster_.node(i).Release();
  loading.join();
  EXPECT_EQ(seen(), 40u);
}

TEST_F(CommandLineTest, CountsRecordsThatWereNotWrittenAndExitsWithFive) {
  for (size_t i = 0; i < cluster_.size(); ++i) {
    cluster_.node(i).SetScript([](const v1::ClientRequest& request) {
      return request.put().key() == "p3" ? Verdict::Refuse(3, v1::ErrorDetail::INVALID_FIELD)
                                         : Verdict{};
    });
  }
  const Outcome load =
      Run({"load", "-", "--table", "t", "--format", "debian", "--json"}, Stanzas(10));
  EXPECT_EQ(load.exit, 5);
  EXPECT_EQ(NumberAt(Parsed(load.out), "failed"), 1);
  EXPECT_NE(load.err.find("1 records were not written; the first: INVALID_ARGUMENT"),
            std::string::npos)
      << load.err;
}

TEST_F(CommandLineTest, CountsRecordsThatReadBackDifferent) {
  // A node that loses a write which it acknowledged.
  for (size_t i = 0; i < cluster_.size(); ++i) {
    cluster_.node(i).SetScript([this](const v1::ClientRequest& request) {
      if (request.has_put() && request.put().key() == "p3") {
        v1::ClientRequest other = request;
        other.mutable_put()->set_value("not this");
        cluster_.Serve(other);  // takes the idempotency key, so that the real one has no effect
      }
      return Verdict{};
    });
  }
  const std::string file = WriteFile("lossy", Stanzas(10));
  const Outcome load =
      Run({"load", file, "--table", "t", "--format", "debian", "--verify", "--json"});
  EXPECT_EQ(load.exit, 5);
  EXPECT_EQ(NumberAt(Parsed(load.out), "verify_errors"), 1);
}

TEST_F(CommandLineTest, LoadsNothingIntoATableThatIsNotThere) {
  const Outcome load =
      Run({"load", "-", "--table", "nope", "--format", "debian", "--json"}, Stanzas(10));
  EXPECT_EQ(load.exit, 1);
  EXPECT_EQ(Parsed(load.out).fields().count("error"), 1u);
  for (size_t i = 0; i < cluster_.size(); ++i) EXPECT_TRUE(cluster_.node(i).seen().empty());
}

TEST_F(CommandLineTest, SaysHowFarALoadCameThatIsInterrupted) {
  for (size_t i = 0; i < cluster_.size(); ++i) {
    cluster_.node(i).SetScript([](const v1::ClientRequest& request) {
      if (request.has_put() && request.put().key() == "p3") kill(getpid(), SIGINT);
      return Verdict{};
    });
  }
  const Outcome load =
      Run({"load", "-", "--table", "t", "--format", "debian", "--in-flight", "1", "--json"},
          Stanzas(5000));
  EXPECT_EQ(load.exit, 130);
  const Struct summary = Parsed(load.out);
  EXPECT_TRUE(summary.fields().at("interrupted").bool_value());
  const double written = NumberAt(summary, "records");
  EXPECT_GE(written, 4);
  EXPECT_LT(written, 5000);
  EXPECT_NE(load.err.find(" records were written"), std::string::npos) << load.err;
  size_t seen = 0;
  for (size_t i = 0; i < cluster_.size(); ++i) seen += cluster_.node(i).seen().size();
  EXPECT_EQ(static_cast<double>(seen), written);  // what was in flight is counted
}

TEST_F(CommandLineTest, StopsAtALineThatIsNoRecordAndNamesIt) {
  const std::string file = WriteFile("bad.tsv", "a\t1\nb\n");
  const Outcome load = Run({"load", file, "--table", "t", "--format", "tsv"});
  EXPECT_EQ(load.exit, 2);
  EXPECT_NE(load.err.find("bad.tsv: line 2: no tab"), std::string::npos) << load.err;
  EXPECT_EQ(Run({"load", "/nonexistent", "--table", "t"}).exit, 2);
  EXPECT_EQ(Run({"load", "-", "--table", "t", "--verify"}).exit, 2);
}

TEST_F(CommandLineTest, LoadsBackWhatItDumped) {
  const std::string bytes("\xff\x00 not text", 11);
  Run({"put", "t", "plain", "tea"});
  Run({"put", "t", "bytes"}, bytes);
  Run({"put", "t", "siblings", "1"});
  Run({"put", "t", "siblings", "2", "--blind"});
  const Outcome dump = Run({"dump", "t"});
  EXPECT_EQ(dump.exit, 0) << dump.err;
  Run({"table", "create", "copy"});
  const std::string file = WriteFile("dump.jsonl", dump.out);
  const Outcome load = Run({"load", file, "--table", "copy", "--verify", "--json"});
  EXPECT_EQ(load.exit, 0) << load.out;
  EXPECT_EQ(NumberAt(Parsed(load.out), "records"), 3);
  EXPECT_EQ(Run({"get", "copy", "bytes"}).out, bytes);
  EXPECT_EQ(Run({"get", "copy", "siblings"}).exit, 4);
}

TEST_F(CommandLineTest, DumpsEveryRecordAcrossPagesAndSlicesIntoAFile) {
  ASSERT_EQ(Run({"load", "-", "--table", "t", "--format", "debian"}, Stanzas(3000)).exit, 0);
  const std::string file = WriteFile("whole.jsonl", "");
  EXPECT_EQ(Run({"dump", "t", "--output", file}).out, "3,000 records\n");
  std::ifstream in(file);
  int lines = 0;
  for (std::string line; std::getline(in, line);) ++lines;
  EXPECT_EQ(lines, 3000);
}

TEST_F(CommandLineTest, ScansOneSlice) {
  ASSERT_EQ(Run({"load", "-", "--table", "t", "--format", "debian"}, Stanzas(100)).exit, 0);
  const Outcome scan = Run({"scan-partition", "t", "3", "--limit", "2"});
  EXPECT_EQ(scan.exit, 0);
  EXPECT_EQ(scan.out.rfind("KEY", 0), 0u);
  EXPECT_EQ(scan.err, "there is more; go on with --after KEY\n");
  const Outcome keys = Run({"scan-partition", "t", "3", "--keys-only", "--node", "n1"});
  EXPECT_GT(keys.out.size(), 2u);
  EXPECT_EQ(Run({"scan-partition", "t", "3", "--node", "nowhere"}).exit, 2);
}

// ---------------------------------------------------------------------------------------
// completion

// What bash offers for a line whose last word is being typed.
std::string BashOffers(const std::vector<std::string>& line) {
  const Outcome script = RunWords({"completion", "bash"});
  const std::string path = absl::StrCat(testing::TempDir(), "/", getpid(), "-completion.bash");
  std::ofstream(path) << script.out << "\nCOMP_WORDS=('" << absl::StrJoin(line, "' '")
                      << "')\nCOMP_CWORD=" << line.size() - 1
                      << "\n_gyre\necho \"${COMPREPLY[*]}\"\n";
  FILE* bash = popen(("bash " + path).c_str(), "r");
  std::string offered;
  char buffer[4096];
  while (bash != nullptr && std::fgets(buffer, sizeof(buffer), bash) != nullptr) offered += buffer;
  if (bash != nullptr) pclose(bash);
  std::remove(path.c_str());
  return offered;
}

TEST(CommandLine, CompletesCommandsSubcommandsAndOptionsInBash) {
  EXPECT_EQ(BashOffers({"gyre", "sca"}), "scan-partition\n");
  EXPECT_EQ(BashOffers({"gyre", "--json", "table", "d"}), "describe drop\n");
  EXPECT_EQ(BashOffers({"gyre", "load", "file", "--in"}), "--in-flight\n");
  EXPECT_EQ(BashOffers({"gyre", "table", "create", "--la"}), "--last-write-wins\n");
  EXPECT_EQ(BashOffers({"gyre", "get", "--conn"}), "--connect\n");
}

TEST(CommandLine, WritesAZshCompletionWithEveryCommand) {
  const Outcome script = RunWords({"completion", "zsh"});
  EXPECT_EQ(script.exit, 0);
  EXPECT_EQ(script.out.rfind("#compdef gyre\n", 0), 0u);
  EXPECT_NE(script.out.find("'scan-partition:"), std::string::npos);
}

TEST_F(CommandLineTest, LoadKeepsToTheTimeoutThatIsGiven) {
  const std::string file = WriteFile("one.tsv", "k\tv\n");
  ASSERT_EQ(Run({"load", file, "--table", "t", "--format", "tsv", "--timeout-ms", "1500"}).exit, 0);
  uint32_t given = 0;
  for (size_t i = 0; i < cluster_.size(); ++i) {
    for (const v1::ClientRequest& request : cluster_.node(i).seen()) {
      given = request.put().options().timeout_ms();
    }
  }
  EXPECT_GT(given, 0u);
  EXPECT_LE(given, 1500u);
}

}  // namespace
}  // namespace gyre
