"""A workload of test/workload on a real cluster, and what its judge found.

    load = judged_load.start(cluster, "carts", seconds=10, options=["--workload", "cart"])
    ...                                    # break things, and mend them
    verdict = load.verdict()               # waits for its end
    verdict.sound                          # nothing lost, revived, doubled or different

Requests may fail meanwhile; what was acknowledged may not be lost. After its time all owners have
SETTLE_S to become equal before everything is read back.
"""

import re
from dataclasses import dataclass
from typing import Sequence

from gyre_processes import DRIVE, PATIENCE, Cluster, Expired, Program, tail
from gyre_client import StoreError  # gyre_processes knows where

SETTLE_S = 60
READ_BACK_S = 60
_JUDGED = re.compile(r"^gyre-judged: acked=(\d+) lost=(\d+) resurrected=(\d+) "
                     r"false_siblings=(\d+) other=(\d+) diverged=(\d+)$", re.M)


@dataclass(frozen=True)
class Verdict:
    acked: int
    lost: int
    resurrected: int
    false_siblings: int
    other: int
    diverged: int

    @property
    def sound(self) -> bool:
        return not (self.lost or self.resurrected or self.false_siblings or self.other or
                    self.diverged)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))


class Load:
    def __init__(self, program: Program, table: str, seconds: float):
        self.program = program
        self.table = table
        self._seconds = seconds

    def verdict(self) -> Verdict:
        """What the judge found, once the load has ended; Expired where it was not judged."""
        code = self.program.wait(self._seconds + SETTLE_S + READ_BACK_S)
        found = _JUDGED.search(self.program.log())
        if found is None:
            raise Expired(f"{self.program.name} ended with {code} and was not judged:\n"
                          f"{tail(self.program.log())}")
        return Verdict(*map(int, found.groups()))


def start(cluster: Cluster, table: str, seconds: float, *, rate: int = 200, keys: int = 300,
          seed: int = 1, options: Sequence[str] = ()) -> Load:
    """Launches it, on a table of its own; returns once something is written there."""
    program = cluster.add_program(f"load-{table}", [
        DRIVE, "--connect", ",".join(cluster.addresses), "--table", table,
        "--seconds", f"{seconds:.1f}", "--settle", str(int(SETTLE_S * PATIENCE)),
        "--rate", str(rate), "--clients", "16", "--keys", str(keys), "--seed", str(seed), *options])
    program.launch()

    def begun() -> bool:
        try:
            held = cluster.contents(table)
        except (KeyError, StoreError):  # not every node has heard of the table
            return False
        return any(records for partitions in held.values() for records in partitions.values())
    cluster.wait_until(begun, f"{table} has records")
    return Load(program, table, seconds)
