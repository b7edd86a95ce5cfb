#include "api/cli/record_reader.h"

#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace gyre {
namespace {

class DebianReader final : public RecordReader {
 public:
  explicit DebianReader(std::istream* in) : RecordReader(in) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    constexpr std::string_view kField = "Package:";
    std::string stanza;
    std::string key;
    std::string line;
    while (NextLine(line)) {
      if (line.empty()) {
        if (stanza.empty()) continue;
        break;
      }
      if (key.empty() && std::string_view(line).substr(0, kField.size()) == kField) {
        key = std::string(absl::StripAsciiWhitespace(line.substr(kField.size())));
      }
      stanza += line;
      stanza += '\n';
    }
    if (stanza.empty() || unreadable()) return End();
    if (key.empty()) return ErrorHere("a stanza without the field Package ends");
    return Record{std::move(key), {std::move(stanza)}};
  }
};

class TsvReader final : public RecordReader {
 public:
  explicit TsvReader(std::istream* in) : RecordReader(in) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    std::string line;
    do {
      if (!NextLine(line)) return End();
    } while (line.empty());
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return ErrorHere("no tab between key and value");
    if (tab == 0) return ErrorHere("an empty key");
    return Record{line.substr(0, tab), {line.substr(tab + 1)}};
  }
};

class JsonlReader final : public RecordReader {
 public:
  explicit JsonlReader(std::istream* in) : RecordReader(in) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    std::string line;
    do {
      if (!NextLine(line)) return End();
    } while (absl::StripAsciiWhitespace(line).empty());
    google::protobuf::Struct object;
    if (!google::protobuf::util::JsonStringToMessage(line, &object).ok()) {
      return ErrorHere("not a JSON object");
    }
    Record record;
    std::vector<std::string> keys;
    if (!Take(object, "key", keys) || keys.size() != 1 || keys[0].empty()) {
      return ErrorHere("no \"key\" or \"key_base64\" that is a string of at least one byte");
    }
    record.key = std::move(keys[0]);
    if (!Take(object, "value", record.values) && !Take(object, "values", record.values)) {
      return ErrorHere("no \"value\" or \"values\", plain or with the suffix _base64");
    }
    if (record.values.empty()) return ErrorHere("no value in \"values\"");
    return record;
  }

 private:
  // The strings of `name`, or of `name`_base64 decoded. False: neither is there, or is not text.
  static bool Take(const google::protobuf::Struct& object, const std::string& name,
                   std::vector<std::string>& strings) {
    const auto plain = object.fields().find(name);
    if (plain != object.fields().end()) return TakeStrings(plain->second, false, strings);
    const auto encoded = object.fields().find(name + "_base64");
    return encoded != object.fields().end() && TakeStrings(encoded->second, true, strings);
  }

  static bool TakeStrings(const google::protobuf::Value& value, bool base64,
                          std::vector<std::string>& strings) {
    if (value.has_list_value()) {
      for (const google::protobuf::Value& item : value.list_value().values()) {
        if (!item.has_string_value() || !TakeStrings(item, base64, strings)) return false;
      }
      return true;
    }
    if (!value.has_string_value()) return false;
    std::string decoded = value.string_value();
    if (base64 && !absl::Base64Unescape(value.string_value(), &decoded)) return false;
    strings.push_back(std::move(decoded));
    return true;
  }
};

}  // namespace

bool RecordReader::NextLine(std::string& line) {
  if (!std::getline(*in_, line)) return false;
  ++line_;
  bytes_read_ += line.size() + 1;
  return true;
}

absl::StatusOr<std::optional<Record>> RecordReader::End() const {
  if (unreadable()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot be read after line ", line_));
  }
  return std::optional<Record>();
}

absl::Status RecordReader::ErrorHere(const std::string& what) const {
  return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", what));
}

std::unique_ptr<RecordReader> RecordReader::Open(RecordFormat format, std::istream* in) {
  switch (format) {
    case RecordFormat::kDebian:
      return std::make_unique<DebianReader>(in);
    case RecordFormat::kJsonl:
      return std::make_unique<JsonlReader>(in);
    case RecordFormat::kTsv:
      return std::make_unique<TsvReader>(in);
  }
  return nullptr;
}

}  // namespace gyre
