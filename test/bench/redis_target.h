// RedisTarget: a Redis primary, as fast as its protocol allows with acknowledged replication.
//
// A few connections, each with a thread. A thread takes all that waits, up to 128 requests, sends
// it in one piece with one WAIT behind the writes, and answers its requests when the replies are
// there; meanwhile the other connections do the same with what has come since. A write is answered
// when the primary and the replicas have it. Contexts and blind puts mean nothing here; multi gets
// fail.

#ifndef GYRE_TEST_BENCH_REDIS_TARGET_H_
#define GYRE_TEST_BENCH_REDIS_TARGET_H_

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "test/bench/target.h"
#include "test/bench/tcp_socket.h"

namespace gyre {

struct RedisOptions {
  std::string address;    // host:port, the host as numbers
  int replicas = 1;       // WAIT for so many; 0: for none
  int connections = 4;    // two already overlap; more make smaller batches
  int timeout_ms = 2000;  // of WAIT, and of silence
};

class RedisTarget final : public Target {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RedisTarget>> Connect(RedisOptions options);
  ~RedisTarget() override;

  void Start(Request* request, Done done) override;

 private:
  static constexpr size_t kLargestBatch = 128;

  struct Waiting {
    Request* request;
    Done done;
  };

  RedisTarget(RedisOptions options, std::vector<TcpSocket> sockets);
  void Serve(const TcpSocket& socket);
  // Answers all of the batch; false if the connection is of no use any more.
  bool Perform(const TcpSocket& socket, std::vector<Waiting>* batch, std::string* received) const;

  const RedisOptions options_;
  const std::vector<TcpSocket> sockets_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REDIS_TARGET_H_
