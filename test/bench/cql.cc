#include "test/bench/cql.h"

#include <limits>

namespace gyre {
namespace {

constexpr uint8_t kRequest = 0x04;
constexpr uint8_t kResponse = 0x84;
constexpr size_t kHeaderBytes = 9;
constexpr size_t kMostBytes = size_t{256} << 20;  // of a frame, as the specification has it

enum Opcode : uint8_t {
  kError = 0x00,
  kStartup = 0x01,
  kReady = 0x02,
  kQuery = 0x07,
  kResult = 0x08,
  kPrepare = 0x09,
  kExecute = 0x0A,
};
enum ResultKind : uint32_t { kVoid = 1, kRows = 2, kPreparedResult = 4 };

constexpr uint32_t kWarned = 0x08;  // a flag of the header: the body opens with warnings
constexpr uint8_t kWithValues = 0x01;
constexpr uint8_t kSkipMetadata = 0x02;
constexpr uint32_t kGlobalTable = 0x01;  // about metadata, whether or not they are there
constexpr uint32_t kNoMetadata = 0x04;

void AppendByte(uint8_t value, std::string* out) { out->push_back(static_cast<char>(value)); }
void AppendShort(uint16_t value, std::string* out) {
  AppendByte(static_cast<uint8_t>(value >> 8), out);
  AppendByte(static_cast<uint8_t>(value), out);
}
void AppendInt(uint32_t value, std::string* out) {
  AppendShort(static_cast<uint16_t>(value >> 16), out);
  AppendShort(static_cast<uint16_t>(value), out);
}
void AppendString(std::string_view text, std::string* out) {
  AppendShort(static_cast<uint16_t>(text.size()), out);
  out->append(text);
}
void AppendLongString(std::string_view text, std::string* out) {
  AppendInt(static_cast<uint32_t>(text.size()), out);
  out->append(text);
}

void AppendHeader(int16_t stream, Opcode opcode, size_t body_bytes, std::string* out) {
  AppendByte(kRequest, out);
  AppendByte(0, out);
  AppendShort(static_cast<uint16_t>(stream), out);
  AppendByte(opcode, out);
  AppendInt(static_cast<uint32_t>(body_bytes), out);
}

// Takes a body apart; once something was missing, everything is.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  std::string_view Take(size_t size) {
    if (size > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  uint32_t TakeNumber(size_t size) {
    uint32_t number = 0;
    for (const char c : Take(size)) number = number << 8 | static_cast<unsigned char>(c);
    return number;
  }
  std::string_view TakeString() { return Take(TakeNumber(2)); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

CqlAnswer::Kind TakeRow(Reader* body, std::string* value) {
  // Metadata were asked to stay away.
  const uint32_t flags = body->TakeNumber(4);
  const uint32_t columns = body->TakeNumber(4);
  const uint32_t rows = body->TakeNumber(4);
  if (!body->ok() || (flags & ~kGlobalTable) != kNoMetadata || columns != 1) {
    return CqlAnswer::Kind::kMalformed;
  }
  if (rows == 0) return CqlAnswer::Kind::kNoRow;
  const uint32_t size = body->TakeNumber(4);
  if (size > uint32_t{std::numeric_limits<int32_t>::max()}) return CqlAnswer::Kind::kNoRow;  // null
  *value = std::string(body->Take(size));
  return body->ok() ? CqlAnswer::Kind::kRow : CqlAnswer::Kind::kMalformed;
}

CqlAnswer::Kind TakeBody(uint8_t opcode, Reader* body, std::string* bytes) {
  if (opcode == kReady) return CqlAnswer::Kind::kDone;
  if (opcode == kError) {
    body->TakeNumber(4);
    *bytes = std::string(body->TakeString());
    return body->ok() ? CqlAnswer::Kind::kError : CqlAnswer::Kind::kMalformed;
  }
  if (opcode != kResult) return CqlAnswer::Kind::kMalformed;
  const uint32_t kind = body->TakeNumber(4);
  if (!body->ok()) return CqlAnswer::Kind::kMalformed;
  if (kind == kRows) return TakeRow(body, bytes);
  if (kind != kPreparedResult) return CqlAnswer::Kind::kDone;
  *bytes = std::string(body->TakeString());
  return body->ok() ? CqlAnswer::Kind::kPrepared : CqlAnswer::Kind::kMalformed;
}

}  // namespace

void AppendCqlStartup(int16_t stream, std::string* out) {
  std::string body;
  AppendShort(1, &body);
  AppendString("CQL_VERSION", &body);
  AppendString("3.0.0", &body);
  AppendHeader(stream, kStartup, body.size(), out);
  out->append(body);
}

void AppendCqlQuery(int16_t stream, std::string_view statement, std::string* out) {
  AppendHeader(stream, kQuery, 4 + statement.size() + 3, out);
  AppendLongString(statement, out);
  AppendShort(static_cast<uint16_t>(CqlConsistency::kOne), out);
  AppendByte(0, out);
}

void AppendCqlPrepare(int16_t stream, std::string_view statement, std::string* out) {
  AppendHeader(stream, kPrepare, 4 + statement.size(), out);
  AppendLongString(statement, out);
}

void AppendCqlExecute(int16_t stream, std::string_view statement_id,
                      std::initializer_list<std::string_view> arguments, CqlConsistency consistency,
                      std::string* out) {
  size_t bytes = 2 + statement_id.size() + 2 + 1 + 2;
  for (std::string_view argument : arguments) bytes += 4 + argument.size();
  AppendHeader(stream, kExecute, bytes, out);
  AppendString(statement_id, out);
  AppendShort(static_cast<uint16_t>(consistency), out);
  AppendByte(kWithValues | kSkipMetadata, out);
  AppendShort(static_cast<uint16_t>(arguments.size()), out);
  for (std::string_view argument : arguments) AppendLongString(argument, out);
}

std::optional<CqlAnswer> TakeCqlAnswer(std::string_view received, size_t* at) {
  if (received.size() - *at < kHeaderBytes) return std::nullopt;
  Reader header(received.substr(*at, kHeaderBytes));
  CqlAnswer answer;
  const uint32_t version = header.TakeNumber(1);
  const uint32_t flags = header.TakeNumber(1);
  answer.stream = static_cast<int16_t>(header.TakeNumber(2));
  const auto opcode = static_cast<uint8_t>(header.TakeNumber(1));
  const size_t size = header.TakeNumber(4);
  if (version != kResponse || (flags & ~kWarned) != 0 || size > kMostBytes) return answer;
  if (received.size() - *at - kHeaderBytes < size) return std::nullopt;
  Reader body(received.substr(*at + kHeaderBytes, size));
  *at += kHeaderBytes + size;
  if (flags == kWarned) {
    for (uint32_t warnings = body.TakeNumber(2); warnings > 0 && body.ok(); --warnings) {
      body.TakeString();
    }
  }
  answer.kind = TakeBody(opcode, &body, &answer.bytes);
  return answer;
}

}  // namespace gyre
