"""Where events go that are not a reply."""

from __future__ import annotations

import requests
from cloudevents.conversion import to_structured

from shared.door import cloud_event
from shared.errors import Permanent, Retry
from shared.events import Event

TIMEOUT = (3.05, 15.0)
"""Seconds to connect, and to wait for the answer: an in-memory channel holds it until all subscribers are through."""

NEVER = frozenset({400, 413, 415, 422})
"""Statuses that say this very event is wrong. Others (a missing token, an unknown broker) can be put right outside."""


class HttpSink:
    """A broker or any other receiver of CloudEvents, by HTTP POST.

    Structured content mode: names of hosts and servers may hold characters that no HTTP header can.
    """

    name = "sink"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, event: Event) -> None:
        """Deliver the event.

        Raises:
            Retry: it was not taken.
            Permanent: the sink says that it will never take this event.
        """
        headers, body = to_structured(cloud_event(event))
        try:
            # A redirected POST would become a GET, and the event would be gone.
            answer = requests.post(self._url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise Retry(f"the sink does not answer: {type(error).__name__}") from error
        if answer.status_code in NEVER:
            raise Permanent(f"the sink answered {answer.status_code} to a {event.type}")
        if not 200 <= answer.status_code < 300:
            raise Retry(f"the sink answered {answer.status_code} to a {event.type}")


class Nowhere:
    """Takes events where nobody listens (one machine without a broker); the store keeps them all the same."""

    name = "nobody"

    def send(self, event: Event) -> None:
        """Nothing to do."""
