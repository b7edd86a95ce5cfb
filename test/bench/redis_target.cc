#include "test/bench/redis_target.h"

#include <optional>
#include <utility>

#include "test/bench/resp.h"

namespace gyre {
namespace {

// Nothing: the connection has ended, is silent, or speaks something else.
std::optional<RespReply> Receive(const TcpSocket& socket, std::string* received, size_t* at) {
  for (;;) {
    std::optional<RespReply> reply = TakeRespReply(*received, at);
    if (reply.has_value() && reply->kind == RespReply::Kind::kMalformed) return std::nullopt;
    if (reply.has_value()) return reply;
    if (!socket.Receive(received)) return std::nullopt;
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
  std::vector<TcpSocket> sockets;
  for (int i = 0; i < options.connections; ++i) {
    absl::StatusOr<TcpSocket> dialled =
        TcpSocket::Dial(options.address, options.timeout_ms + 1000);  // WAIT may use all of its own
    if (!dialled.ok()) return dialled.status();
    sockets.push_back(*std::move(dialled));
  }
  return std::unique_ptr<RedisTarget>(new RedisTarget(std::move(options), std::move(sockets)));
}

RedisTarget::RedisTarget(RedisOptions options, std::vector<TcpSocket> sockets)
    : options_(std::move(options)), sockets_(std::move(sockets)) {
  for (const TcpSocket& socket : sockets_) {
    threads_.emplace_back([this, &socket] { Serve(socket); });
  }
}

RedisTarget::~RedisTarget() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    arrived_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
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

void RedisTarget::Serve(const TcpSocket& socket) {
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

bool RedisTarget::Perform(const TcpSocket& socket, std::vector<Waiting>* batch,
                          std::string* received) const {
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
  if (!socket.Send(commands)) return false;
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
