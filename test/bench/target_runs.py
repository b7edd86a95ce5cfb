#!/usr/bin/env python3
"""The table and the figures of test/bench/targets.sh: `target_runs.py FILE --records N ...`.

FILE has a line for each run, as for compare_runs.py. A figure that was taken several times is the
median.
"""

import argparse
import statistics

import compare_runs

RECORD_BYTES = len("user000000000000") + 1024  # key and value, as gyre-bench writes them


def node_cpu_us(run):
    """CPU of the three nodes for each request."""
    return sum(process["cpu_us_per_op"] for process in run["processes"]
               if process["name"] != "gyre-bench")


def put_cost_ratios(runs):
    """For each turn: what a put costs among the most records, by what it costs among few."""
    return [node_cpu_us(most) / node_cpu_us(few)
            for few, most in zip(runs["few-put"], runs["most-put"])]


def figures(runs, records, disk_bytes):
    """(name, text) of what the script promises to tell."""
    day = runs["day"][-1]
    resident = max(process["resident_bytes"] for process in runs["many-half"][-1]["processes"]
                   if process["name"] != "gyre-bench")
    half_p99 = statistics.median(run["latency"]["all"]["p99_ms"] for run in runs["half-rate"])
    return [
        ("half_p99_ms", f"{half_p99:.2f}"),
        ("day_failed", str(day["failed"] + day["unsent"])),
        ("day_p99_ms", f"{day['latency']['outside']['p99_ms']:.2f}"),
        ("resident_mib", f"{resident / 2**20:.0f}"),
        ("disk_ratio", f"{disk_bytes / (records * RECORD_BYTES):.3f}"),
        ("put_cost_ratio", f"{statistics.median(put_cost_ratios(runs)):.2f}"),
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs")
    parser.add_argument("--records", type=int, required=True,
                        help="that the folder of --disk-bytes holds")
    parser.add_argument("--disk-bytes", type=int, required=True)
    options = parser.parse_args()
    with open(options.runs, encoding="utf-8") as file:
        runs = compare_runs.read_runs(file)
    print(compare_runs.table(runs), end="\n\n")
    print(f"put_cost_ratio: {compare_runs.spread(put_cost_ratios(runs), '.2f')}\n")
    for name, text in figures(runs, options.records, options.disk_bytes):
        print(f"gyre-bench: {name}={text}")


if __name__ == "__main__":
    main()
