#!/usr/bin/env python3
"""Drives the shopping cart over HTTP, on a real cluster, while a node is killed under it."""

import json
import random
import secrets
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPMessage

import gyre_processes
from gyre_processes import PATIENCE, ROOT, ClusterTest, HeldPort, stubs_folder

RECORDS = 300
CHANGES = 60  # of each device
GIVE_UP_AFTER_S = 30 * PATIENCE  # a request that is not answered by then, retries included, failed


class Backend:
    """The cart's HTTP door, asked as a browser asks: again, when it says 503 and when to return."""

    def __init__(self, address: str):
        self._address = address
        self._lock = threading.Lock()
        self.retries = 0  # guarded by _lock

    def ask(self, path: str, body: dict | None = None) -> dict:
        ends = time.monotonic() + GIVE_UP_AFTER_S
        while True:
            status, headers, answer = self.ask_once(path, body)
            if status == 200:
                return answer
            if status != 503 or time.monotonic() > ends:
                raise AssertionError(f"{path} {body}: {status} {answer}")
            with self._lock:
                self.retries += 1
            time.sleep(float(headers["Retry-After"]) * random.uniform(0.1, 1.0))

    def ask_once(self, path: str, body: dict | None = None) -> tuple[int, HTTPMessage, dict]:
        connection = HTTPConnection(self._address, timeout=GIVE_UP_AFTER_S)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body),
                                   {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.headers, json.loads(response.read())
        finally:
            connection.close()


class Device:
    """A browser with its own name: adds under tags, and removes what it was shown.

    It knows what the store acknowledged, which is what the test is about.
    """

    def __init__(self, backend: Backend, cart_id: str, seed: int):
        self._backend = backend
        self._path = f"/api/cart/{cart_id}"
        self._random = random.Random(seed)
        self.name = secrets.token_hex(8)
        self.added: dict[str, tuple[str, int]] = {}  # tag -> (package, quantity)
        self.removed: set[str] = set()  # tags
        self.changes = 0

    def work(self, packages: list[str]) -> None:
        shown: list[dict] = []
        for self.changes in range(1, CHANGES + 1):
            if shown and self._random.random() < 0.4:
                line = self._random.choice(shown)
                shown = self._backend.ask(f"{self._path}/remove", {
                    "package": line["package"], "tags": line["tags"]})["lines"]
                self.removed.update(line["tags"])
            else:
                tag = f"{self.name}:{len(self.added) + 1}"
                what = (self._random.choice(packages), self._random.randint(1, 2))
                shown = self._backend.ask(f"{self._path}/add", {
                    "package": what[0], "quantity": what[1], "tag": tag})["lines"]
                self.added[tag] = what


class Cart(ClusterTest):
    def setUp(self):
        self.cluster = self.start_cluster(nodes=3)
        self.client = self.cluster.client()
        self.packages = [f"package-{number}" for number in range(RECORDS)]
        messages = self.cluster.wire.messages
        self.client.create_table(messages.Table(name="catalogue", replicas=3))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.load, self.packages))
        port = HeldPort()
        self.addCleanup(port.release)
        self.program = self.cluster.add_program("cart", [
            sys.executable, "-B", ROOT / "deploy/examples/cart/cart.py",
            "--gyre", ",".join(self.cluster.addresses), "--listen", port.address,
            "--stubs", stubs_folder()])
        self.program.launch()
        self.program.wait_for_line(r"^gyre-cart: listening on http://")
        self.backend = Backend(port.address)

    def load(self, name: str) -> None:
        self.client.put("catalogue", name.encode(),
                        f"Package: {name}\nDescription: what {name} does\n".encode())

    def shown(self, cart_id: str) -> dict[str, str]:
        """tag -> package, of all that is in the cart."""
        lines = self.backend.ask(f"/api/cart/{cart_id}")["lines"]
        return {tag: line["package"] for line in lines for tag in line["tags"]}

    def test_two_devices_lose_nothing_while_a_node_is_killed(self):
        devices = [Device(self.backend, "shared", seed) for seed in (1, 2)]
        few = self.packages[:25]  # so that the devices meet at the same packages
        with ThreadPoolExecutor(len(devices)) as pool:
            work = [pool.submit(device.work, few) for device in devices]

            def all_made(changes: int) -> bool:
                done = [future for future in work if future.done()]
                for future in done:
                    future.result()
                return bool(done) or all(device.changes >= changes for device in devices)
            self.cluster.wait_until(lambda: all_made(CHANGES // 3), "a third of them is made")
            self.cluster.nodes[1].kill()
            killed_at = [device.changes for device in devices]
            for future in work:
                future.result()
        self.assertTrue(all(at < CHANGES for at in killed_at), "the node was killed too late")

        expected = {tag: what[0] for device in devices for tag, what in device.added.items()}
        for device in devices:
            for tag in device.removed:
                expected.pop(tag, None)
        self.assertEqual(self.shown("shared"), expected)
        quantities = self.backend.ask("/api/cart/shared")["quantity"]
        self.assertEqual(quantities, sum(device.added[tag][1] for device in devices
                                         for tag in device.added if tag in expected))

        # Nor once the node is back, has caught up, and another one is gone instead.
        self.cluster.nodes[1].start()
        self.cluster.wait_until_connected()
        self.cluster.wait_until_same("carts")
        self.cluster.nodes[0].kill()
        self.assertEqual(self.shown("shared"), expected)

    def test_first_adds_of_a_cart_at_the_same_moment_are_all_kept(self):
        for number in range(20):
            start = threading.Barrier(3)

            def add(package: str) -> None:
                start.wait()
                self.backend.ask(f"/api/cart/new-{number}/add", {
                    "package": package, "quantity": 1, "tag": f"{secrets.token_hex(8)}:1"})
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(add, self.packages[:3]))
            self.assertEqual(sorted(self.shown(f"new-{number}").values()),
                             sorted(self.packages[:3]))

    def test_it_finds_what_was_loaded_and_says_who_answered(self):
        found = self.backend.ask("/api/search?q=package-29")
        self.assertEqual(found["total"], 11)
        self.assertEqual(found["indexed"], RECORDS)
        self.assertEqual(found["packages"][0]["summary"], "what package-29 does")
        self.cluster.nodes[2].kill()
        for name in self.packages[:20]:
            answer = self.backend.ask(f"/api/package/{name}")["answers"][0]
            parts = {replica["node"]: replica["part"] for replica in answer["replicas"]}
            self.assertEqual(set(parts), {"n1", "n2", "n3"})
            self.assertIn(answer["coordinator"], ("n1", "n2"))
            self.assertGreaterEqual(answer["answered"], 2)
            self.assertNotIn(parts["n3"], ("answered", "coordinator"))
        nodes = self.backend.ask("/api/status")["nodes"]
        self.assertEqual([node["reachable"] for node in nodes], [True, True, False])

    def test_without_a_quorum_it_says_so_and_goes_on_when_the_nodes_are_back(self):
        self.backend.ask("/api/cart/mine/add", {"package": "package-1", "tag": f"{'a' * 16}:1"})
        for node in self.cluster.nodes[:2]:
            node.kill()
        again = {"package": "package-2", "tag": f"{'a' * 16}:2"}
        status, headers, answer = self.backend.ask_once("/api/cart/mine/add", again)
        self.assertEqual((status, answer["error"]["code"]), (503, "store_unavailable"))
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        for node in self.cluster.nodes[:2]:
            node.start()
        self.backend.ask("/api/cart/mine/add", again)
        self.assertEqual(sorted(self.shown("mine").values()), ["package-1", "package-2"])

    def test_it_ends_cleanly(self):
        self.assertEqual(self.program.terminate(), 0)
        self.assertEqual([node.terminate() for node in self.cluster.nodes], [0, 0, 0])


if __name__ == "__main__":
    gyre_processes.main()
