"""A node that hangs, its streams standing for a while, is told from one that is alive."""

from typing import Iterable

import gyre_processes


class LivenessTest(gyre_processes.ClusterTest):
    @staticmethod
    def taken_for(cluster, asked, about) -> str:
        """What a node says that it takes another for; "" while it does not answer."""
        status = cluster.status(asked)
        peers = status.peers if status is not None else []
        return next((peer.liveness for peer in peers if peer.node == about.name), "")

    def wait_until_taken_for(self, cluster, asked: Iterable, about, *liveness: str) -> None:
        cluster.wait_until(
            lambda: all(self.taken_for(cluster, node, about) in liveness for node in asked),
            f"{about.name} is taken for {' or '.join(liveness)}")

    def test_a_node_that_hangs_is_suspected_until_it_runs_on(self) -> None:
        cluster = self.start_cluster(nodes=3)
        first, second, hung = cluster.nodes
        self.wait_until_taken_for(cluster, (first, second), hung, "alive")
        hung.pause()
        self.wait_until_taken_for(cluster, (first, second), hung, "suspect", "dead")
        hung.resume()
        self.wait_until_taken_for(cluster, (first, second), hung, "alive")
        for node in (first, second):
            self.wait_until_taken_for(cluster, (hung,), node, "alive")


if __name__ == "__main__":
    gyre_processes.main()
