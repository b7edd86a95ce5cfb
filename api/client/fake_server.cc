#include "api/client/fake_server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/client/routing.h"
#include "grpcpp/server_builder.h"

namespace gyre {

Verdict Verdict::Refuse(int code, v1::ErrorDetail detail) {
  Verdict verdict{.kind = kRefuse};
  verdict.error.set_code(code);
  verdict.error.set_message("refused by the test");
  *verdict.error.mutable_detail() = std::move(detail);
  return verdict;
}

Verdict Verdict::Refuse(int code, v1::ErrorDetail::Reason reason) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  return Refuse(code, std::move(detail));
}

// ------------------------------------------------------------------------------------------- node

class FakeNode::Stream final : public grpc::ServerBidiReactor<v1::ClientFrame, v1::ServerFrame> {
 public:
  explicit Stream(FakeNode* node) : node_(node) {
    {
      const std::lock_guard lock(node_->mutex_);
      node_->streams_.insert(this);
    }
    StartRead(&in_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::OK);
    node_->OnFrame(this, in_);
    StartRead(&in_);
  }
  void OnWriteDone(bool) override {
    const std::lock_guard lock(mutex_);
    out_.pop_front();
    if (!ended_ && !out_.empty()) StartWrite(&out_.front());
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    {
      const std::lock_guard lock(node_->mutex_);
      node_->streams_.erase(this);
      node_->seen_more_.notify_all();
    }
    delete this;
  }

  void Send(v1::ServerFrame frame, bool hold) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (hold) {
      held_.push_back(std::move(frame));
      return;
    }
    out_.push_back(std::move(frame));
    if (out_.size() == 1) StartWrite(&out_.front());
  }
  void Release() {
    std::deque<v1::ServerFrame> held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (v1::ServerFrame& frame : held) Send(std::move(frame), false);
  }
  void End(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    Finish(status);
  }

 private:
  FakeNode* const node_;
  v1::ClientFrame in_;
  std::mutex mutex_;
  std::deque<v1::ServerFrame> out_;  // the first is being written
  std::deque<v1::ServerFrame> held_;
  bool ended_ = false;
};

FakeNode::FakeNode(FakeCluster* cluster, std::string name)
    : cluster_(cluster), name_(std::move(name)) {
  Listen("127.0.0.1:0");
}

FakeNode::~FakeNode() { Stop(); }

void FakeNode::Listen(const std::string& address) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    std::fprintf(stderr, "cannot listen on %s\n", address.c_str());
    std::abort();
  }
  address_ = absl::StrCat("127.0.0.1:", port);
  const std::lock_guard lock(mutex_);
  running_ = true;
}

void FakeNode::SetScript(Script script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void FakeNode::Hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
}

void FakeNode::Release() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  for (Stream* stream : streams_) stream->Release();
}

void FakeNode::Stop() {
  if (server_ == nullptr) return;
  // A deadline in the past: whatever is open is cut.
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
  std::unique_lock lock(mutex_);
  running_ = false;
  while (!streams_.empty()) seen_more_.wait(lock);
}

void FakeNode::Restart() { Listen(address_); }

bool FakeNode::is_running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::vector<v1::ClientRequest> FakeNode::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::vector<uint64_t> FakeNode::clocks_seen() const {
  const std::lock_guard lock(mutex_);
  return clocks_seen_;
}

size_t FakeNode::frames() const {
  const std::lock_guard lock(mutex_);
  return clocks_seen_.size();
}

void FakeNode::AwaitSeen(size_t requests) {
  std::unique_lock lock(mutex_);
  while (seen_.size() < requests) seen_more_.wait(lock);
}

grpc::ServerBidiReactor<v1::ClientFrame, v1::ServerFrame>* FakeNode::Session(
    grpc::CallbackServerContext*) {
  return new Stream(this);
}

void FakeNode::OnFrame(Stream* stream, const v1::ClientFrame& frame) {
  Script script;
  {
    const std::lock_guard lock(mutex_);
    script = script_;
    clocks_seen_.push_back(frame.clock_us());
    for (const v1::ClientRequest& request : frame.requests()) seen_.push_back(request);
    seen_more_.notify_all();
  }
  v1::ServerFrame answer;
  answer.set_epoch(cluster_->epoch());
  answer.set_clock_us(kClockUs);
  bool drop = false;
  for (const v1::ClientRequest& request : frame.requests()) {
    const Verdict verdict = script ? script(request) : Verdict{};
    const bool serves = verdict.kind == Verdict::kServe ||
                        verdict.kind == Verdict::kServeAndIgnore ||
                        verdict.kind == Verdict::kServeAndDrop;
    v1::ClientReply reply;
    if (serves) reply = cluster_->Serve(request);
    if (verdict.kind == Verdict::kRefuse) *reply.mutable_error() = verdict.error;
    reply.set_id(request.id());
    if (verdict.kind == Verdict::kServe || verdict.kind == Verdict::kRefuse) {
      *answer.add_replies() = std::move(reply);
    }
    drop |= verdict.kind == Verdict::kDropStream || verdict.kind == Verdict::kServeAndDrop;
  }
  if (drop) {
    stream->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "dropped by the test"));
  } else if (answer.replies_size() > 0) {
    // Under the lock, or an answer could be put on hold just after Release has looked.
    const std::lock_guard lock(mutex_);
    stream->Send(std::move(answer), holding_);
  }
}

namespace {

// Ends when its caller gives up.
class Unanswered final : public grpc::ServerUnaryReactor {
  void OnCancel() override { Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }
};

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context,
                               const grpc::Status& status = grpc::Status::OK) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, grpc::StatusCode code,
                                 v1::ErrorDetail::Reason reason) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  context->AddTrailingMetadata("gyre-error-bin", detail.SerializeAsString());
  return Done(context, grpc::Status(code, "refused by the fake"));
}

}  // namespace

void FakeNode::SwallowTopologyOnce() {
  const std::lock_guard<std::mutex> lock(mutex_);
  swallowing_ = true;
}

void FakeNode::SwallowChanges() {
  const std::lock_guard<std::mutex> lock(mutex_);
  swallowing_changes_ = true;
}

void FakeNode::LoseChangeReplies() {
  const std::lock_guard<std::mutex> lock(mutex_);
  losing_change_replies_ = true;
}

grpc::ServerUnaryReactor* FakeNode::GetTopology(grpc::CallbackServerContext* context,
                                                const v1::GetTopologyRequest* request,
                                                v1::GetTopologyReply* reply) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(swallowing_, false)) return new Unanswered();
  }
  const v1::GetTopologyReply topology = cluster_->topology();
  if (request->known_epoch() == topology.epoch()) {
    reply->set_epoch(topology.epoch());
  } else {
    *reply = topology;
  }
  return Done(context);
}

void FakeNode::NoteChange(const grpc::CallbackServerContext& context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  allowed_for_change_ = absl::FromChrono(context.deadline() - std::chrono::system_clock::now());
}

absl::Duration FakeNode::allowed_for_change() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return allowed_for_change_;
}

grpc::ServerUnaryReactor* FakeNode::CreateTable(grpc::CallbackServerContext* context,
                                                const v1::CreateTableRequest* request,
                                                v1::CreateTableReply* reply) {
  NoteChange(*context);
  const std::optional<v1::Table> table = cluster_->Create(request->table());
  if (!table.has_value()) {
    return Refuse(context, grpc::StatusCode::ALREADY_EXISTS, v1::ErrorDetail::TABLE_EXISTS);
  }
  *reply->mutable_table() = *table;
  reply->set_epoch(cluster_->epoch());
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::ListTables(grpc::CallbackServerContext* context,
                                               const v1::ListTablesRequest*,
                                               v1::ListTablesReply* reply) {
  const v1::GetTopologyReply topology = cluster_->topology();
  *reply->mutable_tables() = topology.tables();
  reply->set_epoch(topology.epoch());
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::DescribeTable(grpc::CallbackServerContext* context,
                                                  const v1::DescribeTableRequest* request,
                                                  v1::DescribeTableReply* reply) {
  const v1::GetTopologyReply topology = cluster_->topology();
  for (const v1::Table& table : topology.tables()) {
    if (table.name() == request->name()) {
      *reply->mutable_table() = table;
      return Done(context);
    }
  }
  return Refuse(context, grpc::StatusCode::NOT_FOUND, v1::ErrorDetail::UNKNOWN_TABLE);
}

grpc::ServerUnaryReactor* FakeNode::DropTable(grpc::CallbackServerContext* context,
                                              const v1::DropTableRequest* request,
                                              v1::DropTableReply* reply) {
  NoteChange(*context);
  if (!cluster_->Drop(request->name())) {
    return Refuse(context, grpc::StatusCode::NOT_FOUND, v1::ErrorDetail::UNKNOWN_TABLE);
  }
  reply->set_epoch(cluster_->epoch());
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::ChangeMember(grpc::CallbackServerContext* context,
                                                 const v1::ChangeMemberRequest* request,
                                                 v1::ChangeMemberReply* reply) {
  NoteChange(*context);
  bool loses = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (swallowing_changes_) return new Unanswered();
    loses = losing_change_replies_;
  }
  std::optional<v1::ChangeMemberReply> changed = cluster_->Change(*request);
  if (loses) {
    if (changed.has_value() && !request->plan()) cluster_->Forget(request->node());
    return Done(context, grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken"));
  }
  if (!changed.has_value()) {
    return Refuse(context, grpc::StatusCode::NOT_FOUND, v1::ErrorDetail::UNKNOWN_NODE);
  }
  *reply = *std::move(changed);
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::ListTransfers(grpc::CallbackServerContext* context,
                                                  const v1::ListTransfersRequest*,
                                                  v1::ListTransfersReply* reply) {
  *reply = cluster_->Transfers();
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::NodeStatus(grpc::CallbackServerContext* context,
                                               const v1::NodeStatusRequest*,
                                               v1::NodeStatusReply* reply) {
  reply->set_node(name_);
  reply->set_cluster_name("fake");
  reply->set_state("serving");
  reply->set_load("busy");
  reply->set_epoch(cluster_->epoch());
  for (size_t i = 0; i < cluster_->size(); ++i) {
    if (cluster_->node(i).name() == name_) continue;
    v1::PeerStatus* peer = reply->add_peers();
    peer->set_node(cluster_->node(i).name());
    peer->set_connected(cluster_->node(i).is_running());
    peer->set_load("light");
  }
  return Done(context);
}

grpc::ServerUnaryReactor* FakeNode::ScanPartition(grpc::CallbackServerContext* context,
                                                  const v1::ScanPartitionRequest* request,
                                                  v1::ScanPartitionReply* reply) {
  {
    const std::lock_guard lock(mutex_);
    seen_more_.notify_all();
  }
  cluster_->Fill(*request, reply);
  return Done(context);
}

// ---------------------------------------------------------------------------------------- cluster

FakeCluster::FakeCluster(int nodes) {
  topology_.set_epoch(1);
  topology_.set_cluster_name("fake");
  topology_.set_slices(kSlices);
  for (int i = 0; i < nodes; ++i) {
    nodes_.push_back(std::make_unique<FakeNode>(this, absl::StrCat("n", i)));
    v1::TopologyMember* member = topology_.add_members();
    member->set_name(nodes_.back()->name());
    member->set_zone("z");
    member->set_client_address(nodes_.back()->address());
  }
  v1::PartitionFamily* family = topology_.add_families();
  family->set_replicas(3);
  family->set_per_slice(static_cast<uint32_t>(std::min(nodes, 3)));
  v1::Table* table = topology_.add_tables();
  table->set_name("t");
  table->set_id(last_table_id_);
  table->set_replicas(3);
  table->set_read_quorum(2);
  table->set_write_quorum(2);
  Rotate();
}

FakeCluster::~FakeCluster() {
  for (const std::unique_ptr<FakeNode>& node : nodes_) node->Stop();
}

std::vector<std::string> FakeCluster::addresses() const {
  std::vector<std::string> addresses;
  for (const auto& node : nodes_) addresses.push_back(node->address());
  return addresses;
}

uint64_t FakeCluster::Rotate() {
  const std::lock_guard lock(mutex_);
  v1::PartitionFamily& family = *topology_.mutable_families(0);
  family.clear_owners();
  for (uint32_t slice = 0; slice < kSlices; ++slice) {
    for (uint32_t rank = 0; rank < family.per_slice(); ++rank) {
      family.add_owners((slice + rank + rotation_) % static_cast<uint32_t>(nodes_.size()));
    }
  }
  ++rotation_;
  topology_.set_epoch(topology_.epoch() + 1);
  return topology_.epoch();
}

v1::GetTopologyReply FakeCluster::topology() const {
  const std::lock_guard lock(mutex_);
  return topology_;
}

uint64_t FakeCluster::epoch() const {
  const std::lock_guard lock(mutex_);
  return topology_.epoch();
}

size_t FakeCluster::OwnerOf(const std::string& key) const {
  const absl::StatusOr<Routing> routing = Routing::FromTopology(topology());
  return routing->OwnersOfKey("t", key)[0];
}

std::string FakeCluster::KeyOwnedBy(size_t node) const {
  for (int i = 0;; ++i) {
    std::string key = absl::StrCat("key-", i);
    if (OwnerOf(key) == node) return key;
  }
}

void FakeCluster::SetChangeReply(v1::ChangeMemberReply reply) {
  const std::lock_guard lock(mutex_);
  change_reply_ = std::move(reply);
}

void FakeCluster::SetTransfers(std::deque<v1::ListTransfersReply> replies) {
  const std::lock_guard lock(mutex_);
  transfers_ = std::move(replies);
}

std::optional<v1::ChangeMemberReply> FakeCluster::Change(const v1::ChangeMemberRequest& request) {
  const std::lock_guard lock(mutex_);
  changes_seen_.push_back(request);
  for (v1::TopologyMember& member : *topology_.mutable_members()) {
    if (member.name() != request.node()) continue;
    v1::ChangeMemberReply reply = change_reply_;
    reply.set_epoch(topology_.epoch() + 1);
    if (request.plan()) return reply;
    topology_.set_epoch(reply.epoch());
    using Request = v1::ChangeMemberRequest;
    static const std::map<Request::Change, v1::MemberState> kStates = {
        {Request::ACTIVATE, v1::MEMBER_STATE_ACTIVE}, {Request::RETIRE, v1::MEMBER_STATE_WAITING},
        {Request::LEAVE, v1::MEMBER_STATE_LEAVING},   {Request::REMOVE, v1::MEMBER_STATE_DEAD},
        {Request::REPLACE, v1::MEMBER_STATE_DEAD},
    };
    const auto state = kStates.find(request.change());
    if (state != kStates.end()) member.set_state(state->second);
    if (request.change() == Request::SET_ZONE) member.set_zone(request.zone());
    return reply;
  }
  return std::nullopt;
}

void FakeCluster::Forget(const std::string& member) {
  const std::lock_guard lock(mutex_);
  auto& members = *topology_.mutable_members();
  int index = 0;
  while (members[index].name() != member) ++index;
  members.DeleteSubrange(index, 1);
  for (v1::PartitionFamily& family : *topology_.mutable_families()) {
    for (uint32_t& owner : *family.mutable_owners()) {
      const auto gone = static_cast<uint32_t>(index);
      if (owner >= gone) owner = owner == gone ? 0 : owner - 1;
    }
  }
}

v1::ListTransfersReply FakeCluster::Transfers() {
  const std::lock_guard lock(mutex_);
  v1::ListTransfersReply reply;
  if (!transfers_.empty()) reply = transfers_.front();
  if (transfers_.size() > 1) transfers_.pop_front();
  reply.set_epoch(topology_.epoch());
  *reply.mutable_members() = topology_.members();
  for (int i = 0; i < topology_.members_size(); ++i) reply.add_owned(kSlices);
  return reply;
}

std::vector<v1::ChangeMemberRequest> FakeCluster::changes_seen() const {
  const std::lock_guard lock(mutex_);
  return changes_seen_;
}

bool FakeCluster::FirstTime(const std::string& key, const std::string& idempotency_key) {
  if (!idempotency_key.empty() && !idempotency_keys_.insert(idempotency_key).second) return false;
  ++effects_[key];
  return true;
}

v1::ClientReply FakeCluster::Serve(const v1::ClientRequest& request) {
  const std::lock_guard lock(mutex_);
  v1::ClientReply reply;
  if (request.has_put()) {
    const v1::PutRequest& put = request.put();
    if (FirstTime(put.key(), put.options().idempotency_key())) {
      std::vector<std::string>& values = values_[put.table() + "/" + put.key()];
      if (put.mode() != v1::WRITE_MODE_BLIND) values.clear();
      values.push_back(put.value());
      if (put.ttl_ms() > 0) ttls_ms_[put.table() + "/" + put.key()] = put.ttl_ms();
    }
    reply.mutable_put()->set_context("context of " + put.key());
    reply.mutable_put()->mutable_info()->set_epoch(topology_.epoch());
    reply.mutable_put()->mutable_info()->set_answered(2);
  } else if (request.has_delete_()) {
    const v1::DeleteRequest& erase = request.delete_();
    if (FirstTime(erase.key(), erase.options().idempotency_key())) {
      values_.erase(erase.table() + "/" + erase.key());
    }
    reply.mutable_delete_()->set_context("context of " + erase.key());
  } else {
    const v1::GetRequest& get = request.get();
    v1::GetReply& got = *reply.mutable_get();
    const auto it = values_.find(get.table() + "/" + get.key());
    got.set_found(it != values_.end());
    if (it != values_.end()) got.mutable_values()->Add(it->second.begin(), it->second.end());
    if (const auto ttl = ttls_ms_.find(get.table() + "/" + get.key()); ttl != ttls_ms_.end()) {
      // It stands still, and all but the last value live for ever.
      for (int i = 1; i < got.values_size(); ++i) got.add_ttl_left_ms(0);
      if (got.found()) got.add_ttl_left_ms(ttl->second);
    }
    got.set_context("context of " + get.key());
    got.mutable_info()->set_epoch(topology_.epoch());
  }
  return reply;
}

int FakeCluster::EffectsOn(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = effects_.find(key);
  return it == effects_.end() ? 0 : it->second;
}

void FakeCluster::Fill(const v1::ScanPartitionRequest& request,
                       v1::ScanPartitionReply* reply) const {
  const absl::StatusOr<Routing> routing = Routing::FromTopology(topology());
  const std::string prefix = request.table() + "/";
  const std::lock_guard lock(mutex_);
  for (const auto& [name, values] : values_) {
    if (name.rfind(prefix, 0) != 0) continue;
    const std::string key = name.substr(prefix.size());
    if (key <= request.after_key()) continue;
    if (routing->SliceOfKey(request.table(), key) != request.slice()) continue;
    if (static_cast<uint32_t>(reply->items_size()) == std::max(request.limit(), 1u)) {
      reply->set_more(true);
      return;
    }
    v1::ScanPartitionReply::Item* item = reply->add_items();
    item->set_key(key);
    if (!request.keys_only()) item->mutable_values()->Add(values.begin(), values.end());
  }
}

std::optional<v1::Table> FakeCluster::Create(const v1::Table& table) {
  const std::lock_guard lock(mutex_);
  for (const v1::Table& existing : topology_.tables()) {
    if (existing.name() != table.name()) continue;
    if (existing.conflict() != table.conflict()) return std::nullopt;
    return existing;
  }
  v1::Table* made = topology_.add_tables();
  *made = table;
  made->set_id(++last_table_id_);
  made->set_replicas(3);
  made->set_read_quorum(2);
  made->set_write_quorum(2);
  topology_.set_epoch(topology_.epoch() + 1);
  return *made;
}

bool FakeCluster::Drop(const std::string& table) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < topology_.tables_size(); ++i) {
    if (topology_.tables(i).name() != table) continue;
    topology_.mutable_tables()->DeleteSubrange(i, 1);
    topology_.set_epoch(topology_.epoch() + 1);
    return true;
  }
  return false;
}

}  // namespace gyre
