#!/usr/bin/env python3
"""What a change of the topology costs a node, and a plan, against the number of nodes.

    test/sim/control_scale.py --svg docs/plots/scale.svg

Runs gyre_scale for clusters of 10 to 1,000 nodes, in each of which a tenth joins, a twentieth
leaves and a hundredth dies at once, and prints a line for each. The plot takes Debian's
python3-matplotlib.
"""

import argparse
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Nodes, and partitions: as many as make some 200 copies for each node.
SIZES = {10: 1024, 30: 2048, 100: 8192, 300: 32768, 1000: 65536}


def run(program: Path, nodes: int, slices: int) -> dict[str, float]:
    line = subprocess.run(
        [program, "--nodes", str(nodes), "--slices", str(slices), "--most-to", "64"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(line, flush=True)
    return fields_of(line.splitlines()[-1])


def fields_of(line: str) -> dict[str, float]:
    fields = dict(field.split("=") for field in line.split()[1:])
    del fields["digest"]
    return {name: float(value) for name, value in fields.items()}


def plot(pyplot, runs: list[dict[str, float]], path: str) -> None:
    pyplot.switch_backend("svg")
    _, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    sizes = [int(one["nodes"]) for one in runs]
    for label, name in (("the document itself", "document_bytes"),
                        ("the node that sends most", "most_bytes_per_change"),
                        ("mean, with the register", "bytes_per_node_per_change"),
                        ("mean, deltas alone", "news_bytes_per_node_per_change")):
        left.plot(sizes, [one[name] for one in runs], marker="o", label=label)
    left.set(xscale="log", yscale="log", title="bytes a node sends for a change", xlabel="nodes")
    left.legend(fontsize=8)
    right.plot(sizes, [one["plan_ms"] for one in runs], marker="o")
    right.set(xscale="log", ylim=(0, None), title="ms to plan all of the changes", xlabel="nodes")
    for axis in (left, right):
        axis.set(xticks=sizes, xticklabels=sizes)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    pyplot.tight_layout()
    pyplot.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/release/test/sim/gyre_scale")
    parser.add_argument("--svg", help="where to write a plot")
    parser.add_argument("--lines", type=Path, help="plot what was printed before, and run nothing")
    options = parser.parse_args()
    if options.svg:  # before minutes of runs: it may not be installed
        from matplotlib import pyplot
    if options.lines:
        runs = [fields_of(line) for line in options.lines.read_text().splitlines()
                if line.startswith("gyre-scale:")]
    else:
        runs = [run(options.program, nodes, slices) for nodes, slices in SIZES.items()]
    if options.svg:
        plot(pyplot, runs, options.svg)


if __name__ == "__main__":
    main()
