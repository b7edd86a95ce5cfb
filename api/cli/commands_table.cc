// gyre table create, list, describe, drop.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "api/cli/commands.h"
#include "api/cli/json_writer.h"
#include "api/cli/text_table.h"
#include "api/cli/ttl.h"

namespace gyre {
namespace {

const char* ConflictName(v1::ConflictPolicy conflict) {
  return conflict == v1::CONFLICT_POLICY_LAST_WRITE_WINS ? "last-write-wins" : "siblings";
}

const char* DurabilityName(v1::Durability durability) {
  return durability == v1::DURABILITY_PERIODIC ? "periodic" : "fsync";
}

const char* QuorumName(v1::QuorumKind quorum) {
  return quorum == v1::QUORUM_KIND_STRICT ? "strict" : "sloppy";
}

absl::Duration TtlOf(const v1::Table& table) {
  return table.ttl_ms() == 0 ? absl::InfiniteDuration() : absl::Milliseconds(table.ttl_ms());
}

void WriteTable(const v1::Table& table, JsonWriter& json) {
  json.BeginObject().Key("name").String(table.name()).Key("id").Number(table.id());
  json.Key("replicas").Number(table.replicas());
  json.Key("r").Number(table.read_quorum()).Key("w").Number(table.write_quorum());
  json.Key("conflict").String(ConflictName(table.conflict()));
  json.Key("durability").String(DurabilityName(table.durability()));
  json.Key("quorum").String(QuorumName(table.quorum()));
  json.Key("ttl_ms").Number(table.ttl_ms()).EndObject();
}

Exit PrintTables(const Invocation& invocation, const std::vector<v1::Table>& tables,
                 bool as_array) {
  if (invocation.json) {
    std::string line;
    JsonWriter json(&line);
    if (as_array) json.BeginObject().Key("tables").BeginArray();
    for (const v1::Table& table : tables) WriteTable(table, json);
    if (as_array) json.EndArray().EndObject();
    *invocation.out << line << "\n";
    return Exit::kOk;
  }
  if (tables.empty()) {
    *invocation.out << "no tables\n";
    return Exit::kOk;
  }
  TextTable text({"TABLE", ">ID", ">N", ">R", ">W", "CONFLICT", "DURABILITY", "QUORUM", ">TTL"});
  for (const v1::Table& table : tables) {
    text.Add({table.name(), absl::StrCat(table.id()), absl::StrCat(table.replicas()),
              absl::StrCat(table.read_quorum()), absl::StrCat(table.write_quorum()),
              ConflictName(table.conflict()), DurabilityName(table.durability()),
              QuorumName(table.quorum()), TtlText(TtlOf(table))});
  }
  *invocation.out << text.Render();
  return Exit::kOk;
}

struct TableArguments {
  std::string name;
  std::optional<uint32_t> replicas;
  std::optional<uint32_t> read_quorum;
  std::optional<uint32_t> write_quorum;
  bool last_write_wins = false;
  v1::Durability durability = v1::DURABILITY_FSYNC;
  bool strict = false;
  std::string ttl = "never";
};

Exit Create(const Invocation& invocation, const TableArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  v1::Table table;
  table.set_name(arguments.name);
  if (arguments.replicas.has_value()) table.set_replicas(*arguments.replicas);
  if (arguments.read_quorum.has_value()) table.set_read_quorum(*arguments.read_quorum);
  if (arguments.write_quorum.has_value()) table.set_write_quorum(*arguments.write_quorum);
  table.set_conflict(arguments.last_write_wins ? v1::CONFLICT_POLICY_LAST_WRITE_WINS
                                               : v1::CONFLICT_POLICY_SIBLINGS);
  table.set_durability(arguments.durability);
  const absl::StatusOr<absl::Duration> ttl = ParseTtl(arguments.ttl);
  if (!ttl.ok()) return invocation.Fail(ttl.status());
  if (*ttl != absl::InfiniteDuration()) {
    table.set_ttl_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(*ttl)));
  }
  table.set_quorum(arguments.strict ? v1::QUORUM_KIND_STRICT : v1::QUORUM_KIND_SLOPPY);
  const absl::StatusOr<v1::Table> made = (*client)->CreateTable(table);
  if (!made.ok()) return invocation.Fail(made.status());
  return PrintTables(invocation, {*made}, false);
}

Exit List(const Invocation& invocation) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<std::vector<v1::Table>> tables = (*client)->ListTables();
  if (!tables.ok()) return invocation.Fail(tables.status());
  return PrintTables(invocation, *tables, true);
}

Exit Describe(const Invocation& invocation, const TableArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::StatusOr<v1::Table> table = (*client)->DescribeTable(arguments.name);
  if (!table.ok()) return invocation.Fail(table.status());
  return PrintTables(invocation, {*table}, false);
}

Exit Drop(const Invocation& invocation, const TableArguments& arguments) {
  const auto client = invocation.Connect();
  if (!client.ok()) return invocation.Fail(client.status());
  const absl::Status dropped = (*client)->DropTable(arguments.name);
  if (!dropped.ok()) return invocation.Fail(dropped);
  *invocation.out << (invocation.json ? "{\"ok\":true}\n" : "ok\n");
  return Exit::kOk;
}

void AddCreate(CLI::App& table, Invocation& invocation) {
  const auto arguments = std::make_shared<TableArguments>();
  CLI::App* create =
      table.add_subcommand("create", "Make a table; no error if it is there already");
  create->add_option("name", arguments->name, "1 to 255 of A-Z a-z 0-9 _ . -")->required();
  create
      ->add_option("--replicas", arguments->replicas,
                   "N, copies of each key; default: the smaller of 3 and the number of nodes")
      ->check(CLI::Range(1, 5));
  create
      ->add_option("--r", arguments->read_quorum, "Replicas that a read asks; default: a majority")
      ->check(CLI::Range(1, 5));
  create
      ->add_option("--w", arguments->write_quorum,
                   "Replicas that a write waits for; default: a majority")
      ->check(CLI::Range(1, 5));
  create->add_flag("--last-write-wins", arguments->last_write_wins,
                   "Of two concurrent writes keep the later, not both");
  const std::map<std::string, v1::Durability> durabilities = {
      {"fsync", v1::DURABILITY_FSYNC}, {"periodic", v1::DURABILITY_PERIODIC}};
  create
      ->add_option("--durability", arguments->durability,
                   "fsync (default): on disk before it is acknowledged; periodic: soon after")
      ->transform(CLI::CheckedTransformer(durabilities))
      ->option_text("fsync|periodic");
  create->add_flag("--strict", arguments->strict,
                   "Only owners count in quorums; default: stand-ins do for those that are lost");
  create
      ->add_option("--ttl", arguments->ttl,
                   "How long values live that are put without one: 90s, 7d; default: never expire")
      ->check(CLI::Validator(
          [](std::string& text) { return std::string(ParseTtl(text).status().message()); }, ""));
  create->callback([&invocation, arguments] {
    invocation.run = [&invocation, arguments] { return Create(invocation, *arguments); };
  });
}

}  // namespace

void AddTableCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* table = app.add_subcommand("table", "Make, list, describe and drop tables");
  table->require_subcommand(1);
  AddCreate(*table, invocation);

  table->add_subcommand("list", "All tables")->callback([&invocation] {
    invocation.run = [&invocation] { return List(invocation); };
  });

  const auto described = std::make_shared<TableArguments>();
  CLI::App* describe = table->add_subcommand("describe", "One table");
  describe->add_option("name", described->name, "The table")->required();
  describe->callback([&invocation, described] {
    invocation.run = [&invocation, described] { return Describe(invocation, *described); };
  });

  const auto dropped = std::make_shared<TableArguments>();
  CLI::App* drop = table->add_subcommand("drop", "Drop a table and all that is in it");
  drop->add_option("name", dropped->name, "The table")->required();
  drop->callback([&invocation, dropped] {
    invocation.run = [&invocation, dropped] { return Drop(invocation, *dropped); };
  });
}

}  // namespace gyre
