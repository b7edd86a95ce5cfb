"""CartStore: carts as keys of a Gyre table. Reads, merges siblings, writes back with the context.

A change needs no compare-and-set and no lock over devices: a write replaces what was read and
nothing else, whatever came between becomes a sibling, and the next read merges it
(cart_document.py). Three things are easy to get wrong:

  - The first write of a cart, too, needs the context of a read. What is not there is read with one
    that covers nothing, so the second of two first writers leaves a sibling. A write without a
    context replaces whatever its coordinator holds by then: the second one would win all.
  - A change that the merged cart already shows is written all the same: it may have been read from
    one replica alone, of a write that failed half way. Acknowledged means W replicas.
  - A write that failed may still surface. It is therefore repeated under the same tag, never under
    a new one; a caller who names no device gets a new one after a failure.

Thread rule: any thread.
"""

import contextlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator

import cart_document
from cart_document import Add, Cart, Tag
from gyre_client import Answer, GyreClient, TooManySiblings, UnknownTable

TABLE = "carts"
DEADLINE_S = 8.0  # of one request of a browser: a read, a write, and all their attempts
ROUNDS = 4  # read, merge, write: how often for a cart that is found full of siblings
CARTS_REMEMBERED = 10_000  # carts whose unnamed adds are counted on; others get a new device
STRIPES = 64


class WrongTable(Exception):
    """The table of the carts exists, and would not keep them apart."""


@dataclass(frozen=True)
class View:
    """A cart as it was read or written, and what the replicas did for it."""

    cart: Cart
    siblings: int  # documents that the read found
    read: Answer
    write: Answer | None = None


class CartStore:
    def __init__(self, client: GyreClient):
        self._client = client
        self._unnamed = UnnamedDevices()
        self._table_lock = threading.Lock()
        self._has_table = False

    def read(self, cart_id: str) -> View:
        return self._read(cart_id, self._client.deadline_in(DEADLINE_S))

    def add(self, cart_id: str, what: Add, tag: Tag | None = None) -> View:
        """Takes an add once, however often it is sent under the same tag."""
        if tag is not None:
            return self._change(cart_id, lambda cart: cart_document.add(cart, tag, what))
        try:
            return self._add_unnamed(cart_id, what)
        except cart_document.OutOfStep:  # the cart was dropped since; the device went with it
            return self._add_unnamed(cart_id, what)

    def remove(self, cart_id: str, package: str, tags: Iterable[Tag] | None = None) -> View:
        """Removes those adds of `package`; without `tags`, all that the cart has right now."""
        def step(cart: Cart) -> Cart:
            seen = tags
            if seen is None:
                seen = [tag for tag, add in cart.adds.items() if add.package == package]
            return cart_document.remove(cart, package, seen)
        return self._change(cart_id, step)

    def _add_unnamed(self, cart_id: str, what: Add) -> View:
        with self._unnamed.next(cart_id) as tag:
            return self._change(cart_id, lambda cart: cart_document.add(cart, tag, what))

    def _change(self, cart_id: str, step: Callable[[Cart], Cart]) -> View:
        deadline = self._client.deadline_in(DEADLINE_S)
        for rounds_left in reversed(range(ROUNDS)):
            view = self._read(cart_id, deadline)
            changed = step(view.cart)
            try:
                write = self._client.put(
                    TABLE, cart_id.encode(), cart_document.encode(changed),
                    context=view.read.reply.context, explain=True, deadline=deadline)
                return View(changed, view.siblings, view.read, write)
            except TooManySiblings:
                if not rounds_left:
                    raise
        raise AssertionError("the last round returns or raises")

    def _read(self, cart_id: str, deadline: float) -> View:
        self._ensure_table(deadline)
        try:
            answer = self._client.get(TABLE, cart_id.encode(), explain=True, deadline=deadline)
        except UnknownTable:  # dropped since
            self._has_table = False
            self._ensure_table(deadline)
            answer = self._client.get(TABLE, cart_id.encode(), explain=True, deadline=deadline)
        siblings = [cart_document.decode(value) for value in answer.reply.values]
        return View(cart_document.merge_all(siblings), len(siblings), answer)

    def _ensure_table(self, deadline: float) -> None:
        """Creates the table where it is missing; WrongTable when there is one of another kind."""
        if self._has_table:
            return
        messages = self._client.wire.messages
        with self._table_lock:
            if self._has_table:
                return
            try:
                found = self._client.describe_table(TABLE, deadline=deadline)
            except UnknownTable:
                # Left at 0, the cluster's own choice: N = 3 and majorities for R and W on three
                # nodes and more, and what there is on fewer.
                wanted = messages.Table(name=TABLE, conflict=messages.CONFLICT_POLICY_SIBLINGS)
                found = self._client.create_table(wanted, deadline=deadline)
            if found.reply.table.conflict != messages.CONFLICT_POLICY_SIBLINGS:
                raise WrongTable(f"table {TABLE!r} keeps only the last write; carts need siblings")
            self._has_table = True


class UnnamedDevices:
    """Tags for adds of callers who name no device: this process is one for them, a cart at a time.

    The next number of a device may be used once the one before was acknowledged. So the adds to a
    cart stand in line, and a failed one ends its device: the next add gets a new one.
    """

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(STRIPES)]
        self._lock = threading.Lock()
        self._acknowledged: OrderedDict[str, Tag] = OrderedDict()  # guarded by _lock

    @contextlib.contextmanager
    def next(self, cart_id: str) -> Iterator[Tag]:
        """Yields the tag for one add; leaving without an exception acknowledges it."""
        with self._stripes[hash(cart_id) % STRIPES]:
            with self._lock:
                last = self._acknowledged.pop(cart_id, None) or Tag(secrets.token_hex(8), 0)
            tag = Tag(last.device, last.number + 1)
            yield tag
            with self._lock:
                self._acknowledged[cart_id] = tag
                if len(self._acknowledged) > CARTS_REMEMBERED:
                    self._acknowledged.popitem(last=False)
