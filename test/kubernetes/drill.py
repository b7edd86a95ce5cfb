#!/usr/bin/env python3
"""What docs/kubernetes.md says, with real nodes under the very configuration of the pods:

    drill.py                       each pod a network namespace
    drill.py --engine docker       each pod a container; see test/k8s_drill.sh

Three pods that are listed, two that join through the headless service; under load one comes back
with another address and its volume, and one leaves and is killed in the middle; then one comes back
after it left, and two lose their volumes. What was written first is read back whole at the end, and
the load is judged as in the simulator (gyre_drive). The last line is

gyre-k8s-drill: engine=<e> pods=5 written=<n> read=<n> requests=<n> failed_requests=0 lost=0

The exit code is not 0 when anything was otherwise, and 77 where the machine allows no namespaces.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import isolation  # noqa: E402: of the integration tests
import kustomization  # noqa: E402: beside this file
import pods  # noqa: E402
import rules  # noqa: E402
from cluster_dns import DOMAIN, ClusterDns  # noqa: E402
from gyre_processes import CLI, DRIVE, Expired, Program, stubs_folder  # noqa: E402
from gyre_processes import tail, wait_until  # noqa: E402
import stubs  # noqa: E402: of the example, where gyre_processes looks
from gyre_client import GyreClient  # noqa: E402

RECORDS = 2000
VALUE_BYTES = 1000
LOAD_S = 12
SETTLED_WITHIN_S = 120
FOUND_WITHIN_S = 6
NOT_A_MEMBER, CANNOT_START = 3, 1  # exit codes of gyred
SERVING = b"\x08\x01"
ZONE = "default"  # of every machine
_DRIVEN = re.compile(r"^gyre-drive: requests=(\d+) failed=(\d+) lost_writes=(\d+)", re.M)


class StatefulSet:
    """The pods, what the name server says of them, and what Kubernetes would ask them."""

    def __init__(self, engine: pods.Engine, dns: ClusterDns):
        self.engine = engine
        self._dns = dns
        self._objects = engine.workload
        self.name = self._objects.set["metadata"]["name"]
        self.pods = {}

    def pod(self, number: int) -> pods.Pod:
        name = f"{self.name}-{number}"
        return self.pods.setdefault(name, self.engine.pod(name))

    def create(self, *numbers: int) -> None:
        for number in numbers:
            self.pod(number).create()
        self.publish()

    def delete(self, number: int) -> None:
        """As a pod is deleted: by SIGTERM, and its name and address are gone."""
        pod = self.pod(number)
        if pod.is_running and pod.terminate() != 0:
            raise AssertionError(f"{pod.name} ended with {pod.exit_code}")
        pod.delete()
        self.publish()

    def publish(self) -> None:
        domain = f"{self.engine.namespace}.svc.{DOMAIN}"
        there = [pod for pod in self.pods.values() if pod.exists]
        service = self._objects.spec["serviceName"]
        for pod in self.pods.values():
            self._dns.set(f"{pod.name}.{service}.{domain}", [pod.address] if pod.exists else [])
        self._dns.set(f"{service}.{domain}", [pod.address for pod in there])
        self._dns.set(f"{self.name}.{domain}", [pod.address for pod in there])

    def probe(self, pod: pods.Pod, which: str) -> bool:
        """One that the container has: over gRPC, from outside of it."""
        asked = self._objects.container[which]["grpc"]
        request = b"\x0a" + bytes([len(asked["service"])]) + asked["service"].encode()
        with grpc.insecure_channel(f"{pod.address}:{asked['port']}") as channel:
            try:
                return channel.unary_unary("/grpc.health.v1.Health/Check")(
                    request, timeout=2) == SERVING
            except grpc.RpcError:
                return False

    def wait_until_ready(self, *numbers: int) -> None:
        for number in numbers:
            pod = self.pod(number)

            def ready(pod: pods.Pod = pod) -> bool:
                if not pod.is_running:
                    raise Expired(f"{pod.name} ended with {pod.exit_code}:\n{tail(pod.log())}")
                return all(self.probe(pod, which) for which in rules.PROBES)
            wait_until(ready, f"{pod.name} is ready")


class Drill:
    def __init__(self, stateful: StatefulSet, folder: Path, seed: int):
        self.set = stateful
        self.folder = folder
        self._random = random.Random(seed)
        self.written: dict[str, str] = {}
        self.read = 0
        self.requests = self.failed = self.lost = 0
        self.wrong: list[str] = []

    def gyre(self, *words: str, expect: int = 0) -> str:
        """By the service for clients, as one within the cluster would."""
        done = subprocess.run(
            [CLI, "--connect", f"{self.set.name}:7100", *words], capture_output=True, text=True,
            check=False)
        if done.returncode != expect:
            raise AssertionError(f"gyre {' '.join(words)} ended with {done.returncode}: "
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def transfers(self) -> dict:
        return json.loads(self.gyre("--json", "transfers"))

    def members(self) -> dict[str, tuple[str, str]]:
        return {m["node"]: (m["zone"], m["state"]) for m in self.transfers()["members"]}

    def tell_zones(self) -> None:
        """zones.sh, with a kubectl that knows the pods, and runs the real `gyre`."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        there = "".join(f"print('{pod.name} machine')\n" for pod in self.set.pods.values()
                        if pod.exists)
        (folder / "kubectl").write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            "if sys.argv[1:3] == ['get', 'pods']:\n" + textwrap.indent(there, "    ") +
            "elif sys.argv[1:3] == ['get', 'node']:\n"
            f"    print({ZONE!r}, end='')\n"
            "elif sys.argv[1] == 'exec':\n"
            "    at = sys.argv.index('--')\n"
            f"    os.execv({str(CLI)!r}, ['gyre', '--connect', '{self.set.name}:7100',\n"
            "             *sys.argv[at + 2:]])\n")
        (folder / "kubectl").chmod(0o755)
        told = subprocess.run(
            [rules.ROOT / "deploy/k8s/zones.sh"], capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
        if told.returncode != 0 or set(self.members().values()) != {(ZONE, "active")}:
            raise AssertionError(f"zones.sh ended with {told.returncode}: {told.stdout}"
                                 f"{told.stderr}; {self.members()}")

    def settle(self, *numbers: int) -> None:
        """Nothing moves, these own what there is, all serve and have nothing to fill."""
        owners = {f"{self.set.name}-{number}" for number in numbers}

        def settled() -> bool:
            try:
                now = self.transfers()
                self.gyre("status")
            except AssertionError:  # one is away, which is asked for its status too
                return False
            to_fill = [self.metrics(number, "gyre_partitions_to_fill") for number in numbers]
            return (now["copies"] == 0 and all(one == [0] for one in to_fill) and
                    {m["node"] for m in now["members"] if m["owned"] > 0} == owners)
        wait_until(settled, f"{sorted(owners)} own all, and nothing moves", SETTLED_WITHIN_S)

    def metrics(self, number: int, name: str) -> list[float]:
        """Of all its labels."""
        port = self.set.engine.workload.ports["http"]
        address = self.set.pod(number).address
        page = subprocess.run(["curl", "--silent", "--fail", f"http://{address}:{port}/metrics"],
                              capture_output=True, text=True, check=True).stdout
        return [float(found) for found in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M)]

    def served(self, number: int) -> float:
        """Requests of clients, since its last start."""
        return sum(self.metrics(number, "gyre_request_seconds_count"))

    def write(self) -> None:
        self.gyre("table", "create", "items", "--replicas", "3", "--r", "2", "--w", "2")
        path = self.folder / "items.tsv"
        for number in range(RECORDS):
            self.written[f"key-{number}"] = f"{self._random.getrandbits(64):x}".ljust(VALUE_BYTES)
        path.write_text("".join(f"{key}\t{value}\n" for key, value in self.written.items()))
        self.gyre("load", str(path), "--table", "items", "--format", "tsv")

    def read_back(self) -> None:
        """Each record by a read of its own, of two owners."""
        addresses = [f"{pod.address}:7100" for pod in self.set.pods.values()]
        client = GyreClient(stubs.load(stubs_folder()), addresses)
        for key, value in self.written.items():
            values = client.get("items", key.encode()).reply.values
            self.read += list(values) == [value.encode()]
        client.close()

    def dump(self) -> dict[str, str]:
        records = {}
        for line in self.gyre("dump", "items").splitlines():
            record = json.loads(line)
            (records[record["key"]],) = record["values"]
        return records

    def load(self) -> Program:
        program = Program("drive", [
            DRIVE, "--connect", f"{self.set.name}:7100", "--table", "drive", "--seconds",
            str(LOAD_S), "--rate", "200", "--clients", "16", "--keys", "500"], self.folder)
        program.launch()
        return program

    def judge(self, program: Program) -> None:
        program.wait(LOAD_S + 60)
        found = _DRIVEN.search(program.log())
        if found is None or program.exit_code != 0:
            self.wrong.append(f"the load ended with {program.exit_code}: {tail(program.log())}")
        if found is not None:
            self.requests, self.failed, self.lost = map(int, found.groups())

    # ---------------------------------------------------------------------------------- the steps

    def run(self) -> None:
        steps = [self.first_start, self.scale_up, self.moves_and_leaves, self.left_for_good,
                 self.scale_up_again, self.a_listed_one_loses_its_volume,
                 self.one_that_joined_loses_its_volume, self.nothing_is_lost]
        for step in steps:
            began = time.monotonic()
            step()
            print(f"  {time.monotonic() - began:5.1f} s  {step.__doc__}", flush=True)

    def first_start(self) -> None:
        """three pods that are listed make the cluster; records are written"""
        self.set.create(0, 1, 2)
        self.set.wait_until_ready(0, 1, 2)
        self.gyre("zone", "gyre-1", "elsewhere")
        self.tell_zones()
        self.write()

    def scale_up(self) -> None:
        """two more join at once through the headless service"""
        self.set.create(3, 4)
        self.set.wait_until_ready(3, 4)
        self.settle(0, 1, 2, 3, 4)

    def moves_and_leaves(self) -> None:
        """under load one comes back elsewhere with its volume; one leaves, killed meanwhile"""
        load = self.load()
        try:
            before, members = self.set.pod(1).address, self.transfers()["members"]
            self.set.delete(1)
            self.set.create(1)
            if self.set.pod(1).address == before:
                raise AssertionError(f"the drill is of no use: the address is {before} again")
            self.set.wait_until_ready(1)
            wait_until(lambda: self.served(1) > 0, "clients find gyre-1 where it is now",
                       FOUND_WITHIN_S)
            self.settle(0, 1, 2, 3, 4)
            if self.transfers()["members"] != members:
                raise AssertionError("it is another node, though its name and volume are the same")
            self.gyre("node", "leave", "gyre-4")
            self.set.pod(4).kill()
            self.set.pod(4).restart()
            self.set.publish()
            code = self.set.pod(4).wait_for_end(SETTLED_WITHIN_S)
            if code != NOT_A_MEMBER:
                raise AssertionError(f"gyre-4 left, and ended with {code}:\n"
                                     f"{tail(self.set.pod(4).log())}")
            self.settle(0, 1, 2, 3)
            self.judge(load)
        finally:
            load.close()

    def _ends_at_its_start(self, number: int, why: str) -> None:
        pod = self.set.pod(number)
        code = pod.wait_for_end(30)
        if code != CANNOT_START or why not in pod.log():
            raise AssertionError(f"{pod.name} ended with {code}, and did not say {why!r}:\n"
                                 f"{tail(pod.log())}")

    def left_for_good(self) -> None:
        """the container of the one that left is started again, and refused: it is scaled away"""
        self.set.pod(4).restart()
        self._ends_at_its_start(4, "was removed from the cluster")
        self.set.delete(4)

    def scale_up_again(self) -> None:
        """over the old volume it is refused; with a new one it joins, and waits for its zone"""
        self.set.create(4)
        self._ends_at_its_start(4, "to join again it needs an empty data directory")
        self.set.delete(4)
        self.set.pod(4).lose_volume()
        self.set.pod(4).more_arguments = ["--join-waits"]  # as the overlay `zones` has it
        self.set.create(4)
        self.set.wait_until_ready(4)
        if self.members()["gyre-4"] != (ZONE, "waiting"):
            raise AssertionError(f"gyre-4 is to wait, and to own nothing: {self.members()}")
        self.tell_zones()
        self.settle(0, 1, 2, 3, 4)

    def a_listed_one_loses_its_volume(self) -> None:
        """one that is listed loses its volume, and is filled by the others"""
        self.set.delete(2)
        self.set.pod(2).lose_volume()
        self.set.create(2)
        self.set.wait_until_ready(2)
        self.settle(0, 1, 2, 3, 4)

    def one_that_joined_loses_its_volume(self) -> None:
        """one that joined loses its volume, is refused, is removed, and joins as a new one"""
        self.set.delete(3)
        self.set.pod(3).lose_volume()
        self.set.create(3)
        self._ends_at_its_start(3, "there is another node 'gyre-3'")
        self.gyre("node", "remove", "gyre-3")
        wait_until(lambda: not any(m["node"] == "gyre-3" for m in self.transfers()["members"]),
                   "gyre-3 is no member any more", SETTLED_WITHIN_S)
        self.set.pod(3).restart()
        self.set.publish()
        self.set.wait_until_ready(3)
        self.settle(0, 1, 2, 3, 4)

    def nothing_is_lost(self) -> None:
        """what was written first is there, and nothing else"""
        self.read_back()
        if self.dump() != self.written:
            self.wrong.append("what was written first is not what is there now")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--engine", choices=("namespaces", "docker"), default="namespaces")
    parser.add_argument("--images", type=Path, help="where docker keeps its images")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.engine == "docker" and options.images is None:
        parser.error("--engine docker needs --images")
    workload = rules.Objects(kustomization.render(rules.ROOT / "deploy/k8s/overlays/dev"))

    def interrupted(number, _):
        raise KeyboardInterrupt(f"signal {number}")
    signal.signal(signal.SIGTERM, interrupted)
    if options.engine == "docker" and "GYRE_ISOLATED" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="gyre-k8s-") as name:
            pods.build_image(Path(name), options.images, workload.container["image"])
    isolation.enter()
    if isolation.why_not():
        print(f"skipped: {isolation.why_not()}")
        return 77
    folder = Path(tempfile.mkdtemp(prefix="gyre-k8s-"))
    engine = (pods.Docker(folder, workload, options.images) if options.engine == "docker" else
              pods.Namespaces(folder, workload))
    dns = ClusterDns(engine.hub)
    stateful = StatefulSet(engine, dns)
    drill = Drill(stateful, folder, options.seed)
    try:
        (folder / "resolv.conf").write_text(dns.resolv_conf(engine.namespace))
        subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
        drill.run()
    except AssertionError as failed:  # Expired is one
        drill.wrong.append(str(failed))
    finally:
        for pod in stateful.pods.values():
            if drill.wrong and pod.exists:
                print(f"--- {pod.name}, the end of its log:\n{tail(pod.log())}", file=sys.stderr)
            if pod.exists:
                pod.delete()
        dns.close()
        engine.close()
        shutil.rmtree(folder)
    for one in drill.wrong:
        print(f"wrong: {one}", file=sys.stderr)
    print(f"gyre-k8s-drill: engine={engine.name} pods={len(stateful.pods)} "
          f"written={len(drill.written)} read={drill.read} requests={drill.requests} "
          f"failed_requests={drill.failed} lost={drill.lost}")
    return int(bool(drill.wrong) or drill.failed + drill.lost > 0 or drill.requests == 0 or
               drill.read != len(drill.written) or drill.read == 0)


if __name__ == "__main__":
    sys.exit(main())
