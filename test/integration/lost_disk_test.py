"""A node loses its data directory, or gets an older one back: it is filled again from the others
before it answers reads, and nothing that was acknowledged is lost."""

import shutil
import subprocess

import gyre_processes
from gyre_client import StoreUnavailable
from gyre_processes import CLI, PATIENCE

PARTITIONS = 8
# Enough for the dot logs to be dropped behind what all owners have seen: 1,024 entries of each
# minter stay in each partition, and are dropped by as many (ReplicaStore::Options::log_kept).
ITEMS = 60_000
KEYS = [f"key-{i}".encode() for i in range(200)]


class LostDiskTest(gyre_processes.ClusterTest):
    def start_with_items(self):
        cluster = self.start_cluster(nodes=3, config={"partitions": PARTITIONS,
                                                      "repair_interval_ms": 1000})
        client = cluster.client()
        client.create_table(client.wire.messages.Table(name="carts"))
        self.load(cluster, ITEMS)
        for key in KEYS:
            client.put("carts", key, b"first")
        self.await_logs_dropped(cluster)
        return cluster, client

    def await_logs_dropped(self, cluster) -> None:
        """A node drops of its logs what each other owner has said that it has seen, and each says
        so where it asks: about each partition once in a round, and one owner after the other."""
        def asked() -> list[float]:
            return [node.metric("gyre_clock_exchanges_total") for node in cluster.nodes]
        rounds = 3  # the questions under way, and one to each of two others
        enough = [count + rounds * PARTITIONS for count in asked()]
        cluster.wait_until(lambda: all(map(float.__ge__, asked(), enough)),
                           "all have said what they have seen")

    def load(self, cluster, count: int) -> None:
        # Not JSON, which is read into a map field: libprotobuf and its headers lay those out
        # differently when the latter are compiled for ThreadSanitizer.
        lines = "".join(f"item-{i}\tvalue-{i}\n" for i in range(count))
        subprocess.run([CLI, "load", "-", "--format", "tsv", "--in-flight", "256",
                        "--table", "carts", "--connect", ",".join(cluster.addresses)],
                       input=lines, text=True, check=True, capture_output=True)

    def shows(self, client, value: bytes) -> None:
        for key in KEYS:
            self.assertEqual(list(client.get("carts", key).reply.values), [value], key)

    def to_fill(self, cluster, node) -> int | None:
        status = cluster.status(node)
        return None if status is None else status.partitions_to_fill

    def await_filled(self, cluster, node) -> None:
        cluster.wait_until(lambda: self.to_fill(cluster, node) == 0, f"{node.name} is filled again")

    def test_a_wiped_directory_is_filled_before_it_counts(self) -> None:
        cluster, _ = self.start_with_items()
        first, second, third = cluster.nodes
        third.kill()
        second.kill()
        shutil.rmtree(third.data_dir)
        third.start()
        cluster.wait_until(lambda: self.to_fill(cluster, third) == PARTITIONS,
                           "all are to be filled")
        reader = cluster.client(first, third)
        with self.assertRaises(StoreUnavailable, msg="one copy is no quorum of two"):
            reader.get("carts", KEYS[0], deadline=reader.deadline_in(2 * PATIENCE))

        second.start()
        self.await_filled(cluster, third)
        self.assertGreater(cluster.status(third).copied_items, ITEMS // 2, "by whole copies")
        first.kill()
        self.shows(cluster.client(second, third), b"first")
        first.start()
        cluster.wait_until_connected()
        cluster.wait_until_same("carts")

    def test_a_directory_that_is_put_back_loses_nothing_that_others_have(self) -> None:
        cluster, client = self.start_with_items()
        first, second, third = cluster.nodes
        self.assertEqual(third.terminate(), 0)
        yesterday = third.data_dir.with_name("yesterday")
        shutil.copytree(third.data_dir, yesterday)
        third.start()
        cluster.wait_until_connected()
        for key in KEYS:
            client.put("carts", key, b"second")
        third.kill()
        shutil.rmtree(third.data_dir)
        yesterday.rename(third.data_dir)
        third.start()
        self.await_filled(cluster, third)
        first.kill()
        self.shows(cluster.client(second, third), b"second")
        first.start()
        cluster.wait_until_connected()
        cluster.wait_until_same("carts")

    def test_a_new_cluster_has_nothing_to_be_filled_with(self) -> None:
        cluster = self.start_cluster(nodes=3)
        client = cluster.client()
        client.create_table(client.wire.messages.Table(name="carts"))
        client.put("carts", b"key", b"value")
        self.assertEqual(list(client.get("carts", b"key").reply.values), [b"value"])
        for node in cluster.nodes:
            self.assertEqual(self.to_fill(cluster, node), 0)


if __name__ == "__main__":
    gyre_processes.main()
