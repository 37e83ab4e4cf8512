"""One OpenStack service: JSON in, JSON out, and errors that a drain can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog
import tenacity

from shared.clouds.answers import STRANGE, explained, raised_in, readable
from shared.clouds.connection import PAGE, Version
from shared.clouds.errors import AnswerLost, Refused, redacted
from shared.clouds.transport import READS, SLOW, TRANSIENT, UNTRUSTED, Transport
from shared.errors import Permanent, Retry

Json = Any
"""Parsed JSON, as the service's API reference describes it."""
Params = Mapping[str, str | int]

NOT_CARRIED_OUT = frozenset({429, 503})
"""Of the transient statuses, the ones that a service or a load balancer sends before it begins with the request."""
ATTEMPTS = 3
"""Tries of a read."""
PATIENCE = 5.0
"""The longest Retry-After, in seconds, that is waited for within a call; a longer one is left to the caller."""


class Api:
    """Thin calls to one service of a cloud, with the best microversion that both sides know.

    All calls raise `Refused` (with the service's own message), `Retry` (not carried out, come back later), and the
    changing ones `AnswerLost`. Reads are tried three times; changes are sent once.
    """

    def __init__(
        self,
        adapter: Any,
        transport: Transport,
        *,
        cloud: str,
        service: str,
        version: Callable[[], Version | None],
        sleep: Callable[[float], None],
        global_request_id: str | None = None,
    ) -> None:
        self._adapter = adapter
        self._transport = transport
        self._cloud = cloud
        self._service = service
        self._version = version
        self._sleep = sleep
        self._global_request_id = global_request_id

    def get(self, path: str, *, params: Params | None = None, microversion: Version | None = None) -> Json:
        """Read `path`; transient failures are tried again, but not one that took the whole read time.

        Args:
            path: below the service's endpoint, "/servers/detail".
            params: the query.
            microversion: the highest one to use; the cloud's best when None.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unanswered),
            stop=_enough,
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._send, "GET", path, params=params, microversion=microversion)

    def post(
        self,
        path: str,
        *,
        json: Json = None,
        microversion: Version | None = None,
        global_request_id: str | None = None,
    ) -> Json:
        """Ask for a change, once.

        Raises:
            AnswerLost: the answer did not come, or came from a gateway: the change may have been made.
        """
        return self._send("POST", path, json=json, microversion=microversion, request_id=global_request_id)

    def put(
        self,
        path: str,
        *,
        json: Json = None,
        microversion: Version | None = None,
        global_request_id: str | None = None,
    ) -> Json:
        """Set something, once; see `post`."""
        return self._send("PUT", path, json=json, microversion=microversion, request_id=global_request_id)

    def delete(
        self,
        path: str,
        *,
        microversion: Version | None = None,
        global_request_id: str | None = None,
    ) -> Json:
        """Delete something, once; see `post`."""
        return self._send("DELETE", path, microversion=microversion, request_id=global_request_id)

    def pages(
        self,
        path: str,
        key: str,
        *,
        params: Params | None = None,
        microversion: Version | None = None,
    ) -> Iterator[dict[str, Json]]:
        """All entries of a paged list: one request for every `PAGE` of them, following the service's next links.

        Args:
            path: as in `get`.
            key: the list's name in the answer ("servers"); the links are in "servers_links".
        """
        query: Params | None = {**(params or {}), "limit": PAGE}
        asked: list[Params] = []
        while query is not None:
            asked.append(query)
            entries, query = _page(self.get(path, params=query, microversion=microversion), key, asked)
            yield from entries

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Json = None,
        microversion: Version | None = None,
        request_id: str | None = None,
    ) -> Json:
        version = self._best(microversion)
        with self._transport.exchange(self._service) as exchange:
            try:
                response = self._adapter.request(
                    path,
                    method,
                    json=json,
                    params=params or {},
                    raise_exc=False,
                    connect_retries=0,
                    status_code_retries=0,
                    microversion=version and f"{version[0]}.{version[1]}",
                    global_request_id=request_id or self._global_request_id,
                )
            except Exception as error:
                if exchange.lost:
                    raise self._lost(method, path, "no answer came") from None
                raise translated(error, self._cloud, self._service, exchange.trouble) from None
        return self._answer(method, path, response)

    def _best(self, at_most: Version | None) -> Version | None:
        best = self._version()
        return min(best, at_most) if best and at_most else best or at_most

    def _answer(self, method: str, path: str, response: Any) -> Json:
        status: int = response.status_code
        if status < 300:
            try:
                return response.json() if response.content else None
            except STRANGE as error:
                what = f"the answer ({status}) is no JSON: {explained(error)}"
                if method not in READS:
                    raise self._lost(method, path, what) from error
                raise Unanswered(f"{self._service} of cloud {self._cloud}, {method} {path}: {what}", None) from error
        message = _message(response)
        if status in TRANSIENT:
            if method not in READS and status not in NOT_CARRIED_OUT:
                raise self._lost(method, path, f"the answer was {status} {message}")
            raise _retry(f"{self._service} of cloud {self._cloud} answered {status}: {message}", response.headers)
        raise Refused(status, message, self._service)

    def _lost(self, method: str, path: str, why: str) -> AnswerLost:
        return AnswerLost(
            f"{method} {path} to {self._service} of cloud {self._cloud} may or may not have been carried out: {why}"
        )


class Unanswered(Retry):
    """A transient failure that came quickly; `asked` is the service's Retry-After, in seconds, if it sent one."""

    def __init__(self, message: str, asked: float | None) -> None:
        super().__init__(message, after=10.0 if asked is None else asked)
        self.asked = asked


def translated(error: Exception, cloud: str, service: str, trouble: str) -> Exception:
    """Say in plain words, and without any address or secret, what keystoneauth could not do.

    Args:
        error: what it raised; one that is not its own (a bug, say) is given back as it is.
        cloud: the cloud's name.
        service: whom it was asking.
        trouble: what the exchange saw on the wire.
    """
    from keystoneauth1 import exceptions as ks

    if isinstance(error, STRANGE) and raised_in(error, "keystoneauth1"):  # a catalogue or versions of another form
        structlog.get_logger(__name__).warning("a cloud's catalogue or versions can't be read", exc_info=error)
        return Unanswered(f"cloud {cloud}: what it says of its services can't be read: {explained(error)}", None)
    if not isinstance(error, ks.ClientException):
        return error
    if trouble == UNTRUSTED:
        return Permanent(f"cloud {cloud}: {service} {trouble}")
    if isinstance(error, ks.Unauthorized | ks.Forbidden):
        return Permanent(
            f"cloud {cloud}: Keystone refuses the credentials ({error.http_status}); "
            "check user, password (or application credential) and project in clouds.yaml"
        )
    if trouble:
        where = re.search(r"https?://(?:[^@/\s]*@)?([^/\s]+)", str(error))
        address = f" at {where[1].rstrip(':')}" if where else ""
        message = f"cloud {cloud}: {service}{address} {trouble}"
        return Retry(message) if trouble == SLOW else Unanswered(message, None)
    if isinstance(error, ks.EndpointNotFound):
        return Permanent(
            f"cloud {cloud}: its catalogue has no endpoint for {service}; "
            "check `region_name` and `interface` in clouds.yaml"
        )
    return Permanent(f"cloud {cloud}: {service} can't be used: {redacted(str(error))}")


def _retry(message: str, headers: Mapping[str, str]) -> Unanswered:
    asked = headers.get("Retry-After", "")
    return Unanswered(message, float(asked) if asked.isdigit() else None)


def _enough(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    asks_too_long = isinstance(error, Unanswered) and (error.asked or 0) > PATIENCE
    return asks_too_long or state.attempt_number >= ATTEMPTS


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Unanswered) and error.asked is not None:
        return error.asked
    return float(0.5 * 2 ** (state.attempt_number - 1))


@readable
def _page(answer: Json, key: str, asked: Collection[Params]) -> tuple[list[dict[str, Json]], Params | None]:
    """The entries of a page, and the query of the next one.

    Args:
        asked: the queries so far; a page that leads back to one of them would never end.
    """
    entries: list[dict[str, Json]] = answer[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError(f"{key} holds something else than a list of objects")
    links = answer.get(f"{key}_links", ())
    query = next((_query(link["href"]) for link in links if link.get("rel") == "next"), None)
    if query in asked:
        raise ValueError(f"the next page of {key} is one that was read already")
    return entries, query


def _query(href: str) -> dict[str, str | int]:
    return dict(parse_qsl(urlsplit(href).query))


def _message(response: Any) -> str:
    """The sentence inside the error document of Nova, Placement, Neutron, Keystone or Octavia; or the HTTP reason."""
    try:
        document = response.json()
        if "faultstring" in document:
            return redacted(str(document["faultstring"]).strip())
        if "errors" in document:
            return redacted(str(document["errors"][0]["detail"]).strip())
        return redacted(str(next(iter(document.values()))["message"]).strip())
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return str(response.reason or "no explanation")
