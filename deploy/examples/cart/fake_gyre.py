"""FakeGyre: a cluster of gRPC servers in this process over one dictionary, for tests.

Each server is a node of its own address that can be told to fail. What they share keeps siblings as
the real store does: a read of what is not there has a context, too, which covers nothing; a write
replaces what its context covers, one without a context what is there, a blind one nothing; and one
idempotency key has one effect.
"""

import concurrent.futures
import json
import socket
import threading
import zlib
from dataclasses import dataclass, field

import grpc

import stubs

SLICES = 8


@dataclass
class _Fault:
    code: grpc.StatusCode
    detail: object = None
    applies: bool = False  # the request takes effect, and the answer is lost
    of: str = ""  # the name of the request's message; empty: any


@dataclass
class _Record:
    versions: dict[int, bytes] = field(default_factory=dict)
    seen: int = 0  # versions 1 to seen were written


class FakeGyre:
    def __init__(self, wire: stubs.Wire, nodes: int = 3):
        self.messages = wire.messages
        self.lock = threading.Lock()
        self.tables: dict[str, object] = {}
        self.records: dict[tuple[str, bytes], _Record] = {}
        self.replies_by_idempotency_key: dict[bytes, object] = {}
        self.requests: list[tuple[str, object]] = []  # (node, request), in the order of arrival
        self.failing_items: dict[bytes, grpc.StatusCode] = {}  # each fails once
        self.nodes = [FakeNode(self, wire, f"n{number}") for number in range(1, nodes + 1)]

    @property
    def addresses(self) -> list[str]:
        return [node.address for node in self.nodes]

    def create(self, name: str, **fields) -> None:
        self.tables[name] = self.messages.Table(
            name=name, **{"replicas": 3, "read_quorum": 2, "write_quorum": 2, **fields})

    def put(self, request):
        with self.lock:
            key = bytes(request.options.idempotency_key)
            if key in self.replies_by_idempotency_key:
                return self.replies_by_idempotency_key[key]
            record = self.records.setdefault((request.table, request.key), _Record())
            covered = set(json.loads(request.context)) if request.context else set(
                record.versions if request.mode == self.messages.WRITE_MODE_DEFAULT else ())
            left = {v: value for v, value in record.versions.items() if v not in covered}
            record.seen += 1
            record.versions = {**left, record.seen: request.value}
            context = json.dumps(sorted({*covered, record.seen})).encode()
            reply = self.messages.PutReply(context=context, info=self.info())
            if key:
                self.replies_by_idempotency_key[key] = reply
            return reply

    def get(self, table: str, key: bytes):
        with self.lock:
            record = self.records.get((table, key), _Record())
            context = json.dumps(list(record.versions)).encode()  # of a missing key, too
            return self.messages.GetReply(
                found=bool(record.versions), values=list(record.versions.values()),
                context=context, info=self.info())

    def info(self):
        part = self.messages.ReplicaPart
        return self.messages.ReplyInfo(
            epoch=1, needed=2, answered=2, coordinator=self.nodes[0].name,
            replicas=[part(node=self.nodes[0].name, part=part.PART_COORDINATOR, micros=80),
                      part(node=self.nodes[-1].name, part=part.PART_ANSWERED, micros=310)])

    def close(self) -> None:
        for node in self.nodes:
            node.close()


class FakeNode:
    """One server. `fail` makes its next requests fail; `stop` makes it unreachable; `move` too, and
    then it is at another address, on the same port.
    """

    def __init__(self, gyre: FakeGyre, wire: stubs.Wire, name: str):
        self.name = name
        self._gyre = gyre
        self._wire = wire
        self._faults: list[_Fault] = []
        # Holds the port without listening, so that nobody else answers at it after `stop`. Shared
        # only once it is bound: a free port is asked for that no other test holds.
        self._port = socket.socket()
        self._port.bind(("127.0.0.1", 0))
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._start("127.0.0.1")

    @property
    def port(self) -> int:
        return self._port.getsockname()[1]

    def _start(self, host: str) -> None:
        self.address = f"{host}:{self.port}"
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8),
                                   options=[("grpc.so_reuseport", 1)])
        self._wire.services.add_GyreServicer_to_server(
            _servicer(self._wire)(self._gyre, self), self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def fail(self, code: grpc.StatusCode, times: int = 1, detail=None, applies=False,
             of: str = "") -> None:
        self._faults += [_Fault(code, detail, applies, of) for _ in range(times)]

    def move(self, host: str) -> None:
        self.stop()
        self._start(host)

    def stop(self) -> None:
        self._server.stop(None).wait()

    def close(self) -> None:
        self.stop()
        self._port.close()

    def serve(self, request, context, perform):
        self._gyre.requests.append((self.name, type(request).FromString(
            request.SerializeToString())))
        kind = type(request).__name__
        fault = next((f for f in self._faults if f.of in ("", kind)), None)
        if fault is None:
            return perform()
        self._faults.remove(fault)
        if fault.applies:
            perform()
        self.refuse(context, fault.code, fault.detail)

    def refuse(self, context, code: grpc.StatusCode, detail=None) -> None:
        if detail is not None:
            context.set_trailing_metadata((("gyre-error-bin", detail.SerializeToString()),))
        context.abort(code, "as the test wants it")


def _servicer(wire: stubs.Wire):
    messages = wire.messages

    class Servicer(wire.services.GyreServicer):
        def __init__(self, gyre: FakeGyre, node: FakeNode):
            self._gyre = gyre
            self._node = node

        def _known(self, table: str, context) -> None:
            if table not in self._gyre.tables:
                self._node.refuse(context, grpc.StatusCode.NOT_FOUND, messages.ErrorDetail(
                    reason=messages.ErrorDetail.UNKNOWN_TABLE))

        def Get(self, request, context):
            self._known(request.table, context)
            return self._node.serve(request, context,
                                    lambda: self._gyre.get(request.table, request.key))

        def Put(self, request, context):
            self._known(request.table, context)
            return self._node.serve(request, context, lambda: self._gyre.put(request))

        def MultiGet(self, request, context):
            self._known(request.table, context)
            return self._node.serve(request, context, lambda: messages.MultiGetReply(items=[
                self._outcome(request.table, key) for key in request.keys]))

        def _outcome(self, table: str, key: bytes):
            if key in self._gyre.failing_items:
                status = messages.Status(code=self._gyre.failing_items.pop(key).value[0])
                return messages.ItemOutcome(status=status)
            return messages.ItemOutcome(get=self._gyre.get(table, key))

        def CreateTable(self, request, context):
            table = request.table
            return self._node.serve(request, context, lambda: (
                self._gyre.create(table.name, conflict=table.conflict),
                messages.CreateTableReply(table=self._gyre.tables[table.name]))[1])

        def DescribeTable(self, request, context):
            self._known(request.name, context)
            return messages.DescribeTableReply(table=self._gyre.tables[request.name])

        def GetTopology(self, request, context):
            nodes = self._gyre.nodes
            return self._node.serve(request, context, lambda: messages.GetTopologyReply(
                epoch=1, slices=SLICES, tables=self._gyre.tables.values(),
                members=[messages.TopologyMember(name=node.name, client_address=node.address)
                         for node in nodes],
                families=[messages.PartitionFamily(
                    replicas=3, per_slice=len(nodes),
                    owners=[(index + rank) % len(nodes)
                            for index in range(SLICES) for rank in range(len(nodes))])]))

        def NodeStatus(self, request, context):
            return self._node.serve(request, context, lambda: messages.NodeStatusReply(
                node=self._node.name, state="serving", epoch=1))

        def ScanPartition(self, request, context):
            keys = sorted(key for table, key in self._gyre.records if table == request.table
                          and zlib.crc32(key) % SLICES == request.slice
                          and key > request.after_key)
            return self._node.serve(request, context, lambda: messages.ScanPartitionReply(
                items=[messages.ScanPartitionReply.Item(key=key)
                       for key in keys[:request.limit]], more=len(keys) > request.limit))

    return Servicer
