#include "test/sim/sim_clients.h"

#include <utility>

#include "ring/check.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

std::string Describe(const Action& operation) {
  if (operation.event == 0) return "";
  if (operation.mode == Action::Mode::kBlind) return " blind";
  if (operation.mode == Action::Mode::kDefault) return " without a context";
  std::string text = " replaces";
  for (EventId parent : operation.parents) text += " " + std::to_string(parent);
  return text;
}

}  // namespace

SimClients::SimClients(ClientOptions options, SimCluster* cluster, Workload* workload,
                       Random random)
    : options_(options), cluster_(cluster), workload_(workload), random_(random) {}

void SimClients::Start() {
  for (int client = 0; client < options_.clients; ++client) Next(client);
}

void SimClients::Next(int client) {
  const int64_t most_us = options_.mean_pause.micros() * 2;
  cluster_->scheduler().After(Duration::Micros(random_.Between(0, most_us)), [this, client] {
    if (stopped_) return;
    auto call = std::make_shared<Call>();
    call->client = client;
    call->operation = workload_->Next(client, cluster_->scheduler().now(), &random_);
    call->result.started = cluster_->scheduler().now();
    ++operations_;
    NoteContext(*call);
    Try(call);
  });
}

void SimClients::Try(const std::shared_ptr<Call>& call) {
  const int attempt = ++call->attempt;
  const auto node = static_cast<int>(random_.Below(cluster_->size()));
  const Action& operation = call->operation;
  // Each attempt is answered once; what comes later is void.
  auto answer = [this, call, attempt](const Outcome* outcome) {
    if (call->answered >= attempt) {
      if (outcome != nullptr && call->given_up >= attempt) {
        cluster_->Count(FaultKind::kAnswerTooLate);
      }
      return;
    }
    call->answered = attempt;
    OnAttempt(call, outcome);
  };
  auto done = [answer](const Outcome& outcome) { answer(&outcome); };
  bool sent = false;
  if (operation.kind == Action::Kind::kGet) {
    sent = cluster_->Read(call->client, node, operation.table, operation.key,
                          options_.server_timeout, done);
  } else {
    WriteIntent intent;
    intent.kind = operation.kind == Action::Kind::kPut ? WriteKind::kPut : WriteKind::kDelete;
    intent.value = operation.value;
    if (operation.mode == Action::Mode::kBlind) intent.mode = WriteMode::kBlind;
    if (operation.mode == Action::Mode::kContext) {
      absl::StatusOr<CausalContext> context = CausalContext();
      if (!operation.context.empty()) context = DecodeCausalContext(operation.context);
      GYRE_CHECK(context.ok(), "contexts come from replies");
      intent.context = *std::move(context);
    }
    intent.ttl_ms = static_cast<uint64_t>(operation.ttl.millis());
    intent.write = {operation.event, 1};
    intent.attempt = static_cast<uint32_t>(attempt) << 16;
    sent = cluster_->Write(call->client, node, operation.table, operation.key, std::move(intent),
                           options_.server_timeout, done);
  }
  cluster_->Trace("client " + std::to_string(call->client) + " attempt " + std::to_string(attempt) +
                  " via node-" + std::to_string(node) +
                  (operation.kind == Action::Kind::kGet   ? " GET "
                   : operation.kind == Action::Kind::kPut ? " PUT "
                                                          : " DELETE ") +
                  operation.table + "/" + operation.key + " event " +
                  std::to_string(operation.event) + Describe(operation));
  if (!sent) return answer(nullptr);
  if (call->maybe_written && operation.event != 0) cluster_->Count(FaultKind::kClientRetried);
  call->maybe_written = true;
  cluster_->scheduler().After(options_.client_timeout, [this, call, attempt, answer] {
    if (call->answered < attempt) {
      call->given_up = attempt;
      cluster_->Count(FaultKind::kClientGaveUp);
    }
    answer(nullptr);
  });
}

// A write with a context, of a key that others have written since its client was told of it.
void SimClients::NoteContext(const Call& call) {
  const Action& write = call.operation;
  if (write.event == 0 || write.mode != Action::Mode::kContext || write.context.empty()) return;
  const Key key(write.table, write.key);
  if (heard_[{call.client, key}] < acknowledged_[key]) cluster_->Count(FaultKind::kContextOutrun);
}

void SimClients::OnAttempt(const std::shared_ptr<Call>& call, const Outcome* outcome) {
  if (outcome != nullptr && outcome->code == Outcome::Code::kOk) {
    call->outcome = *outcome;
    return End(call, ActionResult::Kind::kOk);
  }
  if (outcome != nullptr && outcome->code == Outcome::Code::kTooManySiblings &&
      call->attempt == 1) {
    return End(call, ActionResult::Kind::kFailed);
  }
  if (call->attempt >= options_.attempts) {
    return End(call,
               call->maybe_written ? ActionResult::Kind::kUnknown : ActionResult::Kind::kFailed);
  }
  const Duration pause = Duration::Micros(random_.Between(1000, 50'000));
  cluster_->scheduler().After(pause, [this, call] { Try(call); });
}

void SimClients::End(const std::shared_ptr<Call>& call, ActionResult::Kind kind) {
  ActionResult& result = call->result;
  result.kind = kind;
  result.ended = cluster_->scheduler().now();
  for (const Version& version : call->outcome.record.versions) {
    result.values.emplace_back(version.value);
  }
  result.context = EncodeCausalContext(call->outcome.context);
  if (kind == ActionResult::Kind::kOk) {
    ++succeeded_;
    const Key key(call->operation.table, call->operation.key);
    if (call->operation.event != 0) ++acknowledged_[key];
    heard_[{call->client, key}] = acknowledged_[key];
  }
  std::string shown;
  for (const std::string& value : result.values) {
    shown += " " + std::to_string(History::EventOf(value));
  }
  cluster_->Trace("client " + std::to_string(call->client) + " event " +
                  std::to_string(call->operation.event) + " " + call->operation.key +
                  (kind == ActionResult::Kind::kOk ? " OK, shows" : " NOT OK") + shown);
  cluster_->scheduler().Note(call->operation.event, static_cast<uint64_t>(kind));
  if (auto wrong = workload_->OnResult(call->client, call->operation, result)) {
    cluster_->Violate(call->operation.table + "/" + call->operation.key + ": " + *wrong);
  }
  if (!stopped_) Next(call->client);
}

}  // namespace gyre
