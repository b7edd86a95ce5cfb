#!/usr/bin/env python3
"""The house style as a failing test: `tidy.py [ROOT]` prints `path:line: rule: why` for each slip.

A rule is a function over the tree that yields findings; RULES lists them, and tidy_test.py shows
for each a small tree that it catches. Code rules look at C++ with comments and literals blanked, so
that prose may name what code must not do. Python's standard library alone; no state, no network.
"""

import ast
import functools
import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Iterator, NamedTuple

TOP_LEVEL = {"ring", "storage", "replication", "api", "server", "test", "deploy", "docs"}
SKIPPED_FOLDERS = {"build", "__pycache__"}
COLUMNS = 100

# What each room may include of ours. The longest prefix of a path names its room.
LAYERS = {
    "ring": {"ring"},
    "storage/version": {"ring", "storage/version"},
    "storage": {"ring", "storage", "storage/version"},
    "replication": {"ring", "storage", "storage/version", "replication"},
    "api/proto": {"api/proto"},
    "api/client": {"api/proto", "api/client"},
    "api": {"ring", "storage", "storage/version", "replication", "api/proto", "api"},
    "api/cli": {"ring", "storage", "storage/version", "replication", "api/proto", "api",
                "api/client", "api/cli"},
    "server": {"ring", "storage", "storage/version", "replication", "api/proto", "api", "server"},
    "deploy": {"api/proto", "api/client", "deploy"},
    "test": None,  # everything
}

EMPTY_WORDS = {"util", "utils", "common", "helper", "helpers", "manager", "managers", "handler",
               "handlers", "processor", "processors", "impl", "impls", "misc"}

# Code that must replay exactly from a seed. An exception to one rule in one file has its reason.
PURE = re.compile(r"(ring|storage/version|replication)/|server/(admission_limit|shard|node)[^/]*$"
                  r"|server/control(_test)?\.(cc|h)$"
                  r"|storage/(identity|keys|memory_engine|partition_state|peer_runs|record_cache"
                  r"|remembered_writes|replica_store)[^/]*$")
PURE_EXCEPTIONS: dict[str, str] = {}

IMPURE_HEADERS = re.compile(
    r"(atomic|barrier|chrono|condition_variable|ctime|future|mutex|random|semaphore|shared_mutex"
    r"|stop_token|thread|time\.h|pthread\.h|unistd\.h|sys/.*|netinet/.*|arpa/.*|poll\.h"
    r"|absl/time/.*|absl/random/.*|absl/synchronization/.*|rocksdb/.*|google/protobuf/.*|grpc.*"
    r"|.*\.pb\.h|spdlog/.*)")
IMPURE_CODE = re.compile(
    r"std::chrono::\w*_clock|absl::Now\b|\bclock_gettime\b|\bgettimeofday\b"
    r"|\btime\((NULL|nullptr|0)|\bsleep_(for|until)\b|\bSleepFor\b|\b(u|nano)?sleep\("
    r"|std::j?thread\b|\bpthread_\w+|std::async\b|\bthread_local\b"
    r"|(?<![\w:.>])(::)?(socket|recv|recvfrom|sendto)\("
    r"|std::(random_device|mt19937(_64)?|default_random_engine|shuffle|\w+_distribution)\b"
    r"|\bs?rand\(|absl::(BitGen|InsecureBitGen|Uniform)\b|\b(std::)?this_thread\b")
HASH_CONTAINER = re.compile(
    r"\b(?:(?:flat|node)_hash_(?:map|set)|unordered_(?:multi)?(?:map|set))\s*<")

COROUTINE = re.compile(r"\bco_(await|return|yield)\b")
PROTO_MAP = re.compile(r"^\s*map\s*<", re.M)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
SWITCHED_OFF = re.compile(r"\bDISABLED" r"_\w+|\bGTEST" r"_SKIP\b")
METRIC = re.compile(r'"(gyre_[a-z0-9_]+)"')
METRIC_IN_PROSE = re.compile(r"gyre_[a-z0-9_]*\*?")
OPERATIONS = "docs/operations.md"
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.M)
TOKENS = re.compile(
    r'(?P<raw>R"(?P<end>[^(\s]*)\(.*?\)(?P=end)")|(?P<comment>//[^\n]*|/\*.*?\*/)'
    r'|(?P<string>"(?:\\.|[^"\\\n])*")|(?<![0-9a-fA-F])(?P<char>\'(?:\\.|[^\'\\\n])+\')', re.S)


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.why}"


class File:
    """One file of the tree: its path from the root, its text, and its text as bare code."""

    def __init__(self, root: Path, path: str):
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.is_cpp = path.endswith((".cc", ".h"))
        self._file = root / path

    @property
    def executable(self) -> bool:
        return os.access(self._file, os.X_OK)

    @functools.cached_property
    def text(self) -> str:
        return self._file.read_text(encoding="utf-8", errors="replace")

    @functools.cached_property
    def code(self) -> str:
        """The text with comments and literals blanked; every line keeps its number."""
        return TOKENS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), self.text)

    @functools.cached_property
    def includes(self) -> list[tuple[int, str, bool]]:
        """(line, header, whether it is in quotes)."""
        return [(line_of(self.text, m.start(m.lastindex)), m.group(1) or m.group(2),
                 m.group(1) is not None) for m in INCLUDE.finditer(self.text)]


class Tree:
    """The files under a root, but for hidden ones and what a build leaves behind."""

    def __init__(self, root: Path):
        self.root = root
        self.folders: list[str] = []
        self.files: dict[str, File] = {}
        for here, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if not f.startswith(".")
                                and f not in SKIPPED_FOLDERS)
            base = Path(here).relative_to(root)
            self.folders += [(base / f).as_posix() for f in folders]
            for name in sorted(n for n in names if not n.startswith(".")):
                path = (base / name).as_posix()
                self.files[path] = File(root, path)

    @property
    def cpp(self) -> Iterator[File]:
        return (f for f in self.files.values() if f.is_cpp)

    @property
    def pure(self) -> Iterator[File]:
        return (f for f in self.cpp if PURE.match(f.path) and f.path not in PURE_EXCEPTIONS)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def each_match(pattern: re.Pattern, file: File, text: str) -> Iterator[tuple[str, int, str]]:
    for match in pattern.finditer(text):
        yield file.path, line_of(text, match.start()), match.group().strip()


def room_of(path: str) -> str | None:
    rooms = [room for room in LAYERS if path.startswith(room + "/")]
    return max(rooms, key=len, default=None)


def layering(tree: Tree):
    for file in tree.cpp:
        room = room_of(file.path)
        for line, header, quoted in file.includes:
            if not quoted or room is None:
                continue
            target = room_of(header)
            beside = os.path.normpath(os.path.join(os.path.dirname(file.path), header))
            if header not in tree.files and beside in tree.files:
                yield file.path, line, f'"{header}" is not a path from the root of the repository'
            elif target is None:
                continue  # a library's header, or an unknown file, which the compiler reports
            elif LAYERS[room] is not None and target not in LAYERS[room]:
                yield file.path, line, f'{room}/ may not include "{header}"'


def empty_name(tree: Tree):
    for path in [*tree.folders, *tree.files]:
        words = re.split(r"[^a-z]+", PurePosixPath(path).name.lower())
        for word in sorted(EMPTY_WORDS.intersection(words)):
            yield path, 1, f'"{word}" says nothing; name what it holds or decides'


def unlisted_source(tree: Tree):
    """A .cc, test or not, that no CMakeLists.txt names is neither built nor run."""
    listed = set()
    for path, file in tree.files.items():
        if file.name == "CMakeLists.txt":
            folder = os.path.dirname(path)
            uncommented = re.sub(r"#.*", "", file.text)
            for word in re.findall(r"[^\s()\"]+\.cc\b", uncommented):
                in_root = re.match(r"\$\{(PROJECT|CMAKE)_SOURCE_DIR\}/", word)
                word = re.sub(r"^\$\{\w+\}/", "", word)
                listed.add(word if in_root else os.path.normpath(os.path.join(folder, word)))
    for file in tree.cpp:
        if file.name.endswith(".cc") and file.path not in listed:
            kind = "the test" if file.name.endswith("_test.cc") else "the file"
            yield file.path, 1, f"{kind} is named by no CMakeLists.txt"


def coroutine(tree: Tree):
    for file in tree.cpp:
        for path, line, what in each_match(COROUTINE, file, file.code):
            yield path, line, f"{what}: g++ 12 miscompiles coroutines"


def impure(tree: Tree):
    for file in tree.pure:
        for line, header, _ in file.includes:
            if IMPURE_HEADERS.fullmatch(header):
                yield file.path, line, f"pure code includes {header}"
        for path, line, what in each_match(IMPURE_CODE, file, file.code):
            yield path, line, f"pure code uses {what}"


def hash_containers_in(code: str) -> set[str]:
    """The names that the code declares as hash containers, through an alias too."""
    names, aliases = set(), set()
    for match in HASH_CONTAINER.finditer(code):
        depth, end = 1, match.end()
        while depth and end < len(code):
            depth += {"<": 1, ">": -1}.get(code[end], 0)
            end += 1
        alias = re.search(r"\busing\s+(\w+)\s*=[\w:\s]*$", code[:match.start()])
        if alias:
            aliases.add(alias.group(1))
        elif declared := re.match(r"[\s&*]*(\w+)", code[end:]):
            names.add(declared.group(1))
    for alias in aliases:
        names.update(re.findall(rf"\b{alias}\b[\s&*]+(\w+)\s*[;,)={{]", code))
    return names


def hash_order(tree: Tree):
    for file in tree.pure:
        header = tree.files.get(re.sub(r"(_test)?\.cc$", ".h", file.path))
        names = hash_containers_in(file.code + "\n" + (header.code if header else ""))
        for name in sorted(names):
            walk = re.compile(rf"\bfor\s*\([^;{{]*:[^;{{]*\b{name}\s*\)"
                              rf"|\b{name}\s*(\.|->)c?begin\(")
            for path, line, _ in each_match(walk, file, file.code):
                yield path, line, f"walks {name}, whose hash order differs between processes"


def proto_map(tree: Tree):
    """libprotobuf lays a map field out otherwise where it is compiled for ThreadSanitizer."""
    for file in tree.files.values():
        if file.name.endswith(".proto"):
            for path, line, _ in each_match(PROTO_MAP, file, file.text):
                yield path, line, "a map field crashes under ThreadSanitizer; repeat a message"


def header_shape(tree: Tree):
    for file in tree.cpp:
        if not file.name.endswith(".h"):
            continue
        guard = "GYRE_" + re.sub(r"[^A-Z0-9]", "_", file.path.upper()) + "_"
        if not file.text.startswith("//"):
            yield file.path, 1, "a header opens with a comment: what it is, and its rules"
        if not re.search(rf"^#ifndef {guard}\n#define {guard}\n", file.text, re.M):
            yield file.path, 1, f"the include guard must be {guard}"
        elif not file.text.rstrip().endswith(f"#endif  // {guard}"):
            yield file.path, file.text.count("\n"), f"the last line must be #endif  // {guard}"


def long_line(tree: Tree):
    for file in tree.files.values():
        if file.is_cpp or file.name.endswith((".py", ".sh", ".proto", ".cmake", "CMakeLists.txt")):
            for number, line in enumerate(file.text.splitlines(), 1):
                if len(line) > COLUMNS and "://" not in line:
                    yield file.path, number, f"{len(line)} columns, {COLUMNS} are allowed"


def not_executable(tree: Tree):
    for file in tree.files.values():
        if file.name.endswith(".sh") and file.text.startswith("#!") and not file.executable:
            yield file.path, 1, "a script that is run by its name needs its execute bit"


def garbled_script(tree: Tree):
    """A formatter of another language leaves text that its interpreter does not know."""
    for file in tree.files.values():
        first = file.text.split("\n", 1)[0]
        scripted = file.name.endswith((".py", ".sh")) and first.startswith("#!")
        if scripted and not re.fullmatch(r"#!/usr/bin/env (bash|python3)", first):
            yield file.path, 1, f"{first} names no interpreter"
        if file.name.endswith(".py"):
            try:
                ast.parse(file.text)
            except SyntaxError as error:
                yield file.path, error.lineno or 1, f"does not parse: {error.msg}"


def unfinished(tree: Tree):
    for file in tree.files.values():
        for path, line, what in each_match(UNFINISHED, file, file.text):
            yield path, line, f"{what} belongs into an issue"


def switched_off_test(tree: Tree):
    for file in tree.cpp:
        for path, line, what in each_match(SWITCHED_OFF, file, file.code):
            yield path, line, f"{what}: a test runs or is removed"


def untold_metric(tree: Tree):
    """Every metric stands in docs/operations.md, by its whole name, and no other does."""
    exported: dict[str, tuple[str, int]] = {}
    for file in tree.cpp:
        if file.path.startswith("test/") or file.path.endswith("_test.cc"):
            continue
        for match in METRIC.finditer(file.text):
            exported.setdefault(match.group(1), (file.path, line_of(file.text, match.start())))
    told: dict[str, int] = {}
    if OPERATIONS in tree.files:
        text = tree.files[OPERATIONS].text
        for match in METRIC_IN_PROSE.finditer(text):
            told.setdefault(match.group(), line_of(text, match.start()))
    for name, (path, line) in exported.items():
        if name not in told:
            yield path, line, f"{OPERATIONS} does not say what {name} means"
    for name, line in told.items():
        if name not in exported:
            yield OPERATIONS, line, f"there is no metric {name}"


def top_level(tree: Tree):
    for folder in tree.folders:
        if "/" not in folder and folder not in TOP_LEVEL:
            yield folder, 1, "is none of the rooms; see docs/architecture.md"


RULES = [layering, empty_name, unlisted_source, coroutine, impure, hash_order, proto_map,
         header_shape, long_line, not_executable, garbled_script, unfinished, switched_off_test,
         untold_metric, top_level]


def findings(root: Path) -> list[Finding]:
    tree = Tree(root)
    return [Finding(path, line, rule.__name__, why)
            for rule in RULES for path, line, why in rule(tree)]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    found = findings(root)
    for finding in found:
        print(finding)
    print(f"tidy: {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
