#!/usr/bin/env python3
"""A cluster of real nodes that grows and shrinks under load: see test/elastic.sh.

What is loaded first is read back whole at the end, and compared byte by byte; what the load does
meanwhile is judged as in the simulator (gyre_drive), run by run, each on a table of its own.
"""

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter

from gyre_processes import CLI, DRIVE, Cluster, Node, tail

VALUE_BYTES = 4096
RUN_S = 10.0
BEFORE_RUNS = 3
MOVED_WITHIN_S = 1800
# Each look starts a process, which is work that the nodes' clients wait for.
LOOK_EVERY_S = 1.0
RESTS_FOR_S = 5
P99_RATIO_MOST = 3.0

MOVING = ("grow", "shrink")

_DRIVEN = re.compile(r"^gyre-drive: requests=(\d+) failed=(\d+) lost_writes=(\d+) "
                     r"p50_ms=([0-9.]+) p99_ms=([0-9.]+) max_ms=([0-9.]+)", re.M)
_LATENCIES = re.compile(r"^gyre-latencies:((?: \d+:\d+)*) *$", re.M)


def percentile(counts: Counter, share: float) -> int:
    """Of latencies that are counted by the largest of their bucket; 0 where there are none."""
    left = share * counts.total()
    for bound in sorted(counts):
        left -= counts[bound]
        if left <= 0:
            return bound
    return 0


class Load:
    """Runs of gyre_drive, one after another, until `stop`; what each found. `phase` is what the
    cluster goes through meanwhile: a run is of all phases that it has met."""

    def __init__(self, cluster: Cluster, rate: int, seed: int, run_s: float = RUN_S):
        self._cluster = cluster
        self._rate = rate
        self._run_s = run_s
        self._seed = seed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self.runs: list[dict] = []
        self.wrong: list[str] = []
        self._phase = "before"
        self._met: set[str] = set()  # phases, by the run under way

    @property
    def phase(self) -> str:
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._phase = phase
        self._met.add(phase)

    def start(self) -> None:
        self._thread.start()

    def await_runs(self, count: int) -> None:
        """Until so many have ended."""
        def ended() -> bool:
            if not self._thread.is_alive():
                raise AssertionError(f"the load has ended after {len(self.runs)} runs")
            return len(self.runs) >= count
        self._cluster.wait_until(ended, f"{count} runs of the load", count * self._run_s + 60)

    def stop(self) -> None:
        if not self._thread.is_alive():
            self.wrong.append("the load ended before the cluster was done")
        self.cancel()
        self._thread.join()

    def cancel(self) -> None:
        """The run under way is the last one, and nobody waits for it."""
        self._stop.set()

    def _go(self) -> None:
        try:
            while not self._stop.is_set():
                self._one(len(self.runs) + 1)
        except Exception as failed:  # whatever it is: nobody else would hear of it
            self.wrong.append(f"the load ended: {failed!r}")

    def _one(self, number: int) -> None:
        self._met = {self._phase}
        addresses = [node.client_address for node in self._cluster.nodes if node.is_running]
        program = self._cluster.add_program(f"drive-{number}", [
            DRIVE, "--connect", ",".join(addresses), "--table", f"drive-{number}", "--seconds",
            str(self._run_s), "--rate", str(self._rate), "--clients", "32", "--keys", "2000",
            "--seed", str(self._seed + number), "--latencies"])
        program.launch()
        program.wait(self._run_s + 120)
        found = _DRIVEN.search(program.log())
        if found is None:
            self.wrong.append(f"run {number} ended with {program.exit_code}: "
                              f"{tail(program.log())}")
            self.runs.append({"phases": frozenset(self._met), "requests": 0, "failed": 1, "lost": 0,
                              "latencies": Counter()})
            return
        counted = _LATENCIES.search(program.log())
        if counted is None:
            raise AssertionError(f"run {number} says nothing of its latencies")
        pairs = (pair.split(":") for pair in counted[1].split())
        run = {"phases": frozenset(self._met), "requests": int(found[1]), "failed": int(found[2]),
               "lost": int(found[3]), "p50": float(found[4]), "p99": float(found[5]),
               "max": float(found[6]),
               "latencies": Counter({int(bound): int(count) for bound, count in pairs})}
        self.runs.append(run)
        if program.exit_code != 0:
            self.wrong.append(f"run {number}: {tail(program.log())}")
            for key in re.findall(r"^broken: .*?(key-\d+)", program.log(), re.M):
                self.wrong.append(self._owners_of(f"drive-{number}", key))
        print(f"  {', '.join(sorted(run['phases']))}: {run['requests']} requests, "
              f"{run['failed']} failed, {run['lost']} lost, p50 {run['p50']} ms, "
              f"p99 {run['p99']} ms, longest {run['max']} ms", flush=True)

    def _owners_of(self, table: str, key: str) -> str:
        """What each owner holds of it, for who looks for the cause."""
        held = self._cluster.contents(table)
        return f"{key} is " + ", ".join(
            f"{records[key.encode()]} at {node} (slice {index})"
            for node, partitions in held.items() for index, records in partitions.items()
            if key.encode() in records)

    @property
    def failed(self) -> int:
        return sum(one["failed"] for one in self.runs)

    @property
    def lost(self) -> int:
        return sum(one["lost"] for one in self.runs)

    def missed(self, *phases: str) -> list[str]:
        """Those of the phases in which nothing was asked of the cluster."""
        met = set().union(*(run["phases"] for run in self.runs if run["requests"]))
        return [phase for phase in phases if phase not in met]

    def p99_us(self, moving: bool) -> int:
        """Of all requests of the runs that met a phase in which partitions move, or of those that
        met none but the first phase."""
        counts: Counter = Counter()
        for one in self.runs:
            meets = not one["phases"].isdisjoint(MOVING)
            if meets == moving and (moving or one["phases"] == {"before"}):
                counts += one["latencies"]
        return percentile(counts, 0.99)


class Elastic:
    def __init__(self, cluster: Cluster, mib: int, seed: int):
        self.cluster = cluster
        self.records = mib * (1 << 20) // VALUE_BYTES
        self.mib = mib
        self._random = random.Random(seed)
        self.moved_mib = 0.0
        self.moving_s = 0.0
        self.moved_within_s = MOVED_WITHIN_S

    def gyre(self, *words: str) -> str:
        addresses = ",".join(n.client_address for n in self.cluster.nodes if n.is_running)
        done = subprocess.run([CLI, "--connect", addresses, *words], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"gyre {' '.join(words)} ended with {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def fill(self) -> str:
        """Loads the records; their digest."""
        self.gyre("table", "create", "base", "--replicas", "3", "--r", "2", "--w", "2")
        path = self.cluster.folder / "base.tsv"
        lines = []
        with open(path, "w", encoding="ascii") as out:
            for number in range(self.records):
                value = f"{number:08d}-{self._random.getrandbits(64):016x}-".ljust(VALUE_BYTES, "x")
                line = f"key-{number:08d}\t{value}\n"
                out.write(line)
                lines.append(hashlib.blake2b(line.encode(), digest_size=16).digest())
        self.gyre("load", str(path), "--table", "base", "--format", "tsv", "--in-flight", "512",
                  "--timeout-ms", "60000")
        path.unlink()
        return hashlib.blake2b(b"".join(sorted(lines)), digest_size=16).hexdigest()

    def digest(self) -> str:
        addresses = ",".join(n.client_address for n in self.cluster.nodes if n.is_running)
        lines = []
        with subprocess.Popen([CLI, "--connect", addresses, "dump", "base"], text=True,
                              stdout=subprocess.PIPE) as dump:
            for line in dump.stdout:
                record = json.loads(line)
                (value,) = record["values"]
                lines.append(hashlib.blake2b(f"{record['key']}\t{value}\n".encode(),
                                             digest_size=16).digest())
        if dump.returncode != 0:
            raise AssertionError(f"gyre dump ended with {dump.returncode}")
        return hashlib.blake2b(b"".join(sorted(lines)), digest_size=16).hexdigest()

    def transfers(self) -> dict:
        return json.loads(self.gyre("--json", "transfers"))

    def settle(self, owners: set[str], what: str, began: float | None = None) -> None:
        """Waits until nothing moves and these nodes are the owners."""
        began = time.monotonic() if began is None else began

        def settled() -> bool:
            time.sleep(LOOK_EVERY_S)
            try:
                now = self.transfers()
            except AssertionError:  # the one that was asked has just been ended
                return False
            owning = {m["node"] for m in now["members"] if m["owned"] > 0}
            return now["copies"] == 0 and owning == owners
        self.cluster.wait_until(settled, what, self.moved_within_s)
        seconds = time.monotonic() - began
        self.moving_s += seconds
        print(f"  {what}: {seconds:.1f} s", flush=True)

    def rest(self) -> None:
        """Until the stores have done what the loading has left to them to do, which would be taken
        for what requests wait for at other times, too."""
        began = time.monotonic()
        sizes: list[list[float]] = []

        def unchanged() -> bool:
            sizes.append([node.metric("gyre_store_bytes") for node in self.cluster.nodes])
            time.sleep(LOOK_EVERY_S)
            latest = sizes[-RESTS_FOR_S:]
            return len(latest) == RESTS_FOR_S and all(one == latest[0] for one in latest)

        self.cluster.wait_until(unchanged, "the stores rest", self.moved_within_s)
        print(f"the stores rest after {time.monotonic() - began:.1f} s", flush=True)

    def count(self, planned: dict) -> None:
        """What a change is to move, by what the base holds."""
        partitions = 256 * 3
        self.moved_mib += self.mib * 3 * planned["copies"] / partitions

    def under_way(self) -> bool:
        """Some are done and some are not."""
        now = self.transfers()["transfers"]
        return any(t["filling"] + t["finishing"] for t in now)


def crash(elastic: Elastic, node: Node, what: str) -> None:
    elastic.cluster.wait_until(elastic.under_way, "partitions are under way")
    node.kill()
    print(f"  killed {node.name}, {what}", flush=True)
    node.start()


def run(elastic: Elastic, load: Load) -> None:
    cluster = elastic.cluster
    n1, n2, n3 = cluster.nodes[:3]
    print("before", flush=True)
    load.start()
    load.await_runs(BEFORE_RUNS)

    print("3 to 5 nodes, both at once", flush=True)
    load.phase = "grow"
    began = time.monotonic()
    n4, n5 = cluster.add_joining(), cluster.add_joining()
    n4.launch()
    n5.launch()
    n4.wait_until_ready()
    n5.wait_until_ready()
    elastic.count(elastic.transfers())
    crash(elastic, n4, "which joins")
    crash(elastic, n2, "which is copied from")
    crash(elastic, n1, "which votes")
    elastic.settle({"n1", "n2", "n3", "n4", "n5"}, "5 nodes own what they should", began=began)

    for node, rest in ((n1, {"n2", "n3", "n4", "n5"}), (n4, {"n2", "n3", "n5"})):
        print(f"{node.name} leaves, {len(rest)} are left", flush=True)
        load.phase = "shrink"
        began = time.monotonic()
        elastic.count(json.loads(elastic.gyre("--json", "node", "leave", node.name)))
        if node is n1:
            crash(elastic, n3, "which votes, and is copied to")
        elastic.settle(rest, f"{len(rest)} nodes own what they should", began=began)
        node.wait()

    print("a rolling restart", flush=True)
    load.phase = "restart"
    for node in (n2, n3, n5):
        if node.terminate() != 0:
            raise AssertionError(f"{node.name} ended with {node.exit_code}")
        began = time.monotonic()
        node.start()
        cluster.wait_until_connected()
        print(f"  {node.name} is back after {time.monotonic() - began:.1f} s", flush=True)
    load.phase = "after"
    load.stop()


def judged(elastic: Elastic, load: Load, story, phases: tuple[str, ...]) -> list[str]:
    """Starts the cluster, loads what is to be kept, has `story` happen to it under `load`, which is
    to meet all `phases`, and ends it; what was wrong, printed as well."""
    cluster = elastic.cluster
    wrong: list[str] = []
    try:
        cluster.start()
        began = time.monotonic()
        wanted = elastic.fill()
        print(f"loaded {elastic.mib} MiB in {time.monotonic() - began:.1f} s", flush=True)
        elastic.rest()
        story()
        if elastic.digest() != wanted:
            wrong.append("what was loaded first is not what is there now")
        wrong += [f"nothing was asked of the cluster in phase {phase}"
                  for phase in load.missed(*phases)]
    except AssertionError as failed:  # Expired is one
        wrong.append(str(failed))
    finally:
        load.cancel()
        if wrong:
            cluster.show_logs()
        cluster.close()
    wrong += load.wrong
    for one in wrong:
        print(f"wrong: {one}", file=sys.stderr)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rate", type=int, default=400)
    parser.add_argument("--run-s", type=float, default=RUN_S)
    parser.add_argument("--moved-within-s", type=float, default=MOVED_WITHIN_S)
    parser.add_argument("--any-ratio", action="store_true", help="p99_ratio may be what it is")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not 1 <= options.mib <= 1 << 20:
        parser.error("--mib must be 1 to 1048576")
    # Two shards a node, so that moves go over all of them.
    cluster = Cluster(3, config={"partitions": 256, "repair_interval_ms": 2000, "shards": 2,
                                 "block_cache_mib": 64})
    load = Load(cluster, options.rate, options.seed, options.run_s)
    elastic = Elastic(cluster, options.mib, options.seed)
    elastic.moved_within_s = options.moved_within_s
    wrong = judged(elastic, load, lambda: run(elastic, load), ("before", *MOVING, "restart"))
    before, during = load.p99_us(moving=False), load.p99_us(moving=True)
    ratio = during / before if before else 0.0
    rate = elastic.moved_mib / elastic.moving_s if elastic.moving_s else 0.0
    print(f"gyre-elastic: moved_mib={elastic.moved_mib:.0f} mib_per_s={rate:.1f} "
          f"failed_requests={load.failed} lost={load.lost} p99_ratio={ratio:.2f}")
    fast = options.any_ratio or 0 < ratio <= P99_RATIO_MOST
    return int(bool(wrong) or load.failed + load.lost > 0 or not fast)


if __name__ == "__main__":
    sys.exit(main())
