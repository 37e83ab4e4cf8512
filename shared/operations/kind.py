"""What a function brings so that the engine can run its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from shared.clock import Clock
from shared.events import EventData
from shared.operations.work import Work
from shared.store import Database, Operation, Step


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was found good: the operation it asks for, or at once its answer."""

    cloud: str
    target: str
    reason: str
    requester: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    answer: EventData | None = None
    """Set for a request that only asks (a dry run): nothing but this answer is stored."""
    together: Sequence[Prepared] = ()
    """Operations of the same kind that the request asks for besides: all of them are stored, or none."""


class Kind(Protocol):
    """One kind of operation, for example the drain.

    The engine owns the store, the lease and the states that people ask for (paused, resumed); the kind owns what is
    done to a cloud, and ends its operations with `Work.end`.
    """

    name: str
    """One word; the facts about its operations are `io.drover.<name>.<past participle>`."""
    requests: Sequence[type[EventData]]
    """The event types that ask for an operation of this kind."""

    def prepare(self, request: EventData) -> Prepared:
        """Look whether the request can be done at all. Reads the cloud, changes nothing.

        Raises:
            Rejected, Permanent: it cannot; the message says what to change.
            Retry: not now.
        """
        ...

    def advance(self, work: Work) -> float | None:
        """Do one short slice: re-read reality and do what is missing.

        It is called while the operation is running, and also while it is paused or halted, when what is in flight is
        to be followed and nothing new may start (`work.may_start`).

        An error drops what was changed in `work` since its last `save`, as a crash would.

        Returns:
            Seconds until the next slice; None when there is nothing to do until somebody asks, or ever.

        Raises:
            Retry: come back later. Permanent: the operation has failed.
        """
        ...

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """The function's own summary of an operation, as JSON values."""
        ...


@runtime_checkable
class Housekeeping(Protocol):
    """A kind that works on Drover's own store instead of on a cloud.

    The engine hands it the store when it is made; what its slices write goes through `Work.save(also=...)`, under the
    lease.
    """

    def attach(self, database: Database, clock: Clock, *, sends: bool) -> None:
        """Take the store.

        Args:
            sends: whether events that are put into the outbox reach anybody.
        """
        ...
