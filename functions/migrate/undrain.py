"""Giving a drained host back: its service is enabled, if a drain disabled it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functions.migrate.drain import Links
from functions.migrate.events import UndrainRequested
from functions.migrate.service import give_back
from shared.clouds import AnswerLost
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step


class Undrain:
    """The kind of operation behind `io.drover.undrain.requested`; it ends in its first slice."""

    name = "undrain"
    requests: Sequence[type[EventData]] = (UndrainRequested,)

    def __init__(self, links: Links | None = None) -> None:
        self._links = links or Links()

    def prepare(self, request: EventData) -> Prepared:
        """Look whether there is such a host."""
        assert isinstance(request, UndrainRequested)
        self._links.get(request.cloud).nova.service(request.host)
        return Prepared(
            cloud=request.cloud,
            target=request.host,
            reason=request.reason,
            requester=request.requester,
            parameters=request.model_dump(mode="json"),
        )

    def advance(self, work: Work) -> float | None:
        """Enable the service, unless it is disabled for somebody else's reason."""
        if work.cancelled:
            work.end(OperationState.CANCELLED, "nothing had been changed")
        elif work.may_start:
            if drain := work.living("drain"):
                host = work.operation.target
                raise Permanent(f"a drain of {host} is {drain.state}: end it first: drover ops cancel {drain.id}")
            try:
                done = give_back(work, self._links.get(work.operation.cloud).nova)
            except AnswerLost as error:
                raise Retry(str(error), after=2.0) from error
            except Rejected as error:  # the host has been removed from the cloud since the request
                raise Permanent(str(error)) from error
            work.end(OperationState.SUCCEEDED, done)
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """There is nothing to count."""
        return {}
