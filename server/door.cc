#include "server/door.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <string>
#include <utility>

#include "api/error_translation.h"
#include "api/limits.h"
#include "api/reply_translation.h"
#include "ring/check.h"
#include "server/clock.h"

namespace gyre {
namespace {

constexpr uint32_t kRetryAfterMs = 50;
// What a request takes beside its key and value.
constexpr size_t kRequestOverheadBytes = 512;

RepliedItem Replied(const Target& target) { return {target.item.table, target.key_hash}; }

}  // namespace

// The replies to the items of one multi request, until all are there.
class Door::MultiCall {
 public:
  // `errors` counts the items that end in one.
  MultiCall(std::shared_ptr<Caller> caller, v1::ClientReply reply, size_t items,
            std::atomic<uint64_t>* errors)
      : caller_(std::move(caller)), errors_(errors), reply_(std::move(reply)), left_(items) {}

  // `fill` gets the item's outcome. Answers whom to flush, where this was the last.
  template <typename Fill>
  std::shared_ptr<Caller> Finish(int index, Fill fill) {
    std::unique_lock<std::mutex> lock(mutex_);
    v1::ItemOutcome* const item = reply_.has_multi_get()
                                      ? reply_.mutable_multi_get()->mutable_items(index)
                                      : reply_.mutable_multi_put()->mutable_items(index);
    if (const absl::Status status = fill(item); !status.ok()) Refuse(item, status);
    KeepToLimit(item);
    if (item->has_status()) errors_->fetch_add(1, std::memory_order_relaxed);
    if (--left_ > 0) return nullptr;
    lock.unlock();
    caller_->OnReply(std::move(reply_));
    return std::move(caller_);
  }

 private:
  // What each item that is still to come is sure to find room for: an error without a context, or a
  // write's outcome without one.
  static constexpr size_t kItemReserveBytes = 200;

  static void Refuse(v1::ItemOutcome* item, const absl::Status& status) {
    item->clear_outcome();
    ToProto(status, item->mutable_status());
  }

  // The message as it is encoded keeps to its limit. A read that does not fit becomes an error; a
  // write stays what it became and loses only its context and parts.
  void KeepToLimit(v1::ItemOutcome* item) {
    const size_t taken = bytes_ + (left_ - 1) * kItemReserveBytes;
    const size_t room = taken < kMaxReplyValueBytes ? kMaxReplyValueBytes - taken : 0;
    const auto fits = [&] { return Encoded(*item) <= room; };
    if (item->has_get() && !fits()) {
      size_t bytes = 0;
      for (const std::string& value : item->get().values()) bytes += value.size();
      Refuse(item, ReplyTooLarge(bytes, std::move(*item->mutable_get()->mutable_context())));
    }
    if (!fits()) {
      if (item->has_status()) item->mutable_status()->mutable_detail()->clear_context();
      if (item->has_put()) {
        item->mutable_put()->clear_context();
        item->mutable_put()->mutable_info()->clear_replicas();
        item->mutable_put()->mutable_info()->clear_coordinator();
      }
    }
    bytes_ += Encoded(*item);
  }
  // With its tag and its length.
  static size_t Encoded(const v1::ItemOutcome& item) {
    const size_t bytes = item.ByteSizeLong();
    return 1 + google::protobuf::io::CodedOutputStream::VarintSize64(bytes) + bytes;
  }

  std::mutex mutex_;
  std::shared_ptr<Caller> caller_;
  std::atomic<uint64_t>* const errors_;
  v1::ClientReply reply_;
  size_t left_;
  size_t bytes_ = 0;  // of the items that are there
};

// What came together, on its way to the lanes.
class Door::Round {
 public:
  Round(Door* door, std::shared_ptr<Caller> caller, Duration patience, std::optional<Time> sent)
      : door_(door),
        caller_(std::move(caller)),
        patience_(patience),
        sent_(sent),
        view_(door->view()),
        now_(MonotonicNow()),
        asks_(door->lanes_.size()) {}

  void Add(v1::ClientRequest* request) {
    if (request->id() == 0) return Refuse(0, InvalidField("id", "0; choose another number"));
    switch (request->request_case()) {
      case v1::ClientRequest::kPut:
        return AddPut(request->id(), request->mutable_put());
      case v1::ClientRequest::kGet:
        return AddGet(request->id(), request->mutable_get());
      case v1::ClientRequest::kDelete:
        return AddDelete(request->id(), request->mutable_delete_());
      case v1::ClientRequest::kMultiGet:
        return AddMultiGet(request->id(), request->mutable_multi_get());
      case v1::ClientRequest::kMultiPut:
        return AddMultiPut(request->id(), request->mutable_multi_put());
      case v1::ClientRequest::REQUEST_NOT_SET:
        break;
    }
    Refuse(request->id(),
           InvalidField("request", "empty, or of a kind that this node is too old for"));
  }

  void Submit() {
    for (size_t i = 0; i < asks_.size(); ++i) {
      if (asks_[i] == nullptr || door_->lanes_[i]->TryServe(asks_[i])) continue;
      for (Lane::Ask& ask : *asks_[i]) {
        Outcome outcome;
        outcome.code = Outcome::Code::kOverloaded;
        if (ask.reply(std::move(outcome)) != nullptr) flush_ = true;
      }
    }
    if (flush_) caller_->Flush();
  }

 private:
  void Refuse(uint64_t id, const absl::Status& status) {
    door_->errors_.fetch_add(1, std::memory_order_relaxed);
    v1::ClientReply reply;
    reply.set_id(id);
    if (!too_slow_.ok() && status == too_slow_) {
      *reply.mutable_error() = too_slow_wire_;
    } else {
      ToProto(status, reply.mutable_error());
    }
    caller_->OnReply(std::move(reply));
    flush_ = true;
  }

  size_t LaneOf(PartitionId partition) const { return partition.slice() % asks_.size(); }

  absl::Status Admit(PartitionId partition, size_t bytes) {
    const size_t index = LaneOf(partition);
    const Lane& lane = *door_->lanes_[index];
    switch (door_->Admit(lane, asks_[index] == nullptr ? 0 : asks_[index]->size(), bytes)) {
      case Verdict::kAdmitted:
        return absl::OkStatus();
      case Verdict::kDraining:
        return Draining();
      case Verdict::kTooMany:
        return Overloaded(kRetryAfterMs, "too many requests in flight");
      case Verdict::kTooManyBytes:
        return Overloaded(kRetryAfterMs, "too many bytes of requests in flight");
      case Verdict::kTooSlow:
        break;
    }
    // Where most are refused, the cost of that is taken from the others: so it is said once.
    if (too_slow_.ok()) {
      too_slow_ = Overloaded(lane.retry_after_ms(), "requests would wait too long");
      ToProto(too_slow_, &too_slow_wire_);
    }
    return too_slow_;
  }

  void Ask(std::variant<WriteRequest, ReadRequest> request, Lane::Reply reply) {
    if (auto* const write = std::get_if<WriteRequest>(&request)) {
      write->intent.fresh_until = sent_.has_value() ? *sent_ + write->timeout / 2 : Time();
    }
    const PartitionId partition =
        std::visit([](const auto& typed) { return typed.item.partition; }, request);
    std::visit([&](auto& typed) { typed.timeout = std::min(typed.timeout, patience_); }, request);
    auto& asks = asks_[LaneOf(partition)];
    if (asks == nullptr) asks = std::make_shared<std::vector<Lane::Ask>>();
    asks->push_back({std::move(request), std::move(reply)});
  }

  // Counts, translates with `translate` into the reply's member, and hands the reply to its caller.
  template <typename Translate>
  Lane::Reply Single(uint64_t id, size_t bytes, LatencyBuckets* latency, Translate translate) {
    return [door = door_, caller = caller_, view = view_, id, bytes, latency, started = now_,
            translate](Outcome outcome) mutable {
      v1::ClientReply reply;
      reply.set_id(id);
      const absl::Status status = translate(std::move(outcome), *view, &reply);
      if (!status.ok()) {
        door->errors_.fetch_add(1, std::memory_order_relaxed);
        ToProto(status, reply.mutable_error());
      }
      latency->Add(MonotonicNow() - started);
      door->Release(1, bytes);
      caller->OnReply(std::move(reply));
      return std::move(caller);
    };
  }

  template <typename Translated, typename Translate>
  void AddSingle(uint64_t id, size_t bytes, absl::StatusOr<Translated> translated,
                 LatencyBuckets* latency, Translate translate) {
    if (!translated.ok()) return Refuse(id, translated.status());
    const PartitionId partition = translated->request.item.partition;
    if (absl::Status full = Admit(partition, bytes); !full.ok()) return Refuse(id, full);
    Ask(std::move(translated->request),
        Single(id, bytes, latency,
               [item = Replied(translated->target), translate](Outcome outcome, const View& view,
                                                               v1::ClientReply* reply) {
                 return translate(std::move(outcome), item, view, reply);
               }));
  }

  void AddPut(uint64_t id, v1::PutRequest* put) {
    const size_t bytes = put->key().size() + put->value().size() + kRequestOverheadBytes;
    AddSingle(id, bytes, TranslatePut(put, *view_), &door_->put_latency_,
              [](Outcome outcome, RepliedItem item, const View& view, v1::ClientReply* reply) {
                return TranslatePutReply(std::move(outcome), item, view, reply->mutable_put());
              });
  }

  void AddGet(uint64_t id, v1::GetRequest* get) {
    const size_t bytes = get->key().size() + kRequestOverheadBytes;
    AddSingle(id, bytes, TranslateGet(get, *view_), &door_->get_latency_,
              [](Outcome outcome, RepliedItem item, const View& view, v1::ClientReply* reply) {
                return TranslateGetReply(std::move(outcome), item, view, reply->mutable_get());
              });
  }

  void AddDelete(uint64_t id, v1::DeleteRequest* erase) {
    const size_t bytes = erase->key().size() + kRequestOverheadBytes;
    AddSingle(id, bytes, TranslateDelete(erase, *view_), &door_->put_latency_,
              [](Outcome outcome, RepliedItem item, const View& view, v1::ClientReply* reply) {
                return TranslateDeleteReply(std::move(outcome), item, view,
                                            reply->mutable_delete_());
              });
  }

  // Admits item `index` and asks for it, or makes the error its outcome.
  template <typename Translated, typename Translate>
  void AddItem(const std::shared_ptr<MultiCall>& call, int index, size_t bytes,
               absl::StatusOr<Translated> translated, LatencyBuckets* latency,
               Translate translate) {
    absl::Status refused = translated.status();
    if (refused.ok()) refused = Admit(translated->request.item.partition, bytes);
    if (!refused.ok()) {
      if (call->Finish(index, [&](v1::ItemOutcome*) { return refused; }) != nullptr) flush_ = true;
      return;
    }
    Ask(std::move(translated->request),
        [door = door_, call, view = view_, index, bytes, latency, translate, started = now_,
         item = Replied(translated->target)](Outcome outcome) {
          latency->Add(MonotonicNow() - started);
          door->Release(1, bytes);
          return call->Finish(index, [&](v1::ItemOutcome* out) {
            return translate(std::move(outcome), item, *view, out);
          });
        });
  }

  void AddMultiGet(uint64_t id, v1::MultiGetRequest* multi) {
    if (absl::Status status = CheckMultiGet(*multi, *view_); !status.ok()) {
      return Refuse(id, status);
    }
    v1::ClientReply reply;
    reply.set_id(id);
    const int items = multi->keys_size();
    for (int i = 0; i < items; ++i) reply.mutable_multi_get()->add_items();
    if (items == 0) {
      reply.mutable_multi_get();
      return AnswerEmpty(std::move(reply));
    }
    auto call = std::make_shared<MultiCall>(caller_, std::move(reply), items, &door_->errors_);
    for (int i = 0; i < items; ++i) {
      const size_t bytes = multi->keys(i).size() + kRequestOverheadBytes;
      AddItem(call, i, bytes, TranslateMultiGetItem(multi, i, *view_), &door_->get_latency_,
              [](Outcome outcome, RepliedItem item, const View& view, v1::ItemOutcome* out) {
                return TranslateGetReply(std::move(outcome), item, view, out->mutable_get());
              });
    }
  }

  void AddMultiPut(uint64_t id, v1::MultiPutRequest* multi) {
    if (absl::Status status = CheckMultiPut(*multi, *view_); !status.ok()) {
      return Refuse(id, status);
    }
    v1::ClientReply reply;
    reply.set_id(id);
    const int items = multi->items_size();
    for (int i = 0; i < items; ++i) reply.mutable_multi_put()->add_items();
    if (items == 0) {
      reply.mutable_multi_put();
      return AnswerEmpty(std::move(reply));
    }
    auto call = std::make_shared<MultiCall>(caller_, std::move(reply), items, &door_->errors_);
    for (int i = 0; i < items; ++i) {
      const v1::MultiPutRequest::Item& one = multi->items(i);
      const size_t bytes = one.key().size() + one.value().size() + kRequestOverheadBytes;
      AddItem(call, i, bytes, TranslateMultiPutItem(multi, i, *view_), &door_->put_latency_,
              [](Outcome outcome, RepliedItem item, const View& view, v1::ItemOutcome* out) {
                return TranslatePutReply(std::move(outcome), item, view, out->mutable_put());
              });
    }
  }

  void AnswerEmpty(v1::ClientReply reply) {
    caller_->OnReply(std::move(reply));
    flush_ = true;
  }

  Door* const door_;
  const std::shared_ptr<Caller> caller_;
  const Duration patience_;
  const std::optional<Time> sent_;
  const std::shared_ptr<const View> view_;
  const Time now_;
  std::vector<std::shared_ptr<std::vector<Lane::Ask>>> asks_;  // by lane
  bool flush_ = false;
  // What those are told who would wait too long, of the first of them; and as it is sent.
  absl::Status too_slow_;
  v1::Status too_slow_wire_;
};

Door::Door(Options options, std::shared_ptr<const View> view)
    : options_(options), view_(std::move(view)), epoch_(view_->epoch().value()) {}

void Door::Attach(std::vector<Lane*> lanes) { lanes_ = std::move(lanes); }

void Door::Serve(absl::Span<v1::ClientRequest* const> requests,
                 const std::shared_ptr<Caller>& caller, Duration patience,
                 std::optional<Time> sent) {
  Round round(this, caller, patience, sent);
  for (v1::ClientRequest* request : requests) round.Add(request);
  round.Submit();
}

void Door::SetView(std::shared_ptr<const View> view) {
  std::lock_guard<std::mutex> lock(view_mutex_);
  if (view->epoch() < view_->epoch()) return;
  view_ = std::move(view);
  epoch_.store(view_->epoch().value(), std::memory_order_relaxed);
}

std::shared_ptr<const View> Door::view() const {
  std::lock_guard<std::mutex> lock(view_mutex_);
  return view_;
}

Door::Verdict Door::Admit(const Lane& lane, size_t asks, size_t bytes) {
  if (draining()) return Verdict::kDraining;
  const bool too_many = in_flight_.fetch_add(1) + 1 > options_.max_in_flight;
  const bool too_large = in_flight_bytes_.fetch_add(bytes) + bytes > options_.max_in_flight_bytes;
  const bool too_slow = !lane.HasRoom(asks);
  if (!too_many && !too_large && !too_slow) return Verdict::kAdmitted;
  Release(1, bytes);
  if (!too_many && !too_large) {
    delayed_.fetch_add(1, std::memory_order_relaxed);
    return Verdict::kTooSlow;
  }
  overloads_.fetch_add(1, std::memory_order_relaxed);
  return too_many ? Verdict::kTooMany : Verdict::kTooManyBytes;
}

void Door::Release(size_t requests, size_t bytes) {
  in_flight_.fetch_sub(requests);
  in_flight_bytes_.fetch_sub(bytes);
}

Door::Figures Door::figures() const {
  return {put_latency_.counts(), get_latency_.counts(), errors_.load(std::memory_order_relaxed),
          overloads_.load(std::memory_order_relaxed), delayed_.load(std::memory_order_relaxed)};
}

}  // namespace gyre
