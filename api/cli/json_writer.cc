#include "api/cli/json_writer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"

namespace gyre {
namespace {

// Length of the UTF-8 sequence at the start of `bytes`, 0 if there is none (RFC 3629: no overlong
// forms, no surrogates, nothing over U+10FFFF).
size_t SequenceLength(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto is_tail = [&](size_t i) { return i < bytes.size() && (at(i) & 0xc0) == 0x80; };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return is_tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!is_tail(1) || !is_tail(2)) return 0;
    if (lead == 0xe0 && at(1) < 0xa0) return 0;
    if (lead == 0xed && at(1) > 0x9f) return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
    if (lead == 0xf0 && at(1) < 0x90) return 0;
    if (lead == 0xf4 && at(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

std::string Base64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = SequenceLength(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

void JsonWriter::Separate() {
  if (needs_comma_) out_->push_back(',');
  needs_comma_ = true;
}

JsonWriter& JsonWriter::Raw(std::string_view token) {
  Separate();
  out_->append(token);
  return *this;
}

JsonWriter& JsonWriter::BeginObject() {
  Raw("{");
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  out_->push_back('}');
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  Raw("[");
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  out_->push_back(']');
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  out_->push_back(':');
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  out_->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out_->append("\\\"");
        break;
      case '\\':
        out_->append("\\\\");
        break;
      case '\n':
        out_->append("\\n");
        break;
      case '\r':
        out_->append("\\r");
        break;
      case '\t':
        out_->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          absl::StrAppendFormat(out_, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out_->push_back(c);
        }
    }
  }
  out_->push_back('"');
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) { return Raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::Double(double value) {
  return Raw(std::isfinite(value) ? absl::StrFormat("%.3f", value) : std::string("null"));
}

JsonWriter& JsonWriter::Bytes(std::string_view name, std::string_view bytes) {
  if (IsUtf8(bytes)) return Key(name).String(bytes);
  return Key(std::string(name) + "_base64").String(Base64(bytes));
}

JsonWriter& JsonWriter::BytesArray(std::string_view name, const std::vector<std::string>& items) {
  const bool text =
      std::all_of(items.begin(), items.end(), [](const std::string& item) { return IsUtf8(item); });
  Key(text ? std::string(name) : std::string(name) + "_base64").BeginArray();
  for (const std::string& item : items) String(text ? item : Base64(item));
  return EndArray();
}

}  // namespace gyre
