#include "server/lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "replication/clock_answer.h"
#include "replication/slice_answer.h"
#include "ring/check.h"
#include "ring/partitioner.h"
#include "server/clock.h"
#include "server/log.h"
#include "storage/keys.h"

namespace gyre {
namespace {

constexpr ptrdiff_t kFewSessions = 16;

// Reads that one thread of the pool makes before it tells of them: the first waits for the last.
constexpr size_t kMostShare = 16;

// Items that are listed at once while a copy is taken.
constexpr size_t kMostListed = 4096;

std::unique_ptr<grpc::CompletionQueue> QueueOf(
    std::unique_ptr<grpc::ServerCompletionQueue> served) {
  if (served != nullptr) return served;
  return std::make_unique<grpc::CompletionQueue>();
}

}  // namespace

Lane::Lane(Options options, Node* node, Seats seats, StorePool* pool, PeerLinks* peers)
    : index_(options.index),
      clock_answers_(options.clock_answers),
      scrub_(options.scrub),
      node_(node),
      shard_(&node->shard(options.index)),
      seats_(seats),
      pool_(pool),
      peers_(peers),
      admission_(options.admission),
      limit_(options.admission.most),
      server_queue_(options.queue.get()),
      loop_(absl::StrCat("shard-", options.index),
            {[this](Instant now) { OnWake(now); }, [this](Instant now) { return Perform(now); },
             [this] { return Gather(); }},
            options.max_waiting, QueueOf(std::move(options.queue))) {}

bool Lane::TryServe(const std::shared_ptr<std::vector<Ask>>& asks) {
  in_flight_.fetch_add(asks->size(), std::memory_order_relaxed);
  const bool posted = loop_.TryPost([this, asks](Instant now) {
    stepped_ += asks->size();
    for (Ask& ask : *asks) {
      const Token token = next_token_++;
      asked_.emplace(token, std::move(ask.reply));
      if (auto* write = std::get_if<WriteRequest>(&ask.request)) {
        shard_->Write(token, std::move(*write), now);
      } else {
        shard_->Read(token, std::move(std::get<ReadRequest>(ask.request)), now);
      }
    }
  });
  if (!posted) in_flight_.fetch_sub(asks->size(), std::memory_order_relaxed);
  return posted;
}

void Lane::OnMessages(NodeId from, std::vector<PeerMessage> messages,
                      std::shared_ptr<void> ticket) {
  loop_.Post([this, from, messages = std::move(messages),
              ticket = std::move(ticket)](Instant now) mutable {
    stepped_ += messages.size();
    for (PeerMessage& message : messages) {
      if (message.partition != PartitionId()) {
        shard_->OnMessage(from, std::move(message), now);
      } else {
        OnNodeMessage(from, std::move(message), now);
      }
    }
  });
}

void Lane::OnNodeMessage(NodeId from, PeerMessage message, Instant now) {
  if (const auto* membership = std::get_if<MembershipMessage>(&message.body)) {
    if (seats_.membership == nullptr) return;
    seats_.membership->OnMessage(from, *membership, now.monotonic);
  } else if (seats_.control != nullptr) {
    seats_.control->OnMessage(from, std::move(message), now);
  }
}

void Lane::OnPeer(NodeId node, bool reachable) {
  loop_.Post([this, node, reachable](Instant now) {
    shard_->OnPeer(node, reachable, now);
    if (seats_.control != nullptr) seats_.control->OnPeer(node, reachable, now);
  });
}

void Lane::OnLiveness(NodeId node, Liveness liveness) {
  loop_.Post([this, node, liveness](Instant) { shard_->OnLiveness(node, liveness); });
}

void Lane::OnLoad(NodeId node, Load load) {
  loop_.Post([this, node, load](Instant) { shard_->OnLoad(node, load); });
}

void Lane::OnClock(NodeId node, uint64_t wall_ms) {
  loop_.Post([this, node, wall_ms](Instant now) {
    if (seats_.membership != nullptr) seats_.membership->OnClock(node, wall_ms, now.monotonic);
  });
}

void Lane::OnLevel(NodeId node, BuildLevel level) {
  loop_.Post([this, node, level](Instant) {
    if (seats_.control != nullptr) seats_.control->OnLevel(node, level);
  });
}

void Lane::OnClusterTime(std::optional<int64_t> offset_ms) {
  loop_.Post([this, offset_ms](Instant) { shard_->OnClusterTime(offset_ms); });
}

void Lane::OnForgetful() {
  loop_.Post([this](Instant now) {
    shard_->OnForgetful(now);
    if (seats_.control != nullptr) seats_.control->OnForgetful();
  });
}

void Lane::OnHeardPeers() {
  loop_.Post([this](Instant) {
    shard_->OnHeardPeers();
    if (seats_.control != nullptr) seats_.control->OnHeardPeers();
  });
}

void Lane::OnProven() {
  loop_.Post([this](Instant) {
    shard_->OnProven();
    if (seats_.control != nullptr) seats_.control->OnProven();
  });
}

void Lane::OnDiskFailed() {
  loop_.Post([this](Instant now) {
    shard_->OnDiskFailed(now);
    if (seats_.control != nullptr) seats_.control->OnDiskFailed();
  });
}

void Lane::Install(std::shared_ptr<const View> view, std::function<void(absl::Status)> done) {
  loop_.Post([this, view = std::move(view), done = std::move(done)](Instant now) {
    done(node_->Install(index_, view, now));
  });
}

void Lane::AskMoves(Epoch epoch, std::function<void(Movement::Ready)> done) {
  loop_.Post([this, epoch, done = std::move(done)](Instant) {
    done({.filled = shard_->MovesToStep(MoveStep::kFilling),
          .switched = shard_->MovesToStep(MoveStep::kSwitched),
          .may_depart = shard_->MayDepart(epoch)});
  });
}

Duration Lane::Gather() {
  const size_t steps = std::exchange(stepped_, 0);
  if (steps >= kFull.steps) return kFull.gather;
  return steps >= kBusy.steps ? kBusy.gather : Duration();
}

void Lane::OnWake(Instant now) {
  if (shard_wake_ <= now.monotonic) shard_->OnWake(now);
  if (seats_.control != nullptr && control_wake_ <= now.monotonic) seats_.control->OnWake(now);
  if (seats_.membership != nullptr && membership_wake_ <= now.monotonic) {
    seats_.membership->OnWake(now.monotonic);
  }
}

Time Lane::Perform(Instant now) {
  ShardEffects effects = shard_->TakeEffects(now);
  if (effects.commit.has_value()) {
    pool_->Commit(
        std::move(effects.commit->batch), effects.commit->sync,
        [this, seq = effects.commit->seq](const absl::Status& status) {
          loop_.Post([this, seq, status](Instant then) { shard_->OnCommitted(seq, status, then); });
        });
  }
  Read(std::move(effects.disk_reads));
  for (ShardEffects::ClockScan& scan : effects.clock_scans) {
    pool_->Submit(StorePool::ReadLane::kRepair, [this,
                                                 scan = std::move(scan)](Engine* engine) mutable {
      absl::StatusOr<ClockAnswer> answer =
          BuildClockAnswer(*engine->TakeSnapshot(), scan.partition, scan.ask, clock_answers_);
      NoteRead(answer.status());
      loop_.Post([this, scan = std::move(scan), answer = std::move(answer)](Instant then) mutable {
        shard_->OnClockScan(scan, std::move(answer), then);
      });
    });
  }
  for (ShardEffects::CopyScan& scan : effects.copy_scans) {
    pool_->Submit(
        StorePool::ReadLane::kRepair, [this, scan = std::move(scan)](Engine* engine) mutable {
          if (scan.snapshot == nullptr) scan.snapshot = engine->TakeSnapshot();
          absl::StatusOr<CopyPage> page =
              BuildCopyPage(*scan.snapshot, scan.partition, scan.ask, CopyPageLimits());
          NoteRead(page.status());
          loop_.Post([this, scan = std::move(scan), page = std::move(page)](Instant then) mutable {
            shard_->OnCopyScan(std::move(scan), std::move(page), then);
          });
        });
  }
  for (Repair::Effects::Listing& listing : effects.listings) {
    pool_->Submit(
        StorePool::ReadLane::kRepair, [this, listing = std::move(listing)](Engine* engine) {
          absl::StatusOr<ItemList> list =
              ListItems(*engine->TakeSnapshot(), listing.range, kMostListed);
          loop_.Post([this, id = listing.exchange, list = std::move(list)](Instant then) mutable {
            shard_->OnListed(id, std::move(list), then);
          });
        });
  }
  for (HintScan& scan : effects.hint_scans) ReadHints(std::move(scan));
  for (const ExpiryScan& scan : effects.expiry_scans) {
    pool_->Submit(StorePool::ReadLane::kRepair, [this, scan](Engine* engine) {
      absl::StatusOr<ExpiryPage> page = ScanExpired(*engine->TakeSnapshot(), scan);
      loop_.Post([this, scan, page = std::move(page)](Instant then) mutable {
        shard_->OnExpiryScan(scan, std::move(page), then);
      });
    });
  }
  Scrub(&effects);
  for (const Repair::Effects::Miscount& told : effects.miscounts) Tell(told);
  if (!effects.sends.empty()) peers_->Send(std::move(effects.sends));
  const size_t answered = effects.replies.size();
  if (!effects.replies.empty()) Answer(std::move(effects.replies));
  NoteRound(answered, now.monotonic);
  shard_wake_ = effects.wake;
  if (seats_.membership != nullptr) membership_wake_ = seats_.membership->Perform(now);
  if (seats_.control != nullptr) control_wake_ = seats_.control->Perform(now);
  {
    std::lock_guard<std::mutex> lock(figures_mutex_);
    figures_ = shard_->figures();
  }
  return std::min({shard_wake_, control_wake_, membership_wake_});
}

void Lane::Scrub(ShardEffects* effects) {
  for (ShardEffects::SliceRead& read : effects->slice_reads) {
    pool_->Submit(StorePool::ReadLane::kRepair, [this,
                                                 read = std::move(read)](Engine* engine) mutable {
      absl::StatusOr<SliceAnswer> answer =
          AnswerSlice(*engine->TakeSnapshot(), read.partition, read.ask, scrub_.answers);
      NoteRead(answer.status());
      loop_.Post([this, read = std::move(read), answer = std::move(answer)](Instant then) mutable {
        shard_->OnSliceRead(read, std::move(answer), then);
      });
    });
  }
  if (effects->scrub_scan.has_value()) {
    pool_->Submit(StorePool::ReadLane::kRepair, [this, scan = *std::move(effects->scrub_scan)](
                                                    Engine* engine) mutable {
      absl::StatusOr<Slice> slice = ReadSlice(*engine->TakeSnapshot(), scan, scrub_.slices);
      NoteRead(slice.status());
      loop_.Post([this, scan = std::move(scan), slice = std::move(slice)](Instant then) mutable {
        shard_->OnScrubScan(scan, std::move(slice), then);
      });
    });
  }
  if (effects->scrub_read.has_value()) {
    pool_->Submit(StorePool::ReadLane::kRepair,
                  [this, read = *std::move(effects->scrub_read)](Engine* engine) mutable {
                    absl::StatusOr<Slice> slice =
                        ReadItems(*engine->TakeSnapshot(), read.items, read.expired_by_ms);
                    NoteRead(slice.status());
                    loop_.Post([this, partition = read.partition,
                                slice = std::move(slice)](Instant then) mutable {
                      shard_->OnScrubRead(partition, std::move(slice), then);
                    });
                  });
  }
  for (const gyre::Scrub::Contradiction& told : effects->contradictions) Tell(told);
}

void Lane::Tell(const Repair::Effects::Miscount& told) {
  std::string giver;
  for (const PeerLink::Figures& link : peers_->figures()) {
    if (link.id == told.giver) giver = link.name;
  }
  Log(LogLevel::kError, "copy_miscounted",
      {{"replicas", told.partition.replicas()},
       {"slice", told.partition.slice()},
       {"giver", giver},
       {"counted", told.counted},
       {"came", told.came}});
}

void Lane::Tell(const gyre::Scrub::Contradiction& told) {
  std::string against;
  for (const PeerLink::Figures& link : peers_->figures()) {
    const auto& owners = told.against;
    if (std::find(owners.begin(), owners.end(), link.id) == owners.end()) continue;
    absl::StrAppend(&against, against.empty() ? "" : " ", link.name);
  }
  std::string_view result = "another owner is to mend it";
  if (told.undecided) result = "no majority says who is right: nothing is changed";
  if (told.mended) result = "this owner was wrong, and is mended";
  Log(LogLevel::kError, "owners_contradict",
      {{"replicas", told.item.partition.replicas()},
       {"slice", told.item.partition.slice()},
       {"table", told.item.table.value()},
       {"key_hash", absl::StrCat(absl::Hex(HashKey(told.item.table, told.item.key)))},
       {"against", against},
       {"result", result}});
}

void Lane::NoteRound(size_t answered, Time now) {
  const size_t in_flight = in_flight_.fetch_sub(answered, std::memory_order_relaxed) - answered;
  admission_.OnWait(AdmissionLimit::Stage::kLane, loop_.waited(), stepped_);
  admission_.OnRound(in_flight, answered, now);
  shard_->OnLoad(admission_.load_percent(), admission_.wait_percent());
  limit_.store(admission_.limit(), std::memory_order_relaxed);
  load_percent_.store(std::max(admission_.load_percent(), shard_->load_percent()),
                      std::memory_order_relaxed);
  retry_after_ms_.store(static_cast<uint32_t>(admission_.retry_after().millis()),
                        std::memory_order_relaxed);
}

// Each hand-over to a thread and back costs more than a record that the page cache holds: so a
// round makes a few of them, whatever it reads.
void Lane::Read(std::vector<ShardEffects::DiskRead> reads) {
  struct Stored {
    ShardEffects::DiskRead read;
    absl::StatusOr<std::string> bytes;
  };
  const size_t threads = pool_->read_threads();
  const size_t share = std::min((reads.size() + threads - 1) / threads, kMostShare);
  if (reads.empty()) return;
  const Time asked = MonotonicNow();
  for (size_t begin = 0; begin < reads.size(); begin += share) {
    std::vector<Stored> records;
    for (size_t i = begin; i < std::min(begin + share, reads.size()); ++i) {
      records.push_back({std::move(reads[i]), std::string()});
    }
    pool_->Submit(StorePool::ReadLane::kData,
                  [this, asked, records = std::move(records)](Engine* engine) mutable {
                    const Duration waited = MonotonicNow() - asked;
                    for (Stored& record : records) {
                      record.bytes = engine->Get(Family::kRecords, EncodeItemKey(record.read.item));
                      NoteRead(record.bytes.status());
                    }
                    loop_.Post([this, waited, records = std::move(records)](Instant then) mutable {
                      admission_.OnWait(AdmissionLimit::Stage::kDisk, waited, records.size());
                      for (Stored& record : records)
                        shard_->OnRead(record.read, std::move(record.bytes), then);
                    });
                  });
  }
}

void Lane::ReadHints(HintScan scan) {
  const StorePool::ReadLane lane =
      scan.awaited ? StorePool::ReadLane::kData : StorePool::ReadLane::kRepair;
  const Time asked = MonotonicNow();
  pool_->Submit(lane, [this, asked, scan = std::move(scan)](Engine* engine) {
    const Duration waited = MonotonicNow() - asked;
    absl::StatusOr<HintPage> page = ScanHints(*engine->TakeSnapshot(), scan);
    NoteRead(page.status());
    loop_.Post([this, waited, id = scan.id, awaited = scan.awaited,
                page = std::move(page)](Instant then) mutable {
      if (awaited) admission_.OnWait(AdmissionLimit::Stage::kDisk, waited, 1);
      shard_->OnHintScan(id, std::move(page), then);
    });
  });
}

void Lane::NoteRead(const absl::Status& status) {
  if (status.ok() || absl::IsNotFound(status)) return;
  std::lock_guard<std::mutex> lock(figures_mutex_);
  last_unreadable_ = std::string(status.message());
}

void Lane::Answer(std::vector<ShardEffects::Reply> replies) {
  std::vector<std::shared_ptr<Caller>> to_flush;
  for (ShardEffects::Reply& reply : replies) {
    auto it = asked_.find(reply.token);
    GYRE_CHECK(it != asked_.end(), "a request is answered once");
    std::shared_ptr<Caller> caller = it->second(std::move(reply.outcome));
    asked_.erase(it);
    if (caller == nullptr) continue;
    // Sessions come many times in a row, unary calls once each. To flush one twice does no harm.
    const auto recent = to_flush.end() - std::min<ptrdiff_t>(kFewSessions, std::ssize(to_flush));
    if (std::find(recent, to_flush.end(), caller) == to_flush.end()) {
      to_flush.push_back(std::move(caller));
    }
  }
  for (const std::shared_ptr<Caller>& caller : to_flush) caller->Flush();
}

std::string Lane::last_unreadable() const {
  std::lock_guard<std::mutex> lock(figures_mutex_);
  return last_unreadable_;
}

ShardFigures Lane::figures() const {
  std::lock_guard<std::mutex> lock(figures_mutex_);
  return figures_;
}

std::map<TableId, uint64_t> MissingByTable(const std::vector<Lane*>& lanes) {
  std::map<TableId, uint64_t> sum;
  for (const Lane* lane : lanes) {
    for (const auto& [table, dots] : lane->figures().repair.missing_by_table) sum[table] += dots;
  }
  return sum;
}

}  // namespace gyre
