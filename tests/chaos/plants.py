"""Three bugs that an engine like this one is easily written with; the suite has to find each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import update
from sqlmodel import col

from functions.migrate.model import MoveState
from functions.migrate.slice import Slice
from shared.operations import inbox, lease, receive
from shared.store import Operation


@contextmanager
def asks_before_it_writes() -> Iterator[None]:
    """The intent to move a server is written with the next save: after the cloud was asked."""
    save = Slice.save

    def lazy(self: Slice, *moves: Any, acts: Any = (), facts: Any = ()) -> None:
        if any(move.state is MoveState.SUBMITTING for move in moves):
            self.later(*moves, acts=acts)
        else:
            save(self, *moves, acts=acts, facts=facts)

    with patch.object(Slice, "save", lazy):
        yield


@contextmanager
def does_not_check_the_lease() -> Iterator[None]:
    """A worker that was late writes as if nothing had happened."""

    def unfenced(session: Any, operation: Operation, changes: dict[str, Any]) -> None:
        session.execute(
            update(Operation)
            .where(col(Operation.id) == operation.id)
            .values(**changes)
            .execution_options(synchronize_session=False)
        )

    with patch.object(lease, "_update", unfenced):
        yield


def _aside(before: bool) -> Callable[[], AbstractContextManager[None]]:
    """An event is noted in the inbox in a transaction of its own, before or after that of its effect."""

    @contextmanager
    def plant() -> Iterator[None]:
        record, kept = inbox.record, []

        def later(session: Any, *args: Any, **named: Any) -> None:
            kept.append((args, named))

        def note(receiver: Any, args: Any, named: Any) -> None:
            with receiver._database.transaction() as session:
                record(session, *args, **named)

        def split(original: Any) -> Any:
            def method(self: Any, event: Any, *args: Any, **named: Any) -> Any:
                if before:
                    note(self, (event, self._clock.now(), None), {})
                with patch.object(inbox, "record", later):
                    reply = original(self, event, *args, **named)
                if not before:
                    note(self, *kept.pop())
                return reply

            return method

        receiver = receive.Receiver
        with (
            patch.object(receiver, "_open", split(receiver._open)),
            patch.object(receiver, "_control", split(receiver._control)),
        ):
            yield

    return plant


PLANTS = {
    "a write moved behind its deed": asks_before_it_writes,
    "a lease that is not checked": does_not_check_the_lease,
    "an inbox row written after its effect": _aside(before=False),
    "an inbox row written before its effect": _aside(before=True),
}
