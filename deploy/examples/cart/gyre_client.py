"""GyreClient: a small client of a Gyre cluster. Unary calls, any node, and the next one on failure.

    wire = stubs.load(Path("build/stubs"))
    client = GyreClient(wire, ["127.0.0.1:7100", "127.0.0.1:7101"])
    answer = client.get("carts", b"mine", explain=True)
    client.put("carts", b"mine", b"new", context=answer.reply.context)

Every node serves every request, so a request that fails at one node is sent to another, until
it succeeds, is refused for good, or has used up its deadline or MAX_ATTEMPTS. Each attempt has a
time limit of its own, so that a silent node costs no more than that; a node that failed rests for
REST_S, in which others are asked first. A write keeps its idempotency key over all its attempts
and counts them, so that however many of them arrive, it takes effect once.

Between two rounds over the nodes the client waits: full jitter under an exponential bound, and at
least what an overloaded node asked for.

Thread rule: any thread, after construction. The clock, sleep and random source are parameters, so
that tests take no time.
"""

import math
import random
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import grpc

import stubs

DEADLINE_S = 6.0  # of a request with all its attempts
ATTEMPT_S = 2.0  # of one attempt; longer than the slowest healthy answer
REST_S = 1.0  # how long a node that failed is asked last
MAX_ATTEMPTS = 12
MAX_TTL_S = 100 * 365 * 24 * 3600  # the server's limit
MULTI_ROUNDS = 3
BACKOFF_FIRST_S = 0.05  # bound of the wait after the first round, doubled after each
BACKOFF_MOST_S = 1.0

# The server gives up a little earlier than the client, so that its reason arrives.
SERVER_SHARE = 0.9

TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
    # What a connection that breaks in the middle, or one failing disk, looks like.
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED,
    # A record is damaged at that node; the other owners have it whole.
    grpc.StatusCode.DATA_LOSS,
}

TRANSIENT_NUMBERS = {code.value[0] for code in TRANSIENT}  # as an item's status has them

CHANNEL_OPTIONS = (
    # A node that comes back is found within a second, not within gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # One that comes back with another address is looked up again as often, not every 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024 + 65536),
    # Ports of an earlier cluster must not answer through a shared subchannel or a proxy.
    ("grpc.enable_http_proxy", 0),
)


class StoreError(Exception):
    """A request was refused, and would be by any node; the kinds below can be told apart.

    `code` is gRPC's, `detail` an ErrorDetail or None, and str() says why.
    """

    def __init__(self, message: str, code: grpc.StatusCode, detail: Any = None):
        super().__init__(message)
        self.code = code
        self.detail = detail


class StoreUnavailable(StoreError):
    """No node could serve it in time. A write may have taken effect: `outcome_unknown`."""

    def __init__(self, message: str, code: grpc.StatusCode, detail: Any, outcome_unknown: bool,
                 retry_after_s: float):
        super().__init__(message, code, detail)
        self.outcome_unknown = outcome_unknown
        self.retry_after_s = retry_after_s


class UnknownTable(StoreError):
    """There is no table of that name (yet)."""


class TooManySiblings(StoreError):
    """A read, a merge and a write with the context of that read mend it."""


@dataclass(frozen=True)
class Answer:
    """A reply, with what it took to get it."""

    reply: Any
    address: str  # of the node that served it
    attempts: int


@dataclass
class Counters:
    requests: int = 0
    retries: int = 0
    failures: int = 0


class GyreClient:
    def __init__(self, wire: stubs.Wire, addresses: Sequence[str], *,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep,
                 rng: random.Random | None = None):
        if not addresses:
            raise ValueError("a client needs the address of at least one node")
        self.wire = wire
        self.addresses = tuple(addresses)
        self.counters = Counters()
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._lock = threading.Lock()  # guards everything below, and the counters
        self._turn = self._rng.randrange(len(self.addresses))
        self._rests_until: dict[str, float] = {}
        self._channels: dict[str, grpc.Channel] = {}

    def close(self) -> None:
        with self._lock:
            channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.close()

    # --- Requests that any node serves ----------------------------------------------------------

    def get(self, table: str, key: bytes, *, explain: bool = False,
            deadline: float | None = None) -> Answer:
        request = self.wire.messages.GetRequest(table=table, key=key)
        request.options.explain = explain
        return self._request("Get", request, deadline)

    def multi_get(self, table: str, keys: Sequence[bytes], *,
                  deadline: float | None = None) -> list[Any]:
        """An ItemOutcome for each key. Those that failed for a while only (the topology changed
        under them, a quorum was late) are asked for again, MULTI_ROUNDS times at most.
        """
        deadline = self.deadline_in(DEADLINE_S) if deadline is None else deadline
        items: list[Any] = [None] * len(keys)
        missing = list(range(len(keys)))
        for _ in range(MULTI_ROUNDS):
            request = self.wire.messages.MultiGetRequest(
                table=table, keys=[keys[index] for index in missing])
            reply = self._request("MultiGet", request, deadline).reply
            for index, item in zip(missing, reply.items):
                items[index] = item
            missing = [index for index in missing if items[index].status.code in TRANSIENT_NUMBERS]
            if not missing or self._clock() >= deadline:
                break
        return items

    def put(self, table: str, key: bytes, value: bytes, *, context: bytes = b"",
            blind: bool = False, explain: bool = False, ttl_s: float | None = None,
            deadline: float | None = None) -> Answer:
        """With `context`: replaces what that covers. `blind`: replaces nothing. `ttl_s`: how long
        the value lives, 0 for ever, None as the table says.
        """
        if ttl_s is not None and not 0 <= ttl_s <= MAX_TTL_S:
            raise ValueError(f"a TTL of {ttl_s} s; 0 to {MAX_TTL_S} are allowed")
        messages = self.wire.messages
        request = messages.PutRequest(table=table, key=key, value=value, context=context)
        request.mode = messages.WRITE_MODE_BLIND if blind else messages.WRITE_MODE_DEFAULT
        request.options.explain = explain
        request.options.idempotency_key = secrets.token_bytes(16)
        if ttl_s is not None:
            request.ttl_ms = math.ceil(ttl_s * 1000)
        return self._request("Put", request, deadline)

    def create_table(self, table: Any, *, deadline: float | None = None) -> Answer:
        return self._request(
            "CreateTable", self.wire.messages.CreateTableRequest(table=table), deadline)

    def describe_table(self, name: str, *, deadline: float | None = None) -> Answer:
        return self._request(
            "DescribeTable", self.wire.messages.DescribeTableRequest(name=name), deadline)

    def topology(self, *, deadline: float | None = None) -> Answer:
        return self._request("GetTopology", self.wire.messages.GetTopologyRequest(), deadline)

    # --- Requests to one node, tried once -------------------------------------------------------

    def status_of(self, address: str, timeout_s: float) -> Any:
        return self._at(address, "NodeStatus", self.wire.messages.NodeStatusRequest(), timeout_s)

    def scan(self, address: str, request: Any, timeout_s: float = ATTEMPT_S) -> Any:
        return self._at(address, "ScanPartition", request, timeout_s)

    # --- How ------------------------------------------------------------------------------------

    def deadline_in(self, seconds: float) -> float:
        """For several requests that share one deadline."""
        return self._clock() + seconds

    def _request(self, method: str, request: Any, deadline: float | None) -> Answer:
        deadline = self.deadline_in(DEADLINE_S) if deadline is None else deadline
        with self._lock:
            self.counters.requests += 1
        failure: StoreError | None = None
        maybe_applied = False
        attempt = 0
        bound_s = BACKOFF_FIRST_S
        while attempt < MAX_ATTEMPTS:
            wait_s = 0.0
            for address in self._in_order():
                left_s = deadline - self._clock()
                if left_s <= 0 or attempt == MAX_ATTEMPTS:
                    break
                attempt += 1
                self._stamp(request, attempt, min(left_s, ATTEMPT_S))
                try:
                    reply = self._at(address, method, request, min(left_s, ATTEMPT_S))
                    self._rest(address, 0.0)
                    return Answer(reply, address, attempt)
                except StoreError as error:
                    # One that was cut short by this deadline says less than what came before it.
                    if failure is None or failure.detail is None or error.detail is not None:
                        failure = error
                    if not _is_transient(error):
                        self._count_failure()
                        raise
                    maybe_applied |= _may_have_applied(error)
                    wait_s = max(wait_s, _asked_wait_s(error))
                    self._rest(address, REST_S)
            wait_s += self._rng.uniform(0, bound_s)
            bound_s = min(2 * bound_s, BACKOFF_MOST_S)
            if self._clock() + wait_s >= deadline:
                break
            self._sleep(wait_s)
        self._count_failure()
        code = failure.code if failure else grpc.StatusCode.DEADLINE_EXCEEDED
        raise StoreUnavailable(
            f"{method} failed at every node in {attempt} attempts; the last one: {failure}", code,
            failure.detail if failure else None, maybe_applied,
            retry_after_s=max(1.0, _asked_wait_s(failure) if failure else 0.0))

    def _stamp(self, request: Any, attempt: int, timeout_s: float) -> None:
        with self._lock:
            self.counters.retries += attempt > 1
        if "options" in request.DESCRIPTOR.fields_by_name:
            request.options.attempt = attempt
            request.options.timeout_ms = max(1, int(timeout_s * 1000 * SERVER_SHARE))

    def _at(self, address: str, method: str, request: Any, timeout_s: float) -> Any:
        stub = self.wire.services.GyreStub(self._channel(address))
        try:
            return getattr(stub, method)(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._translated(address, error) from error
        except ValueError as error:  # gRPC's word for a channel that was closed meanwhile
            raise StoreError(f"{address}: {error}", grpc.StatusCode.CANCELLED) from error

    def _channel(self, address: str) -> grpc.Channel:
        with self._lock:
            if address not in self._channels:
                self._channels[address] = grpc.insecure_channel(address, CHANNEL_OPTIONS)
            return self._channels[address]

    def _in_order(self) -> list[str]:
        """All nodes, each request starting at the next one, those that rest at the end."""
        with self._lock:
            self._turn = (self._turn + 1) % len(self.addresses)
            turned = self.addresses[self._turn:] + self.addresses[:self._turn]
            now = self._clock()
            return sorted(turned, key=lambda address: self._rests_until.get(address, 0.0) > now)

    def _rest(self, address: str, seconds: float) -> None:
        with self._lock:
            if seconds:
                self._rests_until[address] = self._clock() + seconds
            else:
                self._rests_until.pop(address, None)

    def _count_failure(self) -> None:
        with self._lock:
            self.counters.failures += 1

    def _translated(self, address: str, error: grpc.RpcError) -> StoreError:
        detail = None
        for key, value in error.trailing_metadata() or ():
            if key == "gyre-error-bin":
                detail = self.wire.messages.ErrorDetail.FromString(value)
        reasons = self.wire.messages.ErrorDetail
        kind = StoreError
        if error.code() == grpc.StatusCode.NOT_FOUND:
            kind = UnknownTable
        elif detail and detail.reason == reasons.TOO_MANY_SIBLINGS:
            kind = TooManySiblings
        return kind(f"{address}: {error.code().name}: {error.details()}", error.code(), detail)


def _is_transient(error: StoreError) -> bool:
    if isinstance(error, (UnknownTable, TooManySiblings)):
        return False
    return error.code in TRANSIENT or _asked_wait_s(error) > 0


def _may_have_applied(error: StoreError) -> bool:
    """Whether a write that failed like this may have taken effect, or still may."""
    return error.detail.outcome_unknown if error.detail else True


def _asked_wait_s(error: StoreError) -> float:
    return error.detail.retry_after_ms / 1000 if error.detail else 0.0
