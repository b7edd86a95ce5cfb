#include "test/bench/report.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/cli/json_writer.h"
#include "api/cli/progress_bar.h"
#include "api/cli/text_table.h"

namespace gyre {
namespace {

double Ms(uint64_t micros) { return static_cast<double>(micros) / 1000; }

std::string MsText(uint64_t micros) { return absl::StrFormat("%.3f", Ms(micros)); }

std::string Count(uint64_t count) { return WithThousands(count); }

void AddLatencyRow(const std::string& name, const LatencyHistogram& latency, double seconds,
                   TextTable* table) {
  const double per_s = seconds > 0 ? static_cast<double>(latency.count()) / seconds : 0;
  table->Add({name, Count(latency.count()), Count(static_cast<uint64_t>(per_s)),
              MsText(latency.PercentileMicros(0.5)), MsText(latency.PercentileMicros(0.9)),
              MsText(latency.PercentileMicros(0.99)), MsText(latency.PercentileMicros(0.999)),
              MsText(latency.max_micros())});
}

std::string LatencyTable(const RunReport& report) {
  TextTable table(
      {"latency", ">count", ">per s", ">p50 ms", ">p90 ms", ">p99 ms", ">p99.9 ms", ">max ms"});
  AddLatencyRow("all", report.measured.all, report.seconds, &table);
  for (size_t kind = 0; kind < Request::kKinds; ++kind) {
    const LatencyHistogram& latency = report.measured.by_kind[kind];
    if (latency.count() == 0 || latency.count() == report.measured.all.count()) continue;
    AddLatencyRow("  " + std::string(NameOf(static_cast<Request::Kind>(kind))), latency,
                  report.seconds, &table);
  }
  if (report.excludes()) {
    const double left = report.seconds - (report.exclude_until_s - report.exclude_from_s);
    AddLatencyRow(absl::StrFormat("but for %g-%g s", report.exclude_from_s, report.exclude_until_s),
                  report.measured.outside, left, &table);
  }
  return table.Render();
}

// Threads that used less than a twentieth of what their process used are not shown.
std::string ProcessTable(const RunReport& report) {
  if (report.use.processes.empty()) return "";
  TextTable table({"process", ">CPU us/op", ">cores", ">resident", ">written B/op"});
  double all_us = 0;
  const auto cores = [&](int64_t cpu_us) {
    return absl::StrFormat("%.2f", static_cast<double>(cpu_us) / 1e6 / report.seconds);
  };
  for (const ProcessUse& process : report.use.processes) {
    if (!process.measured) {
      table.Add({process.name, "gone", "", "", ""});
      continue;
    }
    all_us += static_cast<double>(process.cpu_us);
    table.Add({process.name, absl::StrFormat("%.1f", report.PerRequest(process.cpu_us)),
               cores(process.cpu_us), HumanBytes(static_cast<uint64_t>(process.resident_bytes)),
               process.written_bytes.has_value()
                   ? absl::StrFormat("%.0f", report.PerRequest(*process.written_bytes))
                   : "unknown"});
    for (const auto& [name, cpu_us] : process.threads_cpu_us) {
      if (cpu_us * 20 < process.cpu_us) continue;
      table.Add(
          {"  " + name, absl::StrFormat("%.1f", report.PerRequest(cpu_us)), cores(cpu_us), "", ""});
    }
  }
  const auto all = static_cast<int64_t>(all_us);
  table.Add({"together", absl::StrFormat("%.1f", report.PerRequest(all)), cores(all), "", ""});
  return table.Render() + "\n";
}

std::string FolderTable(const RunReport& report) {
  if (report.use.folders.empty()) return "";
  TextTable table({"on disk", ">bytes", ">grown by", ">grown B/op"});
  for (const FolderUse& folder : report.use.folders) {
    table.Add({folder.name, HumanBytes(static_cast<uint64_t>(folder.bytes)),
               absl::StrCat(folder.grown_bytes),
               absl::StrFormat("%.0f", report.PerRequest(folder.grown_bytes))});
  }
  return table.Render() + "\n";
}

void WriteLatency(const LatencyHistogram& latency, JsonWriter* json) {
  json->BeginObject().Key("count").Number(latency.count());
  for (const auto& [name, share] :
       {std::pair{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"p999_ms", 0.999}}) {
    json->Key(name).Double(Ms(latency.PercentileMicros(share)));
  }
  json->Key("max_ms").Double(Ms(latency.max_micros())).EndObject();
}

void WriteProcess(const RunReport& report, const ProcessUse& process, JsonWriter* json) {
  json->BeginObject().Key("name").String(process.name);
  json->Key("measured").Bool(process.measured);
  if (process.measured) {
    json->Key("cpu_us_per_op").Double(report.PerRequest(process.cpu_us));
    json->Key("cpu_seconds").Double(static_cast<double>(process.cpu_us) / 1e6);
    json->Key("resident_bytes").Number(process.resident_bytes);
    if (process.written_bytes.has_value()) {
      json->Key("written_bytes_per_op").Double(report.PerRequest(*process.written_bytes));
    }
    json->Key("threads_cpu_us_per_op").BeginObject();
    for (const auto& [name, cpu_us] : process.threads_cpu_us) {
      json->Key(IsUtf8(name) ? name : "?").Double(report.PerRequest(cpu_us));
    }
    json->EndObject();
  }
  json->EndObject();
}

void WriteUse(const RunReport& report, JsonWriter* json) {
  json->Key("processes").BeginArray();
  for (const ProcessUse& process : report.use.processes) WriteProcess(report, process, json);
  json->EndArray().Key("folders").BeginArray();
  for (const FolderUse& folder : report.use.folders) {
    json->BeginObject().Key("name").String(folder.name).Key("bytes").Number(folder.bytes);
    json->Key("grown_bytes_per_op").Double(report.PerRequest(folder.grown_bytes)).EndObject();
  }
  json->EndArray();
  if (report.use.loopback_bytes.has_value()) {
    json->Key("loopback_bytes_per_op").Double(report.PerRequest(*report.use.loopback_bytes));
  }
}

void WriteIntervals(const RunReport& report, JsonWriter* json) {
  json->Key("intervals").BeginArray();
  for (const Interval& interval : report.measured.intervals) {
    json->BeginObject();
    json->Key("from_s").Double(static_cast<double>(interval.from_us) / 1e6);
    json->Key("until_s").Double(static_cast<double>(interval.until_us) / 1e6);
    json->Key("ended").Number(interval.ended).Key("failed").Number(interval.failed);
    json->Key("p50_ms").Double(Ms(interval.p50_us)).Key("p99_ms").Double(Ms(interval.p99_us));
    json->Key("max_ms").Double(Ms(interval.max_us)).EndObject();
  }
  json->EndArray();
}

}  // namespace

double RunReport::per_second() const {
  return seconds > 0 ? static_cast<double>(measured.ended) / seconds : 0;
}

double RunReport::PerRequest(int64_t count) const {
  return measured.ended == 0 ? 0 : static_cast<double>(count) / static_cast<double>(measured.ended);
}

bool RunReport::fell_behind() const {
  return static_cast<double>(measured.unsent) > 0.01 * rate_per_s * seconds;
}

std::string ReportAsText(const RunReport& report) {
  std::string text = absl::StrFormat("%s, workload %s: ", report.target, report.workload);
  if (report.rate_per_s > 0) {
    absl::StrAppendFormat(&text, "open loop, %s/s, at most %d in flight",
                          Count(static_cast<uint64_t>(report.rate_per_s)), report.in_flight);
  } else {
    absl::StrAppendFormat(&text, "closed loop, %d in flight", report.in_flight);
  }
  absl::StrAppendFormat(&text, "; %s keys, %s records, values of %s bytes; %.1f s after %.1f s\n\n",
                        report.keys, Count(report.records), Count(report.value_bytes),
                        report.seconds, report.warm_up_seconds);
  absl::StrAppend(&text, "throughput  ", Count(static_cast<uint64_t>(report.per_second())),
                  " per s\n\n", LatencyTable(report), "\n", ProcessTable(report),
                  FolderTable(report));
  if (report.use.loopback_bytes.has_value()) {
    absl::StrAppendFormat(&text, "loopback    %.0f bytes/op, of the whole machine\n",
                          report.PerRequest(*report.use.loopback_bytes));
  }
  if (report.measured.absent > 0) {
    absl::StrAppend(&text, "absent      ", Count(report.measured.absent), " keys\n");
  }
  if (report.measured.failed > 0) {
    absl::StrAppend(&text, "FAILED      ", Count(report.measured.failed),
                    " requests; the first:\n");
    for (const std::string& failure : report.measured.failures) {
      absl::StrAppend(&text, "  ", failure, "\n");
    }
  }
  if (report.measured.unsent > 0) {
    absl::StrAppend(&text, "UNSENT      ", Count(report.measured.unsent),
                    " requests were due and found nobody free; their latency is counted up to the\n"
                    "            end, so the percentiles are too low\n");
  }
  for (const std::string& wrong : report.wrong) absl::StrAppend(&text, "WRONG       ", wrong, "\n");
  return text;
}

std::string ReportAsJson(const RunReport& report) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Key("target").String(report.target);
  json.Key("workload").String(report.workload).Key("keys").String(report.keys);
  json.Key("records").Number(report.records).Key("value_bytes").Number(report.value_bytes);
  json.Key("in_flight").Number(report.in_flight).Key("rate_per_s").Double(report.rate_per_s);
  json.Key("seconds").Double(report.seconds);
  json.Key("warm_up_seconds").Double(report.warm_up_seconds);
  json.Key("per_s").Double(report.per_second()).Key("ended").Number(report.measured.ended);
  json.Key("failed").Number(report.measured.failed).Key("absent").Number(report.measured.absent);
  json.Key("unsent").Number(report.measured.unsent).Key("latency").BeginObject();
  json.Key("all");
  WriteLatency(report.measured.all, &json);
  for (size_t kind = 0; kind < Request::kKinds; ++kind) {
    const LatencyHistogram& latency = report.measured.by_kind[kind];
    if (latency.count() == 0) continue;
    json.Key(NameOf(static_cast<Request::Kind>(kind)));
    WriteLatency(latency, &json);
  }
  if (report.excludes()) {
    json.Key("outside");
    WriteLatency(report.measured.outside, &json);
  }
  json.EndObject();
  WriteUse(report, &json);
  json.Key("failures").BeginArray();
  for (const std::string& failure : report.measured.failures) {
    json.String(IsUtf8(failure) ? failure : "not UTF-8");
  }
  json.EndArray().Key("wrong").BeginArray();
  for (const std::string& wrong : report.wrong) json.String(IsUtf8(wrong) ? wrong : "not UTF-8");
  json.EndArray();
  WriteIntervals(report, &json);
  json.EndObject();
  return line;
}

std::string ReportAsLine(const RunReport& report) {
  const LatencyHistogram& all = report.measured.all;
  return absl::StrFormat(
      "gyre-bench: per_s=%.0f p50_ms=%.3f p99_ms=%.3f p999_ms=%.3f max_ms=%.3f failed=%d "
      "unsent=%d wrong=%d",
      report.per_second(), Ms(all.PercentileMicros(0.5)), Ms(all.PercentileMicros(0.99)),
      Ms(all.PercentileMicros(0.999)), Ms(all.max_micros()), report.measured.failed,
      report.measured.unsent, report.wrong.size());
}

}  // namespace gyre
