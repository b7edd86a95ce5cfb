// gyre scan-partition, dump.

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/cli/commands.h"
#include "api/cli/json_writer.h"
#include "api/cli/progress_bar.h"
#include "api/cli/text_table.h"
#include "api/client/monotonic.h"

namespace gyre {
namespace {

using Page = v1::ScanPartitionReply;

struct ScanArguments {
  std::string table;
  uint32_t slice = 0;
  std::string after_key;
  uint32_t limit = 100;
  bool keys_only = false;
  std::string node;
  std::string output;
};

void WriteItem(const Page::Item& item, bool keys_only, std::ostream& out) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject().Bytes("key", item.key());
  if (!keys_only) json.BytesArray("values", {item.values().begin(), item.values().end()});
  json.EndObject();
  out << line << "\n";
}

std::string Readable(const std::string& key) { return IsUtf8(key) ? key : absl::CHexEscape(key); }

Exit Scan(const Invocation& invocation, const ScanArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<Page> page = (*client)->ScanPartition(arguments.table, arguments.slice,
                                                             {.after_key = arguments.after_key,
                                                              .limit = arguments.limit,
                                                              .keys_only = arguments.keys_only,
                                                              .node = arguments.node});
  if (!page.ok()) return invocation.Fail(page.status());
  if (invocation.json) {
    for (const Page::Item& item : page->items()) {
      WriteItem(item, arguments.keys_only, *invocation.out);
    }
    return Exit::kOk;
  }
  if (arguments.keys_only) {
    for (const Page::Item& item : page->items()) *invocation.out << Readable(item.key()) << "\n";
  } else {
    TextTable table({"KEY", ">VALUES", ">BYTES"});
    for (const Page::Item& item : page->items()) {
      size_t bytes = 0;
      for (const std::string& value : item.values()) bytes += value.size();
      table.Add({Readable(item.key()), absl::StrCat(item.values_size()), absl::StrCat(bytes)});
    }
    *invocation.out << table.Render();
  }
  if (page->more()) *invocation.err << "there is more; go on with --after KEY\n";
  return Exit::kOk;
}

// Every page of one slice. A page that another replica would serve differently is fine: each says
// what its replica holds.
absl::Status ForEachItem(Client& client, const std::string& table, uint32_t slice,
                         const std::function<void(const Page::Item&)>& each) {
  ScanOptions options{.limit = 1000};
  while (true) {
    const absl::StatusOr<Page> page = client.ScanPartition(table, slice, options);
    if (!page.ok()) return page.status();
    for (const Page::Item& item : page->items()) each(item);
    if (!page->more()) return absl::OkStatus();
    if (page->items().empty()) {
      return absl::InternalError("a page without items says that there is more");
    }
    options.after_key = page->items().rbegin()->key();
  }
}

Exit Dump(const Invocation& invocation, const ScanArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::GetTopologyReply> topology = (*client)->Topology();
  if (!topology.ok()) return invocation.Fail(topology.status());
  std::ofstream file;
  const bool to_file = !arguments.output.empty() && arguments.output != "-";
  if (to_file) {
    file.open(arguments.output, std::ios::binary | std::ios::trunc);
    if (!file.is_open()) return invocation.BadUsage("cannot write " + arguments.output);
  }
  std::ostream& out = to_file ? file : *invocation.out;
  uint64_t records = 0;
  {
    ProgressBar bar(invocation.err, invocation.terminal, "dump", "records", MonotonicNow());
    for (uint32_t slice = 0; slice < topology->slices(); ++slice) {
      const absl::Status done =
          ForEachItem(**client, arguments.table, slice, [&](const Page::Item& item) {
            WriteItem(item, false, out);
            ++records;
          });
      if (!done.ok()) return invocation.Fail(done);
      bar.Update(records, (slice + 1.0) / topology->slices(), MonotonicNow());
    }
  }
  if (to_file) {
    file.flush();
    if (!file) {
      return invocation.Fail(
          absl::DataLossError(absl::StrCat(arguments.output, " cannot be written whole")));
    }
    if (invocation.json) {
      std::string line;
      JsonWriter(&line).BeginObject().Key("records").Number(records).EndObject();
      *invocation.out << line << "\n";
    } else {
      *invocation.out << WithThousands(records) << " records\n";
    }
  }
  return Exit::kOk;
}

}  // namespace

void AddScanCommands(CLI::App& app, Invocation& invocation) {
  const auto dumped = std::make_shared<ScanArguments>();
  CLI::App* dump = app.add_subcommand(
      "dump",
      "Write a whole table as JSON lines, which load reads back. Each slice is read from one\n"
      "owner that is alive, without a quorum: a write that has not reached it yet is missing");
  dump->add_option("table", dumped->table, "The table")->required();
  dump->add_option("--output", dumped->output, "A file; default: standard output");
  dump->callback([&invocation, dumped] {
    invocation.run = [&invocation, dumped] { return Dump(invocation, *dumped); };
  });

  const auto scanned = std::make_shared<ScanArguments>();
  CLI::App* scan = app.add_subcommand("scan-partition",
                                      "What one replica holds of a slice, in order of the keys");
  scan->add_option("table", scanned->table, "The table")->required();
  scan->add_option("slice", scanned->slice, "The slice, from 0")->required();
  scan->add_option("--after", scanned->after_key, "Go on after this key");
  scan->add_option("--limit", scanned->limit, "Items, 1 to 1,000")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  scan->add_flag("--keys-only", scanned->keys_only, "Without the values");
  scan->add_option("--node", scanned->node,
                   "This replica, by name; default: an owner that is alive");
  scan->callback([&invocation, scanned] {
    invocation.run = [&invocation, scanned] { return Scan(invocation, *scanned); };
  });
}

}  // namespace gyre
