"""The bodies that oslo.messaging sends: requests, replies, heartbeats, notifications.

Only what correlation needs is read. Values of arguments, results and the texts of exceptions are skipped by the
decoder: they never become objects of this process.
"""

from __future__ import annotations

import bz2
import json
import lzma
import re
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

MOST_BYTES = 64 * 1024 * 1024
"""A body that unpacks to more than this is not read."""
LONGEST_NAME = 255
"""Characters of a method, a class or an id; what is longer is no name."""

_NAME = re.compile(r"[\w.:\-/@#+$ ]{1,255}")


class MessageKind(StrEnum):
    """What a message is."""

    CALL = "call"
    """A request that waits for a reply."""
    CAST = "cast"
    """A request that does not, to one server of a topic."""
    FANOUT = "fanout"
    """A cast to all servers of a topic."""
    REPLY = "reply"
    """The completion of a call, with its result or its failure."""
    HEARTBEAT = "heartbeat"
    """A reply that only says that the server is still at work (call_monitor_timeout)."""
    NOTIFICATION = "notification"
    FOREIGN = "foreign"
    """Not of oslo.messaging, or not readable."""


class Message(msgspec.Struct, gc=False, frozen=True):
    """The fields of a body by which messages belong together.

    Of a request `method` is set, of a call `msg_id` too; of a reply `msg_id` and `ending`; of a notification
    `event_type`.
    """

    method: str | None = None
    namespace: str | None = None
    msg_id: str | None = msgspec.field(default=None, name="_msg_id")
    unique_id: str | None = msgspec.field(default=None, name="_unique_id")
    reply_q: str | None = msgspec.field(default=None, name="_reply_q")
    request_id: str | None = msgspec.field(default=None, name="_context_request_id")
    global_request_id: str | None = msgspec.field(default=None, name="_context_global_request_id")
    ending: bool | None = None
    failure: str | None = None
    """JSON again; `failure_class` reads of it what may be kept."""
    event_type: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    message: str | None = msgspec.field(default=None, name="oslo.message")


FOREIGN = Message()
"""Stands for a body that can't be read."""

_envelope = msgspec.json.Decoder(_Envelope)
_message = msgspec.json.Decoder(Message)


def read_body(body: bytes | str) -> Message:
    """Read a body, in its envelope (version 2.0) or bare (1.0); FOREIGN if it is neither."""
    try:
        inner = _envelope.decode(body).message
        return _message.decode(body if inner is None else inner)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_loosely(body)


def _read_loosely(body: bytes | str) -> Message:
    """Read what another version or program wrote with other types: each field counts if it is what it should be.

    Python's own decoder takes what its encoder writes, and JSON does not have: NaN, and halves of surrogate pairs.
    """
    try:
        document = json.loads(body if isinstance(body, str) else body.decode(errors="replace"))
        if isinstance(document, dict) and isinstance(document.get("oslo.message"), str):
            document = json.loads(document["oslo.message"])
    except (ValueError, RecursionError):
        return FOREIGN
    if not isinstance(document, Mapping):
        return FOREIGN
    fields = {}
    for field in msgspec.structs.fields(Message):
        value = document.get(field.encode_name)
        if isinstance(value, bool if field.name == "ending" else str):
            fields[field.encode_name] = value
    return msgspec.convert(fields, Message)


_UNPACK: Mapping[str, Callable[[bytes], Any]] = {
    "application/x-gzip": lambda data: zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, MOST_BYTES),
    "application/x-bz2": lambda data: bz2.BZ2Decompressor().decompress(data, MOST_BYTES),
    "application/x-lzma": lambda data: lzma.LZMADecompressor().decompress(data, MOST_BYTES),
}
"""By the header `compression` that kombu sets (kombu.compression); zstd and brotli would need their libraries."""


def unpack(body: bytes, compression: str) -> bytes:
    """Undo `kombu_compression`; empty, which is read as FOREIGN, if that can't be done."""
    try:
        return bytes(_UNPACK[compression](body))
    except (KeyError, zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        return b""


class _Failure(msgspec.Struct):
    name: str = msgspec.field(default="", name="class")
    module: str = ""


_failure = msgspec.json.Decoder(_Failure)


def failure_class(failure: str) -> str:
    """The class of the exception that a reply carries, with its module; its text and its traceback are not kept."""
    try:
        found = _failure.decode(failure)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "(unreadable)"
    return name_of(f"{found.module}.{found.name}" if found.module else found.name)


def name_of(text: str | None) -> str:
    """A name as it may be shown and kept: what does not look like one is not repeated."""
    if text and len(text) <= LONGEST_NAME and _NAME.fullmatch(text):
        return text
    return "(unreadable)" if text else ""


class _Arguments(msgspec.Struct):
    args: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)


_arguments = msgspec.json.Decoder(_Arguments)


def argument_sizes(body: bytes | str) -> dict[str, int]:
    """The names of a request's arguments with the length of each value in its JSON text; never the values."""
    try:
        inner = _envelope.decode(body).message
        found = _arguments.decode(body if inner is None else inner)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return {name_of(name): len(bytes(raw)) for name, raw in found.args.items()}
