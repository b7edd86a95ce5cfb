// Client: the C++ SDK of Gyre. Thread-safe; one client per process and cluster is enough.
//
// Worked example, with `addresses` such as {"10.0.0.1:7100", "10.0.0.2:7100"} (compiled and run as
// client_example_test.cc):
//
//   absl::StatusOr<std::unique_ptr<gyre::Client>> client =
//       gyre::Client::Connect({.seeds = addresses});
//   if (!client.ok()) return client.status();
//
//   // A table once, from any client: three copies of everything, read and written at two.
//   gyre::v1::Table carts;
//   carts.set_name("carts");
//   carts.set_replicas(3);
//   if (auto made = (*client)->CreateTable(carts); !made.ok()) return made.status();
//
//   // Write, and wait for the outcome.
//   absl::StatusOr<gyre::PutResult> put = (*client)->Put("carts", "ada", "tea").get();
//   if (!put.ok()) return put.status();
//
//   // Read, change, write back with the context of the read: it replaces what was read and only
//   // that. A write that somebody else made meanwhile stays beside it, as a sibling.
//   absl::StatusOr<gyre::GetResult> cart = (*client)->Get("carts", "ada").get();
//   if (!cart.ok()) return cart.status();
//   std::string merged;
//   for (const std::string& sibling : cart->values) merged += sibling + ",";
//   merged += "cups";
//   put = (*client)->Put("carts", "ada", merged, {.context = cart->context}).get();
//   if (!put.ok()) return put.status();
//
//   // Many at once, without a thread for each: a callback instead of a future.
//   std::promise<void> read;
//   (*client)->Get("carts", "ada", {}, [&](absl::StatusOr<gyre::GetResult> result) {
//     if (result.ok() && result->found()) std::cout << result->values.front() << "\n";
//     read.set_value();
//   });
//   read.get_future().wait();
//
// What it does for its callers
//   Routing     each request goes straight to an owner of its key, by the topology that the client
//               fetches at the start and again when a reply names a newer epoch.
//   Pipelining  one stream to each node carries all requests; what is ready while a frame is being
//               written goes into the next one.
//   Deadlines   `timeout` spans all attempts. After it the request fails with DEADLINE_EXCEEDED.
//   Retries     on the next owner, after an exponential back-off with full jitter, as long as the
//               retry budget lasts (10 % of what succeeds). A lost connection fails over at once
//               and outside the budget. Every write carries a random idempotency key over all its
//               attempts, so it has one effect however often it is sent.
//   Dead nodes  are not asked: a circuit breaker for each opens on a lost connection or on silence,
//               and closes when the node answers again.
//   Overload    a node that refuses much is sent one and a half times what it serves; the rest is
//               refused here, as it would there (throttle.h). Who is refused may come again after
//               the retry_after_ms of its error.
//   Bounds      outstanding requests and bytes; over them a request fails at once with
//               RESOURCE_EXHAUSTED.
//
// Errors are absl::Status with the codes of api/proto/gyre.proto; GetErrorDetail (error_detail.h)
// tells the rest. A write that fails with `outcome_unknown` in its detail may still take effect.
//
// Callbacks run on threads of the client's, two at times, or before the call returns if the request
// is refused at once. They should be short: while one runs, all other replies wait, and nodes that
// are not read for half of a request's time count as silent. They may start requests; they
// must not wait for any (no future.get(), which cannot be checked) and must not call the blocking
// functions below, which answer FAILED_PRECONDITION there. Nor may they destroy the client.

#ifndef GYRE_API_CLIENT_CLIENT_H_
#define GYRE_API_CLIENT_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/client/batch_scope.h"
#include "api/client/client_stats.h"
#include "api/client/error_detail.h"
#include "api/client/node_stream.h"
#include "api/client/results.h"
#include "api/client/retry_budget.h"
#include "api/client/retry_policy.h"
#include "api/proto/gyre.pb.h"

namespace gyre {
inline namespace sdk {

class Dispatcher;
struct Operation;

struct ClientOptions {
  // host:port of some nodes, at least one of them alive. They are asked for the topology, and for
  // data when no member can be reached at the address that it advertises.
  std::vector<std::string> seeds = {};
  // For a request that names none, over all its attempts. 1 ms to 60 s; default 2 s. Short of a few
  // round trips there is no time for a second attempt.
  absl::Duration timeout = absl::Seconds(2);
  // For CreateTable, DropTable and ChangeMember, over all nodes that are asked. A change of the
  // topology goes over a majority of the voters and then waits a second for members that do not
  // answer. 1 ms to 60 s; default 10 s.
  absl::Duration change_timeout = absl::Seconds(10);
  // Connect goes over the seeds once, and again until this has passed. Default 2 s. Zero: once, and
  // waits up to a second for each.
  absl::Duration connect_timeout = absl::Seconds(2);
  // Requests accepted and not yet answered, each item of a multi request being one. Default 16,384.
  uint64_t max_outstanding = 16'384;
  // Bytes of their keys, values and contexts. Default 256 MiB. Each may be in memory twice.
  size_t max_outstanding_bytes = size_t{256} << 20;
  // The largest request that is sent. Default: the server's limit of 4 MiB for a message, less what
  // surrounds the request. One over it would end the stream for all others.
  size_t max_request_bytes = (size_t{4} << 20) - 1024;

  NodeStreamOptions stream = {};         // window, frames and circuit breaker of each node
  BackOffOptions back_off = {};          // wait between attempts
  RetryBudgetOptions retry_budget = {};  // share of traffic that may be retries
};

// What is absent, zero or empty is the table's default, or the client's for `timeout`.
struct ReadOptions {
  std::optional<uint32_t> read_quorum = {};  // R: answers to wait for, 1 to N
  absl::Duration timeout = {};
  bool explain = false;  // tell every replica's part in `info`
  bool strict = false;   // owners' copies only, though the table's quorum is sloppy
};

enum class WriteMode {
  kDefault,  // replaces what the context covers; without one, what the coordinator knows
  kBlind,    // replaces nothing; the new value is a sibling of all others
};

struct WriteOptions {
  // Of a read or write of the same key: the write replaces what that has seen, and only that. Empty
  // means none, not "has seen nothing": by WriteMode::kDefault the write then replaces whatever its
  // coordinator holds, unread. A caller who lost its context must read again, or write kBlind.
  std::string context = {};
  WriteMode mode = WriteMode::kDefault;
  std::optional<uint32_t> write_quorum = {};  // W: durable copies to wait for, 1 to N
  absl::Duration timeout = {};
  bool explain = false;
  bool strict = false;  // as in ReadOptions
  // Of a put: how long the value lives. 1 ms to 100 years, rounded up to whole milliseconds;
  // absl::InfiniteDuration(): for ever; absent: as the table says. Any other is INVALID_ARGUMENT.
  std::optional<absl::Duration> ttl = {};
  // 16 bytes, random, never used for another write. Empty: the client draws one. Name it to retry
  // a write whose outcome is unknown, perhaps from another process, with one effect.
  std::string idempotency_key = {};
};

struct PutItem {
  std::string key = {};
  std::string value = {};
  std::string context = {};  // as in WriteOptions
  WriteMode mode = WriteMode::kDefault;
  std::optional<absl::Duration> ttl = {};  // as in WriteOptions
};

struct MultiWriteOptions {
  std::optional<uint32_t> write_quorum = {};
  absl::Duration timeout = {};
  bool explain = false;
  bool strict = false;
};

struct ScanOptions {
  std::string after_key = {};  // go on after this key; empty: from the start
  uint32_t limit = 0;          // items, 1 to 1,000; default 100
  bool keys_only = false;
  std::string node = {};  // the replica to read, by name; empty: the first owner that answers
  absl::Duration timeout = {};
};

class Client {
 public:
  // Blocks until a seed has answered with the topology.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  // Requests that are not answered fail with CANCELLED; when it returns, no callback runs, and no
  // thread or connection is left. No other thread may be inside a call of this client.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // ------------------------------------------------------------------------------------- requests

  void Put(std::string_view table, std::string_view key, std::string value, WriteOptions options,
           PutCallback done);
  std::future<absl::StatusOr<PutResult>> Put(std::string_view table, std::string_view key,
                                             std::string value, WriteOptions options = {});

  void Get(std::string_view table, std::string_view key, const ReadOptions& options,
           GetCallback done);
  std::future<absl::StatusOr<GetResult>> Get(std::string_view table, std::string_view key,
                                             const ReadOptions& options = {});

  // `options.mode` and `options.ttl` are of no meaning here.
  void Delete(std::string_view table, std::string_view key, WriteOptions options,
              DeleteCallback done);
  std::future<absl::StatusOr<DeleteResult>> Delete(std::string_view table, std::string_view key,
                                                   WriteOptions options = {});

  // 1 to 1,000 items. Each goes to an owner of its own key and is retried by itself, so the call as
  // a whole fails only if it is refused before anything is sent; else every item has its outcome.
  void MultiGet(std::string_view table, const std::vector<std::string>& keys,
                const ReadOptions& options, MultiGetCallback done);
  std::future<absl::StatusOr<MultiGetResult>> MultiGet(std::string_view table,
                                                       const std::vector<std::string>& keys,
                                                       const ReadOptions& options = {});

  void MultiPut(std::string_view table, std::vector<PutItem> items,
                const MultiWriteOptions& options, MultiPutCallback done);
  std::future<absl::StatusOr<MultiPutResult>> MultiPut(std::string_view table,
                                                       std::vector<PutItem> items,
                                                       const MultiWriteOptions& options = {});

  // While the returned scope lives, what this thread starts is only queued; when it ends, it leaves
  // in as few frames as possible. Nothing may be waited for inside it.
  [[nodiscard]] BatchScope Batch();

  // --------------------------------------------------------- tables and nodes; all of these block

  // Zero fields of `table` get the cluster's defaults. Creating the same table again is no error.
  // When it returns, this client routes by the topology that has the table.
  absl::StatusOr<v1::Table> CreateTable(const v1::Table& table);
  absl::StatusOr<std::vector<v1::Table>> ListTables();
  absl::StatusOr<v1::Table> DescribeTable(std::string_view name);
  absl::Status DropTable(std::string_view name);

  // The newest topology that the node which answers has.
  absl::StatusOr<v1::GetTopologyReply> Topology();

  // Has a member come, go or be elsewhere, or says with `plan` what that would move. Asked again,
  // it changes nothing more.
  absl::StatusOr<v1::ChangeMemberReply> ChangeMember(const v1::ChangeMemberRequest& request);
  // What moves between members, as the node that answers knows it.
  absl::StatusOr<v1::ListTransfersReply> ListTransfers();

  // Of the node at `address` and no other. Zero `timeout`: the client's.
  absl::StatusOr<v1::NodeStatusReply> NodeStatus(const std::string& address,
                                                 absl::Duration timeout = absl::ZeroDuration());

  // A page of what one replica holds of a slice, in the order of the keys. Not a quorum read: it
  // may lack writes that other owners have.
  absl::StatusOr<v1::ScanPartitionReply> ScanPartition(std::string_view table, uint32_t slice,
                                                       const ScanOptions& options = {});

  // --------------------------------------------------------------------------------------- insight

  // The epoch of the topology that requests are routed by.
  uint64_t epoch() const;
  ClientStats stats() const;

 private:
  explicit Client(ClientOptions options);

  void Start(std::unique_ptr<Operation> op, absl::Duration timeout);
  absl::Duration TimeoutOr(absl::Duration timeout) const;
  // Routes by `epoch` or newer when it returns, if `address`, which named it, still answers.
  void AwaitEpoch(uint64_t epoch, const std::string& address);

  const ClientOptions options_;
  const std::unique_ptr<Dispatcher> dispatcher_;
};

}  // namespace sdk
}  // namespace gyre

#endif  // GYRE_API_CLIENT_CLIENT_H_
