#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "test/bench/echo/echo_server.h"
#include "test/bench/echo/echo_target.h"
#include "test/bench/load_run.h"
#include "test/bench/mix.h"

namespace gyre {
namespace {

struct Form {
  const char* name;
  std::unique_ptr<EchoServer> (*serve)(const std::string& address);
  std::unique_ptr<Target> (*dial)(const std::string& address);
};

std::unique_ptr<Target> EchoByTwoConnections(const std::string& address) {
  return EchoByCallback(address, 2);
}

class EchoTest : public testing::TestWithParam<Form> {
 protected:
  // A socket of the test's own, by name, so that no port can be somebody else's.
  const std::string address_ =
      "unix:" + testing::TempDir() + "/gyre-echo-" + GetParam().name + std::to_string(getpid());
};

// The target without what a load adds: it says whether each value came back as it was sent.
class ComparingTarget final : public Target {
 public:
  explicit ComparingTarget(Target* echo) : echo_(echo) {}
  void Start(Request* request, Done done) override {
    const std::string value = request->value;
    echo_->Start(request, [value, done = std::move(done)](Reply reply) {
      if (reply.status.ok() && reply.values != std::vector<std::string>{value}) {
        reply.status = absl::DataLossError("another value came back");
      }
      done(std::move(reply));
    });
  }

 private:
  Target* const echo_;
};

TEST_P(EchoTest, GivesEachRequestItsOwnValueBack) {
  const std::unique_ptr<EchoServer> server = GetParam().serve(address_);
  ASSERT_NE(server, nullptr);
  {
    const std::unique_ptr<Target> echo = GetParam().dial(address_);
    ComparingTarget target(echo.get());
    MixSource source({.mix = *FindMix("load"), .records = 3000, .slots = 100});
    Recorder recorder({});
    LoadRun run({.slots = 100, .length_us = 3'600'000'000}, &target, &source, &recorder);
    run.Run([] {});
    const auto measured = recorder.Finish();
    EXPECT_EQ(measured->ended, 3000u);
    EXPECT_EQ(measured->failed, 0u) << measured->failures.front();
  }
  server->Shutdown();
}

TEST_P(EchoTest, WithoutAServerEachRequestFails) {
  const std::unique_ptr<Target> echo = GetParam().dial(address_ + "-nobody");
  MixSource source({.mix = *FindMix("load"), .records = 20, .slots = 4});
  Recorder recorder({});
  LoadRun run({.slots = 4, .length_us = 3'600'000'000}, echo.get(), &source, &recorder);
  run.Run([] {});
  EXPECT_EQ(recorder.Finish()->failed, 20u);
}

INSTANTIATE_TEST_SUITE_P(Forms, EchoTest,
                         testing::Values(Form{"callback", StartCallbackEcho, EchoByTwoConnections},
                                         Form{"queue", StartQueueEcho, EchoByQueue},
                                         Form{"stream", StartCallbackEcho, EchoByStream}),
                         [](const testing::TestParamInfo<Form>& form) {
                           return std::string(form.param.name);
                         });

}  // namespace
}  // namespace gyre
