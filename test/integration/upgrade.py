#!/usr/bin/env python3
"""A rolling upgrade of real nodes under load, from one level of builds to the next: see
test/upgrade.sh.

Without --old the nodes are all of one build, and those that are not upgraded yet are held back by
`level: 1` in their configuration: what ctest runs. What was loaded first is read back whole, and
what the load does meanwhile is judged, both as in elastic.py.
"""

import argparse
import json
import sys
from pathlib import Path

from elastic import Elastic, Load, judged
from gyre_processes import GYRED, Cluster, Node

FIRST_LEVEL = 1
LEVEL = 3
SETTLED_WITHIN_S = 120


class Upgrade:
    def __init__(self, cluster: Cluster, elastic: Elastic, old: Path | None):
        self.cluster = cluster
        self.elastic = elastic
        self.level = 0  # of the cluster, when it was last looked at
        self.first_level = 0  # before anything was upgraded
        self._old = old
        elastic.moved_within_s = SETTLED_WITHIN_S

    def make_old(self, node: Node) -> None:
        if self._old is not None:
            node.use(self._old)
        else:
            self.cluster.configure(node, level=FIRST_LEVEL)

    def make_new(self, node: Node) -> None:
        node.use(GYRED)
        self.cluster.configure(node)

    def replace(self, node: Node, make) -> None:
        """What an operator does with each node: it ends in order, and another build starts."""
        if node.terminate() != 0:
            raise AssertionError(f"{node.name} ended with {node.exit_code}")
        make(node)
        node.start()
        self.cluster.wait_until_connected()
        print(f"  {node.name} is back", flush=True)

    def status(self) -> dict:
        return json.loads(self.elastic.gyre("--json", "status"))

    def expect_level(self, level: int, when: str) -> None:
        self.level = self.status()["level"]
        if self.level != level:
            raise AssertionError(f"the cluster is of level {self.level}, not {level}, {when}")

    def await_level(self) -> None:
        def raised() -> bool:
            try:
                return self.status()["level"] == LEVEL
            except AssertionError:  # a status is also refused while some node does not serve
                return False
        self.cluster.wait_until(raised, "the level is raised")

    def settle(self, owners: set[str], what: str) -> None:
        self.elastic.settle(owners, what)

    def expect_refusal(self, node: Node) -> None:
        """It goes back too late: it does not start, and says why."""
        node.terminate()
        self.make_old(node)
        node.launch()
        if node.wait() == 0:
            raise AssertionError(f"{node.name} ended in order, of a level that is left behind")
        said = node.log()
        # Builds of the first level know no levels, only formats of the document.
        words = ("is newer than 5, the one known"
                 if self._old is not None and self.first_level == FIRST_LEVEL else
                 f"is of level {self.first_level}, and the cluster of level {LEVEL}")
        if words not in said:
            raise AssertionError(f"{node.name} does not say why it ends: {said}")
        self.make_new(node)
        node.start()
        self.cluster.wait_until_connected()


def run(upgrade: Upgrade, load: Load) -> None:
    cluster = upgrade.cluster
    n1, n2, n3 = cluster.nodes[:3]
    load.start()
    load.await_runs(1)
    upgrade.first_level = upgrade.status()["level"]
    if upgrade.first_level >= LEVEL:
        raise AssertionError(f"before anything is upgraded all is of level {LEVEL}")

    load.phase = "mixed"
    print("the first node is upgraded, goes back, and is upgraded again", flush=True)
    for make in (upgrade.make_new, upgrade.make_old, upgrade.make_new):
        upgrade.replace(n1, make)
    print("a node joins, and owns its share, while builds are mixed", flush=True)
    n4 = cluster.add_joining()
    n4.start()
    upgrade.settle({"n1", "n2", "n3", "n4"}, "4 nodes own what they should")
    upgrade.replace(n2, upgrade.make_new)
    upgrade.expect_level(upgrade.first_level, "before the last node was upgraded")

    print("the last node is upgraded", flush=True)
    upgrade.replace(n3, upgrade.make_new)
    upgrade.await_level()
    load.phase = "upgraded"
    print("a node leaves", flush=True)
    upgrade.elastic.gyre("node", "leave", "n4")
    upgrade.settle({"n1", "n2", "n3"}, "3 nodes own what they should")
    n4.wait()
    print("a node goes back too late", flush=True)
    upgrade.expect_refusal(n2)
    load.stop()
    upgrade.expect_level(LEVEL, "in the end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--old", type=Path, help="the program of an older build")
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--run-s", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.old is not None and not options.old.is_file():
        parser.error(f"{options.old} is no program")
    cluster = Cluster(3, config={"repair_interval_ms": 1000, "shards": 2, "block_cache_mib": 64})
    load = Load(cluster, options.rate, options.seed, options.run_s)
    upgrade = Upgrade(cluster, Elastic(cluster, options.mib, options.seed), options.old)
    for node in cluster.nodes:
        upgrade.make_old(node)
    wrong = judged(upgrade.elastic, load, lambda: run(upgrade, load),
                   ("before", "mixed", "upgraded"))
    print(f"gyre-upgrade: nodes=3 failed_requests={load.failed} lost={load.lost} "
          f"level={upgrade.level}")
    return int(bool(wrong) or load.failed + load.lost > 0 or upgrade.level != LEVEL)


if __name__ == "__main__":
    sys.exit(main())
