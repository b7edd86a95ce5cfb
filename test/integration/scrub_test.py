"""What a disk damages in silence: the scrub finds it, though nobody reads it, and has it fetched
again from the other owners."""

import contextlib
from pathlib import Path

import gyre_processes
from gyre_processes import ClusterTest

KEYS = [b"key-%d" % number for number in range(100)]


class ScrubTest(ClusterTest):
    def setUp(self) -> None:
        # A pass in two seconds, and as fast as it can.
        self.cluster = self.start_cluster(
            nodes=3, config={"partitions": 8, "scrub_pass_s": 2, "scrub_kib_per_s": 1_048_576})
        self.node = self.cluster.nodes[0]
        self.client = self.cluster.client(*self.cluster.nodes[1:])
        table = self.client.wire.messages.Table(name="t", replicas=3, read_quorum=1)
        self.client.create_table(table)
        for key in KEYS:
            self.client.put("t", key, b"first" + key * 2000)
        self.cluster.wait_until_same("t")

    def sum_of(self, metric: str) -> float:
        return sum(node.metric(metric) for node in self.cluster.nodes if node.is_running)

    def file_of(self, text: bytes) -> Path | None:
        """The one data file of the node that holds it; none while files are being rewritten."""
        found = []
        for path in (self.node.data_dir / "store").glob("*.sst"):
            with contextlib.suppress(FileNotFoundError):
                found += [path] if text in path.read_bytes() else []
        return found[0] if len(found) == 1 else None

    def damage(self, text: bytes) -> None:
        """One byte of a block of the node's records, while it is down."""
        data = self.file_of(text)
        with open(data, "r+b") as file:
            file.seek(data.read_bytes().index(text))
            file.write(b"\0")

    def settle(self, text: bytes) -> None:
        """RocksDB rewrites a file that was just flushed once more, as soon as a snapshot is let go
        of: a compaction that would meet the damage first. Waits until that has been."""
        self.assertEqual(self.node.terminate(), 0)
        flushed = self.file_of(text)
        self.node.start()
        self.cluster.wait_until(lambda: self.file_of(text) not in (None, flushed),
                                "the file is rewritten")
        self.assertEqual(self.node.terminate(), 0)

    def test_what_nobody_reads_is_found_and_fetched_again(self) -> None:
        self.settle(b"firstkey-50")
        self.damage(b"firstkey-50")
        self.node.start()
        self.cluster.wait_until_connected()
        reads = self.sum_of("gyre_reads_total")
        self.cluster.wait_until(
            lambda: self.node.metric("gyre_mended_records_total") >= 1
            and self.node.metric("gyre_damaged_records") == 0, "what is damaged is fetched again")
        self.assertEqual(self.sum_of("gyre_reads_total"), reads, "no client has read anything")
        self.assertTrue(self.cluster.wait_until(
            lambda: self.node.events("records_unreadable"), "the log says so"))
        self.assertEqual(self.sum_of("gyre_contradictions_total"), 0)
        # All that it holds can be read there again, each item by itself.
        for other in self.cluster.nodes[1:]:
            other.kill()
        alone = self.cluster.client(self.node)
        for key in KEYS:
            self.assertEqual(list(alone.get("t", key).reply.values), [b"first" + key * 2000], key)

    def test_a_store_that_is_sound_is_walked_in_peace(self) -> None:
        passes = self.sum_of("gyre_scrub_passes_total")
        self.cluster.wait_until(lambda: self.sum_of("gyre_scrub_passes_total") >= passes + 6,
                                "every node goes through all that it holds, again and again")
        for metric in ("gyre_contradictions", "gyre_contradictions_total", "gyre_unreadable_total",
                       "gyre_amended_records_total", "gyre_scrub_dropped_total"):
            self.assertEqual(self.sum_of(metric), 0, metric)
        self.assertGreater(self.sum_of("gyre_scrub_slices_total"), 0)
        for node in self.cluster.nodes:
            status = self.cluster.status(node)
            self.assertEqual((status.contradictions, status.damaged_records), (0, 0))


if __name__ == "__main__":
    gyre_processes.main()
