// gyre load.

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/cli/commands.h"
#include "api/cli/interrupt.h"
#include "api/cli/json_writer.h"
#include "api/cli/loader.h"
#include "api/cli/progress_bar.h"
#include "api/cli/record_reader.h"
#include "api/cli/text_table.h"
#include "api/client/monotonic.h"

namespace gyre {
namespace {

struct LoadArguments {
  std::string file;
  RecordFormat format = RecordFormat::kJsonl;
  bool verify = false;
  LoadOptions options;
};

// The file, or standard input, as a stream, with its size where it has one.
struct Input {
  std::ifstream file;
  std::istream* stream = nullptr;
  uint64_t size_bytes = 0;  // 0: unknown
};

absl::Status Open(const Invocation& invocation, const std::string& path, Input& input) {
  if (path == "-") {
    input.stream = invocation.in;
    return absl::OkStatus();
  }
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory"));
  }
  input.file.open(path, std::ios::binary);
  if (!input.file.is_open()) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  input.stream = &input.file;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  input.size_bytes = error ? 0 : size;
  return absl::OkStatus();
}

absl::StatusOr<LoadSummary> Run(const Invocation& invocation, const LoadArguments& arguments,
                                Loader& loader, bool verifying) {
  Input input;
  if (const absl::Status opened = Open(invocation, arguments.file, input); !opened.ok()) {
    return opened;
  }
  const std::unique_ptr<RecordReader> reader = RecordReader::Open(arguments.format, input.stream);
  ProgressBar bar(invocation.err, invocation.terminal, verifying ? "verify" : "load", "records",
                  MonotonicNow());
  const auto on_progress = [&](uint64_t records, uint64_t bytes_read) {
    const double share = input.size_bytes == 0 ? -1
                                               : static_cast<double>(bytes_read) /
                                                     static_cast<double>(input.size_bytes);
    bar.Update(records, share, MonotonicNow());
  };
  absl::StatusOr<LoadSummary> summary =
      verifying ? loader.Verify(*reader, on_progress) : loader.Load(*reader, on_progress);
  if (summary.ok()) return summary;
  return absl::Status(summary.status().code(),
                      absl::StrCat(arguments.file, ": ", summary.status().message()));
}

double Ms(const LoadSummary& summary, double share) {
  return static_cast<double>(summary.latency_micros.PercentileMicros(share)) / 1000;
}

void WritePass(const LoadSummary& summary, const std::string& prefix, JsonWriter& json) {
  json.Key(prefix + "seconds").Double(absl::ToDoubleSeconds(summary.elapsed));
  json.Key(prefix + "per_s").Number(static_cast<uint64_t>(summary.per_second()));
  json.Key(prefix + "p50_ms").Double(Ms(summary, 0.5));
  json.Key(prefix + "p99_ms").Double(Ms(summary, 0.99));
}

bool Stopped(const LoadSummary& load, const std::optional<LoadSummary>& verify) {
  return load.stopped || (verify.has_value() && verify->stopped);
}

std::string JsonSummary(const LoadSummary& load, const std::optional<LoadSummary>& verify,
                        const ClientStats& stats) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Key("records").Number(load.records).Key("bytes").Number(load.bytes);
  json.Key("failed").Number(load.failed);
  WritePass(load, "", json);
  if (Stopped(load, verify)) json.Key("interrupted").Bool(true);
  if (verify.has_value()) {
    json.Key("verified").Number(verify->records);
    json.Key("verify_errors").Number(verify->failed + verify->different);
    WritePass(*verify, "verify_", json);
  }
  json.Key("retries").Number(stats.retries).Key("failovers").Number(stats.failovers);
  json.Key("frames").Number(stats.frames_sent);
  json.EndObject();
  return line;
}

std::string PassForPeople(const char* title, const LoadSummary& summary) {
  return absl::StrFormat("%-9s %s records, %s in %.2f s: %s/s, p50 %.2f ms, p99 %.2f ms\n", title,
                         WithThousands(summary.records), HumanBytes(summary.bytes),
                         absl::ToDoubleSeconds(summary.elapsed),
                         WithThousands(static_cast<uint64_t>(summary.per_second())),
                         Ms(summary, 0.5), Ms(summary, 0.99));
}

void TellFailures(const Invocation& invocation, const char* what, const LoadSummary& summary) {
  if (summary.failed == 0) return;
  *invocation.err << "gyre: " << WithThousands(summary.failed) << " records were not " << what
                  << "; the first: "
                  << summary.first_error.ToString(absl::StatusToStringMode::kWithNoExtraData)
                  << "\n";
}

Exit Load(const Invocation& invocation, const LoadArguments& arguments) {
  if (arguments.verify && arguments.file == "-") {
    return invocation.BadUsage("--verify reads the file twice, which standard input cannot be");
  }
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  // Rather than once for every record.
  if (const auto table = (*client)->DescribeTable(arguments.options.table); !table.ok()) {
    return invocation.Fail(table.status());
  }
  LoadOptions options = arguments.options;
  options.remember = arguments.verify;
  const InterruptScope ctrl_c;
  options.stop = [&ctrl_c] { return ctrl_c.interrupted(); };
  options.timeout = invocation.TimeoutOr(options.timeout);
  Loader loader(client->get(), options);
  const absl::StatusOr<LoadSummary> load = Run(invocation, arguments, loader, false);
  if (!load.ok()) return invocation.Fail(load.status());
  TellFailures(invocation, "written", *load);
  std::optional<LoadSummary> verify;
  if (arguments.verify && !load->stopped) {
    absl::StatusOr<LoadSummary> verified = Run(invocation, arguments, loader, true);
    if (!verified.ok()) return invocation.Fail(verified.status());
    verify = *std::move(verified);
    TellFailures(invocation, "read back", *verify);
  }
  if (invocation.json) {
    *invocation.out << JsonSummary(*load, verify, (*client)->stats()) << "\n";
  } else {
    *invocation.out << PassForPeople("loaded", *load);
    if (verify.has_value()) {
      *invocation.out << PassForPeople("verified", *verify) << "differ    "
                      << WithThousands(verify->different) << "\n";
    }
  }
  if (Stopped(*load, verify)) {
    *invocation.err << "gyre: interrupted; " << WithThousands(load->records - load->failed)
                    << " records were written\n";
    return Exit::kInterrupted;
  }
  const bool clean =
      load->failed == 0 && (!verify.has_value() || verify->failed + verify->different == 0);
  return clean ? Exit::kOk : Exit::kDataErrors;
}

}  // namespace

void AddLoadCommand(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<LoadArguments>();
  CLI::App* load = app.add_subcommand(
      "load", "Write the records of a file into a table; exits with 5 if some were not written");
  load->add_option("file", arguments->file, "The file; - is standard input")->required();
  load->add_option("--table", arguments->options.table, "The table")->required();
  const std::map<std::string, RecordFormat> formats = {{"debian", RecordFormat::kDebian},
                                                       {"jsonl", RecordFormat::kJsonl},
                                                       {"tsv", RecordFormat::kTsv}};
  load->add_option("--format", arguments->format,
                   "debian: control-file stanzas, keyed by Package; jsonl (default): objects with\n"
                   "key and value, as dump writes them; tsv: key, tab, value")
      ->transform(CLI::CheckedTransformer(formats))
      ->option_text("debian|jsonl|tsv");
  load->add_option("--in-flight", arguments->options.in_flight, "Requests at once")
      ->check(CLI::Range(1, 16'000))
      ->capture_default_str();
  load->add_option("--w", arguments->options.write_quorum,
                   "Replicas that each write waits for; default: the table's W")
      ->check(CLI::Range(1, 5));
  load->add_flag("--verify", arguments->verify,
                 "Then read every record back and compare its bytes");
  load->add_option("--r", arguments->options.read_quorum,
                   "Replicas that each read of --verify asks; default: the table's R")
      ->check(CLI::Range(1, 5));
  load->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Load(invocation, *arguments); };
  });
}

}  // namespace gyre
