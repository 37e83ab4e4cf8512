"""Deliveries read off AMQP frames without pika's objects, which cost more than all that is done with them.

A delivery is three frames or more (AMQP 0-9-1, 2.3.5 and 4.2): `basic.deliver`, a content header with the properties,
and the body in pieces. The routing key and the headers that the firehose writes are the same, byte for byte, for all
messages of one connection to one queue: they are decoded once, the table by pika, and then found by their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any, TypeVar

from pika.data import decode_table
from pika.exceptions import InvalidFieldTypeException, UnsupportedAMQPFieldException

from functions.rpc_trace.recording import headers_of
from functions.rpc_trace.sighting import Headers

METHOD, HEADER, BODY, END = 1, 2, 3, 0xCE
NOTHING, HEADER_NEXT = -1, -2
DELIVER = b"\x00\x3c\x00\x3c"
"""Class and method of basic.deliver."""
LARGEST_FRAME = 131_072
"""Bytes; pika agrees to no more with the broker."""
TOO_SHORT = "found a frame that ends before its content does: this is not AMQP"
MOST_KNOWN = 20_000
"""Routing keys and headers that are kept; then all are forgotten, since what is still in use comes again at once."""
NO_HEADERS = Headers()
HAS_TYPE, HAS_ENCODING, HAS_HEADERS = 1 << 15, 1 << 14, 1 << 13
"""Bits of the content header that say which properties follow; the table comes after these two."""

UNREADABLE = (InvalidFieldTypeException, UnsupportedAMQPFieldException, StructError, ValueError, LookupError,
              OverflowError, OSError)  # fmt: skip
"""What pika's decoder raises at bytes that are no table; OSError and OverflowError are those of wild timestamps."""

_frame = Struct(">BHI")
_long_long = Struct(">Q")
_short = Struct(">H")

Read = TypeVar("Read")
Deliver = Callable[[int, str, Headers, bytes], None]
"""Delivery tag, routing key, headers, body."""


class NotAmqp(ValueError):
    """What was read is no AMQP."""


class _Known(dict[bytes, Read]):
    """What was read of some bytes, by these; a look-up reads what is not known. functools' cache costs more."""

    def __init__(self, read: Callable[[bytes], Read]) -> None:
        self._read = read

    def __missing__(self, encoded: bytes) -> Read:
        if len(self) >= MOST_KNOWN:
            self.clear()
        found = self[encoded] = self._read(encoded)
        return found


class Frames:
    """Takes the bytes of a connection as they come, and hands over deliveries on one channel; the rest goes to pika.

    Args:
        channel: whose deliveries are meant.
        deliver: gets each delivery.
        other: gets every other frame, whole.
    """

    def __init__(self, channel: int, deliver: Deliver, other: Callable[[bytes], None]) -> None:
        self._channel = channel
        self._deliver = deliver
        self._other = other
        self._rest = b""
        self._tag = 0
        self._key = ""
        self._headers = NO_HEADERS
        self._expected = NOTHING
        """Bytes of the body that are still to come; `NOTHING`: no delivery is under way."""
        self._pieces: list[bytes] = []
        self._keys = _Known(read_key)
        self._properties = _Known(read_properties)

    def feed(self, data: bytes) -> None:
        """Take what was read from the socket.

        Raises:
            NotAmqp: these are no AMQP frames.
        """
        if self._rest:
            data = self._rest + data
        at, length = 0, len(data)
        unpack, channel = _frame.unpack_from, self._channel
        while length - at >= 8:
            kind, number, size = unpack(data, at)
            if size > LARGEST_FRAME:
                raise NotAmqp(f"found a frame of {size} bytes, expected {LARGEST_FRAME} at most: this is not AMQP")
            begin = at + 7
            end = begin + size
            if end >= length:
                break
            if data[end] != END:
                raise NotAmqp(f"found {data[end]:#04x} at the end of a frame, expected 0xce: this is not AMQP")
            if number != channel:
                self._other(data[at : end + 1])
            elif kind == BODY and self._expected > 0:
                self._body(data[begin:end])
            elif kind == HEADER and self._expected == HEADER_NEXT:
                self._header(data, begin, end)
            elif kind == METHOD and data.startswith(DELIVER, begin, end):
                self._begin(data, begin + 4, end)
            else:
                self._other(data[at : end + 1])
            at = end + 1
        self._rest = data[at:]

    def _begin(self, data: bytes, at: int, end: int) -> None:
        """basic.deliver: consumer tag, delivery tag, redelivered, exchange, routing key."""
        tag_at = at + 1 + data[at]
        encoded = data[tag_at + 8 : end]
        if not encoded:
            raise NotAmqp(TOO_SHORT)
        self._key = self._keys[encoded]
        self._tag = _long_long.unpack_from(data, tag_at)[0]
        self._expected = HEADER_NEXT
        self._pieces = []

    def _header(self, data: bytes, begin: int, end: int) -> None:
        """The content header: class, weight, size of the body, which properties there are, and these."""
        encoded = data[begin + 12 : end]
        if not encoded:
            raise NotAmqp(TOO_SHORT)
        self._headers = self._properties[encoded]
        self._expected = _long_long.unpack_from(data, begin + 4)[0]
        if not self._expected:
            self._finish(b"")

    def _body(self, piece: bytes) -> None:
        if len(piece) == self._expected and not self._pieces:
            self._finish(piece)
            return
        self._pieces.append(piece)
        self._expected -= len(piece)
        if self._expected <= 0:
            whole = b"".join(self._pieces)
            self._pieces = []
            self._finish(whole)

    def _finish(self, body: bytes) -> None:
        self._expected = NOTHING
        self._deliver(self._tag, self._key, self._headers, body)


def read_key(encoded: bytes) -> str:
    """The routing key of what follows the delivery tag in basic.deliver: redelivered, exchange, routing key.

    Raises:
        NotAmqp: it ends too early.
    """
    try:
        at = 2 + encoded[1]
        end = at + 1 + encoded[at]
    except IndexError:
        end = len(encoded) + 1
    if end > len(encoded):
        raise NotAmqp(TOO_SHORT)
    return encoded[at + 1 : end].decode(errors="replace")


def read_properties(encoded: bytes) -> Headers:
    """The firehose's headers among a message's properties: which there are, then each; empty if they can't be read.

    Raises:
        NotAmqp: it ends too early.
    """
    try:
        (flags,) = _short.unpack_from(encoded)
        at = 2
        if flags & HAS_TYPE:
            at += 1 + encoded[at]
        if flags & HAS_ENCODING:
            at += 1 + encoded[at]
    except (IndexError, StructError) as error:
        raise NotAmqp(TOO_SHORT) from error
    return read_table(encoded[at:]) if flags & HAS_HEADERS else NO_HEADERS


def read_table(table: bytes) -> Headers:
    """The firehose's headers of an encoded field table, with its length before it; empty if it can't be read."""
    try:
        found: dict[str, Any] = decode_table(table, 0)[0]
    except UNREADABLE:
        return NO_HEADERS
    return headers_of(found)
