// MachineMemory: how much memory this process may use, for defaults that follow the machine.

#ifndef GYRE_SERVER_MACHINE_MEMORY_H_
#define GYRE_SERVER_MACHINE_MEMORY_H_

#include <cstdint>
#include <string>

namespace gyre {

// Bytes: what the machine has, or less where a control group of Linux (version 2 or 1) that this
// process is in, or one above it, sets a limit; then a container counts as a small machine. Never
// 0.
[[nodiscard]] uint64_t UsableMemoryBytes();

// The least limit that the control groups under `root` (/sys/fs/cgroup) set to a process that is in
// those of `membership` (the text of /proc/self/cgroup). None is UINT64_MAX, or of version 1 some
// number of exabytes.
[[nodiscard]] uint64_t GroupMemoryLimit(const std::string& root, const std::string& membership);

// The caches that a node takes where its configuration names none: together an eighth of
// `memory_bytes`, so that several nodes, their memtables and the page cache find room beside them,
// from 64 MiB to 8 GiB. Two thirds of it are the block cache's; the record cache takes half as much
// as the block cache has, by default or by name. They fill as they are used.
[[nodiscard]] uint64_t DefaultBlockCacheBytes(uint64_t memory_bytes);
[[nodiscard]] uint64_t DefaultRecordCacheBytes(uint64_t block_cache_bytes);

}  // namespace gyre

#endif  // GYRE_SERVER_MACHINE_MEMORY_H_
