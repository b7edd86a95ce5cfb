// gyre put, get, delete.

#include <fstream>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "api/cli/commands.h"
#include "api/cli/json_writer.h"
#include "api/cli/text_table.h"
#include "api/cli/ttl.h"
#include "ring/check.h"

namespace gyre {
namespace {

struct ItemArguments {
  std::string table;
  std::string key;
  std::optional<std::string> value;
  std::string file;
  std::string context_base64;
  std::optional<uint32_t> quorum;
  bool explain = false;
  bool blind = false;
  std::string ttl;  // "": as the table says
};

// Why `base64` cannot be a context; "" where it can. An empty one would mean none, and a script
// whose variable is unset would replace what it has not read.
std::string WhyNoContext(const std::string& base64) {
  std::string context;
  if (!absl::Base64Unescape(base64, &context)) return "not base64";
  if (context.empty()) return "empty; to replace whatever is there, leave the option out";
  return "";
}

std::string WhyNoTtl(const std::string& text) {
  return std::string(ParseTtl(text).status().message());
}

std::string DecodedContext(const ItemArguments& arguments) {
  std::string context;
  GYRE_CHECK(absl::Base64Unescape(arguments.context_base64, &context),
             "the command line is checked");
  return context;
}

// Not by istreambuf_iterator, which throws where the read fails, as that of a directory does.
absl::StatusOr<std::string> AllOf(std::istream& in, const std::string& name) {
  std::string bytes;
  char buffer[65'536];
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    bytes.append(buffer, static_cast<size_t>(in.gcount()));
  }
  if (in.bad()) return absl::InvalidArgumentError(absl::StrCat("cannot read ", name));
  return bytes;
}

absl::StatusOr<std::string> ValueOf(const Invocation& invocation, const ItemArguments& arguments) {
  if (arguments.value.has_value() && !arguments.file.empty()) {
    return absl::InvalidArgumentError("a value and --file: name one of them");
  }
  if (arguments.value.has_value()) return *arguments.value;
  if (arguments.file.empty() || arguments.file == "-") {
    return AllOf(*invocation.in, "standard input");
  }
  std::ifstream file(arguments.file, std::ios::binary);
  if (!file.is_open()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", arguments.file));
  }
  return AllOf(file, arguments.file);
}

std::string PartName(v1::ReplicaPart::Part part) {
  switch (part) {
    case v1::ReplicaPart::PART_COORDINATOR:
      return "coordinated";
    case v1::ReplicaPart::PART_ANSWERED:
      return "answered";
    case v1::ReplicaPart::PART_REPAIRED:
      return "was behind, repaired";
    case v1::ReplicaPart::PART_NO_ANSWER:
      return "had not answered yet";
    case v1::ReplicaPart::PART_UNREACHABLE:
      return "unreachable";
    case v1::ReplicaPart::PART_REFUSED:
      return "answered with an error";
    case v1::ReplicaPart::PART_NOT_ASKED:
      return "not asked";
    case v1::ReplicaPart::PART_STOOD_IN_FOR:
      return "stood in for by ";
    default:
      return "?";
  }
}

void WriteInfo(const v1::ReplyInfo& info, int attempts, bool explain, JsonWriter& json) {
  json.Key("epoch").Number(info.epoch());
  json.Key("answered").Number(info.answered()).Key("needed").Number(info.needed());
  json.Key("stand_ins").Number(info.stand_ins());
  json.Key("repair_sent").Bool(info.repair_sent()).Key("attempts").Number(attempts);
  if (!explain) return;
  json.Key("coordinator").String(info.coordinator()).Key("replicas").BeginArray();
  for (const v1::ReplicaPart& replica : info.replicas()) {
    json.BeginObject().Key("node").String(replica.node());
    json.Key("part").String(v1::ReplicaPart::Part_Name(replica.part()));
    if (!replica.stand_in().empty()) json.Key("stand_in").String(replica.stand_in());
    json.Key("micros").Number(replica.micros()).EndObject();
  }
  json.EndArray();
}

// What happened, for people, on standard error so that a value stays clean.
void Explain(const Invocation& invocation, const v1::ReplyInfo& info, int attempts) {
  std::ostream& err = *invocation.err;
  err << info.answered() << " of " << info.needed() << " needed replicas answered, ";
  if (info.stand_ins() > 0) {
    err << info.stand_ins() << (info.stand_ins() == 1 ? " of them a stand-in, " : " stand-ins, ");
  }
  err << "epoch " << info.epoch() << ", " << attempts << (attempts == 1 ? " attempt" : " attempts")
      << (info.repair_sent() ? ", repair sent" : "") << "\n";
  if (info.replicas().empty()) return;
  TextTable table({"NODE", "PART", ">TIME"});
  for (const v1::ReplicaPart& replica : info.replicas()) {
    const std::string mark = replica.node() == info.coordinator() ? " *" : "";
    table.Add({replica.node() + mark, absl::StrCat(PartName(replica.part()), replica.stand_in()),
               replica.micros() == 0 ? "" : absl::StrCat(replica.micros(), " us")});
  }
  err << table.Render();
}

template <typename Result>
Exit TellWritten(const Invocation& invocation, const ItemArguments& arguments,
                 const Result& result) {
  const std::string context = absl::Base64Escape(result.context);
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("ok").Bool(true).Key("context").String(context);
    WriteInfo(result.info, result.attempts, arguments.explain, json);
    json.EndObject();
    *invocation.out << line << "\n";
    return Exit::kOk;
  }
  *invocation.out << "ok\n";
  if (arguments.explain) {
    Explain(invocation, result.info, result.attempts);
    *invocation.err << "context " << context << "\n";
  }
  return Exit::kOk;
}

Exit Put(const Invocation& invocation, const ItemArguments& arguments) {
  absl::StatusOr<std::string> value = ValueOf(invocation, arguments);
  if (!value.ok()) return invocation.Fail(value.status());
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<PutResult> put =
      (*client)
          ->Put(arguments.table, arguments.key, *std::move(value),
                {.context = DecodedContext(arguments),
                 .mode = arguments.blind ? WriteMode::kBlind : WriteMode::kDefault,
                 .write_quorum = arguments.quorum,
                 .explain = arguments.explain,
                 .ttl = arguments.ttl.empty() ? std::optional<absl::Duration>()
                                              : *ParseTtl(arguments.ttl)})
          .get();
  if (!put.ok()) return invocation.Fail(put.status());
  return TellWritten(invocation, arguments, *put);
}

Exit Delete(const Invocation& invocation, const ItemArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<DeleteResult> erased = (*client)
                                                  ->Delete(arguments.table, arguments.key,
                                                           {.context = DecodedContext(arguments),
                                                            .write_quorum = arguments.quorum,
                                                            .explain = arguments.explain})
                                                  .get();
  if (!erased.ok()) return invocation.Fail(erased.status());
  return TellWritten(invocation, arguments, *erased);
}

Exit ExitOf(const GetResult& got) {
  if (!got.found()) return Exit::kNotFound;
  return got.values.size() > 1 ? Exit::kSiblings : Exit::kOk;
}

void PrintValues(const Invocation& invocation, const GetResult& got) {
  std::ostream& out = *invocation.out;
  if (got.values.size() == 1) {
    // Byte for byte, but leave the prompt of a person its own line.
    out << got.values[0];
    if (invocation.terminal.out && !got.values[0].empty() && got.values[0].back() != '\n') {
      out << "\n";
    }
    return;
  }
  for (size_t i = 0; i < got.values.size(); ++i) {
    out << "--- sibling " << i + 1 << " of " << got.values.size() << ", " << got.values[i].size()
        << " bytes\n"
        << got.values[i] << "\n";
  }
}

// Of what expires, for how long it lives on: on standard error, so that a value stays clean.
void TellTtl(const Invocation& invocation, const GetResult& got) {
  for (size_t i = 0; i < got.ttl_left.size(); ++i) {
    if (got.ttl_left.size() > 1) *invocation.err << "sibling " << i + 1 << " ";
    const bool ever = got.ttl_left[i] != absl::InfiniteDuration();
    *invocation.err << (ever ? "expires in " + TtlText(got.ttl_left[i]) : "does not expire")
                    << "\n";
  }
}

Exit Get(const Invocation& invocation, const ItemArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<GetResult> got =
      (*client)
          ->Get(arguments.table, arguments.key,
                {.read_quorum = arguments.quorum, .explain = arguments.explain})
          .get();
  if (!got.ok()) return invocation.Fail(got.status());
  const std::string context = absl::Base64Escape(got->context);
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    json.BeginObject().Key("found").Bool(got->found()).BytesArray("values", got->values);
    if (!got->ttl_left.empty()) {
      json.Key("ttl_left_ms").BeginArray();  // 0: for ever
      for (const absl::Duration left : got->ttl_left) {
        const bool ever = left != absl::InfiniteDuration();
        json.Number(ever ? absl::ToInt64Milliseconds(left) : 0);
      }
      json.EndArray();
    }
    json.Key("context").String(context);
    WriteInfo(got->info, got->attempts, arguments.explain, json);
    json.EndObject();
    *invocation.out << line << "\n";
    return ExitOf(*got);
  }
  PrintValues(invocation, *got);
  TellTtl(invocation, *got);
  if (!got->found()) *invocation.err << "gyre: no such key\n";
  if (arguments.explain) Explain(invocation, got->info, got->attempts);
  if (arguments.explain || got->values.size() > 1) {
    *invocation.err << "context " << context << "\n";
  }
  return ExitOf(*got);
}

CLI::App* AddItemCommand(CLI::App& app, const char* name, const char* about,
                         const std::shared_ptr<ItemArguments>& arguments) {
  CLI::App* command = app.add_subcommand(name, about);
  command->add_option("table", arguments->table, "The table")->required();
  command->add_option("key", arguments->key, "The key, 1 to 2,048 bytes")->required();
  command->add_flag("--explain", arguments->explain, "Tell what every replica did");
  return command;
}

void AddWriteOptions(CLI::App& command, ItemArguments& arguments) {
  command.add_option("--w", arguments.quorum, "Replicas to wait for; default: the table's W")
      ->check(CLI::Range(1, 5));
  command
      .add_option("--context", arguments.context_base64,
                  "Base64, from a get or put of this key: replace what it covers, and only that;\n"
                  "default: replace whatever is there")
      ->check(CLI::Validator([](std::string& base64) { return WhyNoContext(base64); }, ""));
}

}  // namespace

void AddItemCommands(CLI::App& app, Invocation& invocation) {
  const auto put = std::make_shared<ItemArguments>();
  CLI::App* put_command = AddItemCommand(app, "put", "Write a value", put);
  put_command->add_option("value", put->value,
                          "The value; without it and without --file, standard input is read");
  put_command->add_option("--file", put->file,
                          "Read the value from this file; - is standard input");
  put_command->add_flag("--blind", put->blind,
                        "Replace nothing: become a sibling of what is there");
  put_command
      ->add_option("--ttl", put->ttl,
                   "How long the value lives: 90s, 1h30m, 7d, never; default: as the table says")
      ->check(CLI::Validator([](std::string& text) { return WhyNoTtl(text); }, ""));
  AddWriteOptions(*put_command, *put);
  put_command->callback([&invocation, put] {
    invocation.run = [&invocation, put] { return Put(invocation, *put); };
  });

  const auto get = std::make_shared<ItemArguments>();
  CLI::App* get_command = AddItemCommand(
      app, "get", "Read a value; exits with 1 if there is none, with 4 if there are several", get);
  get_command->add_option("--r", get->quorum, "Replicas to ask; default: the table's R")
      ->check(CLI::Range(1, 5));
  get_command->callback([&invocation, get] {
    invocation.run = [&invocation, get] { return Get(invocation, *get); };
  });

  const auto erase = std::make_shared<ItemArguments>();
  CLI::App* erase_command = AddItemCommand(app, "delete", "Delete a key", erase);
  AddWriteOptions(*erase_command, *erase);
  erase_command->callback([&invocation, erase] {
    invocation.run = [&invocation, erase] { return Delete(invocation, *erase); };
  });
}

}  // namespace gyre
