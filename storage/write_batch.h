// WriteBatch: an ordered list of changes to an engine that is applied whole or not at all. A later
// change to a key wins.
//
//   WriteBatch batch;
//   batch.Put(Family::kMeta, "key", "value");
//   batch.Build(Family::kRecords, [&](std::string* out) { AppendItemKey(item, out); },
//               [&](std::string* out) { AppendRecord(record, out); });
//   for (const WriteBatch::Change& change : batch.changes()) ...
//
// Keys and values lie one behind the other in one string: no change has memory of its own, and
// whoever writes a batch walks through memory in order. What is put in must not point into the
// batch itself. Plain value, not synchronised.

#ifndef GYRE_STORAGE_WRITE_BATCH_H_
#define GYRE_STORAGE_WRITE_BATCH_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gyre {

// The key spaces of one node, each a column family of its own. The numbers are on disk: append
// only.
enum class Family : uint8_t { kRecords = 0, kDotLog = 1, kHints = 2, kMeta = 3, kExpiry = 4 };
inline constexpr int kFamilies = 5;

class WriteBatch {
 public:
  enum class Kind : uint8_t { kPut, kErase, kEraseRange };
  // A view into its batch.
  struct Change {
    Kind kind;
    Family family;
    std::string_view key;
    std::string_view value;  // kPut: the value; kEraseRange: the end of the range, exclusive
  };
  class Changes;

  void Put(Family family, std::string_view key, std::string_view value) {
    Add(Kind::kPut, family, key, value);
  }
  // A put of what `append_key`, and then `append_value`, append to the string that they are given.
  template <std::invocable<std::string*> AppendKey, std::invocable<std::string*> AppendValue>
  void Build(Family family, AppendKey append_key, AppendValue append_value) {
    const size_t begin = bytes_.size();
    append_key(&bytes_);
    const size_t middle = bytes_.size();
    append_value(&bytes_);
    entries_.push_back({Kind::kPut, family, begin, middle, bytes_.size()});
  }
  void Erase(Family family, std::string_view key) { Add(Kind::kErase, family, key, {}); }
  // Erases [begin, end).
  void EraseRange(Family family, std::string_view begin, std::string_view end) {
    Add(Kind::kEraseRange, family, begin, end);
  }
  // Puts all changes of `other` behind the ones that are here. REQUIRES: another batch than this.
  void Append(const WriteBatch& other) {
    const size_t base = bytes_.size();
    bytes_.append(other.bytes_);
    for (Entry entry : other.entries_) {
      entry.begin += base;
      entry.middle += base;
      entry.end += base;
      entries_.push_back(entry);
    }
  }

  // Room for as much as `like` has, so that a batch of its kind grows without being moved.
  void ReserveLike(const WriteBatch& like) {
    bytes_.reserve(like.bytes_.size());
    entries_.reserve(like.entries_.size());
  }

  Changes changes() const;
  bool empty() const { return entries_.empty(); }
  // Bytes of keys and values.
  size_t size_bytes() const { return bytes_.size(); }

 private:
  struct Entry {
    Kind kind;
    Family family;
    size_t begin;   // in bytes_: of the key
    size_t middle;  // of the value
    size_t end;
  };

  void Add(Kind kind, Family family, std::string_view key, std::string_view value) {
    const size_t begin = bytes_.size();
    bytes_.append(key).append(value);
    entries_.push_back({kind, family, begin, begin + key.size(), bytes_.size()});
  }

  std::string bytes_;
  std::vector<Entry> entries_;
};

// The changes in their order; valid while the batch is neither changed nor moved.
class WriteBatch::Changes {
 public:
  class Iterator {
   public:
    Iterator(const WriteBatch* batch, size_t index) : batch_(batch), index_(index) {}
    Change operator*() const {
      const Entry& entry = batch_->entries_[index_];
      const std::string_view bytes = batch_->bytes_;
      return {entry.kind, entry.family, bytes.substr(entry.begin, entry.middle - entry.begin),
              bytes.substr(entry.middle, entry.end - entry.middle)};
    }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const WriteBatch* batch_;
    size_t index_;
  };

  explicit Changes(const WriteBatch* batch) : batch_(batch) {}
  Iterator begin() const { return {batch_, 0}; }
  Iterator end() const { return {batch_, size()}; }
  size_t size() const { return batch_->entries_.size(); }

 private:
  const WriteBatch* batch_;
};

inline WriteBatch::Changes WriteBatch::changes() const { return Changes(this); }

}  // namespace gyre

#endif  // GYRE_STORAGE_WRITE_BATCH_H_
