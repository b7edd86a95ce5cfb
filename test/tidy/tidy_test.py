#!/usr/bin/env python3
"""Shows for each rule of tidy.py a small tree that it catches, and one that it must let pass."""

import tempfile
import unittest
from pathlib import Path

import tidy

SWITCHED_OFF = "DISABLED" + "_Later"
SKIPPED = "GTEST" + "_SKIP()"
UNFINISHED = "TO" + "DO"


def header(path: str, body: str = "", opening: str = "// What it is.\n") -> str:
    guard = "GYRE_" + path.upper().replace("/", "_").replace(".", "_") + "_"
    return f"{opening}\n#ifndef {guard}\n#define {guard}\n\n{body}\n#endif  // {guard}\n"


def listed(folder: str, *sources: str) -> dict[str, str]:
    return {f"{folder}/CMakeLists.txt": "gyre_library(x SRCS " + " ".join(sources) + ")\n"}


class TidyTest(unittest.TestCase):
    def rules_broken_by(self, files: dict[str, str]) -> list[str]:
        """The rules that the tree of these files breaks, each once."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                file = Path(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            return sorted({finding.rule for finding in tidy.findings(Path(root))})

    def pure(self, code: str) -> list[str]:
        return self.rules_broken_by({"ring/a.h": header("ring/a.h", code)})

    def assert_caught(self, rule: str, files: dict[str, str]):
        self.assertEqual([rule], self.rules_broken_by(files), files)

    def assert_clean(self, files: dict[str, str]):
        self.assertEqual([], self.rules_broken_by(files), files)

    def test_every_rule_has_a_test_here(self):
        text = Path(__file__).read_text(encoding="utf-8")
        for rule in tidy.RULES:
            self.assertIn(f'"{rule.__name__}"', text)

    def test_a_room_may_include_what_lies_below_it_and_libraries(self):
        for path, include in [("storage/a.h", "ring/ids.h"), ("storage/a.h", "absl/types/span.h"),
                              ("server/a.h", "api/proto/gyre.pb.h"), ("test/a.h", "server/b.h"),
                              ("replication/a.h", "storage/version/record.h"),
                              ("api/client/a.h", "api/proto/gyre.grpc.pb.h")]:
            self.assert_clean({path: header(path, f'#include "{include}"\n')})

    def test_an_include_against_the_direction_is_caught(self):
        for path, include in [("ring/a.h", "storage/engine.h"), ("storage/a.h", "replication/b.h"),
                              ("storage/version/a.h", "storage/engine.h"),
                              ("replication/a.h", "api/errors.h"), ("api/a.h", "server/node.h"),
                              ("api/client/a.h", "ring/ids.h"), ("api/client/a.h", "api/limits.h"),
                              ("server/a.h", "test/sim/world.h")]:
            self.assert_caught("layering", {path: header(path, f'#include "{include}"\n')})

    def test_an_include_that_is_not_from_the_root_is_caught(self):
        beside = {"storage/b.h": header("storage/b.h")}
        for include in ["b.h", "../storage/b.h"]:
            body = f'#include "{include}"\n'
            self.assert_caught("layering", {"storage/a.h": header("storage/a.h", body), **beside})

    def test_a_name_that_says_nothing_is_caught(self):
        for name in ["utils.h", "string_util.h", "peer_handler.h", "put_impl.h", "misc.h"]:
            self.assert_caught("empty_name", {f"server/{name}": header(f"server/{name}")})
        self.assert_caught("empty_name", {"test/helpers/a.py": ""})
        self.assert_clean({"server/simple.h": header("server/simple.h")})

    def test_a_source_that_no_list_names_is_caught(self):
        sources = {"api/a.cc": "", "api/a_test.cc": ""}
        self.assert_clean({**sources, **listed("api", "a.cc", "a_test.cc")})
        self.assert_clean({"api/a.cc": "", **listed("test", "${PROJECT_SOURCE_DIR}/api/a.cc")})
        self.assert_caught("unlisted_source", {**sources, **listed("api", "a.cc")})
        self.assert_caught("unlisted_source", {**sources, **listed("api", "a_test.cc")})
        self.assert_caught("unlisted_source", {**sources, **listed("api", "a.cc", "# a_test.cc")})
        self.assert_caught("unlisted_source", {**sources, **listed("ring", "a.cc", "a_test.cc")})

    def test_a_coroutine_is_caught_in_any_room(self):
        for word in ["co_await x;", "co_return;", "co_yield 1;"]:
            code = header("server/a.h", f"inline void F() {{ {word} }}\n")
            self.assert_caught("coroutine", {"server/a.h": code})
        self.assert_clean({"server/a.h": header("server/a.h", "// no co_await: see decisions\n")})

    def test_an_impure_header_is_caught_in_pure_code(self):
        for include in ["<chrono>", "<thread>", "<random>", "<mutex>", "<sys/socket.h>",
                        "<rocksdb/db.h>", "<grpcpp/grpcpp.h>", "<google/protobuf/message.h>",
                        '"absl/time/clock.h"']:
            self.assertEqual(["impure"], self.pure(f"#include {include}\n"), include)

    def test_a_clock_a_sleep_a_thread_a_socket_or_chance_is_caught_in_pure_code(self):
        for call in ["auto t = std::chrono::steady_clock::now();", "absl::SleepFor(d);",
                     "std::thread t;", "int s = ::socket(1, 2, 3);", "std::mt19937 r;",
                     "std::uniform_int_distribution<int> d;", "int r = rand();", "usleep(1);",
                     "auto t = time(nullptr);", "std::random_device d;"]:
            self.assertEqual(["impure"], self.pure(f"inline void F() {{ {call} }}\n"), call)

    def test_pure_code_is_also_some_of_the_server_and_the_storage_and_no_other_part_of_them(self):
        code = "inline auto T() { return std::chrono::steady_clock::now(); }\n"
        for path in ["server/shard_effects.h", "server/node.h", "replication/tally.h",
                     "storage/version/dot.h", "storage/replica_store.h",
                     "storage/partition_state.h", "server/control.h", "storage/peer_runs.h",
                     "storage/keys.h", "storage/identity.h", "storage/memory_engine.h"]:
            self.assert_caught("impure", {path: header(path, code)})
        for path in ["server/event_loop.h", "storage/rocks_engine.h", "test/sim/world.h",
                     "server/control_seat.h"]:
            self.assert_clean({path: header(path, code)})

    def test_prose_and_literals_may_name_what_code_must_not_do(self):
        self.assertEqual([], self.pure('// Never std::thread.\nconst char* w = "absl::Now()";\n'
                                       'const int n = 1\'000;  // rand() is banned\n'
                                       'const char* raw = R"(usleep(1))";\n'))

    def test_walking_a_hash_container_is_caught_in_pure_code(self):
        member = "absl::flat_hash_map<Key, std::vector<Pair<A, B>>> pending_;\n"
        for walk in ["for (const auto& [k, v] : pending_) {}", "auto it = pending_.begin();"]:
            self.assertEqual(["hash_order"], self.pure(f"{member}void F() {{ {walk} }}\n"), walk)
        alias = "using Keys = std::unordered_set<int>;\nvoid F(const Keys& keys) "
        self.assertEqual(["hash_order"], self.pure(alias + "{ for (int key : keys) {} }\n"))
        self.assertEqual([], self.pure(f"{member}bool F() {{ return pending_.contains(k); }}\n"))

    def test_walking_a_hash_container_that_the_header_declares_is_caught(self):
        self.assert_caught("hash_order", {
            "ring/a.h": header("ring/a.h", "struct A { absl::flat_hash_set<int> ids_; };\n"),
            "ring/a.cc": "void F() { for (int id : ids_) {} }\n", **listed("ring", "a.cc")})

    def test_a_map_field_of_a_proto_file_is_caught(self):
        self.assert_clean({"api/proto/a.proto": "message A { repeated B b = 1; }  // map<\n"})
        self.assert_caught("proto_map", {"api/proto/a.proto": "  map<uint32, uint64> b = 1;\n"})

    def test_a_header_without_its_guard_or_its_opening_comment_is_caught(self):
        good = header("ring/a.h")
        self.assert_clean({"ring/a.h": good})
        self.assert_caught("header_shape", {"ring/a.h": header("ring/a.h", opening="")})
        self.assert_caught("header_shape", {"ring/b.h": good})
        self.assert_caught("header_shape", {"ring/a.h": good + "int after_the_guard;\n"})
        self.assert_caught("header_shape", {"ring/a.h": "// A.\n#pragma once\n"})

    def test_a_line_over_100_columns_is_caught_unless_it_holds_an_address(self):
        self.assert_clean({"test/a.py": "#" * 100 + "\n"})
        self.assert_caught("long_line", {"test/a.py": "#" * 101 + "\n"})
        self.assert_clean({"test/a.py": "# https://" + "a" * 100 + "\n"})

    def test_unfinished_work_is_caught(self):
        self.assert_caught("unfinished", {"docs/a.md": f"{UNFINISHED}: write this\n"})

    def test_a_test_that_is_switched_off_is_caught(self):
        for code in [f"TEST(A, {SWITCHED_OFF}) {{}}\n", f"TEST(A, B) {{ {SKIPPED}; }}\n"]:
            self.assert_caught("switched_off_test",
                               {"ring/a_test.cc": code, **listed("ring", "a_test.cc")})

    def test_a_script_that_cannot_be_run_is_caught(self):
        self.assert_caught("not_executable", {"test/a.sh": "#!/usr/bin/env bash\n"})
        self.assert_clean({"test/a.sh": "# shellcheck shell=bash\n"})  # to be sourced

    def test_a_garbled_script_is_caught(self):
        self.assert_caught("garbled_script", {"test/a.py": "#!/ usr / bin / env python3\n"})
        self.assert_caught("garbled_script", {"test/a.py": "fields = {\n"})
        self.assert_clean({"test/a.py": "#!/usr/bin/env python3\nfields = {}\n"})

    def test_a_metric_that_no_page_explains_is_caught_and_so_is_one_that_is_none(self):
        source = {"server/a.cc": 'Gauge("gyre_hints", "Writes kept", 1);\n',
                  "server/a_test.cc": 'Find("gyre_made_up");\n',
                  **listed("server", "a.cc", "a_test.cc")}
        told = "| `gyre_hints` grows | a node is away | bring it back |\n"
        self.assert_clean({**source, "docs/operations.md": told})
        self.assert_caught("untold_metric", {**source, "docs/operations.md": "`gyre_hint`\n"})
        self.assert_caught("untold_metric", {**source, "docs/operations.md": told + "`gyre_*`\n"})
        self.assert_caught("untold_metric", source)

    def test_a_top_level_folder_that_is_no_room_is_caught(self):
        self.assert_caught("top_level", {"extras/a.txt": ""})
        self.assert_clean({"docs/a.md": "", ".ci/run": "", "build/x/utils.cc": ""})


if __name__ == "__main__":
    unittest.main()
