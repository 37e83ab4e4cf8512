"""Writing a capture file: whatever is needed to analyse it later, and nothing that may be secret.

Values of arguments and results are replaced by as many asterisks, so that sizes stay; of an exception its class is
kept; of the context only the ids of the request.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import msgspec

from functions.rpc_trace.message import Message, argument_sizes, failure_class, name_of, read_body, unpack
from functions.rpc_trace.recording import END
from functions.rpc_trace.sighting import Headers
from shared.errors import Rejected
from shared.rabbit import EXCHANGE


class Recorder:
    """A capture file under way; gzipped if its name ends in .gz.

    Raises:
        Rejected: the file is there already, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.written = 0
        try:
            raw = path.open("xb")
        except FileExistsError:
            raise Rejected(f"{path} is there already: take another name, or remove it") from None
        except OSError as error:
            raise Rejected(f"{path}: {error.strerror}") from error
        self._raw = raw
        self._out = (
            cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3)) if path.suffix == ".gz" else raw
        )

    def take(self, at: float, key: str, headers: Headers, body: bytes) -> None:
        """Write one message."""
        inner = headers.properties.headers or {}
        compression = inner.get("compression")
        whole = unpack(body, compression) if isinstance(compression, str) else body
        self._write(at, key, headers, _harmless(read_body(whole), whole), len(body))
        self.written += 1

    def end(self, at: float, dropped: int, connections: Mapping[str, str] | None = None) -> None:
        """Say when the capture ended, what it knows to have missed, and what connections call themselves."""
        own = {"dropped": dropped, "connections": {key: name_of(text) for key, text in (connections or {}).items()}}
        line = {"t": at, "routing_key": END, "exchange": "", "properties": {},
                "headers": {"properties": {"headers": own}}, "body": ""}  # fmt: skip
        self._out.write(msgspec.json.encode(line) + b"\n")

    def _write(self, at: float, key: str, headers: Headers, body: str, size: int) -> None:
        properties: dict[str, Any] = {}
        if headers.properties.expiration is not None:
            properties["expiration"] = headers.properties.expiration
        found: dict[str, Any] = {
            "exchange_name": headers.exchange_name, "routing_keys": headers.routing_keys, "properties": properties,
            "connection": headers.connection,
        }  # fmt: skip
        if headers.routed_queues is None:
            found["redelivered"] = headers.redelivered
        else:
            found["routed_queues"] = headers.routed_queues
        line = {"t": round(at, 6), "routing_key": key, "exchange": EXCHANGE, "properties": {}, "headers": found,
                "body": body, "body_size": size}  # fmt: skip
        self._out.write(msgspec.json.encode(line) + b"\n")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()
        self._raw.close()


def _harmless(message: Message, body: bytes) -> str:
    """A body that is read as this one is."""
    document: dict[str, Any] = {}
    if message.method is not None:
        sizes = argument_sizes(body)
        document = {"method": name_of(message.method), "args": {name: _stars(size) for name, size in sizes.items()}}
        document |= {"namespace": name_of(message.namespace)} if message.namespace else {}
    elif message.msg_id is not None:
        failure = message.failure and {"class": failure_class(message.failure).rpartition(".")[2],
                                       "module": failure_class(message.failure).rpartition(".")[0]}  # fmt: skip
        document = {
            "result": None,
            "failure": failure and msgspec.json.encode(failure).decode(),
            "ending": message.ending,
        }
    elif message.event_type is not None:
        document = {"event_type": name_of(message.event_type)}
    else:
        return ""
    ids = {
        "_msg_id": message.msg_id, "_unique_id": message.unique_id, "_reply_q": message.reply_q,
        "_context_request_id": message.request_id, "_context_global_request_id": message.global_request_id,
    }  # fmt: skip
    document |= {key: name_of(value) for key, value in ids.items() if value is not None}
    inner = msgspec.json.encode(document).decode()
    return msgspec.json.encode({"oslo.version": "2.0", "oslo.message": inner}).decode()


def _stars(length: int) -> str | int:
    """A JSON value of so many characters."""
    return "*" * (length - 2) if length >= 2 else 0
