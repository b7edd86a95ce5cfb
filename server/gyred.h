// Gyred: one whole node, from a configuration to open doors and back. It owns every part and the
// order in which they start and stop.
//
// Thread rule: Start and Stop from one thread. `on_fatal` may be called from any other.

#ifndef GYRE_SERVER_GYRED_H_
#define GYRE_SERVER_GYRED_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ring/random.h"
#include "server/address_notice.h"
#include "server/admin.h"
#include "server/call_seats.h"
#include "server/client_service.h"
#include "server/config.h"
#include "server/control_seat.h"
#include "server/disk_failure.h"
#include "server/door.h"
#include "server/health_service.h"
#include "server/http_door.h"
#include "server/lane.h"
#include "server/membership_seat.h"
#include "server/metrics.h"
#include "server/move_pace.h"
#include "server/node.h"
#include "server/outside_word.h"
#include "server/peer_links.h"
#include "server/peer_service.h"
#include "server/standing_vote.h"
#include "server/store_pool.h"
#include "server/unknown_calls.h"
#include "storage/identity.h"
#include "storage/peer_runs.h"
#include "storage/rocks_engine.h"

namespace gyre {

class Gyred {
 public:
  // Nodes that are let in at once; one more is told to ask again.
  static constexpr int kMaxJoins = 64;

  struct Owner {
    // The node cannot go on, and why: it is to be stopped.
    std::function<void(std::string)> on_fatal;
    // Whether the start is to be given up, where that waits for others. Null: it never is.
    std::function<bool()> give_up = {};
  };
  // Opens everything. The error says what is in the way: a port, the data directory, the disk, the
  // cluster that will not have the node.
  static absl::StatusOr<std::unique_ptr<Gyred>> Start(Config config, Owner owner);
  Gyred(const Gyred&) = delete;
  Gyred& operator=(const Gyred&) = delete;
  ~Gyred();

  // Refuses new requests, waits for those in flight (config.drain at most), closes the streams, and
  // leaves the data directory marked as cleanly stopped. The error is of the last.
  absl::Status Stop();

  // With the ports that were bound, and the size of the block cache.
  const Config& config() const { return config_; }

 private:
  Gyred(Config config, Owner owner);

  absl::Status OpenPorts();
  absl::Status OpenData();
  // What to do where the store is damaged.
  std::string AdviceAfterDamage() const;
  absl::Status OpenStore();
  // Which cluster this is, and which node: by the configuration, or by the data directory and the
  // seeds where the node joins.
  absl::Status OpenAsListed(const std::optional<Topology>& stored);
  absl::Status OpenAsJoining(const std::optional<Topology>& stored);
  // A listed node with an empty directory: whether a seed knows of a cluster that it has forgotten.
  absl::Status AskBeforeTheFirst();
  absl::StatusOr<Topology> AskToJoin(uint64_t key) const;
  peer::JoinRequest RequestToJoin(uint64_t key) const;
  absl::Status OpenNode();
  PeerLink::Events LinkEvents();
  // A document from outside (server/outside_word.h). Whether it is this node's from now on.
  bool OnLaterDocument(NodeId from, const Topology& document);
  // The data directory's standing is another from now on. That it is kReplaced, and so holds less
  // than it did or than the one before it, may be said again. One call at a time.
  void OnStanding(Standing standing);
  // Whether the next process may take it that this data is the newest there was. REQUIRES: the
  // lanes have stopped.
  bool KnowsItsLives() const;
  absl::Status OpenServers();
  absl::Status OpenPeerServer();
  absl::Status OpenClientServer();
  // Members that moved since the last run (another port, another host) tell so, whenever the
  // document says otherwise: that of the start may be behind.
  absl::Status PublishAddresses();
  // The others, where the view has them.
  std::vector<Member> Others(const View& view) const;
  // Every shard serves under it.
  void OnView(std::shared_ptr<const View> view);
  void OnJoin(const peer::JoinRequest& request, PeerService::JoinDone done);
  void OnPeerMessages(NodeId from, std::vector<PeerMessage> messages, std::shared_ptr<void> ticket);
  peer::Hello Hello() const;
  std::string Trouble() const;
  // This node acknowledges nothing more, and whoever asks it is sent to others: at once, not by a
  // timeout.
  void OnDiskFailed(const absl::Status& why);

  Config config_;
  const Owner owner_;
  const Time started_;
  Random random_;
  const uint64_t run_;  // tells this process from any other on the same data directory

  // In the order in which they start.
  Topology initial_;  // of the configuration, or the first that the node was told of
  NodeId self_;
  DiskFailure disk_;  // engine_ gives it
  std::unique_ptr<RocksEngine> engine_;
  Identity identity_;
  std::unique_ptr<StandingVote> standing_;
  PeerRuns met_;  // as of the start; PeerService has it from then on
  std::unique_ptr<Node> node_;
  std::unique_ptr<StorePool> pool_;
  std::unique_ptr<PeerLinks> links_;
  std::unique_ptr<ControlSeat> seat_;
  std::unique_ptr<MembershipSeat> membership_;
  std::unique_ptr<grpc::ServerBuilder> clients_;  // until its server is built
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<Door> door_;
  MovePace pace_;
  bool is_second_ = false;  // by the last document from outside; of its thread
  std::unique_ptr<OutsideWord> outside_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<ClientService> client_service_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<PeerService> peer_service_;
  CallSeats joins_{kMaxJoins};
  UnknownCalls unknown_to_peers_;
  UnknownCalls unknown_to_clients_;
  std::unique_ptr<grpc::ServerCompletionQueue> no_queue_;  // see OpenPeerServer
  std::unique_ptr<grpc::Server> peer_server_;
  std::unique_ptr<grpc::Server> client_server_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<HttpDoor> http_;
  std::optional<AddressNotice> notice_;
  bool stopped_ = false;
};

}  // namespace gyre

#endif  // GYRE_SERVER_GYRED_H_
