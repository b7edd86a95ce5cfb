#include "ring/documents.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"
#include "ring/topology_delta.h"

namespace gyre {

DocumentPtr Documents::Find(std::string_view encoded, uint64_t check) const {
  const auto it =
      std::find_if(documents_.rbegin(), documents_.rend(), [&](const DocumentPtr& document) {
        return document->check == check && document->encoded == encoded;
      });
  return it == documents_.rend() ? nullptr : *it;
}

DocumentPtr Documents::Remember(Topology topology, std::string encoded, uint64_t check) {
  auto document =
      std::make_shared<const Document>(Document{std::move(topology), std::move(encoded), check});
  documents_.push_back(document);
  if (documents_.size() > most_) documents_.pop_front();
  return document;
}

DocumentPtr Documents::Of(Topology topology) {
  for (const DocumentPtr& known : documents_) {
    if (known->topology == topology) return known;  // the first to differ is the epoch
  }
  std::string encoded = EncodeTopology(topology);
  const uint64_t check = CheckOf(encoded);
  if (DocumentPtr known = Find(encoded, check)) return known;
  GYRE_CHECK(ValidateTopology(topology).ok(), "a document is valid");
  return Remember(std::move(topology), std::move(encoded), check);
}

absl::StatusOr<DocumentPtr> Documents::Read(std::string_view encoded) {
  const uint64_t check = CheckOf(encoded);
  if (DocumentPtr known = Find(encoded, check)) return known;
  absl::StatusOr<Topology> topology = DecodeTopology(encoded);
  if (!topology.ok()) return topology.status();
  return Remember(*std::move(topology), std::string(encoded), check);
}

std::shared_ptr<const std::string> Documents::Delta(const DocumentPtr& base,
                                                    const DocumentPtr& next) {
  const uint64_t from = base == nullptr ? 0 : base->check;
  if (auto known = FindDelta(from, next->check)) return known;
  auto delta = std::make_shared<const std::string>(EncodeDelta(base.get(), *next));
  RememberDelta(from, next->check, delta);
  return delta;
}

std::shared_ptr<const std::string> Documents::FindDelta(uint64_t base, uint64_t next) const {
  const auto made = std::find_if(deltas_.begin(), deltas_.end(), [&](const MadeDelta& one) {
    return one.base == base && one.next == next;
  });
  return made == deltas_.end() ? nullptr : made->delta;
}

void Documents::RememberDelta(uint64_t base, uint64_t next,
                              std::shared_ptr<const std::string> delta) {
  deltas_.push_back({base, next, std::move(delta)});
  if (deltas_.size() > most_) deltas_.pop_front();
}

absl::StatusOr<DocumentPtr> Documents::Apply(const DocumentPtr& base, std::string_view delta) {
  const uint64_t from = base == nullptr ? 0 : base->check;
  const uint64_t check = CheckOf(delta);
  const auto known = std::find_if(applied_.begin(), applied_.end(), [&](const Applied& one) {
    return one.base == from && one.delta == check;
  });
  if (known != applied_.end()) return known->document;
  const absl::StatusOr<std::string> encoded = ApplyDelta(base.get(), delta);
  if (!encoded.ok()) return encoded.status();
  absl::StatusOr<DocumentPtr> document = Read(*encoded);
  if (!document.ok()) return document;
  applied_.push_back({from, check, *document});
  if (applied_.size() > most_) applied_.pop_front();
  // Who heard of it tells others.
  if (FindDelta(from, (*document)->check) == nullptr) {
    RememberDelta(from, (*document)->check, std::make_shared<const std::string>(delta));
  }
  return document;
}

}  // namespace gyre
