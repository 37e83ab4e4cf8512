"""The suite against itself: bugs are planted, and it has to find each of them."""

from __future__ import annotations

import pytest

from tests.chaos.plants import PLANTS
from tests.chaos.pool import cases
from tests.chaos.run import Case, play
from tests.chaos.stage import Store

WHERE = {
    "a write moved behind its deed": ("drain", "none"),
    "a lease that is not checked": ("drain", "overtaken"),
    "an inbox row written after its effect": ("drain", "forgotten"),
    "an inbox row written before its effect": ("drain", "forgotten"),
}
"""A scene and an accident that find it soon; others do as well."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str, store: Store) -> None:
    """One of the runs goes wrong with the bug, and without it that very run goes well."""
    scene, accident = WHERE[name]
    with PLANTS[name]():
        todo = [Case(scene)] if accident == "none" else cases(scene, accident, store)
        found = next((verdict for verdict in (play(case, store) for case in todo) if verdict.wrong), None)
    assert found is not None, f"none of {len(todo)} runs has found it"
    sound = play(found.case, store)
    assert [line for line in sound.wrong if "did not come about" not in line] == []
