#include "test/bench/redis_target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "test/bench/resp.h"

namespace gyre {
namespace {

absl::StatusOr<int> Dial(const RedisOptions& options) {
  const size_t colon = options.address.rfind(':');
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  const int port = colon == std::string::npos ? 0 : std::atoi(options.address.c_str() + colon + 1);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (port <= 0 || port > 65'535 ||
      inet_pton(AF_INET, options.address.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError("'" + options.address + "' is not an IPv4 address and port");
  }
  const int dialled = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  const timeval patience = {.tv_sec = options.timeout_ms / 1000 + 1, .tv_usec = 0};
  if (dialled < 0 || connect(dialled, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      setsockopt(dialled, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      setsockopt(dialled, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
    const std::string why = std::strerror(errno);
    if (dialled >= 0) close(dialled);
    return absl::UnavailableError("redis at " + options.address + ": " + why);
  }
  return dialled;
}

bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Nothing: the connection has ended, is silent, or speaks something else.
std::optional<RespReply> Receive(int socket, std::string* received, size_t* at) {
  for (;;) {
    std::optional<RespReply> reply = TakeRespReply(*received, at);
    if (reply.has_value() && reply->kind == RespReply::Kind::kMalformed) return std::nullopt;
    if (reply.has_value()) return reply;
    char bytes[64 << 10];
    const ssize_t count = recv(socket, bytes, sizeof bytes, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    received->append(bytes, static_cast<size_t>(count));
  }
}

bool IsWrite(const Request& request) {
  return request.kind == Request::Kind::kPut || request.kind == Request::Kind::kDelete;
}

void AppendCommand(const Request& request, std::string* out) {
  if (request.kind == Request::Kind::kPut) {
    AppendRespCommand({"SET", request.key, request.value}, out);
  } else if (request.kind == Request::Kind::kDelete) {
    AppendRespCommand({"DEL", request.key}, out);
  } else {
    AppendRespCommand({"GET", request.key}, out);
  }
}

Reply ReplyOf(RespReply answer) {
  Reply reply;
  if (answer.kind == RespReply::Kind::kError) {
    reply.status = absl::FailedPreconditionError(answer.text);
  } else if (answer.kind == RespReply::Kind::kNull) {
    reply.absent = 1;
  } else if (answer.kind == RespReply::Kind::kBytes) {
    reply.values.push_back(std::move(answer.text));
  }
  return reply;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisTarget>> RedisTarget::Connect(RedisOptions options) {
  std::vector<int> sockets;
  for (int i = 0; i < options.connections; ++i) {
    absl::StatusOr<int> dialled = Dial(options);
    if (!dialled.ok()) {
      for (int open : sockets) close(open);
      return dialled.status();
    }
    sockets.push_back(*dialled);
  }
  return std::unique_ptr<RedisTarget>(new RedisTarget(std::move(options), std::move(sockets)));
}

RedisTarget::RedisTarget(RedisOptions options, std::vector<int> sockets)
    : options_(std::move(options)), sockets_(std::move(sockets)) {
  for (int socket : sockets_) threads_.emplace_back([this, socket] { Serve(socket); });
}

RedisTarget::~RedisTarget() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    arrived_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  for (int socket : sockets_) close(socket);
}

void RedisTarget::Start(Request* request, Done done) {
  if (request->kind == Request::Kind::kMultiGet) {
    done({.status = absl::UnimplementedError("no multi get of Redis here")});
    return;
  }
  const std::lock_guard lock(mutex_);
  waiting_.push_back({request, std::move(done)});
  if (waiting_.size() == 1) arrived_.notify_one();
}

void RedisTarget::Serve(int socket) {
  std::string received;
  bool alive = true;
  std::unique_lock lock(mutex_);
  for (;;) {
    while (waiting_.empty() && !closing_) arrived_.wait(lock);
    if (waiting_.empty()) return;
    std::vector<Waiting> batch;
    while (!waiting_.empty() && batch.size() < kLargestBatch) {
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (!waiting_.empty()) arrived_.notify_one();
    lock.unlock();
    alive = alive && Perform(socket, &batch, &received);
    if (!alive) {
      for (Waiting& one : batch) {
        if (one.done == nullptr) continue;
        one.done({.status = absl::UnavailableError("the connection to Redis has ended"),
                  .outcome_unknown = true});
      }
    }
    lock.lock();
  }
}

bool RedisTarget::Perform(int socket, std::vector<Waiting>* batch, std::string* received) const {
  std::string commands;
  bool writes = false;
  for (const Waiting& one : *batch) {
    AppendCommand(*one.request, &commands);
    writes = writes || IsWrite(*one.request);
  }
  writes = writes && options_.replicas > 0;
  if (writes) {
    AppendRespCommand(
        {"WAIT", std::to_string(options_.replicas), std::to_string(options_.timeout_ms)},
        &commands);
  }
  if (!SendAll(socket, commands)) return false;
  received->clear();
  size_t at = 0;
  std::vector<RespReply> answers;
  for (size_t i = 0; i < batch->size() + (writes ? 1 : 0); ++i) {
    std::optional<RespReply> answer = Receive(socket, received, &at);
    if (!answer.has_value()) return false;
    answers.push_back(*std::move(answer));
  }
  const bool replicated = !writes || answers.back().integer >= options_.replicas;
  for (size_t i = 0; i < batch->size(); ++i) {
    Waiting& one = (*batch)[i];
    Reply reply = ReplyOf(std::move(answers[i]));
    if (reply.status.ok() && IsWrite(*one.request) && !replicated) {
      reply.status = absl::DeadlineExceededError("too few replicas have the write");
      reply.outcome_unknown = true;
    }
    std::exchange(one.done, nullptr)(std::move(reply));
  }
  return true;
}

}  // namespace gyre
