// Loader: writes the records of a reader into a table, and reads them back to compare bytes, with a
// bound on what is in flight.
//
// What the nodes refuse for want of room is sent again within its time, and nothing new before it.
//
// Records with one key never overtake each other: a record waits until the one before it with that
// key is answered. So what the table holds at the end is what the last of them says.
//
// Load and Verify block; the thread that calls them reads the file and starts requests, and gRPC's
// threads count the answers.

#ifndef GYRE_API_CLI_LOADER_H_
#define GYRE_API_CLI_LOADER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/cli/latency_histogram.h"
#include "api/cli/record_reader.h"
#include "api/client/client.h"

namespace gyre {

struct LoadOptions {
  std::string table;
  int in_flight = 4096;  // requests at once; 1 waits for each. More make fuller frames
  // Of keys and values; one record may pass it alone. Nodes refuse what is too much at once.
  size_t in_flight_bytes = size_t{32} << 20;
  // Of one record, however often it is sent. Counts from its start, so it must outlast all that is
  // under way before it.
  absl::Duration timeout = absl::Seconds(30);
  std::optional<uint32_t> read_quorum = {};
  std::optional<uint32_t> write_quorum = {};
  // Remember what each key was given last, so that Verify knows what to expect of a key that the
  // file has twice. Costs memory for every key.
  bool remember = false;
  // Asked before each batch; true ends the pass when what is in flight is answered. Null: never.
  std::function<bool()> stop = {};
};

// Of one pass over the file.
struct LoadSummary {
  uint64_t records = 0;
  uint64_t bytes = 0;      // of keys and values
  uint64_t failed = 0;     // records that were not written, or not read, after all retries
  uint64_t different = 0;  // Verify: records whose bytes are not those of the file
  bool stopped = false;    // before the end of the file
  absl::Duration elapsed;
  LatencyHistogram latency_micros;
  absl::Status first_error;  // of those that failed

  double per_second() const;
};

class Loader {
 public:
  // Called about ten times a second with the records that are answered.
  using OnProgress = std::function<void(uint64_t records, uint64_t bytes_read)>;

  Loader(Client* client, LoadOptions options) : client_(client), options_(std::move(options)) {}

  // An error is one of the file. Records that fail are counted in the summary.
  absl::StatusOr<LoadSummary> Load(RecordReader& reader, const OnProgress& on_progress);
  // The same file once more. REQUIRES: options.remember, and Load before it.
  absl::StatusOr<LoadSummary> Verify(RecordReader& reader, const OnProgress& on_progress);

 private:
  struct Attempt;
  struct Pass;  // of one call of Load or Verify

  absl::StatusOr<LoadSummary> Run(RecordReader& reader, const OnProgress& on_progress,
                                  bool verifying);
  template <typename Enough>
  void Await(Pass& pass, const Enough& enough);
  void AwaitRoom(Pass& pass);
  void AwaitKey(Pass& pass, const std::string& key);
  void AwaitAll(Pass& pass);
  void Send(Pass& pass, Attempt attempt);
  void Put(Pass& pass, Attempt attempt);
  void Get(Pass& pass, Attempt attempt);
  absl::Duration TimeLeft(const Attempt& attempt) const;
  bool ComesAgain(Pass& pass, const Attempt& attempt, const absl::Status& status) const;

  Client* const client_;
  const LoadOptions options_;
  absl::flat_hash_map<std::string, uint64_t> last_record_of_;  // key -> position in the file
};

}  // namespace gyre

#endif  // GYRE_API_CLI_LOADER_H_
