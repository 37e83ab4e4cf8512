"""The events of `keeper`: what it takes, and the facts that it sends."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events import EventData, OperationFact

MAX_LETTERS = 1000
"""Letters that one request can name; more of them go by their type, or all at once."""

LetterId = Annotated[str, Field(min_length=1, max_length=64)]


class ReplayRequested(EventData):
    """Send dead letters again, as they were: choose them by exactly one of `letters`, `type` and `all`."""

    event_type: ClassVar[str] = "io.drover.replay.requested"

    letters: list[LetterId] = Field(
        default_factory=list,
        description="Ids of letters, also of such as were sent again before.",
        max_length=MAX_LETTERS,
    )
    type: str | None = Field(
        default=None, description="All that wait and are of this event type.", min_length=1, max_length=200
    )
    all: bool = Field(default=False, description="All that wait.")
    reason: str = Field(description="Why; it goes on record.", min_length=1, max_length=500, pattern=r"\S")
    requester: str = Field(default="unknown", description="Who asks.", max_length=200)
    dry_run: bool = Field(default=False, description="Answer with the list, and send nothing.")

    @model_validator(mode="after")
    def _one_choice(self) -> ReplayRequested:
        chosen = [name for name in ("letters", "type", "all") if getattr(self, name)]
        if len(chosen) != 1:
            found = " and ".join(chosen) or "none of them"
            raise ValueError(f"expected exactly one of letters, type and all; found {found}")
        return self


class CleanupRequested(EventData):
    """Remove what is too old from the store. A daily PingSource sends it; its data may be empty."""

    event_type: ClassVar[str] = "io.drover.cleanup.requested"

    reason: str = Field(
        default="daily cleaning of the store", description="Why; it goes on record.", min_length=1, max_length=500
    )
    requester: str = Field(default="schedule", description="Who asks.", max_length=200)


class Letter(BaseModel):
    """One dead letter in a dry run's answer."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    source: str
    subject: str | None
    code: int | None
    hindrance: str


class ReplayPlanned(EventData):
    """Answers a dry run: what would be sent again. Nothing was sent."""

    event_type: ClassVar[str] = "io.drover.replay.planned"

    total: int = Field(description="How many letters were meant.")
    sendable: int = Field(description="How many of them can be sent.")
    letters: list[Letter] = Field(
        description="Those that came first, with `hindrance`: why it can't be sent, or nothing; at most 200."
    )


class ReplayAccepted(OperationFact):
    """The request to send dead letters again was stored."""

    event_type: ClassVar[str] = "io.drover.replay.accepted"


class ReplayProgressed(OperationFact):
    """Asks for the next slice of a replay."""

    event_type: ClassVar[str] = "io.drover.replay.progressed"


class ReplayPaused(OperationFact):
    """Somebody paused the replay."""

    event_type: ClassVar[str] = "io.drover.replay.paused"


class ReplayResumed(OperationFact):
    """Somebody resumed the replay."""

    event_type: ClassVar[str] = "io.drover.replay.resumed"


class ReplayHalted(OperationFact):
    """The replay stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.replay.halted"


class ReplayCompleted(OperationFact):
    """All that can be sent is on its way: it is in the outbox, and leaves with the next requests."""

    event_type: ClassVar[str] = "io.drover.replay.completed"


class ReplayFailed(OperationFact):
    """The replay could not be done; `note` says why."""

    event_type: ClassVar[str] = "io.drover.replay.failed"


class ReplayCancelled(OperationFact):
    """Somebody cancelled the replay; what had been put on its way goes there."""

    event_type: ClassVar[str] = "io.drover.replay.cancelled"


class CleanupAccepted(OperationFact):
    """The request to clean up was stored."""

    event_type: ClassVar[str] = "io.drover.cleanup.accepted"


class CleanupProgressed(OperationFact):
    """Asks for the next slice of a cleanup."""

    event_type: ClassVar[str] = "io.drover.cleanup.progressed"


class CleanupPaused(OperationFact):
    """Somebody paused the cleanup."""

    event_type: ClassVar[str] = "io.drover.cleanup.paused"


class CleanupResumed(OperationFact):
    """Somebody resumed the cleanup."""

    event_type: ClassVar[str] = "io.drover.cleanup.resumed"


class CleanupHalted(OperationFact):
    """The cleanup stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.cleanup.halted"


class CleanupCompleted(OperationFact):
    """The store is clean; `note` says what was removed."""

    event_type: ClassVar[str] = "io.drover.cleanup.completed"


class CleanupFailed(OperationFact):
    """The cleanup could not be done; `note` says why."""

    event_type: ClassVar[str] = "io.drover.cleanup.failed"


class CleanupCancelled(OperationFact):
    """Somebody cancelled the cleanup; `note` says what had been removed."""

    event_type: ClassVar[str] = "io.drover.cleanup.cancelled"


REQUESTS: tuple[type[EventData], ...] = (ReplayRequested, CleanupRequested)
FACTS: tuple[type[EventData], ...] = (
    ReplayPlanned, ReplayAccepted, ReplayProgressed, ReplayPaused, ReplayResumed, ReplayHalted, ReplayCompleted,
    ReplayFailed, ReplayCancelled, CleanupAccepted, CleanupProgressed, CleanupPaused, CleanupResumed, CleanupHalted,
    CleanupCompleted, CleanupFailed, CleanupCancelled,
)  # fmt: skip
