"""A machine loses power, runs out of memory, stands still: no acknowledged write is lost.

What a power cut leaves is what has reached the disk, and nothing of what the kernel still held:
each node is on a disk image of its own, and goes on with a copy of it that was taken while it ran.
"""

import resource
import signal

import disks
import gyre_processes
import isolation
import judged_load
from gyre_processes import PATIENCE

LOAD_S = 10.0
MIB = 1 << 20


class PowerTest(gyre_processes.ClusterTest):
    def start_loads(self, cluster, seconds: float = LOAD_S, *options: str) -> None:
        self.loads = [
            judged_load.start(cluster, "strict", seconds, options=options),
            judged_load.start(cluster, "carts", seconds,
                              options=["--workload", "cart", "--sloppy"]),
        ]

    def wait_for_writes(self, cluster, node, writes: int) -> None:
        before = node.metric("gyre_writes_total")
        cluster.wait_until(lambda: node.metric("gyre_writes_total") >= before + writes,
                           f"{node.name} has taken {writes} writes")

    def nothing_was_lost(self) -> None:
        for load in self.loads:
            verdict = load.verdict()
            self.assertTrue(verdict.sound, verdict)
            self.assertGreater(verdict.acked, 0)

    def cluster_on_disks(self, nodes: int):
        cluster = self.new_cluster(nodes=nodes)
        for node in cluster.nodes:
            self.move(cluster, node, disks.LoopDisk(mib=256))
        return cluster.start()

    @staticmethod
    def move(cluster, node, disk: disks.LoopDisk) -> None:
        cluster.closing.callback(disk.close)
        node.disk = disk
        node.data_dir = disk.path / "data"
        cluster.configure(node)

    @isolation.disks_needed
    def test_all_nodes_lose_power_at_once(self) -> None:
        cluster = self.cluster_on_disks(nodes=3)
        self.start_loads(cluster)
        for _ in range(2):
            self.wait_for_writes(cluster, cluster.nodes[0], 100)
            for node in cluster.nodes:
                node.pause()
            copies = [node.disk.copy() for node in cluster.nodes]
            for node, copy in zip(cluster.nodes, copies):
                node.kill()
                self.move(cluster, node, copy)
            for node in cluster.nodes:
                node.launch()
            for node in cluster.nodes:
                node.wait_until_ready()
        self.nothing_was_lost()

    @isolation.disks_needed
    def test_one_node_after_another_loses_power(self) -> None:
        cluster = self.cluster_on_disks(nodes=3)
        self.start_loads(cluster)
        for node in cluster.nodes:
            self.wait_for_writes(cluster, node, 50)
            node.disk.cut_power()
            node.kill()
            node.disk.replace()
            node.start()
            cluster.wait_until_connected()
        self.nothing_was_lost()

    def test_memory_runs_out(self) -> None:
        if PATIENCE != 1:
            self.skipTest("a sanitizer reserves more address space than any limit")
        cluster = self.start_cluster(nodes=3)
        self.start_loads(cluster, LOAD_S, "--value-bytes", "100000")
        victim = cluster.nodes[1]
        with open(f"/proc/{victim.pid}/statm", encoding="utf-8") as sizes:
            in_use = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.prlimit(victim.pid, resource.RLIMIT_AS, (in_use + 4 * MIB, in_use + 4 * MIB))
        cluster.wait_until(lambda: not victim.is_running, "it has no memory left")
        self.assertIn(victim.exit_code, (-signal.SIGABRT, -signal.SIGSEGV), victim.log())
        victim.start()
        cluster.wait_until_connected()
        self.nothing_was_lost()

    def test_a_node_stands_still_and_runs_on(self) -> None:
        cluster = self.start_cluster(nodes=3)
        self.start_loads(cluster, 2 * LOAD_S)
        hung, other = cluster.nodes[1:]
        self.wait_for_writes(cluster, hung, 50)
        hung.pause()
        # As long as it takes for others to have given it up for dead, and to have gone on for long.
        cluster.wait_until(lambda: self.taken_for(cluster, other, hung) == "dead", "it is dead")
        self.wait_for_writes(cluster, other, 200)
        hung.resume()
        cluster.wait_until(lambda: self.taken_for(cluster, other, hung) == "alive", "it is back")
        self.nothing_was_lost()

    @staticmethod
    def taken_for(cluster, asked, about) -> str:
        status = cluster.status(asked)
        peers = status.peers if status is not None else []
        return next((peer.liveness for peer in peers if peer.node == about.name), "")


if __name__ == "__main__":
    gyre_processes.main(isolated=True)
