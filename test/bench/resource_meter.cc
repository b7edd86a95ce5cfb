#include "test/bench/resource_meter.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace gyre {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

int64_t MicrosOfTicks(int64_t ticks) {
  static const int64_t micros_per_tick = 1'000'000 / sysconf(_SC_CLK_TCK);
  return ticks * micros_per_tick;
}

std::optional<ProcessReading> ReadProcess(int pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::optional<ProcStat> stat = ParseProcStat(ReadAll(folder + "/stat"));
  if (!stat.has_value()) return std::nullopt;
  ProcessReading reading;
  reading.started_ticks = stat->started_ticks;
  reading.cpu_us = MicrosOfTicks(stat->cpu_ticks);
  reading.resident_bytes = stat->resident_pages * sysconf(_SC_PAGESIZE);
  reading.written_bytes = ParseWrittenBytes(ReadAll(folder + "/io"));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder + "/task", error)) {
    const std::optional<ProcStat> thread = ParseProcStat(ReadAll(entry.path().string() + "/stat"));
    if (thread.has_value())
      reading.threads_cpu_us[thread->name] += MicrosOfTicks(thread->cpu_ticks);
  }
  return reading;
}

// What its files hold: neither blocks that a file has reserved behind its end, as logs do, nor
// holes.
int64_t FolderBytes(const std::string& path) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(path, error), end; at != end; at.increment(error)) {
    struct stat found = {};
    if (lstat(at->path().c_str(), &found) == 0 && S_ISREG(found.st_mode)) {
      bytes += std::min<int64_t>(int64_t{512} * found.st_blocks, found.st_size);
    }
  }
  return bytes;
}

}  // namespace

std::optional<ProcStat> ParseProcStat(std::string_view text) {
  // The name is in parentheses and may itself have some, so the last one ends it.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  std::istringstream fields{std::string(text.substr(close + 1))};
  std::string state;
  fields >> state;
  std::vector<int64_t> numbers;  // from field 4, ppid, on
  for (int64_t number = 0; fields >> number;) {
    numbers.push_back(number);
    if (numbers.size() == 21) break;  // up to field 24, rss
  }
  if (numbers.size() < 21) return std::nullopt;
  const auto field = [&](size_t n) { return numbers[n - 4]; };
  return ProcStat{.name = std::string(text.substr(open + 1, close - open - 1)),
                  .cpu_ticks = field(14) + field(15),
                  .started_ticks = static_cast<uint64_t>(field(22)),
                  .resident_pages = field(24)};
}

std::optional<int64_t> ParseLoopbackBytes(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string interface;
    int64_t received = 0;
    if (words >> interface >> received && interface == "lo:") return received;
  }
  return std::nullopt;
}

std::optional<int64_t> ParseWrittenBytes(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string field;
    int64_t bytes = 0;
    if (words >> field >> bytes && field == "write_bytes:") return bytes;
  }
  return std::nullopt;
}

ResourceReading ResourceMeter::Read() const {
  ResourceReading reading;
  for (const NamedProcess& process : processes_) {
    reading.processes.push_back(ReadProcess(process.pid));
  }
  reading.loopback_bytes = ParseLoopbackBytes(ReadAll("/proc/net/dev"));
  for (const NamedFolder& folder : folders_) {
    reading.folder_bytes.push_back(FolderBytes(folder.path));
  }
  return reading;
}

ResourceUse ResourceMeter::Between(const ResourceReading& before,
                                   const ResourceReading& after) const {
  ResourceUse use;
  for (size_t i = 0; i < processes_.size(); ++i) {
    const auto& was = before.processes[i];
    const auto& is = after.processes[i];
    ProcessUse process{.name = processes_[i].name};
    if (was.has_value() && is.has_value() && was->started_ticks == is->started_ticks) {
      process.measured = true;
      process.cpu_us = is->cpu_us - was->cpu_us;
      process.resident_bytes = is->resident_bytes;
      if (was->written_bytes.has_value() && is->written_bytes.has_value()) {
        process.written_bytes = *is->written_bytes - *was->written_bytes;
      }
      for (const auto& [name, cpu_us] : is->threads_cpu_us) {
        const auto then = was->threads_cpu_us.find(name);
        const int64_t used = cpu_us - (then == was->threads_cpu_us.end() ? 0 : then->second);
        if (used > 0) process.threads_cpu_us[name] = used;
      }
    }
    use.processes.push_back(std::move(process));
  }
  for (size_t i = 0; i < folders_.size(); ++i) {
    use.folders.push_back({.name = folders_[i].name,
                           .bytes = after.folder_bytes[i],
                           .grown_bytes = after.folder_bytes[i] - before.folder_bytes[i]});
  }
  if (before.loopback_bytes.has_value() && after.loopback_bytes.has_value()) {
    use.loopback_bytes = *after.loopback_bytes - *before.loopback_bytes;
  }
  return use;
}

}  // namespace gyre
