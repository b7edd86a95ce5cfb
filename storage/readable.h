// FindReadable: where a scan of the store goes on behind damage. A block that fails its checksum
// ends every scan that meets it, and nothing tells where it ends; keys behind it can be read all
// the same, and this finds out from where on.
//
// By trying: first nearby, then further off, and then halving what lies between. Where there is
// more damage than one run of keys, what lies between two runs may be passed over too.
//
// Pure over the snapshot; any thread.

#ifndef GYRE_STORAGE_READABLE_H_
#define GYRE_STORAGE_READABLE_H_

#include <string>
#include <string_view>

#include "storage/engine.h"

namespace gyre {

// A key, maybe of nothing, behind `from` from which on [.., end) can be scanned; `end` where there
// is none. REQUIRES: a scan from `from` fails; from < end.
std::string FindReadable(const Snapshot& snapshot, Family family, std::string_view from,
                         std::string_view end);

}  // namespace gyre

#endif  // GYRE_STORAGE_READABLE_H_
