#include "test/bench/cassandra_target.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "test/bench/cql.h"
#include "test/bench/tcp_socket.h"

namespace gyre {
namespace {

constexpr int kMostStreams = 32'768;
constexpr std::chrono::seconds kSchemaPatience{30};

// The ids of the statements that each connection has prepared.
struct Statements {
  std::string get;
  std::string put;
  std::string erase;
};

Reply ReplyOf(CqlAnswer answer) {
  Reply reply;
  if (answer.kind == CqlAnswer::Kind::kError) {
    reply.status = absl::UnavailableError(answer.bytes);
    reply.outcome_unknown = true;
  } else if (answer.kind == CqlAnswer::Kind::kRow) {
    reply.values.push_back(std::move(answer.bytes));
  } else if (answer.kind == CqlAnswer::Kind::kNoRow) {
    reply.absent = 1;
  }
  return reply;
}

Reply Broken() {
  return {.status = absl::UnavailableError("the connection to Cassandra has ended"),
          .outcome_unknown = true};
}

// Sends `request` and awaits its answer, on a connection with nothing else under way.
absl::StatusOr<CqlAnswer> Ask(const TcpSocket& socket, const std::string& request) {
  std::string received;
  size_t at = 0;
  if (!socket.Send(request)) return Broken().status;
  for (;;) {
    std::optional<CqlAnswer> answer = TakeCqlAnswer(received, &at);
    if (answer.has_value() && answer->kind == CqlAnswer::Kind::kError) {
      return absl::FailedPreconditionError(answer->bytes);
    }
    if (answer.has_value() && answer->kind == CqlAnswer::Kind::kMalformed) {
      return absl::FailedPreconditionError("it does not speak CQL");
    }
    if (answer.has_value()) return *std::move(answer);
    if (!socket.Receive(&received)) return Broken().status;
  }
}

absl::Status MakeTable(const TcpSocket& socket, size_t nodes) {
  for (const std::string& statement :
       {absl::StrCat("CREATE KEYSPACE IF NOT EXISTS bench WITH replication = "
                     "{'class': 'SimpleStrategy', 'replication_factor': ",
                     std::min<size_t>(nodes, 3), "}"),
        std::string("CREATE TABLE IF NOT EXISTS bench.bench (k blob PRIMARY KEY, v blob)")}) {
    std::string request;
    AppendCqlQuery(0, statement, &request);
    if (auto answer = Ask(socket, request); !answer.ok()) return answer.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Prepare(const TcpSocket& socket, std::string_view statement) {
  std::string request;
  AppendCqlPrepare(0, statement, &request);
  absl::StatusOr<CqlAnswer> answer = Ask(socket, request);
  if (!answer.ok()) return answer.status();
  return std::move(answer->bytes);
}

absl::StatusOr<Statements> PrepareAll(const TcpSocket& socket) {
  Statements statements;
  for (const auto& [id, text] :
       {std::pair(&statements.get, "SELECT v FROM bench.bench WHERE k = ?"),
        std::pair(&statements.put, "INSERT INTO bench.bench (k, v) VALUES (?, ?)"),
        std::pair(&statements.erase, "DELETE FROM bench.bench WHERE k = ?")}) {
    absl::StatusOr<std::string> prepared = Prepare(socket, text);
    if (!prepared.ok()) return prepared.status();
    *id = *std::move(prepared);
  }
  return statements;
}

// A node may hear of the table later than the one that made it.
absl::StatusOr<Statements> PrepareOnceKnown(const TcpSocket& socket) {
  const auto until = std::chrono::steady_clock::now() + kSchemaPatience;
  for (;;) {
    absl::StatusOr<Statements> statements = PrepareAll(socket);
    const bool unknown = absl::IsFailedPrecondition(statements.status());
    if (!unknown || std::chrono::steady_clock::now() > until) return statements;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

absl::StatusOr<TcpSocket> Dial(const std::string& address, int timeout_ms) {
  absl::StatusOr<TcpSocket> socket = TcpSocket::Dial(address, timeout_ms);
  if (!socket.ok()) return socket;
  std::string startup;
  AppendCqlStartup(0, &startup);
  if (auto answer = Ask(*socket, startup); !answer.ok()) return answer.status();
  return socket;
}

}  // namespace

class CassandraTarget::Connection {
 public:
  Connection(TcpSocket socket, Statements statements)
      : socket_(std::move(socket)),
        statements_(std::move(statements)),
        reader_([this] { Read(); }) {}
  ~Connection() {
    socket_.Shut();
    reader_.join();
  }

  void Start(Request* request, Done done) {
    std::unique_lock lock(mutex_);
    const std::optional<int16_t> stream = broken_ ? std::nullopt : TakeStream();
    if (!stream.has_value()) {
      lock.unlock();
      return done(Broken());
    }
    under_way_[static_cast<size_t>(*stream)] = std::move(done);
    Append(*stream, *request, &waiting_);
    if (!reading_) Flush(&lock);
  }

 private:
  std::optional<int16_t> TakeStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (free_.empty() && under_way_.size() == kMostStreams) return std::nullopt;
    if (free_.empty()) {
      under_way_.emplace_back();
      return static_cast<int16_t>(under_way_.size() - 1);
    }
    const int16_t stream = free_.back();
    free_.pop_back();
    return stream;
  }

  void Append(int16_t stream, const Request& request, std::string* out) const {
    constexpr CqlConsistency kAll = CqlConsistency::kQuorum;
    if (request.kind == Request::Kind::kPut) {
      AppendCqlExecute(stream, statements_.put, {request.key, request.value}, kAll, out);
    } else if (request.kind == Request::Kind::kDelete) {
      AppendCqlExecute(stream, statements_.erase, {request.key}, kAll, out);
    } else {
      AppendCqlExecute(stream, statements_.get, {request.key}, kAll, out);
    }
  }

  // Sends what waits, unless another thread does so already; that one takes this along.
  void Flush(std::unique_lock<std::mutex>* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (sending_) return;
    sending_ = true;
    while (!waiting_.empty() && !broken_) {
      const std::string leaving = std::exchange(waiting_, {});
      lock->unlock();
      const bool sent = socket_.Send(leaving);
      lock->lock();
      if (!sent) {
        broken_ = true;
        socket_.Shut();  // the reader ends, and answers what is under way
      }
    }
    sending_ = false;
  }

  void Read() {
    std::string received;
    while (socket_.Receive(&received)) {
      std::vector<CqlAnswer> answers;
      size_t at = 0;
      bool sound = true;
      while (std::optional<CqlAnswer> answer = TakeCqlAnswer(received, &at)) {
        sound = answer->kind != CqlAnswer::Kind::kMalformed;
        if (!sound) break;
        answers.push_back(*std::move(answer));
      }
      received.erase(0, at);
      Deliver(std::move(answers));
      if (!sound) break;
    }
    std::vector<Done> lost;
    {
      const std::lock_guard lock(mutex_);
      broken_ = true;
      lost.swap(under_way_);
    }
    for (const Done& done : lost) {
      if (done != nullptr) done(Broken());
    }
  }

  void Deliver(std::vector<CqlAnswer> answers) {
    std::vector<Done> dones;
    std::unique_lock lock(mutex_);
    reading_ = true;
    for (const CqlAnswer& answer : answers) {
      const auto stream = static_cast<size_t>(answer.stream);
      const bool known = answer.stream >= 0 && stream < under_way_.size();
      dones.push_back(known ? std::exchange(under_way_[stream], nullptr) : nullptr);
      if (dones.back() != nullptr) free_.push_back(answer.stream);
    }
    lock.unlock();
    for (size_t i = 0; i < answers.size(); ++i) {
      if (dones[i] != nullptr) dones[i](ReplyOf(std::move(answers[i])));
    }
    lock.lock();
    reading_ = false;
    Flush(&lock);
  }

  const TcpSocket socket_;
  const Statements statements_;

  std::mutex mutex_;
  std::vector<Done> under_way_ ABSL_GUARDED_BY(mutex_);  // by stream; null: free
  std::vector<int16_t> free_ ABSL_GUARDED_BY(mutex_);
  std::string waiting_ ABSL_GUARDED_BY(mutex_);
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;  // what is started meanwhile leaves together
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread reader_;
};

absl::StatusOr<std::unique_ptr<CassandraTarget>> CassandraTarget::Connect(
    const CassandraOptions& options) {
  std::vector<std::unique_ptr<Connection>> connections;
  bool made = false;
  for (int i = 0; i < options.connections; ++i) {
    for (const std::string& address : options.addresses) {
      absl::StatusOr<TcpSocket> socket = Dial(address, options.timeout_ms);
      if (!socket.ok()) return socket.status();
      if (!std::exchange(made, true)) {
        const absl::Status status = MakeTable(*socket, options.addresses.size());
        if (!status.ok()) return status;
      }
      absl::StatusOr<Statements> statements = PrepareOnceKnown(*socket);
      if (!statements.ok()) return statements.status();
      socket->WaitForEver();
      connections.push_back(
          std::make_unique<Connection>(*std::move(socket), *std::move(statements)));
    }
  }
  return std::unique_ptr<CassandraTarget>(new CassandraTarget(std::move(connections)));
}

CassandraTarget::CassandraTarget(std::vector<std::unique_ptr<Connection>> connections)
    : connections_(std::move(connections)) {}

CassandraTarget::~CassandraTarget() = default;

// A slot of the load keeps its connection, so that what its callback asks leaves with what the
// others of the same piece ask.
void CassandraTarget::Start(Request* request, Done done) {
  if (request->kind == Request::Kind::kMultiGet) {
    return done({.status = absl::UnimplementedError("no multi get of Cassandra here")});
  }
  connections_[absl::HashOf(request) % connections_.size()]->Start(request, std::move(done));
}

}  // namespace gyre
