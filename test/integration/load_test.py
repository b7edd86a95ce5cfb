#!/usr/bin/env python3
"""The load of elastic.py and upgrade.py: what it hears of, and what it makes of many runs."""

import unittest
from collections import Counter

import elastic
from gyre_processes import Expired, wait_until

LAST = ("gyre-drive: requests={requests} failed=0 lost_writes=0 p50_ms=1.00 p99_ms=2.00 "
        "max_ms=3.0\n")


class FakeProgram:
    """Has ended before it is waited for, unless it hangs."""

    def __init__(self, log: str, hangs: bool = False):
        self._log = log
        self._hangs = hangs
        self.exit_code = None if hangs else 0

    def launch(self) -> None:
        pass

    def wait(self, within_s: float) -> int:
        if self._hangs:
            raise Expired(f"not within {within_s} s: it ends")
        return 0

    def log(self) -> str:
        return self._log


class FakeCluster:
    """One whose programs are these, and then one that hangs."""

    def __init__(self, *logs: str):
        self.nodes = []
        self.wait_until = wait_until
        self._logs = list(logs)
        self.on_program = lambda number: None

    def add_program(self, name: str, command: list) -> FakeProgram:
        self.on_program(int(name.split("-")[1]))
        return FakeProgram(self._logs.pop(0)) if self._logs else FakeProgram("", hangs=True)


def said(latencies: str, requests: int = 10) -> str:
    return f"gyre-latencies: {latencies}\n" + LAST.format(requests=requests)


class LoadTest(unittest.TestCase):
    def run_of(self, cluster: FakeCluster) -> elastic.Load:
        """A load that has ended by itself, for a run of it hung."""
        load = elastic.Load(cluster, rate=1, seed=1, run_s=1)
        load.start()
        with self.assertRaisesRegex(AssertionError, "has ended after"):
            load.await_runs(1000)
        return load

    def test_a_load_that_ends_early_is_wrong(self):
        load = self.run_of(FakeCluster(said("100:10")))
        load.stop()
        self.assertEqual(len(load.runs), 1)
        self.assertIn("it ends", load.wrong[0])
        self.assertIn("ended before", load.wrong[1])

    def test_a_run_that_says_nothing_of_its_latencies_is_wrong(self):
        load = self.run_of(FakeCluster(LAST.format(requests=1)))
        self.assertIn("nothing of its latencies", load.wrong[0])

    def test_a_percentile_is_of_all_requests(self):
        # One of a hundred was slow: in each of two runs none would tell.
        cluster = FakeCluster(said("100:99"), said("100:99"), said("900:4"))
        load = self.run_of(cluster)
        self.assertEqual(load.p99_us(moving=False), 900)
        self.assertEqual(load.p99_us(moving=True), 0)
        self.assertEqual(elastic.percentile(Counter({5: 1, 7: 1}), 0.5), 5)

    def test_a_run_of_two_phases_moves_if_either_does(self):
        cluster = FakeCluster(said("100:9"), said("200:9"), said("300:9"), said("400:9", 0))

        def on_program(number: int) -> None:
            if number == 2:
                load.phase = "grow"
            if number == 3:
                load.phase = "shrink"
                load.phase = "restart"
            if number == 4:
                load.phase = "after"
        cluster.on_program = on_program
        load = elastic.Load(cluster, rate=1, seed=1, run_s=1)
        load.start()
        with self.assertRaises(AssertionError):
            load.await_runs(1000)
        self.assertEqual([run["phases"] for run in load.runs],
                         [{"before"}, {"before", "grow"}, {"grow", "shrink", "restart"},
                          {"restart", "after"}])
        self.assertEqual(load.p99_us(moving=False), 100)
        self.assertEqual(load.p99_us(moving=True), 300)
        self.assertEqual(load.missed("before", "shrink", "restart", "after"), ["after"])


if __name__ == "__main__":
    unittest.main()
