// RecordReader: streams records out of a file, one at a time.
//
//   debian  control-file stanzas, separated by blank lines (Packages, status). The key is the value
//           of the field Package, the value the whole stanza, byte for byte, its last newline
//           included.
//   jsonl   one object a line: "key" and "value", or "values" for siblings, as `gyre dump` writes
//           them. A name with the suffix _base64 holds bytes in base64.
//   tsv     key, tab, value; the value is all that follows the first tab.
//
// What cannot be read is an error that names the line. One reader belongs to one thread.

#ifndef GYRE_API_CLI_RECORD_READER_H_
#define GYRE_API_CLI_RECORD_READER_H_

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace gyre {

struct Record {
  std::string key;
  std::vector<std::string> values;  // at least one; more are siblings
};

enum class RecordFormat { kDebian, kJsonl, kTsv };

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // The next record; nothing at the end.
  [[nodiscard]] virtual absl::StatusOr<std::optional<Record>> Next() = 0;

  uint64_t bytes_read() const { return bytes_read_; }

  // Reads from `in`, which must outlive it.
  static std::unique_ptr<RecordReader> Open(RecordFormat format, std::istream* in);

 protected:
  explicit RecordReader(std::istream* in) : in_(in) {}
  // The next line without its newline. False at the end, and where the file cannot be read on.
  bool NextLine(std::string& line);
  // What Next answers when there is no further line.
  absl::StatusOr<std::optional<Record>> End() const;
  bool unreadable() const { return in_->bad(); }
  absl::Status ErrorHere(const std::string& what) const;

 private:
  std::istream* const in_;
  uint64_t line_ = 0;
  uint64_t bytes_read_ = 0;
};

}  // namespace gyre

#endif  // GYRE_API_CLI_RECORD_READER_H_
