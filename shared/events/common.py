"""The event types that every function takes or sends."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from shared.events.model import EventData


class Tick(EventData):
    """Time has passed: continue whatever is due. Sent by a PingSource; its data does not matter."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    event_type: ClassVar[str] = "io.drover.tick"


class _OperationRequest(EventData):
    operation: str = Field(description="Id of the operation.", min_length=1, max_length=64)
    reason: str = Field(description="Why; it goes on record.", min_length=1, max_length=500)
    requester: str = Field(default="unknown", description="Who asks.", max_length=200)


class OperationPauseRequested(_OperationRequest):
    """Start nothing new in this operation; what runs is followed to its end."""

    event_type: ClassVar[str] = "io.drover.operation.pause.requested"


class OperationResumeRequested(_OperationRequest):
    """Go on with an operation that was paused or has halted; a fresh error budget begins."""

    event_type: ClassVar[str] = "io.drover.operation.resume.requested"


class OperationCancelRequested(_OperationRequest):
    """End an operation: abort what can be aborted, and say what could not be."""

    event_type: ClassVar[str] = "io.drover.operation.cancel.requested"
    undo: bool = Field(
        default=False,
        description="Give back what the operation took: a drain enables the host's service again if it disabled it.",
    )


class OperationAnswered(EventData):
    """Answers a pause, resume or cancel request: the operation as it is now."""

    event_type: ClassVar[str] = "io.drover.operation.answered"
    operation: str = Field(description="Id of the operation.")
    state: str = Field(description="Its state when the request was stored.")
    intent: str = Field(description="What it does next: run, pause or cancel.")
    message: str = Field(description="What happens now, in a sentence.")


class RequestRejected(EventData):
    """Answers an event that cannot be taken; nothing was changed.

    Its type is the rejected event's with the last word replaced: `io.drover.drain.requested` is answered by
    `io.drover.drain.rejected`, a type that Drover does not know by `io.drover.event.rejected`.
    """

    event_type: ClassVar[str] = "io.drover.event.rejected"
    event: str = Field(description="Id of the rejected event.")
    source: str = Field(description="Source of the rejected event.")
    type: str = Field(description="Type of the rejected event.")
    reason: str = Field(description="What was found, what was expected, and what to do.")


class OperationFact(EventData):
    """Something happened to an operation. The base of every function's own facts."""

    operation: str = Field(description="Id of the operation.")
    kind: str = Field(description="drain, …")
    cloud: str = Field(description="Name of the cloud.")
    target: str = Field(description="What it works on: a host's name, …")
    state: str = Field(description="The operation's state after it.")
    reason: str = Field(description="Why the operation was asked for.")
    requester: str = Field(description="Who asked for it.")
    note: str = Field(default="", description="Why it halted, failed or waits.")
    summary: dict[str, Any] = Field(
        default_factory=dict, description="The function's own summary, as in GET /?operation=ID."
    )


class OperationAccepted(OperationFact):
    """A request was stored. The base of each function's own."""

    together: dict[str, str] = Field(
        default_factory=dict,
        description="In the answer to a request for several operations: the id of each, by its target.",
    )


class OperationsDue(EventData):
    """Operations of a kind are due, says the keeper: wake up. The base of each function's own."""

    kind: str = Field(description="drain, …")
