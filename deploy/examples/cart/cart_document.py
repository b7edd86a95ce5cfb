"""What is in a cart: an observed-remove set whose causal context is one number a device.

Why this set. A cart is one key of a store that keeps concurrent writes as siblings, so two devices
that write at the same time leave two documents, and whoever reads them has to make one of them.
A union of what is in them would bring a removed thing back. A list of removed things would stop
that, and would grow for ever. Here a document says what is in the cart and, in `devices`, which
adds it has *seen*: an add that a document has seen and does not hold was removed. That is the
optimised OR-Set of Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012), and one
level up the very algebra by which Gyre merges records (dots, a context, and sync).

  tag       (device, number): names one add for ever. A device counts its adds to a cart from 1.
  devices   for each device the highest number seen; it has seen all the lower ones too.
  adds      tag -> (package, quantity): the adds that were not removed.

What always holds: the tag of every add in a document is covered by its `devices`.

What keeps `devices` honest: an add is taken only right after the one before it of its device
(`OutOfStep` otherwise), and a device sends its next add when the one before was acknowledged, that
is, when every read quorum sees it. So a document that covers number 7 has seen 1 to 7.
An add that is sent twice is taken once, even when it was removed in between.

A removal takes exactly the adds that its device saw, and covers them: an add that someone makes at
the same moment stays. The document grows with what is in the cart and with the number of devices
that ever added to it, never with what was taken out. It cannot be forgotten while the cart is
empty, either: then an old sibling would fill it again.

Values are immutable; every function here is pure.

The document as bytes is canonical JSON (sorted, no spaces), so that equal carts are equal bytes:

  {"adds":[[device,number,package,quantity],...],"devices":{device:number,...},"v":1}
"""

import json
import re
from dataclasses import dataclass, field
from typing import Iterable, Mapping, NamedTuple

FORMAT = 1
MAX_LINES = 100  # different packages in a cart
MAX_QUANTITY = 99  # of one package
MAX_DEVICES = 1000  # that ever added to a cart
MAX_NUMBER = 2**53 - 1  # what JSON can count to in a browser

DEVICE = re.compile(r"[0-9a-f]{16}")


class BadTag(Exception):
    """A text that names no add."""


class Tag(NamedTuple):
    device: str
    number: int

    def __str__(self) -> str:
        return f"{self.device}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Tag":
        """BadTag unless `text` is what str() of a tag is."""
        device, _, number = text.partition(":")
        if not DEVICE.fullmatch(device) or not re.fullmatch(r"[1-9][0-9]{0,15}", number):
            raise BadTag(f"{text!r} is no tag: 16 hex digits, a colon and a number from 1")
        return cls(device, int(number))


class Add(NamedTuple):
    package: str
    quantity: int


@dataclass(frozen=True)
class Line:
    """One package of a cart as a person sees it."""

    package: str
    quantity: int
    tags: tuple[Tag, ...]  # the adds it is made of; a removal names those that it saw


class Unreadable(Exception):
    """The bytes are no cart, or one of a newer format."""


class OutOfStep(Exception):
    """A device's add, or one that a removal saw, comes before the one that precedes it."""


class LimitReached(Exception):
    """The cart would grow over one of the limits above."""


@dataclass(frozen=True)
class Cart:
    devices: Mapping[str, int] = field(default_factory=dict)
    adds: Mapping[Tag, Add] = field(default_factory=dict)

    def lines(self) -> list[Line]:
        """By the name of the package."""
        tags: dict[str, list[Tag]] = {}
        for tag, add in sorted(self.adds.items()):
            tags.setdefault(add.package, []).append(tag)
        return [Line(package, sum(self.adds[tag].quantity for tag in of), tuple(of))
                for package, of in sorted(tags.items())]

    def covers(self, tag: Tag) -> bool:
        return tag.number <= self.devices.get(tag.device, 0)


def merge(a: Cart, b: Cart) -> Cart:
    """What both know: an add stays when both hold it, or when the other has not seen it."""
    adds = {tag: add for tag, add in a.adds.items() if tag in b.adds or not b.covers(tag)}
    adds |= {tag: add for tag, add in b.adds.items() if tag in a.adds or not a.covers(tag)}
    return Cart(_joined(a.devices, b.devices), adds)


def merge_all(carts: Iterable[Cart]) -> Cart:
    merged = Cart()
    for cart in carts:
        merged = merge(merged, cart)
    return merged


def add(cart: Cart, tag: Tag, what: Add) -> Cart:
    """`cart` with one more add; `cart` itself when it has seen that add."""
    if cart.covers(tag):
        return cart
    seen = _seen(cart, tag)
    held = {line.package: line.quantity for line in cart.lines()}
    if held.get(what.package, 0) + what.quantity > MAX_QUANTITY:
        raise LimitReached(f"a cart holds at most {MAX_QUANTITY} of one package, and this one has "
                           f"{held.get(what.package, 0)} of {what.package}")
    if what.package not in held and len(held) >= MAX_LINES:
        raise LimitReached(f"a cart holds at most {MAX_LINES} different packages")
    return Cart(seen, {**cart.adds, tag: what})


def remove(cart: Cart, package: str, tags: Iterable[Tag]) -> Cart:
    """`cart` without the adds of `package` that are named by `tags`.

    A tag that the cart has not seen yet is covered all the same: the device that names it saw it
    somewhere, and where that is, merging must find it removed.
    """
    gone = {tag for tag in tags if tag not in cart.adds or cart.adds[tag].package == package}
    seen = cart
    for tag in sorted(gone):
        if not seen.covers(tag):
            seen = Cart(_seen(seen, tag), seen.adds)
    return Cart(seen.devices, {tag: what for tag, what in cart.adds.items() if tag not in gone})


def encode(cart: Cart) -> bytes:
    adds = [[*tag, *what] for tag, what in sorted(cart.adds.items())]
    document = {"v": FORMAT, "devices": cart.devices, "adds": adds}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode(value: bytes) -> Cart:
    try:
        document = json.loads(value)
        version = document["v"]
        if version != FORMAT:
            raise Unreadable(f"the cart is of format {version!r}; this backend reads {FORMAT}")
        cart = Cart({device: _number(number) for device, number in document["devices"].items()},
                    {Tag(device, _number(number)): Add(_text(package), _number(quantity))
                     for device, number, package, quantity in document["adds"]})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"the value is no cart: {error}") from error
    for tag in cart.adds:
        if not cart.covers(tag):
            raise Unreadable(f"the cart holds {tag}, which it has not seen")
    return cart


def _joined(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {device: max(a.get(device, 0), b.get(device, 0)) for device in {**a, **b}}


def _seen(cart: Cart, tag: Tag) -> dict[str, int]:
    """The devices of `cart` once it has seen `tag` as well."""
    before = cart.devices.get(tag.device, 0)
    if tag.number != before + 1:
        raise OutOfStep(f"add {tag.number} of device {tag.device} came after its add {before}; "
                        f"a device that lost count takes a new name")
    if before == 0 and len(cart.devices) >= MAX_DEVICES:
        raise LimitReached(f"a cart can be filled from at most {MAX_DEVICES} devices")
    return {**cart.devices, tag.device: tag.number}


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_NUMBER:
        raise ValueError(f"{value!r} is no number from 1")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
