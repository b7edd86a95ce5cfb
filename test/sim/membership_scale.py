#!/usr/bin/env python3
"""What failure detection costs, and how soon it suspects, against the number of nodes.

    test/sim/membership_scale.py --svg docs/plots/membership.svg

Runs gyre_membership for clusters of 10 to 1,000 nodes, and prints a line for each. With 5 % of
messages lost; once with no node standing still, and once with 1 % of them. The plot takes Debian's
python3-matplotlib.
"""

import argparse
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = (10, 30, 100, 300, 1000)
PAUSED = {"all run": 0, "1 % stand still": 10}


def run(program: Path, nodes: int, paused: int, minutes: int) -> dict[str, float]:
    line = subprocess.run(
        [program, "--nodes", str(nodes), "--paused", str(paused), "--minutes", str(minutes)],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip().splitlines()[-1]
    print(line, flush=True)
    fields = dict(field.split("=") for field in line.split()[1:])
    return {name: float(fields[name]) for name in ("bytes_per_node_s", "suspected_ms")}


def plot(pyplot, figures: dict[str, list[dict[str, float]]], path: str) -> None:
    panes = (("bytes_per_node_s", "bytes a node sends, a second"),
             ("suspected_ms", "ms until 99 % suspect a dead node"))
    pyplot.switch_backend("svg")
    _, axes = pyplot.subplots(1, len(panes), figsize=(9, 3.5))
    for axis, (name, title) in zip(axes, panes):
        for label, runs in figures.items():
            axis.plot(SIZES, [one[name] for one in runs], marker="o", label=label)
        axis.set(xscale="log", xticks=SIZES, xticklabels=SIZES, ylim=(0, None), xlabel="nodes",
                 title=title)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend()
    pyplot.tight_layout()
    pyplot.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path,
                        default=ROOT / "build/release/test/sim/gyre_membership")
    parser.add_argument("--minutes", type=int, default=5, help="virtual time of each; default 5")
    parser.add_argument("--svg", help="where to write a plot")
    options = parser.parse_args()
    if options.svg:  # before minutes of runs: it may not be installed
        from matplotlib import pyplot
    figures = {label: [run(options.program, nodes, paused, options.minutes) for nodes in SIZES]
               for label, paused in PAUSED.items()}
    if options.svg:
        plot(pyplot, figures, options.svg)


if __name__ == "__main__":
    main()
