#!/usr/bin/env python3
"""A long run: a cluster of five real nodes under load and faults, judged as the simulator is.

    soak.py MINUTES [--seed N] [--rate N] [--no-wipe]

In rounds of a minute or so: five workloads (test/workload) run, each on a table of its own, while
a nemesis breaks the nodes, their disks and the network between them, all kinds of fault in turn, in
an order and at moments drawn from the seed. Then everything is mended, all owners must become
equal, and everything is read back. The same nodes and disks go on into the next round.

Prints what it does, and last `gyre-soak: minutes=<n> acked=<n> lost=<n> resurrected=<n>
false_siblings=<n> diverged=<n> faults=<n>`. Ends with 0 when these four are 0 and nothing else was
wrong: no node may have ended by itself, and every workload must have been judged.
"""

import argparse
import random
import shutil
import signal
import sys
import time
from collections import Counter
from typing import Callable

import disks
import isolation
import judged_load
from gyre_processes import CLI, Cluster, Expired, Node, tail
from judged_load import Load, Verdict

NODES = 5
ROUND_S = 60.0
CALM_S = 8.0  # at the end of a round's load, without faults
GAP_S = (1.0, 3.0)  # between two faults
LENGTH_S = (1.0, 7.0)  # of one fault
DISK_MIB = 1024  # of each node; sparse
TEND_EVERY_S = 0.5
SCRUB_S = 10  # a pass: what is damaged is met within a round, also where nobody reads it
WORKLOADS = {
    "strict": ["--workload", "mixed"],
    "sloppy": ["--workload", "mixed", "--sloppy"],
    "last": ["--workload", "mixed", "--last-write-wins"],
    "expiring": ["--workload", "mixed", "--expiring"],
    "cart": ["--workload", "cart", "--sloppy"],
}

Mend = Callable[[], None]


class Nemesis:
    """Breaks a cluster, one fault after another; what it breaks it mends after a while.

    A node has one fault at a time, and the network one, so that each mend finds what it is to mend.
    What the simulator does as well has its word for it (test/sim/fault_counts.h).
    Nothing is excused by a fault. Where `wipes` is set one node in each run loses data: W = 2 nodes
    have each acknowledged write, and after a run all owners do again. Its directory is wiped, or a
    byte of a data file changes while it is down. Then it may serve on, refuse to start, or end its
    service later; in these two cases it is rebuilt by the command that it advises, and in any case
    at the end of the run, as docs/operations.md says: a block that is damaged stays in its file, so
    that what is there cannot be compared as a whole, and no two nodes may have damage at once.
    """

    def __init__(self, cluster: Cluster, node_disks: dict[str, disks.LoopDisk],
                 rng: random.Random, wipes: bool):
        self.counts: Counter[str] = Counter()
        self._cluster = cluster
        self._disks = node_disks
        self._rng = rng
        self._broken: set[str] = set()  # names of nodes
        self._damaged: Node | None = None
        self._damaged_starts = False  # it is not known yet whether it does
        self._tended_at = 0.0
        self._mends: list[tuple[float, Mend]] = []
        self._kinds: list[Callable[[], bool]] = [
            self.crash, self.crash_as_it_starts, self.crash_of_all_nodes, self.pause, self.stop,
        ]
        # Of these one in each turn.
        self._losses = [self.disk_wiped, self.file_damaged] if wipes else []
        if cluster.network is not None:
            self._kinds += [self.pair_cut_one_way, self.pair_cut, self.connection_cut,
                            self.node_isolated]
        if node_disks:
            self._kinds += [self.disk_full, self.power_cut]
        why = disks.why_no_failing_syncs()
        if why:
            print(f"skipped: failing syncs: {why}")
        else:
            self._kinds.append(self.sync_fails)
        self._turn: list[Callable[[], bool]] = []
        self._may_wipe = True

    def run(self, seconds: float) -> None:
        """Breaks and mends for so long; at the end all is mended and runs."""
        self._may_wipe = True
        ends = time.monotonic() + seconds
        strike_at = time.monotonic()
        while time.monotonic() < ends:
            self._mend_due(time.monotonic())
            self.tend()
            if time.monotonic() >= strike_at:
                self._strike()
                strike_at = time.monotonic() + self._rng.uniform(*GAP_S)
            time.sleep(0.05)
        self._mend_due(float("inf"))
        while self._damaged_starts:  # it is ready, or rebuilt, in the end
            self.tend()
            time.sleep(0.05)
        rebuilt = self._rebuild_damaged()
        for node in self._cluster.nodes:
            node.wait_until_ready()
        self._cluster.wait_until_connected()
        if rebuilt is not None:
            self._cluster.wait_until(lambda: rebuilt.metric("gyre_partitions_to_fill") == 0,
                                     f"{rebuilt.name} is filled again")

    def _strike(self) -> None:
        """The next kind of fault that finds something whole; the others keep their turn."""
        if not self._turn:
            kinds = self._kinds + self._rng.sample(self._losses, min(1, len(self._losses)))
            self._turn = self._rng.sample(kinds, len(kinds))
        for kind in self._turn:
            if kind():
                self._turn.remove(kind)
                self.counts[kind.__name__] += 1
                return

    def _mend_due(self, now: float) -> None:
        due = [mend for at, mend in self._mends if at <= now]
        self._mends = [(at, mend) for at, mend in self._mends if at > now]
        for mend in due:
            mend()

    def _later(self, mend: Mend) -> bool:
        self._mends.append((time.monotonic() + self._rng.uniform(*LENGTH_S), mend))
        return True

    def _victim(self) -> Node | None:
        whole = [node for node in self._cluster.nodes if node.name not in self._broken]
        if not whole:
            return None
        victim = self._rng.choice(whole)
        self._broken.add(victim.name)
        return victim

    def _launch(self, node: Node) -> None:
        node.launch()
        self._broken.discard(node.name)

    # --- processes

    def crash(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.kill()
        return self._later(lambda: self._launch(victim))

    def crash_as_it_starts(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.kill()
        victim.launch()

        def again() -> None:
            victim.kill()
            self._launch(victim)
        self._mends.append((time.monotonic() + self._rng.uniform(0.0, 1.5), again))
        return True

    def crash_of_all_nodes(self) -> bool:
        self._mend_due(float("inf"))
        for node in self._cluster.nodes:
            node.send(signal.SIGKILL)
        for node in self._cluster.nodes:
            node.kill()
            node.launch()
        return True

    def pause(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.pause()

        def resume() -> None:
            victim.resume()
            self._broken.discard(victim.name)
        return self._later(resume)

    def stop(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.send(signal.SIGTERM)

        def start() -> None:
            victim.wait()
            self._launch(victim)
        return self._later(start)

    def disk_wiped(self) -> bool:
        victim = self._victim() if self._may_wipe else None
        if victim is None:
            return False
        self._may_wipe = False
        victim.kill()
        shutil.rmtree(victim.data_dir)
        return self._later(lambda: self._launch(victim))

    def file_damaged(self) -> bool:
        victim = self._victim() if self._may_wipe else None
        if victim is None:
            return False
        self._may_wipe = False
        victim.send(signal.SIGTERM)  # writes data files

        def damage() -> None:
            victim.wait()
            files = sorted((victim.data_dir / "store").glob("*.sst"))
            if files:
                file = self._rng.choice(files)
                disks.damage(file, self._rng.randrange(file.stat().st_size))
            self._damaged, self._damaged_starts = victim, True
            victim.launch()
        return self._later(damage)

    def tend(self) -> None:
        """Rebuilds the damaged node where it did not start, or ended its service."""
        node, now = self._damaged, time.monotonic()
        if node is None or now < self._tended_at + TEND_EVERY_S:
            return
        self._tended_at = now
        if self._damaged_starts:
            refused = [] if node.is_running else node.events("cannot_start")
            if refused and "run: mv " not in refused[0]["why"]:
                raise Expired(f"{node.name} does not start, and advises nothing: {refused[0]}")
            if refused:
                self._rebuild(node)
            elif node.events("ready"):
                self._damaged_starts = False
                self._broken.discard(node.name)
        elif node.name not in self._broken and node.is_running and node.events("disk_failed"):
            self._rebuild(node)

    def _rebuild(self, node: Node) -> None:
        node.kill()
        aside = node.data_dir / "store.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        (node.data_dir / "store").rename(aside)
        self._damaged, self._damaged_starts = None, False
        print(f"{node.name} is rebuilt", flush=True)
        self._launch(node)

    def _rebuild_damaged(self) -> Node | None:
        """The node that served on with a damaged file."""
        node = self._damaged
        if node is None:
            return None
        if node.events("ready") and not node.events("disk_failed"):
            print(f"{node.name} served on with a damaged file: "
                  f"{node.metric('gyre_mended_records_total'):g} records mended", flush=True)
        self._rebuild(node)
        return node

    # --- the network

    def _network_fault(self) -> bool:
        if "network" in self._broken:
            return False
        self._broken.add("network")

        def heal() -> None:
            self._cluster.network.heal()
            self._broken.discard("network")
        return self._later(heal)

    def _pair(self) -> list[Node]:
        return self._rng.sample(self._cluster.nodes, 2)

    def pair_cut_one_way(self) -> bool:
        if not self._network_fault():
            return False
        source, target = self._pair()
        self._cluster.network.drop(source.host, target.host)
        return True

    def pair_cut(self) -> bool:
        if not self._network_fault():
            return False
        one, other = self._pair()
        self._cluster.network.drop_both_ways(one.host, other.host)
        return True

    def connection_cut(self) -> bool:
        if not self._network_fault():
            return False
        source, target = self._pair()
        self._cluster.network.drop_connections(source.host, target.host, target.peer_port)
        return True

    def node_isolated(self) -> bool:
        if not self._network_fault():
            return False
        self._cluster.network.isolate(self._rng.choice(self._cluster.nodes).host)
        return True

    # --- disks

    @staticmethod
    def _kill_survivor(node: Node) -> None:
        """A node survives the failure of its disk, to tell of it; it only serves no more."""
        if not node.is_running:
            raise Expired(f"{node.name} ended by itself, with {node.exit_code}")
        node.kill()

    def sync_fails(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.wait_until_ready()
        try:
            syncs = disks.FailingSyncs(victim.pid)
        except OSError as error:  # strace comes too late for a thread that has just ended
            print(f"no failing syncs this time: {error}")
            self._broken.discard(victim.name)
            return False

        def replace() -> None:
            self._kill_survivor(victim)
            syncs.close()
            self._launch(victim)
        return self._later(replace)

    def disk_full(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        victim.wait_until_ready()  # on a full disk it would rightly not start
        self._disks[victim.name].fill()

        def make_room() -> None:
            self._kill_survivor(victim)
            self._disks[victim.name].empty()
            self._launch(victim)
        return self._later(make_room)

    def power_cut(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        self._disks[victim.name].cut_power()

        def replace() -> None:
            victim.kill()
            self._disks[victim.name].replace()
            self._launch(victim)
        return self._later(replace)


def new_cluster() -> tuple[Cluster, dict[str, disks.LoopDisk]]:
    """With a network and disks of its own, as far as the machine allows; says what it does not."""
    if isolation.why_not():
        print(f"skipped: network cuts: {isolation.why_not()}")
    cluster = Cluster(NODES, network=not isolation.why_not(), config={"scrub_pass_s": SCRUB_S})
    node_disks: dict[str, disks.LoopDisk] = {}
    try:
        if isolation.why_no_disks():
            print(f"skipped: full disks and power cuts: {isolation.why_no_disks()}")
        else:
            for node in cluster.nodes:
                disk = disks.LoopDisk(DISK_MIB)
                cluster.closing.callback(disk.close)
                node_disks[node.name] = disk
                node.data_dir = disk.path / "data"
                cluster.configure(node)
    except BaseException:
        cluster.close()
        raise
    return cluster, node_disks


def start_loads(cluster: Cluster, number: int, seconds: float, rate: int) -> list[Load]:
    return [judged_load.start(cluster, f"{name}-{number}", seconds, rate=rate, seed=number,
                              options=options)
            for name, options in WORKLOADS.items()]


def judge(load: Load) -> Verdict:
    verdict = load.verdict()
    print(f"--- {load.table}: {verdict}\n{tail(load.program.log())}", flush=True)
    return verdict


def drop_tables(cluster: Cluster, loads: list[Load]) -> None:
    for load in loads:
        drop = cluster.add_program(f"drop-{load.table}", [
            CLI, "table", "drop", load.table, "--connect", ",".join(cluster.addresses)])
        drop.launch()
        if drop.wait() != 0:
            raise Expired(f"{load.table} was not dropped:\n{drop.log()}")


def rounds_of(seconds: float) -> list[float]:
    """The lengths of the rounds: ROUND_S each, the last one up to half as long again."""
    number = max(1, round(seconds / ROUND_S))
    return [ROUND_S] * (number - 1) + [seconds - ROUND_S * (number - 1)]


def soak(minutes: float, seed: int, rate: int, wipes: bool) -> int:
    total = Verdict(0, 0, 0, 0, 0, 0)
    faults: Counter[str] = Counter()
    sound = False
    cluster, node_disks = new_cluster()
    try:
        nemesis = Nemesis(cluster, node_disks, random.Random(seed), wipes)
        faults = nemesis.counts
        cluster.start()
        for number, seconds in enumerate(rounds_of(minutes * 60.0), start=1):
            loads = start_loads(cluster, number, seconds, rate)
            nemesis.run(max(seconds - CALM_S, 0.5 * seconds))
            for load in loads:
                total += judge(load)
            if not total.sound:
                break
            drop_tables(cluster, loads)
        sound = total.sound and total.acked > 0
    except (Expired, OSError) as error:
        print(f"broken: {error}")
    finally:
        if not sound:
            cluster.show_logs()
        cluster.close()
    print("faults: " + " ".join(f"{kind}={count}" for kind, count in sorted(faults.items())))
    print(f"gyre-soak: minutes={minutes:g} acked={total.acked} lost={total.lost} "
          f"resurrected={total.resurrected} false_siblings={total.false_siblings} "
          f"diverged={total.diverged} faults={sum(faults.values())}", flush=True)
    return 0 if sound else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=None, help="of the faults; default: drawn")
    parser.add_argument("--rate", type=int, default=100, help="actions a second, of each workload")
    parser.add_argument("--no-wipe", action="store_true", help="wipe no directory")
    options = parser.parse_args()
    if not 0.1 <= options.minutes <= 100_000:
        parser.error("MINUTES must be 0.1 to 100000")
    isolation.enter()

    def interrupted(number, frame):
        raise KeyboardInterrupt(f"signal {number}")
    signal.signal(signal.SIGTERM, interrupted)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"gyre-soak: seed {seed}", flush=True)
    return soak(options.minutes, seed, options.rate, not options.no_wipe)


if __name__ == "__main__":
    sys.exit(main())
