"""Taking dead letters, on PostgreSQL."""

from __future__ import annotations

import threading

from tests.support.letters import Keeper, dead
from tests.unit.letters.test_keep import *  # noqa: F403


def test_the_same_letter_many_times_at_once(keeper: Keeper) -> None:
    """Eight deliveries together: one letter, which came eight times."""
    together = threading.Barrier(8)

    def deliver() -> None:
        together.wait(10)
        keeper.engine.handle(dead())

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [letter.times for letter in keeper.letters()] == [8]
