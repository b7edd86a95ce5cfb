// gyre-request-path: the work that a put or a get makes for three nodes, without sockets; what
// guard.sh runs under callgrind. See docs/benchmarks.md.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "storage/scratch_directory.h"
#include "test/bench/request_path.h"

namespace gyre {
namespace {

// The one function whose instructions count: callgrind is told its name.
[[gnu::noinline]] size_t CountedRun(RequestPath* path, const RequestPath::Script& script) {
  return path->Run(script);
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  gyre::RequestPath::Options options;
  std::string request = "put";
  uint64_t count = 6400, before = 6400;
  CLI::App app("The work that a request makes for three nodes, on one thread");
  app.add_option("request", request, "What is counted")->check(CLI::IsMember({"put", "get"}));
  app.add_option("--count", count, "Requests")->check(CLI::Range(1, 10'000'000));
  app.add_option("--before", before, "Records that are put first, uncounted; gets read these")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--value-bytes", options.value_bytes, "Of each value")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--frame", options.frame_requests, "Requests in a client's frame")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--fsync", options.fsync, "Sync each commit");
  CLI11_PARSE(app, argc, argv);

  const gyre::ScratchDirectory directory;
  gyre::RequestPath path(directory.path(), options);
  path.Run(path.Puts(0, before));
  if (request == "get" && count > before) count = before;
  const gyre::RequestPath::Script script =
      request == "put" ? path.Puts(before, count) : path.Gets(0, count);
  const auto started = std::chrono::steady_clock::now();
  gyre::CountedRun(&path, script);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - started;
  std::printf("gyre-request-path: request=%s count=%llu us_each=%.2f\n", request.c_str(),
              static_cast<unsigned long long>(count), took.count() / static_cast<double>(count));
  return 0;
}
