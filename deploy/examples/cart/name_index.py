"""NameIndex: the names of all packages of the catalogue, in memory, for searching.

The store finds a record by its whole key. Names are few and short, so this keeps them all, by
scanning each partition's keys at its owners, now and again.

A scan shows what one replica holds, and one that is catching up lacks some keys. So a partition is
scanned at as many owners as a read asks (R): with a write at W of them, one of these has it. Where
fewer answer, the names known before stay. So do they all when the cluster cannot be reached.

Thread rule: `refresh` and `run` on one thread; everything else on any.
"""

import bisect
import concurrent.futures
import logging
import threading
import time
from dataclasses import dataclass

from gyre_client import GyreClient, StoreError

REFRESH_S = 60.0
REFRESH_SOON_S = 3.0  # while there is nothing to search, or a partition is incomplete
PAGE = 1000
MAX_NAMES = 1_000_000
SCANS_AT_ONCE = 4

log = logging.getLogger("cart.index")


@dataclass(frozen=True)
class Snapshot:
    names: tuple[str, ...] = ()  # sorted
    partitions: int = 0
    incomplete: int = 0  # partitions that fewer than R owners answered for
    scanned_at: float | None = None  # seconds since 1970; None before the first scan
    truncated: bool = False  # at MAX_NAMES


@dataclass(frozen=True)
class Found:
    names: list[str]
    total: int


class NameIndex:
    def __init__(self, client: GyreClient, table: str):
        self._client = client
        self._table = table
        self._by_slice: dict[int, frozenset[str]] = {}
        self._rounds = 0
        self._snapshot = Snapshot()  # replaced whole

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def search(self, query: str, limit: int) -> Found:
        """Names that hold every word of `query`: the very name first, then those that start so."""
        words = query.lower().split()
        if not words:
            return Found([], 0)
        found = [name for name in self._snapshot.names if all(word in name for word in words)]
        found.sort(key=lambda name: (name != words[0], not name.startswith(words[0]), len(name)))
        return Found(found[:limit], len(found))

    def holds(self, name: str) -> bool:
        names = self._snapshot.names
        at = bisect.bisect_left(names, name)
        return at < len(names) and names[at] == name

    def refresh(self) -> bool:
        """One scan of everything; whether it was complete."""
        try:
            topology = self._client.topology().reply
        except StoreError as error:
            log.warning("no topology, the index stays as it is: %s", error)
            return False
        owners_of = self._owners(topology)
        if owners_of is None:
            self._by_slice = {}
            self._snapshot = Snapshot(scanned_at=time.time())
            return True
        quorum, owners = owners_of
        self._rounds += 1
        silent: set[str] = set()  # owners that are left alone for the rest of this scan
        incomplete = 0
        with concurrent.futures.ThreadPoolExecutor(SCANS_AT_ONCE) as pool:
            scans = pool.map(lambda item: self._scan_slice(*item, quorum, silent),
                             enumerate(owners))
            for index, (names, complete) in enumerate(scans):
                incomplete += not complete
                if not complete:
                    names |= self._by_slice.get(index, frozenset())
                self._by_slice[index] = frozenset(names)
        names = sorted(set().union(*self._by_slice.values()))
        self._snapshot = Snapshot(tuple(names[:MAX_NAMES]), len(owners), incomplete, time.time(),
                                  len(names) > MAX_NAMES)
        return incomplete == 0

    def run(self, stop: threading.Event) -> None:
        """Refreshes until `stop` is set."""
        complete = self._snapshot.incomplete == 0
        while True:
            soon = not complete or not self._snapshot.names
            if stop.wait(REFRESH_SOON_S if soon else REFRESH_S):
                return
            complete = self.refresh()

    def _owners(self, topology) -> tuple[int, list[list[str]]] | None:
        """R, and the addresses of each partition's owners; None while there is no such table."""
        table = next((table for table in topology.tables if table.name == self._table), None)
        if table is None:
            return None
        family = {family.replicas: family for family in topology.families}[table.replicas]
        addresses = [member.client_address for member in topology.members]
        per = family.per_slice
        return max(1, table.read_quorum), [
            [addresses[owner] for owner in family.owners[index * per:(index + 1) * per]]
            for index in range(topology.slices)]

    def _scan_slice(self, index: int, owners: list[str], quorum: int,
                    silent: set[str]) -> tuple[set[str], bool]:
        names: set[str] = set()
        answered = 0
        for rank in range(len(owners)):
            owner = owners[(index + rank + self._rounds) % len(owners)]
            if owner in silent:
                continue
            try:
                names |= self._scan_at(owner, index)
                answered += 1
            except StoreError as error:
                log.info("partition %d: %s", index, error)
                silent.add(owner)
            if answered == quorum:
                return names, True
        return names, False

    def _scan_at(self, owner: str, index: int) -> set[str]:
        names: set[str] = set()
        after = b""
        while len(names) < MAX_NAMES:
            request = self._client.wire.messages.ScanPartitionRequest(
                table=self._table, slice=index, after_key=after, limit=PAGE, keys_only=True)
            reply = self._client.scan(owner, request)
            names |= {item.key.decode("utf-8", "replace") for item in reply.items}
            if not reply.more or not reply.items:
                break
            after = reply.items[-1].key
        return names
