#include "test/bench/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace gyre {
namespace {

constexpr double kWidth = 900;
constexpr double kHeight = 660;
constexpr double kLeft = 90;
constexpr double kRight = kWidth - 30;
constexpr const char* kColours[] = {"#1b6ca8", "#c8553d", "#3b8a5a", "#7a5195", "#8a6d1b"};

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

// One pair of axes; its scales give the place of a value as a share of the axis, from 0 to 1.
struct Axes {
  double top = 0;
  double bottom = 0;
  std::function<double(double)> across = {};
  std::function<double(double)> up = {};

  double X(double value) const { return kLeft + across(value) * (kRight - kLeft); }
  double Y(double value) const { return bottom - up(value) * (bottom - top); }
};

void Text(double x, double y, const char* anchor, const std::string& text, std::string* svg,
          const char* more = "") {
  absl::StrAppendFormat(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x, y,
                        anchor, more, Escape(text));
}

void Line(double x1, double y1, double x2, double y2, const char* colour, std::string* svg) {
  absl::StrAppendFormat(svg,
                        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
                        x1, y1, x2, y2, colour);
}

using Mark = std::pair<double, std::string>;

void Frame(const Axes& axes, const std::string& title, const std::string& across,
           const std::string& up, const std::vector<Mark>& marks_across,
           const std::vector<Mark>& marks_up, std::string* svg) {
  for (const auto& [value, label] : marks_up) {
    Line(kLeft, axes.Y(value), kRight, axes.Y(value), "#dddddd", svg);
    Text(kLeft - 8, axes.Y(value) + 4, "end", label, svg);
  }
  for (const auto& [value, label] : marks_across) {
    Line(axes.X(value), axes.top, axes.X(value), axes.bottom, "#eeeeee", svg);
    Text(axes.X(value), axes.bottom + 17, "middle", label, svg);
  }
  Line(kLeft, axes.bottom, kRight, axes.bottom, "#333333", svg);
  Line(kLeft, axes.top, kLeft, axes.bottom, "#333333", svg);
  Text(kLeft, axes.top - 10, "start", title, svg, " font-weight=\"bold\"");
  Text((kLeft + kRight) / 2, axes.bottom + 36, "middle", across, svg);
  const double middle = (axes.top + axes.bottom) / 2;
  Text(22, middle, "middle", up, svg,
       absl::StrFormat(" transform=\"rotate(-90 22 %.1f)\"", middle).c_str());
}

void Curve(const Axes& axes, const std::vector<std::pair<double, double>>& points,
           const char* colour, std::string* svg) {
  if (points.empty()) return;
  std::string path;
  for (const auto& [x, y] : points) {
    absl::StrAppendFormat(&path, "%s%.1f,%.1f", path.empty() ? "" : " ", axes.X(x), axes.Y(y));
  }
  absl::StrAppend(svg, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"", colour,
                  "\" points=\"", path, "\"/>\n");
}

std::string Plain(double value) { return absl::StrFormat("%g", value); }

// A whole count with its thousands shortened: 20000 as "20k".
std::string Short(double value) {
  if (value >= 1e6) return Plain(value / 1e6) + "M";
  return value >= 1e4 ? Plain(value / 1e3) + "k" : Plain(value);
}

void PlotThroughput(const RunReport& report, std::string* svg) {
  std::vector<std::pair<double, double>> ended, failed;
  double most = 1;
  double last = report.seconds;
  bool any_failed = false;
  for (const Interval& interval : report.measured.intervals) {
    const double seconds = static_cast<double>(interval.until_us - interval.from_us) / 1e6;
    if (seconds <= 0) continue;
    const double middle = static_cast<double>(interval.from_us + interval.until_us) / 2e6;
    ended.emplace_back(middle, static_cast<double>(interval.ended) / seconds);
    failed.emplace_back(middle, static_cast<double>(interval.failed) / seconds);
    any_failed = any_failed || interval.failed > 0;
    most = std::max({most, ended.back().second, failed.back().second});
    last = std::max(last, middle);
  }
  const double step_up = RoundUp(most / 6);
  const double end_up = std::ceil(most / step_up) * step_up;
  const double step_across = RoundUp(last / 12);
  Axes axes{.top = 70, .bottom = 280};
  axes.across = [last](double x) { return last > 0 ? x / last : 0; };
  axes.up = [end_up](double y) { return y / end_up; };
  std::vector<Mark> across, up;
  for (double x = 0; x <= last * 1.0001; x += step_across) across.emplace_back(x, Plain(x));
  for (double y = 0; y <= end_up * 1.0001; y += step_up) up.emplace_back(y, Short(y));
  Frame(axes, "Throughput over time", "seconds since the measurement began", "requests per second",
        across, up, svg);
  Curve(axes, ended, kColours[0], svg);
  if (any_failed) {
    Curve(axes, failed, kColours[1], svg);
    Text(kRight, axes.top - 10, "end", "failed", svg, " fill=\"#c8553d\"");
  }
}

void PlotLatency(const RunReport& report, std::string* svg) {
  const LatencyHistogram& all = report.measured.all;
  // As many nines as there are requests to tell them.
  const double nines = std::clamp(
      std::floor(std::log10(static_cast<double>(std::max<uint64_t>(all.count(), 1)))), 1.0, 6.0);
  const double low = std::pow(
      10, std::floor(std::log10(
              std::max<double>(static_cast<double>(all.PercentileMicros(0.01)), 10) / 1000)));
  const double high = std::max(
      std::pow(10, std::ceil(std::log10(std::max<double>(static_cast<double>(all.max_micros()), 1) /
                                        1000))),
      low * 10);
  Axes axes{.top = 380, .bottom = 590};
  axes.across = [nines](double share) { return std::min(-std::log10(1 - share), nines) / nines; };
  axes.up = [low, high](double ms) {
    return std::log10(std::max(ms, low) / low) / std::log10(high / low);
  };
  std::vector<Mark> across = {{0, "0"}, {0.5, "50 %"}};
  for (int n = 1; n <= static_cast<int>(nines); ++n) {
    across.emplace_back(1 - std::pow(10, -n),
                        absl::StrFormat("%.*f %%", std::max(0, n - 2), 100 - std::pow(10, 2 - n)));
  }
  std::vector<Mark> up;
  for (double ms = low; ms <= high * 1.0001; ms *= 10) up.emplace_back(ms, Plain(ms));
  Frame(axes, "Latency by percentile", "percentile of requests", "milliseconds", across, up, svg);
  double label_at = kRight;
  size_t colour = 0;
  const auto curve = [&](const std::string& name, const LatencyHistogram& latency) {
    std::vector<std::pair<double, double>> points;
    const double most = std::log10(static_cast<double>(latency.count()));
    for (int step = 0; step <= 200; ++step) {
      const double at = nines * step / 200;
      if (at > most) break;
      const double share = 1 - std::pow(10, -at);
      points.emplace_back(share, static_cast<double>(latency.PercentileMicros(share)) / 1000);
    }
    const char* stroke = kColours[colour++ % std::size(kColours)];
    Curve(axes, points, stroke, svg);
    Text(label_at, axes.top - 10, "end", name, svg, absl::StrCat(" fill=\"", stroke, "\"").c_str());
    label_at -= 75;
  };
  curve("all", all);
  for (size_t kind = 0; kind < Request::kKinds; ++kind) {
    const LatencyHistogram& latency = report.measured.by_kind[kind];
    if (latency.count() == 0 || latency.count() == all.count()) continue;
    curve(std::string(NameOf(static_cast<Request::Kind>(kind))), latency);
  }
}

}  // namespace

double RoundUp(double value) {
  if (!(value > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (times * power >= value * (1 - 1e-9)) return times * power;
  }
  return 10 * power;
}

std::string ReportAsSvg(const RunReport& report) {
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
      kWidth, kHeight, kWidth, kHeight);
  std::string loop = report.rate_per_s > 0
                         ? absl::StrFormat("open loop at %.0f/s", report.rate_per_s)
                         : absl::StrFormat("closed loop, %d in flight", report.in_flight);
  Text(kLeft, 30, "start",
       absl::StrFormat("%s, workload %s: %s, values of %d bytes: %.0f requests per second",
                       report.target, report.workload, loop, report.value_bytes,
                       report.per_second()),
       &svg, " font-size=\"15\"");
  PlotThroughput(report, &svg);
  PlotLatency(report, &svg);
  svg += "</svg>\n";
  return svg;
}

}  // namespace gyre
