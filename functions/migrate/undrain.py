"""Giving a drained host back: its service is enabled, if a drain disabled it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functions.migrate.drain import Links
from functions.migrate.events import UndrainRequested
from functions.migrate.homecoming import LIFTED, come_home
from shared.clouds import AnswerLost
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step

AGAIN_SECONDS = 15.0
"""Between two looks at a host that is not ready yet: two requests."""

STAYS = "the service may count as up again, and stays disabled"
"""The note of one that is cancelled after forced_down was taken back."""


class Undrain:
    """The kind of operation behind `io.drover.undrain.requested`; an evacuated host takes it several slices."""

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
        """Enable the service, unless it is disabled for somebody else's reason, as soon as that is safe."""
        if work.cancelled:
            lifted = work.memo.get(LIFTED)
            work.end(OperationState.CANCELLED, STAYS if lifted else "nothing had been changed")
        elif work.may_start:
            if drain := work.living("drain"):
                host = work.operation.target
                raise Permanent(f"a drain of {host} is {drain.state}: end it first: drover ops cancel {drain.id}")
            try:
                link = self._links.get(work.operation.cloud)
                done = come_home(work, link.cloud, link.nova)
            except AnswerLost as error:
                raise Retry(str(error), after=2.0) from error
            except Rejected as error:  # the host has been removed from the cloud since the request
                raise Permanent(str(error)) from error
            if done is None:
                return AGAIN_SECONDS
            work.end(OperationState.SUCCEEDED, done)
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """There is nothing to count."""
        return {}
