#include "storage/readable.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gyre {
namespace {

// Bytes behind what the two ends have in common that are told apart: how far each halving looks.
constexpr size_t kBytesApart = 32;

bool IsReadable(const Snapshot& snapshot, Family family, std::string_view from,
                std::string_view end) {
  return snapshot.Scan(family, from, end, [](std::string_view, std::string_view) { return false; })
      .ok();
}

// The key in the middle of two, as of fractions to the base of 256.
std::string Middle(std::string_view low, std::string_view high) {
  const size_t size = std::max(low.size(), high.size()) + 1;
  const auto digit = [](std::string_view key, size_t i) -> unsigned {
    return i < key.size() ? static_cast<uint8_t>(key[i]) : 0;
  };
  std::string middle(size, '\0');
  unsigned carry = 0;
  std::string sum(size + 1, '\0');  // the first: what the sum has before the point
  for (size_t i = size; i-- > 0;) {
    const unsigned both = digit(low, i) + digit(high, i) + carry;
    sum[i + 1] = static_cast<char>(both & 0xff);
    carry = both >> 8;
  }
  sum[0] = static_cast<char>(carry);
  unsigned rest = 0;
  for (size_t i = 0; i <= size; ++i) {
    const unsigned now = (rest << 8) | static_cast<uint8_t>(sum[i]);
    if (i > 0) middle[i - 1] = static_cast<char>(now >> 1);
    rest = now & 1;
  }
  while (!middle.empty() && middle.back() == '\0') middle.pop_back();
  return middle;
}

// To the first key that does not begin with this one; to the empty one where there is none.
void StepUp(std::string* key) {
  while (!key->empty() && key->back() == '\xff') key->pop_back();
  if (!key->empty()) ++key->back();
}

}  // namespace

std::string FindReadable(const Snapshot& snapshot, Family family, std::string_view from,
                         std::string_view end) {
  std::string low(from);
  std::string high(end);
  // Nearby: the first keys that begin otherwise, in one byte and all behind it.
  for (size_t behind = 1; behind <= from.size(); behind *= 2) {
    std::string next(from.substr(0, from.size() - behind + 1));
    if (next.back() == '\xff') continue;
    ++next.back();
    if (next <= low) continue;
    if (next >= end) break;
    if (IsReadable(snapshot, family, next, end)) {
      high = std::move(next);
      break;
    }
    low = std::move(next);
  }
  for (size_t tries = 0; tries < 8 * kBytesApart; ++tries) {
    std::string middle = Middle(low, high);
    const auto alike = static_cast<size_t>(
        std::mismatch(low.begin(), low.end(), high.begin(), high.end()).first - low.begin());
    if (middle.size() > alike + kBytesApart) middle.resize(alike + kBytesApart);
    if (middle <= low) StepUp(&middle);
    if (middle <= low || middle >= high) break;
    if (IsReadable(snapshot, family, middle, end)) {
      high = std::move(middle);
    } else {
      low = std::move(middle);
    }
  }
  return high;
}

}  // namespace gyre
