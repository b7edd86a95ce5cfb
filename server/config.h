// Config: what one gyred process runs with, from a text-format NodeConfig (api/proto/config.proto),
// flags that override single fields, or the built-in single node of --dev.
//
// Everything is checked before anything is opened; an error names the field, its value and what is
// allowed.
//
// Plain values and functions of the thread that starts the process.

#ifndef GYRE_SERVER_CONFIG_H_
#define GYRE_SERVER_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/proto/config.pb.h"
#include "api/proto/peer.pb.h"
#include "ring/build_level.h"
#include "ring/ids.h"
#include "ring/membership.h"
#include "ring/topology.h"
#include "server/admission_limit.h"
#include "server/expiry_sweep.h"
#include "server/log.h"
#include "server/node_load.h"
#include "server/scrub.h"
#include "storage/hint_log.h"

namespace gyre {

// Default ports, and those of --dev.
inline constexpr int kClientPort = 7100;
inline constexpr int kPeerPort = 7200;
inline constexpr int kHttpPort = 7300;

struct Address {
  std::string host;  // without brackets
  int port = 0;
  std::string ToString() const;
};

// "host:port" or "[v6]:port". Port 0 stands for "any free one".
absl::StatusOr<Address> ParseAddress(std::string_view text);

// A validated configuration: every default filled in.
struct Config {
  std::string cluster_name;
  std::string node_name;
  std::string data_dir;
  Address client_listen;
  Address peer_listen;
  bool http = false;
  Address http_listen;
  std::vector<Member> members;  // the first; ids not yet filled in
  // The node is none of those: it joins, as `joining`, through one of the seeds.
  bool joins = false;
  Member joining;
  std::vector<std::string> seeds;  // host:port of peers' ports
  uint32_t partitions = 256;
  uint64_t block_cache_bytes = 0;   // 0: by the memory of the machine
  uint64_t record_cache_bytes = 0;  // of all shards; 0: by the block cache
  uint64_t memtable_bytes = uint64_t{32} << 20;
  size_t max_in_flight = 10'000;
  size_t max_in_flight_bytes = size_t{256} << 20;
  AdmissionOptions admission;
  Duration drain = Duration::Seconds(5);
  Duration repair_interval = Duration::Seconds(1);
  Duration periodic_sync = Duration::Seconds(1);
  HintLogOptions hints;
  uint64_t log_entries = 0;  // ReplicaStore::Options::log_most
  ExpirySweepOptions expiry;
  ScrubOptions scrub;  // `bytes_each_s` of all shards together
  LogLevel log_level = LogLevel::kInfo;
  int shards = 0;  // 0: by the cores of the machine
  BuildLevel level = kBuildLevel;

  // Not of the file. A client's connection that is silent for `keepalive` is asked, and closed when
  // it does not answer within `keepalive_timeout`; one that has not finished its greeting within
  // `handshake` is closed. So half a frame and then silence holds nothing for ever.
  Duration keepalive = Duration::Seconds(10);
  Duration keepalive_timeout = Duration::Seconds(5);
  Duration handshake = Duration::Seconds(10);
  // Not of the file either. The level of the cluster's first document, which is to be the same on
  // every node: what tests begin with, that are not about how it is raised.
  BuildLevel first_level = kFirstLevel;
  // Nor this. So long a node waits before it takes clients, whose directory is empty, and whose
  // list has no other: those of a cluster that it has forgotten call it meanwhile, as nobody else
  // can say that there is one. By default as long as their next attempt takes (PeerLinkOptions),
  // but for those that were turned away from this address by another node within the last half a
  // minute, or that reach nobody there. Shorter, and a client may make a table first, of a second
  // cluster; longer, and a new node serves later, once.
  Duration alone_patience = Duration::Seconds(3);
  // Nor these. Nodes that differ in them judge each other unevenly.
  MembershipOptions membership;
  NodeLoadOptions load;

  // This node's entry in `members`, or `joining`.
  const Member& self() const;
  Member& self();
};

// With ${NAME} in its strings replaced by what the environment says. NOT_FOUND or INVALID_ARGUMENT,
// naming the file and, for a syntax error, line and column; for a variable that is not set, the
// field.
absl::StatusOr<config::NodeConfig> ReadConfigFile(const std::string& path);

// NAME=PEER_ADDRESS/CLIENT_ADDRESS[/ZONE]
absl::StatusOr<config::PeerConfig> ParseMember(std::string_view text);

// A node that joins, as it says what it is: by the rules for `joining`. INVALID_ARGUMENT, naming
// the field.
absl::StatusOr<Member> JoiningMember(const peer::JoinRequest& request);

// INVALID_ARGUMENT, naming the field.
absl::StatusOr<Config> Validate(const config::NodeConfig& wire);

// A cluster of one on loopback, with its data in `data_dir`.
config::NodeConfig DevConfig(const std::string& data_dir);

// ${TMPDIR:-/tmp}/gyre-dev-<user id>: the data of --dev, kept from one start to the next.
std::string DevDataDir();

}  // namespace gyre

#endif  // GYRE_SERVER_CONFIG_H_
