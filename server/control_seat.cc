#include "server/control_seat.h"

#include <atomic>
#include <string>
#include <utility>

#include "api/error_translation.h"
#include "ring/check.h"
#include "server/lane.h"
#include "server/log.h"

namespace gyre {
namespace {

constexpr uint64_t kLogOneIn = 1000;
constexpr Duration kLookEvery = Duration::Seconds(10);

}  // namespace

ControlSeat::ControlSeat(Control* control, StorePool* pool, PeerLinks* peers, DiskFailure* disk)
    : control_(control),
      pool_(pool),
      peers_(peers),
      disk_(disk),
      installed_(control->view()->epoch()) {}

void ControlSeat::Attach(std::vector<Lane*> lanes,
                         std::function<void(std::shared_ptr<const View>)> on_view) {
  lanes_ = std::move(lanes);
  on_view_ = std::move(on_view);
}

void ControlSeat::Propose(Control::Change change, Done done) {
  lanes_.front()->Post(
      [this, change = std::move(change), done = std::move(done)](Instant now) mutable {
        const uint64_t token = next_token_++;
        proposed_.emplace(token, std::move(done));
        control_->Propose(token, std::move(change), now);
      });
}

void ControlSeat::OnMessage(NodeId from, PeerMessage message, Instant now) {
  control_->OnMessage(from, std::move(message), now);
}

Time ControlSeat::Perform(Instant now) {
  ReportUnreadable(now);
  ControlEffects effects = control_->TakeEffects(now);
  if (effects.persist.has_value()) {
    pool_->Commit(*std::move(effects.persist), WalSync::kYes, [this](const absl::Status& status) {
      lanes_.front()->Post([this, status](Instant) {
        control_->OnPersisted(status);
        if (!status.ok()) OnDiskFailed();
      });
    });
  }
  if (!effects.sends.empty()) peers_->Send(std::move(effects.sends));
  if (effects.view != nullptr) Install(std::move(effects.view));
  for (const ControlEffects::Rejected& rejected : effects.rejected) {
    if (rejected_.fetch_add(1, std::memory_order_relaxed) % kLogOneIn != 0) continue;
    Log(LogLevel::kError, "topology_rejected",
        {{"from", rejected.from.value()}, {"why", rejected.why}});
  }
  for (ControlEffects::Done& done : effects.done) {
    auto it = proposed_.find(done.token);
    GYRE_CHECK(it != proposed_.end(), "a proposal ends once");
    if (!done.topology.ok()) {
      it->second(FromTopologyError(done.topology.status(), done.outcome_unknown));
    } else if (done.topology->epoch <= installed_) {
      it->second(std::move(done.topology));
    } else {
      waiting_for_install_.emplace_back(*std::move(done.topology), std::move(it->second));
    }
    proposed_.erase(it);
  }
  return effects.wake;
}

void ControlSeat::ReportUnreadable(Instant now) {
  if (now.monotonic < look_again_) return;
  look_again_ = now.monotonic + kLookEvery;
  uint64_t unreadable = 0;
  uint64_t mended = 0;
  uint64_t damaged = 0;
  std::string last;
  for (const Lane* lane : lanes_) {
    const ShardFigures figures = lane->figures();
    unreadable += figures.unreadable;
    mended += figures.mended;
    damaged += figures.damaged;
    if (std::string one = lane->last_unreadable(); !one.empty()) last = std::move(one);
  }
  if (unreadable == unreadable_ && mended == mended_) return;
  Log(LogLevel::kError, "records_unreadable",
      {{"since_last", unreadable - unreadable_},
       {"since_start", unreadable},
       {"damaged_now", damaged},
       {"mended_since_start", mended},
       {"last", last}});
  mended_ = mended;
  unreadable_ = unreadable;
}

void ControlSeat::Install(std::shared_ptr<const View> view) {
  auto left = std::make_shared<std::atomic<size_t>>(lanes_.size());
  for (Lane* lane : lanes_) {
    lane->Install(view, [this, view, left](const absl::Status& status) {
      if (!status.ok()) {
        Log(LogLevel::kError, "view_not_installed",
            {{"epoch", view->epoch().value()}, {"why", status.ToString()}});
        disk_->Give(status, DiskFailure::Deed::kRead);  // opening partitions only reads
        return lanes_.front()->Post([this](Instant) { OnDiskFailed(); });
      }
      if (left->fetch_sub(1) > 1) return;
      lanes_.front()->Post([this, view](Instant) { OnInstalled(view); });
    });
  }
}

void ControlSeat::OnInstalled(const std::shared_ptr<const View>& view) {
  if (view->epoch() <= installed_) return;
  installed_ = view->epoch();
  on_view_(view);
  control_->OnInstalled(installed_);
  Log(LogLevel::kInfo, "topology",
      {{"epoch", view->epoch().value()}, {"tables", view->topology().tables.size()}});
  std::vector<std::pair<Topology, Done>> still;
  for (auto& [topology, done] : waiting_for_install_) {
    if (topology.epoch <= installed_) {
      done(std::move(topology));
    } else {
      still.emplace_back(std::move(topology), std::move(done));
    }
  }
  waiting_for_install_ = std::move(still);
}

void ControlSeat::OnDiskFailed() {
  control_->OnDiskFailed();
  for (auto& [topology, done] : std::exchange(waiting_for_install_, {})) {
    done(StorageFailed(/*outcome_unknown=*/true));
  }
}

}  // namespace gyre
