"""The shared secret: who has it signs events, and an event that is signed is let in.

What is signed is what an event means, not the bytes of a request: a broker takes events in one content mode and hands
them on in another, writes times in another way, and adds attributes of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from shared.access.caller import Caller, Knock, Role
from shared.access.errors import Unauthenticated
from shared.clock import Clock
from shared.events.event import Event

EXTENSION = "droversignature"
"""Extension attribute: HMAC-SHA256 (RFC 2104) in hexadecimal digits."""
CONTEXT = b"drover event 1\n"
"""Precedes what is signed, so that no signature made with the same secret for something else fits."""
MAX_AGE = timedelta(days=7)
"""How old a signed event may be. The inbox remembers events for longer, so that an old one has no effect again."""
MAX_AHEAD = timedelta(minutes=5)
"""How far the sender's clock may be ahead."""


def canonical(event: Event) -> bytes:
    """What is signed: id, source, type, subject, time and data, as JSON with sorted keys and without white space.

    The subject counts as what it reads when percent-encoding is undone: in a header it must be encoded (CloudEvents
    1.0, HTTP protocol binding, 3.1.3.2), and not everybody undoes that.

    Raises:
        ValueError, TypeError, RecursionError: the data is not JSON, or nested too deep.
    """
    content = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": None if event.subject is None else unquote(event.subject.encode("utf-8", "replace").decode()),
        "time": None if event.time is None else event.time.astimezone(UTC).isoformat(timespec="microseconds"),
        "data": _plain(event.data),
    }
    return CONTEXT + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _plain(data: Any) -> Any:
    return {"data_base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else data


class Signer:
    """Signs what Drover sends, with the newest of its keys, at the last moment: nothing signed is ever stored."""

    def __init__(self, keys: Sequence[str], clock: Clock) -> None:
        self._key, self._clock = keys[0].encode(), clock

    def sign(self, event: Event) -> Event:
        """The event with its signature; one without a time gets the present one."""
        timed = event if event.time is not None else replace(event, time=self._clock.now())
        return replace(timed, extensions={**timed.extensions, EXTENSION: _mac(self._key, canonical(timed))})


class Signature:
    """Lets signed events in.

    Args:
        keys: each of them counts, so that a new one can be brought in before the old one goes.
    """

    name = "signature"
    challenge = 'Signature realm="drover"'

    def __init__(self, keys: Sequence[str], clock: Clock) -> None:
        self._keys, self._clock = [key.encode() for key in keys], clock

    def judge(self, knock: Knock) -> Caller | None:
        """The sender, if the event is signed.

        Raises:
            Unauthenticated: by another key, something else was signed, or too long ago.
        """
        event = knock.event
        if event is None or EXTENSION not in event.extensions:
            return None
        given = event.extensions[EXTENSION].encode("utf-8", "replace")
        try:
            content = canonical(event)
        except (ValueError, TypeError, RecursionError):
            raise self._refused("the event's data is no JSON that could have been signed", "unreadable") from None
        fits = [hmac.compare_digest(_mac(key, content).encode(), given) for key in self._keys]
        if not any(fits):
            raise self._refused(
                f"{EXTENSION} does not fit the event: expected HMAC-SHA256 of its id, source, type, subject, time and "
                "data with the door's secret (docs/security.md says how)",
                "bad signature",
            )
        self._check_age(event.time)
        return Caller("signature", Role.DELIVERY, self.name)

    def _check_age(self, time: datetime | None) -> None:
        now = self._clock.now()
        if time is None or not now - MAX_AGE <= time <= now + MAX_AHEAD:
            raise self._refused(
                f"the signed event's time is missing or not of the last {MAX_AGE.days} days; expected an RFC 3339 "
                "time: send a new event, and check the sender's clock",
                "stale",
            )

    def _refused(self, message: str, reason: str) -> Unauthenticated:
        return Unauthenticated(message, self.name, reason)


def _mac(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()
