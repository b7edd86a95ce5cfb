// CassandraTarget: an Apache Cassandra cluster by its native protocol, prepared statements at
// QUORUM, pipelined: some connections to each node, and on each as many statements under way as are
// asked for. What the callbacks of one piece of answers ask leaves as one piece.
//
// The table is made as it is needed: a blob by a blob, with as many replicas as there are nodes, at
// most three. Contexts and blind puts mean nothing here; multi gets fail.

#ifndef GYRE_TEST_BENCH_CASSANDRA_TARGET_H_
#define GYRE_TEST_BENCH_CASSANDRA_TARGET_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "test/bench/target.h"

namespace gyre {

struct CassandraOptions {
  std::vector<std::string> addresses;  // host:port of nodes, the hosts as numbers; at least one
  int connections = 2;                 // to each node
  int timeout_ms = 30'000;             // of making the table; a statement is the nodes' to end
};

class CassandraTarget final : public Target {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CassandraTarget>> Connect(
      const CassandraOptions& options);
  ~CassandraTarget() override;

  void Start(Request* request, Done done) override;

 private:
  class Connection;

  explicit CassandraTarget(std::vector<std::unique_ptr<Connection>> connections);

  const std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_CASSANDRA_TARGET_H_
