#include "test/workload/cluster_driver.h"

#include <algorithm>
#include <utility>

namespace gyre {
namespace {

v1::Table ToProto(const TableSpec& spec) {
  v1::Table table;
  table.set_name(spec.name);
  table.set_replicas(static_cast<uint32_t>(spec.replicas));
  table.set_read_quorum(static_cast<uint32_t>(spec.read_quorum));
  table.set_write_quorum(static_cast<uint32_t>(spec.write_quorum));
  table.set_conflict(static_cast<v1::ConflictPolicy>(spec.conflict));
  table.set_durability(static_cast<v1::Durability>(spec.durability));
  table.set_quorum(static_cast<v1::QuorumKind>(spec.quorum));
  table.set_ttl_ms(spec.ttl_ms);
  return table;
}

}  // namespace

ClusterDriver::ClusterDriver(DriverOptions options, Client* client, Workload* workload)
    : options_(options), client_(client), workload_(workload), random_(options.seed) {}

Time ClusterDriver::Now() const {
  return Time::FromMicros(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - origin_).count());
}

void ClusterDriver::Run() {
  for (const TableSpec& spec : workload_->SetUp()) {
    if (auto made = client_->CreateTable(ToProto(spec)); !made.ok()) {
      report_.violations.push_back("table " + spec.name + ": " + made.status().ToString());
      return;
    }
  }
  const Clock::time_point started = Clock::now();
  const Clock::time_point end = started + options_.length;
  std::vector<int> idle;
  for (int client = options_.clients; client > 0; --client) idle.push_back(client - 1);
  for (;;) {
    const Clock::time_point now = Clock::now();
    // When the next action is due, by the rate.
    const auto due =
        options_.rate_per_s == 0
            ? now
            : started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                            static_cast<double>(report_.requests) / options_.rate_per_s));
    if (now < end && due <= now && !idle.empty()) {
      const int client = idle.back();
      idle.pop_back();
      Issue(client);
      continue;
    }
    if (now >= end && under_way_ == 0) break;
    std::deque<Ended> ended;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const Clock::time_point wake =
          now >= end || idle.empty() ? now + std::chrono::seconds(1) : std::min(due, end);
      arrived_.wait_until(lock, wake, [this] { return !ended_.empty(); });
      ended.swap(ended_);
    }
    for (Ended& one : ended) {
      idle.push_back(one.client);
      Take(std::move(one));
    }
  }
}

void ClusterDriver::Issue(int client) {
  Action action = workload_->Next(client, Now(), &random_);
  ++report_.requests;
  ++under_way_;
  ActionResult began;
  began.started = Now();
  const std::string table = action.table;
  const std::string key = action.key;
  if (action.kind == Action::Kind::kGet) {
    client_->Get(table, key, {},
                 [this, client, action = std::move(action),
                  result = std::move(began)](absl::StatusOr<GetResult> got) mutable {
                   if (got.ok()) {
                     result.values = std::move(got->values);
                     result.context = std::move(got->context);
                   }
                   OnEnded(client, std::move(action), got.status(), std::move(result));
                 });
    return;
  }
  const auto done = [this, client, action, began](auto written) {
    ActionResult result = began;
    if (written.ok()) {
      result.context = std::move(written->context);
      result.sent_once = written->attempts == 1;
    }
    OnEnded(client, action, written.status(), std::move(result));
  };
  WriteOptions write;
  write.context = action.context;
  if (action.mode == Action::Mode::kBlind) write.mode = WriteMode::kBlind;
  if (action.kind == Action::Kind::kPut) {
    if (action.ttl > Duration()) write.ttl = absl::Milliseconds(action.ttl.millis());
    client_->Put(table, key, std::move(action.value), std::move(write), done);
  } else {
    client_->Delete(table, key, std::move(write), done);
  }
}

void ClusterDriver::OnEnded(int client, Action action, const absl::Status& status,
                            ActionResult result) {
  Ended ended{client, std::move(action), std::move(result), {}};
  ended.result.ended = Now();
  if (status.ok()) {
    ended.result.kind = ActionResult::Kind::kOk;
  } else {
    ended.failure = status.ToString();
    const auto detail = GetErrorDetail(status);
    const bool refused = detail.has_value() && !detail->outcome_unknown();
    ended.result.kind = refused ? ActionResult::Kind::kFailed : ActionResult::Kind::kUnknown;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  ended_.push_back(std::move(ended));
  arrived_.notify_one();
}

void ClusterDriver::Take(Ended ended) {
  --under_way_;
  if (ended.failure.empty()) {
    if (ended.action.kind != Action::Kind::kGet) ++report_.acknowledged;
    report_.latencies_us.push_back(
        static_cast<uint32_t>((ended.result.ended - ended.result.started).micros()));
  } else {
    ++report_.failed;
    if (report_.failures.size() < 5) report_.failures.push_back(ended.failure);
  }
  if (auto wrong = workload_->OnResult(ended.client, ended.action, ended.result)) {
    report_.violations.push_back(ended.action.table + "/" + ended.action.key + ": " + *wrong);
  }
}

void ClusterDriver::Check() {
  auto wrong = workload_->Check([&](const std::string& table, const std::string& key) {
    absl::StatusOr<GetResult> got = client_->Get(table, key).get();
    if (got.ok()) return got->values;
    report_.violations.push_back("final read of " + key + ": " + got.status().ToString());
    return std::vector<std::string>();
  });
  if (wrong.has_value()) report_.violations.push_back("in the end: " + *wrong);
}

}  // namespace gyre
