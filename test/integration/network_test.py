"""Networks that lose what is sent: in one direction, in both, on one connection of a pair.

Each node is a host of its own; drops are by nftables in the host that they keep packets from. Where
a majority can speak with each other everything goes on, and afterwards all owners hold the same.
"""

import gyre_processes
import isolation
import judged_load
from gyre_client import StoreUnavailable  # gyre_processes knows where

LOAD_S = 12.0


@isolation.needed
class NetworkTest(gyre_processes.ClusterTest):
    def setUp(self) -> None:
        self.cluster = self.start_cluster(nodes=5, network=True)
        self.loads = [
            judged_load.start(self.cluster, "strict", LOAD_S),
            judged_load.start(self.cluster, "sloppy", LOAD_S, options=["--sloppy"]),
        ]

    def connected(self, node, peer) -> bool:
        status = self.cluster.status(node)
        return status is not None and any(
            other.node == peer.name and other.connected for other in status.peers)

    def heals_and_nothing_was_lost(self) -> None:
        self.cluster.network.heal()
        self.cluster.wait_until_connected()
        for load in self.loads:
            verdict = load.verdict()
            self.assertTrue(verdict.sound, verdict)
            self.assertGreater(verdict.acked, 0)

    def loses_sight(self, first, second) -> None:
        """Both, also the one that still hears the other: nobody answers it."""
        for node, peer in ((first, second), (second, first)):
            self.cluster.wait_until(lambda node=node, peer=peer: not self.connected(node, peer),
                                    f"{node.name} takes {peer.name} for unreachable")

    def writes_everywhere(self, nodes) -> None:
        for node in nodes:
            client = self.cluster.client(node)
            for number in range(20):
                key = f"{node.name}-{number}".encode()
                client.put("sloppy", key, b"value")
                self.assertEqual(list(client.get("sloppy", key).reply.values), [b"value"])

    def test_packets_of_one_direction_are_lost(self) -> None:
        first, second = self.cluster.nodes[:2]
        self.cluster.network.drop(first.host, second.host)
        self.loses_sight(first, second)
        self.writes_everywhere(self.cluster.nodes)
        self.heals_and_nothing_was_lost()

    def test_one_of_the_two_connections_of_a_pair_is_dead(self) -> None:
        first, second = self.cluster.nodes[:2]
        self.cluster.network.drop_connections(first.host, second.host, second.peer_port)
        self.loses_sight(first, second)
        self.writes_everywhere(self.cluster.nodes)
        self.heals_and_nothing_was_lost()

    def test_a_minority_that_is_cut_off_refuses_and_the_majority_goes_on(self) -> None:
        alone, *others = self.cluster.nodes
        self.cluster.network.isolate(alone.host)
        for other in others:
            self.loses_sight(alone, other)
        client = self.cluster.client(alone)
        for table in ("strict", "sloppy"):
            with self.assertRaises(StoreUnavailable) as refused:
                client.put(table, b"key", b"value", deadline=client.deadline_in(2))
            self.assertEqual(refused.exception.detail.reason,
                             client.wire.messages.ErrorDetail.QUORUM_NOT_MET)
        self.writes_everywhere(others)
        self.heals_and_nothing_was_lost()


if __name__ == "__main__":
    gyre_processes.main(isolated=True)
