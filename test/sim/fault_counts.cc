#include "test/sim/fault_counts.h"

#include <numeric>

namespace gyre {
namespace {

// In the order of FaultKind.
constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "crash",
    "crash_as_it_starts",
    "crash_of_all_owners",
    "crash_of_all_nodes",
    "crash_of_hint_keeper",
    "stop",
    "pause",
    "unsynced_lost",
    "write_under_way_lost",
    "write_under_way_stored",
    "failed_write_found_stored",
    "sync_fails",
    "disk_slow",
    "record_damaged",
    "second_copy_damaged",
    "disk_wiped",
    "disk_put_back",
    "second_disk_lost",
    "clock_ahead",
    "clock_back",
    "clock_drifts",
    "message_lost",
    "message_doubled",
    "message_late",
    "message_overtaken",
    "message_cut_off",
    "message_of_former_life",
    "many_lost",
    "cut_one_way",
    "cut_both_ways",
    "pair_cut",
    "node_isolated",
    "connection_broken",
    "link_slow",
    "topology_missed",
    "older_build",
    "outgrown",
    "member_joins",
    "members_change",
    "member_leaves",
    "member_buried",
    "member_buried_alive",
    "member_replaced",
    "crash_of_move_taker",
    "crash_of_move_giver",
    "request_lost",
    "request_doubled",
    "client_gave_up",
    "client_retried",
    "answer_too_late",
    "context_outrun",
    "requests_refused",
    "peers_refused",
    "no_room_for_hints",
    "log_outgrown",
};
static_assert(!kNames.back().empty(), "every kind has a name");

}  // namespace

std::string_view FaultName(FaultKind kind) { return kNames[static_cast<size_t>(kind)]; }

uint64_t FaultCounts::Sum() const {
  return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
}

std::vector<FaultKind> FaultCounts::Unhit() const {
  std::vector<FaultKind> unhit;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    if (counts_[i] == 0) unhit.push_back(static_cast<FaultKind>(i));
  }
  return unhit;
}

}  // namespace gyre
