"""The door of `keeper`: dead letters, their replay, the cleaning of the store, and firehoses that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from shared.door import Door

if TYPE_CHECKING:
    from shared.operations import Kind


def kinds() -> Sequence[Kind]:
    """The kinds of operations that this function runs."""
    from functions.keeper.cleanup import Cleanup
    from functions.keeper.replay import Replay
    from shared.settings import load

    settings = load()
    return [Replay(), Cleanup(settings.keep_days, settings.keep_operations_days)]


def chores() -> Sequence[Callable[[], None]]:
    """What is looked after at each tick, besides."""
    from functions.keeper.firehose import FirehoseWatch

    return [FirehoseWatch()]


door = Door("keeper", kinds, dead_letters=True, chores=chores)
main = door.main
