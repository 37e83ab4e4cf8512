"""The events of `rpc_trace`: what it takes, and the facts that it sends."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from shared.events import EventData, OperationAccepted, OperationFact, OperationsDue

MOST_SECONDS = 300
"""Of one capture: what a firehose costs the broker is not to be paid for longer."""


class Mode(StrEnum):
    """How much is captured, and what it costs."""

    FULL = "full"
    """The firehose: every message, published and delivered. The broker copies each of them."""
    LIGHT = "light"
    """Copies of requests only, by queues of its own on the exchanges: rates and methods, no replies."""
    METRICS = "metrics"
    """Counters of queues, by the management API; no message is read."""


class TraceRequested(EventData):
    """Look at the RPC traffic of a cloud for a while: statistics, a verdict on each call that went wrong, and, with
    `request_id`, the tree of RPCs beneath one request.
    """

    event_type: ClassVar[str] = "io.drover.trace.requested"

    cloud: str = Field(description="Name of the broker in brokers.yaml.", min_length=1, max_length=200)
    reason: str = Field(description="Why; it goes on record.", min_length=1, max_length=200, pattern=r"\S")
    requester: str = Field(default="unknown", description="Who asks.", max_length=200)
    mode: Mode = Field(default=Mode.LIGHT, description="full, light or metrics.")
    seconds: float = Field(default=60.0, description="How long.", ge=1, le=MOST_SECONDS)
    method: str | None = Field(
        default=None, description="Report only this method; `*` stands for anything.", min_length=1, max_length=200
    )
    request_id: str | None = Field(
        default=None,
        description="Own or global id of a request (X-Openstack-Request-Id): its tree is in the summary.",
        min_length=1,
        max_length=200,
    )
    dry_run: bool = Field(default=False, description="Answer with what it would cost, and capture nothing.")


class TraceWatchRequested(EventData):
    """Watch the RPC traffic from now on: each minute a short light capture, and a full one where timeouts are seen.

    Where it is watched already nothing changes, so that a schedule may send this as often as it likes.
    """

    event_type: ClassVar[str] = "io.drover.trace-watch.requested"

    cloud: str | None = Field(
        default=None, description="Name of the broker in brokers.yaml; else all of them.", min_length=1, max_length=200
    )
    reason: str = Field(
        default="continuous watch of RPC", description="Why; it goes on record.", min_length=1, max_length=200,
        pattern=r"\S",
    )  # fmt: skip
    requester: str = Field(default="schedule", description="Who asks.", max_length=200)
    every: float = Field(default=60.0, description="Seconds from one round to the next.", ge=10, le=3600)
    seconds: float = Field(default=10.0, description="Of the light capture in each round.", ge=1, le=60)
    full_seconds: float = Field(
        default=30.0, description="Of the full capture where timeouts are seen; 0: never.", ge=0, le=MOST_SECONDS
    )
    full_again: float = Field(
        default=1800.0, description="Seconds in which there is one full capture at most.", ge=300, le=86400
    )


class TracePlanned(EventData):
    """Answers a trace request with `dry_run`: whether it could begin, and what it would cost. Nothing was changed."""

    event_type: ClassVar[str] = "io.drover.trace.planned"
    cloud: str = Field(description="Name of the broker.")
    vhost: str = Field(description="The vhost.")
    mode: Mode = Field(description="full, light or metrics.")
    seconds: float = Field(description="How long it would capture.")
    feasible: bool = Field(description="Whether it could begin now.")
    refusal: str = Field(default="", description="Why it could not.")
    price: str = Field(description="What it costs the broker.")
    rate: float | None = Field(default=None, description="Messages a second that the vhost carries now.")
    nodes: list[dict[str, Any]] = Field(description="name, memory and alarm of each node.")


class TraceAccepted(OperationAccepted):
    """A capture was stored, or one of the same vhost goes on already: then it answers with that one."""

    event_type: ClassVar[str] = "io.drover.trace.accepted"


class TraceStarted(OperationFact):
    """The capture reads."""

    event_type: ClassVar[str] = "io.drover.trace.started"


class TraceProgressed(OperationFact):
    """A slice of the capture has ended and the next one is due; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.trace.progressed"


class TraceDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.trace.due"


class TracePaused(OperationFact):
    """Somebody paused the capture: it has ended with what it had."""

    event_type: ClassVar[str] = "io.drover.trace.paused"


class TraceResumed(OperationFact):
    """Somebody resumed the capture."""

    event_type: ClassVar[str] = "io.drover.trace.resumed"


class TraceHalted(OperationFact):
    """The capture stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.trace.halted"


class TraceCompleted(OperationFact):
    """The capture is over; `summary.report` has the statistics and the verdicts, `summary.request` the tree."""

    event_type: ClassVar[str] = "io.drover.trace.completed"


class TraceFailed(OperationFact):
    """Nothing could be captured; `note` says why."""

    event_type: ClassVar[str] = "io.drover.trace.failed"


class TraceCancelled(OperationFact):
    """Somebody cancelled the capture; the firehose is disarmed, `summary.report` has what was seen until then."""

    event_type: ClassVar[str] = "io.drover.trace.cancelled"


class TraceWatchAccepted(OperationAccepted):
    """A broker is watched from now on, or is already: then it answers with that watch."""

    event_type: ClassVar[str] = "io.drover.trace-watch.accepted"


class TraceWatchIdle(EventData):
    """Answers the request to watch where no broker is configured: nothing is watched."""

    event_type: ClassVar[str] = "io.drover.trace-watch.idle"
    text: str = Field(description="What would have to be configured.")


class TraceWatchFound(EventData):
    """A watch saw signs of timeouts, and has captured everything for a while: what it found."""

    event_type: ClassVar[str] = "io.drover.trace-watch.found"
    operation: str = Field(description="Id of the watch.")
    cloud: str = Field(description="Name of the broker.")
    vhost: str = Field(description="The vhost.")
    signs: list[str] = Field(description="Why everything was captured.")
    coverage: float | None = Field(description="Percent of the messages that the capture has seen.")
    calls: int = Field(description="Calls that it saw.")
    causes: dict[str, int] = Field(description="Verdicts by their number.")
    verdicts: list[dict[str, Any]] = Field(description="The first of them, as in a trace's report.")
    silent_servers: list[dict[str, Any]] = Field(description="Servers that left calls without an answer.")


class TraceWatchProgressed(OperationFact):
    """Asks for the next slice of a watch; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.trace-watch.progressed"


class TraceWatchDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.trace-watch.due"


class TraceWatchPaused(OperationFact):
    """Somebody paused the watch: nothing is captured until it is resumed."""

    event_type: ClassVar[str] = "io.drover.trace-watch.paused"


class TraceWatchResumed(OperationFact):
    """Somebody resumed the watch."""

    event_type: ClassVar[str] = "io.drover.trace-watch.resumed"


class TraceWatchHalted(OperationFact):
    """The watch stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.trace-watch.halted"


class TraceWatchCompleted(OperationFact):
    """A watch has ended by itself; it has no reason to."""

    event_type: ClassVar[str] = "io.drover.trace-watch.completed"


class TraceWatchFailed(OperationFact):
    """The broker can't be watched; `note` says why. The next request tries it again."""

    event_type: ClassVar[str] = "io.drover.trace-watch.failed"


class TraceWatchCancelled(OperationFact):
    """Somebody ended the watch; the next request begins a new one."""

    event_type: ClassVar[str] = "io.drover.trace-watch.cancelled"


REQUESTS: tuple[type[EventData], ...] = (TraceRequested, TraceWatchRequested)
FACTS: tuple[type[EventData], ...] = (
    TracePlanned, TraceAccepted, TraceStarted, TraceProgressed, TraceDue, TracePaused, TraceResumed, TraceHalted,
    TraceCompleted, TraceFailed, TraceCancelled, TraceWatchAccepted, TraceWatchIdle, TraceWatchFound,
    TraceWatchProgressed, TraceWatchDue, TraceWatchPaused, TraceWatchResumed, TraceWatchHalted, TraceWatchCompleted,
    TraceWatchFailed, TraceWatchCancelled,
)  # fmt: skip
