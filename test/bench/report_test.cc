#include "test/bench/report.h"

#include "gtest/gtest.h"

namespace gyre {
namespace {

RunReport Example() {
  RunReport report;
  report.target = "gyre";
  report.workload = "a";
  report.keys = "zipfian";
  report.records = 100'000;
  report.value_bytes = 1024;
  report.in_flight = 256;
  report.seconds = 2;
  Recorder recorder({});
  for (int i = 1; i <= 1000; ++i) {
    recorder.Record(i, i % 2 == 0 ? Request::Kind::kGet : Request::Kind::kPut, 0, i, {});
  }
  recorder.Record(0, Request::Kind::kGet, 0, 10, {.status = absl::UnavailableError("a \"b\"")});
  recorder.CloseInterval(2'000'000);
  report.measured = std::move(*recorder.Finish());
  report.use.processes = {{.name = "n1",
                           .measured = true,
                           .cpu_us = 50'000,
                           .resident_bytes = 1 << 20,
                           .written_bytes = 3'000'000,
                           .threads_cpu_us = {{"busy", 45'000}, {"idle", 10}}},
                          {.name = "n2"}};
  report.use.folders = {{.name = "n1", .bytes = 5'000'000, .grown_bytes = 2'000'000}};
  report.use.loopback_bytes = 4'000'000;
  return report;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Report, DividesByWhatEnded) {
  const RunReport report = Example();
  EXPECT_DOUBLE_EQ(report.per_second(), 500);
  EXPECT_DOUBLE_EQ(report.PerRequest(50'000), 50);
  EXPECT_DOUBLE_EQ(RunReport().PerRequest(1), 0);
  EXPECT_DOUBLE_EQ(RunReport().per_second(), 0);
}

TEST(Report, TextTellsThroughputLatencyCpuAndBytes) {
  const std::string text = ReportAsText(Example());
  EXPECT_TRUE(Has(text, "closed loop, 256 in flight; zipfian keys, 100,000 records")) << text;
  EXPECT_TRUE(Has(text, "throughput  500 per s")) << text;
  EXPECT_TRUE(Has(text, "all      1,000    500   0.501")) << text;
  EXPECT_TRUE(Has(text, "n1             50.0")) << text;
  EXPECT_TRUE(Has(text, "busy")) << text;
  EXPECT_FALSE(Has(text, "idle")) << text;
  EXPECT_TRUE(Has(text, "gone")) << text;
  EXPECT_TRUE(Has(text, "loopback    4000 bytes/op")) << text;
  EXPECT_TRUE(Has(text, "FAILED      1 requests")) << text;
}

TEST(Report, JsonHasTheSameFigures) {
  const std::string json = ReportAsJson(Example());
  for (const char* part :
       {"\"workload\":\"a\"", "\"per_s\":500.000", "\"ended\":1000,\"failed\":1",
        "\"all\":{\"count\":1000,\"p50_ms\":0.501", "\"get\":{\"count\":500",
        "\"cpu_us_per_op\":50.000", "{\"name\":\"n2\",\"measured\":false}",
        "\"threads_cpu_us_per_op\":{\"busy\":45.000,\"idle\":0.010}",
        "\"loopback_bytes_per_op\":4000.000", "\"failures\":[\"UNAVAILABLE: a \\\"b\\\"\"]",
        "\"intervals\":[{\"from_s\":0.000,\"until_s\":2.000,\"ended\":1000,\"failed\":1"}) {
    EXPECT_TRUE(Has(json, part)) << part << " is not in " << json;
  }
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(Report, TheLastLineIsForScripts) {
  EXPECT_TRUE(Has(ReportAsLine(Example()), "gyre-bench: per_s=500 p50_ms=0.501 p99_ms="));
  EXPECT_TRUE(Has(ReportAsLine(Example()), " max_ms=1.000 failed=1 unsent=0 wrong=0"));
}

TEST(Report, AnOpenLoopThatLeftMoreThanAHundredthUnsentFellBehind) {
  RunReport report = Example();
  EXPECT_FALSE(report.fell_behind());
  report.rate_per_s = 1000;
  report.measured.unsent = 20;
  EXPECT_FALSE(report.fell_behind());
  report.measured.unsent = 21;
  EXPECT_TRUE(report.fell_behind());
  EXPECT_TRUE(Has(ReportAsText(report), "UNSENT      21 requests"));
}

TEST(Report, TheExcludedTimeHasARowOfItsOwn) {
  RunReport report = Example();
  report.exclude_from_s = 0.5;
  report.exclude_until_s = 1.5;
  EXPECT_TRUE(Has(ReportAsText(report), "but for 0.5-1.5 s  1,000  1,000")) << ReportAsText(report);
  EXPECT_TRUE(Has(ReportAsJson(report), "\"outside\":{"));
}

}  // namespace
}  // namespace gyre
