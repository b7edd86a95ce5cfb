// JsonWriter: builds one line of JSON, with commas and escapes where they belong.
//
//   std::string line;
//   JsonWriter json(&line);
//   json.BeginObject().Key("key").String("a").Key("n").Number(3).EndObject();
//
// Values of the store are bytes. JSON has only text, so Bytes writes a field of the given name
// where they are UTF-8 and one with the suffix _base64 where they are not; what reads dumps back
// knows both.
//
// Not thread-safe. The caller's calls must nest; this is not checked.

#ifndef GYRE_API_CLI_JSON_WRITER_H_
#define GYRE_API_CLI_JSON_WRITER_H_

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace gyre {

[[nodiscard]] bool IsUtf8(std::string_view bytes);

class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view text);  // REQUIRES: IsUtf8(text)
  JsonWriter& Bool(bool value);
  JsonWriter& Double(double value);
  template <std::integral Int>
  JsonWriter& Number(Int value) {
    return Raw(std::to_string(value));
  }

  // A field of an object: `name`, or `name`_base64.
  JsonWriter& Bytes(std::string_view name, std::string_view bytes);
  JsonWriter& BytesArray(std::string_view name, const std::vector<std::string>& items);

 private:
  JsonWriter& Raw(std::string_view token);
  void Separate();

  std::string* const out_;
  bool needs_comma_ = false;
};

}  // namespace gyre

#endif  // GYRE_API_CLI_JSON_WRITER_H_
