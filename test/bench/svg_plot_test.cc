#include "test/bench/svg_plot.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

RunReport Example(int requests) {
  RunReport report;
  report.target = "gyre";
  report.workload = "a < b";
  report.seconds = 3;
  Recorder recorder({});
  for (int i = 1; i <= requests; ++i) {
    recorder.Record(i, i % 2 == 0 ? Request::Kind::kGet : Request::Kind::kPut, 0, i * 7, {});
    if (i % 1000 == 0) recorder.CloseInterval(i * 1000);
  }
  report.measured = std::move(*recorder.Finish());
  return report;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(SvgPlot, HasACurveForThroughputAndOneForEachKindOfRequest) {
  const std::string svg = ReportAsSvg(Example(3000));
  EXPECT_EQ(Count(svg, "<polyline"), 4u);  // throughput; all, gets, puts
  for (const char* label :
       {"Throughput over time", "seconds since the measurement began", "requests per second",
        "percentile of requests", "milliseconds", ">99 %<", ">99.9 %<", ">multi_get<"}) {
    EXPECT_EQ(Count(svg, label) > 0, std::string(label) != ">multi_get<") << label;
  }
}

TEST(SvgPlot, EscapesWhatWouldBeMarkup) {
  const std::string svg = ReportAsSvg(Example(10));
  EXPECT_EQ(Count(svg, "a &lt; b"), 1u);
  EXPECT_EQ(Count(svg, "a < b"), 0u);
}

TEST(SvgPlot, ARunWithoutASingleRequestIsStillAnImage) {
  RunReport report;
  const std::string svg = ReportAsSvg(report);
  EXPECT_EQ(Count(svg, "nan") + Count(svg, "inf"), 0u) << svg;
  EXPECT_EQ(Count(svg, "</svg>"), 1u);
}

TEST(SvgPlot, AxesEndAtRoundNumbers) {
  EXPECT_DOUBLE_EQ(RoundUp(1), 1);
  EXPECT_DOUBLE_EQ(RoundUp(1.1), 2);
  EXPECT_DOUBLE_EQ(RoundUp(2.1), 5);
  EXPECT_DOUBLE_EQ(RoundUp(5.1), 10);
  EXPECT_DOUBLE_EQ(RoundUp(37'000), 50'000);
  EXPECT_DOUBLE_EQ(RoundUp(0.03), 0.05);
  EXPECT_DOUBLE_EQ(RoundUp(0), 1);
}

}  // namespace
}  // namespace gyre
