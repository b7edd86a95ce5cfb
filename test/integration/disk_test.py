"""A disk that fails to sync, or is full, under a node of a cluster with load.

The node stops acknowledging at once, says so in its health, metrics, status and log, and its peers
see it as away; the cluster goes on without it. It serves again after a restart, which verifies, and
not before, whatever the disk does meanwhile.
"""

import subprocess
from typing import Callable

import grpc

import disks
import gyre_processes
import isolation
import judged_load
from gyre_processes import CLI, PATIENCE
from gyre_client import StoreUnavailable  # gyre_processes knows where

HEALTH = "/grpc.health.v1.Health/Check"
NOT_SERVING = b"\x08\x02"
SERVING = b"\x08\x01"


class DiskTest(gyre_processes.ClusterTest):
    def setUp(self) -> None:
        self.cluster = self.new_cluster(nodes=5)
        self.broken = self.cluster.nodes[1]

    def fails_and_comes_back(self, break_disk: Callable[[], object],
                             mend_disk: Callable[[], object], words: str, full: int) -> None:
        cluster, broken = self.cluster, self.broken
        cluster.start()
        large = ["--value-bytes", "20000"]  # so that room is needed soon
        load = judged_load.start(cluster, "strict", seconds=12, options=large)
        sloppy = judged_load.start(cluster, "sloppy", seconds=12,
                                   options=["--sloppy", *large])
        client = cluster.client(broken)
        break_disk()
        cluster.wait_until(lambda: broken.page("/healthz")[0] == 503, "its health says so")
        self.says_what_happened(words, full)
        self.is_away_for_its_peers()
        self.refuses_everything(client)
        self.others_go_on()
        mend_disk()
        self.refuses_everything(client)
        self.assertEqual(broken.terminate(), 1, "it cannot mark its data as cleanly stopped")
        broken.start()
        self.assertEqual(broken.metric("gyre_storage_failed"), 0)
        for one in (load, sloppy):
            verdict = one.verdict()
            self.assertTrue(verdict.sound, verdict)
            self.assertGreater(verdict.acked, 0)

    def says_what_happened(self, words: str, full: int) -> None:
        self.assertRegex(self.broken.page("/healthz")[1], words)
        self.assertRegex(self.broken.page("/healthz")[1],
                         "^the disk is full: " if full else "^a write to the disk failed: ")
        self.assertEqual(self.broken.metric("gyre_storage_failed"), 1)
        self.assertEqual(self.broken.metric("gyre_disk_full"), full)
        self.broken.wait_for_line('"event":"disk_failed"')
        (event,) = self.broken.events("disk_failed")
        self.assertRegex(event["why"], words)
        self.assertEqual(event["full"], bool(full))
        self.assertEqual(event["data_dir"], str(self.broken.data_dir))
        self.assertIn("restart this node", event["do"])
        self.assertRegex(self.cluster.status(self.broken).state, "^failed: .*" + words)
        with grpc.insecure_channel(self.broken.client_address) as channel:
            check = channel.unary_unary(HEALTH)
            self.cluster.wait_until(lambda: check(b"", timeout=5 * PATIENCE) == NOT_SERVING,
                                    "gRPC's health says so")
            self.assertEqual(check(b"\x0a\x0cgyre.Process", timeout=5 * PATIENCE), SERVING,
                             "who watches the process does not end it for its disk")

    def is_away_for_its_peers(self) -> None:
        def away() -> bool:
            statuses = [self.cluster.status(node) for node in self.others]
            return all(status is not None and not peer.connected
                       for status in statuses for peer in (status.peers if status else [])
                       if peer.node == self.broken.name)
        self.cluster.wait_until(away, "nobody is connected with it")
        shown = subprocess.run(
            [CLI, "status", "--connect", self.others[0].client_address], capture_output=True,
            text=True, check=False)
        self.assertEqual(shown.returncode, 3, "one does not serve")
        self.assertIn("failed: ", shown.stdout)

    def refuses_everything(self, client) -> None:
        for ask in (lambda: client.put("sloppy", b"key", b"value", deadline=client.deadline_in(1)),
                    lambda: client.get("sloppy", b"key", deadline=client.deadline_in(1))):
            with self.assertRaises(StoreUnavailable) as refused:
                ask()
            self.assertEqual(refused.exception.detail.reason,
                             client.wire.messages.ErrorDetail.STORAGE_FAILED)

    def others_go_on(self) -> None:
        client = self.cluster.client(*self.others)
        for number in range(50):
            key = b"goes-on-%d" % number
            self.assertEqual(client.put("sloppy", key, b"value").attempts, 1)
            self.assertEqual(list(client.get("sloppy", key).reply.values), [b"value"])

    @property
    def others(self):
        return [node for node in self.cluster.nodes if node is not self.broken]

    def test_a_sync_that_fails_ends_all_serving_until_a_restart(self) -> None:
        why = disks.why_no_failing_syncs()
        if why:
            self.skipTest(f"no failing syncs: {why}")
        attached: list[disks.FailingSyncs] = []
        self.addCleanup(lambda: [syncs.close() for syncs in attached])
        self.fails_and_comes_back(
            lambda: attached.append(disks.FailingSyncs(self.broken.pid)),
            lambda: attached[0].close(), "Input/output error", 0)

    @isolation.needed
    def test_a_full_disk_ends_all_serving_until_a_restart_with_room(self) -> None:
        disk = disks.Tmpfs(mib=64)
        self.cluster.closing.callback(disk.close)
        self.broken.data_dir = disk.path / "data"
        self.cluster.configure(self.broken, memtable_mib=1)
        self.fails_and_comes_back(disk.fill, disk.empty,
                                  "No space left on device", 1)

    @isolation.needed
    def test_a_node_whose_disk_is_full_at_its_start_says_so(self) -> None:
        disk = disks.Tmpfs(mib=16)
        self.cluster.closing.callback(disk.close)
        self.broken.data_dir = disk.path / "data"
        self.cluster.configure(self.broken)
        disk.fill()
        self.broken.launch()
        self.assertEqual(self.broken.wait(), 1)
        (event,) = self.broken.events("cannot_start")
        self.assertRegex(event["why"], f"the disk of data_dir {self.broken.data_dir} is full")
        disk.empty()
        self.cluster.start()

    @isolation.needed
    def test_how_much_room_there_is_can_be_watched(self) -> None:
        disk = disks.Tmpfs(mib=64)
        self.cluster.closing.callback(disk.close)
        self.broken.data_dir = disk.path / "data"
        self.cluster.configure(self.broken)
        self.cluster.start()
        self.assertEqual(self.broken.metric("gyre_disk_size_bytes"), 64 << 20)
        self.assertLess(0, self.broken.metric("gyre_disk_free_bytes"))
        self.assertLess(self.broken.metric("gyre_disk_free_bytes"), 64 << 20)


if __name__ == "__main__":
    gyre_processes.main(isolated=True)
