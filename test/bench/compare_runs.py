#!/usr/bin/env python3
"""The table and the ratios of test/bench/compare.sh: `compare_runs.py FILE [--svg PLOT]`.

FILE has a line for each run, in the order they were made: the figure, a tab, and the JSON of
gyre-bench. Run n of a figure belongs to round n. A ratio is taken within each round, so that a
machine that was slow in one round was slow for both; told are the median over the rounds, the least
and the most.
"""

import argparse
import json
import statistics
from collections import defaultdict

# name, above the line, below the line
RATIOS = [
    ("put_to_echo_callback", "gyre-put", "echo-callback"),
    ("get_to_echo_callback", "gyre-get", "echo-callback-get"),
    ("put_to_echo_queue", "gyre-put", "echo-queue"),
    ("get_to_echo_queue", "gyre-get", "echo-queue"),
    ("put_to_echo_stream", "gyre-put", "echo-stream"),
    ("get_to_echo_stream", "gyre-get", "echo-stream"),
    ("put_to_etcd", "gyre-put", "etcd-put"),
    ("get_to_etcd", "gyre-get", "etcd-get"),
    ("half_to_etcd", "gyre-half", "etcd-half"),
    ("put_to_redis", "gyre-put", "redis-put"),
    ("get_to_redis", "gyre-get", "redis-get"),
    ("half_to_redis", "gyre-half", "redis-half"),
    ("put_to_redis_cluster", "gyre-put", "redis-cluster-put"),
    ("get_to_redis_cluster", "gyre-get", "redis-cluster-get"),
    ("half_to_redis_cluster", "gyre-half", "redis-cluster-half"),
    ("put_to_cassandra", "gyre-put", "cassandra-batch-put"),
    ("get_to_cassandra", "gyre-get", "cassandra-batch-get"),
    ("half_to_cassandra", "gyre-half", "cassandra-batch-half"),
    ("periodic_put_to_cassandra_periodic", "gyre-periodic-put", "cassandra-periodic-put"),
    ("get_to_cassandra_periodic", "gyre-get", "cassandra-periodic-get"),
    ("unary_get_to_echo", "gyre-unary-get", "echo-callback-64"),
]


def read_runs(lines):
    """The runs of each figure, in order."""
    runs = defaultdict(list)
    for line in lines:
        figure, _, text = line.partition("\t")
        runs[figure].append(json.loads(text))
    return runs


def spread(values, form):
    """"median (least to most)" of some numbers."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def is_sound(run):
    """Whether nearly all was asked for and answered: a rate of a store that refuses is none."""
    wrong = run["failed"] + run.get("absent", 0)
    return wrong <= 0.001 * run["ended"]


def cpu_us(run):
    """CPU of all processes that were measured, the load generator included, for each request."""
    return sum(process.get("cpu_us_per_op", 0) for process in run["processes"])


def table(runs):
    rows = [("figure", "runs", "per s", "p50 ms", "p99 ms", "CPU us/op", "failed", "absent")]
    for figure, of_it in runs.items():
        latency = [run["latency"]["all"] for run in of_it]
        rows.append((figure, str(len(of_it)),
                     spread([run["per_s"] for run in of_it], ",.0f"),
                     spread([one["p50_ms"] for one in latency], ".2f"),
                     spread([one["p99_ms"] for one in latency], ".2f"),
                     spread([cpu_us(run) for run in of_it], ".1f"),
                     str(sum(run["failed"] for run in of_it)),
                     str(sum(run.get("absent", 0) for run in of_it))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)


def ratios(runs):
    """(name, the ratio of each round) for what was measured above and below the line."""
    found = []
    for name, above, below in RATIOS:
        of_rounds = [one["per_s"] / other["per_s"]
                     for one, other in zip(runs.get(above, []), runs.get(below, []))
                     if is_sound(one) and is_sound(other) and other["per_s"] > 0]
        if of_rounds:
            found.append((name, of_rounds))
    return found


# What the plot shows: a group of bars for each kind, and in it the stores in this order.
PLOTTED = [("put", "puts"), ("get", "gets"), ("half", "half and half")]
STORES = [("gyre", "Gyre"), ("redis-cluster", "Redis Cluster, one copy synced"),
          ("redis", "Redis, WAIT 1"), ("cassandra-batch", "Cassandra, batch"),
          ("cassandra-periodic", "Cassandra, periodic"), ("etcd", "etcd")]


def plot(runs, path):
    """Requests a second of each store: medians, with lines from the least to the most."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    stores = [(key, name) for key, name in STORES
              if all(f"{key}-{kind}" in runs for kind, _ in PLOTTED)]
    width = 0.8 / len(stores)
    _, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for i, (key, name) in enumerate(stores):
        figures = [[run["per_s"] / 1000 for run in runs[f"{key}-{kind}"]] for kind, _ in PLOTTED]
        middles = [statistics.median(one) for one in figures]
        reach = [[middle - min(one) for middle, one in zip(middles, figures)],
                 [max(one) - middle for middle, one in zip(middles, figures)]]
        at = [group + (i - (len(stores) - 1) / 2) * width for group in range(len(PLOTTED))]
        bars = axes.bar(at, middles, width * 0.94, yerr=reach, label=name, capsize=2,
                        error_kw={"linewidth": 1})
        axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    echo = runs.get("echo-callback")
    if echo:
        axes.axhline(statistics.median(run["per_s"] for run in echo) / 1000, color="grey",
                     linestyle="--", linewidth=1, label="bare gRPC unary echo, callback API")
    axes.set_xticks(range(len(PLOTTED)), [name for _, name in PLOTTED])
    axes.set_ylabel("thousand requests a second")
    axes.set_title("256 in flight, values of 1 KiB, all processes on the same cores")
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    pyplot.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs")
    parser.add_argument("--svg", help="where to write a plot")
    options = parser.parse_args()
    with open(options.runs, encoding="utf-8") as file:
        runs = read_runs(file)
    print(table(runs), end="\n\n")
    for name, of_rounds in ratios(runs):
        print(f"{name}: {spread(of_rounds, '.2f')}")
    print()
    for name, of_rounds in ratios(runs):
        print(f"gyre-bench: {name}={statistics.median(of_rounds):.2f}")
    if options.svg:
        plot(runs, options.svg)


if __name__ == "__main__":
    main()
