"""Where events go that are not a reply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import requests
from cloudevents.conversion import to_structured

from shared.access.http import bearer
from shared.door import cloud_event
from shared.errors import Permanent, Retry
from shared.events import Event
from shared.operations.outbox import NOBODY

if TYPE_CHECKING:
    from shared.access.signature import Signer
    from shared.settings import Settings

TIMEOUT = (3.05, 15.0)
"""Seconds to connect, and to wait for the answer: an in-memory channel holds it until all subscribers are through."""

NEVER = frozenset({400, 413, 415, 422})
"""Statuses that say this very event is wrong. Others (a missing token, an unknown broker) can be put right outside."""


class HttpSink:
    """A broker or any other receiver of CloudEvents, by HTTP POST.

    Structured content mode: names of hosts and servers may hold characters that no HTTP header can.

    Args:
        signer: signs each event at the last moment, so that no signature is stored.
        token_file: holds the bearer token that the sink wants; read for each event, because Kubernetes renews it.
    """

    name = "sink"

    def __init__(self, url: str, signer: Signer | None = None, token_file: Path | None = None) -> None:
        self._url, self._signer, self._token_file = url, signer, token_file

    def send(self, event: Event) -> None:
        """Deliver the event.

        Raises:
            Retry: it was not taken.
            Permanent: the sink says that it will never take this event.
        """
        headers, body = to_structured(cloud_event(self._signer.sign(event) if self._signer else event))
        identity = bearer(self._token()) if self._token_file else None
        try:
            # A redirected POST would become a GET, and the event would be gone.
            answer = requests.post(
                self._url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False, auth=identity
            )
        except requests.RequestException as error:
            raise Retry(f"the sink does not answer: {type(error).__name__}") from error
        if answer.status_code in NEVER:
            raise Permanent(f"the sink answered {answer.status_code} to a {event.type}")
        if not 200 <= answer.status_code < 300:
            raise Retry(f"the sink answered {answer.status_code} to a {event.type}")

    def _token(self) -> str:
        assert self._token_file is not None
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise Retry(
                f"{self._token_file} of DROVER_SINK_TOKEN_FILE can't be read ({error.strerror}); expected a token that "
                "Kubernetes projects there"
            ) from None


def make_sink(settings: Settings) -> HttpSink | None:
    """The sink that the settings name; it signs if there is a secret to sign with. None: they name none."""
    from shared.access.assembly import make_signer

    return HttpSink(settings.sink, make_signer(settings), settings.sink_token_file) if settings.sink else None


class Nowhere:
    """Takes events where nobody listens (one machine without a broker); the store keeps them all the same."""

    name = NOBODY

    def send(self, event: Event) -> None:
        """Nothing to do."""
