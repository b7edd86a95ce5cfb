#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace gyre {
namespace {

void AppendString(std::string* out, std::string_view text) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      *out += "\\u00";
      out->push_back(kHex[c >> 4 & 0xf]);
      out->push_back(kHex[c & 0xf]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendValue(std::string* out, const LogValue& value) {
  if (const auto* flag = std::get_if<bool>(&value.value)) {
    *out += *flag ? "true" : "false";
  } else if (const auto* number = std::get_if<int64_t>(&value.value)) {
    absl::StrAppend(out, *number);
  } else if (const auto* real = std::get_if<double>(&value.value)) {
    absl::StrAppend(out, std::isfinite(*real) ? *real : 0.0);
  } else {
    AppendString(out, std::get<std::string>(value.value));
  }
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void Prepare(spdlog::logger* logger, LogLevel level) {
  logger->set_level(ToSpdlog(level));
  logger->set_pattern(R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})",
                      spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::info);
}

std::shared_ptr<spdlog::logger>& Logger() {
  static std::shared_ptr<spdlog::logger> logger = [] {
    auto early =
        std::make_shared<spdlog::logger>("gyre", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    Prepare(early.get(), LogLevel::kWarn);
    return early;
  }();
  return logger;
}

// protobuf would write to standard error for every message that is not well formed: as many lines
// as whoever sends them likes.
void OnProtobufLog(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  Log(LogLevel::kDebug, "protobuf", {{"why", message}});
}

}  // namespace

absl::Status OpenLog(const LogOptions& options) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    } catch (const spdlog::spdlog_ex& failure) {
      return absl::InvalidArgumentError(absl::StrCat("log file: ", failure.what()));
    }
  }
  auto logger = std::make_shared<spdlog::logger>("gyre", std::move(sink));
  Prepare(logger.get(), options.level);
  Logger() = std::move(logger);
  google::protobuf::SetLogHandler(&OnProtobufLog);
  return absl::OkStatus();
}

std::string LogBody(std::string_view event, std::initializer_list<LogField> fields) {
  std::string body = "\"event\":";
  AppendString(&body, event);
  for (const LogField& field : fields) {
    body.push_back(',');
    AppendString(&body, field.name);
    body.push_back(':');
    AppendValue(&body, field.value);
  }
  return body;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  spdlog::logger* logger = Logger().get();
  if (!logger->should_log(ToSpdlog(level))) return;
  logger->log(ToSpdlog(level), "{}", LogBody(event, fields));
}

}  // namespace gyre
