"""Nodes are killed under a workload of the simulator, and again while they are catching up.

No request may fail after the SDK's retries, no acknowledged write may be lost, and in the end all
replicas hold the same.
"""

from typing import Sequence

import gyre_processes
from gyre_processes import DRIVE


class KillTest(gyre_processes.ClusterTest):
    def drive(self, cluster, workload: str, seconds: int):
        driver = cluster.add_program(
            f"drive-{workload}",
            [DRIVE, "--connect", ",".join(cluster.addresses), "--workload", workload,
             "--table", workload, "--seconds", str(seconds), "--rate", "500", "--clients", "16",
             "--keys", "300"])
        driver.launch()
        return driver

    def survive(self, workload: str, victims: Sequence[int], **config: int) -> None:
        cluster = self.start_cluster(nodes=3, config=config)
        driver = self.drive(cluster, workload, seconds=5 * len(victims))
        client = cluster.client()
        cluster.wait_until(lambda: self.has_table(client, workload), "the workload has begun")
        for victim in victims:
            cluster.nodes[victim].kill()
            cluster.nodes[victim].start()
        self.assertEqual(driver.wait(within_s=60), 0, driver.log())
        self.assertRegex(driver.log(), r"gyre-drive: requests=\d+ failed=0 lost_writes=0 ")
        cluster.wait_until_same(workload)

    @staticmethod
    def has_table(client, name: str) -> bool:
        return any(table.name == name for table in client.topology().reply.tables)

    def test_siblings_and_deletes_survive_kills(self) -> None:
        self.survive("mixed", [2, 2])

    def test_a_cart_loses_nothing_to_kills(self) -> None:
        self.survive("cart", [2, 2])

    def test_each_node_dies_as_soon_as_the_one_before_is_back(self) -> None:
        self.survive("mixed", [0, 1, 2, 0, 1, 2])

    # A link's frames are polled by one thread and written by another, then.
    def test_nodes_of_several_shards_die(self) -> None:
        self.survive("mixed", [2, 1, 2], shards=3)


if __name__ == "__main__":
    gyre_processes.main()
