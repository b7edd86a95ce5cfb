"""Files of the store that are torn or damaged while the node is down.

A log that ends in the middle of a batch is what a crash leaves: the batch was never acknowledged,
and is dropped. Damage anywhere else refuses the start; the error names the file and the command
after which the node begins anew, filled by the others.
"""

import re
import subprocess
from pathlib import Path

import gyre_processes
from disks import damage

KEYS = [b"key-%d" % number for number in range(100)]


class DamageTest(gyre_processes.ClusterTest):
    def setUp(self) -> None:
        # A start looks at the first record of each partition: most blocks it does not read.
        self.cluster = self.start_cluster(nodes=3, config={"partitions": 8})
        self.node = self.cluster.nodes[0]
        self.client = self.cluster.client(*self.cluster.nodes[1:])
        self.client.create_table(self.client.wire.messages.Table(name="t", replicas=3))

    def write(self, value: bytes) -> None:
        for key in KEYS:
            self.client.put("t", key, value + key * 2000)

    def expect(self, value: bytes) -> None:
        self.cluster.wait_until_same("t")
        (held, *_) = self.cluster.contents("t").values()
        items = {key: values for items in held.values() for key, values in items.items()}
        self.assertEqual(items, {key: [value + key * 2000] for key in KEYS})

    def files(self, ending: str) -> list[Path]:
        """The largest one first."""
        found = (self.node.data_dir / "store").glob(f"*{ending}")
        return sorted(found, key=lambda path: -path.stat().st_size)

    def refuses_to_start(self, damaged: Path) -> str:
        """Naming the file; the command that it advises."""
        self.node.launch()
        self.assertEqual(self.node.wait(), 1)
        (event,) = self.node.events("cannot_start")
        self.assertIn(str(damaged), event["why"])
        command = re.search(r"run: (mv .*) and start the node again", event["why"])
        self.assertIsNotNone(command, event["why"])
        return command.group(1)

    def is_rebuilt_by(self, command: str) -> None:
        subprocess.run(command, shell=True, check=True)
        self.node.start()
        self.cluster.wait_until_connected()
        anew = self.cluster.client(self.node)
        self.cluster.wait_until(lambda: [t.name for t in anew.topology().reply.tables] == ["t"],
                                "it has heard of the table")
        self.write(b"after")
        self.expect(b"after")

    def test_the_torn_end_of_a_log_is_dropped(self) -> None:
        self.write(b"first")
        self.node.kill()
        self.write(b"second")
        (log, *_) = self.files(".log")
        with open(log, "r+b") as file:
            file.truncate(log.stat().st_size - 3)
        self.node.start()
        self.expect(b"second")
        self.node.kill()
        with open(log := self.files(".log")[0], "ab") as file:
            file.write(log.read_bytes()[:20])  # a batch that begins and never ends
        self.node.start()
        self.cluster.wait_until_connected()
        self.write(b"third")
        self.expect(b"third")

    def test_a_log_that_is_damaged_in_the_middle_is_refused(self) -> None:
        self.write(b"first")
        self.node.kill()
        (log, *_) = self.files(".log")
        damage(log, log.stat().st_size // 2)
        command = self.refuses_to_start(log)
        self.assertEqual(self.refuses_to_start(log), command, "as often as it is tried")
        self.is_rebuilt_by(command)

    def test_a_data_file_that_is_cut_short_is_refused(self) -> None:
        self.write(b"first")
        self.assertEqual(self.node.terminate(), 0)  # writes data files
        (data, *_) = self.files(".sst")
        with open(data, "r+b") as file:
            file.truncate(data.stat().st_size // 2)
        self.is_rebuilt_by(self.refuses_to_start(data))

    def test_a_data_file_that_is_gone_is_refused(self) -> None:
        self.write(b"first")
        self.assertEqual(self.node.terminate(), 0)
        (data, *_) = self.files(".sst")
        data.unlink()
        self.is_rebuilt_by(self.refuses_to_start(data))

    def test_a_data_file_that_the_start_reads_and_finds_damaged_is_refused(self) -> None:
        self.write(b"first")
        self.assertEqual(self.node.terminate(), 0)
        (log_of_dots, *_) = [path for path in self.files(".sst")
                             if b"firstkey-50" not in path.read_bytes()]
        damage(log_of_dots, log_of_dots.stat().st_size // 4)
        self.is_rebuilt_by(self.refuses_to_start(log_of_dots))

    def test_a_block_that_is_damaged_is_served_by_nobody_and_its_file_is_named(self) -> None:
        self.write(b"first")
        self.assertEqual(self.node.terminate(), 0)
        (data,) = [path for path in self.files(".sst") if b"firstkey-50" in path.read_bytes()]
        damage(data, data.read_bytes().index(b"firstkey-50"))
        self.node.start()

        # A compaction may meet it before any read does; that ends the node's service.
        def told() -> str:
            for key in KEYS:
                self.assertEqual(list(self.client.get("t", key).reply.values),
                                 [b"first" + key * 2000])
            unreadable = [event["last"] for event in self.node.events("records_unreadable")]
            failed = [event["why"] + event["do"] for event in self.node.events("disk_failed")]
            return "".join(unreadable + failed)
        why = self.cluster.wait_until(told, "it says so")
        self.assertIn(str(data), why)
        if self.node.events("disk_failed"):
            self.assertIn(f"mv '{self.node.data_dir}/store'", why)


if __name__ == "__main__":
    gyre_processes.main()
