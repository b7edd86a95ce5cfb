// gyre-request-path: the work that a put of a new key, a put over a record, or a get makes for
// three nodes, without sockets; what guard.sh runs under callgrind. See docs/benchmarks.md.

#include <algorithm>
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

// What each request cost in messages, and how even the shards' shares are.
void TellCounts(const RequestPath::Counts& before, const RequestPath::Counts& after,
                double requests) {
  uint64_t all = 0, most = 0;
  for (size_t i = 0; i < after.steps.size(); ++i) {
    const uint64_t steps = after.steps[i] - before.steps[i];
    all += steps;
    most = std::max(most, steps);
  }
  std::printf(" messages=%.2f frames=%.3f commits=%.3f groups=%.3f steps=%.2f busiest_shard=%.3f\n",
              static_cast<double>(after.messages - before.messages) / requests,
              static_cast<double>(after.frames - before.frames) / requests,
              static_cast<double>(after.commits - before.commits) / requests,
              static_cast<double>(after.groups - before.groups) / requests,
              static_cast<double>(all) / requests,
              static_cast<double>(most) / static_cast<double>(all));
}

}  // namespace
}  // namespace gyre

int main(int argc, char** argv) {
  gyre::RequestPath::Options options;
  std::string request = "put";
  uint64_t count = 6400, before = 6400;
  CLI::App app("The work that a request makes for three nodes, on one thread");
  app.add_option("request", request,
                 "What is counted: puts of new keys, puts over records, or gets")
      ->check(CLI::IsMember({"put", "replace", "get"}));
  app.add_option("--count", count, "Requests")->check(CLI::Range(1, 10'000'000));
  app.add_option("--before", before,
                 "Records that are put first, uncounted, for the others than put")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--value-bytes", options.value_bytes, "Of each value")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--frame", options.frame_requests, "Requests in a client's frame")
      ->check(CLI::Range(1, 1024));
  app.add_option("--shards", options.shards, "Of each node")->check(CLI::Range(1, 64));
  app.add_flag("--fsync", options.fsync, "Sync each commit");
  CLI11_PARSE(app, argc, argv);

  const gyre::ScratchDirectory directory;
  gyre::RequestPath path(directory.path(), options);
  path.Run(path.Puts(0, before, 1));
  if (request != "put" && count > before) count = before;
  const gyre::RequestPath::Script script = request == "get"   ? path.Gets(0, count)
                                           : request == "put" ? path.Puts(before, count, 1)
                                                              : path.Puts(0, count, 2);
  const gyre::RequestPath::Counts before_it = path.counts();
  const auto started = std::chrono::steady_clock::now();
  gyre::CountedRun(&path, script);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - started;
  std::printf("gyre-request-path: request=%s count=%llu us_each=%.2f", request.c_str(),
              static_cast<unsigned long long>(count), took.count() / static_cast<double>(count));
  gyre::TellCounts(before_it, path.counts(), static_cast<double>(count));
  return 0;
}
