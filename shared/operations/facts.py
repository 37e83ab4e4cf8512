"""Facts: the events that tell others what has happened to an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from shared.clock import Clock
from shared.events import Event, OperationFact
from shared.store import Operation, Step

if TYPE_CHECKING:
    from shared.operations.kind import Kind
    from shared.telemetry.traces import Tracing

FactMaker = Callable[[str, Operation, Sequence[Step]], Event]
"""Makes the fact `io.drover.<kind>.<word>` about an operation."""

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


def fact_maker(
    kind: Kind, source: str, clock: Clock, new_id: Callable[[], str], tracing: Tracing | None = None
) -> FactMaker:
    """How this kind's facts are made. They belong to the trace of the slice that makes them, also when sent later."""

    def make(word: str, operation: Operation, steps: Sequence[Step]) -> Event:
        data = OperationFact(
            operation=operation.id,
            kind=operation.kind,
            cloud=operation.cloud,
            target=operation.target,
            state=operation.state,
            reason=operation.reason,
            requester=operation.requester,
            note=operation.note,
            summary=_summary(kind, operation, steps),
        )
        return Event(
            id=new_id(),
            source=source,
            type=fact_type(kind.name, word),
            subject=operation.target,
            time=clock.now(),
            data=data.model_dump(mode="json"),
            extensions={TRACE: tracing.current} if tracing and tracing.current else {},
        )

    return make


def _summary(kind: Kind, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
    """The kind's summary. A bug in it must not keep an operation from ending or halting, which its facts tell."""
    try:
        return kind.summary(operation, steps)
    except Exception:
        log.exception("unexpected error in a summary", operation=operation.id, kind=kind.name)
        return {}
