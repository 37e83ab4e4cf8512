"""Deliveries read off AMQP frames without pika's objects, which cost more than all that is done with them.

A delivery is three frames or more (AMQP 0-9-1, 2.3.5 and 4.2): `basic.deliver`, a content header with the properties,
and the body in pieces. The table of headers that the firehose writes is the same, byte for byte, for all messages of
one connection to one queue: it is decoded by pika once and then found by its bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

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
MOST_TABLES = 20_000
"""Decoded tables that are kept; then all are forgotten, since what is still in use comes again at once."""
HAS_TYPE, HAS_ENCODING, HAS_HEADERS = 1 << 15, 1 << 14, 1 << 13
"""Bits of the content header that say which properties follow; the table comes after these two."""

UNREADABLE = (InvalidFieldTypeException, UnsupportedAMQPFieldException, StructError, ValueError, LookupError,
              OverflowError, OSError)  # fmt: skip
"""What pika's decoder raises at bytes that are no table; OSError and OverflowError are those of wild timestamps."""

_frame = Struct(">BHI")
_long_long = Struct(">Q")
_content = Struct(">QH")

Deliver = Callable[[int, str, Headers, bytes], None]
"""Delivery tag, routing key, headers, body."""


class NotAmqp(ValueError):
    """What was read is no AMQP."""


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
        self._headers = Headers()
        self._expected = NOTHING
        """Bytes of the body that are still to come; `NOTHING`: no delivery is under way."""
        self._pieces: list[bytes] = []
        self._tables: dict[bytes, Headers] = {}
        self._keys: dict[bytes, str] = {}

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
                self._header(data[begin:end])
            elif kind == METHOD and data[begin : begin + 4] == DELIVER:
                self._begin(data[begin + 4 : end])
            else:
                self._other(data[at : end + 1])
            at = end + 1
        self._rest = data[at:]

    def _begin(self, method: bytes) -> None:
        """basic.deliver: consumer tag, delivery tag, redelivered, exchange, routing key."""
        try:
            at = 1 + method[0]
            self._tag = _long_long.unpack_from(method, at)[0]
            at += 9
            at += 1 + method[at]
            key = method[at + 1 : at + 1 + method[at]]
        except (IndexError, StructError) as error:
            raise NotAmqp(f"found a basic.deliver of {len(method)} bytes that ends too early") from error
        text = self._keys.get(key)
        if text is None:
            if len(self._keys) >= MOST_TABLES:
                self._keys.clear()
            text = self._keys[key] = key.decode(errors="replace")
        self._key = text
        self._expected = HEADER_NEXT
        self._pieces = []

    def _header(self, content: bytes) -> None:
        """The content header: class, weight, size of the body, which properties there are, and these."""
        try:
            size, flags = _content.unpack_from(content, 4)
            at = 14
            if flags & HAS_TYPE:
                at += 1 + content[at]
            if flags & HAS_ENCODING:
                at += 1 + content[at]
        except (IndexError, StructError) as error:
            raise NotAmqp(f"found a content header of {len(content)} bytes that ends too early") from error
        self._headers = Headers()
        if flags & HAS_HEADERS:
            length = int.from_bytes(content[at : at + 4], "big")
            self._headers = self._table(content[at : at + 4 + length])
        if size:
            self._expected = size
        else:
            self._finish(b"")

    def _table(self, table: bytes) -> Headers:
        found = self._tables.get(table)
        if found is None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            found = self._tables[table] = read_table(table)
        return found

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


def read_table(table: bytes) -> Headers:
    """The firehose's headers of an encoded field table, with its length before it; empty if it can't be read."""
    try:
        found: dict[str, Any] = decode_table(table, 0)[0]
    except UNREADABLE:
        return Headers()
    return headers_of(found)
