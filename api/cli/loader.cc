#include "api/cli/loader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/client/monotonic.h"
#include "api/client/retry_policy.h"

namespace gyre {
namespace {

constexpr absl::Duration kProgressEvery = absl::Milliseconds(100);
// Records that one batch starts at most, so that the first of them do not wait for the file.
constexpr int kLargestBatch = 256;
// All of the pass waits so long where one record is refused: the throttle of the SDK has the rest.
constexpr BackOffOptions kPause = {.cap = absl::Milliseconds(100)};

size_t BytesOf(const Record& record) {
  size_t bytes = record.key.size();
  for (const std::string& value : record.values) bytes += value.size();
  return bytes;
}

// Siblings come in no order that a file could tell.
bool SameValues(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

}  // namespace

double LoadSummary::per_second() const {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(records) / seconds : 0;
}

// One value of a record on its way, or what is left of reading it back.
struct Loader::Attempt {
  std::shared_ptr<const Record> record;
  size_t index = 0;    // of the value that is being put
  int refusals = 0;    // so far
  absl::Time started;  // of the record
  absl::Status refusal = {};
};

// What the answers change, and what waits for them.
struct Loader::Pass {
  explicit Pass(bool reads_back) : verifying(reads_back) {}

  const bool verifying;
  std::mutex mutex;
  std::condition_variable answered;
  // To be sent again, all at `resume_at`, and nothing new before them.
  std::vector<Attempt> refused ABSL_GUARDED_BY(mutex);
  absl::Time resume_at ABSL_GUARDED_BY(mutex) = absl::InfinitePast();
  int in_flight ABSL_GUARDED_BY(mutex) = 0;
  size_t in_flight_bytes ABSL_GUARDED_BY(mutex) = 0;
  int wake_at ABSL_GUARDED_BY(mutex) = 0;  // the reading thread waits for so few in flight
  size_t wake_at_bytes ABSL_GUARDED_BY(mutex) = 0;
  bool wants_key ABSL_GUARDED_BY(mutex) = false;  // or for any one answer
  absl::flat_hash_set<std::string> keys ABSL_GUARDED_BY(mutex);
  LoadSummary summary ABSL_GUARDED_BY(mutex);

  void Began(const Record& record) {
    const std::lock_guard lock(mutex);
    ++in_flight;
    in_flight_bytes += BytesOf(record);
    keys.insert(record.key);
  }

  void Ended(const Record& record, absl::Time started, const absl::Status& status, bool same) {
    const int64_t micros = absl::ToInt64Microseconds(MonotonicNow() - started);
    const size_t bytes = BytesOf(record);
    const std::lock_guard lock(mutex);
    ++summary.records;
    summary.bytes += bytes;
    summary.latency_micros.Add(static_cast<uint64_t>(std::max<int64_t>(micros, 0)));
    if (!status.ok()) {
      if (summary.failed++ == 0) summary.first_error = status;
    } else if (!same) {
      ++summary.different;
    }
    keys.erase(record.key);
    --in_flight;
    in_flight_bytes -= bytes;
    // Waking the reader for every answer would cost more than the request.
    const bool room = in_flight <= wake_at && in_flight_bytes <= wake_at_bytes;
    if (room || wants_key) answered.notify_one();
  }

  void Refused(Attempt attempt, absl::Duration pause) {
    const std::lock_guard lock(mutex);
    resume_at = std::max(resume_at, MonotonicNow() + pause);
    refused.push_back(std::move(attempt));
    answered.notify_one();
  }

  // What may be started now: at least one record, and records until they have so many bytes.
  struct Room {
    int records;
    size_t bytes;
  };
  bool IsFull(const LoadOptions& limit) {
    const std::lock_guard lock(mutex);
    return in_flight >= limit.in_flight || in_flight_bytes >= limit.in_flight_bytes;
  }
  Room RoomUnder(const LoadOptions& limit) {
    const std::lock_guard lock(mutex);
    return {std::min(limit.in_flight - in_flight, kLargestBatch),
            limit.in_flight_bytes - in_flight_bytes};
  }

  bool HasKey(const std::string& key) {
    const std::lock_guard lock(mutex);
    return keys.contains(key);
  }
  uint64_t Records() {
    const std::lock_guard lock(mutex);
    return summary.records;
  }
};

absl::StatusOr<LoadSummary> Loader::Load(RecordReader& reader, const OnProgress& on_progress) {
  return Run(reader, on_progress, /*verifying=*/false);
}

absl::StatusOr<LoadSummary> Loader::Verify(RecordReader& reader, const OnProgress& on_progress) {
  return Run(reader, on_progress, /*verifying=*/true);
}

absl::StatusOr<LoadSummary> Loader::Run(RecordReader& reader, const OnProgress& on_progress,
                                        bool verifying) {
  Pass pass(verifying);
  const absl::Time start = MonotonicNow();
  absl::Time told_at = start;
  absl::Status of_the_file;
  std::optional<Record> next;  // read, but its key is in flight
  uint64_t position = 0;
  bool stopped = false;
  for (bool at_end = false; !at_end;) {
    AwaitRoom(pass);
    if (next.has_value()) AwaitKey(pass, next->key);
    stopped = options_.stop && options_.stop();
    if (stopped) break;
    const Pass::Room room = pass.RoomUnder(options_);
    size_t started_bytes = 0;
    {
      // Nothing is waited for inside: what is queued leaves when the batch ends.
      const BatchScope batch = client_->Batch();
      for (int i = 0; i < room.records && started_bytes < room.bytes; ++i) {
        if (!next.has_value()) {
          absl::StatusOr<std::optional<Record>> read = reader.Next();
          if (!read.ok()) of_the_file = read.status();
          at_end = !read.ok() || !read->has_value();
          if (at_end) break;
          next = **std::move(read);
          ++position;
        }
        if (pass.HasKey(next->key)) break;
        Record record = *std::exchange(next, std::nullopt);
        started_bytes += BytesOf(record);
        if (verifying) {
          // The file has a later record with this key, which replaced it.
          const auto last = last_record_of_.find(record.key);
          if (last == last_record_of_.end() || last->second != position) continue;
        } else if (options_.remember) {
          last_record_of_[record.key] = position;
        }
        pass.Began(record);
        Send(pass, {.record = std::make_shared<const Record>(std::move(record)),
                    .started = MonotonicNow()});
      }
    }
    const absl::Time now = MonotonicNow();
    if (now - told_at >= kProgressEvery) {
      told_at = now;
      on_progress(pass.Records(), reader.bytes_read());
    }
  }
  AwaitAll(pass);
  if (!of_the_file.ok()) return of_the_file;
  const std::lock_guard lock(pass.mutex);
  pass.summary.stopped = stopped;
  pass.summary.elapsed = MonotonicNow() - start;
  return std::move(pass.summary);
}

// Returns once `enough` holds, which is asked with the mutex held. What was refused goes out again
// meanwhile; where the pass is to stop, it fails instead.
template <typename Enough>
void Loader::Await(Pass& pass, const Enough& enough) {
  for (;;) {
    std::vector<Attempt> again;
    {
      std::unique_lock lock(pass.mutex);
      while (pass.refused.empty() && !enough()) pass.answered.wait(lock);
      if (pass.refused.empty()) return;
      while (MonotonicNow() < pass.resume_at) {
        pass.answered.wait_for(lock, absl::ToChronoNanoseconds(pass.resume_at - MonotonicNow()));
      }
      again = std::exchange(pass.refused, {});
    }
    const bool stopped = options_.stop && options_.stop();
    const BatchScope batch = client_->Batch();
    for (Attempt& attempt : again) {
      if (stopped) {
        pass.Ended(*attempt.record, attempt.started, attempt.refusal, true);
      } else {
        Send(pass, std::move(attempt));
      }
    }
  }
}

void Loader::AwaitRoom(Pass& pass) {
  const bool full = pass.IsFull(options_);
  {
    const std::lock_guard lock(pass.mutex);
    pass.wake_at =
        full ? options_.in_flight - std::max(1, std::min(options_.in_flight / 4, kLargestBatch))
             : options_.in_flight;
    pass.wake_at_bytes = options_.in_flight_bytes - (full ? options_.in_flight_bytes / 4 : 0);
  }
  Await(pass, [&pass] {
    return pass.in_flight <= pass.wake_at && pass.in_flight_bytes <= pass.wake_at_bytes;
  });
  const std::lock_guard lock(pass.mutex);
  pass.wake_at = 0;
}

void Loader::AwaitKey(Pass& pass, const std::string& key) {
  {
    const std::lock_guard lock(pass.mutex);
    pass.wants_key = true;
  }
  Await(pass, [&] { return !pass.keys.contains(key); });
  const std::lock_guard lock(pass.mutex);
  pass.wants_key = false;
}

void Loader::AwaitAll(Pass& pass) {
  {
    const std::lock_guard lock(pass.mutex);
    pass.wake_at = 0;
    pass.wake_at_bytes = options_.in_flight_bytes;
  }
  Await(pass, [&pass] { return pass.in_flight == 0; });
}

void Loader::Send(Pass& pass, Attempt attempt) {
  if (pass.verifying) {
    Get(pass, std::move(attempt));
  } else {
    Put(pass, std::move(attempt));
  }
}

// The first value replaces what is there; each further one becomes its sibling, when the one before
// it has been written.
void Loader::Put(Pass& pass, Attempt attempt) {
  const WriteOptions options{.mode = attempt.index == 0 ? WriteMode::kDefault : WriteMode::kBlind,
                             .write_quorum = options_.write_quorum,
                             .timeout = TimeLeft(attempt)};
  const Record& now = *attempt.record;
  const std::string& value = now.values[attempt.index];
  client_->Put(options_.table, now.key, value, options,
               [this, &pass, attempt](const absl::StatusOr<PutResult>& put) mutable {
                 if (ComesAgain(pass, attempt, put.status())) return;
                 if (put.ok() && attempt.index + 1 < attempt.record->values.size()) {
                   ++attempt.index;
                   Put(pass, std::move(attempt));
                 } else {
                   pass.Ended(*attempt.record, attempt.started, put.status(), true);
                 }
               });
}

void Loader::Get(Pass& pass, Attempt attempt) {
  const std::string& key = attempt.record->key;
  client_->Get(options_.table, key,
               {.read_quorum = options_.read_quorum, .timeout = TimeLeft(attempt)},
               [this, &pass, attempt](const absl::StatusOr<GetResult>& got) {
                 if (ComesAgain(pass, attempt, got.status())) return;
                 const bool same = got.ok() && SameValues(attempt.record->values, got->values);
                 pass.Ended(*attempt.record, attempt.started, got.status(), same);
               });
}

absl::Duration Loader::TimeLeft(const Attempt& attempt) const {
  return std::max(attempt.started + options_.timeout - MonotonicNow(), absl::Milliseconds(1));
}

// Whether `status` is a refusal for want of room, and the attempt was put aside to come again. A
// sibling whose outcome is unknown does not: it would be there twice.
bool Loader::ComesAgain(Pass& pass, const Attempt& attempt, const absl::Status& status) const {
  if (status.code() != absl::StatusCode::kResourceExhausted) return false;
  const v1::ErrorDetail detail = GetErrorDetail(status).value_or(v1::ErrorDetail());
  if (attempt.index > 0 && detail.outcome_unknown()) return false;
  const absl::Duration pause =
      BackOffDelay(kPause, attempt.refusals + 1, detail.retry_after_ms(), /*unit=*/1);
  if (TimeLeft(attempt) <= pause) return false;
  Attempt again = attempt;
  ++again.refusals;
  again.refusal = status;
  pass.Refused(std::move(again), pause);
  return true;
}

}  // namespace gyre
