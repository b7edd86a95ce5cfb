#include "server/gyred.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/error_translation.h"
#include "api/limits.h"
#include "ring/rebalance.h"
#include "server/clock.h"
#include "server/data_directory.h"
#include "server/listen_port.h"
#include "server/log.h"
#include "server/machine_memory.h"
#include "server/seeds.h"
#include "server/shared_queues.h"

namespace gyre {
namespace {

constexpr int kReadThreads = 2;
constexpr int kMaxStreamsPerConnection = 4096;
constexpr int kMaxReflectionThreads = 4;
// A peer has one, on a connection of its own.
constexpr int kMaxPeerStreamsPerConnection = 4;
// How long clients wait at a start for a peer that takes this node's stream and opens none of its
// own, or says that another has this node's name. Longer than name_taken_patience and retry_cap of
// PeerLinkOptions together, so that a node without a right to its name has been told to end before
// clients come.
constexpr Duration kPeersPatience = Duration::Seconds(5);
// For the answer of a node that may have a newer document; a start waits for it.
constexpr Duration kWordPatience = Duration::Seconds(1);
constexpr Duration kCloseStreams = Duration::Millis(300);

uint64_t MachineRandom() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

int ShardsOfThisMachine() {
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency() / 2, 1u, 64u));
}

template <typename T>
std::vector<T*> Pointers(const std::vector<std::unique_ptr<T>>& owned) {
  std::vector<T*> pointers;
  for (const auto& one : owned) pointers.push_back(one.get());
  return pointers;
}

// What both servers have in common.
void Prepare(const Config& config, grpc::ServerBuilder* builder) {
  // Two processes on one port would each get some of the connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              static_cast<int>(config.handshake.millis()));
  // Reflection is the one service with threads of its own. While it is not called they do not poll:
  // gRPC leaves that to the lanes where a server has both. A call has one that polls while it is
  // open; calls beyond these threads are refused.
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder->SetResourceQuota(grpc::ResourceQuota().SetMaxThreads(kMaxReflectionThreads));
}

std::chrono::system_clock::time_point In(Duration duration) {
  return std::chrono::system_clock::now() + std::chrono::microseconds(duration.micros());
}

}  // namespace

Gyred::Gyred(Config config, Owner owner)
    : config_(std::move(config)),
      owner_(std::move(owner)),
      started_(MonotonicNow()),
      random_(MachineRandom()),
      run_(random_.Next()) {}

Gyred::~Gyred() {
  if (const absl::Status status = Stop(); !status.ok()) {
    Log(LogLevel::kError, "stop", {{"why", status.ToString()}});
  }
}

absl::StatusOr<std::unique_ptr<Gyred>> Gyred::Start(Config config, Owner owner) {
  // gRPC stays for the life of the process: when its last user leaves, its own shutdown may wait
  // for a poller for as long as that had meant to sleep.
  static const bool held = [] {
    grpc_init();
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  static_cast<void>(held);
  std::unique_ptr<Gyred> gyred(new Gyred(std::move(config), std::move(owner)));
  const auto steps = {&Gyred::OpenPorts, &Gyred::OpenData, &Gyred::OpenServers,
                      &Gyred::PublishAddresses};
  for (const auto step : steps) {
    if (absl::Status status = ((*gyred).*step)(); !status.ok()) return status;
  }
  gyred->disk_.Watch([gyred = gyred.get()](const absl::Status& why) { gyred->OnDiskFailed(why); });
  return gyred;
}

// ------------------------------------------------------------------------------------------- start

absl::Status Gyred::OpenPorts() {
  const auto claim = [](const char* field, Address* address) -> absl::Status {
    absl::StatusOr<int> port = ClaimPort(field, *address);
    if (port.ok()) address->port = *port;
    return port.status();
  };
  if (absl::Status status = claim("client_listen", &config_.client_listen); !status.ok()) {
    return status;
  }
  if (absl::Status status = claim("peer_listen", &config_.peer_listen); !status.ok()) {
    return status;
  }
  if (config_.http) {
    if (absl::Status status = claim("http_listen", &config_.http_listen); !status.ok()) {
      return status;
    }
  }
  // What is told to others where the configuration left the port open.
  const auto fill = [](std::string* advertised, const Address& bound) {
    absl::StatusOr<Address> address = ParseAddress(*advertised);
    if (address.ok() && address->port == 0) {
      address->port = bound.port;
      *advertised = address->ToString();
    }
  };
  fill(&config_.self().client_address, config_.client_listen);
  fill(&config_.self().peer_address, config_.peer_listen);
  return absl::OkStatus();
}

absl::Status Gyred::OpenStore() {
  absl::StatusOr<std::string> store = PrepareDataDirectory(config_.data_dir);
  if (!store.ok()) return store.status();
  RocksEngine::Options options;
  options.path = *std::move(store);
  if (config_.block_cache_bytes == 0) {
    config_.block_cache_bytes = DefaultBlockCacheBytes(UsableMemoryBytes());
  }
  if (config_.record_cache_bytes == 0) {
    config_.record_cache_bytes = DefaultRecordCacheBytes(config_.block_cache_bytes);
  }
  options.block_cache_bytes = config_.block_cache_bytes;
  options.memtable_bytes = config_.memtable_bytes;
  options.wal_bytes = 3 * config_.memtable_bytes;
  options.on_failure = [this](const absl::Status& why) { disk_.Give(why); };
  absl::StatusOr<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(options);
  if (!engine.ok()) return engine.status();
  engine_ = *std::move(engine);
  absl::StatusOr<std::optional<Topology>> stored = Control::LoadTopology(*engine_->TakeSnapshot());
  if (!stored.ok()) return stored.status();
  const absl::Status known = config_.joins ? OpenAsJoining(*stored) : OpenAsListed(*stored);
  if (!known.ok()) {
    engine_.reset();  // nothing to mark as stopped
    return known;
  }
  absl::StatusOr<PeerRuns> met = PeerRuns::Load(*engine_);
  if (!met.ok()) return met.status();
  met_ = *std::move(met);
  return absl::OkStatus();
}

absl::Status Gyred::OpenAsListed(const std::optional<Topology>& stored) {
  absl::StatusOr<Topology> initial =
      InitialTopology(config_.cluster_name, config_.partitions, config_.members);
  if (!initial.ok()) return initial.status();
  initial_ = *std::move(initial);
  // Where there are others, they may be older builds.
  initial_.level = config_.members.size() == 1 ? config_.level : config_.first_level;
  ExpectedIdentity expected = {
      initial_.cluster,  config_.cluster_name, NodeIdFromName(initial_.cluster, config_.node_name),
      config_.node_name, initial_.slices,      PlacesOf(initial_.members)};
  if (stored.has_value()) expected.places_now = PlacesOf(stored->members);
  absl::StatusOr<Identity> identity = OpenIdentity(engine_.get(), expected, random_.Next() | 1);
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  self_ = identity_.node;
  const bool is_empty = !stored.has_value() && identity_.standing != Standing::kProven;
  return is_empty ? AskBeforeTheFirst() : absl::OkStatus();
}

// Of all, the newest: one of them may be as forgetful as this node. Where none answers, there may
// be no cluster yet; where one does that will not have this node, there is one.
absl::Status Gyred::AskBeforeTheFirst() {
  std::optional<Topology> newest;
  for (const std::string& seed : config_.seeds) {
    absl::StatusOr<Topology> said = AskSeeds(
        {.seeds = {seed}, .patience = kWordPatience, .give_up = owner_.give_up, .rounds = 1},
        RequestToJoin(0));
    if (!said.ok() && !absl::IsUnavailable(said.status())) return said.status();
    if (!said.ok()) {
      Log(LogLevel::kInfo, "seed_has_no_document",
          {{"seed", seed}, {"why", std::string(said.status().message())}});
    } else if (!newest.has_value() || said->epoch > newest->epoch) {
      newest = *std::move(said);
    }
  }
  if (!newest.has_value()) return absl::OkStatus();
  switch (JudgeLater(initial_, *newest, self_, Standing::kUnproven)) {
    case LaterDocument::kRemoved:
      return absl::FailedPreconditionError(absl::StrCat(
          "node \"", config_.node_name,
          "\" was removed from the cluster; to join again it is to be taken out of `members`"));
    case LaterDocument::kLost:
      break;
    case LaterDocument::kForeign:
      Log(LogLevel::kError, "document_of_another_cluster", {{"epoch", newest->epoch.value()}});
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
  Log(LogLevel::kError, "directory_was_lost",
      {{"epoch", newest->epoch.value()}, {"why", "a seed has a document that this node is in"}});
  WriteBatch batch = Control::StoreBatch(*newest);
  batch.Append(StandingBatch(Standing::kReplaced));
  identity_.standing = Standing::kReplaced;
  return engine_->Write(batch, WalSync::kYes);
}

// The identity, and with it the key, is durable before anybody is told of it: what is interrupted
// goes on as the same node.
absl::Status Gyred::OpenAsJoining(const std::optional<Topology>& stored) {
  absl::StatusOr<Topology> known = stored.has_value() ? *stored : AskToJoin(0);
  if (!known.ok()) return known.status();
  ExpectedIdentity expected = {ClusterIdFromName(config_.cluster_name),
                               config_.cluster_name,
                               NodeId(),
                               config_.node_name,
                               known->slices,
                               {}};
  expected.joins = true;
  absl::StatusOr<Identity> identity = OpenIdentity(engine_.get(), expected, random_.Next() | 1);
  if (!identity.ok()) return identity.status();
  identity_ = *std::move(identity);
  self_ = identity_.node;
  const bool removed = std::binary_search(known->removed.begin(), known->removed.end(), self_);
  if (removed || (stored.has_value() && FindMember(*known, self_) == nullptr)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "node \"", config_.node_name,
        "\" was removed from the cluster; to join again it needs an empty data directory"));
  }
  if (stored.has_value()) {
    initial_ = *std::move(known);
    return absl::OkStatus();
  }
  known = AskToJoin(identity_.instance);
  if (!known.ok()) return known.status();
  if (FindMember(*known, self_) == nullptr) {
    return absl::InternalError("a seed answered with a document in which this node is no member");
  }
  initial_ = *std::move(known);
  return engine_->Write(Control::StoreBatch(initial_), WalSync::kYes);
}

absl::StatusOr<Topology> Gyred::AskToJoin(uint64_t key) const {
  return AskSeeds({.seeds = config_.seeds, .give_up = owner_.give_up}, RequestToJoin(key));
}

peer::JoinRequest Gyred::RequestToJoin(uint64_t key) const {
  peer::JoinRequest request;
  request.set_version(kPeerProtocol);
  request.set_cluster_name(config_.cluster_name);
  request.set_node_name(config_.node_name);
  request.set_key(key);
  request.set_zone(config_.self().zone);
  request.set_client_address(config_.self().client_address);
  request.set_peer_address(config_.self().peer_address);
  request.set_waits(config_.self().state == MemberState::kWaiting);
  request.set_level(config_.level);
  return request;
}

// By the configuration alone: the document may be what is damaged.
std::string Gyred::AdviceAfterDamage() const {
  Refill refill = config_.members.size() > 1 ? Refill::kInPlace : Refill::kIfOthersJoined;
  if (config_.joins) refill = Refill::kByAnother;
  return DamageAdvice(config_.data_dir, config_.node_name, refill);
}

// That what is stored is damaged shows in any of these steps.
absl::Status Gyred::OpenData() {
  for (const auto step : {&Gyred::OpenStore, &Gyred::OpenNode}) {
    absl::Status status = (this->*step)();
    if (!status.ok()) {
      return ExplainDamage(std::move(status), AdviceAfterDamage());
    }
  }
  return absl::OkStatus();
}

absl::Status Gyred::OpenNode() {
  NodeOptions options;
  options.shard.max_exchanges = 2 * config_.max_in_flight;  // clients' and forwarded ones
  options.shard.await_peers = true;
  options.shard.repair.interval = config_.repair_interval;
  options.shard.periodic_sync = config_.periodic_sync;
  options.store.limits.max_siblings = kMaxSiblings;
  options.store.limits.max_record_bytes = kMaxRecordValueBytes;
  if (config_.shards == 0) config_.shards = ShardsOfThisMachine();
  options.shards = config_.shards;
  options.hints = config_.hints;
  options.store.log_most = config_.log_entries;
  options.shard.expiry = config_.expiry;
  options.shard.scrub = config_.scrub;
  options.shard.scrub.bytes_each_s =
      std::max<uint64_t>(1, config_.scrub.bytes_each_s / static_cast<uint64_t>(options.shards));
  options.record_cache_bytes = config_.record_cache_bytes;
  options.standing = identity_.standing;
  options.level = config_.level;
  options.store.fill_what_is_new = identity_.standing != Standing::kProven;
  options.membership = config_.membership;
  options.load = config_.load;
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Open(
      options, engine_.get(), initial_, self_, identity_.last_stop_clean, Random(random_.Next()));
  if (!node.ok()) return node.status();
  node_ = *std::move(node);
  const std::shared_ptr<const View> view = node_->control().view();
  standing_ = std::make_unique<StandingVote>(identity_.standing, view->topology().members.size(),
                                             [this](Standing standing) { OnStanding(standing); });
  pool_ = std::make_unique<StorePool>(engine_.get(), kReadThreads);
  std::vector<Member> peers = Others(*view);
  for (Member& peer : peers) {
    // The configuration knows where those that it lists are today.
    for (const Member& listed : config_.members) {
      if (listed.name == peer.name) peer.peer_address = listed.peer_address;
    }
  }
  links_ =
      std::make_unique<PeerLinks>(PeerLinkOptions{}, peers, Random(random_.Next()), LinkEvents());
  links_->SetMembers(Others(*view));
  seat_ = std::make_unique<ControlSeat>(&node_->control(), &node_->movement(), pool_.get(),
                                        links_.get(), &disk_);
  membership_ = std::make_unique<MembershipSeat>(node_.get(), links_.get());
  clients_ = std::make_unique<grpc::ServerBuilder>();
  for (int i = 0; i < node_->shards(); ++i) {
    Lane::Options lane;
    lane.index = i;
    lane.clock_answers = options.shard.clock_answers;
    lane.scrub = options.shard.scrub;
    lane.admission = config_.admission;
    lane.admission.most = std::min(lane.admission.most, config_.max_in_flight);
    lane.queue = clients_->AddCompletionQueue();
    const Lane::Seats seats = i == 0 ? Lane::Seats{seat_.get(), membership_.get()} : Lane::Seats();
    lanes_.push_back(
        std::make_unique<Lane>(std::move(lane), node_.get(), seats, pool_.get(), links_.get()));
  }
  Door::Options door;
  door.max_in_flight = config_.max_in_flight;
  door.max_in_flight_bytes = config_.max_in_flight_bytes;
  door_ = std::make_unique<Door>(door, view);
  door_->Attach(Pointers(lanes_));
  seat_->Attach(
      Pointers(lanes_), [this](std::shared_ptr<const View> newer) { OnView(std::move(newer)); },
      [this](const std::string& why) { owner_.on_fatal(why); });
  membership_->Attach(Pointers(lanes_), *view, InstantNow());
  for (const auto& lane : lanes_) {
    for (const Member& peer : peers) lane->OnPeer(peer.id, false);
    lane->Start();
  }
  return absl::OkStatus();
}

PeerLink::Events Gyred::LinkEvents() {
  PeerLink::Events events;
  events.on_peer = [this](NodeId node, bool reachable) {
    if (reachable) standing_->OnGreeted(node);
    for (const auto& lane : lanes_) lane->OnPeer(node, reachable);
  };
  events.on_level = [this](NodeId node, BuildLevel level) { lanes_.front()->OnLevel(node, level); };
  events.on_forgetful = [this] { standing_->OnForgetful(); };
  events.on_clock = [this](NodeId node, uint64_t wall_ms) {
    lanes_.front()->OnClock(node, wall_ms);
  };
  events.on_refused = [this](const std::string& why) { owner_.on_fatal(why); };
  events.hello = [this] { return Hello(); };
  return events;
}

bool Gyred::OnLaterDocument(NodeId from, const Topology& document) {
  const std::shared_ptr<const View> view = door_->view();
  const LaterDocument what = JudgeLater(view->topology(), document, self_, standing_->standing());
  // A change of this node's own that is under way would pass for it: so it is to be said twice.
  const bool was_second = std::exchange(is_second_, what == LaterDocument::kSecond);
  const auto say = [&](const char* why) {
    Log(LogLevel::kError, "later_document",
        {{"from", from.value()}, {"epoch", document.epoch.value()}, {"why", why}});
  };
  switch (what) {
    case LaterDocument::kNothing:
      return false;
    case LaterDocument::kForeign:
      say("it is of another cluster that has this one's name");
      return false;
    case LaterDocument::kRemoved:
      say("this node was removed");
      owner_.on_fatal("it has left the cluster, or was removed from it");
      return false;
    case LaterDocument::kSecond:
      if (!was_second) return false;
      say("this node forgot its cluster, and has made another of the same name");
      owner_.on_fatal(absl::StrCat(
          "it is a second cluster of this name: its data directory was lost, and tables were made "
          "since. What was written to those is in ",
          config_.data_dir,
          " alone; the cluster that there was goes on without it. To have this node back in that, "
          "move the directory away and start the node again"));
      return false;
    case LaterDocument::kLost:
      say("this node's data directory was lost: it is to be filled");
      standing_->OnForgetful();
      break;
    case LaterDocument::kNews:
      Log(LogLevel::kInfo, "later_document",
          {{"from", from.value()},
           {"epoch", document.epoch.value()},
           {"why", "who called is a member since this node was away"}});
      break;
  }
  PeerMessage news{0, document.epoch, PartitionId(), TopologyNews{EncodeTopology(document)}};
  lanes_.front()->Post([this, from, news = std::move(news)](Instant now) mutable {
    seat_->OnMessage(from, std::move(news), now);
  });
  return true;
}

void Gyred::OnStanding(Standing standing) {
  // Should it not be durable when the process ends, the peers say it again.
  pool_->Commit(StandingBatch(standing), WalSync::kYes, [](const absl::Status&) {});
  for (const auto& lane : lanes_) {
    standing == Standing::kProven ? lane->OnProven() : lane->OnForgetful();
  }
}

absl::Status Gyred::OpenServers() {
  admin_ =
      std::make_unique<Admin>(Admin::Parts{door_.get(), seat_.get(), membership_.get(), pool_.get(),
                                           links_.get(), &disk_, &pace_, Pointers(lanes_)},
                              started_);
  client_service_ = std::make_unique<ClientService>(door_.get(), admin_.get());
  outside_ = std::make_unique<OutsideWord>(
      [this](const std::string& address, const std::function<bool()>& gives_up) {
        return AskSeeds(
            {.seeds = {address}, .patience = kWordPatience, .give_up = gives_up, .rounds = 1},
            RequestToJoin(0));
      },
      [this](NodeId from, const Topology& document) { return OnLaterDocument(from, document); });
  peer_service_ = std::make_unique<PeerService>(
      config_.cluster_name,
      PeerService::Questions{
          [this] { return Hello(); },
          [this](NodeId node) { return door_->view()->FindMember(node) != nullptr; },
          [this](const peer::JoinRequest& request, PeerService::JoinDone done) {
            OnJoin(request, std::move(done));
          },
          [this](const peer::Hello& hello) {
            outside_->OnStranger(NodeId(hello.node()), hello.peer_address());
          }},
      links_.get(),
      [this](NodeId from, std::vector<PeerMessage> messages, std::shared_ptr<void> ticket) {
        OnPeerMessages(from, std::move(messages), std::move(ticket));
      },
      PeerService::Memory{std::move(met_),
                          [this](WriteBatch batch) {
                            pool_->Commit(std::move(batch), WalSync::kYes, [](const auto&) {});
                          }},
      PeerService::Options());
  if (absl::Status status = OpenPeerServer(); !status.ok()) return status;
  std::vector<grpc::CompletionQueue*> queues;
  for (const auto& lane : lanes_) queues.push_back(lane->queue());
  links_->Start(queues);
  const bool knows_nobody = door_->view()->topology().members.size() == 1;
  if (knows_nobody && identity_.standing != Standing::kProven) {
    outside_->AwaitTaken(config_.alone_patience);
  }
  standing_->OnStart();
  // Clients come the moment they can, and a node that cannot reach its peers yet fails them.
  links_->WaitUntilSettled(kPeersPatience);
  for (const auto& lane : lanes_) lane->OnHeardPeers();
  if (absl::Status status = OpenClientServer(); !status.ok()) return status;

  metrics_ = std::make_unique<Metrics>(
      Metrics::Parts{door_.get(), pool_.get(), links_.get(), peer_service_.get(), seat_.get(),
                     membership_.get(), engine_.get(), &disk_, config_.data_dir, Pointers(lanes_)});
  if (!config_.http) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<HttpDoor>> http = HttpDoor::Open(
      config_.http_listen, {[this] { return metrics_->Text(); }, [this] { return Trouble(); }});
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  return absl::OkStatus();
}

absl::Status Gyred::OpenPeerServer() {
  grpc::ServerBuilder peers;
  Prepare(config_, &peers);
  peers.SetMaxReceiveMessageSize(static_cast<int>(kMaxPeerMessageBytes));
  peers.SetMaxSendMessageSize(static_cast<int>(kMaxPeerMessageBytes));
  peers.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 100);
  peers.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);
  peers.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  peers.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  peers.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // there is none this way
  peers.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxPeerStreamsPerConnection);
  peers.AddListeningPort(config_.peer_listen.ToString(), grpc::InsecureServerCredentials());
  peers.RegisterService(peer_service_->grpc_service());
  peers.RegisterAsyncGenericService(unknown_to_peers_.grpc_service());
  // gRPC wants a server to have a queue of its own. Nothing is asked for on this one.
  no_queue_ = peers.AddCompletionQueue();
  std::vector<grpc::ServerCompletionQueue*> queues;
  for (const auto& lane : lanes_) queues.push_back(lane->server_queue());
  peer_server_ = BuildOn(&peers, queues);
  if (peer_server_ == nullptr) return CannotListen("peer_listen", config_.peer_listen);
  for (grpc::ServerCompletionQueue* const queue : queues) {
    peer_service_->Await(queue);
    unknown_to_peers_.Await(queue);
  }
  return absl::OkStatus();
}

absl::Status Gyred::OpenClientServer() {
  grpc::ServerBuilder& clients = *clients_;
  Prepare(config_, &clients);
  clients.SetMaxReceiveMessageSize(static_cast<int>(kMaxMessageBytes + kMessageSlackBytes));
  clients.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  clients.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             static_cast<int>(config_.keepalive.millis()));
  clients.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             static_cast<int>(config_.keepalive_timeout.millis()));
  clients.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  clients.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  clients.AddListeningPort(config_.client_listen.ToString(), grpc::InsecureServerCredentials());
  health_ = std::make_unique<HealthService>();
  clients.RegisterService(client_service_->grpc_service());
  clients.RegisterService(health_->grpc_service());
  clients.RegisterAsyncGenericService(unknown_to_clients_.grpc_service());
  client_server_ = clients.BuildAndStart();
  clients_.reset();
  if (client_server_ == nullptr) return CannotListen("client_listen", config_.client_listen);
  for (const auto& lane : lanes_) {
    client_service_->Await(lane->server_queue());
    health_->Await(lane->server_queue());
    unknown_to_clients_.Await(lane->server_queue());
  }
  return absl::OkStatus();
}

absl::Status Gyred::PublishAddresses() {
  const auto is_told = [this] {
    if (disk_.happened()) return true;  // it proposes nothing more
    const Member& mine = config_.self();
    const std::shared_ptr<const View> view = door_->view();
    const Member* known = view->FindMember(self_);
    return known == nullptr || (known->client_address == mine.client_address &&
                                known->peer_address == mine.peer_address);
  };
  const auto propose = [this](AddressNotice::Done done) {
    seat_->Propose(
        [self = self_, mine = config_.self()](const Topology& topology) {
          return SetAddresses(topology, self, mine.client_address, mine.peer_address);
        },
        [done](const absl::StatusOr<Topology>& topology) { done(topology.status()); },
        Changed::kMembers);
  };
  // Alone, it is done in a moment; with others, when a majority is there: nobody waits for that.
  if (door_->view()->topology().members.size() == 1 && !is_told()) {
    auto done = std::make_shared<std::promise<absl::Status>>();
    propose([done](const absl::Status& status) { done->set_value(status); });
    if (absl::Status status = done->get_future().get(); !status.ok()) return status;
  }
  const auto on_failure = [](const absl::Status& why) {
    Log(LogLevel::kWarn, "address_not_published",
        {{"why", std::string(why.message())},
         {"again_in_ms", static_cast<int64_t>(AddressNotice::kPause.count())}});
  };
  notice_.emplace(AddressNotice::Parts{is_told, propose, on_failure});
  return absl::OkStatus();
}

std::vector<Member> Gyred::Others(const View& view) const {
  // The dead, too: one that was declared so in error answers for its copies until they have moved,
  // and hears of it. Where another node is at its address by now, that one says so (Hello.wanted).
  std::vector<Member> others = view.topology().members;
  std::erase_if(others, [&](const Member& member) { return member.id == self_; });
  return others;
}

// ------------------------------------------------------------------------------------------
// service

peer::Hello Gyred::Hello() const {
  peer::Hello hello;
  hello.set_cluster(initial_.cluster.value());
  hello.set_node(self_.value());
  hello.set_node_name(config_.node_name);
  hello.set_instance(identity_.instance);
  hello.set_epoch(door_->epoch().value());
  hello.set_version(kPeerProtocol);
  hello.set_boots(identity_.boots);
  hello.set_run(run_);
  hello.set_unproven(standing_->standing() == Standing::kUnproven);
  hello.set_slices(initial_.slices);
  hello.set_peer_address(config_.self().peer_address);
  hello.set_level(config_.level);
  hello.set_cluster_level(door_->view()->topology().level);
  const std::vector<std::string> places = PlacesOf(config_.members);
  if (places == PlacesOf(door_->view()->topology().members)) {
    for (const std::string& place : places) hello.add_places(place);
  }
  return hello;
}

void Gyred::OnView(std::shared_ptr<const View> view) {
  membership_->OnView(*view, MonotonicNow());
  pace_.OnView(view->topology(), MonotonicNow());
  links_->SetMembers(Others(*view));
  const bool is_member = view->FindMember(self_) != nullptr;
  door_->SetView(std::move(view));
  if (!is_member) owner_.on_fatal("it has left the cluster, or was removed from it");
}

void Gyred::OnJoin(const peer::JoinRequest& request, PeerService::JoinDone done) {
  if (request.version() != kPeerProtocol) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("node \"", request.node_name(), "\" speaks version ", request.version(),
                     " of the peers' protocol, this node version ", kPeerProtocol)));
  }
  if (request.cluster_name() != config_.cluster_name) {
    return done(absl::FailedPreconditionError(absl::StrCat(
        "this is cluster \"", config_.cluster_name, "\", not \"", request.cluster_name(), "\"")));
  }
  if (door_->draining()) return done(Draining());
  const auto answer = [](const Topology& topology) {
    peer::JoinReply reply;
    reply.set_topology(EncodeTopology(topology));
    return reply;
  };
  const BuildLevel level = LevelSaid(request.level());
  const std::shared_ptr<const View> view = door_->view();
  const Topology& now = view->topology();
  if (level < now.level) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("node \"", request.node_name(), "\" ", OutgrownWords(level, now.level))));
  }
  if (request.key() == 0) return done(answer(now));
  absl::StatusOr<Member> member = JoiningMember(request);
  if (!member.ok()) return done(member.status());
  std::shared_ptr<void> taken = joins_.TryTake();
  if (taken == nullptr) {
    return done(absl::ResourceExhaustedError("too many nodes are being let in; ask again"));
  }
  seat_->Propose([member = *std::move(member),
                  level](const Topology& topology) { return AddMember(topology, member, level); },
                 [answer, taken = std::move(taken),
                  done = std::move(done)](const absl::StatusOr<Topology>& topology) mutable {
                   taken.reset();
                   if (!topology.ok()) return done(topology.status());
                   done(answer(*topology));
                 },
                 Changed::kMembers);
}

void Gyred::OnPeerMessages(NodeId from, std::vector<PeerMessage> messages,
                           std::shared_ptr<void> ticket) {
  const Epoch mine = door_->epoch();
  std::vector<std::vector<PeerMessage>> parts(lanes_.size());
  Epoch other = mine;
  for (PeerMessage& message : messages) {
    if (message.epoch != mine) other = std::max(other == mine ? Epoch() : other, message.epoch);
    const bool of_the_node = message.partition == PartitionId();
    parts[of_the_node ? 0 : node_->ShardOf(message.partition)].push_back(std::move(message));
  }
  if (other != mine) {
    lanes_.front()->Post([this, from, other](Instant now) { seat_->OnEpochOf(from, other, now); });
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].empty()) lanes_[i]->OnMessages(from, std::move(parts[i]), ticket);
  }
}

// What was never confirmed may have been an older copy of this data; the next process must find
// out.
bool Gyred::KnowsItsLives() const {
  if (node_ == nullptr) return false;
  for (int i = 0; i < node_->shards(); ++i) {
    if (!node_->shard(i).AllConfirmed()) return false;
  }
  return true;
}

std::string Gyred::Trouble() const {
  if (door_->draining()) return "draining";
  return disk_.Words();
}

// On a thread of the store's.
void Gyred::OnDiskFailed(const absl::Status& why) {
  std::string advice = "look at the disk and the kernel's log, then restart this node";
  if (disk_.full()) advice = "make room, then restart this node";
  if (absl::IsDataLoss(why)) advice = AdviceAfterDamage();
  Log(LogLevel::kError, "disk_failed",
      {{"why", std::string(why.message())},
       {"full", disk_.full()},
       {"data_dir", config_.data_dir},
       {"do", advice}});
  for (const auto& lane : lanes_) lane->OnDiskFailed();
  health_->StopServing();
  // The end of the streams ends what peers have under way here, and from then on they ask others
  // first; an answer that refuses would let them come again with each request.
  links_->Leave();
  peer_service_->Leave(absl::StrCat("the disk of node \"", config_.node_name, "\" failed"));
}

// ---------------------------------------------------------------------------------------------
// stop

absl::Status Gyred::Stop() {
  if (std::exchange(stopped_, true)) return absl::OkStatus();
  notice_.reset();
  disk_.Watch(nullptr);
  const Time deadline = MonotonicNow() + config_.drain;
  if (door_ != nullptr) door_->StartDraining();
  if (client_server_ != nullptr) {
    health_->StopServing();
    while (door_->in_flight() > 0 && MonotonicNow() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    client_service_->DrainSessions();
    client_server_->Shutdown(In(std::clamp(deadline - MonotonicNow(), Duration(), kCloseStreams)));
    client_service_->AwaitEnd();
    health_->AwaitEnd();
    unknown_to_clients_.AwaitEnd();
  }
  if (outside_ != nullptr) outside_->Stop();
  if (links_ != nullptr) links_->Stop();
  if (peer_server_ != nullptr) {
    peer_server_->Shutdown(In(Duration()));
    peer_service_->AwaitEnd();
    unknown_to_peers_.AwaitEnd();
    no_queue_->Shutdown();
  }
  http_.reset();
  for (const auto& lane : lanes_) lane->Stop();
  if (pool_ != nullptr) pool_->Stop();
  if (engine_ == nullptr) return absl::OkStatus();
  if (KnowsItsLives()) {
    if (absl::Status status = MarkClean(engine_.get()); !status.ok()) return status;
  }
  return engine_->Flush();
}

}  // namespace gyre
