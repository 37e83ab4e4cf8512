"""Deliveries read off AMQP frames: what pika writes is read as pika reads it, however the bytes are divided."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec
from pika.data import decode_table, encode_table
from pika.exceptions import UnsupportedAMQPFieldException

from functions.rpc_trace.frames import LARGEST_FRAME, Frames, NotAmqp, read_table
from functions.rpc_trace.recording import headers_of
from functions.rpc_trace.sighting import Headers

CHANNEL = 1
SHORT = st.text(max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=50)
    | st.binary(max_size=50)
    | st.decimals(-100_000, 100_000, places=2)
    | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SHORT, inner, max_size=4),
    max_leaves=12,
)
FIREHOSE = st.fixed_dictionaries(
    {},
    optional={
        "exchange_name": SHORT | VALUES,
        "routing_keys": st.lists(SHORT, max_size=3) | VALUES,
        "routed_queues": st.lists(SHORT, max_size=3) | VALUES,
        "redelivered": st.integers(0, 1) | VALUES,
        "connection": SHORT | VALUES,
        "properties": st.fixed_dictionaries(
            {}, optional={"expiration": st.just("60000") | VALUES,
                          "headers": st.dictionaries(SHORT, VALUES, max_size=3) | VALUES}
        )
        | VALUES,
    },
)  # fmt: skip
Delivery = tuple[int, str, Headers, bytes]


class Read:
    """Frames, with what they handed over."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.others: list[bytes] = []
        self.frames = Frames(CHANNEL, lambda *delivery: self.deliveries.append(delivery), self.others.append)

    def feed(self, data: bytes, *sizes: int) -> Read:
        """In pieces of these sizes, the last one over and over."""
        at = 0
        for size in (*sizes, *[sizes[-1] if sizes else len(data) or 1] * len(data)):
            if at >= len(data):
                break
            self.frames.feed(data[at : at + size])
            at += size
        return self


def wire(
    tag: int, key: str, headers: Any, body: bytes, channel: int = CHANNEL, largest: int = 4096, **properties: Any
) -> bytes:
    """A delivery as pika's own encoder writes it."""
    method = spec.Basic.Deliver("ctag1", tag, False, "amq.rabbitmq.trace", key)
    pieces = [body[at : at + largest] for at in range(0, len(body), largest)]
    frames = [
        frame.Method(channel, method),
        frame.Header(channel, len(body), BasicProperties(headers=headers, **properties)),
        *(frame.Body(channel, piece) for piece in pieces),
    ]
    return b"".join(one.marshal() for one in frames)


def encoded(table: Any) -> bytes:
    """A field table on the wire; what pika itself can't encode is no example."""
    pieces: list[bytes] = []
    try:
        encode_table(pieces, table)
    except (struct.error, ValueError, OverflowError, AssertionError, UnsupportedAMQPFieldException):
        assume(False)
    return b"".join(pieces)


@settings(max_examples=300)
@given(FIREHOSE | st.dictionaries(SHORT, VALUES, max_size=5))
@example({"exchange_name": "nova", "routing_keys": ["a"], "routed_queues": ["a"], "redelivered": 0, "connection": "c",
          "properties": {"expiration": "60000", "headers": {"a": 1}}})  # fmt: skip
def test_any_table_is_read_as_pika_reads_it(table: dict[str, Any]) -> None:
    """Field tables with anything that AMQP knows, nested."""
    data = encoded(table)
    assert read_table(data) == headers_of(decode_table(data, 0)[0])


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 2**63), st.text(max_size=60), FIREHOSE, st.binary(max_size=300)), max_size=6),
    st.lists(st.integers(1, 200), max_size=20),
    st.integers(1, 100),
)
def test_any_division_of_the_bytes_gives_the_same_deliveries(
    messages: list[tuple[int, str, Any, bytes]], sizes: list[int], largest: int
) -> None:
    """Chunks as a socket gives them, bodies in one frame or many."""
    data, expected = b"", []
    for tag, key, headers, body in messages:
        assume(len(key.encode()) < 256)
        encoded(headers)
        data += wire(tag, key, headers, body, largest=largest)
        # A table that AMQP has no number for is no table after it was encoded.
        table = encoded(headers)
        expected.append((tag, key, headers_of(decode_table(table, 0)[0]), body))
    read = Read().feed(data, *sizes)
    assert read.deliveries == expected
    assert read.others == []


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 100, 10**6])
def test_other_frames_go_to_pika_untouched(size: int) -> None:
    """Heartbeats, other channels and other methods, between deliveries and in the midst of one."""
    other = [
        frame.Heartbeat().marshal(),
        frame.Method(CHANNEL, spec.Queue.DeclareOk("q", 5, 1)).marshal(),
        wire(7, "x", {}, b"of another channel", channel=2),
        frame.Method(0, spec.Connection.Close(320, "gone", 0, 0)).marshal(),
    ]
    delivery = wire(1, "publish.nova", {"connection": "c"}, b"a" * 5000)
    header_end = len(delivery) - 5000 - 2 * 8
    data = other[0] + delivery[:header_end] + other[0] + other[2] + delivery[header_end:] + b"".join(other)
    read = Read().feed(data, size)
    assert b"".join(read.others) == other[0] + other[0] + other[2] + b"".join(other)
    assert all(one[-1] == 0xCE for one in read.others)
    assert [(tag, key, headers.connection, len(body)) for tag, key, headers, body in read.deliveries] == [
        (1, "publish.nova", "c", 5000)
    ]


def test_all_properties_beside_the_headers() -> None:
    """Those before the table are stepped over, those after it are left."""
    data = wire(
        1, "k", {"connection": "c"}, b"b", content_type="application/json", content_encoding="utf-8", delivery_mode=2,
        priority=0, correlation_id="x", reply_to="y", expiration="1", message_id="m", timestamp=1, type="t",
        user_id="u", app_id="a", cluster_id="z",
    )  # fmt: skip
    ((_, _, headers, body),) = Read().feed(data).deliveries
    assert (headers.connection, body) == ("c", b"b")


def test_messages_without_headers_and_without_a_body() -> None:
    """They are delivered too."""
    read = Read().feed(wire(1, "a", None, b"x") + wire(2, "b", {"connection": "c"}, b"") + wire(3, "c", None, b"y"))
    assert [(tag, body) for tag, _, _, body in read.deliveries] == [(1, b"x"), (2, b""), (3, b"y")]
    assert read.deliveries[0][2] == Headers()


def test_tables_and_keys_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that puts a number into each header does not fill the memory."""
    monkeypatch.setattr("functions.rpc_trace.frames.MOST_KNOWN", 10)
    read = Read()
    for number in range(100):
        read.feed(wire(number, f"k{number}", {"connection": str(number)}, b""))
    assert [headers.connection for _, _, headers, _ in read.deliveries] == [str(number) for number in range(100)]
    assert len(read.frames._properties) <= 10
    assert len(read.frames._keys) <= 10


@settings(max_examples=300)
@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=5))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes, sizes: list[int]) -> None:
    """Whatever comes from the socket."""
    try:
        Read().feed(data, *sizes)
    except ValueError:
        return


@settings(max_examples=300)
@given(st.data())
def test_a_delivery_with_broken_bytes_is_read_or_a_value_error(data: st.DataObject) -> None:
    """Some bytes of real frames are wrong, or gone."""
    whole = bytearray(
        wire(1, "publish.nova", {"connection": "c", "routing_keys": ["a"]}, b"body" * 20, content_type="x")
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            whole[at] = data.draw(st.integers(0, 255))
        else:
            del whole[at]
    try:
        Read().feed(bytes(whole), data.draw(st.integers(1, 300)))
    except ValueError:
        return


@settings(max_examples=200)
@given(st.binary(max_size=100), st.booleans())
def test_short_methods_and_headers_are_a_value_error_or_nothing(payload: bytes, header: bool) -> None:
    """A frame that ends where it should not."""
    start = struct.pack(">BHI", 1, CHANNEL, 4 + len(payload)) + b"\x00\x3c\x00\x3c" + payload + b"\xce"
    content = struct.pack(">BHI", 2, CHANNEL, len(payload)) + payload + b"\xce"
    deliver = frame.Method(CHANNEL, spec.Basic.Deliver("ctag1", 1, False, "amq.rabbitmq.trace", "k")).marshal()
    try:
        Read().feed(deliver + content if header else start)
    except NotAmqp:
        return


def test_a_frame_that_is_too_large_is_refused_before_it_is_read() -> None:
    """Garbage must not make it wait for 4 GB."""
    with pytest.raises(NotAmqp, match="at most"):
        Read().feed(struct.pack(">BHI", 1, CHANNEL, LARGEST_FRAME + 1) + b"x")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_table_have_no_headers(data: bytes) -> None:
    """The message counts nonetheless."""
    assert isinstance(read_table(data), Headers)
