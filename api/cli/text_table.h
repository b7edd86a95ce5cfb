// TextTable: rows in aligned columns, for people. Columns of numbers go to the right. Pure.

#ifndef GYRE_API_CLI_TEXT_TABLE_H_
#define GYRE_API_CLI_TEXT_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace gyre {

class TextTable {
 public:
  // A heading that starts with '>' makes its column flush right.
  explicit TextTable(std::vector<std::string> headings);

  // REQUIRES: as many cells as headings. Cells are ASCII, or their columns do not align.
  void Add(std::vector<std::string> cells);
  [[nodiscard]] std::string Render() const;

 private:
  std::vector<bool> flush_right_;
  std::vector<std::vector<std::string>> rows_;  // the first: the headings
};

// 1536 as "1.5 KiB".
[[nodiscard]] std::string HumanBytes(uint64_t bytes);
// 3725 s as "1h 2m".
[[nodiscard]] std::string HumanSeconds(uint64_t seconds);

}  // namespace gyre

#endif  // GYRE_API_CLI_TEXT_TABLE_H_
