// ResourceMeter: what processes have used so far: CPU, memory, bytes written to disk; and what went
// over the loopback interface and lies in directories.
//
// From /proc (proc(5)): CPU time is counted in ticks of 10 ms, over all threads of a process, also
// those that have ended. Written bytes are what the process made the kernel send to storage, its
// rewriting by compaction included; other users' processes do not show theirs. Loopback bytes are
// the whole machine's, headers included, each packet once: run nothing else beside it.
//
// One thread.

#ifndef GYRE_TEST_BENCH_RESOURCE_METER_H_
#define GYRE_TEST_BENCH_RESOURCE_METER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gyre {

struct NamedProcess {
  std::string name;
  int pid = 0;
};

struct NamedFolder {
  std::string name;
  std::string path;
};

struct ProcessReading {
  uint64_t started_ticks = 0;  // tells it from another process that has its id since
  int64_t cpu_us = 0;
  int64_t resident_bytes = 0;
  std::optional<int64_t> written_bytes;
  std::map<std::string, int64_t> threads_cpu_us;  // those alive; threads of one name together
};

struct ResourceReading {
  std::vector<std::optional<ProcessReading>> processes;  // nothing: it is not there
  std::optional<int64_t> loopback_bytes;
  std::vector<int64_t> folder_bytes;
};

// What a process used between two readings; nothing if it was not there all the time.
struct ProcessUse {
  std::string name;
  bool measured = false;
  int64_t cpu_us = 0;
  int64_t resident_bytes = 0;  // at the end
  std::optional<int64_t> written_bytes = {};
  std::map<std::string, int64_t> threads_cpu_us = {};
};

struct FolderUse {
  std::string name;
  int64_t bytes = 0;  // at the end
  int64_t grown_bytes = 0;
};

struct ResourceUse {
  std::vector<ProcessUse> processes;
  std::vector<FolderUse> folders;
  std::optional<int64_t> loopback_bytes;
};

struct ProcStat {
  std::string name;
  int64_t cpu_ticks = 0;  // in user and kernel mode
  uint64_t started_ticks = 0;
  int64_t resident_pages = 0;
};
// Of the text of /proc/PID/stat, /proc/net/dev and /proc/PID/io; nothing if it has another form.
[[nodiscard]] std::optional<ProcStat> ParseProcStat(std::string_view text);
[[nodiscard]] std::optional<int64_t> ParseLoopbackBytes(std::string_view text);
[[nodiscard]] std::optional<int64_t> ParseWrittenBytes(std::string_view text);

class ResourceMeter {
 public:
  ResourceMeter(std::vector<NamedProcess> processes, std::vector<NamedFolder> folders)
      : processes_(std::move(processes)), folders_(std::move(folders)) {}

  [[nodiscard]] ResourceReading Read() const;
  [[nodiscard]] ResourceUse Between(const ResourceReading& before,
                                    const ResourceReading& after) const;

 private:
  const std::vector<NamedProcess> processes_;
  const std::vector<NamedFolder> folders_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_RESOURCE_METER_H_
