// ByteWriter and ByteReader: fixed-width big-endian integers and length-prefixed strings, for the
// codecs of this room. What they write has exactly one encoding.
//
// The reader never reads past its input: the first field that does not fit makes failed() true, and
// every later field reads as 0 or empty, so a codec checks once at the end. One instance belongs to
// one thread.

#ifndef GYRE_RING_BYTES_H_
#define GYRE_RING_BYTES_H_

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gyre {

class ByteWriter {
 public:
  template <std::unsigned_integral T>
  void Put(T value) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
      bytes_.push_back(static_cast<char>(value >> shift & 0xff));
    }
  }

  // Length as 4 bytes, then the bytes.
  void PutString(std::string_view text) {
    Put(static_cast<uint32_t>(text.size()));
    bytes_.append(text);
  }

  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T Get() {
    const std::string_view field = Cut(sizeof(T));
    T value = 0;
    for (const char c : field) {
      value = static_cast<T>(static_cast<uint64_t>(value) << 8 | static_cast<uint8_t>(c));
    }
    return value;
  }

  std::string_view GetString() { return Cut(Get<uint32_t>()); }

  size_t remaining() const { return rest_.size(); }
  bool failed() const { return failed_; }
  bool finished() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view Cut(size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view field = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return field;
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace gyre

#endif  // GYRE_RING_BYTES_H_
