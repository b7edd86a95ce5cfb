#include "api/cli/record_reader.h"

#include <sstream>
#include <utility>

#include "gtest/gtest.h"

namespace gyre {
namespace {

// Every record as key=value|value, or the error that ended it.
std::vector<std::string> ReadAll(RecordFormat format, const std::string& text) {
  std::istringstream in(text);
  const std::unique_ptr<RecordReader> reader = RecordReader::Open(format, &in);
  std::vector<std::string> all;
  while (true) {
    absl::StatusOr<std::optional<Record>> next = reader->Next();
    if (!next.ok()) {
      all.push_back("error: " + std::string(next.status().message()));
      return all;
    }
    if (!next->has_value()) return all;
    std::string line = (*next)->key + "=";
    for (size_t i = 0; i < (*next)->values.size(); ++i) {
      line += (i == 0 ? "" : "|") + (*next)->values[i];
    }
    all.push_back(std::move(line));
  }
}

using Lines = std::vector<std::string>;

TEST(RecordReader, ReadsStanzasByteForByte) {
  EXPECT_EQ(ReadAll(RecordFormat::kDebian,
                    "Package: bash\nVersion: 5\nDescription: shell\n  two spaces \n\n"
                    "Section: libs\nPackage:libc6\n"),
            (Lines{"bash=Package: bash\nVersion: 5\nDescription: shell\n  two spaces \n",
                   "libc6=Section: libs\nPackage:libc6\n"}));
}

TEST(RecordReader, SkipsBlankLinesAroundStanzas) {
  EXPECT_EQ(ReadAll(RecordFormat::kDebian, "\n\n\nPackage: a\n\n\n\nPackage: b\n\n\n"),
            (Lines{"a=Package: a\n", "b=Package: b\n"}));
}

TEST(RecordReader, DoesNotTakeALaterFieldForThePackageName) {
  EXPECT_EQ(ReadAll(RecordFormat::kDebian, "Package: a\nPackage-Type: deb\n"),
            (Lines{"a=Package: a\nPackage-Type: deb\n"}));
}

TEST(RecordReader, NamesTheLineOfAStanzaWithoutAName) {
  EXPECT_EQ(ReadAll(RecordFormat::kDebian, "Package: a\n\nVersion: 1\n"),
            (Lines{"a=Package: a\n", "error: line 3: a stanza without the field Package ends"}));
}

TEST(RecordReader, SplitsTsvAtTheFirstTab) {
  EXPECT_EQ(ReadAll(RecordFormat::kTsv, "a\t1\n\nb\t2\t3\nc\t"), (Lines{"a=1", "b=2\t3", "c="}));
  EXPECT_EQ(ReadAll(RecordFormat::kTsv, "a\t1\nnothing\n"),
            (Lines{"a=1", "error: line 2: no tab between key and value"}));
  EXPECT_EQ(ReadAll(RecordFormat::kTsv, "\tv\n"), (Lines{"error: line 1: an empty key"}));
}

TEST(RecordReader, ReadsJsonLinesWithSiblingsAndBytes) {
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl,
                    "{\"key\":\"a\",\"value\":\"caf\\u00e9\"}\n"
                    "{\"key_base64\":\"/w==\",\"values\":[\"1\",\"2\"]}\n\n"
                    "{\"key\":\"c\",\"values_base64\":[\"YQ==\"],\"more\":7}\n"),
            (Lines{"a=caf\xc3\xa9", "\xff=1|2", "c=a"}));
}

TEST(RecordReader, NamesTheLineOfJsonThatIsNoRecord) {
  const char* no_key =
      "error: line 1: no \"key\" or \"key_base64\" that is a string of at least one byte";
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "[1]\n"), (Lines{"error: line 1: not a JSON object"}));
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "{\"value\":\"v\"}\n"), (Lines{no_key}));
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "{\"key\":7,\"value\":\"v\"}\n"), (Lines{no_key}));
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "{\"key\":\"\",\"value\":\"v\"}\n"), (Lines{no_key}));
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "{\"key\":\"k\",\"values\":[]}\n"),
            (Lines{"error: line 1: no value in \"values\""}));
  EXPECT_EQ(ReadAll(RecordFormat::kJsonl, "{\"key\":\"k\",\"value_base64\":\"?\"}\n"),
            (Lines{"error: line 1: no \"value\" or \"values\", plain or with the suffix _base64"}));
}

TEST(RecordReader, CountsTheBytesItHasRead) {
  std::istringstream in("a\t1\nb\t2\n");
  const auto reader = RecordReader::Open(RecordFormat::kTsv, &in);
  ASSERT_TRUE(reader->Next().ok());
  EXPECT_EQ(reader->bytes_read(), 4u);
}

}  // namespace
}  // namespace gyre
