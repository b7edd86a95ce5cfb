"""Network: hosts behind one bridge, whose packets can be dropped: in one direction, in both, or of
single connections.

    network = Network(hosts=3)            # inside isolation.enter()
    first, second, third = network.hosts
    subprocess.Popen(first.command(["gyred", ...]))   # has first.address, and no other
    network.drop(first, second)           # what first sends to second does not arrive
    network.heal()

This process reaches all of them and is never cut off. A host is a network namespace that a sleeping
process holds; it dies with this one, and its namespace, its interface and its rules with it.

Thread rule: one thread.
"""

import os
import subprocess
import time
from typing import Sequence

_PREFIX = "10.91.0."
_HUB = _PREFIX + "254"
_HELD_WITHIN_S = 5.0
_RULES = """
table inet gyre {
  chain in { type filter hook input priority 0; }
}
"""
_RULE = ("nft", "add", "rule", "inet", "gyre", "in")


def _run(*command: str, text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Host:
    """A machine of its own, as far as the network is concerned."""

    def __init__(self, index: int):
        self.address = f"{_PREFIX}{index + 1}"
        outside = os.stat("/proc/self/ns/net").st_ino
        self._holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL",
                                         "unshare", "--net", "sleep", "infinity"])
        ends = time.monotonic() + _HELD_WITHIN_S
        while os.stat(self._path).st_ino == outside:
            if self._holder.poll() is not None or time.monotonic() > ends:
                raise OSError("a network namespace could not be made")
            time.sleep(0.005)
        veth = f"gyre{index + 1}"
        _run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns",
             str(self._holder.pid))
        _run("ip", "link", "set", veth, "master", "gyre0", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("nft", "-f", "-", text=_RULES)

    @property
    def _path(self) -> str:
        return f"/proc/{self._holder.pid}/ns/net"

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs `command` here, as the same process."""
        return ["nsenter", f"--net={self._path}", "--", *map(str, command)]

    def run(self, *command: str, text: str | None = None) -> None:
        _run(*self.command(command), text=text)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Network:
    def __init__(self, hosts: int):
        self.hosts: list[Host] = []
        _run("ip", "link", "add", "gyre0", "type", "bridge")
        _run("ip", "address", "add", f"{_HUB}/24", "dev", "gyre0")
        _run("ip", "link", "set", "gyre0", "up")
        for index in range(hosts):
            self.hosts.append(Host(index))

    def drop(self, source: Host, target: Host) -> None:
        """What `source` sends to `target` does not arrive. Connections between the two stall in
        both directions, for acknowledgements are dropped as well."""
        target.run(*_RULE, "ip", "saddr", source.address, "drop")

    def drop_both_ways(self, one: Host, other: Host) -> None:
        self.drop(one, other)
        self.drop(other, one)

    def drop_connections(self, source: Host, target: Host, port: int) -> None:
        """What `source` sends on connections that it opens to that port of `target`. What `target`
        says on connections of its own still arrives: a link that is dead in one direction."""
        target.run(*_RULE, "ip", "saddr", source.address, "tcp", "dport", str(port), "drop")

    def isolate(self, host: Host) -> None:
        """From all other hosts, not from this process."""
        for other in self.hosts:
            if other is not host:
                self.drop_both_ways(host, other)

    def heal(self) -> None:
        for host in self.hosts:
            host.run("nft", "flush", "chain", "inet", "gyre", "in")

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        _run("ip", "link", "delete", "gyre0")
