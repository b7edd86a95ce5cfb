#!/usr/bin/env python3
"""Tests of the cart without a cluster: merging, the client's failover, and the backend over a fake.

    cart_test.py [--stubs DIR] [unittest's arguments]

Merging is tested on random histories against full histories: a reference that remembers every add
and every removal, and merges by union.
"""

import argparse
import http.client
import itertools
import json
import random
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from starlette.testclient import TestClient

import cart
import cart_document
import http_guard
import name_index
import stubs
from cart_document import Add, Cart, Tag, add, decode, encode, merge, merge_all, remove
from cart_store import CartStore, WrongTable
from fake_gyre import FakeGyre
from fake_names import FakeNames
from gyre_client import (ATTEMPT_S, MAX_ATTEMPTS, GyreClient, StoreError, StoreUnavailable,
                         UnknownTable)

A, B, C = (letter * 16 for letter in "abc")
WIRE: stubs.Wire
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def quantities(of: Cart) -> dict[str, int]:
    return {line.package: line.quantity for line in of.lines()}


class History:
    """Devices that work on copies of one cart, and what each copy has really been through.

    A copy is a document and the events it reflects: adds by tag, and tags removed. Devices keep the
    rule that a document reflects the add before (they read what was acknowledged).
    """

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.copies = [(Cart(), frozenset(), frozenset())]
        self.what: dict[Tag, Add] = {}
        self.last: dict[str, tuple[int, tuple]] = {}  # device -> (number, the copy that has it)

    def joined(self, *copies):
        return (merge_all(copy[0] for copy in copies),
                frozenset().union(*(copy[1] for copy in copies)),
                frozenset().union(*(copy[2] for copy in copies)))

    def some(self):
        return self.joined(*self.random.choices(self.copies, k=self.random.randint(1, 3)))

    def step(self) -> None:
        random_ = self.random
        device = random_.choice([A, B, C])
        number, own = self.last.get(device, (0, self.copies[0]))
        base, added, removed = self.joined(self.some(), own)
        kind = random_.random()
        if kind < 0.5:
            tag = Tag(device, number + 1)
            self.what[tag] = Add(random_.choice("xyz"), random_.randint(1, 3))
            copy = (add(base, tag, self.what[tag]), added | {tag}, removed)
            self.last[device] = (tag.number, copy)
        elif kind < 0.6 and number:  # the device's last add once more, on a document without it
            tag = Tag(device, number)
            if own[0].devices.get(device) != number:
                return
            base, added, removed = self.some()
            if base.devices.get(device, 0) < number - 1:
                return
            copy = (add(base, tag, self.what[tag]), added | {tag}, removed)
        elif kind < 0.9:
            package = random_.choice("xyz")
            tags = {tag for tag in base.adds if base.adds[tag].package == package}
            copy = (remove(base, package, tags), added, removed | tags)
        else:
            copy = (base, added, removed)
        self.copies.append(copy)

    def really_in(self, copy) -> dict[Tag, Add]:
        return {tag: self.what[tag] for tag in copy[1] - copy[2]}


class Merging(unittest.TestCase):
    def histories(self, count=400, steps=14):
        for seed in range(count):
            history = History(seed)
            for _ in range(steps):
                history.step()
            with self.subTest(seed=seed):
                yield history

    def test_a_document_holds_what_its_full_history_says(self):
        for history in self.histories():
            for copy in history.copies:
                self.assertEqual(copy[0].adds, history.really_in(copy))

    def test_any_two_documents_merge_to_what_both_histories_say(self):
        for history in self.histories():
            for a, b in itertools.combinations(history.copies, 2):
                joined = history.joined(a, b)
                self.assertEqual(joined[0].adds, history.really_in(joined))

    def test_merging_is_commutative(self):
        for history in self.histories():
            for (a, *_), (b, *_) in itertools.combinations(history.copies, 2):
                self.assertEqual(merge(a, b), merge(b, a))

    def test_merging_is_associative(self):
        for history in self.histories(count=100):
            for _ in range(100):
                a, b, c = (copy[0] for copy in history.random.choices(history.copies, k=3))
                self.assertEqual(merge(a, merge(b, c)), merge(merge(a, b), c))

    def test_merging_is_idempotent(self):
        for history in self.histories():
            for a, *_ in history.copies:
                self.assertEqual(merge(a, a), a)
                self.assertEqual(merge(a, Cart()), a)

    def test_equal_carts_are_equal_bytes_and_bytes_are_read_back(self):
        for history in self.histories(count=100):
            for (a, *_), (b, *_) in itertools.combinations(history.copies, 2):
                self.assertEqual(encode(a) == encode(b), a == b)
                self.assertEqual(decode(encode(a)), a)

    def test_an_add_survives_a_removal_made_at_the_same_moment(self):
        before = add(Cart(), Tag(A, 1), Add("nano", 1))
        added = add(before, Tag(B, 1), Add("nano", 2))
        removed = remove(before, "nano", [Tag(A, 1)])
        self.assertEqual(quantities(merge(added, removed)), {"nano": 2})

    def test_a_removal_is_not_undone_by_a_sibling_that_still_holds_the_thing(self):
        before = add(Cart(), Tag(A, 1), Add("nano", 1))
        removed = remove(before, "nano", [Tag(A, 1)])
        other = add(before, Tag(B, 1), Add("vim", 1))
        self.assertEqual(quantities(merge(removed, other)), {"vim": 1})
        self.assertEqual(quantities(merge(removed, before)), {})

    def test_two_devices_that_add_the_same_package_both_count(self):
        before = add(Cart(), Tag(A, 1), Add("nano", 1))
        merged = merge(add(before, Tag(A, 2), Add("nano", 1)),
                       add(before, Tag(B, 1), Add("nano", 1)))
        self.assertEqual(quantities(merged), {"nano": 3})

    def test_an_add_that_is_sent_again_is_not_taken_again_even_after_its_removal(self):
        taken = add(Cart(), Tag(A, 1), Add("nano", 1))
        self.assertEqual(add(taken, Tag(A, 1), Add("nano", 1)), taken)
        removed = remove(taken, "nano", [Tag(A, 1)])
        self.assertEqual(quantities(add(removed, Tag(A, 1), Add("nano", 1))), {})

    def test_a_removal_covers_an_add_that_this_document_has_not_seen(self):
        elsewhere = add(Cart(), Tag(A, 1), Add("nano", 1))
        removed = remove(Cart(), "nano", [Tag(A, 1)])
        self.assertEqual(quantities(merge(removed, elsewhere)), {})

    def test_a_removal_leaves_other_packages_alone(self):
        held = add(Cart(), Tag(A, 1), Add("nano", 1))
        self.assertEqual(remove(held, "vim", [Tag(A, 1)]), held)

    def test_the_context_grows_with_devices_and_not_with_removals(self):
        held = Cart()
        for number in range(1, 1001):
            held = add(held, Tag(A, number), Add("nano", 1))
            held = remove(held, "nano", [Tag(A, number)])
        self.assertLess(len(encode(held)), 100)

    def test_an_add_out_of_step_is_refused(self):
        with self.assertRaises(cart_document.OutOfStep):
            add(Cart(), Tag(A, 2), Add("nano", 1))
        with self.assertRaises(cart_document.OutOfStep):
            remove(Cart(), "nano", [Tag(A, 2)])


class Bounds(unittest.TestCase):
    def test_quantity_of_a_package_is_bounded(self):
        full = add(Cart(), Tag(A, 1), Add("nano", cart_document.MAX_QUANTITY))
        with self.assertRaisesRegex(cart_document.LimitReached, "99 of nano"):
            add(full, Tag(A, 2), Add("nano", 1))

    def test_packages_are_bounded_and_more_of_one_that_is_there_is_not(self):
        full = Cart()
        for number in range(1, cart_document.MAX_LINES + 1):
            full = add(full, Tag(A, number), Add(f"p{number}", 1))
        with self.assertRaises(cart_document.LimitReached):
            add(full, Tag(A, 101), Add("one-more", 1))
        self.assertEqual(quantities(add(full, Tag(A, 101), Add("p7", 1)))["p7"], 2)

    def test_devices_are_bounded(self):
        full = Cart({f"{device:016x}": 1 for device in range(cart_document.MAX_DEVICES)})
        with self.assertRaises(cart_document.LimitReached):
            add(full, Tag("f" * 16, 1), Add("nano", 1))

    def test_the_largest_document_fits_a_value(self):
        adds = {Tag(f"{tag % cart_document.MAX_DEVICES:016x}", 1 + tag):
                Add("p" * 60 + str(tag // cart_document.MAX_QUANTITY), 1)
                for tag in range(cart_document.MAX_LINES * cart_document.MAX_QUANTITY)}
        largest = Cart({tag.device: tag.number for tag in adds}, adds)
        self.assertLess(len(encode(largest)), 1024 * 1024)

    def test_bytes_that_are_no_cart_are_unreadable(self):
        for value in (b"", b"{}", b"[]", b"\xff", b"null", b'{"v":2,"adds":[],"devices":{}}',
                      b'{"v":1,"adds":[["%s",1,"nano",1]],"devices":{}}' % A.encode(),
                      b'{"v":1,"adds":[["%s",1,"nano",0]],"devices":{"%s":1}}'
                      % (A.encode(), A.encode()),
                      b'{"v":1,"adds":[["%s",1,"nano"]],"devices":{"%s":1}}'
                      % (A.encode(), A.encode()),
                      b'{"v":1,"adds":[],"devices":{"%s":"1"}}' % A.encode()):
            with self.subTest(value=value), self.assertRaises(cart_document.Unreadable):
                decode(value)

    def test_texts_that_are_no_tag_are_refused(self):
        for text in ("", "a:1", f"{A}:", f"{A}:0", f"{A}:-1", f"{A}:1e3", f"{A.upper()}:1", A):
            with self.subTest(text=text), self.assertRaises(cart_document.BadTag):
                Tag.parse(text)
        self.assertEqual(Tag.parse(f"{A}:12"), Tag(A, 12))
        self.assertEqual(str(Tag(A, 12)), f"{A}:12")


class VirtualTime:
    def __init__(self):
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class OverFakeGyre(unittest.TestCase):
    """Three fake nodes, and a client that is asked in the order n1, n2, n3."""

    def setUp(self):
        self.gyre = FakeGyre(WIRE)
        self.addCleanup(self.gyre.close)
        self.time = VirtualTime()
        self.client = self.new_client()
        self.gyre.create("carts")
        self.gyre.create("catalogue")

    def new_client(self) -> GyreClient:
        class Last(random.Random):
            def randrange(self, stop):
                return stop - 1  # so that the first request starts at the first node
        client = GyreClient(WIRE, self.gyre.addresses, clock=self.time.clock,
                            sleep=self.time.sleep, rng=Last(1))
        self.addCleanup(client.close)
        return client

    def served(self, kind: str) -> list:
        return [(node, request) for node, request in self.gyre.requests
                if type(request).__name__ == kind]

    def detail(self, **fields):
        return WIRE.messages.ErrorDetail(**fields)


class Failover(OverFakeGyre):
    def test_a_request_that_fails_at_one_node_is_served_by_the_next_without_waiting(self):
        self.gyre.nodes[0].fail(UNAVAILABLE)
        answer = self.client.put("carts", b"k", b"v")
        self.assertEqual(answer.address, self.gyre.nodes[1].address)
        self.assertEqual(answer.attempts, 2)
        self.assertEqual(self.time.slept, [])
        self.assertEqual(self.client.counters.retries, 1)

    def test_a_node_that_is_gone_is_passed_over(self):
        self.gyre.nodes[0].stop()
        for _ in range(6):
            self.client.put("carts", b"k", b"v")
        self.assertEqual({node for node, _ in self.served("PutRequest")}, {"n2", "n3"})

    def test_a_node_that_comes_back_with_another_address_is_found_again(self):
        names = FakeNames("127.0.0.1")
        self.addCleanup(names.close)
        node = self.gyre.nodes[0]
        client = GyreClient(WIRE, [names.target_of("n1.gyre.test", node.port)])
        self.addCleanup(client.close)
        client.put("carts", b"k", b"v")
        node.move("127.0.0.2")
        names.address = "127.0.0.2"
        # It is gRPC that looks names up, and by itself not for 30 s.
        patience = client.deadline_in(20.0)
        while True:
            try:
                self.assertEqual(client.get("carts", b"k").reply.values, [b"v"])
                return
            except StoreUnavailable:
                if client.deadline_in(0.0) > patience:
                    raise

    def test_a_write_keeps_its_idempotency_key_over_attempts_and_counts_them(self):
        self.gyre.nodes[0].fail(UNAVAILABLE, applies=True)
        self.gyre.nodes[1].fail(UNAVAILABLE, applies=True)
        self.client.put("carts", b"k", b"v", blind=True)
        sent = [request.options for _, request in self.served("PutRequest")]
        self.assertEqual([options.attempt for options in sent], [1, 2, 3])
        self.assertEqual(len({options.idempotency_key for options in sent}), 1)
        self.assertEqual(len(sent[0].idempotency_key), 16)
        self.assertEqual(self.client.get("carts", b"k").reply.values, [b"v"])

    def test_two_writes_have_two_idempotency_keys(self):
        self.client.put("carts", b"k", b"v")
        self.client.put("carts", b"k", b"v")
        keys = {request.options.idempotency_key for _, request in self.served("PutRequest")}
        self.assertEqual(len(keys), 2)

    def test_a_put_says_how_long_its_value_lives(self):
        self.client.put("carts", b"k", b"v", ttl_s=1.5)
        self.client.put("carts", b"k", b"v", ttl_s=0)
        self.client.put("carts", b"k", b"v")
        sent = [request for _, request in self.served("PutRequest")]
        self.assertEqual([request.ttl_ms for request in sent], [1500, 0, 0])
        self.assertEqual([request.HasField("ttl_ms") for request in sent], [True, True, False])
        for wrong in (-1, 100 * 366 * 24 * 3600, float("nan")):
            with self.assertRaises(ValueError):
                self.client.put("carts", b"k", b"v", ttl_s=wrong)

    def test_a_wrong_request_is_sent_once(self):
        self.gyre.nodes[0].fail(grpc.StatusCode.INVALID_ARGUMENT)
        with self.assertRaises(StoreError) as caught:
            self.client.put("carts", b"k", b"v")
        self.assertNotIsInstance(caught.exception, StoreUnavailable)
        self.assertEqual(len(self.served("PutRequest")), 1)

    def test_a_record_that_is_damaged_at_one_node_is_read_through_another(self):
        damaged = self.detail(reason=WIRE.messages.ErrorDetail.STORAGE_FAILED)
        self.client.put("carts", b"k", b"v")
        self.gyre.nodes[1].fail(grpc.StatusCode.DATA_LOSS, detail=damaged)
        answer = self.client.get("carts", b"k")
        self.assertEqual((answer.address, answer.attempts), (self.gyre.nodes[2].address, 2))
        self.assertEqual(answer.reply.values, [b"v"])
        self.gyre.failing_items = {b"k": grpc.StatusCode.DATA_LOSS}
        self.assertEqual(self.client.multi_get("carts", [b"k"])[0].get.values, [b"v"])

    def test_an_unknown_table_is_an_error_of_its_own(self):
        with self.assertRaises(UnknownTable):
            self.client.get("no-such-table", b"k")

    def test_a_node_that_failed_is_asked_last_until_it_has_rested(self):
        self.gyre.nodes[0].fail(UNAVAILABLE)
        for _ in range(4):
            self.client.get("carts", b"k")
        self.assertEqual([node for node, _ in self.gyre.requests], ["n1", "n2", "n2", "n3", "n2"])
        self.time.now += 10
        self.gyre.requests.clear()
        for _ in range(3):
            self.client.get("carts", b"k")
        self.assertEqual({node for node, _ in self.gyre.requests}, {"n1", "n2", "n3"})

    def test_when_all_fail_it_waits_longer_from_round_to_round_and_ends(self):
        for node in self.gyre.nodes:
            node.fail(UNAVAILABLE, times=MAX_ATTEMPTS)
        with self.assertRaises(StoreUnavailable) as caught:
            self.client.put("carts", b"k", b"v")
        self.assertEqual(len(self.served("PutRequest")), MAX_ATTEMPTS)
        self.assertGreaterEqual(len(self.time.slept), 3)
        self.assertLess(sum(self.time.slept), 2.0)
        self.assertTrue(caught.exception.outcome_unknown)
        self.assertGreaterEqual(caught.exception.retry_after_s, 1.0)
        self.assertEqual(self.client.counters.failures, 1)

    def test_a_write_that_surely_did_not_happen_says_so(self):
        detail = self.detail(reason=WIRE.messages.ErrorDetail.QUORUM_NOT_MET, needed=2)
        for node in self.gyre.nodes:
            node.fail(UNAVAILABLE, times=MAX_ATTEMPTS, detail=detail)
        with self.assertRaises(StoreUnavailable) as caught:
            self.client.put("carts", b"k", b"v")
        self.assertFalse(caught.exception.outcome_unknown)

    def test_it_waits_as_long_as_overloaded_nodes_ask(self):
        overloaded = self.detail(reason=WIRE.messages.ErrorDetail.OVERLOADED, retry_after_ms=700)
        for node in self.gyre.nodes:
            node.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, detail=overloaded)
        self.client.get("carts", b"k")
        self.assertEqual(len(self.time.slept), 1)
        self.assertGreaterEqual(self.time.slept[0], 0.7)

    def test_a_message_that_is_too_large_is_not_tried_again(self):
        self.gyre.nodes[0].fail(grpc.StatusCode.RESOURCE_EXHAUSTED,
                                detail=self.detail(reason=WIRE.messages.ErrorDetail.TOO_LARGE))
        with self.assertRaises(StoreError):
            self.client.get("carts", b"k")
        self.assertEqual(len(self.served("GetRequest")), 1)

    def test_items_of_a_multi_get_that_failed_for_a_while_are_asked_for_again_alone(self):
        for key in (b"a", b"b", b"c"):
            self.client.put("carts", key, key * 2)
        self.gyre.failing_items = {b"b": grpc.StatusCode.ABORTED}
        items = self.client.multi_get("carts", [b"a", b"b", b"c"])
        self.assertEqual([item.get.values[0] for item in items], [b"aa", b"bb", b"cc"])
        asked = [list(request.keys) for _, request in self.served("MultiGetRequest")]
        self.assertEqual(asked, [[b"a", b"b", b"c"], [b"b"]])

    def test_an_item_that_failed_for_good_is_not_asked_for_again(self):
        self.gyre.failing_items = {b"a": grpc.StatusCode.INVALID_ARGUMENT}
        items = self.client.multi_get("carts", [b"a"])
        self.assertEqual(items[0].status.code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
        self.assertEqual(len(self.served("MultiGetRequest")), 1)

    def test_no_attempt_starts_after_the_deadline(self):
        with self.assertRaises(StoreUnavailable):
            self.client.get("carts", b"k", deadline=self.time.now)
        self.assertEqual(self.gyre.requests, [])

    def test_the_server_is_told_to_give_up_before_the_client_does(self):
        self.client.get("carts", b"k", deadline=self.time.now + 1.0)
        self.client.get("carts", b"k")
        timeouts = [request.options.timeout_ms for _, request in self.served("GetRequest")]
        self.assertEqual(timeouts, [900, int(ATTEMPT_S * 900)])


class Carts(OverFakeGyre):
    def setUp(self):
        super().setUp()
        self.store = CartStore(self.client)

    def test_two_first_writers_at_the_same_time_lose_nothing(self):
        # The other one has read the empty cart, and writes after the first one has.
        absent = self.client.get("carts", b"c").reply
        self.assertFalse(absent.found)
        self.assertTrue(absent.context, "as the store does")
        first = self.store.add("c", Add("nano", 1), Tag(A, 1))
        self.assertEqual(first.siblings, 0)
        late = encode(add(Cart(), Tag(B, 1), Add("vim", 1)))
        self.client.put("carts", b"c", late, context=absent.context)
        writes = [request for _, request in self.served("PutRequest")]
        self.assertEqual([write.context for write in writes], [absent.context] * 2)
        seen = self.store.read("c")
        self.assertEqual(seen.siblings, 2)
        self.assertEqual(quantities(seen.cart), {"nano": 1, "vim": 1})

    def test_a_change_folds_the_siblings_it_read_into_one(self):
        for device in (A, B, C):
            document = encode(add(Cart(), Tag(device, 1), Add("nano", 1)))
            self.client.put("carts", b"c", document, blind=True)
        self.assertEqual(self.store.add("c", Add("vim", 1)).siblings, 3)
        self.assertEqual(self.store.read("c").siblings, 1)
        self.assertEqual(quantities(self.store.read("c").cart), {"nano": 3, "vim": 1})

    def test_many_devices_at_once_lose_nothing(self):
        devices = [f"{device:016x}" for device in range(8)]

        def fill(device: str) -> None:
            for number in range(1, 11):
                self.store.add("c", Add(f"p{number}", 1), Tag(device, number))
                if number % 2:
                    self.store.remove("c", f"p{number}", [Tag(device, number)])

        with ThreadPoolExecutor(len(devices)) as pool:
            list(pool.map(fill, devices))
        self.assertEqual(quantities(self.store.read("c").cart),
                         {f"p{number}": 8 for number in range(2, 11, 2)})

    def test_unnamed_adds_at_once_all_count(self):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.store.add("c", Add("nano", 1)), range(40)))
        cart_now = self.store.read("c").cart
        self.assertEqual(quantities(cart_now), {"nano": 40})
        self.assertEqual(len(cart_now.devices), 1)

    def test_an_unnamed_add_that_failed_takes_a_new_device_for_the_next(self):
        self.store.add("c", Add("nano", 1))
        for node in self.gyre.nodes:
            node.fail(grpc.StatusCode.INVALID_ARGUMENT)
        for _ in range(3):
            with self.assertRaises(StoreError):
                self.store.add("c", Add("nano", 1))
        self.store.add("c", Add("nano", 1))
        cart_now = self.store.read("c").cart
        self.assertEqual(quantities(cart_now), {"nano": 2})
        self.assertEqual(len(cart_now.devices), 2)

    def test_an_add_that_is_there_already_is_written_again(self):
        self.store.add("c", Add("nano", 1), Tag(A, 1))
        self.store.add("c", Add("nano", 1), Tag(A, 1))
        self.assertEqual(len(self.served("PutRequest")), 2)
        self.assertEqual(quantities(self.store.read("c").cart), {"nano": 1})

    def test_a_removal_without_tags_takes_what_is_there(self):
        self.store.add("c", Add("nano", 1), Tag(A, 1))
        self.store.add("c", Add("nano", 1), Tag(B, 1))
        self.assertEqual(quantities(self.store.remove("c", "nano").cart), {})

    def test_a_removal_with_tags_leaves_what_its_sender_did_not_see(self):
        self.store.add("c", Add("nano", 1), Tag(A, 1))
        self.store.add("c", Add("nano", 2), Tag(B, 1))
        self.assertEqual(quantities(self.store.remove("c", "nano", [Tag(A, 1)]).cart), {"nano": 2})

    def test_a_cart_full_of_siblings_is_read_again_and_mended(self):
        self.store.add("c", Add("nano", 1), Tag(A, 1))
        for node in self.gyre.nodes:
            node.fail(grpc.StatusCode.FAILED_PRECONDITION, of="PutRequest",
                      detail=self.detail(reason=WIRE.messages.ErrorDetail.TOO_MANY_SIBLINGS))
        self.store.add("c", Add("nano", 1), Tag(A, 2))
        self.assertEqual(quantities(self.store.read("c").cart), {"nano": 2})
        self.assertEqual(len(self.served("PutRequest")), 5)

    def test_the_table_is_created_where_it_is_missing_and_again_when_it_was_dropped(self):
        for _ in range(2):
            self.gyre.tables.pop("carts")
            self.gyre.records.clear()
            self.store.add("c", Add("nano", 1))
            self.assertEqual(self.gyre.tables["carts"].conflict,
                             WIRE.messages.CONFLICT_POLICY_SIBLINGS)

    def test_a_table_that_keeps_only_the_last_write_is_refused(self):
        self.gyre.create("carts", conflict=WIRE.messages.CONFLICT_POLICY_LAST_WRITE_WINS)
        with self.assertRaises(WrongTable):
            self.store.add("c", Add("nano", 1))


class Index(OverFakeGyre):
    def setUp(self):
        super().setUp()
        self.names = [f"lib{number}" for number in range(40)] + ["nano", "nano-tiny", "xnano"]
        for name in self.names:
            self.client.put("catalogue", name.encode(), b"Package: " + name.encode())
        self.index = name_index.NameIndex(self.client, "catalogue")

    def test_it_finds_the_name_itself_first_then_what_starts_so_then_the_rest(self):
        self.assertTrue(self.index.refresh())
        self.assertEqual(self.index.search("NANO", 10).names, ["nano", "nano-tiny", "xnano"])
        self.assertEqual(self.index.search("tiny nano", 10).names, ["nano-tiny"])
        self.assertEqual(self.index.search("  ", 10).total, 0)

    def test_it_counts_all_and_answers_a_few(self):
        self.index.refresh()
        found = self.index.search("lib", 5)
        self.assertEqual((len(found.names), found.total), (5, 40))

    def test_pages_of_a_partition_are_followed(self):
        self.addCleanup(setattr, name_index, "PAGE", name_index.PAGE)
        name_index.PAGE = 2
        self.index.refresh()
        self.assertEqual(self.index.snapshot.names, tuple(sorted(self.names)))

    def test_with_one_node_gone_the_scan_is_complete(self):
        self.gyre.nodes[1].stop()
        self.assertTrue(self.index.refresh())
        self.assertEqual(len(self.index.snapshot.names), len(self.names))

    def test_with_two_nodes_gone_names_stay_and_the_scan_says_it_is_incomplete(self):
        self.index.refresh()
        self.gyre.records.pop(("catalogue", b"nano"))
        self.gyre.nodes[0].stop()
        self.gyre.nodes[1].stop()
        self.assertFalse(self.index.refresh())
        self.assertTrue(self.index.holds("nano"))
        self.assertEqual(self.index.snapshot.incomplete, 8)

    def test_a_name_that_is_gone_is_forgotten_by_the_next_complete_scan(self):
        self.index.refresh()
        self.gyre.records.pop(("catalogue", b"nano"))
        self.index.refresh()
        self.assertFalse(self.index.holds("nano"))

    def test_without_the_table_it_is_empty_and_ready(self):
        self.gyre.tables.pop("catalogue")
        self.assertTrue(self.index.refresh())
        self.assertIsNotNone(self.index.snapshot.scanned_at)


class Http(OverFakeGyre):
    def setUp(self):
        super().setUp()
        self.client.put("catalogue", b"nano", b"Package: nano\nVersion: 7.2\nSection: editors\n"
                        b"Description: small editor\n more words\n .\n and more\n")
        self.app = cart.build_app(self.client)
        self.app.state.index.refresh()
        self.http = TestClient(self.app, raise_server_exceptions=False)

    def post(self, path: str, **body):
        return self.http.post(path, json=body)

    def assert_error(self, response, status: int, code: str):
        self.assertEqual(response.status_code, status, response.text)
        self.assertEqual(response.json()["error"]["code"], code)
        self.assertTrue(response.json()["error"]["message"])

    def test_a_cart_is_filled_read_and_emptied_and_says_which_replicas_answered(self):
        added = self.post("/api/cart/mine/add", package="nano", quantity=2).json()
        self.assertEqual(added["lines"][0]["quantity"], 2)
        read, write = added["answers"]
        self.assertEqual((read["operation"], write["operation"]), ("read", "write"))
        self.assertEqual(write["replicas"][1],
                         {"node": "n3", "micros": 310, "part": "answered"})
        seen = self.http.get("/api/cart/mine").json()
        self.assertEqual(seen["lines"], added["lines"])
        emptied = self.post("/api/cart/mine/remove", package="nano",
                            tags=seen["lines"][0]["tags"]).json()
        self.assertEqual((emptied["lines"], emptied["quantity"]), ([], 0))

    def test_an_add_that_is_sent_twice_counts_once(self):
        for _ in range(2):
            response = self.post("/api/cart/mine/add", package="nano", quantity=1, tag=f"{A}:1")
            self.assertEqual(response.json()["quantity"], 1)

    def test_a_search_shows_what_the_catalogue_says_of_a_package(self):
        found = self.http.get("/api/search", params={"q": "nan"}).json()
        self.assertEqual(found["packages"], [{"package": "nano", "version": "7.2",
                                              "section": "editors", "summary": "small editor"}])

    def test_a_package_is_shown_whole(self):
        shown = self.http.get("/api/package/nano").json()
        self.assertEqual(shown["fields"]["Description"], "small editor\nmore words\n.\nand more")
        self.assertEqual(shown["answers"][0]["coordinator"], "n1")

    def test_a_package_that_does_not_exist_is_no_package_and_cannot_be_added(self):
        self.assert_error(self.http.get("/api/package/none"), 404, "no_such_package")
        self.assert_error(self.post("/api/cart/mine/add", package="none"), 404, "no_such_package")

    def test_wrong_requests_are_told_what_is_wrong(self):
        for body in ({}, {"package": ""}, {"package": "nano", "quantity": 0},
                     {"package": "nano", "quantity": 100}, {"package": "nano", "quantity": "1"},
                     {"package": "nano", "quantity": 1.5}, {"package": "n" * 256},
                     {"package": "nano", "tag": "x"}, {"package": ["nano"]}):
            with self.subTest(body=body):
                self.assert_error(self.post("/api/cart/mine/add", **body), 400, "invalid_request")
        self.assert_error(self.http.get("/api/cart/" + "x" * 65), 400, "invalid_request")
        self.assert_error(self.http.get("/api/cart/a%20b"), 400, "invalid_request")
        self.assert_error(self.http.get("/api/search?q=" + "x" * 101), 400, "invalid_request")
        self.assert_error(self.http.post("/api/cart/mine/add", content=b"{"), 400,
                          "invalid_request")
        self.assert_error(self.http.get("/nothing-here"), 404, "http")
        self.assert_error(self.http.delete("/api/cart/mine"), 405, "http")

    def test_limits_and_lost_count_are_conflicts(self):
        self.post("/api/cart/mine/add", package="nano", quantity=99)
        self.assert_error(self.post("/api/cart/mine/add", package="nano"), 409, "limit_reached")
        self.assert_error(self.post("/api/cart/other/add", package="nano", tag=f"{A}:2"), 409,
                          "out_of_step")

    def test_a_body_that_is_too_large_or_of_unknown_length_is_refused(self):
        large = self.http.post("/api/cart/mine/add", content=b"x" * (http_guard.MAX_BODY_BYTES + 1))
        self.assert_error(large, 413, "too_large")
        chunked = self.http.post("/api/cart/mine/add", content=iter([b"{}"]))
        self.assert_error(chunked, 411, "length_required")

    def test_without_the_store_it_says_when_to_come_back_and_stays_healthy(self):
        for node in self.gyre.nodes:
            node.stop()
        response = self.post("/api/cart/mine/add", package="nano")
        self.assert_error(response, 503, "store_unavailable")
        self.assertGreaterEqual(int(response.headers["Retry-After"]), 1)
        self.assertEqual(self.http.get("/healthz").status_code, 200)
        found = self.http.get("/api/search", params={"q": "nano"})
        self.assertEqual(found.json()["packages"], [{"package": "nano"}])
        nodes = self.http.get("/api/status").json()["nodes"]
        self.assertEqual([node["reachable"] for node in nodes], [False] * 3)
        self.assertEqual([node["node"] for node in nodes], self.gyre.addresses)

    def test_before_the_catalogue_is_there_it_says_when_to_come_back(self):
        self.gyre.tables.pop("catalogue")
        self.assert_error(self.http.get("/api/package/nano"), 503, "not_ready")
        fresh = TestClient(cart.build_app(self.client))
        response = fresh.get("/api/search?q=nano")
        self.assert_error(response, 503, "not_ready")
        self.assertIn("Retry-After", response.headers)

    def test_a_cart_that_cannot_be_read_is_not_written_over(self):
        self.client.put("carts", b"mine", b"something else")
        self.assert_error(self.post("/api/cart/mine/add", package="nano"), 500, "unreadable_cart")
        self.assertEqual(self.client.get("carts", b"mine").reply.values, [b"something else"])

    def test_the_status_names_the_nodes_and_counts_requests(self):
        status = self.http.get("/api/status").json()
        self.assertEqual([node["node"] for node in status["nodes"]], ["n1", "n2", "n3"])
        self.gyre.nodes[1].stop()
        away = self.http.get("/api/status").json()["nodes"][1]
        self.assertEqual((away["node"], away["reachable"]), ("n2", False))
        self.assertEqual(status["index"]["packages"], 1)
        self.assertGreater(status["requests"]["requests"], 0)

    def test_the_page_loads_nothing_from_elsewhere(self):
        page = self.http.get("/")
        self.assertIn("default-src 'self'", page.headers["Content-Security-Policy"])
        for name in ("/", "/cart.css", "/cart.js"):
            response = self.http.get(name)
            self.assertEqual(response.status_code, 200)
            self.assertNotRegex(response.text, r"https?://(?!www\.w3\.org/2000/svg)")


class Process(unittest.TestCase):
    """cart.py as it is started, without a cluster behind it."""

    def test_a_port_in_use_and_an_address_that_is_none_are_refused_by_name(self):
        with cart.listening_socket("127.0.0.1:0") as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            with self.assertRaises(OSError):
                cart.listening_socket(address)
        for address in ("", "8080", "127.0.0.1:x", "127.0.0.1:70000", ":80"):
            with self.subTest(address=address), self.assertRaises(ValueError):
                cart.listening_socket(address)

    def test_a_body_that_does_not_come_is_given_up(self):
        self.addCleanup(setattr, http_guard, "BODY_WITHIN_S", http_guard.BODY_WITHIN_S)
        http_guard.BODY_WITHIN_S = 0.05
        app = cart.build_app(GyreClient(WIRE, ["127.0.0.1:9"]))
        listener = cart.listening_socket("127.0.0.1:0")
        server = cart.Server(cart.uvicorn.Config(app, log_level="critical"))
        server.install_signal_handlers = lambda: None
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        connection = http.client.HTTPConnection(*listener.getsockname(), timeout=10)
        try:
            connection.putrequest("POST", "/api/cart/mine/add")
            connection.putheader("Content-Length", "10")
            connection.endheaders(b"{")
            response = connection.getresponse()
            self.assertEqual(response.status, 408)
            self.assertEqual(json.loads(response.read())["error"]["code"], "too_slow")
        finally:
            connection.close()
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stubs", type=Path)
    flags, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        WIRE = stubs.load((flags.stubs or Path(scratch)).resolve())
        unittest.main(argv=[sys.argv[0], *rest])
