#!/usr/bin/env python3
"""Tests of target_runs.py, on runs that nobody made."""

import unittest

import target_runs


def run(node_us=10.0, resident=0, failed=0, unsent=0, p99=1.0, outside=1.0):
    nodes = [{"name": name, "cpu_us_per_op": node_us, "resident_bytes": resident + i}
             for i, name in enumerate(["n1", "n2", "n3"])]
    client = {"name": "gyre-bench", "cpu_us_per_op": 99.0, "resident_bytes": 10 * 2**30}
    return {"per_s": 1000, "failed": failed, "unsent": unsent, "processes": nodes + [client],
            "latency": {"all": {"p50_ms": 0.5, "p99_ms": p99}, "outside": {"p99_ms": outside}}}


RUNS = {
    "few-put": [run(10), run(20), run(10)],
    "most-put": [run(12), run(24), run(30)],
    "many-half": [run(resident=300 * 2**20)],
    "half-rate": [run(p99=3.0), run(p99=9.0), run(p99=2.0)],
    "day": [run(failed=1, unsent=2, outside=7.0)],
}


class TargetRuns(unittest.TestCase):
    def setUp(self):
        self.figures = dict(target_runs.figures(RUNS, 1000, 1000 * 1040 * 11 // 10))

    def test_the_cost_of_a_put_is_compared_within_each_turn(self):
        ratios = target_runs.put_cost_ratios(RUNS)
        self.assertEqual([round(ratio, 6) for ratio in ratios], [1.2, 1.2, 3.0])
        self.assertEqual(self.figures["put_cost_ratio"], "1.20")

    def test_the_load_generator_is_no_node(self):
        self.assertEqual(self.figures["resident_mib"], "300")

    def test_what_could_not_be_sent_counts_as_failed(self):
        self.assertEqual(self.figures["day_failed"], "3")
        self.assertEqual(self.figures["day_p99_ms"], "7.00")

    def test_bytes_on_disk_are_told_by_those_of_the_records(self):
        self.assertEqual(self.figures["disk_ratio"], "1.100")

    def test_of_several_the_median_is_told(self):
        self.assertEqual(self.figures["half_p99_ms"], "3.00")


if __name__ == "__main__":
    unittest.main()
