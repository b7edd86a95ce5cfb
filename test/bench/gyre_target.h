// GyreTarget: a Gyre cluster, through the C++ SDK.

#ifndef GYRE_TEST_BENCH_GYRE_TARGET_H_
#define GYRE_TEST_BENCH_GYRE_TARGET_H_

#include <functional>
#include <string>
#include <vector>

#include "api/client/client.h"
#include "test/bench/target.h"

namespace gyre {

class GyreTarget final : public Target {
 public:
  GyreTarget(Client* client, std::string table) : client_(client), table_(std::move(table)) {}

  void Start(Request* request, Done done) override;
  void InBatch(const std::function<void()>& body) override;

 private:
  void StartPut(Request* request, Done done);
  void StartMultiGet(const Request& request, Done done);

  Client* const client_;
  const std::string table_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_GYRE_TARGET_H_
