#include "server/control_seat.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "api/error_translation.h"
#include "ring/check.h"
#include "server/clock.h"
#include "server/lane.h"
#include "server/log.h"

namespace gyre {
namespace {

constexpr uint64_t kLogOneIn = 1000;
constexpr Duration kLookEvery = Duration::Seconds(10);

}  // namespace

ControlSeat::ControlSeat(Control* control, Movement* movement, StorePool* pool, PeerLinks* peers,
                         DiskFailure* disk)
    : control_(control),
      movement_(movement),
      pool_(pool),
      peers_(peers),
      disk_(disk),
      installed_(control->view()->epoch()) {
  for (const Member& member : control->view()->topology().members) known_.insert(member.id);
}

void ControlSeat::Attach(std::vector<Lane*> lanes,
                         std::function<void(std::shared_ptr<const View>)> on_view,
                         std::function<void(std::string)> on_outgrown) {
  lanes_ = std::move(lanes);
  on_view_ = std::move(on_view);
  on_outgrown_ = std::move(on_outgrown);
}

void ControlSeat::Propose(Control::Change change, Done done, Changed what) {
  lanes_.front()->Post(
      [this, change = std::move(change), done = std::move(done), what](Instant now) mutable {
        Begin(std::move(change), std::move(done), what, now, kSpreadPatience);
      });
}

void ControlSeat::Begin(Control::Change change, Done done, Changed what, Instant now,
                        Duration spread_patience) {
  const uint64_t token = next_token_++;
  proposed_.emplace(token, Proposed{std::move(done), what});
  control_->Propose(token, std::move(change), now, spread_patience);
}

void ControlSeat::OnPeer(NodeId node, bool reachable, Instant now) {
  if (reachable) {
    reachable_.insert(node);
    movement_->OnPeer(*control_->view(), now.monotonic);
  } else {
    reachable_.erase(node);
  }
  control_->OnPeer(node, reachable, now);
}

void ControlSeat::Move(Instant now) {
  // What the shards answer is of the view that they serve under.
  const View& view = *control_->view();
  if (asking_ || installed_ != view.epoch() || !movement_->IsDue(view, now.monotonic)) return;
  asking_ = true;
  struct Answers {
    std::mutex mutex;
    Movement::Ready ready;
    size_t left;
  };
  const auto answers = std::make_shared<Answers>();
  answers->left = lanes_.size();
  answers->ready.may_depart = true;
  answers->ready.asked_under = view.epoch();
  answers->ready.life = control_->life();
  answers->ready.levels = control_->levels();
  for (Lane* lane : lanes_) {
    lane->AskMoves(view.epoch(), [this, answers](const Movement::Ready& of_one) {
      std::lock_guard<std::mutex> lock(answers->mutex);
      Movement::Ready& ready = answers->ready;
      ready.filled.insert(ready.filled.end(), of_one.filled.begin(), of_one.filled.end());
      ready.switched.insert(ready.switched.end(), of_one.switched.begin(), of_one.switched.end());
      ready.may_depart = ready.may_depart && of_one.may_depart;
      if (--answers->left > 0) return;
      lanes_.front()->Post(
          [this, ready = std::move(ready)](Instant then) { OnReady(ready, then); });
    });
  }
}

void ControlSeat::OnReady(const Movement::Ready& ready, Instant now) {
  asking_ = false;
  const View& view = *control_->view();
  Movement::Wish wish = movement_->OnWake(
      view, ready, [this](NodeId node) { return control_->ServesUnder(node); },
      [this](NodeId node) { return reachable_.contains(node); }, now.monotonic);
  for (NodeId node : movement_->unsaid()) control_->AskWhatServes(node, now);
  if (wish.plan) {
    pool_->Submit(StorePool::ReadLane::kAdmin, [this, made_for = control_->view()](Engine*) {
      lanes_.front()->Post([this, made_for, plan = MakePlan(made_for->topology())](Instant then) {
        movement_->OnPlan(made_for->topology(), plan, then.monotonic);
      });
    });
  }
  if (wish.tell.has_value()) {
    std::vector<Envelope> sends;
    auto& [to, due] = *wish.tell;
    sends.push_back({to, {0, view.epoch(), PartitionId(), std::move(due)}});
    peers_->Send(std::move(sends));
  }
  if (!wish.change.has_value()) return;
  Begin(
      *std::move(wish.change),
      [this](const absl::StatusOr<Topology>& made) {
        movement_->OnProposed(made.status(), MonotonicNow());
      },
      Changed::kMembers, now, Duration());  // what waits for a node knows which
}

void ControlSeat::OnMessage(NodeId from, PeerMessage message, Instant now) {
  if (auto* due = std::get_if<MovesDue>(&message.body)) {
    movement_->OnDue(from, std::move(*due), now.monotonic);
  } else {
    control_->OnMessage(from, std::move(message), now);
  }
}

Time ControlSeat::Perform(Instant now) {
  ReportUnreadable(now);
  Move(now);
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
  if (effects.outgrown.has_value()) on_outgrown_(std::string(effects.outgrown->message()));
  for (ControlEffects::Done& done : effects.done) {
    auto it = proposed_.find(done.token);
    GYRE_CHECK(it != proposed_.end(), "a proposal ends once");
    if (!done.topology.ok()) {
      it->second.done(
          FromTopologyError(done.topology.status(), done.outcome_unknown, it->second.what));
    } else if (done.topology->epoch <= installed_) {
      it->second.done(std::move(done.topology));
    } else {
      waiting_for_install_.emplace_back(*std::move(done.topology), std::move(it->second.done));
    }
    proposed_.erase(it);
  }
  // What it waits for otherwise ends in a round of its own.
  const bool may_move = !asking_ && installed_ == control_->view()->epoch();
  return may_move ? std::min(effects.wake, movement_->wake()) : effects.wake;
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
  // Who is new is away until its link says otherwise.
  for (const Member& member : view->topology().members) {
    const bool is_new = member.id != view->self() && known_.insert(member.id).second;
    for (Lane* lane : lanes_) {
      if (is_new) lane->OnPeer(member.id, false);
    }
  }
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
