// Tables and the topology between their values and their wire form.
//
// Pure functions; any thread. Errors are the typed ones of api/error_translation.h.

#ifndef GYRE_API_TABLE_TRANSLATION_H_
#define GYRE_API_TABLE_TRANSLATION_H_

#include "absl/status/statusor.h"
#include "api/proto/gyre.pb.h"
#include "ring/table.h"
#include "ring/topology.h"

namespace gyre {

void ToProto(const TableSpec& table, v1::Table* out);

// The table that a creation asks for, with what it left out filled in: N = min(3, members), R and W
// a majority of N.
absl::StatusOr<TableSpec> WantedTable(const v1::Table& table, size_t members);

void ToProto(const Topology& topology, v1::GetTopologyReply* out);

}  // namespace gyre

#endif  // GYRE_API_TABLE_TRANSLATION_H_
