"""What a disk damages in silence: the scrub finds it, though nobody reads it, and has it fetched
again from the other owners."""

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

    def damage(self, text: bytes) -> None:
        """One byte of a block of the node's records, while it is down."""
        (data,) = [path for path in (self.node.data_dir / "store").glob("*.sst")
                   if text in path.read_bytes()]
        with open(data, "r+b") as file:
            file.seek(data.read_bytes().index(text))
            file.write(b"\0")

    def test_what_nobody_reads_is_found_and_fetched_again(self) -> None:
        self.assertEqual(self.node.terminate(), 0)
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
