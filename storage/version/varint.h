// The integers of our byte formats: LEB128 varints in their shortest form, and fixed big-endian
// numbers, 64-bit where the name does not say (these sort as bytes like they sort as numbers).
//
// A Consume function takes its bytes off the front of `in` and returns true, or returns false and
// leaves `in` as it was. Pure functions, safe from any thread.

#ifndef GYRE_STORAGE_VERSION_VARINT_H_
#define GYRE_STORAGE_VERSION_VARINT_H_

#include <endian.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gyre {

inline constexpr size_t kMaxVarintBytes = 10;

inline void AppendVarint(std::string* out, uint64_t value) {
  if (value < 0x80) return out->push_back(static_cast<char>(value));
  char bytes[kMaxVarintBytes];
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
  bytes[size++] = static_cast<char>(value);
  out->append(bytes, size);
}

// False for truncated, overlong and overflowing varints.
[[nodiscard]] inline bool ConsumeVarint(std::string_view* in, uint64_t* value) {
  uint64_t result = 0;
  for (size_t i = 0; i < in->size() && i < kMaxVarintBytes; ++i) {
    const auto byte = static_cast<uint8_t>((*in)[i]);
    if (i == kMaxVarintBytes - 1 && byte > 1) return false;  // does not fit 64 bits
    result |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) return false;  // has a shorter form
      in->remove_prefix(i + 1);
      *value = result;
      return true;
    }
  }
  return false;
}

// The lowest kBytes bytes of `value`.
template <size_t kBytes>
void AppendBigEndian(std::string* out, uint64_t value) {
  static_assert(kBytes <= sizeof(value));
  char bytes[sizeof(value)];
  value = htobe64(value);
  std::memcpy(bytes, &value, sizeof(value));
  out->append(bytes + sizeof(value) - kBytes, kBytes);
}

inline void AppendFixed64(std::string* out, uint64_t value) { AppendBigEndian<8>(out, value); }

// All of `bytes`, at most eight.
[[nodiscard]] inline uint64_t ReadBigEndian(std::string_view bytes) {
  char padded[sizeof(uint64_t)] = {};
  std::memcpy(padded + sizeof(padded) - bytes.size(), bytes.data(), bytes.size());
  uint64_t value;
  std::memcpy(&value, padded, sizeof(value));
  return be64toh(value);
}

[[nodiscard]] inline bool ConsumeFixed64(std::string_view* in, uint64_t* value) {
  if (in->size() < 8) return false;
  *value = ReadBigEndian(in->substr(0, 8));
  in->remove_prefix(8);
  return true;
}

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_VARINT_H_
