#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>
#include <vector>

#include "server/admin.h"

namespace gyre {
namespace {

constexpr int kUsageError = 2;

struct Given {
  std::string config;
  bool dev = false;
  std::string cluster_name, node_name, data_dir, listen, advertise, peer_listen, peer_advertise,
      http, zone, log_level, log_file;
  std::vector<std::string> peers;
  std::vector<std::string> seeds;
  bool join_waits = false;
  uint32_t partitions = 0;
  uint32_t drain_ms = 0;
};

void Declare(CLI::App* app, Given* given) {
  app->set_version_flag("--version", std::string("gyred ") + kVersion);
  app->add_option("--config", given->config, "Text-format NodeConfig (api/proto/config.proto)");
  app->add_flag("--dev", given->dev,
                "One node that needs no configuration: ports 7100 (clients), 7200 (peers), 7300 "
                "(HTTP), data in ${TMPDIR:-/tmp}/gyre-dev-<uid> unless --data-dir is given");
  app->add_option("--cluster-name", given->cluster_name, "Name of the cluster");
  app->add_option("--node-name", given->node_name, "Name of this node, unique in the cluster");
  app->add_option("--data-dir", given->data_dir, "Directory of this node's data; made when absent");
  app->add_option("--listen", given->listen, "host:port for clients; port 0: any free one");
  app->add_option("--advertise", given->advertise, "host:port that clients are told");
  app->add_option("--peer-listen", given->peer_listen, "host:port for the other nodes");
  app->add_option("--peer-advertise", given->peer_advertise,
                  "host:port where the other nodes reach this one");
  app->add_option("--http", given->http, "host:port for /metrics and /healthz; \"off\": none");
  app->add_option("--zone", given->zone, "Failure domain of this node");
  app->add_option("--peers", given->peers,
                  "Members: NAME=PEER_ADDRESS/CLIENT_ADDRESS[/ZONE], separated by commas")
      ->delimiter(',');
  app->add_option("--seeds", given->seeds,
                  "Peers' host:port of members through which a new node joins, separated by commas")
      ->delimiter(',');
  app->add_flag("--join-waits", given->join_waits,
                "Join as a node that owns nothing until `gyre node join`");
  app->add_option("--partitions", given->partitions, "Q, fixed when the cluster is made");
  app->add_option("--drain-ms", given->drain_ms, "Longest wait for requests on SIGTERM");
  app->add_option("--log-level", given->log_level, "trace, debug, info, warn or error");
  app->add_option("--log-file", given->log_file, "Log here instead of to standard error");
}

void SetIfGiven(const std::string& value, std::string* field) {
  if (!value.empty()) *field = value;
}

config::PeerConfig* Self(config::NodeConfig* wire) {
  for (config::PeerConfig& member : *wire->mutable_members()) {
    if (member.name() == wire->node_name()) return &member;
  }
  config::PeerConfig* self = wire->seeds().empty() ? wire->add_members() : wire->mutable_joining();
  self->set_name(wire->node_name());
  return self;
}

absl::StatusOr<config::NodeConfig> Base(const Given& given) {
  if (given.dev && !given.config.empty()) {
    return absl::InvalidArgumentError("--dev and --config exclude each other");
  }
  if (given.dev) return DevConfig(DevDataDir());
  if (!given.config.empty()) return ReadConfigFile(given.config);
  if (given.node_name.empty()) {
    return absl::InvalidArgumentError(
        "nothing to run: give --config FILE, or --dev for a single node");
  }
  config::NodeConfig wire;
  wire.set_cluster_name("gyre");
  return wire;
}

// Flags win over what the file says. `--listen` is what is told to clients too, where nothing else
// is.
absl::StatusOr<config::NodeConfig> Merge(const Given& given) {
  absl::StatusOr<config::NodeConfig> wire = Base(given);
  if (!wire.ok()) return wire;
  SetIfGiven(given.cluster_name, wire->mutable_cluster_name());
  if (given.dev && !given.node_name.empty()) wire->mutable_members(0)->set_name(given.node_name);
  SetIfGiven(given.node_name, wire->mutable_node_name());
  SetIfGiven(given.data_dir, wire->mutable_data_dir());
  SetIfGiven(given.listen, wire->mutable_client_listen());
  SetIfGiven(given.peer_listen, wire->mutable_peer_listen());
  SetIfGiven(given.log_level, wire->mutable_log_level());
  SetIfGiven(given.http, wire->mutable_http_listen());
  if (wire->http_listen() == "off") wire->clear_http_listen();
  if (given.partitions != 0) wire->set_partitions(given.partitions);
  if (given.drain_ms != 0) wire->set_drain_ms(given.drain_ms);
  if (!given.peers.empty()) {
    wire->clear_members();
    for (const std::string& text : given.peers) {
      absl::StatusOr<config::PeerConfig> member = ParseMember(text);
      if (!member.ok()) return member.status();
      *wire->add_members() = *std::move(member);
    }
  }
  if (!given.seeds.empty()) wire->clear_seeds();
  for (const std::string& seed : given.seeds) wire->add_seeds(seed);
  if (given.join_waits) wire->set_join_waits(true);
  config::PeerConfig* self = Self(&*wire);
  const bool alone = wire->members_size() == 1 && wire->seeds().empty();
  if (!given.advertise.empty()) {
    self->set_client_address(given.advertise);
  } else if (!given.listen.empty() && (alone || self->client_address().empty())) {
    self->set_client_address(given.listen);
  }
  if (!given.peer_advertise.empty()) {
    self->set_peer_address(given.peer_advertise);
  } else if (!given.peer_listen.empty() && (alone || self->peer_address().empty())) {
    self->set_peer_address(given.peer_listen);
  }
  SetIfGiven(given.zone, self->mutable_zone());
  return wire;
}

FlagsOutcome Refuse(const absl::Status& status) {
  std::fprintf(stderr, "gyred: %s\n", std::string(status.message()).c_str());
  return {std::nullopt, kUsageError};
}

}  // namespace

FlagsOutcome ParseFlags(int argc, const char* const* argv) {
  CLI::App app("gyred: one node of Gyre, a leaderless replicated key-value store", "gyred");
  Given given;
  Declare(&app, &given);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return {std::nullopt, code == 0 ? 0 : kUsageError};
  }
  absl::StatusOr<config::NodeConfig> wire = Merge(given);
  if (!wire.ok()) return Refuse(wire.status());
  absl::StatusOr<Config> config = Validate(*wire);
  if (!config.ok()) {
    return Refuse(
        absl::InvalidArgumentError("configuration: " + std::string(config.status().message())));
  }
  if (given.dev) config->alone_patience = Duration();  // nobody has its address
  return {Flags{*std::move(config), given.log_file, given.dev}, 0};
}

}  // namespace gyre
