"""Two of five nodes are killed, and the cluster goes on: what they miss is kept for them.

Where the table's quorum is sloppy every write succeeds, and what was written is read. The nodes
that stand in are killed too, and still have what they kept. The lost ones get it when they are
back, and then nobody keeps anything and all replicas hold the same. With three of five killed some
keys have no owner left: then those that stand in mint for them, too.
"""

import json
import subprocess
import time

import gyre_processes
from gyre_processes import CLI, PATIENCE
from gyre_client import StoreUnavailable  # gyre_processes knows where

KEYS = [b"key-%d" % i for i in range(200)]


class HintsTest(gyre_processes.ClusterTest):
    def kept(self, cluster, node) -> dict[str, int]:
        status = cluster.status(node)
        return {kept.owner: kept.hints for kept in status.hints} if status else {}

    def test_what_lost_nodes_miss_is_kept_for_them(self) -> None:
        cluster = self.start_cluster(nodes=5)
        *alive, fourth, fifth = cluster.nodes
        client = cluster.client(*alive)
        messages = client.wire.messages
        client.create_table(messages.Table(name="carts"))
        client.create_table(messages.Table(name="ledger", quorum=messages.QUORUM_KIND_STRICT))
        fourth.kill()
        fifth.kill()

        stood_in = 0
        for key in KEYS:
            stood_in += client.put("carts", key, b"value of " + key).reply.info.stand_ins > 0
        self.assertGreater(stood_in, 0, "some keys have two of their owners among the lost")
        self.assertLess(stood_in, len(KEYS))
        self.refuses_in_the_strict_table(client)

        before = self.settled(cluster, alive)
        owners = set().union(*before.values())
        self.assertEqual(owners, {"n4", "n5"})
        self.shows_on_the_command_line(cluster, before)
        for node in alive:
            node.kill()
            node.start()
            cluster.wait_until(lambda: self.kept(cluster, node) == before[node.name],
                               f"{node.name} still has what it kept")
        cluster.wait_until_connected()
        for key in KEYS:
            self.assertEqual(list(client.get("carts", key).reply.values), [b"value of " + key])

        fourth.start()
        fifth.start()
        cluster.wait_until(lambda: not any(self.kept(cluster, node) for node in cluster.nodes),
                           "nobody keeps anything")
        cluster.wait_until_same("carts")
        for node in cluster.nodes:
            reader = cluster.client(node)
            for key in KEYS[::10]:
                self.assertEqual(list(reader.get("carts", key).reply.values), [b"value of " + key])

    def test_writes_go_on_while_no_owner_can_be_reached(self) -> None:
        cluster = self.start_cluster(nodes=5)
        alive, lost = cluster.nodes[:2], cluster.nodes[2:]
        client = cluster.client(*alive)
        client.create_table(client.wire.messages.Table(name="carts"))
        for node in lost:
            node.kill()
        without_owners = 0
        for key in KEYS:
            info = client.put("carts", key, b"value of " + key, explain=True).reply.info
            without_owners += info.stand_ins == info.answered
            self.assertEqual(list(client.get("carts", key).reply.values), [b"value of " + key])
        self.assertGreater(without_owners, 0, "some keys have all of their owners among the lost")
        for node in lost:
            node.start()
        cluster.wait_until(lambda: not any(self.kept(cluster, node) for node in cluster.nodes),
                           "nobody keeps anything")
        cluster.wait_until_same("carts")
        reader = cluster.client(*lost)
        for key in KEYS:
            self.assertEqual(list(reader.get("carts", key).reply.values), [b"value of " + key])

    def settled(self, cluster, nodes) -> dict[str, dict[str, int]]:
        """What each keeps, once that changes no more: nodes tell it as of a moment ago."""
        seen: list[dict[str, dict[str, int]]] = []

        def same_three_times() -> bool:
            seen.append({node.name: self.kept(cluster, node) for node in nodes})
            time.sleep(0.2)
            return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]
        cluster.wait_until(same_three_times, "the counts of hints stand still")
        return seen[-1]

    def refuses_in_the_strict_table(self, client) -> None:
        for key in KEYS:
            try:
                client.put("ledger", key, b"x", deadline=client.deadline_in(2 * PATIENCE))
            except StoreUnavailable as error:
                self.assertEqual(error.detail.reason,
                                 client.wire.messages.ErrorDetail.QUORUM_NOT_MET)
                self.assertEqual(error.detail.needed, 2)
                self.assertLess(error.detail.answered, 2)
                return
        self.fail("no key has two of its owners among the lost")

    def shows_on_the_command_line(self, cluster, kept: dict[str, dict[str, int]]) -> None:
        command = [CLI, "hints", "--connect", cluster.nodes[0].client_address]
        shown = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        self.assertEqual(shown.returncode, 3, "two nodes do not answer")
        report = json.loads(shown.stdout)
        self.assertEqual(report["unreachable"], 2)
        listed: dict[str, dict[str, int]] = {name: {} for name in kept}
        for line in report["hints"]:
            listed[line["kept_by"]][line["for"]] = line["hints"]
        self.assertEqual(listed, kept)
        table = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        self.assertIn("KEPT BY", table)
        self.assertIn("unreachable", table)


if __name__ == "__main__":
    gyre_processes.main()
