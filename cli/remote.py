"""Operations of a Drover that is served or deployed elsewhere: CloudEvents go there, and it is read over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from shared.clock import Clock
from shared.errors import Rejected, Retry
from shared.telemetry.redaction import clean_text

if TYPE_CHECKING:
    from cli.credentials import Credentials
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

    def __init__(
        self,
        url: str,
        clock: Clock,
        session: requests.Session | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            found = repr(clean_text(url))
            raise Rejected(f"found {found} as the address of Drover, expected http://HOST:PORT or https://HOST")
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # a password is not for messages
        self._url, self._clock = url, clock
        self._session = session or requests.Session()
        self._credentials = credentials

    def send(self, event: Event) -> Event:
        """POST it as a CloudEvent. A lost answer is asked for again with the same id, which has no effect twice."""
        from cloudevents.conversion import to_binary
        from cloudevents.http import from_http

        from shared.door import cloud_event
        from shared.events import Event

        headers, body = to_binary(cloud_event(event))
        if self._credentials and isinstance(event.data, dict):
            self._credentials.cloud = self._credentials.cloud or event.data.get("cloud")
        answer = self._patiently(lambda: self._request("POST", data=body, headers=headers))
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

    def letters(self, query: Mapping[str, str]) -> dict[str, Any]:
        """See `Backend.letters`."""
        return self._get(query)

    def advance(self, operation_ids: Sequence[str]) -> None:
        """They go on by themselves; this only waits."""
        self._clock.sleep(POLL)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _get(self, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._once(lambda: self._request("GET", params=query))
        try:
            document = answer.json()
        except ValueError:
            raise self._not_drover(answer) from None
        if not isinstance(document, dict):
            raise self._not_drover(answer)
        return document

    def _request(self, method: str, **arguments: Any) -> requests.Response:
        """One exchange; after a 401 once more with what is asked for, if there is anything."""

        def ask() -> requests.Response:
            auth = self._credentials and self._credentials.auth
            return self._session.request(
                method, self._url, timeout=TIMEOUT, allow_redirects=False, auth=auth, **arguments
            )

        answer = ask()
        if answer.status_code == 401 and self._credentials and self._credentials.renew(answer):
            return ask()
        return answer

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
        if answer.status_code >= 500 or answer.status_code == 429:
            after = answer.headers.get("Retry-After", "0")
            raise Retry(f"{self.place}: {text}", float(after) if after.isdecimal() else 0.0)
        if answer.status_code in (401, 403):
            raise Rejected(self._refused(answer.status_code, text))
        if text:
            raise Rejected(text)
        raise self._not_drover(answer)

    def _refused(self, status: int, text: str) -> str:
        """Why nobody is let in, or may not do this, and what a person can do about it."""
        said = f"{self.place} refuses you ({status}): {text or 'it gives no reason'}"
        if status == 403 or self._credentials is None:
            return said
        return f"{said}\n{self._credentials.hint}"

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
