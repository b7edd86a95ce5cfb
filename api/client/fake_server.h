// FakeCluster: nodes inside the test's process that speak the client contract over loopback, share
// one store, and do to a request what the test tells them: serve it, refuse it, ignore it, drop the
// stream under it, or hold the answer back. For tests of the SDK and of the CLI.
//
// Nothing in it waits for real time. Thread-safe.

#ifndef GYRE_API_CLIENT_FAKE_SERVER_H_
#define GYRE_API_CLIENT_FAKE_SERVER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "api/proto/gyre.grpc.pb.h"
#include "grpcpp/server.h"

namespace gyre {

class FakeCluster;

// What a node does with one request on the stream.
struct Verdict {
  enum Kind {
    kServe,
    kRefuse,          // answer with `error`
    kIgnore,          // no effect, no answer
    kServeAndIgnore,  // takes effect, no answer
    kDropStream,      // no effect, and the stream ends with an error
    kServeAndDrop,    // takes effect, and the stream ends before the answer
  };
  Kind kind = kServe;
  v1::Status error = {};

  static Verdict Refuse(int code, v1::ErrorDetail detail);
  static Verdict Refuse(int code, v1::ErrorDetail::Reason reason);
};

class FakeNode final : public v1::Gyre::CallbackService {
 public:
  using Script = std::function<Verdict(const v1::ClientRequest&)>;

  FakeNode(FakeCluster* cluster, std::string name);
  ~FakeNode() override;

  const std::string& name() const { return name_; }
  const std::string& address() const { return address_; }

  // For every request from now on; null: serve.
  void SetScript(Script script);
  // Answers wait until Release.
  void Hold();
  void Release();
  // The next request for the topology is never answered.
  void SwallowTopologyOnce();
  // Changes of members are never answered.
  void SwallowChanges();
  // It fails after each change of a member, and before it has said so; who leaves, or is dead, is
  // no member any more by then.
  void LoseChangeReplies();
  // The process dies: connections break, nobody listens. Restart listens on the same port.
  void Stop();
  void Restart();
  bool is_running() const;

  // The clock that it shows with its answers; each frame that has come said one, too.
  static constexpr uint64_t kClockUs = 1'000'000;
  std::vector<uint64_t> clocks_seen() const;

  // How long the last change of a table might have taken when it came.
  absl::Duration allowed_for_change() const;

  std::vector<v1::ClientRequest> seen() const;
  size_t frames() const;
  // Returns when the node has seen so many requests since it was made.
  void AwaitSeen(size_t requests);

  // The service.
  grpc::ServerBidiReactor<v1::ClientFrame, v1::ServerFrame>* Session(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const v1::GetTopologyRequest* request,
                                        v1::GetTopologyReply* reply) override;
  grpc::ServerUnaryReactor* CreateTable(grpc::CallbackServerContext* context,
                                        const v1::CreateTableRequest* request,
                                        v1::CreateTableReply* reply) override;
  grpc::ServerUnaryReactor* ListTables(grpc::CallbackServerContext* context,
                                       const v1::ListTablesRequest* request,
                                       v1::ListTablesReply* reply) override;
  grpc::ServerUnaryReactor* DescribeTable(grpc::CallbackServerContext* context,
                                          const v1::DescribeTableRequest* request,
                                          v1::DescribeTableReply* reply) override;
  grpc::ServerUnaryReactor* DropTable(grpc::CallbackServerContext* context,
                                      const v1::DropTableRequest* request,
                                      v1::DropTableReply* reply) override;
  grpc::ServerUnaryReactor* ChangeMember(grpc::CallbackServerContext* context,
                                         const v1::ChangeMemberRequest* request,
                                         v1::ChangeMemberReply* reply) override;
  grpc::ServerUnaryReactor* ListTransfers(grpc::CallbackServerContext* context,
                                          const v1::ListTransfersRequest* request,
                                          v1::ListTransfersReply* reply) override;
  grpc::ServerUnaryReactor* NodeStatus(grpc::CallbackServerContext* context,
                                       const v1::NodeStatusRequest* request,
                                       v1::NodeStatusReply* reply) override;
  grpc::ServerUnaryReactor* ScanPartition(grpc::CallbackServerContext* context,
                                          const v1::ScanPartitionRequest* request,
                                          v1::ScanPartitionReply* reply) override;

 private:
  class Stream;

  void Listen(const std::string& address);
  void OnFrame(Stream* stream, const v1::ClientFrame& frame);
  void NoteChange(const grpc::CallbackServerContext& context);

  FakeCluster* const cluster_;
  const std::string name_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;

  mutable std::mutex mutex_;
  std::condition_variable seen_more_;
  Script script_;
  bool running_ = false;
  bool holding_ = false;
  bool swallowing_ = false;
  bool swallowing_changes_ = false;
  bool losing_change_replies_ = false;
  std::vector<v1::ClientRequest> seen_;
  std::vector<uint64_t> clocks_seen_;  // one of each frame
  absl::Duration allowed_for_change_;
  std::set<Stream*> streams_;
};

class FakeCluster {
 public:
  static constexpr uint32_t kSlices = 8;

  // Nodes "n0", "n1", ... and one table, "t". Slice s belongs to nodes s, s+1, s+2 modulo the
  // number of nodes, in this order.
  explicit FakeCluster(int nodes = 3);
  ~FakeCluster();

  FakeNode& node(size_t index) { return *nodes_[index]; }
  size_t size() const { return nodes_.size(); }
  std::vector<std::string> addresses() const;

  // The next epoch: every slice's owners move on by one node. Returns the epoch.
  uint64_t Rotate();
  v1::GetTopologyReply topology() const;
  uint64_t epoch() const;
  // Index of the first owner of a key of table "t", by today's topology.
  size_t OwnerOf(const std::string& key) const;
  // A key of table "t" whose first owner is that node.
  std::string KeyOwnedBy(size_t node) const;

  // The store.
  v1::ClientReply Serve(const v1::ClientRequest& request);
  // How many writes to the key took effect; those with one idempotency key count once.
  int EffectsOn(const std::string& key) const;
  void Fill(const v1::ScanPartitionRequest& request, v1::ScanPartitionReply* reply) const;

  // What changes of members answer; and what moves, with each question about it one of these, and
  // then the last of them again and again.
  void SetChangeReply(v1::ChangeMemberReply reply);
  void SetTransfers(std::deque<v1::ListTransfersReply> replies);
  // Nothing: there is no such member. Changes its state, or its zone, unless it is a plan.
  std::optional<v1::ChangeMemberReply> Change(const v1::ChangeMemberRequest& request);
  // It is no member any more, and its partitions are the first member's.
  void Forget(const std::string& member);
  v1::ListTransfersReply Transfers();
  std::vector<v1::ChangeMemberRequest> changes_seen() const;

  // Nothing: it is a table now. ALREADY_EXISTS otherwise.
  std::optional<v1::Table> Create(const v1::Table& table);
  bool Drop(const std::string& table);

 private:
  bool FirstTime(const std::string& key, const std::string& idempotency_key);

  mutable std::mutex mutex_;
  v1::GetTopologyReply topology_;
  uint32_t rotation_ = 0;
  uint32_t last_table_id_ = 1;
  std::map<std::string, std::vector<std::string>> values_;  // of all tables: table + '/' + key
  std::map<std::string, uint64_t> ttls_ms_;  // likewise, of the last put where it had one
  std::map<std::string, int> effects_;
  std::set<std::string> idempotency_keys_;
  v1::ChangeMemberReply change_reply_;
  std::vector<v1::ChangeMemberRequest> changes_seen_;
  std::deque<v1::ListTransfersReply> transfers_;
  std::vector<std::unique_ptr<FakeNode>> nodes_;
};

}  // namespace gyre

#endif  // GYRE_API_CLIENT_FAKE_SERVER_H_
