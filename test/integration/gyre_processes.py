"""The test bed of real processes: a cluster of gyred on loopback, and programs beside it.

    class MyTest(gyre_processes.ClusterTest):
        def test_something(self):
            cluster = self.start_cluster(nodes=3)
            client = cluster.client()
            client.put("a-table", b"key", b"value")
            cluster.nodes[1].kill()                    # SIGKILL
            cluster.nodes[1].start()                   # the same ports and data; waits until ready
            cluster.wait_until(lambda: ..., "the cluster has converged")

    if __name__ == "__main__":
        gyre_processes.main()

With `network=True` each node has a network namespace of its own (network.py), and the script says
`isolation.enter()` first. Whatever else a test needs closed after the nodes goes to
`cluster.closing`.

What it promises:
  - It signals only processes that it started, through the handle of each, never by name.
  - Nothing outlives a test: SIGTERM first and, after a bound, SIGKILL. A test that is itself ended
    by SIGTERM or SIGINT cleans up as well. The file `pids` in its folder names all that it started.
  - A port that a cluster was given is no one else's until the cluster is closed: a socket that is
    bound and does not listen holds it, also while its node is down.
  - Waiting is for conditions and lines of logs, with a bound and a message, never for a while.
  - When a test fails, the ends of all logs are printed. GYRE_KEEP=1 keeps the folder.

From the environment: GYRE_GYRED, GYRE_CLI and GYRE_DRIVE name the programs (a release build's by
default), GYRE_PATIENCE multiplies every bound (a sanitizer is slow), GYRE_STUBS is a folder for
Python stubs.

Thread rule: one thread starts and stops; any may kill, pause and ask.
"""

import atexit
import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "examples" / "cart"))

import isolation  # noqa: E402: beside this file
import stubs  # noqa: E402: from the folder above
from gyre_client import GyreClient, StoreError  # noqa: E402
from network import Host, Network  # noqa: E402

GYRED = Path(os.environ.get("GYRE_GYRED", ROOT / "build/release/server/gyred"))
CLI = Path(os.environ.get("GYRE_CLI", ROOT / "build/release/api/cli/gyre"))
DRIVE = Path(os.environ.get("GYRE_DRIVE", ROOT / "build/release/test/workload/gyre_drive"))
PATIENCE = float(os.environ.get("GYRE_PATIENCE", "1"))

READY_WITHIN_S = 15
STOPPED_WITHIN_S = 15
CONDITION_WITHIN_S = 30
POLL_S = 0.02
LOG_LINES_SHOWN = 40


class Expired(AssertionError):
    """What a test waited for did not come."""


@functools.cache
def stubs_folder() -> Path:
    """Where this process has the stubs of the contract, for programs that want them too."""
    if "GYRE_STUBS" in os.environ:
        return Path(os.environ["GYRE_STUBS"])
    folder = tempfile.TemporaryDirectory(prefix="gyre-stubs-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def wait_until(condition: Callable[[], object], what: str,
               within_s: float = CONDITION_WITHIN_S) -> object:
    """The first true answer of `condition`, asked again and again; Expired names `what`."""
    ends = time.monotonic() + within_s * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise Expired(f"not within {within_s * PATIENCE:.0f} s: {what}")
        time.sleep(POLL_S)


class HeldPort:
    """A free port of loopback. A process may listen on it, as it sets SO_REUSEADDR like all servers
    do; nobody else is given it, neither by asking for a free port nor for an outgoing connection.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        # Only now: otherwise a port that another test holds in the same way could be ours as well.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.number}"

    def release(self) -> None:
        self._socket.close()


class HostPort:
    """A port of a host of the test's own network, where nobody else is."""

    NUMBERS = {"client": 7100, "peer": 7200, "http": 7300}

    def __init__(self, host: Host, use: str):
        self.number = self.NUMBERS[use]
        self.address = f"{host.address}:{self.number}"

    def release(self) -> None:
        pass


class Program:
    """One program that is started, perhaps several times, with one log of all it prints."""

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path,
                 environment: Mapping[str, str] | None = None):
        self.name = name
        self.command = [str(word) for word in command]
        self.log_path = folder / f"{name}.log"
        self._pids_path = folder / "pids"
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen | None = None
        self._log_start = 0  # of this start

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of the last start; negative: the signal that ended it; None while it runs."""
        return self._process.poll() if self._process else None

    def launch(self) -> None:
        """Starts it and waits for nothing."""
        assert not self.is_running, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, env=self._environment)
        with open(self._pids_path, "a", encoding="utf-8") as pids:
            pids.write(f"{self._process.pid} {self.name}\n")

    def log(self) -> str:
        """What it printed since its last start."""
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def wait_for_line(self, pattern: str, within_s: float = READY_WITHIN_S) -> re.Match:
        """The first whole line that holds `pattern`; Expired when it ends or takes too long."""
        def line():
            ended = not self.is_running  # before the log is read, so that no last line is missed
            text = self.log()
            match = re.search(pattern, text[:text.rfind("\n") + 1], re.M)
            if match is None and ended:
                raise Expired(f"{self.name} ended with {self.exit_code} before it said "
                              f"{pattern!r}:\n{tail(text)}")
            return match
        return wait_until(line, f"{self.name} says {pattern!r}", within_s)

    def wait(self, within_s: float = STOPPED_WITHIN_S) -> int:
        """Its exit code, once it has ended by itself."""
        wait_until(lambda: not self.is_running, f"{self.name} ends", within_s)
        return self._process.returncode

    def terminate(self, within_s: float = STOPPED_WITHIN_S) -> int:
        """SIGTERM; its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def close(self) -> None:
        """Ends it, gently where that works. May be called at any time, more than once."""
        if not self.is_running:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN_S * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Node(Program):
    """One gyred: its ports, its data directory and its configuration stay over starts."""

    def __init__(self, name: str, zone: str, folder: Path, environment: Mapping[str, str] | None,
                 host: Host | None = None):
        self.zone = zone
        self.data_dir = folder / name
        self.config_path = folder / f"{name}.textproto"
        self.host = host
        self._ports = {use: HostPort(host, use) if host else HeldPort()
                       for use in HostPort.NUMBERS}
        super().__init__(name, self._command(GYRED), folder, environment)

    def _command(self, gyred: Path) -> Sequence[str | Path]:
        command: Sequence[str | Path] = [gyred, "--config", self.config_path]
        return self.host.command(command) if self.host else command

    def use(self, gyred: Path) -> None:
        """From its next start on it is that program."""
        self.command = [str(word) for word in self._command(gyred)]

    @property
    def client_address(self) -> str:
        return self._ports["client"].address

    @property
    def peer_address(self) -> str:
        return self._ports["peer"].address

    @property
    def peer_port(self) -> int:
        return self._ports["peer"].number

    @property
    def http_address(self) -> str:
        return self._ports["http"].address

    def start(self) -> None:
        """Starts it and waits until it serves."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.wait_for_line(r'^\{.*"event":"ready".*$')

    def page(self, path: str) -> tuple[int, str]:
        """Of its HTTP port: the status and the text."""
        connection = http.client.HTTPConnection(self.http_address, timeout=5.0 * PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """One that has no labels."""
        found = re.search(rf"^{name} (\S+)$", self.page("/metrics")[1], re.M)
        assert found is not None, f"{self.name} has no metric {name}"
        return float(found.group(1))

    def events(self, event: str) -> list[dict]:
        """The log's lines of that event, since the last start."""
        lines = (line for line in self.log().splitlines() if line.startswith("{"))
        return [fields for fields in map(json.loads, lines) if fields.get("event") == event]

    def close(self) -> None:
        super().close()
        for port in self._ports.values():
            port.release()


class Cluster:
    """Nodes n1, n2, ... of one cluster. Nothing runs before `start`.

    `config` holds fields of NodeConfig (api/proto/config.proto) that all nodes get; `zones` names a
    zone a node, and cycles.
    """

    def __init__(self, nodes: int = 3, *, zones: Sequence[str] = ("default",),
                 config: Mapping[str, int | str] | None = None, name: str = "test",
                 environment: Mapping[str, str] | None = None, network: bool = False):
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="gyre-test-"))
        self.closing = contextlib.ExitStack()
        self.network = Network(nodes) if network else None
        if self.network is not None:
            self.closing.callback(self.network.close)
        self.nodes: list[Node] = []
        self._programs: list[Program] = []
        self._clients: list[GyreClient] = []
        self._first = nodes
        self._environment = environment
        # Few partitions, repaired often: a test waits for both.
        self._config = {"partitions": 64, "repair_interval_ms": 200, **(config or {})}
        for index in range(nodes):
            self.nodes.append(Node(f"n{index + 1}", zones[index % len(zones)], self.folder,
                                   environment,
                                   self.network.hosts[index] if self.network else None))
        for node in self.nodes:
            self.configure(node)

    def configure(self, node: Node, **fields: int | str) -> None:
        """Writes the configuration of a node, with `fields` instead of what the cluster has."""
        own = {"cluster_name": self.name, "node_name": node.name, "data_dir": str(node.data_dir),
               "http_listen": node.http_address, **self._config, **fields}
        def entry(member: Node) -> dict:
            return {"name": member.name, "peer_address": member.peer_address,
                    "client_address": member.client_address, "zone": member.zone}
        if node in self.nodes[:self._first]:
            others = "".join(f"members {{\n{text_format(entry(member))}}}\n"
                             for member in self.nodes[:self._first])
        else:
            seeds = [member.peer_address for member in self.nodes if member is not node]
            others = (f"joining {{\n{text_format(entry(node))}}}\n" +
                      "".join(text_format({"seeds": seed}) for seed in seeds))
        node.config_path.write_text(text_format(own) + others)

    def add_joining(self, zone: str = "default", **fields: int | str) -> Node:
        """One more node, which joins through the others once it is started."""
        node = Node(f"n{len(self.nodes) + 1}", zone, self.folder, self._environment)
        self.nodes.append(node)
        self.configure(node, **fields)
        return node

    def start(self) -> "Cluster":
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_ready()
        self.wait_until_connected()
        return self

    @property
    def addresses(self) -> list[str]:
        return [node.client_address for node in self.nodes]

    @property
    def wire(self) -> stubs.Wire:
        return stubs.load(stubs_folder())

    def client(self, *nodes: Node) -> GyreClient:
        """A client of these nodes, or of all; closed with the cluster."""
        client = GyreClient(self.wire, [node.client_address for node in nodes or self.nodes])
        self._clients.append(client)
        return client

    def add_program(self, name: str, command: Sequence[str | Path],
                    environment: Mapping[str, str] | None = None) -> Program:
        """A program that the test launches, and that is ended before the nodes are."""
        program = Program(name, command, self.folder, environment)
        self._programs.append(program)
        return program

    def status(self, node: Node):
        """NodeStatusReply, or None while it does not answer."""
        try:
            return self._status_client().status_of(node.client_address, 2.0 * PATIENCE)
        except StoreError:
            return None

    def wait_until(self, condition: Callable[[], object], what: str,
                   within_s: float = CONDITION_WITHIN_S) -> object:
        return wait_until(condition, what, within_s)

    def wait_until_connected(self) -> None:
        """Every node that runs is connected with every other one that does."""
        running = [node for node in self.nodes if node.is_running]
        names = {node.name for node in running}

        def connected() -> bool:
            statuses = [self.status(node) for node in running]
            return all(status is not None and status.state == "serving" and
                       names <= {status.node, *(p.node for p in status.peers if p.connected)}
                       for status in statuses)
        wait_until(connected, f"{sorted(names)} are connected with each other")

    def contents(self, table: str) -> dict[str, dict[int, dict[bytes, list[bytes]]]]:
        """What each running node holds of a table: node -> partition it owns -> key -> values."""
        client = self._status_client()
        topology = client.topology().reply
        replicas = {t.name: t.replicas for t in topology.tables}[table]
        family = {f.replicas: f for f in topology.families}[replicas]
        names = [member.name for member in topology.members]
        held: dict = {node.name: {} for node in self.nodes if node.is_running}
        addresses = {node.name: node.client_address for node in self.nodes}
        for slice_index in range(topology.slices):
            first = slice_index * family.per_slice
            for owner in family.owners[first:first + family.per_slice]:
                if names[owner] in held:
                    held[names[owner]][slice_index] = self._scan(
                        client, addresses[names[owner]], table, slice_index)
        return held

    def wait_until_same(self, table: str) -> None:
        """All running owners of each partition hold the very same of a table."""
        def same() -> bool:
            try:
                held = self.contents(table)
            except StoreError:
                return False
            seen: dict[int, dict] = {}
            return all(seen.setdefault(index, records) == records
                       for partitions in held.values() for index, records in partitions.items())
        wait_until(same, f"all owners hold the same of {table}")

    def _scan(self, client: GyreClient, address: str, table: str,
              slice_index: int) -> dict[bytes, list[bytes]]:
        records: dict[bytes, list[bytes]] = {}
        request = self.wire.messages.ScanPartitionRequest(table=table, slice=slice_index,
                                                          limit=1000)
        while True:
            reply = client.scan(address, request, 5.0 * PATIENCE)
            records |= {item.key: list(item.values) for item in reply.items}
            if not reply.more:
                return records
            request.after_key = reply.items[-1].key

    def show_logs(self) -> None:
        for program in [*self.nodes, *self._programs]:
            state = "running" if program.is_running else f"ended with {program.exit_code}"
            print(f"--- {program.name} ({state}), the end of its log:\n{tail(program.log())}",
                  file=sys.stderr)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for program in self._programs:
            program.close()
        for node in self.nodes:  # all at once, then one after the other
            if node.is_running:
                node.resume()
                node.send(signal.SIGTERM)
        for node in self.nodes:
            node.close()
        self.closing.close()
        if os.environ.get("GYRE_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _status_client(self) -> GyreClient:
        return self._clients[0] if self._clients else self.client()


class ClusterTest(unittest.TestCase):
    """A test that starts clusters; they are closed after it, and their logs shown if it failed."""

    longMessage = True

    def run(self, result=None):
        result = result or self.defaultTestResult()
        self._clusters: list[Cluster] = []
        before = len(result.failures) + len(result.errors)
        try:
            return super().run(result)
        finally:
            failed = len(result.failures) + len(result.errors) > before
            for cluster in self._clusters:
                if failed or sys.exc_info()[0] is not None:
                    cluster.show_logs()
                cluster.close()

    def new_cluster(self, nodes: int = 3, **options) -> Cluster:
        """One that the test starts by itself."""
        cluster = Cluster(nodes, **options)
        self._clusters.append(cluster)
        return cluster

    def start_cluster(self, nodes: int = 3, **options) -> Cluster:
        return self.new_cluster(nodes, **options).start()


def text_format(fields: Mapping[str, int | str]) -> str:
    """Fields of a protobuf message as text, one a line."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())


def tail(text: str, lines: int = LOG_LINES_SHOWN) -> str:
    return "\n".join(text.splitlines()[-lines:])


def main(isolated: bool = False) -> None:
    """unittest's main, under which SIGTERM ends the test by an exception, as SIGINT does.
    `isolated`: in namespaces of its own (isolation.py), where the machine allows that."""
    if isolated:
        isolation.enter()
    def interrupted(number, frame):
        raise KeyboardInterrupt(f"signal {number}")
    signal.signal(signal.SIGTERM, interrupted)
    if not GYRED.is_file():
        sys.exit(f"{GYRED} is missing; build it, or set GYRE_GYRED")
    unittest.main()
