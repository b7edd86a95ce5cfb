#include "server/outside_word.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "server/clock.h"
#include "server/log.h"

namespace gyre {
namespace {

// Whether another member is left of those that the earlier one had.
bool KnowsAny(const Topology& earlier, const Topology& later, NodeId self) {
  return std::any_of(later.members.begin(), later.members.end(), [&](const Member& member) {
    return member.id != self && member.state != MemberState::kDead &&
           FindMember(earlier, member.id) != nullptr;
  });
}

// Members leave a document by being removed from it, and tables by being dropped.
bool Follows(const Topology& earlier, const Topology& later) {
  if (later.next_table_id < earlier.next_table_id) return false;
  const auto has_member = [&](const Member& member) {
    return FindMember(later, member.id) != nullptr ||
           std::binary_search(later.removed.begin(), later.removed.end(), member.id);
  };
  const auto has_table = [&](const TableSpec& table) {
    const auto is = [&](const TableSpec& other) { return other.id == table.id; };
    const auto it = std::find_if(later.tables.begin(), later.tables.end(), is);
    return it == later.tables.end() ? WasDropped(later, table.id) : it->name == table.name;
  };
  return std::all_of(earlier.members.begin(), earlier.members.end(), has_member) &&
         std::all_of(earlier.tables.begin(), earlier.tables.end(), has_table);
}

}  // namespace

LaterDocument JudgeLater(const Topology& mine, const Topology& theirs, NodeId self,
                         Standing standing) {
  if (theirs.cluster != mine.cluster || theirs.slices != mine.slices) {
    return LaterDocument::kForeign;
  }
  if (theirs.epoch <= mine.epoch) return LaterDocument::kNothing;
  if (std::binary_search(theirs.removed.begin(), theirs.removed.end(), self)) {
    return LaterDocument::kRemoved;
  }
  if (FindMember(theirs, self) == nullptr) return LaterDocument::kForeign;
  if (mine.members.size() == 1 && mine.epoch > Epoch(1)) return LaterDocument::kSecond;
  if (!Follows(mine, theirs)) return LaterDocument::kForeign;
  // Whether the directory was put back to what it had once is known to those that it met last.
  const bool may_be_lost = standing == Standing::kUnproven || !KnowsAny(mine, theirs, self);
  return may_be_lost ? LaterDocument::kLost : LaterDocument::kNews;
}

OutsideWord::OutsideWord(Ask ask, Take take, Duration pause)
    : ask_(std::move(ask)), take_(std::move(take)), pause_(pause), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "outside-word");
}

OutsideWord::~OutsideWord() { Stop(); }

void OutsideWord::OnStranger(NodeId node, const std::string& address) {
  if (address.empty()) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    next_ = Stranger{node, address};
  }
  changed_.notify_all();
}

void OutsideWord::AwaitTaken(Duration patience) {
  const Time end = MonotonicNow() + patience;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_until(lock, ToTimePoint(end), [this] { return taken_ || stopping_; });
}

void OutsideWord::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void OutsideWord::Run() {
  const std::function<bool()> gives_up = [this] { return stopping(); };
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || next_.has_value(); });
    if (stopping_) return;
    const Stranger stranger = *std::exchange(next_, std::nullopt);
    lock.unlock();
    const absl::StatusOr<Topology> document = ask_(stranger.address, gives_up);
    if (!document.ok()) {
      const bool is_refused =
          !absl::IsUnavailable(document.status()) && !absl::IsCancelled(document.status());
      Log(is_refused ? LogLevel::kError : LogLevel::kInfo, "stranger_has_no_document",
          {{"address", stranger.address}, {"why", std::string(document.status().message())}});
    }
    const bool taken = document.ok() && take_(stranger.node, *document);
    lock.lock();
    taken_ = taken_ || taken;
    if (taken) changed_.notify_all();
    changed_.wait_until(lock, ToTimePoint(MonotonicNow() + pause_), [this] { return stopping_; });
  }
}

}  // namespace gyre
