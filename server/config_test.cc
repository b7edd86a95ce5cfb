#include "server/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "server/flags.h"
#include "server/log.h"
#include "storage/replica_store.h"
#include "storage/scratch_directory.h"

namespace gyre {
namespace {

config::NodeConfig Good() {
  config::NodeConfig wire;
  wire.set_cluster_name("prod");
  wire.set_node_name("n1");
  wire.set_data_dir("/var/lib/gyre");
  for (const char* name : {"n1", "n2"}) {
    config::PeerConfig* member = wire.add_members();
    member->set_name(name);
    member->set_peer_address(std::string(name) + ":7200");
    member->set_client_address(std::string(name) + ":7100");
  }
  return wire;
}

// The message of what is wrong with a good configuration after `change`; "" where nothing is.
template <typename Change>
std::string Wrong(Change change) {
  config::NodeConfig wire = Good();
  change(&wire);
  return std::string(Validate(wire).status().message());
}

bool Names(const std::string& message, const std::string& field) {
  return message.substr(0, field.size()) == field;
}

TEST(Config, FillsInDefaults) {
  const absl::StatusOr<Config> config = Validate(Good());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->partitions, 256u);
  EXPECT_EQ(config->client_listen.ToString(), "n1:7100");
  EXPECT_EQ(config->peer_listen.ToString(), "n1:7200");
  EXPECT_EQ(config->self().zone, "default");
  EXPECT_EQ(config->drain, Duration::Seconds(5));
  EXPECT_FALSE(config->http);
  EXPECT_EQ(config->block_cache_bytes, 0u) << "by the machine";
  EXPECT_EQ(config->shards, 0) << "by the machine";
  EXPECT_EQ(config->record_cache_bytes, 0u) << "by the block cache";
  EXPECT_EQ(config->memtable_bytes, uint64_t{32} << 20);
}

TEST(Config, TakesWhatIsSaidOfMemoryAndThreads) {
  config::NodeConfig wire = Good();
  wire.set_block_cache_mib(64);
  wire.set_record_cache_mib(5);
  wire.set_memtable_mib(48);
  wire.set_shards(3);
  wire.set_hint_mib(7);
  wire.set_hint_hours(2);
  wire.set_expiry_margin_s(90);
  wire.set_scrub_pass_s(3'600);
  wire.set_scrub_kib_per_s(64);
  wire.set_log_entries(4096);
  wire.set_level(1);
  const absl::StatusOr<Config> config = Validate(wire);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->block_cache_bytes, uint64_t{64} << 20);
  EXPECT_EQ(config->record_cache_bytes, uint64_t{5} << 20);
  EXPECT_EQ(config->memtable_bytes, uint64_t{48} << 20);
  EXPECT_EQ(config->shards, 3);
  EXPECT_EQ(config->hints.max_bytes, uint64_t{7} << 20);
  EXPECT_EQ(config->hints.max_age, Duration::Seconds(7200));
  EXPECT_EQ(config->expiry.margin, Duration::Seconds(90));
  EXPECT_EQ(config->scrub.pass, Duration::Seconds(3'600));
  EXPECT_EQ(config->scrub.bytes_each_s, uint64_t{64} << 10);
  EXPECT_EQ(config->log_entries, 4096u);
  EXPECT_EQ(config->level, 1);
  EXPECT_EQ(Validate(Good())->level, kBuildLevel);
  EXPECT_EQ(Validate(Good())->log_entries, ReplicaStore::Options().log_most);
}

TEST(Config, TakesWhatIsSaidOfWaitingRequests) {
  config::NodeConfig wire = Good();
  const absl::StatusOr<Config> standard = Validate(wire);
  ASSERT_TRUE(standard.ok()) << standard.status();
  EXPECT_EQ(standard->admission.target, Duration::Millis(15));
  EXPECT_EQ(standard->admission.interval, Duration::Millis(100));
  wire.set_queue_target_ms(5);
  wire.set_queue_interval_ms(50);
  const absl::StatusOr<Config> config = Validate(wire);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->admission.target, Duration::Millis(5));
  EXPECT_EQ(config->admission.interval, Duration::Millis(50));
}

TEST(Config, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->clear_cluster_name(); }), "cluster_name"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->clear_node_name(); }), "node_name"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_node_name("n3"); }), "node_name"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->clear_data_dir(); }), "data_dir"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->clear_members(); }), "members"));
  EXPECT_TRUE(
      Names(Wrong([](auto* w) { w->mutable_members(1)->set_name("n1"); }), "members[1].name"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->mutable_members(1)->set_peer_address("n2"); }),
                    "members[1].peer_address"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->mutable_members(0)->set_client_address("n1:0"); }),
                    "members[0].client_address"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_client_listen("7100"); }), "client_listen"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_peer_listen("h:99999"); }), "peer_listen"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_http_listen("h:x"); }), "http_listen"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_partitions(100); }), "partitions"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_partitions(4); }), "partitions"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_block_cache_mib(1); }), "block_cache_mib"));
  EXPECT_TRUE(
      Names(Wrong([](auto* w) { w->set_record_cache_mib(2'000'000); }), "record_cache_mib"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_memtable_mib(5'000); }), "memtable_mib"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_drain_ms(700'000); }), "drain_ms"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_repair_interval_ms(1); }), "repair_interval_ms"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_periodic_sync_ms(1); }), "periodic_sync_ms"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_hint_mib(2'000'000); }), "hint_mib"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_hint_hours(9'000); }), "hint_hours"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_expiry_margin_s(90'000); }), "expiry_margin_s"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_scrub_pass_s(40'000'000); }), "scrub_pass_s"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_scrub_kib_per_s(2'000'000); }), "scrub_kib_per_s"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_log_entries(1); }), "log_entries"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_level(kBuildLevel + 1); }), "level"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_max_in_flight(2'000'000); }), "max_in_flight"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_max_in_flight_mib(1); }), "max_in_flight_mib"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_queue_target_ms(20'000); }), "queue_target_ms"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_queue_interval_ms(1); }), "queue_interval_ms"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_log_level("loud"); }), "log_level"));
  EXPECT_TRUE(Names(Wrong([](auto* w) { w->set_shards(65); }), "shards"));
  EXPECT_TRUE(Names(Wrong([](auto* w) {
                      w->set_partitions(8);
                      w->set_shards(9);
                    }),
                    "shards"));
}

// Of a node that joins through seeds.
config::NodeConfig Joining() {
  config::NodeConfig wire;
  wire.set_cluster_name("prod");
  wire.set_node_name("n9");
  wire.set_data_dir("/var/lib/gyre");
  wire.mutable_joining()->set_peer_address("n9:7200");
  wire.mutable_joining()->set_client_address("n9:7100");
  wire.mutable_joining()->set_zone("rack-9");
  wire.add_seeds("peers.gyre.svc:7200");
  wire.add_seeds("[::1]:7200");
  return wire;
}

TEST(Config, TakesANodeThatJoinsThroughSeeds) {
  config::NodeConfig wire = Joining();
  absl::StatusOr<Config> config = Validate(wire);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->joins);
  EXPECT_TRUE(config->members.empty());
  EXPECT_EQ(config->seeds, (std::vector<std::string>{"peers.gyre.svc:7200", "[::1]:7200"}));
  EXPECT_EQ(&config->self(), &config->joining);
  EXPECT_EQ(config->joining.name, "n9") << "the node_name";
  EXPECT_EQ(config->joining.zone, "rack-9");
  EXPECT_EQ(config->joining.state, MemberState::kActive);
  EXPECT_EQ(config->joining.key, 0u) << "of the data directory";
  EXPECT_EQ(config->peer_listen.ToString(), "n9:7200");
  wire.set_join_waits(true);
  config = Validate(wire);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->joining.state, MemberState::kWaiting);
}

TEST(Config, AMemberThatIsListedNeedsNoSeeds) {
  config::NodeConfig wire = Good();
  wire.add_seeds("n2:7200");
  wire.set_join_waits(true);
  const absl::StatusOr<Config> config = Validate(wire);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->joins);
  EXPECT_EQ(config->self().name, "n1");
  EXPECT_EQ(config->self().state, MemberState::kActive);
}

TEST(Config, NamesWhatIsWrongWithANodeThatJoins) {
  const auto wrong = [](const std::function<void(config::NodeConfig*)>& change) {
    config::NodeConfig wire = Joining();
    change(&wire);
    return std::string(Validate(wire).status().message());
  };
  EXPECT_EQ(wrong([](auto*) {}), "");
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->set_seeds(1, "nowhere"); }), "seeds[1]"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->set_seeds(0, "h:0"); }), "seeds[0]"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->set_seeds(0, ""); }), "seeds[0]"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->clear_seeds(); }), "members"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->clear_joining(); }), "joining.peer_address"));
  EXPECT_TRUE(
      Names(wrong([](auto* wire) { wire->mutable_joining()->set_name("n8"); }), "joining.name"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->mutable_joining()->set_client_address("h"); }),
                    "joining.client_address"));
  EXPECT_TRUE(Names(wrong([](auto* wire) { wire->mutable_joining()->set_zone("a\x1b[2J"); }),
                    "joining.zone"));
  for (const char* any :
       {"0.0.0.0:7200", "[::]:7200", "0:7200", "[::ffff:0.0.0.0]:7200", "[0:0::0]:7200"}) {
    EXPECT_TRUE(Names(wrong([&](auto* wire) { wire->mutable_joining()->set_peer_address(any); }),
                      "joining.peer_address"))
        << any;
    EXPECT_TRUE(Names(wrong([&](auto* wire) { wire->mutable_joining()->set_client_address(any); }),
                      "joining.client_address"))
        << any;
  }
  EXPECT_TRUE(
      Names(wrong([](auto* wire) { wire->mutable_joining()->set_client_address("n9:7200"); }),
            "joining.client_address"));
  const auto unlisted = [](config::NodeConfig* wire) {
    wire->clear_seeds();
    *wire->mutable_members() = Good().members();
  };
  EXPECT_NE(wrong(unlisted).find("no `seeds`"), std::string::npos) << wrong(unlisted);
}

TEST(JoiningMember, IsHeldToTheRulesOfAConfiguration) {
  peer::JoinRequest request;
  request.set_node_name("n9");
  request.set_key(5);
  request.set_zone("rack-9");
  request.set_client_address("n9:7100");
  request.set_peer_address("n9:7200");
  const absl::StatusOr<Member> member = JoiningMember(request);
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_EQ(*member, (Member{{}, "n9", "rack-9", "n9:7100", "n9:7200", MemberState::kActive, 5}));
  const auto wrong = [&](const std::function<void(peer::JoinRequest*)>& change) {
    peer::JoinRequest changed = request;
    change(&changed);
    const absl::Status status = JoiningMember(changed).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_TRUE(Names(wrong([](auto* said) { said->clear_node_name(); }), "joining.name"));
  EXPECT_TRUE(
      Names(wrong([](auto* said) { said->set_node_name(std::string(256, 'n')); }), "joining.name"));
  EXPECT_TRUE(
      Names(wrong([](auto* said) { said->set_zone(std::string(256, 'z')); }), "joining.zone"));
  EXPECT_TRUE(Names(wrong([](auto* said) { said->set_zone("a\nb"); }), "joining.zone"));
  for (const std::string address : {"", "nowhere", "h:0", "h:65536", "h:x", ":7200"}) {
    EXPECT_TRUE(
        Names(wrong([&](auto* said) { said->set_peer_address(address); }), "joining.peer_address"))
        << address;
    EXPECT_TRUE(Names(wrong([&](auto* said) { said->set_client_address(address); }),
                      "joining.client_address"))
        << address;
  }
}

TEST(Config, RefusesOneAddressForTwoListenersAndNamesBoth) {
  const auto both = [](const std::string& message, const std::string& a, const std::string& b) {
    return Names(message, a) && message.find(b) != std::string::npos;
  };
  EXPECT_TRUE(both(Wrong([](auto* w) {
                     w->set_client_listen("127.0.0.1:7100");
                     w->set_peer_listen("127.0.0.1:7100");
                   }),
                   "peer_listen", "client_listen"));
  EXPECT_TRUE(both(Wrong([](auto* w) {
                     w->set_peer_listen("127.0.0.1:7200");
                     w->set_http_listen("0.0.0.0:7200");
                   }),
                   "http_listen", "peer_listen"));
  EXPECT_EQ(Wrong([](auto* w) {
              w->set_client_listen("127.0.0.1:0");
              w->set_peer_listen("127.0.0.1:0");
            }),
            "");
}

TEST(Config, RefusesOneAddressForTwoMembersAndNamesBoth) {
  const std::string peer =
      Wrong([](auto* w) { w->mutable_members(1)->set_peer_address("n1:7200"); });
  EXPECT_TRUE(Names(peer, "members[1].peer_address")) << peer;
  EXPECT_NE(peer.find("members[0].peer_address"), std::string::npos) << peer;
  const std::string client =
      Wrong([](auto* w) { w->mutable_members(1)->set_client_address("n1:7200"); });
  EXPECT_TRUE(Names(client, "members[1].client_address")) << client;
  EXPECT_NE(client.find("members[0].peer_address"), std::string::npos) << client;
}

TEST(Config, SaysWhatIsAllowed) {
  EXPECT_NE(Wrong([](auto* w) { w->set_partitions(100); }).find("power of two from 8 to 65536"),
            std::string::npos);
}

TEST(Config, ReadsAFileAndSaysWhereItIsMalformed) {
  const ScratchDirectory directory;
  const std::string path = directory.path() + "/gyred.cfg";
  std::ofstream(path) << "cluster_name: \"prod\"\nnode_nam: \"n1\"\n";
  const absl::Status malformed = ReadConfigFile(path).status();
  EXPECT_EQ(malformed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(malformed.message().find("line 2"), std::string::npos) << malformed;
  std::ofstream(path) << Good().DebugString();
  const absl::StatusOr<config::NodeConfig> wire = ReadConfigFile(path);
  ASSERT_TRUE(wire.ok()) << wire.status();
  EXPECT_TRUE(Validate(*wire).ok());
  EXPECT_EQ(ReadConfigFile(directory.path() + "/none").status().code(),
            absl::StatusCode::kNotFound);
}

// As setenv, until its end.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* const name_;
};

TEST(Config, FillsInWhatTheEnvironmentSays) {
  const Variable pod("GYRE_TEST_POD", "n2");
  const Variable space("GYRE_TEST_SPACE", "a \"${GYRE_TEST_POD}\"");
  const Variable nothing("GYRE_TEST_NOTHING", "");
  const ScratchDirectory directory;
  const std::string path = directory.path() + "/gyred.cfg";
  std::ofstream(path) << R"(cluster_name: "$prod$"
      node_name: "${GYRE_TEST_POD}"
      data_dir: "/${GYRE_TEST_SPACE}/${GYRE_TEST_POD}}"
      members { name: "n1" zone: "z${GYRE_TEST_NOTHING}" }
      seeds: "s:1" seeds: "${GYRE_TEST_POD}.s:1"
      joining { peer_address: "${GYRE_TEST_POD}:1" }
      partitions: 8)";
  const absl::StatusOr<config::NodeConfig> wire = ReadConfigFile(path);
  ASSERT_TRUE(wire.ok()) << wire.status();
  EXPECT_EQ(wire->cluster_name(), "$prod$");
  EXPECT_EQ(wire->node_name(), "n2");
  EXPECT_EQ(wire->data_dir(), "/a \"${GYRE_TEST_POD}\"/n2}");
  EXPECT_EQ(wire->members(0).zone(), "z");
  EXPECT_EQ(wire->seeds(0), "s:1");
  EXPECT_EQ(wire->seeds(1), "n2.s:1");
  EXPECT_EQ(wire->joining().peer_address(), "n2:1");
}

TEST(Config, NamesTheFieldWhoseVariableIsNotSet) {
  const ScratchDirectory directory;
  const std::string path = directory.path() + "/gyred.cfg";
  const auto wrong = [&](const std::string& text) {
    std::ofstream(path) << text;
    const absl::Status status = ReadConfigFile(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_EQ(wrong("members { name: \"n1\" } members { zone: \"${GYRE_TEST_UNSET}\" }"),
            path +
                ": members[1].zone: \"${GYRE_TEST_UNSET}\": there is no environment variable "
                "\"GYRE_TEST_UNSET\"");
  EXPECT_EQ(wrong("seeds: \"${GYRE_TEST_UNSET\""),
            path + ": seeds[0]: \"${GYRE_TEST_UNSET\": \"${\" without \"}\"");
}

TEST(Config, ADirectoryIsNoFile) {
  const ScratchDirectory directory;
  const absl::Status status = ReadConfigFile(directory.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find(directory.path()), std::string::npos) << status;
}

TEST(Address, TakesNamesAndBracketedNumbers) {
  EXPECT_EQ(ParseAddress("localhost:7100")->port, 7100);
  EXPECT_EQ(ParseAddress("[::1]:0")->host, "::1");
  EXPECT_EQ(ParseAddress("[::1]:0")->ToString(), "[::1]:0");
  for (const char* bad : {"", "h", ":1", "h:", "h:-1", "h:65536", "h:1x", "::1:5", "[]:1"}) {
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
  }
}

FlagsOutcome Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "gyred");
  return ParseFlags(static_cast<int>(arguments.size()), arguments.data());
}

TEST(Flags, DevNeedsNothingElse) {
  const FlagsOutcome outcome = Parse({"--dev"});
  ASSERT_TRUE(outcome.run.has_value());
  EXPECT_EQ(outcome.run->config.members.size(), 1u);
  EXPECT_EQ(outcome.run->config.client_listen.ToString(), "127.0.0.1:7100");
  EXPECT_EQ(outcome.run->config.data_dir, DevDataDir());
}

TEST(Flags, OverrideSingleFields) {
  const FlagsOutcome outcome =
      Parse({"--dev", "--listen", "127.0.0.1:0", "--data-dir", "/tmp/x", "--http", "off"});
  ASSERT_TRUE(outcome.run.has_value());
  EXPECT_EQ(outcome.run->config.client_listen.port, 0);
  EXPECT_EQ(outcome.run->config.self().client_address, "127.0.0.1:0");
  EXPECT_EQ(outcome.run->config.data_dir, "/tmp/x");
  EXPECT_FALSE(outcome.run->config.http);
}

TEST(Flags, ListTheMembers) {
  const FlagsOutcome outcome = Parse({"--node-name", "b", "--data-dir", "/tmp/x", "--peers",
                                      "a=h1:7200/h1:7100/z1,b=h2:7200/h2:7100/z2"});
  ASSERT_TRUE(outcome.run.has_value());
  EXPECT_EQ(outcome.run->config.members.size(), 2u);
  EXPECT_EQ(outcome.run->config.self().zone, "z2");
  EXPECT_EQ(outcome.run->config.peer_listen.ToString(), "h2:7200");
}

TEST(Flags, SayThroughWhomANodeJoins) {
  const FlagsOutcome outcome =
      Parse({"--node-name", "n9", "--data-dir", "/tmp/x", "--seeds", "h1:7200,h2:7200", "--listen",
             "h9:7100", "--peer-listen", "h9:7200", "--zone", "rack-9", "--join-waits"});
  ASSERT_TRUE(outcome.run.has_value());
  const Config& config = outcome.run->config;
  EXPECT_TRUE(config.joins);
  EXPECT_EQ(config.seeds, (std::vector<std::string>{"h1:7200", "h2:7200"}));
  EXPECT_EQ(config.joining.name, "n9");
  EXPECT_EQ(config.joining.zone, "rack-9");
  EXPECT_EQ(config.joining.client_address, "h9:7100");
  EXPECT_EQ(config.joining.peer_address, "h9:7200");
  EXPECT_EQ(config.joining.state, MemberState::kWaiting);
}

TEST(Flags, AMistakeEndsWithTwo) {
  for (const std::vector<const char*>& arguments : {std::vector<const char*>{},
                                                    {"--nonsense"},
                                                    {"--dev", "--config", "f"},
                                                    {"--dev", "--listen", "x"},
                                                    {"--node-name", "b", "--peers", "a"},
                                                    {"--node-name", "b", "--seeds", "h"},
                                                    {"--config", "/none"},
                                                    {"--config", "/"}}) {
    const FlagsOutcome outcome = Parse(arguments);
    EXPECT_FALSE(outcome.run.has_value());
    EXPECT_EQ(outcome.exit_code, 2);
  }
}

TEST(Flags, HelpAndVersionEndWithZero) {
  EXPECT_EQ(Parse({"--help"}).exit_code, 0);
  EXPECT_EQ(Parse({"--version"}).exit_code, 0);
  EXPECT_FALSE(Parse({"--help"}).run.has_value());
}

TEST(Log, WritesJsonThatHoldsAnyText) {
  EXPECT_EQ(LogBody("x", {{"n", 3}, {"ok", true}, {"text", "a\"b\\c\nd"}}),
            R"("event":"x","n":3,"ok":true,"text":"a\"b\\c\u000ad")");
}

}  // namespace
}  // namespace gyre
