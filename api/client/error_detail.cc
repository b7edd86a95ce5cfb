#include "api/client/error_detail.h"

#include <utility>

#include "absl/strings/cord.h"

namespace gyre {
inline namespace sdk {
namespace {

constexpr char kPayloadUrl[] = "type.googleapis.com/gyre.v1.ErrorDetail";
constexpr char kTrailingKey[] = "gyre-error-bin";

absl::StatusCode KnownCode(int code) {
  const bool is_an_error = code > 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return is_an_error ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

}  // namespace

std::optional<v1::ErrorDetail> GetErrorDetail(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  v1::ErrorDetail detail;
  if (!detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

absl::Status WithErrorDetail(absl::Status status, const v1::ErrorDetail& detail) {
  status.SetPayload(kPayloadUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

absl::Status StatusFromWire(const v1::Status& status) {
  absl::Status result(KnownCode(status.code()), status.message());
  if (!status.has_detail()) return result;
  return WithErrorDetail(std::move(result), status.detail());
}

absl::Status StatusFromUnary(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(KnownCode(status.error_code()), status.error_message());
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto it = trailers.find(kTrailingKey);
  if (it == trailers.end()) return result;
  v1::ErrorDetail detail;
  if (!detail.ParseFromArray(it->second.data(), static_cast<int>(it->second.size()))) return result;
  return WithErrorDetail(std::move(result), detail);
}

}  // namespace sdk
}  // namespace gyre
