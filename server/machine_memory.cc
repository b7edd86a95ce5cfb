#include "server/machine_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <limits>
#include <sstream>

namespace gyre {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

// Of a file that holds a number of bytes. "max", or no such file: no limit.
uint64_t LimitIn(const std::string& path) {
  std::ifstream file(path);
  uint64_t bytes = 0;
  return file >> bytes && bytes > 0 ? bytes : kNone;
}

// The least of the limits `file` in `folder`/`group` and in every group above it.
uint64_t LeastLimit(const std::string& folder, std::string group, const std::string& file) {
  uint64_t least = LimitIn(folder + "/" + file);
  while (group.size() > 1) {
    least = std::min(least, LimitIn(folder + group + "/" + file));
    group.resize(group.find_last_of('/'));
  }
  return least;
}

}  // namespace

uint64_t GroupMemoryLimit(const std::string& root, const std::string& membership) {
  uint64_t least = kNone;
  std::istringstream lines(membership);
  // A line is hierarchy:controllers:/group; version 2 has number 0 and names no controllers.
  for (std::string line; std::getline(lines, line);) {
    const size_t controllers = line.find(':');
    if (controllers == std::string::npos) continue;
    const size_t group = line.find(':', controllers + 1);
    if (group == std::string::npos || line.compare(group + 1, 1, "/") != 0) continue;
    const std::string path = line.substr(group + 1);
    const std::string named = "," + line.substr(controllers + 1, group - controllers - 1) + ",";
    if (named == ",,") least = std::min(least, LeastLimit(root, path, "memory.max"));
    if (named.find(",memory,") != std::string::npos) {
      least = std::min(least, LeastLimit(root + "/memory", path, "memory.limit_in_bytes"));
    }
  }
  return least;
}

uint64_t UsableMemoryBytes() {
  const auto machine = static_cast<uint64_t>(std::max(1L, sysconf(_SC_PHYS_PAGES))) *
                       static_cast<uint64_t>(std::max(1L, sysconf(_SC_PAGESIZE)));
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream membership;
  if (file) membership << file.rdbuf();
  return std::min(machine, GroupMemoryLimit("/sys/fs/cgroup", membership.str()));
}

uint64_t DefaultBlockCacheBytes(uint64_t memory_bytes) {
  return std::clamp(memory_bytes / 8, uint64_t{64} << 20, uint64_t{8} << 30) / 3 * 2;
}

uint64_t DefaultRecordCacheBytes(uint64_t block_cache_bytes) { return block_cache_bytes / 2; }

}  // namespace gyre
