// gyre-echo: the bare gRPC echo, until SIGTERM or SIGINT.
//
//   gyre-echo callback|queue HOST:PORT
//
// Prints "ready" when it listens. Exit code 2 for bad usage, 3 when it cannot listen.

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "api/mutex_checks.h"
#include "test/bench/echo/echo_server.h"

int main(int argc, char** argv) {
  const std::string form = argc == 3 ? argv[1] : "";
  if (form != "callback" && form != "queue") {
    std::fprintf(stderr, "usage: gyre-echo callback|queue HOST:PORT\n");
    return 2;
  }
  gyre::TurnOffMutexChecks();
  // Before any thread is made, so that all of them leave the signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::unique_ptr<gyre::EchoServer> server =
      form == "callback" ? gyre::StartCallbackEcho(argv[2]) : gyre::StartQueueEcho(argv[2]);
  if (server == nullptr) {
    std::fprintf(stderr, "gyre-echo: cannot listen at %s\n", argv[2]);
    return 3;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown();
  return 0;
}
