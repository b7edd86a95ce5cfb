#include "test/bench/resp.h"

#include <charconv>

namespace gyre {
namespace {

std::optional<int64_t> Integer(std::string_view text) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void AppendRespCommand(std::initializer_list<std::string_view> words, std::string* out) {
  out->append("*").append(std::to_string(words.size())).append("\r\n");
  for (std::string_view word : words) {
    out->append("$").append(std::to_string(word.size())).append("\r\n");
    out->append(word).append("\r\n");
  }
}

std::optional<RespReply> TakeRespReply(std::string_view received, size_t* at) {
  const size_t end = received.find("\r\n", *at);
  if (end == std::string_view::npos) return std::nullopt;
  RespReply reply;
  const char kind = received[*at];
  const std::string_view line = end > *at ? received.substr(*at + 1, end - *at - 1) : "";
  const size_t next = end + 2;
  if (kind == '+' || kind == '-') {
    reply.kind = kind == '+' ? RespReply::Kind::kStatus : RespReply::Kind::kError;
    reply.text = line;
  } else if (const std::optional<int64_t> number = Integer(line); !number.has_value()) {
    return reply;
  } else if (kind == ':') {
    reply.kind = RespReply::Kind::kInteger;
    reply.integer = *number;
  } else if (kind == '$' && *number == -1) {
    reply.kind = RespReply::Kind::kNull;
  } else if (kind == '$' && *number >= 0) {
    const auto size = static_cast<size_t>(*number);
    if (received.size() < next + size + 2) return std::nullopt;
    reply.kind = RespReply::Kind::kBytes;
    reply.text = received.substr(next, size);
    *at = next + size + 2;
    return reply;
  } else {
    return reply;
  }
  *at = next;
  return reply;
}

}  // namespace gyre
