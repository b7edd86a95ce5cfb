// The reference of ReferenceModel: what a causal history says must be shown and known.

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/version/reference_model.h"

namespace gyre {

ReferenceModel::Events ReferenceModel::Shown(const Record& record) const {
  Events shown = 0;
  for (const Version& version : record.versions) shown |= Bit(version.value.view()[0]);
  return shown;
}

ReferenceModel::Events ReferenceModel::Maximal(Events history) const {
  Events overwritten = 0;
  ForEach(history, [&](int event) { overwritten |= past_[event]; });
  return history & puts_ & ~overwritten;
}

// A write is acknowledged when W owners have it on disk, in the old and in the new set; with hints,
// when those count as the copies of the owners that they stand for.
void ReferenceModel::Acknowledge() {
  if (waiting_ == 0) return;
  std::array<Events, kNodes> on_disk;
  std::array<Events, kNodes> held;
  for (int node = 0; node < kNodes; ++node) {
    on_disk[node] = nodes_[node].disk.History();
    held[node] = on_disk[node];
    for (const StandIn& stand_in : stand_ins_) {
      for (const Hint& hint : stand_in.hints[node]) {
        if (hint.present) held[node] |= hint.copy.history;
      }
    }
  }
  const uint8_t now = owners_;
  const uint8_t later = OwnersAfterMove();
  const auto enough = [&](const std::array<Events, kNodes>& at, int event) {
    uint8_t nodes = 0;
    for (int node = 0; node < kNodes; ++node) {
      if ((at[node] & Bit(event)) != 0) nodes |= NodeBit(node);
    }
    return std::popcount<uint8_t>(nodes & now) >= kWriteQuorum &&
           std::popcount<uint8_t>(nodes & later) >= kWriteQuorum;
  };
  ForEach(waiting_, [&](int event) {
    if (enough(on_disk, event)) {
      acknowledged_ |= Bit(event);
    } else if (enough(held, event)) {
      sloppy_ |= Bit(event);
    } else {
      return;
    }
    waiting_ &= ~Bit(event);
  });
}

void ReferenceModel::Check() {
  ForEach(touched_ & Targets() & ~filling_, [&](int node) { CheckOwner(node); });
  touched_ = 0;
  ForEach(Readable(), [&](int a) {
    ForEach(Readable() & (NodeBit(a) - 1), [&](int b) {
      const Events known = nodes_[a].memory.History() | nodes_[b].memory.History();
      if ((acknowledged_ & ~known) != 0) Fail("a read quorum misses an acknowledged write");
    });
  });
}

void ReferenceModel::CheckOwner(int node) {
  const Disk& memory = nodes_[node].memory;
  for (int key = 0; key < kKeys; ++key) {
    CheckCopy(Filled(node, key), memory.copies[key].history, key, "owner");
  }
  const Events history = memory.History();
  for (int event = 0; event < events_; ++event) {
    if ((history & Bit(event)) == 0 && memory.clock.Contains(dots_[event])) {
      Fail(absl::StrCat("the clock of ", node, " claims write ", event, " unseen"));
    }
  }
}

void ReferenceModel::CheckCopy(const Record& filled, Events history, int key, const char* where) {
  if (Shown(filled) != Maximal(history)) {
    Fail(absl::StrCat(where, " shows ", absl::Hex(Shown(filled)), " of key ", key,
                      ", the reference ", absl::Hex(Maximal(history))));
  }
  const Dot* previous = nullptr;
  for (const Version& version : filled.versions) {
    if (previous != nullptr && *previous >= version.dot) Fail("versions out of order");
    if (!filled.context.Covers(version.dot)) Fail("a version outside of its context");
    previous = &version.dot;
  }
  ForEach(of_key_[key] & ~history, [&](int event) {
    if (dots_[event].counter != 0 && filled.context.Covers(dots_[event])) {
      Fail(absl::StrCat(where, ": the context of key ", key, " covers write ", event, " unseen"));
    }
  });
}

// Everything is delivered; then all owners must agree.
void ReferenceModel::Settle() {
  while (move_) CopyChunk();
  while (filling_ != 0) Refill();
  messages_.clear();
  for (StandIn& stand_in : stand_ins_) {
    for (int node = 0; node < kNodes; ++node) {
      for (int key = 0; key < kKeys; ++key) {
        Hint& hint = stand_in.hints[node][key];
        if (!hint.present) continue;
        const bool owned = (owners_ & NodeBit(node)) != 0;
        if (!owned && Broken(kLostHint)) continue;
        ForEach(owned ? NodeBit(node) : owners_, [&](int to) { ApplyHint(to, key, hint); });
      }
    }
  }
  for (int round = 0; round < 2; ++round) {
    ForEach(owners_, [&](int to) {
      ForEach(owners_ & ~NodeBit(to), [&](int from) { Exchange(to, from, false); });
    });
  }
  if (failure_) return;
  Check();
  // Each removes what has expired by itself.
  ForEach(owners_, [&](int node) {
    for (int key = 0; key < kKeys; ++key) {
      const Events shown = Shown(nodes_[node].memory.copies[key].record);
      ForEach(shown, [&](int event) {
        if (expiry_[event] >= 0) RemoveExpired(node, key, event);
      });
    }
  });
  Check();
  CheckAgreement();
}

void ReferenceModel::CheckAgreement() {
  const int first = std::countr_zero(owners_);
  ForEach(owners_, [&](int node) {
    const Events lost = (acknowledged_ | sloppy_) & ~nodes_[node].memory.History();
    if (lost != 0) Fail(absl::StrCat("acknowledged writes lost: ", absl::Hex(lost)));
    for (int key = 0; key < kKeys; ++key) {
      if (Filled(node, key).versions != Filled(first, key).versions) {
        Fail(absl::StrCat("owners differ on key ", key));
      }
    }
  });
}

void ReferenceModel::Fail(std::string what) {
  if (!failure_) failure_ = std::move(what);
}

void ReferenceModel::Note(const char* what, int a, int b, int c) {
  if (trace_ != nullptr) absl::StrAppend(trace_, what, " ", a, " ", b, " ", c, "\n");
}

}  // namespace gyre
