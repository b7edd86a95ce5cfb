// Value: the bytes of a version, shared by all copies of it, so that they are not copied on their
// way between message, record and batch.
//
//   Value value(std::move(bytes));
//   Value other = value;   // the same bytes
//
// Immutable. Thread rule: copies may be used on different threads.

#ifndef GYRE_STORAGE_VERSION_VALUE_H_
#define GYRE_STORAGE_VERSION_VALUE_H_

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace gyre {

class Value {
 public:
  Value() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a value is its bytes.
  Value(std::string bytes)
      : bytes_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Value(const char* text) : Value(std::string(text)) {}

  std::string_view view() const { return bytes_ == nullptr ? std::string_view() : *bytes_; }
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::string_view() const { return view(); }
  explicit operator std::string() const { return std::string(view()); }
  size_t size() const { return view().size(); }
  bool empty() const { return bytes_ == nullptr; }

  friend bool operator==(const Value& a, const Value& b) { return a.view() == b.view(); }
  friend bool operator==(const Value& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const Value& a, const std::string& b) { return a.view() == b; }
  friend bool operator==(const Value& a, const char* b) { return a.view() == b; }
  friend std::ostream& operator<<(std::ostream& out, const Value& value) {
    return out << value.view();
  }

 private:
  std::shared_ptr<const std::string> bytes_;  // null: empty
};

}  // namespace gyre

#endif  // GYRE_STORAGE_VERSION_VALUE_H_
