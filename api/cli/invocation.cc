#include "api/cli/invocation.h"

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/cli/json_writer.h"

namespace gyre {
namespace {

Exit ExitFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return Exit::kNotFound;
    case absl::StatusCode::kInvalidArgument:
      return Exit::kBadUsage;
    default:
      return Exit::kFailed;
  }
}

// The parts of a detail that a person can do something with.
std::string ForPeople(const v1::ErrorDetail& detail) {
  std::vector<std::string> parts;
  if (!detail.field().empty()) parts.push_back("field " + detail.field());
  if (detail.reason() == v1::ErrorDetail::QUORUM_NOT_MET && detail.needed() > 0) {
    parts.push_back(absl::StrCat(detail.answered(), " of ", detail.needed(), " replicas answered"));
  }
  if (detail.outcome_unknown()) parts.push_back("it may still take effect");
  if (detail.retry_after_ms() > 0) {
    parts.push_back(absl::StrCat("retry after ", detail.retry_after_ms(), " ms"));
  }
  if (!detail.context().empty()) {
    parts.push_back("write with --context " + absl::Base64Escape(detail.context()));
  }
  std::string text;
  for (const std::string& part : parts) absl::StrAppend(&text, text.empty() ? "" : "; ", part);
  return text;
}

void WriteDetail(const v1::ErrorDetail& detail, JsonWriter& json) {
  json.Key("reason").String(v1::ErrorDetail::Reason_Name(detail.reason()));
  if (!detail.field().empty()) json.Key("field").String(detail.field());
  if (detail.reason() == v1::ErrorDetail::QUORUM_NOT_MET) {
    json.Key("needed").Number(detail.needed()).Key("answered").Number(detail.answered());
  }
  json.Key("outcome_unknown").Bool(detail.outcome_unknown());
  if (detail.retry_after_ms() > 0) json.Key("retry_after_ms").Number(detail.retry_after_ms());
  if (!detail.context().empty()) {
    json.Key("context").String(absl::Base64Escape(detail.context()));
  }
}

}  // namespace

std::vector<std::string> Invocation::Seeds() const {
  return absl::StrSplit(connect, ',', absl::SkipWhitespace());
}

absl::StatusOr<std::unique_ptr<Client>> Invocation::Connect() const {
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect({.seeds = Seeds(),
                       .timeout = TimeoutOr(absl::Seconds(2)),
                       .change_timeout = TimeoutOr(absl::Seconds(10)),
                       // Somebody is waiting at the terminal: go over the seeds once.
                       .connect_timeout = absl::ZeroDuration()});
  if (client.ok()) return client;
  return absl::Status(client.status().code(),
                      absl::StrCat("cannot reach a node; ", client.status().message()));
}

Exit Invocation::Fail(const absl::Status& status) const {
  const std::optional<v1::ErrorDetail> detail = GetErrorDetail(status);
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string message(status.message());
  if (json) {
    std::string line;
    JsonWriter writer(&line);
    writer.BeginObject().Key("error").BeginObject().Key("code").String(code);
    writer.Bytes("message", message);
    if (detail.has_value()) WriteDetail(*detail, writer);
    writer.EndObject().EndObject();
    *out << line << "\n";
    return ExitFor(status);
  }
  *err << "gyre: " << message << " [" << code << "]\n";
  if (detail.has_value()) {
    const std::string more = ForPeople(*detail);
    if (!more.empty()) *err << "      " << more << "\n";
  }
  return ExitFor(status);
}

Exit Invocation::BadUsage(const std::string& why) const {
  return Fail(absl::InvalidArgumentError(why));
}

}  // namespace gyre
