#include "api/cli/loader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/client/monotonic.h"

namespace gyre {
namespace {

constexpr absl::Duration kProgressEvery = absl::Milliseconds(100);
// Records that one batch starts at most, so that the first of them do not wait for the file.
constexpr int kLargestBatch = 256;

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

// What the answers change, and what waits for them.
struct Loader::Pass {
  std::mutex mutex;
  std::condition_variable answered;
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

  // What may be started now: at least one record, and records until they have so many bytes.
  struct Room {
    int records;
    size_t bytes;
  };
  Room AwaitRoom(const LoadOptions& limit) {
    std::unique_lock lock(mutex);
    if (in_flight >= limit.in_flight || in_flight_bytes >= limit.in_flight_bytes) {
      wake_at = limit.in_flight - std::max(1, std::min(limit.in_flight / 4, kLargestBatch));
      wake_at_bytes = limit.in_flight_bytes - limit.in_flight_bytes / 4;
      while (in_flight > wake_at || in_flight_bytes > wake_at_bytes) answered.wait(lock);
    }
    wake_at = 0;
    return {std::min(limit.in_flight - in_flight, kLargestBatch),
            limit.in_flight_bytes - in_flight_bytes};
  }

  bool HasKey(const std::string& key) {
    const std::lock_guard lock(mutex);
    return keys.contains(key);
  }
  void AwaitKey(const std::string& key) {
    std::unique_lock lock(mutex);
    wants_key = true;
    while (keys.contains(key)) answered.wait(lock);
    wants_key = false;
  }
  void AwaitAll() {
    std::unique_lock lock(mutex);
    wake_at = 0;
    while (in_flight > 0) answered.wait(lock);
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
  Pass pass;
  const absl::Time start = MonotonicNow();
  absl::Time told_at = start;
  absl::Status of_the_file;
  std::optional<Record> next;  // read, but its key is in flight
  uint64_t position = 0;
  bool stopped = false;
  for (bool at_end = false; !at_end;) {
    stopped = options_.stop && options_.stop();
    if (stopped) break;
    const Pass::Room room = pass.AwaitRoom(options_);
    size_t started_bytes = 0;
    if (next.has_value()) pass.AwaitKey(next->key);
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
          pass.Began(record);
          GetOne(pass, std::move(record));
        } else {
          if (options_.remember) last_record_of_[record.key] = position;
          pass.Began(record);
          PutNext(pass, std::make_shared<Record>(std::move(record)), 0, MonotonicNow());
        }
      }
    }
    const absl::Time now = MonotonicNow();
    if (now - told_at >= kProgressEvery) {
      told_at = now;
      on_progress(pass.Records(), reader.bytes_read());
    }
  }
  pass.AwaitAll();
  if (!of_the_file.ok()) return of_the_file;
  const std::lock_guard lock(pass.mutex);
  pass.summary.stopped = stopped;
  pass.summary.elapsed = MonotonicNow() - start;
  return std::move(pass.summary);
}

// The first value replaces what is there; each further one becomes its sibling, when the one before
// it has been written.
void Loader::PutNext(Pass& pass, const std::shared_ptr<Record>& record, size_t index,
                     absl::Time started) {
  const WriteOptions options{.mode = index == 0 ? WriteMode::kDefault : WriteMode::kBlind,
                             .write_quorum = options_.write_quorum,
                             .timeout = options_.timeout};
  const Record& now = *record;
  client_->Put(options_.table, now.key, now.values[index], options,
               [this, &pass, record, index, started](const absl::StatusOr<PutResult>& put) {
                 if (put.ok() && index + 1 < record->values.size()) {
                   PutNext(pass, record, index + 1, started);
                 } else {
                   pass.Ended(*record, started, put.status(), true);
                 }
               });
}

void Loader::GetOne(Pass& pass, Record record) {
  const auto expected = std::make_shared<Record>(std::move(record));
  client_->Get(options_.table, expected->key,
               {.read_quorum = options_.read_quorum, .timeout = options_.timeout},
               [&pass, expected, started = MonotonicNow()](absl::StatusOr<GetResult> got) {
                 const bool same = got.ok() && SameValues(expected->values, got->values);
                 pass.Ended(*expected, started, got.status(), same);
               });
}

}  // namespace gyre
