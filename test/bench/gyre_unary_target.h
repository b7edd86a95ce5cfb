// GyreUnaryTarget: a Gyre cluster by unary calls over many connections, each to one node, as a web
// backend without the SDK would ask; nothing is coalesced and nothing tried again. Multi gets fail.

#ifndef GYRE_TEST_BENCH_GYRE_UNARY_TARGET_H_
#define GYRE_TEST_BENCH_GYRE_UNARY_TARGET_H_

#include <memory>
#include <string>
#include <vector>

#include "api/proto/gyre.grpc.pb.h"
#include "test/bench/target.h"

namespace gyre {

class GyreUnaryTarget final : public Target {
 public:
  // The connections go to the addresses in turn. REQUIRES: at least one of each.
  GyreUnaryTarget(const std::vector<std::string>& addresses, int connections, std::string table,
                  int timeout_ms);

  void Start(Request* request, Done done) override;

 private:
  const std::string table_;
  const int timeout_ms_;
  std::vector<std::unique_ptr<v1::Gyre::Stub>> connections_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_GYRE_UNARY_TARGET_H_
