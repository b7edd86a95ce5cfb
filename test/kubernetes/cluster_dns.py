"""ClusterDns: the name server of a drill: what Kubernetes' own says of a headless service.

    dns = ClusterDns("10.91.0.254")                 # UDP, port 53
    dns.set("gyre-0.gyre-peers.gyre.svc.cluster.local", ["10.91.0.1"])
    resolv_conf = dns.resolv_conf("gyre")           # as a pod of that namespace has it
    dns.close()

A name has the addresses that were set last, or is not there at all (NXDOMAIN); there are no IPv6
addresses. Answers may be kept for a second.

Thread rule: it answers on a thread of its own; `set` from any.
"""

import socket
import struct
import threading
from typing import Sequence

DOMAIN = "cluster.local"
_A, _IN = 1, 1
_TTL_S = 1
_RESPONSE, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION = 0x8000, 0x0400, 0x0100, 0x0080
_NO_SUCH_NAME = 3


def _question(query: bytes) -> tuple[str, int, int]:
    """The name, the type, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def answer(query: bytes, names: dict[str, list[str]]) -> bytes:
    """The message that answers a query of one question."""
    identity, flags = struct.unpack_from("!HH", query)
    name, kind, end = _question(query)
    addresses = names.get(name, []) if kind == _A else []
    flags = (_RESPONSE | _AUTHORITATIVE | _RECURSION | (flags & _RECURSION_DESIRED) |
             (0 if name in names else _NO_SUCH_NAME))
    reply = struct.pack("!HHHHHH", identity, flags, 1, len(addresses), 0, 0) + query[12:end]
    for address in addresses:
        reply += struct.pack("!HHHIH4s", 0xC00C, _A, _IN, _TTL_S, 4, socket.inet_aton(address))
    return reply


class ClusterDns:
    def __init__(self, address: str):
        self.address = address
        self._names: dict[str, list[str]] = {}  # replaced, never changed
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def set(self, name: str, addresses: Sequence[str]) -> None:
        names = {**self._names, name: list(addresses)}
        if not addresses:
            del names[name]
        self._names = names

    def resolv_conf(self, namespace: str) -> str:
        return (f"nameserver {self.address}\n"
                f"search {namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\noptions ndots:5\n")

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:  # see close
                return
            try:
                reply = answer(query, self._names)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue  # no query at all
            self._socket.sendto(reply, sender)

    def close(self) -> None:
        self._socket.sendto(b"", (self.address, 53))
        self._thread.join()
        self._socket.close()
