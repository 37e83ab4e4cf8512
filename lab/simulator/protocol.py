"""Requests and answers between the two doors and the services, and what the services have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from lab.simulator.records import Caller, Json

Version = tuple[int, int]
Query = Mapping[str, str]
Row = TypeVar("Row")


class HttpError(Exception):
    """An error answer; each service wraps the message in a form of its own."""

    def __init__(self, status: int, message: str, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        """Neutron's name for the error."""
        self.headers = dict(headers or {})


class Dropped(Exception):
    """The connection is closed without an answer."""


@dataclass
class Request:
    """One request, as it came."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    """By name in lower case."""
    raw: bytes = b""
    base: str = ""
    """The address under which the caller knows the cloud."""
    version: Version = (2, 1)
    caller: Caller | None = None
    fields: Sequence[str] = ()
    """Neutron's `fields`, which may come several times."""

    @property
    def body(self) -> Json:
        """Its JSON; {} when there is none.

        Raises:
            HttpError: 400, it is none.
        """
        if not self.raw:
            return {}
        try:
            return json.loads(self.raw)
        except ValueError as error:
            raise HttpError(400, f"Malformed request body: {error}") from None

    def only_admin(self, rule: str) -> None:
        """Refuse everybody else with 403."""
        if self.caller is None or not self.caller.admin:
            raise HttpError(403, f"Policy doesn't allow {rule} to be performed.")


@dataclass
class Answer:
    """What goes back; `document` becomes JSON, None an empty body."""

    status: int
    document: Json = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body."""
        return b"" if self.document is None else json.dumps(self.document).encode()


Handler = Callable[..., Answer]
Route = tuple[str, str, Handler]
"""Method, pattern of the path below the service's root, and who answers; the pattern's groups are its arguments."""


class Service:
    """One service: its routes, its version header, and the form of its errors."""

    name = ""
    root = ""

    def __init__(self) -> None:
        self._routes = [(method, re.compile(pattern), handler) for method, pattern, handler in self.table()]

    def table(self) -> Iterable[Route]:
        """The routes; the first that fits answers."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """Answer a request to this service; `request.path` is below its root."""
        try:
            self.negotiate(request)
            found = [(method, match, handle) for method, pattern, handle in self._routes
                     if (match := pattern.fullmatch(request.path))]  # fmt: skip
            for method, match, handle in found:
                if method == request.method:
                    return handle(request, *match.groups())
            if found:
                raise HttpError(405, f"The method {request.method} is not allowed for this resource.")
            raise HttpError(404, "The resource could not be found.")
        except HttpError as error:
            return Answer(error.status, self.error(error), error.headers)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if not request.raw and not request.query:
                raise
            return Answer(400, self.error(HttpError(400, f"Invalid input: {type(error).__name__} {error}")))

    def negotiate(self, request: Request) -> None:
        """Understand the microversion that is asked for."""

    def error(self, error: HttpError) -> Json:
        """The document of an error."""
        raise NotImplementedError


def asked_version(request: Request, service: str) -> Version | None:
    """The microversion in OpenStack-API-Version; None when none is asked for.

    Raises:
        HttpError: 400, it can't be read.
    """
    text = request.headers.get("openstack-api-version", "")
    words = text.split()
    if len(words) != 2 or words[0] != service:
        return None
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", words[1]):
        raise HttpError(400, f"String {words[1]} is of invalid format. Must be of format MajorNum.MinorNum.")
    major, minor = words[1].split(".")
    return int(major), int(minor)


def parse_query(text: str) -> tuple[Query, Sequence[str]]:
    """The query by name (the last of several counts), and all `fields`."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return dict(pairs), [value for name, value in pairs if name == "fields"]


def limit_of(query: Query, most: int) -> int:
    """How many entries are asked for; never more than the service's maximum.

    Raises:
        HttpError: 400, it is no number.
    """
    text = query.get("limit", "")
    if not re.fullmatch(r"[0-9]*", text):
        raise HttpError(
            400, f"Invalid input for query parameters limit. Value: {text}. '{text}' does not match '^[0-9]*$'"
        )
    return min(int(text or most), most)


def time_of(query: Query, name: str) -> datetime | None:
    """A time in the query.

    Raises:
        HttpError: 400, it is none.
    """
    text = query.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
    except ValueError:
        raise HttpError(
            400, f"Invalid input for query parameters {name}. Value: {text}. '{text}' is not a 'date-time'"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def next_link(request: Request, root: str, limit: int, marker: str) -> Json:
    """The link to the next page, as Nova writes it."""
    rest = "".join(f"{name}={value}&" for name, value in request.query.items() if name not in ("marker", "limit"))
    href = f"{request.base}{root}{request.path}?{rest}limit={limit}&marker={marker}"
    return [{"rel": "next", "href": href}]


def page(
    request: Request, root: str, key: str, rows: Iterable[Row], mark: Callable[[Row], str], view: Callable[[Row], Any],
    *, most: int, unknown: str = "marker [{}] not found",
) -> Json:  # fmt: skip
    """A page of a list in Nova's form; only the rows of the page are turned into JSON.

    Raises:
        HttpError: 400, there is no row with this marker.
    """
    limit = limit_of(request.query, most)
    rest = iter(rows)
    marker = request.query.get("marker")
    if marker is not None and not any(mark(row) == marker for row in rest):
        raise HttpError(400, unknown.format(marker))
    shown = list(islice(rest, limit))
    document: dict[str, Any] = {key: [view(row) for row in shown]}
    if shown and len(shown) >= limit:
        document[f"{key}_links"] = next_link(request, root, limit, mark(shown[-1]))
    return document
