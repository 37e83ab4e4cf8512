"""A client of OVSDB's protocol (RFC 7047), as much as reading and changing OVN's databases takes.

Own code, although there are `ovs` and `ovsdbapp`: they keep a copy of whole tables, fetch the schema without a limit of
time, go on connecting in a thread of their own, and have one TLS identity for the whole process, which would show one
cloud's certificate to another. Here an exchange is one connection, one transaction and one answer, within a deadline.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.clouds import AnswerLost
from shared.errors import Permanent, Retry

SECONDS = 10.0
"""How long an exchange may take, with all addresses that are tried."""
LARGEST = 256 * 1024 * 1024
"""Bytes of one answer, at most."""
CHUNK = 1 << 18

Operation = Mapping[str, Any]
Row = Mapping[str, Any]


class Changed(Retry):
    """Somebody else changed what a transaction rests on; it changed nothing. Look again."""


class _Unfit(Exception):
    """This server can't be asked; another one of its cluster may."""


class _Cut(_Unfit):
    """The connection broke, or took too long, after the request had been sent in part or whole."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: `tcp` or `ssl` with host and port, or `unix` with a path as its host."""

    scheme: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.host}"
        return f"{self.scheme}:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """The files (PEM) that Drover identifies itself with, and the authority that the server's certificate is of."""

    key: Path
    cert: Path
    ca: Path

    def context(self) -> ssl.SSLContext:
        """What a connection needs.

        Raises:
            Permanent: a file can't be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # OVN's authorities (ovs-pki(8)) sign for databases, not for hosts: no client of OVN compares names
        context.check_hostname = False
        try:
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise Permanent(
                f"the TLS files for OVN can't be used: {error}; expected the authority {self.ca}, the certificate "
                f"{self.cert} and its unencrypted key {self.key}, all PEM"
            ) from None
        return context


class Database:
    """One database that several servers may keep.

    Args:
        name: OVN_Northbound or OVN_Southbound.
        addresses: of one server, or of all members of the cluster; the one that leads is asked.
        tls: needed for addresses of the scheme `ssl`.
        seconds: how long one exchange may take.
    """

    def __init__(
        self, name: str, addresses: Sequence[Address], tls: Tls | None = None, seconds: float = SECONDS
    ) -> None:
        self.name = name
        self._addresses, self._tls, self._seconds = tuple(addresses), tls, seconds

    def read(self, selects: Sequence[Operation]) -> list[list[Row]]:
        """The rows of each `select`, all of one moment.

        Raises:
            Retry: no server answers.
            Permanent: the server refuses it.
        """
        answers = self._exchange(selects, changes=False)
        return [answer["rows"] for answer in answers]

    def change(self, operations: Sequence[Operation]) -> None:
        """Carry out a transaction: all of it or nothing.

        Raises:
            Changed: a `wait` in it found something else; nothing was changed.
            Retry: no server took it; nothing was changed.
            AnswerLost: it may or may not have been carried out.
            Permanent: the server refuses it; nothing was changed.
        """
        self._exchange(operations, changes=True)

    def _exchange(self, operations: Sequence[Operation], changes: bool) -> list[Any]:
        end = time.monotonic() + self._seconds
        found = []
        for position, address in enumerate(self._addresses):
            share = (end - time.monotonic()) / (len(self._addresses) - position)  # a dead one leaves time for the rest
            try:
                with _connected(address, self._tls, time.monotonic() + share) as line:
                    self._check(line)
                    return self._transact(line, operations, changes)
            except _Unfit as error:
                found.append(f"{address}: {error}")
        raise Retry(f"no server of {self.name} can be asked: {'; '.join(found)}", after=15.0)

    def _check(self, line: _Line) -> None:
        """Only a server that is up to date is asked: members of a cluster that do not lead lag behind."""
        answer = line.call("transact", ["_Server", _select("Database", ("model", "connected", "leader"), self.name)])
        rows = answer[0].get("rows") if answer else None
        if not rows:
            raise Permanent(
                f"{line.address} is a server without {self.name}: exchange DROVER_OVN_NB and DROVER_OVN_SB?"
            )
        row = rows[0]
        if not row["connected"]:
            raise _Unfit("it has lost its cluster")
        if row["model"] == "clustered" and not row["leader"]:
            raise _Unfit("it does not lead the cluster")

    def _transact(self, line: _Line, operations: Sequence[Operation], changes: bool) -> list[Any]:
        try:
            answers = line.call("transact", [self.name, *operations])
        except _Cut as error:
            if changes:
                raise AnswerLost(f"{line.address}: {error}, after a change was sent to {self.name}") from None
            raise
        for answer in answers:
            if answer and "error" in answer:
                raise self._refused(answer, changes)
        return list(answers)

    def _refused(self, answer: Row, changes: bool) -> Exception:
        what = f"{self.name}: {answer['error']}: {answer.get('details', '')}"
        if answer["error"] == "timed out":  # a wait, RFC 7047 5.2.6
            return Changed(f"{what}; somebody else changed it meanwhile", after=2.0)
        if answer["error"] in ("cluster error", "I/O error"):
            return AnswerLost(what) if changes else Retry(what)
        return Permanent(f"{what}; nothing was changed")


class _Line:
    """A connection on which one request at a time is answered."""

    def __init__(self, address: Address, sock: socket.socket, end: float) -> None:
        self.address = address
        self._sock, self._end = sock, end
        self._received = bytearray()
        self._serial = 0

    def call(self, method: str, params: Sequence[Any]) -> Any:
        """The result of a request.

        Raises:
            Permanent: the server refuses the request as a whole.
            _Cut: there is no answer.
        """
        self._serial += 1
        self._send({"method": method, "params": params, "id": self._serial})
        for message in self._messages():
            if message.get("method") == "echo":  # the server asks whether anybody is there, RFC 7047 4.1.11
                self._send({"result": message["params"], "error": None, "id": message["id"]})
            elif message.get("id") == self._serial and "method" not in message:
                if message.get("error") is not None:
                    raise Permanent(f"{self.address} refuses it: {json.dumps(message['error'])}")
                return message["result"]
        raise AssertionError("the messages end by an exception only")

    def _send(self, message: Row) -> None:
        with _failing(_Cut):
            self._timed().sendall(json.dumps(message).encode())

    def _messages(self) -> Iterator[Row]:
        while True:
            with _failing(_Cut):
                chunk = self._timed().recv(CHUNK)
            if not chunk:
                raise _Cut("it closed the connection")
            self._received += chunk
            if len(self._received) > LARGEST:
                raise Permanent(f"{self.address} answers more than {LARGEST >> 20} MiB: is it OVN's database?")
            begin = bytes(self._received[:20]).lstrip()
            if begin and not begin.startswith(b"{"):
                raise Permanent(f"{self.address} answers {begin!r}: no OVSDB; is it the right port and scheme?")
            if self._received[-20:].rstrip().endswith(b"}"):  # else no message ends here: decoding is not for nothing
                yield from self._whole()

    def _whole(self) -> Iterator[Row]:
        text = self._received.decode(errors="replace").lstrip()
        while text:
            try:
                message, length = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[length:].lstrip()
            self._received = bytearray(text.encode())
            yield message

    def _timed(self) -> socket.socket:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock


@contextmanager
def _connected(address: Address, tls: Tls | None, end: float) -> Iterator[_Line]:
    context = None
    if address.scheme == "ssl":
        if tls is None:
            raise Permanent(f"{address} needs TLS: set DROVER_OVN_KEY, DROVER_OVN_CERT and DROVER_OVN_CA to its files")
        context = tls.context()
    with _failing(_Unfit):
        sock = _open(address, max(0.05, end - time.monotonic()))
        try:
            if context:
                sock = context.wrap_socket(sock)
        except BaseException:
            sock.close()
            raise
    with sock:
        yield _Line(address, sock, end)


def _open(address: Address, seconds: float) -> socket.socket:
    if address.scheme != "unix":
        return socket.create_connection((address.host, address.port), timeout=seconds)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(seconds)
        sock.connect(address.host)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def _failing(kind: Callable[[str], _Unfit]) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise kind("it does not answer in time") from None
    except OSError as error:
        raise kind(str(error)) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _select(table: str, columns: Sequence[str], name: str) -> Operation:
    return {"op": "select", "table": table, "where": [["name", "==", name]], "columns": list(columns)}
