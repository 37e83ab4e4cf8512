"""Facts: the events that tell others what has happened to an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from shared.clock import Clock
from shared.events import Event, EventData, OperationFact
from shared.store import Operation, Step

if TYPE_CHECKING:
    from shared.operations.kind import Kind
    from shared.telemetry.traces import Tracing

TRACE = "traceparent"
"""Extension attribute: the trace that an event belongs to (CloudEvents, Distributed Tracing extension)."""

HOP = "droverhop"
"""Extension attribute: how many slices have followed each other without a tick between them."""

log = structlog.get_logger(__name__)


def fact_type(kind: str, word: str) -> str:
    """The type of a fact: `fact_type("drain", "completed")` is `io.drover.drain.completed`."""
    return f"io.drover.{kind}.{word}"


def hop_of(event: Event) -> int:
    """How many slices came before this event; 0 when it says nothing that makes sense."""
    text = event.extensions.get(HOP, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


@dataclass(frozen=True, slots=True)
class News:
    """What a kind has to tell about the things that its operation works on, besides the facts about itself."""

    data: EventData
    """Its class says the event's type."""
    subject: str


@dataclass(frozen=True, slots=True)
class FactMaker:
    """Makes the facts of one kind. They belong to the trace of the slice that makes them, also when sent later."""

    kind: Kind
    source: str
    clock: Clock
    new_id: Callable[[], str]
    tracing: Tracing | None = None
    tells: bool = True
    """Whether news is sent. Replies carry one event each, and would be held up for hours by one for each server."""

    def __call__(self, word: str, operation: Operation, steps: Sequence[Step]) -> Event:
        """The fact `io.drover.<kind>.<word>` about an operation."""
        data = OperationFact(
            operation=operation.id,
            kind=operation.kind,
            cloud=operation.cloud,
            target=operation.target,
            state=operation.state,
            reason=operation.reason,
            requester=operation.requester,
            note=operation.note,
            summary=_summary(self.kind, operation, steps),
        )
        return self._event(fact_type(self.kind.name, word), operation.target, data)

    def news(self, news: News) -> Event:
        """The event that tells the news."""
        return self._event(news.data.event_type, news.subject, news.data)

    def _event(self, type: str, subject: str, data: EventData) -> Event:
        return Event(
            id=self.new_id(),
            source=self.source,
            type=type,
            subject=subject,
            time=self.clock.now(),
            data=data.model_dump(mode="json"),
            extensions={TRACE: self.tracing.current} if self.tracing and self.tracing.current else {},
        )


def _summary(kind: Kind, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
    """The kind's summary. A bug in it must not keep an operation from ending or halting, which its facts tell."""
    try:
        return kind.summary(operation, steps)
    except Exception:
        log.exception("unexpected error in a summary", operation=operation.id, kind=kind.name)
        return {}
