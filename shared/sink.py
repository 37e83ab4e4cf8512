"""Where events go that are not a reply."""

from __future__ import annotations

import requests
from cloudevents.http import to_binary

from shared.door import cloud_event
from shared.errors import Retry
from shared.events import Event

TIMEOUT = (3.05, 15.0)
"""Seconds to connect, and to wait for the answer: an in-memory channel holds it until all subscribers are through."""


class HttpSink:
    """A broker or any other receiver of CloudEvents, by HTTP POST (binary content mode)."""

    name = "sink"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, event: Event) -> None:
        """Deliver the event.

        Raises:
            Retry: it was not taken.
        """
        headers, body = to_binary(cloud_event(event))
        try:
            answer = requests.post(self._url, data=body, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise Retry(f"the sink does not answer: {type(error).__name__}") from error
        if not answer.ok:
            raise Retry(f"the sink answered {answer.status_code} to a {event.type}")


class Nowhere:
    """Takes events where nobody listens (one machine without a broker); the store keeps them all the same."""

    name = "nobody"

    def send(self, event: Event) -> None:
        """Nothing to do."""
