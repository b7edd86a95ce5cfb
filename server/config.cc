#include "server/config.h"

#include <arpa/inet.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "ring/check.h"

namespace gyre {
namespace {

constexpr uint32_t kMinPartitions = 8;

absl::Status Invalid(const std::string& field, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

// Puts what the environment says in the place of each ${NAME}.
absl::Status FillIn(const std::string& field, std::string* text) {
  std::string filled;
  size_t done = 0;
  for (size_t begin; (begin = text->find("${", done)) != std::string::npos;) {
    const size_t end = text->find('}', begin);
    if (end == std::string::npos) {
      return Invalid(field, absl::StrCat("\"", *text, "\": \"${\" without \"}\""));
    }
    const std::string name = text->substr(begin + 2, end - begin - 2);
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) {
      return Invalid(
          field, absl::StrCat("\"", *text, "\": there is no environment variable \"", name, "\""));
    }
    filled.append(*text, done, begin - done).append(value);
    done = end + 1;
  }
  filled.append(*text, done);
  *text = std::move(filled);
  return absl::OkStatus();
}

// In every string of the message and of those within it. After the parse, so that no value can be
// taken for anything but a part of its string. `prefix`: of the fields' names, for errors.
absl::Status FillIn(const std::string& prefix, google::protobuf::Message* message) {
  const google::protobuf::Reflection& reflect = *message->GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflect.ListFields(*message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    const bool is_text = field->cpp_type() == field->CPPTYPE_STRING;
    if (!is_text && field->cpp_type() != field->CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflect.FieldSize(*message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const bool many = field->is_repeated();
      const std::string name =
          many ? absl::StrCat(prefix, field->name(), "[", i, "]") : prefix + field->name();
      if (!is_text) {
        google::protobuf::Message* const part =
            many ? reflect.MutableRepeatedMessage(message, field, i)
                 : reflect.MutableMessage(message, field);
        if (absl::Status status = FillIn(name + ".", part); !status.ok()) return status;
        continue;
      }
      std::string text =
          many ? reflect.GetRepeatedString(*message, field, i) : reflect.GetString(*message, field);
      if (absl::Status status = FillIn(name, &text); !status.ok()) return status;
      if (many) {
        reflect.SetRepeatedString(message, field, i, std::move(text));
      } else {
        reflect.SetString(message, field, std::move(text));
      }
    }
  }
  return absl::OkStatus();
}

// The first error of a text-format parse, with its place.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text.empty()) return;
    text = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  std::string text;
};

absl::StatusOr<uint64_t> InRange(const char* field, uint32_t value, uint32_t by_default,
                                 uint32_t least, uint32_t most) {
  if (value == 0) return by_default;
  if (value < least || value > most) {
    return Invalid(field, absl::StrCat(value, "; ", least, " to ", most, " are allowed"));
  }
  return value;
}

absl::StatusOr<std::string> Name(const std::string& field, const std::string& name) {
  if (name.empty()) return Invalid(field, "empty; a name of 1 to 255 bytes is required");
  if (name.size() > kMaxNameBytes) {
    return Invalid(field,
                   absl::StrCat(name.size(), " bytes; at most ", kMaxNameBytes, " are allowed"));
  }
  // It is shown on terminals, which would obey them.
  if (std::any_of(name.begin(), name.end(),
                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return Invalid(field, "it has control characters");
  }
  return name;
}

absl::StatusOr<Address> ReachableAddress(const std::string& field, const std::string& text,
                                         bool alone) {
  absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok()) {
    return Invalid(field,
                   absl::StrCat("\"", text, "\": ", std::string(address.status().message())));
  }
  if (address->port == 0 && !alone) {
    return Invalid(field, absl::StrCat("\"", text, "\": port 0 is for a cluster of one node only"));
  }
  return address;
}

absl::StatusOr<LogLevel> Level(const std::string& text) {
  if (text.empty() || text == "info") return LogLevel::kInfo;
  if (text == "trace") return LogLevel::kTrace;
  if (text == "debug") return LogLevel::kDebug;
  if (text == "warn") return LogLevel::kWarn;
  if (text == "error") return LogLevel::kError;
  return Invalid("log_level", absl::StrCat("\"", text,
                                           "\"; trace, debug, info, warn and error are "
                                           "allowed"));
}

absl::StatusOr<Member> MemberOf(const std::string& field, const config::PeerConfig& peer,
                                bool alone) {
  absl::StatusOr<std::string> name = Name(field + ".name", peer.name());
  if (!name.ok()) return name.status();
  absl::StatusOr<Address> to_peers =
      ReachableAddress(field + ".peer_address", peer.peer_address(), alone);
  if (!to_peers.ok()) return to_peers.status();
  absl::StatusOr<Address> to_clients =
      ReachableAddress(field + ".client_address", peer.client_address(), alone);
  if (!to_clients.ok()) return to_clients.status();
  const std::string zone = peer.zone().empty() ? "default" : peer.zone();
  if (absl::StatusOr<std::string> ok = Name(field + ".zone", zone); !ok.ok()) return ok.status();
  return Member{NodeId(), *name, zone, to_clients->ToString(), to_peers->ToString()};
}

// A host that a listener may have, and that leads whoever calls it back to itself.
bool IsAnyHost(const std::string& host) {
  in_addr v4;
  if (inet_aton(host.c_str(), &v4) != 0) return v4.s_addr == INADDR_ANY;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  constexpr in6_addr kMappedAny = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}}};
  return std::memcmp(&v6, &in6addr_any, sizeof(v6)) == 0 ||
         std::memcmp(&v6, &kMappedAny, sizeof(v6)) == 0;
}

// Of a node that is to be reached from others, and at two places.
absl::Status CheckJoining(const Member& member) {
  for (const auto& [field, text] : {std::pair("joining.peer_address", &member.peer_address),
                                    std::pair("joining.client_address", &member.client_address)}) {
    const absl::StatusOr<Address> address = ParseAddress(*text);
    if (!address.ok()) return address.status();
    if (!IsAnyHost(address->host)) continue;
    return Invalid(field, absl::StrCat("\"", *text,
                                       "\" is for listening only; the host is required under which "
                                       "others reach this node (--advertise, --peer-advertise)"));
  }
  if (member.peer_address != member.client_address) return absl::OkStatus();
  return Invalid("joining.client_address",
                 absl::StrCat("\"", member.client_address, "\" is the peer_address too"));
}

absl::Status AddMembers(const config::NodeConfig& wire, Config* config) {
  const bool alone = wire.members_size() == 1 && wire.seeds().empty();
  bool listed = false;
  for (int i = 0; i < wire.members_size(); ++i) {
    const std::string field = absl::StrCat("members[", i, "]");
    absl::StatusOr<Member> member = MemberOf(field, wire.members(i), alone);
    if (!member.ok()) return member.status();
    if (std::any_of(config->members.begin(), config->members.end(),
                    [&](const Member& other) { return other.name == member->name; })) {
      return Invalid(field + ".name", absl::StrCat("\"", member->name, "\" is listed twice"));
    }
    listed = listed || member->name == config->node_name;
    config->members.push_back(*std::move(member));
  }
  if (listed) return absl::OkStatus();
  if (!wire.seeds().empty()) {
    config->joins = true;
    config::PeerConfig self = wire.joining();
    if (self.name().empty()) self.set_name(config->node_name);
    absl::StatusOr<Member> member = MemberOf("joining", self, /*alone=*/false);
    if (!member.ok()) return member.status();
    if (member->name != config->node_name) {
      return Invalid("joining.name", absl::StrCat("\"", member->name, "\"; the node_name is \"",
                                                  config->node_name, "\""));
    }
    if (absl::Status status = CheckJoining(*member); !status.ok()) return status;
    config->joining = *std::move(member);
    if (wire.join_waits()) config->joining.state = MemberState::kWaiting;
    return absl::OkStatus();
  }
  if (wire.members().empty()) {
    return Invalid("members", "empty; this node at least is required, or `seeds` to join through");
  }
  return Invalid("node_name", absl::StrCat("\"", config->node_name,
                                           "\" is none of the members, and there are no `seeds` "
                                           "to join through"));
}

absl::Status AddSeeds(const config::NodeConfig& wire, Config* config) {
  for (int i = 0; i < wire.seeds_size(); ++i) {
    absl::StatusOr<Address> seed =
        ReachableAddress(absl::StrCat("seeds[", i, "]"), wire.seeds(i), /*alone=*/false);
    if (!seed.ok()) return seed.status();
    config->seeds.push_back(seed->ToString());
  }
  return absl::OkStatus();
}

absl::Status AddAddresses(const config::NodeConfig& wire, Config* config) {
  const auto listen = [](const char* field, const std::string& text,
                         const std::string& by_default) -> absl::StatusOr<Address> {
    absl::StatusOr<Address> address = ParseAddress(text.empty() ? by_default : text);
    if (address.ok()) return address;
    return Invalid(field,
                   absl::StrCat("\"", text, "\": ", std::string(address.status().message())));
  };
  absl::StatusOr<Address> client =
      listen("client_listen", wire.client_listen(), config->self().client_address);
  if (!client.ok()) return client.status();
  absl::StatusOr<Address> peer =
      listen("peer_listen", wire.peer_listen(), config->self().peer_address);
  if (!peer.ok()) return peer.status();
  config->client_listen = *std::move(client);
  config->peer_listen = *std::move(peer);
  config->http = !wire.http_listen().empty();
  if (!config->http) return absl::OkStatus();
  absl::StatusOr<Address> http = listen("http_listen", wire.http_listen(), "");
  if (!http.ok()) return http.status();
  config->http_listen = *std::move(http);
  return absl::OkStatus();
}

// An address, and the field that gives it.
struct Named {
  std::string field;
  Address address;
};

// Two listeners on these would be in each other's way, and two names would lead to one place. Port
// 0 is another one each time.
bool SamePlace(const Address& a, const Address& b) {
  if (a.port != b.port || a.port == 0) return false;
  return a.host == b.host || IsAnyHost(a.host) || IsAnyHost(b.host);
}

absl::Status RefuseSame(const std::vector<Named>& all) {
  for (size_t i = 1; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!SamePlace(all[i].address, all[j].address)) continue;
      return Invalid(all[i].field,
                     absl::StrCat("\"", all[i].address.ToString(), "\" is the address of ",
                                  all[j].field, " too (\"", all[j].address.ToString(), "\")"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAddressesDiffer(const Config& config) {
  std::vector<Named> listeners = {{"client_listen", config.client_listen},
                                  {"peer_listen", config.peer_listen}};
  if (config.http) listeners.push_back({"http_listen", config.http_listen});
  if (absl::Status status = RefuseSame(listeners); !status.ok()) return status;
  std::vector<Named> advertised;
  for (size_t i = 0; i < config.members.size(); ++i) {
    const Member& member = config.members[i];
    const std::string field = absl::StrCat("members[", i, "]");
    advertised.push_back({field + ".peer_address", *ParseAddress(member.peer_address)});
    advertised.push_back({field + ".client_address", *ParseAddress(member.client_address)});
  }
  return RefuseSame(advertised);
}

absl::Status AddNumbers(const config::NodeConfig& wire, Config* config) {
  const uint32_t partitions = wire.partitions() == 0 ? config->partitions : wire.partitions();
  if (!std::has_single_bit(partitions) || partitions < kMinPartitions || partitions > kMaxSlices) {
    return Invalid("partitions", absl::StrCat(partitions, "; a power of two from ", kMinPartitions,
                                              " to ", kMaxSlices, " is allowed"));
  }
  config->partitions = partitions;
  absl::StatusOr<uint64_t> cache =
      InRange("block_cache_mib", wire.block_cache_mib(), 0, 8, 1'048'576);
  if (!cache.ok()) return cache.status();
  config->block_cache_bytes = *cache << 20;
  absl::StatusOr<uint64_t> record_cache =
      InRange("record_cache_mib", wire.record_cache_mib(), 0, 1, 1'048'576);
  if (!record_cache.ok()) return record_cache.status();
  config->record_cache_bytes = *record_cache << 20;
  absl::StatusOr<uint64_t> memtable = InRange("memtable_mib", wire.memtable_mib(), 32, 1, 4'096);
  if (!memtable.ok()) return memtable.status();
  config->memtable_bytes = *memtable << 20;
  absl::StatusOr<uint64_t> in_flight =
      InRange("max_in_flight", wire.max_in_flight(), 10'000, 1, 1'000'000);
  if (!in_flight.ok()) return in_flight.status();
  config->max_in_flight = *in_flight;
  absl::StatusOr<uint64_t> in_flight_mib =
      InRange("max_in_flight_mib", wire.max_in_flight_mib(), 256, 8, 1'048'576);
  if (!in_flight_mib.ok()) return in_flight_mib.status();
  config->max_in_flight_bytes = *in_flight_mib << 20;
  absl::StatusOr<uint64_t> target =
      InRange("queue_target_ms", wire.queue_target_ms(), 15, 1, 10'000);
  if (!target.ok()) return target.status();
  absl::StatusOr<uint64_t> interval =
      InRange("queue_interval_ms", wire.queue_interval_ms(), 100, 10, 10'000);
  if (!interval.ok()) return interval.status();
  config->admission.target = Duration::Millis(static_cast<int64_t>(*target));
  config->admission.interval = Duration::Millis(static_cast<int64_t>(*interval));
  absl::StatusOr<uint64_t> drain = InRange("drain_ms", wire.drain_ms(), 5'000, 1, 600'000);
  if (!drain.ok()) return drain.status();
  config->drain = Duration::Millis(static_cast<int64_t>(*drain));
  absl::StatusOr<uint64_t> repair =
      InRange("repair_interval_ms", wire.repair_interval_ms(), 10'000, 10, 3'600'000);
  if (!repair.ok()) return repair.status();
  config->repair_interval = Duration::Millis(static_cast<int64_t>(*repair));
  absl::StatusOr<uint64_t> sync =
      InRange("periodic_sync_ms", wire.periodic_sync_ms(), 1'000, 10, 60'000);
  if (!sync.ok()) return sync.status();
  config->periodic_sync = Duration::Millis(static_cast<int64_t>(*sync));
  absl::StatusOr<uint64_t> hint_mib = InRange("hint_mib", wire.hint_mib(), 256, 1, 1'048'576);
  if (!hint_mib.ok()) return hint_mib.status();
  config->hints.max_bytes = *hint_mib << 20;
  absl::StatusOr<uint64_t> hint_hours = InRange("hint_hours", wire.hint_hours(), 24, 1, 8'760);
  if (!hint_hours.ok()) return hint_hours.status();
  config->hints.max_age = Duration::Seconds(static_cast<int64_t>(*hint_hours) * 3600);
  absl::StatusOr<uint64_t> margin =
      InRange("expiry_margin_s", wire.expiry_margin_s(), 60, 1, 86'400);
  if (!margin.ok()) return margin.status();
  config->expiry.margin = Duration::Seconds(static_cast<int64_t>(*margin));
  absl::StatusOr<uint64_t> pass =
      InRange("scrub_pass_s", wire.scrub_pass_s(), 259'200, 1, 31'536'000);
  if (!pass.ok()) return pass.status();
  config->scrub.pass = Duration::Seconds(static_cast<int64_t>(*pass));
  absl::StatusOr<uint64_t> pace =
      InRange("scrub_kib_per_s", wire.scrub_kib_per_s(), 1'024, 1, 1'048'576);
  if (!pace.ok()) return pace.status();
  config->scrub.bytes_each_s = *pace << 10;
  absl::StatusOr<uint64_t> log_entries =
      InRange("log_entries", wire.log_entries(), 131'072, 1'024, 100'000'000);
  if (!log_entries.ok()) return log_entries.status();
  config->log_entries = *log_entries;
  absl::StatusOr<LogLevel> log_level = Level(wire.log_level());
  if (!log_level.ok()) return log_level.status();
  config->log_level = *log_level;
  absl::StatusOr<uint64_t> level =
      InRange("level", wire.level(), kBuildLevel, kFirstLevel, kBuildLevel);
  if (!level.ok()) return level.status();
  config->level = static_cast<BuildLevel>(*level);
  absl::StatusOr<uint64_t> shards = InRange("shards", wire.shards(), 0, 1, 64);
  if (!shards.ok()) return shards.status();
  if (*shards > config->partitions) {
    return Invalid("shards", absl::StrCat(*shards, "; at most as many as partitions (",
                                          config->partitions, ") are allowed"));
  }
  config->shards = static_cast<int>(*shards);
  return absl::OkStatus();
}

}  // namespace

std::string Address::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  const auto malformed = [] {
    return absl::InvalidArgumentError("host:port is required, with a port from 0 to 65535");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return malformed();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return malformed();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed();
  }
  Address address;
  address.host = std::string(host);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port < 0 ||
      address.port > 65535) {
    return malformed();
  }
  return address;
}

const Member& Config::self() const { return const_cast<Config*>(this)->self(); }

Member& Config::self() {
  if (joins) return joining;
  auto it = std::find_if(members.begin(), members.end(),
                         [&](const Member& member) { return member.name == node_name; });
  GYRE_CHECK(it != members.end(), "a valid configuration lists its own node");
  return *it;
}

absl::StatusOr<Member> JoiningMember(const peer::JoinRequest& request) {
  config::PeerConfig said;
  said.set_name(request.node_name());
  said.set_zone(request.zone());
  said.set_client_address(request.client_address());
  said.set_peer_address(request.peer_address());
  absl::StatusOr<Member> member = MemberOf("joining", said, /*alone=*/false);
  if (!member.ok()) return member.status();
  if (absl::Status status = CheckJoining(*member); !status.ok()) return status;
  member->key = request.key();
  if (request.waits()) member->state = MemberState::kWaiting;
  return member;
}

absl::StatusOr<config::NodeConfig> ReadConfigFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the configuration ", path));
  std::string text;
  char buffer[4096];
  // Not by istreambuf_iterator, which throws where the read fails, as that of a directory does.
  while (file.read(buffer, sizeof(buffer)) || file.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) {
    return absl::NotFoundError(absl::StrCat("cannot read the configuration ", path,
                                            ": it is no file, or the disk failed"));
  }
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  config::NodeConfig wire;
  if (!parser.ParseFromString(text, &wire)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.text));
  }
  if (absl::Status status = FillIn("", &wire); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(status.message())));
  }
  return wire;
}

absl::StatusOr<config::PeerConfig> ParseMember(std::string_view text) {
  config::PeerConfig member;
  std::vector<std::string> parts;
  const size_t equals = text.find('=');
  if (equals != std::string_view::npos) {
    std::string_view rest = text.substr(equals + 1);
    for (size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
      parts.emplace_back(rest.substr(0, slash));
      rest.remove_prefix(slash + 1);
    }
    parts.emplace_back(rest);
  }
  if (parts.size() < 2 || parts.size() > 3) {
    return Invalid("--peers", absl::StrCat("\"", std::string(text),
                                           "\"; NAME=PEER_ADDRESS/CLIENT_ADDRESS[/ZONE] is "
                                           "required"));
  }
  member.set_name(std::string(text.substr(0, equals)));
  member.set_peer_address(parts[0]);
  member.set_client_address(parts[1]);
  if (parts.size() == 3) member.set_zone(parts[2]);
  return member;
}

absl::StatusOr<Config> Validate(const config::NodeConfig& wire) {
  Config config;
  absl::StatusOr<std::string> cluster = Name("cluster_name", wire.cluster_name());
  if (!cluster.ok()) return cluster.status();
  config.cluster_name = *std::move(cluster);
  absl::StatusOr<std::string> node = Name("node_name", wire.node_name());
  if (!node.ok()) return node.status();
  config.node_name = *std::move(node);
  if (wire.data_dir().empty()) return Invalid("data_dir", "empty; a directory is required");
  config.data_dir = wire.data_dir();
  if (absl::Status status = AddMembers(wire, &config); !status.ok()) return status;
  if (absl::Status status = AddSeeds(wire, &config); !status.ok()) return status;
  if (absl::Status status = AddAddresses(wire, &config); !status.ok()) return status;
  if (absl::Status status = CheckAddressesDiffer(config); !status.ok()) return status;
  if (absl::Status status = AddNumbers(wire, &config); !status.ok()) return status;
  return config;
}

config::NodeConfig DevConfig(const std::string& data_dir) {
  config::NodeConfig wire;
  wire.set_cluster_name("dev");
  wire.set_node_name("dev");
  wire.set_data_dir(data_dir);
  wire.set_partitions(64);
  wire.set_http_listen(absl::StrCat("127.0.0.1:", kHttpPort));
  config::PeerConfig* self = wire.add_members();
  self->set_name("dev");
  self->set_client_address(absl::StrCat("127.0.0.1:", kClientPort));
  self->set_peer_address(absl::StrCat("127.0.0.1:", kPeerPort));
  return wire;
}

std::string DevDataDir() {
  const char* tmp = std::getenv("TMPDIR");
  return absl::StrCat(tmp == nullptr || *tmp == '\0' ? "/tmp" : tmp, "/gyre-dev-", getuid());
}

}  // namespace gyre
