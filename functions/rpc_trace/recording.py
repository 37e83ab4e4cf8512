"""The capture file: one JSON object a line, as `drover trace record` writes it and `drover trace replay` reads it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from functions.rpc_trace.own import OWN_QUEUES
from functions.rpc_trace.sighting import Headers, Properties, Sighting, sighting
from shared.errors import Rejected

END = "drover.capture.ended"
"""Routing key of the last line of a capture that ended as it should: `t` says when."""


class _Line(msgspec.Struct, gc=False):
    t: float
    routing_key: str
    headers: Headers
    body: str
    body_size: int | None = None


class _LooseLine(msgspec.Struct):
    t: float
    routing_key: str
    headers: dict[str, Any] = msgspec.field(default_factory=dict)
    body: Any = ""
    body_size: Any = None


class Recording:
    """A capture file that is read once, from its beginning.

    Raises:
        Rejected: it is not there.

    Raises:
        Rejected: there is no such file.

    Attributes:
        unreadable: lines that are no event.
        ended: when the capture ended, if the file says so: seconds since 1970.
        connections: what connections call themselves, if the file says so.
        dropped: events that the capture itself has missed, as far as it knew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.unreadable = 0
        self.ended: float | None = None
        self.dropped = 0
        self.connections: dict[str, str] = {}
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise Rejected(f"{path}: {error.strerror}") from error
        self._raw: IO[bytes] | None = None

    @property
    def read(self) -> int:
        """Bytes of the file that were read so far, of `size`."""
        if self._raw is None:
            return 0
        return self.size if self._raw.closed else self._raw.tell()

    def __iter__(self) -> Iterator[Sighting]:
        """The events in the order of the file.

        Raises:
            Rejected: it can't be read, or has no event at all.
        """
        decode = msgspec.json.Decoder(_Line).decode
        seen = False
        try:
            with self._path.open("rb") as raw:
                self._raw = raw
                for text in _lines(raw):
                    try:
                        line = decode(text)
                        event = sighting(line.t, line.routing_key, line.headers, line.body, line.body_size)
                    except (msgspec.DecodeError, UnicodeError, RecursionError):
                        loose = self._read_loosely(text)
                        if loose is None:
                            continue
                        line, event = loose
                    if line.routing_key == END:
                        self._end(line)
                        continue
                    seen = True
                    yield event
        except (OSError, EOFError, zlib.error) as error:
            if not seen:
                raise Rejected(f"{self._path}: {error}") from error
            self.unreadable += 1  # the file was cut off: what could be read counts
        if not seen and self.ended is None:
            raise Rejected(
                f"{self._path}: no event in it; expected one JSON object a line, with t, routing_key, headers and "
                "body, as `drover trace record` writes them"
            )

    def _read_loosely(self, text: bytes) -> tuple[_Line, Sighting] | None:
        """A line whose fields have other types than they should: what is right of it counts."""
        if not text.strip():
            return None
        try:
            # Python's own decoder takes halves of surrogate pairs and NaN, as Python's own encoder writes them.
            loose = msgspec.convert(json.loads(text.decode(errors="replace")), _LooseLine)
        except (msgspec.ValidationError, ValueError, RecursionError):
            self.unreadable += 1
            return None
        body = loose.body if isinstance(loose.body, str) else ""
        size = loose.body_size if isinstance(loose.body_size, int) else None
        line = _Line(loose.t, loose.routing_key, headers_of(loose.headers), body, size)
        return line, sighting(line.t, line.routing_key, line.headers, body, size)

    def _end(self, line: _Line) -> None:
        self.ended = line.t
        inner = line.headers.properties.headers or {}
        dropped = inner.get("dropped")
        self.dropped = dropped if isinstance(dropped, int) else 0
        named = inner.get("connections")
        if isinstance(named, dict):
            self.connections = {key: text for key, text in named.items() if isinstance(text, str)}


def _lines(raw: IO[bytes]) -> Iterator[bytes]:
    start = raw.peek(2)[:2] if hasattr(raw, "peek") else b""
    packed = start == b"\x1f\x8b"
    return iter(cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw)


def headers_of(found: dict[str, Any]) -> Headers:
    """The firehose's headers of a table with anything in it."""
    properties = found.get("properties")
    inner = properties if isinstance(properties, dict) else {}
    expiration, own = inner.get("expiration"), inner.get("headers")
    routed = found.get("routed_queues")
    redelivered = found.get("redelivered")
    return Headers(
        exchange_name=_text(found.get("exchange_name")),
        routing_keys=_texts(found.get("routing_keys")),
        routed_queues=None if routed is None else tuple(name for name in _texts(routed) if name not in OWN_QUEUES),
        redelivered=int(redelivered) if isinstance(redelivered, (bool, int)) else 0,
        connection=_text(found.get("connection")),
        properties=Properties(
            expiration=expiration if isinstance(expiration, str) else None,
            headers=own if isinstance(own, dict) else None,
        ),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, (list, tuple)) else ()
