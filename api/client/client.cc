#include "api/client/client.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "api/client/batch_scope.h"
#include "api/client/dispatcher.h"
#include "api/client/monotonic.h"
#include "api/client/operation.h"
#include "api/client/unary.h"
#include "api/proto/gyre.grpc.pb.h"

namespace gyre {
inline namespace sdk {
namespace {

constexpr size_t kMaxMultiItems = 1000;
constexpr absl::Duration kLongestTimeout = absl::Seconds(60);

absl::Status CallbackMustNotBlock() {
  return absl::FailedPreconditionError(
      "a blocking call inside a callback would hold up the replies behind it");
}

std::string NewIdempotencyKey() {
  thread_local absl::BitGen generator;
  const uint64_t words[2] = {absl::Uniform<uint64_t>(generator),
                             absl::Uniform<uint64_t>(generator)};
  return std::string(reinterpret_cast<const char*>(words), sizeof(words));
}

// What a client may ask for: the server's limit, 100 years of 365 days.
constexpr int64_t kLongestTtlMs = int64_t{100} * 365 * 24 * 3600 * 1000;

absl::Status BadTtl(absl::Duration ttl) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::INVALID_FIELD);
  detail.set_field("ttl");
  return WithErrorDetail(
      absl::InvalidArgumentError(absl::StrCat("a TTL of ", absl::FormatDuration(ttl),
                                              "; allowed: 1 ms to 100 years, or infinite")),
      detail);
}

bool TtlIsAllowed(absl::Duration ttl) {
  return ttl == absl::InfiniteDuration() ||
         (ttl > absl::ZeroDuration() && ttl <= absl::Milliseconds(kLongestTtlMs));
}

uint64_t ToWireTtl(absl::Duration ttl) {
  if (ttl == absl::InfiniteDuration()) return 0;
  return static_cast<uint64_t>(absl::ToInt64Milliseconds(absl::Ceil(ttl, absl::Milliseconds(1))));
}

v1::WriteMode ToWire(WriteMode mode) {
  return mode == WriteMode::kBlind ? v1::WRITE_MODE_BLIND : v1::WRITE_MODE_DEFAULT;
}

void FillOptions(const WriteOptions& from, v1::RequestOptions& to) {
  if (from.write_quorum.has_value()) to.set_write_quorum(*from.write_quorum);
  to.set_explain(from.explain);
  to.set_strict(from.strict);
  to.set_idempotency_key(from.idempotency_key.empty() ? NewIdempotencyKey() : from.idempotency_key);
}

std::unique_ptr<Operation> MakePut(std::string_view table, std::string_view key, std::string value,
                                   WriteOptions options, PutCallback done) {
  auto op = std::make_unique<Operation>();
  v1::PutRequest& put = *op->request.mutable_put();
  put.set_table(table.data(), table.size());
  put.set_key(key.data(), key.size());
  put.set_value(std::move(value));
  if (!options.context.empty()) put.set_context(std::move(options.context));
  put.set_mode(ToWire(options.mode));
  if (options.ttl.has_value()) put.set_ttl_ms(ToWireTtl(*options.ttl));
  FillOptions(options, *put.mutable_options());
  op->size_bytes = put.key().size() + put.value().size() + put.context().size();
  op->done = std::move(done);
  return op;
}

std::unique_ptr<Operation> MakeGet(std::string_view table, std::string_view key,
                                   const ReadOptions& options, GetCallback done) {
  auto op = std::make_unique<Operation>();
  v1::GetRequest& get = *op->request.mutable_get();
  get.set_table(table.data(), table.size());
  get.set_key(key.data(), key.size());
  if (options.read_quorum.has_value()) {
    get.mutable_options()->set_read_quorum(*options.read_quorum);
  }
  get.mutable_options()->set_explain(options.explain);
  get.mutable_options()->set_strict(options.strict);
  op->size_bytes = get.key().size();
  op->done = std::move(done);
  return op;
}

std::unique_ptr<Operation> MakeDelete(std::string_view table, std::string_view key,
                                      WriteOptions options, DeleteCallback done) {
  auto op = std::make_unique<Operation>();
  v1::DeleteRequest& erase = *op->request.mutable_delete_();
  erase.set_table(table.data(), table.size());
  erase.set_key(key.data(), key.size());
  if (!options.context.empty()) erase.set_context(std::move(options.context));
  FillOptions(options, *erase.mutable_options());
  op->size_bytes = erase.key().size() + erase.context().size();
  op->done = std::move(done);
  return op;
}

// A future for `start`, which takes a callback.
template <typename Result, typename StartWith>
std::future<absl::StatusOr<Result>> Promised(StartWith start) {
  // Shared, since a std::function must be copyable.
  auto promise = std::make_shared<std::promise<absl::StatusOr<Result>>>();
  std::future<absl::StatusOr<Result>> future = promise->get_future();
  start([promise = std::move(promise)](absl::StatusOr<Result> result) {
    promise->set_value(std::move(result));
  });
  return future;
}

// Collects the outcomes of a multi request. Each item writes its own place; the last calls `done`.
template <typename Result>
struct Gather {
  using Results = std::vector<absl::StatusOr<Result>>;

  Gather(size_t items, std::function<void(absl::StatusOr<Results>)> then)
      : results(items, absl::UnknownError("unanswered")), left(items), done(std::move(then)) {}

  static std::function<void(absl::StatusOr<Result>)> Item(std::shared_ptr<Gather> gather,
                                                          size_t index) {
    return [gather = std::move(gather), index](absl::StatusOr<Result> result) {
      gather->results[index] = std::move(result);
      if (gather->left.fetch_sub(1) == 1) gather->done(std::move(gather->results));
    };
  }

  Results results;
  std::atomic<size_t> left;
  std::function<void(absl::StatusOr<Results>)> done;
};

absl::Status CheckItemCount(size_t items) {
  if (items >= 1 && items <= kMaxMultiItems) return absl::OkStatus();
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::INVALID_FIELD);
  detail.set_field("items");
  return WithErrorDetail(absl::InvalidArgumentError(absl::StrCat(
                             items, " items in a multi request; allowed: 1 to ", kMaxMultiItems)),
                         detail);
}

absl::Status TooLarge(size_t bytes, size_t allowed) {
  v1::ErrorDetail detail;
  detail.set_reason(v1::ErrorDetail::TOO_LARGE);
  return WithErrorDetail(absl::ResourceExhaustedError(
                             absl::StrCat("a request of ", bytes, " bytes; allowed: ", allowed)),
                         detail);
}

DispatcherOptions ToDispatcher(const ClientOptions& options) {
  return {.seeds = options.seeds,
          .max_outstanding = options.max_outstanding,
          .max_outstanding_bytes = options.max_outstanding_bytes,
          .stream = options.stream,
          .back_off = options.back_off,
          .retry_budget = options.retry_budget};
}

}  // namespace

// ---------------------------------------------------------------------------------------- lifetime

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  std::unique_ptr<Client> client(new Client(std::move(options)));
  const absl::Status connected = client->dispatcher_->Connect(client->options_.connect_timeout);
  if (!connected.ok()) return connected;
  return client;
}

Client::Client(ClientOptions options)
    : options_(std::move(options)),
      dispatcher_(std::make_unique<Dispatcher>(ToDispatcher(options_))) {}

Client::~Client() = default;

uint64_t Client::epoch() const { return dispatcher_->routing()->epoch(); }
ClientStats Client::stats() const { return dispatcher_->stats(); }

// ---------------------------------------------------------------------------------------- requests

absl::Duration Client::TimeoutOr(absl::Duration timeout) const {
  if (timeout <= absl::ZeroDuration()) timeout = options_.timeout;
  return std::clamp(timeout, absl::Milliseconds(1), kLongestTimeout);
}

void Client::Start(std::unique_ptr<Operation> op, absl::Duration timeout) {
  constexpr size_t kAroundAnItem = 512;  // table, options, tags and lengths
  if (op->size_bytes + kAroundAnItem > options_.max_request_bytes) {
    const absl::Status refused =
        TooLarge(op->size_bytes + kAroundAnItem, options_.max_request_bytes);
    std::visit([&](const auto& done) { done(refused); }, op->done);
    return;
  }
  op->deadline = MonotonicNow() + TimeoutOr(timeout);
  dispatcher_->Start(std::move(op));
}

void Client::Put(std::string_view table, std::string_view key, std::string value,
                 WriteOptions options, PutCallback done) {
  if (options.ttl.has_value() && !TtlIsAllowed(*options.ttl)) return done(BadTtl(*options.ttl));
  const absl::Duration timeout = options.timeout;
  Start(MakePut(table, key, std::move(value), std::move(options), std::move(done)), timeout);
}

std::future<absl::StatusOr<PutResult>> Client::Put(std::string_view table, std::string_view key,
                                                   std::string value, WriteOptions options) {
  return Promised<PutResult>([&](PutCallback done) {
    Put(table, key, std::move(value), std::move(options), std::move(done));
  });
}

void Client::Get(std::string_view table, std::string_view key, const ReadOptions& options,
                 GetCallback done) {
  Start(MakeGet(table, key, options, std::move(done)), options.timeout);
}

std::future<absl::StatusOr<GetResult>> Client::Get(std::string_view table, std::string_view key,
                                                   const ReadOptions& options) {
  return Promised<GetResult>([&](GetCallback done) { Get(table, key, options, std::move(done)); });
}

void Client::Delete(std::string_view table, std::string_view key, WriteOptions options,
                    DeleteCallback done) {
  const absl::Duration timeout = options.timeout;
  Start(MakeDelete(table, key, std::move(options), std::move(done)), timeout);
}

std::future<absl::StatusOr<DeleteResult>> Client::Delete(std::string_view table,
                                                         std::string_view key,
                                                         WriteOptions options) {
  return Promised<DeleteResult>(
      [&](DeleteCallback done) { Delete(table, key, std::move(options), std::move(done)); });
}

void Client::MultiGet(std::string_view table, const std::vector<std::string>& keys,
                      const ReadOptions& options, MultiGetCallback done) {
  if (const absl::Status count = CheckItemCount(keys.size()); !count.ok()) return done(count);
  auto gather = std::make_shared<Gather<GetResult>>(keys.size(), std::move(done));
  const BatchScope scope = Batch();
  for (size_t i = 0; i < keys.size(); ++i) {
    Get(table, keys[i], options, Gather<GetResult>::Item(gather, i));
  }
}

std::future<absl::StatusOr<MultiGetResult>> Client::MultiGet(std::string_view table,
                                                             const std::vector<std::string>& keys,
                                                             const ReadOptions& options) {
  return Promised<MultiGetResult>(
      [&](MultiGetCallback done) { MultiGet(table, keys, options, std::move(done)); });
}

void Client::MultiPut(std::string_view table, std::vector<PutItem> items,
                      const MultiWriteOptions& options, MultiPutCallback done) {
  if (const absl::Status count = CheckItemCount(items.size()); !count.ok()) return done(count);
  auto gather = std::make_shared<Gather<PutResult>>(items.size(), std::move(done));
  const BatchScope scope = Batch();
  for (size_t i = 0; i < items.size(); ++i) {
    PutItem& item = items[i];
    WriteOptions write{.context = std::move(item.context),
                       .mode = item.mode,
                       .write_quorum = options.write_quorum,
                       .timeout = options.timeout,
                       .explain = options.explain,
                       .strict = options.strict,
                       .ttl = item.ttl};
    Put(table, item.key, std::move(item.value), std::move(write),
        Gather<PutResult>::Item(gather, i));
  }
}

std::future<absl::StatusOr<MultiPutResult>> Client::MultiPut(std::string_view table,
                                                             std::vector<PutItem> items,
                                                             const MultiWriteOptions& options) {
  return Promised<MultiPutResult>(
      [&](MultiPutCallback done) { MultiPut(table, std::move(items), options, std::move(done)); });
}

BatchScope Client::Batch() { return BatchScope(dispatcher_->batch_owner()); }

// ------------------------------------------------------------------------------- tables and nodes

void Client::AwaitEpoch(uint64_t epoch, const std::string& address) {
  if (this->epoch() >= epoch) return;
  // Requests would find out by themselves from the first reply; this spares them the detour.
  dispatcher_->feed().FetchFrom(address, TimeoutOr(absl::ZeroDuration())).IgnoreError();
}

namespace {

// Of a change of the topology. Who did not answer in time may go on with it.
absl::Status MayStillTakeEffect(const absl::Status& status) {
  if (!absl::IsDeadlineExceeded(status) || GetErrorDetail(status).has_value()) return status;
  v1::ErrorDetail detail;
  detail.set_outcome_unknown(true);
  return WithErrorDetail(
      absl::Status(status.code(),
                   absl::StrCat(status.message(), "; a change needs a majority of the voters")),
      detail);
}

template <typename Members>
const v1::TopologyMember* FindMember(const Members& members, const std::string& name) {
  const auto it =
      std::find_if(members.begin(), members.end(),
                   [&](const v1::TopologyMember& member) { return member.name() == name; });
  return it == members.end() ? nullptr : &*it;
}

// Whether its node may be no member any more once it has been done.
bool IsFarewell(const v1::ChangeMemberRequest& request) {
  using Request = v1::ChangeMemberRequest;
  return !request.plan() &&
         (request.change() == Request::LEAVE || request.change() == Request::REMOVE ||
          request.change() == Request::REPLACE);
}

// Whether that is what the members are after a farewell. The node may be gone by another change:
// what takes a place owns its share.
bool IsDone(const v1::ChangeMemberRequest& farewell,
            const google::protobuf::RepeatedPtrField<v1::TopologyMember>& members) {
  if (FindMember(members, farewell.node()) != nullptr) return false;
  if (farewell.change() != v1::ChangeMemberRequest::REPLACE) return true;
  const v1::TopologyMember* const heir = FindMember(members, farewell.with());
  return heir != nullptr && heir->state() == v1::MEMBER_STATE_ACTIVE;
}

}  // namespace

absl::StatusOr<v1::Table> Client::CreateTable(const v1::Table& table) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  v1::CreateTableRequest request;
  *request.mutable_table() = table;
  auto answer = AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                          &v1::Gyre::Stub::CreateTable, request, options_.change_timeout);
  if (!answer.ok()) return MayStillTakeEffect(answer.status());
  AwaitEpoch(answer->reply.epoch(), answer->address);
  return std::move(*answer->reply.mutable_table());
}

absl::StatusOr<std::vector<v1::Table>> Client::ListTables() {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  auto answer = AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                          &v1::Gyre::Stub::ListTables, v1::ListTablesRequest(), options_.timeout);
  if (!answer.ok()) return answer.status();
  return std::vector<v1::Table>(answer->reply.tables().begin(), answer->reply.tables().end());
}

absl::StatusOr<v1::Table> Client::DescribeTable(std::string_view name) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  v1::DescribeTableRequest request;
  request.set_name(name.data(), name.size());
  auto answer = AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                          &v1::Gyre::Stub::DescribeTable, request, options_.timeout);
  if (!answer.ok()) return answer.status();
  return std::move(*answer->reply.mutable_table());
}

absl::Status Client::DropTable(std::string_view name) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  v1::DropTableRequest request;
  request.set_name(name.data(), name.size());
  bool passed_over = false;
  auto answer =
      AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                &v1::Gyre::Stub::DropTable, request, options_.change_timeout, &passed_over);
  // A node that dropped it and then failed to say so leaves no table to the next one.
  if (passed_over && absl::IsNotFound(answer.status())) return absl::OkStatus();
  if (!answer.ok()) return MayStillTakeEffect(answer.status());
  AwaitEpoch(answer->reply.epoch(), answer->address);
  return absl::OkStatus();
}

absl::StatusOr<v1::GetTopologyReply> Client::Topology() {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  auto answer = AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                          &v1::Gyre::Stub::GetTopology, v1::GetTopologyRequest(), options_.timeout);
  if (!answer.ok()) return answer.status();
  return std::move(answer->reply);
}

absl::StatusOr<v1::ChangeMemberReply> Client::ChangeMember(const v1::ChangeMemberRequest& request) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  const bool known = FindMember(dispatcher_->routing()->members(), request.node()) != nullptr;
  bool passed_over = false;
  auto answer =
      AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                &v1::Gyre::Stub::ChangeMember, request, options_.change_timeout, &passed_over);
  if (answer.ok()) return std::move(answer->reply);
  // A node that did it and then failed to say so may leave no such member to the next one. One that
  // nobody knew before is a typing error.
  if (known && passed_over && IsFarewell(request) && absl::IsNotFound(answer.status())) {
    const absl::StatusOr<v1::GetTopologyReply> now = Topology();
    if (now.ok() && IsDone(request, now->members())) {
      v1::ChangeMemberReply done;
      done.set_epoch(now->epoch());
      return done;
    }
  }
  return MayStillTakeEffect(answer.status());
}

absl::StatusOr<v1::ListTransfersReply> Client::ListTransfers() {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  auto answer =
      AskInTurn(dispatcher_->channels(), dispatcher_->feed().Addresses(),
                &v1::Gyre::Stub::ListTransfers, v1::ListTransfersRequest(), options_.timeout);
  if (!answer.ok()) return answer.status();
  return std::move(answer->reply);
}

absl::StatusOr<v1::NodeStatusReply> Client::NodeStatus(const std::string& address,
                                                       absl::Duration timeout) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  auto answer = AskInTurn(dispatcher_->channels(), {address}, &v1::Gyre::Stub::NodeStatus,
                          v1::NodeStatusRequest(), TimeoutOr(timeout));
  if (!answer.ok()) return answer.status();
  return std::move(answer->reply);
}

absl::StatusOr<v1::ScanPartitionReply> Client::ScanPartition(std::string_view table, uint32_t slice,
                                                             const ScanOptions& options) {
  if (Dispatcher::InCallback()) return CallbackMustNotBlock();
  v1::ScanPartitionRequest request;
  request.set_table(table.data(), table.size());
  request.set_slice(slice);
  request.set_after_key(options.after_key);
  request.set_limit(options.limit);
  request.set_keys_only(options.keys_only);

  const std::shared_ptr<const Routing> routing = dispatcher_->routing();
  std::vector<std::string> addresses;
  if (!options.node.empty()) {
    for (const v1::TopologyMember& member : routing->members()) {
      if (member.name() == options.node) addresses.push_back(member.client_address());
    }
    if (addresses.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("no member is named ", options.node));
    }
  } else if (slice < routing->slices()) {
    for (uint32_t owner : routing->OwnersOfSlice(table, slice)) {
      addresses.push_back(routing->members()[owner].client_address());
    }
  }
  // Of a table or slice that this client does not know, any node says what there is to say.
  if (addresses.empty()) addresses = dispatcher_->feed().Addresses();
  auto answer = AskInTurn(dispatcher_->channels(), addresses, &v1::Gyre::Stub::ScanPartition,
                          request, TimeoutOr(options.timeout));
  if (!answer.ok()) return answer.status();
  return std::move(answer->reply);
}

}  // namespace sdk
}  // namespace gyre
