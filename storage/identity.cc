#include "storage/identity.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/bytes.h"
#include "ring/check.h"
#include "ring/member.h"
#include "storage/keys.h"

namespace gyre {
namespace {

constexpr std::string_view kIdentityName = "identity";
constexpr std::string_view kRunsName = "runs";
constexpr std::string_view kPlacesName = "places";
constexpr std::string_view kStandingName = "standing";
constexpr uint8_t kPlacesVersion = 1;

struct Stored {
  Identity identity;
  std::string cluster_name;
};

struct Runs {
  uint64_t boots = 0;
  bool clean = false;
};

NodeId NodeOf(const ExpectedIdentity& expected, uint64_t instance) {
  return expected.joins ? NodeIdFromName(expected.cluster, expected.node_name, instance)
                        : expected.node;
}

std::string EncodeIdentity(const ExpectedIdentity& expected, uint64_t instance) {
  ByteWriter writer;
  writer.Put(kStorageFormat);
  writer.Put(expected.cluster.value());
  writer.Put(NodeOf(expected, instance).value());
  writer.Put(expected.slices);
  writer.Put(instance);
  writer.PutString(expected.cluster_name);
  writer.PutString(expected.node_name);
  return writer.Take();
}

absl::StatusOr<Stored> DecodeIdentity(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto format = reader.Get<uint32_t>();
  if (!reader.failed() && format > kStorageFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the data directory has storage format ", format, ", this build of Gyre reads up to ",
        kStorageFormat, "; start the newer build that wrote it"));
  }
  Stored stored;
  stored.identity.cluster = ClusterId(reader.Get<uint64_t>());
  stored.identity.node = NodeId(reader.Get<uint64_t>());
  stored.identity.slices = reader.Get<uint32_t>();
  stored.identity.instance = reader.Get<uint64_t>();
  stored.cluster_name = std::string(reader.GetString());
  stored.identity.node_name = std::string(reader.GetString());
  if (!reader.finished() || format == 0) {
    return absl::DataLossError("the identity of the data directory is damaged");
  }
  return stored;
}

std::string EncodeStanding(Standing standing) {
  return std::string(1, static_cast<char>(standing));
}

std::string EncodeRuns(const Runs& runs) {
  ByteWriter writer;
  writer.Put(runs.boots);
  writer.Put(static_cast<uint8_t>(runs.clean ? 1 : 0));
  return writer.Take();
}

absl::StatusOr<Runs> ReadRuns(const Engine& engine) {
  const absl::StatusOr<std::string> bytes = engine.Get(Family::kMeta, EncodeNodeKey(kRunsName));
  if (!bytes.ok() && !absl::IsNotFound(bytes.status())) return bytes.status();
  Runs runs;
  ByteReader reader(bytes.ok() ? std::string_view(*bytes) : std::string_view());
  runs.boots = reader.Get<uint64_t>();
  const auto clean = reader.Get<uint8_t>();
  if (!reader.finished() || clean > 1) {
    return absl::DataLossError("the run counter of the data directory is damaged or missing");
  }
  runs.clean = clean == 1;
  return runs;
}

absl::Status Mismatch(std::string_view what, std::string_view found, std::string_view expected,
                      std::string_view way_out) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the data directory belongs to ", std::string(what), " ", std::string(found),
      ", but the configuration says ", std::string(expected), "; ", std::string(way_out)));
}

std::string Named(const std::string& name, uint64_t id) {
  return absl::StrCat("\"", name, "\" (id ", absl::Hex(id, absl::kZeroPad16), ")");
}

absl::Status CheckExpected(const Stored& found, const ExpectedIdentity& expected) {
  constexpr std::string_view kWayOut =
      "correct the configuration, or give this node a data directory of its own";
  if (found.identity.cluster != expected.cluster) {
    return Mismatch("cluster", Named(found.cluster_name, found.identity.cluster.value()),
                    Named(expected.cluster_name, expected.cluster.value()), kWayOut);
  }
  // Who joined may be listed by now, and who was listed may be no more: the directory knows.
  if (found.identity.node_name != expected.node_name) {
    return Mismatch("node", Named(found.identity.node_name, found.identity.node.value()),
                    Named(expected.node_name, NodeOf(expected, found.identity.instance).value()),
                    kWayOut);
  }
  if (found.identity.slices != expected.slices) {
    return Mismatch("a cluster with a number of partitions of", absl::StrCat(found.identity.slices),
                    absl::StrCat(expected.slices),
                    "that number is fixed when a cluster is made: put the old one back");
  }
  return absl::OkStatus();
}

std::string EncodePlaces(const std::vector<std::string>& places) {
  ByteWriter writer;
  writer.Put(kPlacesVersion);
  writer.Put(static_cast<uint32_t>(places.size()));
  for (const std::string& place : places) writer.PutString(place);
  return writer.Take();
}

// NOT_FOUND: an older build made the directory.
absl::StatusOr<std::vector<std::string>> ReadPlaces(const Engine& engine) {
  const absl::StatusOr<std::string> bytes = engine.Get(Family::kMeta, EncodeNodeKey(kPlacesName));
  if (!bytes.ok()) return bytes.status();
  ByteReader reader(*bytes);
  const auto version = reader.Get<uint8_t>();
  if (!reader.failed() && version > kPlacesVersion) {
    return absl::FailedPreconditionError(
        "the list of members was written by a newer build of Gyre: start that one");
  }
  std::vector<std::string> places;
  const auto count = reader.Get<uint32_t>();
  for (uint32_t i = 0; i < count && !reader.failed(); ++i) {
    places.emplace_back(reader.GetString());
  }
  if (!reader.finished() || version == 0) {
    return absl::DataLossError("the list of members in the data directory is damaged");
  }
  return places;
}

absl::Status CheckPlaces(const std::vector<std::string>& found, const ExpectedIdentity& expected) {
  if (expected.joins || found.empty() || expected.places == expected.places_now) {
    return absl::OkStatus();
  }
  const std::string difference =
      PlacesDifference("the data directory has", found, "the configuration has", expected.places);
  if (difference.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the data directory belongs to a cluster of other members: ", difference,
      "; put the old list back, or that of the members that there are now; a list changes none: "
      "new nodes join through seeds, and `gyre node` has the rest"));
}

absl::Status CheckEmpty(const Engine& engine) {
  const std::unique_ptr<Snapshot> snapshot = engine.TakeSnapshot();
  for (int i = 0; i < kFamilies; ++i) {
    bool empty = true;
    const auto visit = [&empty](std::string_view, std::string_view) { return empty = false; };
    absl::Status status = snapshot->Scan(static_cast<Family>(i), "", "", visit);
    if (!status.ok()) return status;
    if (!empty) {
      return absl::DataLossError(
          "the data directory holds data but no identity: it is damaged, or not Gyre's");
    }
  }
  return absl::OkStatus();
}

// Older builds wrote none, and took every directory for the first.
absl::StatusOr<Standing> ReadStanding(const Engine& engine) {
  const absl::StatusOr<std::string> bytes = engine.Get(Family::kMeta, EncodeNodeKey(kStandingName));
  if (absl::IsNotFound(bytes.status())) return Standing::kProven;
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() != 1 ||
      static_cast<uint8_t>(bytes->front()) > static_cast<uint8_t>(Standing::kReplaced)) {
    return absl::DataLossError("the standing of the data directory is damaged");
  }
  return static_cast<Standing>(bytes->front());
}

absl::StatusOr<Identity> CreateIdentity(Engine* engine, const ExpectedIdentity& expected,
                                        uint64_t instance) {
  if (absl::Status status = CheckEmpty(*engine); !status.ok()) return status;
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey(kIdentityName), EncodeIdentity(expected, instance));
  batch.Put(Family::kMeta, EncodeNodeKey(kRunsName), EncodeRuns({.boots = 1, .clean = false}));
  batch.Put(Family::kMeta, EncodeNodeKey(kPlacesName),
            EncodePlaces(expected.joins ? std::vector<std::string>() : expected.places));
  // Nobody can have met another directory under an id that this one has given itself.
  const Standing standing = expected.joins ? Standing::kProven : Standing::kUnproven;
  batch.Put(Family::kMeta, EncodeNodeKey(kStandingName), EncodeStanding(standing));
  if (absl::Status status = engine->Write(batch, WalSync::kYes); !status.ok()) return status;
  return Identity{.cluster = expected.cluster,
                  .node = NodeOf(expected, instance),
                  .node_name = expected.node_name,
                  .slices = expected.slices,
                  .instance = instance,
                  .boots = 1,
                  .last_stop_clean = true,
                  .standing = standing};
}

absl::Status WriteRuns(Engine* engine, const Runs& runs) {
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey(kRunsName), EncodeRuns(runs));
  return engine->Write(batch, WalSync::kYes);
}

}  // namespace

absl::StatusOr<Identity> OpenIdentity(Engine* engine, const ExpectedIdentity& expected,
                                      uint64_t new_instance) {
  const absl::StatusOr<std::string> bytes =
      engine->Get(Family::kMeta, EncodeNodeKey(kIdentityName));
  if (absl::IsNotFound(bytes.status())) return CreateIdentity(engine, expected, new_instance);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<Stored> stored = DecodeIdentity(*bytes);
  if (!stored.ok()) return stored.status();
  if (absl::Status status = CheckExpected(*stored, expected); !status.ok()) return status;

  const absl::StatusOr<std::vector<std::string>> places = ReadPlaces(*engine);
  const bool has_none = absl::IsNotFound(places.status());
  if (!places.ok() && !has_none) return places.status();
  absl::Status fits = has_none ? absl::OkStatus() : CheckPlaces(*places, expected);
  if (!fits.ok()) return fits;

  const absl::StatusOr<Runs> runs = ReadRuns(*engine);
  if (!runs.ok()) return runs.status();
  const absl::StatusOr<Standing> standing = ReadStanding(*engine);
  if (!standing.ok()) return standing.status();
  Identity identity = std::move(stored->identity);
  identity.standing = *standing;
  identity.boots = runs->boots + 1;
  identity.last_stop_clean = runs->clean;
  WriteBatch batch;
  const Runs now = {.boots = identity.boots, .clean = false};
  batch.Put(Family::kMeta, EncodeNodeKey(kRunsName), EncodeRuns(now));
  if (has_none) batch.Put(Family::kMeta, EncodeNodeKey(kPlacesName), EncodePlaces(expected.places));
  if (absl::Status status = engine->Write(batch, WalSync::kYes); !status.ok()) return status;
  return identity;
}

WriteBatch StandingBatch(Standing standing) {
  WriteBatch batch;
  batch.Put(Family::kMeta, EncodeNodeKey(kStandingName), EncodeStanding(standing));
  return batch;
}

absl::Status MarkClean(Engine* engine) {
  absl::StatusOr<Runs> runs = ReadRuns(*engine);
  if (!runs.ok()) return runs.status();
  runs->clean = true;
  return WriteRuns(engine, *runs);
}

}  // namespace gyre
