// gyred: one node of Gyre. Ends with 0 after a clean stop, 1 when it cannot start or its disk
// failed it at the end, 2 for a mistake in flags or configuration, 3 when the cluster refuses it.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "api/mutex_checks.h"
#include "server/clock.h"
#include "server/flags.h"
#include "server/gyred.h"
#include "server/log.h"

namespace gyre {
namespace {

constexpr int kCannotStart = 1;
constexpr int kUsageError = 2;
constexpr int kRefused = 3;

// Why the node cannot go on, once somebody says so; the main thread is woken by a signal.
class FatalNotice {
 public:
  void Give(std::string why) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!why_.empty()) return;  // a second signal would end the process at once
      why_ = std::move(why);
    }
    kill(getpid(), SIGTERM);
  }
  std::string why() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::string why_;
};

// A signal that is to end the process waits for the main thread.
bool EndIsPending() {
  sigset_t pending;
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

void LogReady(const Config& config, Time started) {
  Log(LogLevel::kInfo, "ready",
      {{"cluster", config.cluster_name},
       {"node", config.node_name},
       {"client", config.client_listen.ToString()},
       {"peer", config.peer_listen.ToString()},
       {"http", config.http ? config.http_listen.ToString() : ""},
       {"data_dir", config.data_dir},
       {"version", kVersion},
       {"shards", config.shards},
       {"block_cache_mib", config.block_cache_bytes >> 20},
       {"record_cache_mib", config.record_cache_bytes >> 20},
       {"took_ms", (MonotonicNow() - started).millis()}});
}

int Run(Flags flags) {
  const Time started = MonotonicNow();
  if (absl::Status status = OpenLog({flags.config.log_level, flags.log_file}); !status.ok()) {
    std::fprintf(stderr, "gyred: %s\n", std::string(status.message()).c_str());
    return kUsageError;
  }
  // Before any thread is made, so that all of them leave these to the main thread.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);

  FatalNotice fatal;
  absl::StatusOr<std::unique_ptr<Gyred>> gyred = Gyred::Start(
      std::move(flags.config),
      {[&](std::string why) { fatal.Give(std::move(why)); }, [] { return EndIsPending(); }});
  if (!gyred.ok()) {
    const std::string why(gyred.status().message());
    Log(LogLevel::kError, "cannot_start", {{"why", why}});
    std::fprintf(stderr, "gyred: cannot start: %s\n", why.c_str());
    return kCannotStart;
  }
  if (flags.dev) {
    std::printf("gyred: data in %s, clients at %s\n", (*gyred)->config().data_dir.c_str(),
                (*gyred)->config().client_listen.ToString().c_str());
    std::fflush(stdout);
  }
  LogReady((*gyred)->config(), started);

  int signal_number = 0;
  sigwait(&ends, &signal_number);
  // A second one ends the process at once.
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
  const std::string why = fatal.why();
  if (!why.empty()) {
    Log(LogLevel::kError, "refused", {{"why", why}});
    std::fprintf(stderr, "gyred: refused by the cluster: %s\n", why.c_str());
  }
  Log(LogLevel::kInfo, "draining", {{"signal", signal_number}});
  const absl::Status stopped = (*gyred)->Stop();
  Log(stopped.ok() ? LogLevel::kInfo : LogLevel::kError, "stopped",
      {{"why", std::string(stopped.message())}});
  if (!why.empty()) return kRefused;
  return stopped.ok() ? 0 : kCannotStart;
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  gyre::TurnOffMutexChecks();
  gyre::FlagsOutcome flags = gyre::ParseFlags(argc, argv);
  if (!flags.run.has_value()) return flags.exit_code;
  return gyre::Run(*std::move(flags.run));
}
