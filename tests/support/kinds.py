"""A real kind of operation whose slices a test writes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import Field

from shared.events import Event, EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step


class WalkRequested(EventData):
    """Ask for a walk."""

    event_type: ClassVar[str] = "io.drover.walk.requested"
    target: str = Field(min_length=1, max_length=255)
    reason: str = Field(default="a test", max_length=500)
    cloud: str = "lab"
    steps: int = Field(default=1, ge=0)
    dry_run: bool = False


class WalkPlanned(EventData):
    """Answers a dry run."""

    event_type: ClassVar[str] = "io.drover.walk.planned"
    steps: int


def at_once(work: Work) -> float | None:
    """A slice in which everything succeeds, unless people want something else."""
    if work.cancelled:
        work.end(OperationState.CANCELLED, "as asked")
        return None
    if not work.may_start:
        return None
    work.end(OperationState.SUCCEEDED, "")
    return None


class Walk:
    """The kind; `script` is what one slice does."""

    name = "walk"
    requests: Sequence[type[EventData]] = (WalkRequested,)

    def __init__(self, script: Callable[[Work], float | None] = at_once) -> None:
        self.script = script
        self.prepared = 0
        self.refusal: Exception | None = None
        self.on_prepare: Callable[[], None] = lambda: None
        self.bad_summary = False

    def prepare(self, request: EventData) -> Prepared:
        """Accept, unless the test says otherwise."""
        assert isinstance(request, WalkRequested)
        self.prepared += 1
        self.on_prepare()
        if self.refusal is not None:
            raise self.refusal
        answer = WalkPlanned(steps=request.steps) if request.dry_run else None
        return Prepared(request.cloud, request.target, request.reason, "tester", {"steps": request.steps}, answer)

    def advance(self, work: Work) -> float | None:
        """One slice."""
        return self.script(work)

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """How many steps there are."""
        if self.bad_summary:
            raise KeyError("a bug in the summary")
        return {"steps": len(steps)}


def walk(id: str = "1", target: str = "cmp01", source: str = "/test", **data: Any) -> Event:
    """A request for a walk."""
    return Event(id, source, WalkRequested.event_type, {"target": target, **data})


def control(verb: str, operation: str, id: str, **data: Any) -> Event:
    """A request to pause, resume or cancel."""
    data = {"operation": operation, "reason": f"{verb} it", "requester": "olga", **data}
    return Event(id, "/test", f"io.drover.operation.{verb}.requested", data)


def tick(id: str = "tick-1", **extensions: str) -> Event:
    """Time has passed."""
    return Event(id, "/ping", "io.drover.tick", {}, extensions=extensions)


def step(subject: str, state: str = "planned") -> Step:
    """A step as a kind makes it."""
    return Step(operation_id="", subject=subject, action="walk", state=state)
