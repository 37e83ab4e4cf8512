"""A world in which anything can stop at any moment: a store and a cloud with points at which a test decides what
happens, and a kind that changes that cloud as a careful kind does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlmodel import Session

from shared.errors import DroverError
from shared.events import EventData
from shared.operations import Act, Prepared, Work
from shared.store import Database, Operation, OperationState, Step
from tests.support.kinds import WalkRequested, step

PATIENCE = 10.0
"""Seconds between the saved intent and the request to the cloud, at most: far less than a lease, so that a worker that
was held up leaves the effect to its successor."""


class Crash(BaseException):
    """The process is gone in this moment."""


class AnswerLost(DroverError):
    """The change was made, its answer never came."""


class Fate:
    """Decides at each point what happens there. `on_point` gets the point's name and may raise `Crash` or
    `AnswerLost`, let time pass, or let another worker act."""

    def __init__(self) -> None:
        self.points: list[str] = []
        """The names of the points that were passed."""
        self.on_point: Callable[[str], None] = lambda name: None

    def at(self, name: str) -> None:
        """One moment in which something may happen."""
        self.points.append(name)
        self.on_point(name)


class ShakyDatabase(Database):
    """A store with points before, at the end of, and behind each writing transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fate = Fate()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As in `Database`."""
        self.fate.at("begin")
        with super().transaction() as session:
            yield session
            session.flush()
            self.fate.at("commit")
        self.fate.at("committed")


class ShakyCloud:
    """The cloud: what was built in it, and how often."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.built: Counter[str] = Counter()

    def build(self, name: str, allowed: Callable[[], bool]) -> bool:
        """Make one change that must be made only once.

        Args:
            allowed: asked in the moment of the change.
        """
        self._fate.at("before effect")
        if not allowed():
            return False
        self.built[name] += 1
        self._fate.at("after effect")
        return True


class Build:
    """Builds `steps` things, one step each: the intent is saved, the change made, the result saved."""

    name = "walk"
    requests: Sequence[type[EventData]] = (WalkRequested,)

    def __init__(self, cloud: ShakyCloud) -> None:
        self._cloud = cloud

    def prepare(self, request: EventData) -> Prepared:
        """Take it as it is."""
        assert isinstance(request, WalkRequested)
        return Prepared("lab", request.target, request.reason, "tester", {"steps": request.steps})

    def advance(self, work: Work) -> float | None:
        """Re-read the cloud, and do what is missing."""
        names = [f"{work.operation.id}/{index}" for index in range(work.operation.parameters["steps"])]
        if not work.steps:
            work.add([step(name) for name in names], Act("plan", work.operation.target))
        for each in work.steps.values():
            if each.state == "submitting" and self._cloud.built[each.subject]:
                self._finish(work, each)
        if work.cancelled:
            work.end(OperationState.CANCELLED, "as asked")
            return None
        for each in work.steps.values():
            if each.state != "done" and work.may_start:
                self._submit(work, each)
        left = [each.subject for each in work.steps.values() if each.state != "done"]
        if not work.may_start:
            return None if work.operation.state != OperationState.RUNNING else 1.0
        if left:
            return 1.0
        work.end(OperationState.SUCCEEDED, "")
        return None

    def _submit(self, work: Work, each: Step) -> None:
        each.state, each.attempts = "submitting", each.attempts + 1
        begun = work.clock.monotonic()  # before the save: the lease that it renews counts from there
        work.save(each, acts=[Act("build", each.subject)])
        try:
            asked = self._cloud.build(
                each.subject, lambda: work.may_start and work.clock.monotonic() - begun <= PATIENCE
            )
        except AnswerLost:
            return  # the next look at the cloud tells
        if asked:
            self._finish(work, each)

    def _finish(self, work: Work, each: Step) -> None:
        each.state = "done"
        work.save(each, acts=[Act("built", each.subject)])

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """How many are done."""
        return {"done": sum(each.state == "done" for each in steps)}
