"""SIGTERM: what is under way is answered, and nothing that a client holds open outlasts the bound.

The process ends by itself within the test bed's patience, which only protects from a hang: what is
held open here would stay open for ever.
"""

import itertools
import queue
import signal
import unittest

import grpc

import gyre_processes
from gyre_client import StoreError

LARGE = 1024 * 1024
UNREAD = 100  # large values; more than any buffer on the way takes


class DrainTest(gyre_processes.ClusterTest):
    def channel(self, node: gyre_processes.Node) -> grpc.Channel:
        channel = grpc.insecure_channel(node.client_address)
        self.addCleanup(channel.close)
        return channel

    def terminate(self, node: gyre_processes.Node) -> None:
        self.assertEqual(node.terminate(), 0, node.log())
        self.assertEqual(node.events("stopped")[0]["why"], "")

    def test_a_request_that_is_under_way_is_answered(self) -> None:
        cluster = self.start_cluster(nodes=2, config={"drain_ms": 60_000})
        wire, (node, peer) = cluster.wire, cluster.nodes
        cluster.client().create_table(wire.messages.Table(name="t", replicas=2, write_quorum=2))
        stub = wire.services.GyreStub(self.channel(node))
        put = wire.messages.PutRequest(table="t", key=b"k", value=b"v")
        put.options.timeout_ms = 5_000
        peer.pause()  # so that it is under way until the node itself gives up
        calls = [stub.Put.future(put, timeout=60)]

        def under_way() -> bool:
            if calls[-1].done():
                calls.append(stub.Put.future(put, timeout=60))
            return cluster.status(node).requests_in_flight > 0
        cluster.wait_until(under_way, "a put is under way")
        node.send(signal.SIGTERM)
        error = calls[-1].exception()
        self.assertIsNotNone(error, "the peer was silent")
        self.assertIn("gyre-error-bin", dict(error.trailing_metadata() or ()), "not gRPC's answer")
        self.assertEqual(node.wait(), 0, node.log())

    def test_streams_that_never_end_do_not_keep_it_alive(self) -> None:
        cluster = self.start_cluster(nodes=1, config={"drain_ms": 300})
        messages, (node,) = cluster.wire.messages, cluster.nodes
        client = cluster.client()
        client.create_table(messages.Table(name="t"))
        client.put("t", b"k", b"v" * LARGE)
        open_ended: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(2):  # the requests of both streams end after the test
            self.addCleanup(open_ended.put, None)
        channel = self.channel(node)

        def requests():
            frame = messages.ClientFrame()
            for number in range(1, UNREAD + 1):
                request = frame.requests.add(id=number)
                request.get.table, request.get.key = "t", b"k"
            yield frame
            open_ended.get()

        never_read = cluster.wire.services.GyreStub(channel).Session(requests())
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        self.assertEqual(next(watch), b"\x08\x01", "serving")
        reflection = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(
                itertools.chain([b"\x3a\x01*"], iter(open_ended.get, None)))
        self.assertIn(b"gyre.v1.Gyre", next(reflection))
        next(never_read)
        self.terminate(node)

    def test_a_change_that_finds_no_majority_does_not_keep_it_alive(self) -> None:
        cluster = self.start_cluster(nodes=3, config={"drain_ms": 300})
        node, *others = cluster.nodes
        for other in others:
            other.kill()
        wire = cluster.wire
        call = wire.services.GyreStub(self.channel(node)).CreateTable.future(
            wire.messages.CreateTableRequest(table=wire.messages.Table(name="t")), timeout=60)
        with self.assertRaises(StoreError):  # so that the change is under way, too
            cluster.client(node).create_table(
                wire.messages.Table(name="u"), deadline=cluster.client().deadline_in(0.5))
        self.terminate(node)
        self.assertIsNotNone(call.exception())


if __name__ == "__main__":
    gyre_processes.main()
