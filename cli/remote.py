"""Operations of a Drover that is served or deployed elsewhere: CloudEvents go there, and it is read over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from shared.clock import Clock
from shared.errors import Rejected, Retry

if TYPE_CHECKING:
    from shared.events import Event

TIMEOUT = (3.05, 60.0)
"""Seconds to connect, and to wait for the answer: a request reads the whole cloud before it is answered."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further try of a request whose answer did not come."""
POLL = 1.0
"""Seconds between two looks at an operation."""


class Remote:
    """A Drover at an address.

    Raises:
        Rejected: the address can't be used.
    """

    is_local = False
    hindrance = ""

    def __init__(self, url: str, clock: Clock, session: requests.Session | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Rejected(f"found {url!r} as the address of Drover, expected http://HOST:PORT or https://HOST")
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # a password is not for messages
        self._url, self._clock = url, clock
        self._session = session or requests.Session()

    def send(self, event: Event) -> Event:
        """POST it as a CloudEvent. A lost answer is asked for again with the same id, which has no effect twice."""
        from cloudevents.conversion import to_binary
        from cloudevents.http import from_http

        from shared.door import cloud_event
        from shared.events import Event

        headers, body = to_binary(cloud_event(event))
        answer = self._patiently(
            lambda: self._session.post(self._url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        )
        if "ce-type" not in answer.headers:
            raise Rejected(
                f"{self.place} took the {event.type} ({answer.status_code}) and answered without an event: it may be a "
                "broker; expected the function's own address"
            )
        found = from_http(dict(answer.headers), answer.content)
        return Event(str(found["id"]), str(found["source"]), str(found["type"]), found.data)

    def read(self, operation_id: str) -> dict[str, Any]:
        """See `Backend.read`."""
        return self._get({"operation": operation_id})

    def list(self, filters: Mapping[str, str], limit: int, before: str | None) -> dict[str, Any]:
        """See `Backend.list`."""
        return self._get({"operations": "", **filters, "limit": str(limit), **({"before": before} if before else {})})

    def advance(self, operation_id: str) -> None:
        """It goes on by itself; this only waits."""
        self._clock.sleep(POLL)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _get(self, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._once(lambda: self._session.get(self._url, params=query, timeout=TIMEOUT, allow_redirects=False))
        try:
            document = answer.json()
        except ValueError:
            raise self._not_drover(answer) from None
        if not isinstance(document, dict):
            raise self._not_drover(answer)
        return document

    def _patiently(self, exchange: Callable[[], requests.Response]) -> requests.Response:
        for pause in PAUSES:
            try:
                return self._once(exchange)
            except Retry as error:
                self._clock.sleep(max(pause, min(error.after, 10.0)))
        return self._once(exchange)

    def _once(self, exchange: Callable[[], requests.Response]) -> requests.Response:
        try:
            answer = exchange()
        except requests.RequestException as error:
            raise Retry(f"{self.place} does not answer ({_cause(error)}); is Drover served there?", 0.0) from error
        if answer.ok and not answer.is_redirect:
            return answer
        text = _message(answer)
        if answer.status_code >= 500:
            after = answer.headers.get("Retry-After", "0")
            raise Retry(f"{self.place}: {text}", float(after) if after.isdecimal() else 0.0)
        if text:
            raise Rejected(text)
        raise self._not_drover(answer)

    def _not_drover(self, answer: requests.Response) -> Rejected:
        return Rejected(
            f"{self.place} answered {answer.status_code} {answer.reason}; expected a Drover there "
            "(`drover serve`, or a deployed function): correct --url or DROVER_URL"
        )


def _message(answer: requests.Response) -> str:
    """Drover's own sentence in the answer; empty when it is somebody else's."""
    try:
        document = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.reason}" if answer.status_code >= 500 else ""
    found = document.get("error") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return "the connection timed out"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "the connection was refused or lost"
    return type(error).__name__
