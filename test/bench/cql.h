// CQL, the native protocol of Apache Cassandra, as far as a load needs it: prepared statements with
// byte strings as arguments ("CQL BINARY PROTOCOL v4", which Cassandra 5 still speaks). Pure.

#ifndef GYRE_TEST_BENCH_CQL_H_
#define GYRE_TEST_BENCH_CQL_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace gyre {

// How many replicas answer before a statement is done.
enum class CqlConsistency : uint16_t { kOne = 1, kQuorum = 4 };

// Section 4.1: requests. `stream`, from 0 to 32,767, comes back with the answer.
void AppendCqlStartup(int16_t stream, std::string* out);
void AppendCqlQuery(int16_t stream, std::string_view statement, std::string* out);
void AppendCqlPrepare(int16_t stream, std::string_view statement, std::string* out);
void AppendCqlExecute(int16_t stream, std::string_view statement_id,
                      std::initializer_list<std::string_view> arguments, CqlConsistency consistency,
                      std::string* out);

// Section 4.2: what comes back.
struct CqlAnswer {
  enum class Kind : uint8_t { kDone, kPrepared, kRow, kNoRow, kError, kMalformed };
  Kind kind = Kind::kMalformed;
  int16_t stream = 0;
  std::string bytes;  // kPrepared: the statement's id; kRow: the one column of the first row;
                      // kError: its text
};

// The answer that starts at `*at`, which moves behind it. Nothing: it has not come in whole.
[[nodiscard]] std::optional<CqlAnswer> TakeCqlAnswer(std::string_view received, size_t* at);

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_CQL_H_
