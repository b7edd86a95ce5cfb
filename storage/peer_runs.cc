#include "storage/peer_runs.h"

#include <algorithm>
#include <string>

#include "ring/bytes.h"
#include "ring/check.h"
#include "storage/keys.h"

namespace gyre {
namespace {

constexpr std::string_view kPeerRunsName = "peer_runs";
constexpr uint8_t kVersion = 1;

}  // namespace

absl::StatusOr<PeerRuns> PeerRuns::Load(const Engine& engine) {
  PeerRuns runs;
  const absl::StatusOr<std::string> bytes = engine.Get(Family::kMeta, EncodeNodeKey(kPeerRunsName));
  if (absl::IsNotFound(bytes.status())) return runs;
  if (!bytes.ok()) return bytes.status();
  ByteReader reader(*bytes);
  const auto version = reader.Get<uint8_t>();
  if (!reader.failed() && version > kVersion) {
    return absl::FailedPreconditionError(
        "the runs of peers were written by a newer build of Gyre: start that one");
  }
  const auto count = reader.Get<uint32_t>();
  for (uint32_t i = 0; i < count && !reader.failed(); ++i) {
    const NodeId node(reader.Get<uint64_t>());
    const auto instance = reader.Get<uint64_t>();
    Newest& newest = runs.newest_[{node, instance}];
    newest.boots = reader.Get<uint64_t>();
    newest.run = reader.Get<uint64_t>();
  }
  if (!reader.finished() || version == 0) {
    return absl::DataLossError("what the node knows of its peers' runs is damaged");
  }
  return runs;
}

PeerRuns::Verdict PeerRuns::Judge(NodeId peer, const PeerRun& run) const {
  const auto met = newest_.find({peer, run.instance});
  if (met == newest_.end() || run.boots > met->second.boots) return Verdict::kLater;
  const bool same = run.boots == met->second.boots && run.run == met->second.run;
  return same ? Verdict::kKnown : Verdict::kForgetful;
}

bool PeerRuns::MetAnother(NodeId peer, const PeerRun& run) const {
  const auto begin = newest_.lower_bound({peer, 0});
  const auto end = newest_.upper_bound({peer, UINT64_MAX});
  return std::any_of(begin, end, [&](const auto& met) { return met.first.second != run.instance; });
}

WriteBatch PeerRuns::Remember(NodeId peer, const PeerRun& run) {
  GYRE_CHECK(Judge(peer, run) == Verdict::kLater, "what is remembered only grows");
  newest_[{peer, run.instance}] = {run.boots, run.run};
  ByteWriter writer;
  writer.Put(kVersion);
  writer.Put(static_cast<uint32_t>(newest_.size()));
  for (const auto& [who, newest] : newest_) {
    writer.Put(who.first.value());
    writer.Put(who.second);
    writer.Put(newest.boots);
    writer.Put(newest.run);
  }
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey(kPeerRunsName), writer.Take());
  return batch;
}

}  // namespace gyre
