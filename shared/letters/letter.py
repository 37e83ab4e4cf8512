"""From an event that could not be delivered to the row that is kept of it: bounded, storable, and without secrets.

What a broker adds to a dead letter, seen on Knative Eventing 1.19: `knativeerrorcode` (the last HTTP status),
`knativeerrordest` (the address) and `knativeerrordata` (the answer's body in base64); after a time-out none of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from shared.access import signature, tick
from shared.events import Event
from shared.store import DeadLetter, storable
from shared.telemetry.redaction import clean, clean_text

CODE, DESTINATION, ANSWER = "knativeerrorcode", "knativeerrordest", "knativeerrordata"
FAILED = frozenset({CODE, DESTINATION, ANSWER})
"""Attributes of which an event has at least one after a delivery failed with an answer."""

TRAVEL = frozenset({"droverhop", signature.EXTENSION, tick.EXTENSION})
"""Attributes of one journey, which the next one gets anew; the last two open doors and are never kept. Those that begin
with `knative` are the broker's own."""

MAX_KEY, MAX_TYPE, MAX_ANSWER = 500, 200, 4_000
"""Characters that are kept; of a longer text the beginning and a digest."""
MAX_DOCUMENT = 256 * 1024
"""Characters of an event's JSON that are kept; requests have a few kilobytes, a plan for a thousand servers 250."""
MAX_DEPTH = 64
"""How deep an event's data may be nested."""


def has_failed(event: Event) -> bool:
    """Whether a broker says of this event that it could not deliver it."""
    return not FAILED.isdisjoint(event.extensions)


def letter_id(event: Event) -> str:
    """16 hexadecimal digits out of source and id, which may be long and hold anything."""
    return hashlib.sha256(json.dumps([event.source, event.id]).encode()).hexdigest()[:16]


def letter_of(event: Event, now: datetime, hindrance: str = "") -> DeadLetter:
    """The row for a first arrival.

    Args:
        hindrance: why it can't be sent again, if that is known already.
    """
    document, own_hindrance = _kept(event)
    told = event.extensions
    return DeadLetter(
        id=letter_id(event),
        source=_text(event.source, MAX_KEY),
        event_id=_text(event.id, MAX_KEY),
        type=_text(event.type, MAX_TYPE),
        subject=None if event.subject is None else _text(event.subject, MAX_KEY),
        event=document,
        first_at=now,
        last_at=now,
        code=_code(told.get(CODE, "")),
        destination=_text(told.get(DESTINATION, ""), MAX_KEY),
        answer=_text(_decoded(told.get(ANSWER, "")), MAX_ANSWER),
        hindrance=storable(hindrance or own_hindrance),
        good_until=min(_aware(event.time) or now, now)
        + signature.MAX_AGE,  # older, an inbox may have forgotten it as well
    )


def _kept(event: Event) -> tuple[dict[str, Any] | None, str]:
    """The event's document, and why it can't be sent again."""
    whole = {name: value for name, value in event.document().items() if not _travels(name)}
    text = json.dumps(clean(whole, MAX_DEPTH))
    if len(text) > MAX_DOCUMENT:
        return None, f"it is too large to be kept ({len(text)} characters, at most {MAX_DOCUMENT}): send it anew"
    document: dict[str, Any] = json.loads(text, parse_constant=str)  # NaN is no JSON, and PostgreSQL says so
    if document == whole:
        return document, ""
    if isinstance(event.data, bytes):
        return document, "its data is no JSON, and Drover sends nothing else: send it anew"
    return document, "it held what is not kept (a secret, a NaN, or something nested too deep): send it anew"


def _travels(name: str) -> bool:
    return name in TRAVEL or name.startswith("knative")


def _text(text: str, limit: int) -> str:
    return storable(clean_text(text), limit)


def _code(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) == 3 else None


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return text


def _aware(time: datetime | None) -> datetime | None:
    """An event's time; one without a zone is taken for UTC, one that can't be reckoned with for none."""
    if time is None or not 1970 <= time.year < 9999:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
