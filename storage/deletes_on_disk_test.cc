// What deletes leave on the disk, counted in bytes: three owners over RocksDB put many records,
// delete them, hear of each other what they have, and merge their files.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ring/check.h"
#include "storage/replica_store.h"
#include "storage/rocks_engine.h"
#include "storage/scratch_directory.h"

namespace gyre {
namespace {

constexpr PartitionId kPartition{3, 5};
constexpr int kRecords = 3000;
constexpr size_t kValueBytes = 1024;

class DiskOwner {
 public:
  DiskOwner(const ScratchDirectory& scratch, uint64_t seed) {
    absl::StatusOr<std::unique_ptr<RocksEngine>> engine =
        RocksEngine::Open({.path = scratch.path() + "/" + std::to_string(seed)});
    GYRE_CHECK(engine.ok(), "the engine opens");
    engine_ = *std::move(engine);
    store_ = std::make_unique<ReplicaStore>(engine_.get(), ReplicaStore::Options(), Random(seed));
    GYRE_CHECK(store_->Open({kPartition}, false).ok(), "the store opens");
  }

  static ItemKey Item(int i) { return {kPartition, TableId(1), "key-" + std::to_string(i)}; }
  Record Stored(const ItemKey& item) {
    absl::StatusOr<std::optional<Record>> at_hand = store_->Load(item);
    GYRE_CHECK(at_hand.ok(), "the record is sound");
    if (at_hand->has_value()) return **std::move(at_hand);
    absl::StatusOr<Record> read =
        store_->TakeRead(item, engine_->Get(Family::kRecords, EncodeItemKey(item)));
    GYRE_CHECK(read.ok(), "the record can be read");
    return *std::move(read);
  }
  MintOutcome Mint(const ItemKey& item, WriteIntent intent) {
    return store_->Mint(item, Stored(item), std::move(intent), {});
  }
  void Apply(const ItemKey& item, const MintOutcome& change) {
    store_->Apply(item, Stored(item), change.record, change.minted, Durability::kFsync);
  }
  void Commit() {
    if (!store_->dirty()) return;
    const gyre::Commit commit = store_->TakeSync();
    GYRE_CHECK(engine_->Write(commit.batch, commit.sync).ok(), "the engine writes");
    store_->OnCommitted(commit.seq);
  }
  // Everything in files, and the files merged.
  uint64_t SettledBytes() {
    GYRE_CHECK(engine_->Flush().ok() && engine_->CompactAll().ok(), "the files are merged");
    return engine_->SizeBytes();
  }
  size_t Count(Family family) const {
    size_t entries = 0;
    const absl::Status scanned =
        engine_->TakeSnapshot()->Scan(family, "", "", [&](std::string_view, std::string_view) {
          ++entries;
          return true;
        });
    GYRE_CHECK(scanned.ok(), "the store can be scanned");
    return entries;
  }
  ReplicaStore& store() { return *store_; }

 private:
  std::unique_ptr<RocksEngine> engine_;
  std::unique_ptr<ReplicaStore> store_;
};

class DeletesOnDisk : public ::testing::Test {
 protected:
  // Each record at one of the owners, and from there to the others.
  void WriteAll(WriteKind kind) {
    for (int i = 0; i < kRecords; ++i) {
      WriteIntent intent;
      intent.kind = kind;
      if (kind == WriteKind::kPut) intent.value = std::string(kValueBytes, 'v');
      DiskOwner& minter = owners_[static_cast<size_t>(i) % owners_.size()];
      const MintOutcome minted = minter.Mint(DiskOwner::Item(i), std::move(intent));
      for (DiskOwner& other : owners_) {
        if (&other != &minter) other.Apply(DiskOwner::Item(i), minted);
      }
      if (i % 100 == 99) CommitAll();
    }
    CommitAll();
  }
  void CommitAll() {
    for (DiskOwner& owner : owners_) owner.Commit();
  }
  // Each owner hears what all others durably have.
  void ReportAll(Time now) {
    for (size_t to = 0; to < owners_.size(); ++to) {
      std::vector<NodeId> others;
      for (size_t from = 0; from < owners_.size(); ++from) {
        if (from != to) others.push_back(NodeId(from + 1));
      }
      for (size_t from = 0; from < owners_.size(); ++from) {
        if (from == to) continue;
        owners_[to].store().OnReport(kPartition, NodeId(from + 1),
                                     *owners_[from].store().DurableBases(kPartition), others, now);
      }
    }
    CommitAll();
  }

  const ScratchDirectory scratch_;
  std::array<DiskOwner, 3> owners_{DiskOwner(scratch_, 1), DiskOwner(scratch_, 2),
                                   DiskOwner(scratch_, 3)};
};

TEST_F(DeletesOnDisk, WhatAllOwnersSawDeletedLeavesNothing) {
  const uint64_t empty = owners_[0].SettledBytes();
  WriteAll(WriteKind::kPut);
  for (DiskOwner& owner : owners_) EXPECT_GT(owner.SettledBytes(), kRecords * kValueBytes);
  WriteAll(WriteKind::kDelete);
  const Duration age = ReplicaStore::Options().log_age;
  ReportAll(Time());
  ReportAll(Time() + age);
  for (DiskOwner& owner : owners_) {
    EXPECT_EQ(owner.Count(Family::kRecords), 0u);
    EXPECT_EQ(owner.Count(Family::kDotLog), 0u);
    EXPECT_EQ(owner.Count(Family::kMeta), 1u) << "the clock of the partition";
    EXPECT_LT(owner.SettledBytes(), empty + 4096) << "of three megabytes";
  }
}

TEST_F(DeletesOnDisk, WhatExpiredLeavesNothingEither) {
  const uint64_t empty = owners_[0].SettledBytes();
  for (int i = 0; i < kRecords; ++i) {
    WriteIntent intent;
    intent.value = std::string(kValueBytes, 'v');
    intent.expires_ms = 1000 + static_cast<uint64_t>(i);
    const MintOutcome minted = owners_[0].Mint(DiskOwner::Item(i), std::move(intent));
    owners_[1].Apply(DiskOwner::Item(i), minted);
    owners_[2].Apply(DiskOwner::Item(i), minted);
    if (i % 100 == 99) CommitAll();
  }
  EXPECT_EQ(owners_[1].Count(Family::kExpiry), static_cast<size_t>(kRecords));
  for (DiskOwner& owner : owners_) {
    for (int i = 0; i < kRecords; ++i) {
      const ExpiryKey entry{1000 + static_cast<uint64_t>(i), DiskOwner::Item(i)};
      EXPECT_EQ(owner.store().RemoveExpired(entry, owner.Stored(entry.item), entry.expires_ms), 1u);
      if (i % 100 == 99) owner.Commit();
    }
  }
  ReportAll(Time());
  ReportAll(Time() + ReplicaStore::Options().log_age);
  for (DiskOwner& owner : owners_) {
    EXPECT_EQ(owner.Count(Family::kRecords), 0u);
    EXPECT_EQ(owner.Count(Family::kExpiry), 0u);
    EXPECT_LT(owner.SettledBytes(), empty + 4096);
  }
}

}  // namespace
}  // namespace gyre
