"""Malformed requests: valid events with something changed, broken envelopes, and HTTP that is no event at all."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from shared.access.signature import EXTENSION, Signer
from shared.clock import SystemClock
from shared.events import Event
from shared.operations import wake
from shared.operations.engine import CONTINUATIONS
from tests.fuzz.identity import Identity
from tests.fuzz.values import ENCODINGS, TEXTS, TYPES, bodies, dumps, jsons, odd, scalars, texts, wire
from tests.fuzz.world import SECRET, Function, Request

WAKING = frozenset({"tick", wake.DUE, *CONTINUATIONS})
_numbers = itertools.count(1)
CORE = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype")
EXTENSIONS = (
    "droverhop", "traceparent", "droversignature", "drovertick", "drovertype", "knativeerrorcode", "knativeerrordata",
    "knativeerrordest", "data", "data_base64", "dataschema", "partitionkey",
)  # fmt: skip
HEADERS = ("Host", "Content-Length", "Transfer-Encoding", "Expect", "Authorization", "X-Auth-Token", "Cookie", "Accept",
           "X-Forwarded-For", "Content-Type", "Content-Encoding", "traceparent", "Range", "If-None-Match", "Upgrade",
           "Connection", "X-HTTP-Method-Override", "ce-id", "ce-type", "ce-source", "ce-specversion", "ce-data",
           "ce-time", "ce-subject", "ce-", "ce-droverhop", "ce-drovertype")  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X", "")
PATHS = (
    "/", "//", "/.", "/..", "/../../etc/passwd", "/%2e%2e/", "/%00", "/health/liveness", "/health/readiness",
    "/health", "/static/x", "/metrics", "/favicon.ico", "", "*", "/%ff%fe", "/\xff", "/" + "a" * 9_000,
    "http://other/",
)  # fmt: skip
QUERIES = (
    "operations",
    "operation=",
    "operation=x",
    "letters",
    "letter=",
    "letter=0123456789abcdef",
    "operations&limit=",
    "operations&before=",
    "letters&before=",
    "operations&state=",
    "operations&kind=",
    "letters&replayed=",
    "letters&type=",
    "operation=x&operation=y",
    "operation=x&letter=y",
    "operations&limit=0",
    "",
    "a",
    "%00=%ff",
)


@dataclass(frozen=True)
class Case:
    """A request, and what is known of it: `let_in` says whether somebody vouches for it."""

    request: Request
    type: str = ""
    data: Any = None
    """The event's type and data, where these are known."""
    let_in: bool | None = True
    """None: it is signed, and whether what was changed is part of what was signed decides."""

    @property
    def wakes(self) -> bool:
        """Whether the function may take it for the word that time has passed, whose data does not matter."""
        told = [value for name, value in self.request.headers if name.lower() in ("ce-type", "ce-drovertype")]
        with suppress(ValueError, RecursionError):
            document = json.loads(self.request.body)
            told += [str(document.get(name)) for name in ("type", "drovertype")] if isinstance(document, dict) else []
        return any(text.startswith("io.drover.") and text.rpartition(".")[2] in WAKING for text in told)


class Draft:
    """A valid event to be spoilt: attributes, and data as an object or as bytes."""

    def __init__(self, type: str, data: Mapping[str, Any]) -> None:
        self.attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"fuzz-{next(_numbers):09}",  # of one length, and so is the time: places in the text are drawn
            "source": "/fuzz",
            "type": type,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "datacontenttype": "application/json",
        }
        self.data: Any = copy.deepcopy(dict(data))

    def sign(self) -> None:
        """As whoever has the secret does."""
        event = Event(
            self.attributes["id"], self.attributes["source"], self.attributes["type"], self.data,
            time=datetime.fromisoformat(self.attributes["time"]),
        )  # fmt: skip
        self.attributes[EXTENSION] = Signer([SECRET], SystemClock()).sign(event).extensions[EXTENSION]

    def binary(self) -> Request:
        """Attributes as headers (CloudEvents 1.0, HTTP protocol binding, 3.1)."""
        given = {name: value for name, value in self.attributes.items() if name != "datacontenttype"}
        headers = [
            (f"ce-{name}", wire(value if isinstance(value, str) else json.dumps(value)))
            for name, value in given.items()
        ]
        kind = self.attributes.get("datacontenttype", "application/json")
        return Request(headers=(*headers, ("Content-Type", wire(str(kind)))), body=self._body())

    def structured(self) -> Request:
        """All of it as one JSON object (3.2)."""
        head = dumps(self.attributes)
        body = self._body()
        document = head[:-1] + (b', "data": ' + body if body else b"") + b"}"
        return Request(headers=(("Content-Type", "application/cloudevents+json"),), body=document)

    def _body(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else dumps(self.data)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields and entries in a JSON document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def _drop(draw: st.DrawFn, draft: Draft) -> None:
    if found := list(places(draft.data)):
        path = draw(st.sampled_from(found))
        del _at(draft.data, path[:-1])[path[-1]]


def _alter(draw: st.DrawFn, draft: Draft) -> None:
    if found := list(places(draft.data)):
        path = draw(st.sampled_from(found))
        _at(draft.data, path[:-1])[path[-1]] = draw(odd)


def _spoil_text(draw: st.DrawFn, draft: Draft) -> None:
    """Something into the middle of a text."""
    found = [path for path in places(draft.data) if isinstance(_at(draft.data, path), str)]
    if found:
        path = draw(st.sampled_from(found))
        text = _at(draft.data, path)
        at = draw(st.integers(0, len(text)))
        _at(draft.data, path[:-1])[path[-1]] = text[:at] + draw(texts) + text[at:]


def _add(draw: st.DrawFn, draft: Draft) -> None:
    draft.data[draw(texts | st.sampled_from(sorted(draft.data) or ["x"]).map(lambda name: f"{name}s"))] = draw(odd)


def _field_of_another(draw: st.DrawFn, draft: Draft) -> None:
    """A field that the model knows and the example leaves out, or does not know."""
    names = ("evacuate", "fenced", "hosts", "aggregate", "concurrency", "deadline", "on_stall", "dry_run", "undo",
             "letters", "types", "operation", "cloud", "host", "requester", "reason", "older", "days")  # fmt: skip
    draft.data[draw(st.sampled_from(names))] = draw(odd)


def _other_data(draw: st.DrawFn, draft: Draft) -> None:
    draft.data = draw(odd)


def _garbage(draw: st.DrawFn, draft: Draft) -> None:
    draft.data = draw(bodies)


def _cut(draw: st.DrawFn, draft: Draft) -> None:
    """The JSON text with bytes gone, doubled or changed."""
    raw = dumps(draft.data)
    at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 8))
    draft.data = raw[:at] + draw(st.binary(max_size=4)) + raw[at + length :]


def _twice(draw: st.DrawFn, draft: Draft) -> None:
    """The same key with two values."""
    if draft.data:
        key = draw(st.sampled_from(sorted(draft.data)))
        draft.data = dumps(draft.data)[:-1] + b", " + dumps(key) + b": " + dumps(draw(scalars)) + b"}"


DATA: tuple[Callable[[st.DrawFn, Draft], None], ...] = (
    _drop, _alter, _alter, _alter, _spoil_text, _add, _field_of_another, _other_data, _garbage, _cut, _twice,
)  # fmt: skip


def _spoil_envelope(draw: st.DrawFn, draft: Draft) -> None:
    """Attributes gone, changed or added."""
    for _ in range(draw(st.integers(1, 2))):
        match draw(st.sampled_from(("drop", "alter", "alter", "extend", "version"))):
            case "drop":
                draft.attributes.pop(draw(st.sampled_from(CORE)), None)
            case "alter":
                draft.attributes[draw(st.sampled_from(CORE))] = draw(odd)
            case "extend":
                draft.attributes[draw(st.sampled_from(EXTENSIONS) | texts)] = draw(odd)
            case _:
                draft.attributes["specversion"] = draw(
                    st.sampled_from(("0.3", "1.1", "2.0", "", "1.0 ", None, 1.0, []))
                )


def _type(draw: st.DrawFn, function: Function) -> str:
    """Mostly a request, for these are looked at most closely; else anything that it takes or sends."""
    known = sorted(function.examples)
    return draw(st.sampled_from(known if draw(st.integers(0, 3)) == 3 else sorted(function.schemas.keys() & known)))


def _let_in(draw: st.DrawFn, identity: Identity, request: Request, signed: bool) -> tuple[Request, bool | None]:
    """Nearly always somebody vouches for it: what is refused at the gate goes no deeper."""
    match draw(st.integers(0, 39)):
        case 39:
            return request.bearing(wire(draw(st.sampled_from(identity.broken)))), False
        case number if signed and number < 30:
            return request, None
        case 38:
            return request, False
        case 37:
            return Request(request.method, request.path, request.query,
                           (*request.headers, ("X-Auth-Token", wire(draw(texts)))), request.body), False  # fmt: skip
        case _:
            return request.bearing(identity.delivery), True


@st.composite
def spoilt_events(draw: st.DrawFn, function: Function, identity: Identity) -> Case:
    """An example of the function's, with one thing in its data changed; binary or structured."""
    type = _type(draw, function)
    draft = Draft(type, function.examples[type])
    signed = draw(st.integers(0, 9)) == 9
    if signed:
        draft.sign()
    draw(st.sampled_from(DATA))(draw, draft)
    request = draft.structured() if draw(st.booleans()) else draft.binary()
    request, let_in = _let_in(draw, identity, request, signed)
    return Case(request, type, draft.data, let_in)


@st.composite
def spoilt_envelopes(draw: st.DrawFn, function: Function, identity: Identity) -> Case:
    """An example of the function's, with attributes, headers, content type or encoding changed."""
    type = _type(draw, function)
    draft = Draft(type, function.examples[type])
    _spoil_envelope(draw, draft)
    request = draft.structured() if draw(st.booleans()) else draft.binary()
    headers, body = list(request.headers), request.body
    match draw(st.integers(0, 5)):
        case 0:
            kind = draw(st.sampled_from(TYPES) | texts.map(wire))
            headers = [(name, kind if name == "Content-Type" else value) for name, value in headers]
        case 1:
            headers.append(("Content-Encoding", draw(st.sampled_from(ENCODINGS))))
        case 2:
            headers.append((draw(st.sampled_from(HEADERS)), wire(draw(texts))))
        case 3 if headers:
            del headers[draw(st.integers(0, len(headers) - 1))]
        case 4:
            body = draw(bodies)
    request, let_in = _let_in(draw, identity, Request(headers=tuple(headers), body=body), False)
    return Case(request, let_in=let_in)


@st.composite
def strange_requests(draw: st.DrawFn, function: Function, identity: Identity) -> Case:
    """Any method, path, query, headers and body."""
    method = draw(st.sampled_from(("GET", "GET", "GET", "POST", *METHODS)))
    path = "/" if draw(st.integers(0, 3)) else draw(st.sampled_from(PATHS))
    query = draw(st.sampled_from(QUERIES))
    if draw(st.booleans()):
        query += f"{draw(st.sampled_from(('', '=', '&', '&limit=')))}{draw(st.sampled_from(TEXTS) | texts)}"
    names = st.sampled_from(HEADERS)
    headers = tuple((draw(names), wire(draw(texts))) for _ in range(draw(st.integers(0, 3))))
    body = b"" if method in ("GET", "HEAD") and draw(st.integers(0, 9)) else draw(bodies | jsons.map(dumps))
    request = Request(method, path, wire(query).replace(" ", "+"), headers, body)
    if draw(st.integers(0, 19)) == 19:
        return Case(request, let_in=False)
    return Case(request.bearing(draw(st.sampled_from([*identity.people, identity.delivery]))))
