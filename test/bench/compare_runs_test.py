#!/usr/bin/env python3
"""Tests of compare_runs.py, on runs that nobody made."""

import json
import unittest

import compare_runs


def line(figure, per_s, failed=0, absent=0):
    run = {"per_s": per_s, "ended": 1000, "failed": failed, "absent": absent,
           "latency": {"all": {"p50_ms": 1.0, "p99_ms": 2.0}},
           "processes": [{"cpu_us_per_op": 10.0}, {"cpu_us_per_op": 5.5}, {"measured": False}]}
    return figure + "\t" + json.dumps(run) + "\n"


class CompareRuns(unittest.TestCase):
    def test_a_ratio_is_taken_within_each_round(self):
        # The machine was half as fast in the second round, for both.
        runs = compare_runs.read_runs([line("gyre-put", 300), line("redis-put", 100),
                                       line("gyre-put", 150), line("redis-put", 50)])
        self.assertEqual(compare_runs.ratios(runs), [("put_to_redis", [3.0, 3.0])])

    def test_a_figure_that_was_not_measured_has_no_ratio(self):
        runs = compare_runs.read_runs([line("gyre-put", 300), line("echo-queue", 0)])
        self.assertEqual(compare_runs.ratios(runs), [])

    def test_a_round_in_which_a_store_refused_or_had_nothing_has_no_ratio(self):
        runs = compare_runs.read_runs([line("gyre-put", 300), line("redis-put", 1, failed=2),
                                       line("gyre-put", 300), line("redis-put", 100, failed=1),
                                       line("gyre-get", 300), line("redis-get", 100, absent=500)])
        self.assertEqual(compare_runs.ratios(runs), [("put_to_redis", [3.0])])

    def test_the_table_tells_medians_with_least_and_most(self):
        runs = compare_runs.read_runs([line("gyre-put", 1000), line("gyre-put", 3000, failed=2),
                                       line("gyre-put", 2000)])
        row = compare_runs.table(runs).splitlines()[1]
        self.assertIn("2,000 (1,000 to 3,000)", row)
        self.assertIn("15.5 (15.5 to 15.5)", row)
        self.assertEqual(row.split()[-2:], ["2", "0"])


if __name__ == "__main__":
    unittest.main()
