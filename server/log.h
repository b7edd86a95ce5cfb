// The log: one JSON object a line, to standard error or a file.
//
//   Log(LogLevel::kInfo, "peer_up", {{"peer", name}, {"rtt_us", 120}});
//   {"ts":"2026-11-21T03:40:00.123Z","level":"info","event":"peer_up","peer":"n2","rtt_us":120}
//
// Thread rule: OpenLog once, before any other thread; Log from any thread. Before OpenLog, and in
// tests, warnings and errors go to standard error.

#ifndef GYRE_SERVER_LOG_H_
#define GYRE_SERVER_LOG_H_

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

namespace gyre {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError };

struct LogValue {
  template <std::integral T>
  LogValue(T number)  // NOLINT(google-explicit-constructor): field lists read as JSON
      : value(static_cast<int64_t>(number)) {}
  LogValue(bool flag) : value(flag) {}                           // NOLINT
  LogValue(double number) : value(number) {}                     // NOLINT
  LogValue(std::string_view text) : value(std::string(text)) {}  // NOLINT
  LogValue(const std::string& text) : value(text) {}             // NOLINT
  LogValue(const char* text) : value(std::string(text)) {}       // NOLINT
  std::variant<bool, int64_t, double, std::string> value;
};

struct LogField {
  std::string_view name;
  LogValue value;
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  std::string file;  // empty: standard error
};

// INVALID_ARGUMENT when the file cannot be written.
absl::Status OpenLog(const LogOptions& options);

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// The JSON of a line without time and level: `"event":"x","a":1`. For tests.
std::string LogBody(std::string_view event, std::initializer_list<LogField> fields);

}  // namespace gyre

#endif  // GYRE_SERVER_LOG_H_
