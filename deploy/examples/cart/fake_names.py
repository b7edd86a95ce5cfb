"""FakeNames: a server of names (RFC 1035) in this process, for tests: every name has one address.

    names = FakeNames("127.0.0.1")
    channel = grpc.insecure_channel(names.target_of("node.gyre.test", 7100))
    names.address = "127.0.0.2"  # from the next question on
"""

import socket
import threading

HEADER_BYTES = 12
OF_IPV4 = b"\0\1\0\1"  # type A, class IN


class FakeNames:
    def __init__(self, address: str):
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def target_of(self, name: str, port: int) -> str:
        """What gRPC resolves by this server."""
        return "dns://127.0.0.1:%d/%s:%d" % (self._socket.getsockname()[1], name, port)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), asker)

    def _answer(self, question: bytes) -> bytes:
        # The name ends with an empty label; behind it are type and class.
        asked = question[HEADER_BYTES:question.index(b"\0", HEADER_BYTES) + 5]
        answers = int(asked.endswith(OF_IPV4))
        # An answer, without an error, to one question.
        reply = question[:2] + b"\x81\x80\0\1\0" + bytes([answers]) + bytes(4) + asked
        if answers:
            # The name of the question, which does not stay: one address of four bytes.
            reply += b"\xc0\x0c" + OF_IPV4 + bytes(4) + b"\0\4" + socket.inet_aton(self.address)
        return reply
