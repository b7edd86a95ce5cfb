#include "storage/memory_engine.h"

#include <algorithm>
#include <utility>

#include "ring/check.h"

namespace gyre {
namespace {

// A format that no codec knows.
constexpr std::string_view kGarbled = "\x0f";

absl::Status ChecksumFails() { return absl::DataLossError("simulated checksum mismatch"); }

}  // namespace

// The present of its engine, seen through what was replaced since the snapshot was taken.
class MemorySnapshot final : public Snapshot {
 public:
  explicit MemorySnapshot(const MemoryEngine* engine) : engine_(engine) {
    engine_->snapshots_.push_back(this);
  }
  ~MemorySnapshot() override { std::erase(engine_->snapshots_, this); }
  MemorySnapshot(const MemorySnapshot&) = delete;
  MemorySnapshot& operator=(const MemorySnapshot&) = delete;

  absl::StatusOr<std::string> Get(Family family, std::string_view key) const override {
    const Kept& kept = At(family);
    const auto it = kept.find(key);
    if (it == kept.end()) return engine_->Get(family, key);
    if (!it->second.has_value()) return absl::NotFoundError("no such key");
    return *it->second;
  }

  absl::Status Scan(
      Family family, std::string_view begin, std::string_view end,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visit) const override {
    ++engine_->scans_;
    absl::Status status = Merge(family, begin, end, visit);
    --engine_->scans_;
    return status;
  }

  // The key is about to change: keeps what it held, unless an older value is kept already.
  void Keep(Family family, std::string_view key, const std::string* value) {
    Kept& kept = kept_[static_cast<size_t>(family)];
    const auto it = kept.lower_bound(key);
    if (it != kept.end() && it->first == key) return;
    kept.emplace_hint(it, key, value == nullptr ? std::nullopt : std::optional(*value));
  }

 private:
  using Kept = std::map<std::string, std::optional<std::string>, std::less<>>;

  const Kept& At(Family family) const { return kept_[static_cast<size_t>(family)]; }

  absl::Status Merge(
      Family family, std::string_view begin, std::string_view end,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visit) const {
    const Kept& kept = At(family);
    const MemoryEngine::Map& present = engine_->At(family);
    auto old = kept.lower_bound(begin);
    auto now = present.lower_bound(begin);
    const auto in_range = [end](const auto& it, const auto& map) {
      return it != map.end() && (end.empty() || it->first < end);
    };
    for (;;) {
      const bool more_old = in_range(old, kept);
      const bool more_now = in_range(now, present);
      if (!more_old && !more_now) return absl::OkStatus();
      if (!more_old || (more_now && now->first < old->first)) {
        if (engine_->IsDamaged(family, now->first)) return ChecksumFails();
        if (!visit(now->first, now->second)) return absl::OkStatus();
        ++now;
        continue;
      }
      if (more_now && now->first == old->first) ++now;
      if (old->second.has_value() && !visit(old->first, *old->second)) return absl::OkStatus();
      ++old;
    }
  }

  const MemoryEngine* const engine_;
  std::array<Kept, kFamilies> kept_;
};

MemoryEngine::~MemoryEngine() {
  GYRE_CHECK(snapshots_.empty(), "a snapshot must not outlive its engine");
}

absl::Status MemoryEngine::Write(const WriteBatch& batch, WalSync sync) {
  GYRE_CHECK(scans_ == 0, "the visitor of a scan must not write");
  if (failed_batch_.has_value()) {
    return absl::FailedPreconditionError("the store takes no writes: an earlier one failed");
  }
  if (next_failure_.has_value()) {
    failed_batch_ = batch;
    absl::Status failure = *std::move(next_failure_);
    next_failure_.reset();
    return failure;
  }
  ++counters_.writes;
  counters_.changes += batch.changes().size();
  if (sync == WalSync::kYes) {
    ++counters_.syncs;
    unsynced_.clear();
    Apply(batch, nullptr);
  } else {
    Apply(batch, &unsynced_.emplace_back());
  }
  return absl::OkStatus();
}

Peek MemoryEngine::TryGet(Family family, std::string_view key, std::string* value) const {
  if (needs_disk_one_in_ != 0 && needs_disk_.Chance(1, needs_disk_one_in_)) {
    return Peek::kNeedsDisk;
  }
  const Map& map = At(family);
  const auto it = map.find(key);
  if (it == map.end()) return Peek::kAbsent;
  if (IsDamaged(family, key)) return Peek::kNeedsDisk;
  *value = it->second;
  return Peek::kFound;
}

absl::StatusOr<std::string> MemoryEngine::Get(Family family, std::string_view key) const {
  const Map& map = At(family);
  const auto it = map.find(key);
  if (it == map.end()) return absl::NotFoundError("no such key");
  if (IsDamaged(family, key)) return ChecksumFails();
  return it->second;
}

std::unique_ptr<Snapshot> MemoryEngine::TakeSnapshot() const {
  ++counters_.snapshots;
  return std::make_unique<MemorySnapshot>(this);
}

void MemoryEngine::Crash(Random* random) {
  const size_t most = unsynced_.size() + (failed_batch_.has_value() ? 1 : 0);
  const size_t kept = random->Below(most + 1);
  if (kept > unsynced_.size()) {
    Apply(*failed_batch_, nullptr);
    ++counters_.failed_found;
  }
  while (unsynced_.size() > kept) {
    Revert(std::move(unsynced_.back()));
    unsynced_.pop_back();
    ++counters_.lost_batches;
  }
  unsynced_.clear();
  failed_batch_.reset();
  next_failure_.reset();
  ++counters_.crashes;
}

std::unique_ptr<MemoryEngine> MemoryEngine::Copy() const {
  auto copy = std::make_unique<MemoryEngine>();
  copy->families_ = families_;
  return copy;
}

void MemoryEngine::FailNextWrite(absl::Status status) {
  GYRE_CHECK(!status.ok(), "a failure needs an error");
  next_failure_ = std::move(status);
}

void MemoryEngine::Garble(Family family, std::string_view key) {
  Map& map = At(family);
  const auto it = map.find(key);
  GYRE_CHECK(it != map.end(), "what is garbled is there");
  it->second = kGarbled;
}

bool MemoryEngine::IsGarbled(std::string_view value) { return value == kGarbled; }

void MemoryEngine::AnswerNeedsDisk(uint32_t one_in, uint64_t seed) {
  needs_disk_one_in_ = one_in;
  needs_disk_ = Random(seed);
}

bool MemoryEngine::Damage(Family family, std::string_view key) {
  if (!IsDurable(family, key)) return false;
  damaged_.emplace(family, key);
  return true;
}

bool MemoryEngine::Lose(Family family, std::string_view key) {
  if (!IsDurable(family, key)) return false;
  Erase(family, At(family).find(key), nullptr);
  return true;
}

bool MemoryEngine::Change(Family family, std::string_view key, std::string_view value) {
  if (!IsDurable(family, key)) return false;
  Put(family, key, value, nullptr);
  return true;
}

bool MemoryEngine::IsDurable(Family family, std::string_view key) const {
  if (!At(family).contains(key)) return false;
  return std::none_of(unsynced_.begin(), unsynced_.end(), [&](const Undo& undo) {
    return std::any_of(undo.begin(), undo.end(), [&](const Before& before) {
      return before.family == family && before.key == key;
    });
  });
}

bool MemoryEngine::IsDamaged(Family family, std::string_view key) const {
  return !damaged_.empty() && damaged_.contains({family, std::string(key)});
}

void MemoryEngine::Apply(const WriteBatch& batch, Undo* undo) {
  for (const WriteBatch::Change& change : batch.changes()) {
    Map& map = At(change.family);
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        Put(change.family, change.key, change.value, undo);
        break;
      case WriteBatch::Kind::kErase:
        if (const auto it = map.find(change.key); it != map.end()) Erase(change.family, it, undo);
        break;
      case WriteBatch::Kind::kEraseRange:
        for (auto it = map.lower_bound(change.key); it != map.end() && it->first < change.value;) {
          it = Erase(change.family, it, undo);
        }
        break;
    }
  }
}

void MemoryEngine::Put(Family family, std::string_view key, std::string_view value, Undo* undo) {
  if (!damaged_.empty()) damaged_.erase({family, std::string(key)});
  Map& map = At(family);
  const auto it = map.lower_bound(key);
  if (it == map.end() || it->first != key) {
    KeepForSnapshots(family, key, nullptr);
    if (undo != nullptr) undo->push_back({family, std::string(key), std::nullopt});
    map.emplace_hint(it, key, value);
    return;
  }
  KeepForSnapshots(family, key, &it->second);
  if (undo != nullptr) undo->push_back({family, std::string(key), std::move(it->second)});
  it->second = value;
}

MemoryEngine::Map::iterator MemoryEngine::Erase(Family family, Map::iterator entry, Undo* undo) {
  if (!damaged_.empty()) damaged_.erase({family, entry->first});
  KeepForSnapshots(family, entry->first, &entry->second);
  if (undo != nullptr) undo->push_back({family, entry->first, std::move(entry->second)});
  return At(family).erase(entry);
}

void MemoryEngine::Revert(Undo undo) {
  for (auto before = undo.rbegin(); before != undo.rend(); ++before) {
    if (before->value.has_value()) {
      Put(before->family, before->key, *before->value, nullptr);
    } else {
      Map& map = At(before->family);
      const auto it = map.find(before->key);
      GYRE_CHECK(it != map.end(), "a put that is undone has left its key");
      Erase(before->family, it, nullptr);
    }
  }
}

void MemoryEngine::KeepForSnapshots(Family family, std::string_view key,
                                    const std::string* value) const {
  for (MemorySnapshot* snapshot : snapshots_) snapshot->Keep(family, key, value);
}

}  // namespace gyre
