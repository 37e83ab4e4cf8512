"""The door of `keeper`: dead letters, their replay, and the cleaning of the store."""

from __future__ import annotations

from collections.abc import Sequence
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


door = Door("keeper", kinds, dead_letters=True)
main = door.main
