// EtcdTarget: an etcd cluster by unary calls, which is all that its contract has for single keys;
// the members are asked in turn. Gets are linearizable. Contexts and blind puts mean nothing here;
// multi gets fail.

#ifndef GYRE_TEST_BENCH_ETCD_TARGET_H_
#define GYRE_TEST_BENCH_ETCD_TARGET_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "test/bench/etcd.grpc.pb.h"
#include "test/bench/target.h"

namespace gyre {

class EtcdTarget final : public Target {
 public:
  // REQUIRES: at least one address.
  EtcdTarget(const std::vector<std::string>& addresses, int timeout_ms);

  void Start(Request* request, Done done) override;

 private:
  const int timeout_ms_;
  std::vector<std::unique_ptr<etcdserverpb::KV::Stub>> members_;
  std::atomic<size_t> next_{0};
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_ETCD_TARGET_H_
