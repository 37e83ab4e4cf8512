"""An accident at each touch, one run for each: the cloud is well in the end, and nothing was done twice."""

from __future__ import annotations

import pytest

from tests.chaos.accidents import ACCIDENTS
from tests.chaos.pool import Pool, cases
from tests.chaos.run import STORIES
from tests.chaos.stage import Store

ALL = tuple(STORIES)
UNTIMED = tuple(scene for scene in ALL if scene not in ("pause", "cancel"))
"""Scenes in which it does not matter when a request comes: who cancels a drain that is over is refused, rightly."""
ALWAYS: dict[str, tuple[str, ...]] = {
    "crash": ALL,
    "forgotten": UNTIMED,
    "late": ALL,
    "answer-lost": ("cold", "replay"),
    "stolen": ("drain",),
    "overtaken": ("evacuation",),
    "away": ("drain",),
    "dropped": ALL,
    "doubled": ALL,
    "reordered": ALL,
}
"""The scenes that each accident happens in without `--long`, at every touch where the world changes; with it, in all of
them, and at the touches that only look, too."""
SKEWED = ("cold",)
"""The scenes in which the processes' clocks are minutes apart, without `--long`."""


def _no_failure(failures: list[str]) -> None:
    assert not failures, f"{len(failures)} runs went wrong:\n" + "\n".join(failures[:20])


@pytest.mark.parametrize("scene", ALL)
@pytest.mark.parametrize("accident", ALWAYS)
def test_an_accident_at_every_touch(accident: str, scene: str, pool: Pool, store: Store, long: int) -> None:
    """Whatever happens at whatever touch, the observer of the cloud finds nothing wrong."""
    if scene not in (ALWAYS[accident] if not long or accident == "forgotten" else ALL):
        pytest.skip("only with --long" if accident != "forgotten" else "its requests must come in time")
    todo = cases(scene, accident, store, whole=bool(long))
    if not todo:
        assert STORIES[scene].keeper, f"{accident} can happen nowhere in {scene}"
        pytest.skip(f"{accident} can happen nowhere in {scene}, which asks no cloud")
    _no_failure(pool.failures(todo))


@pytest.mark.parametrize("scene", ALL)
def test_a_crash_while_clocks_differ_by_minutes(scene: str, pool: Pool, store: Store, long: int) -> None:
    """Two processes take turns whose clocks are five minutes apart, and one of them dies at each touch in turn."""
    if not long and scene not in SKEWED:
        pytest.skip("only with --long")
    _no_failure(pool.failures(cases(scene, "crash", store, skewed=True, whole=bool(long))))


def test_there_are_more_than_a_thousand_runs(pool: Pool, store: Store) -> None:
    """So many, without `--long`, that a thousand is a floor: a scene that shrinks is noticed."""
    crashes = sum(len(cases(scene, "crash", store)) for scene in ALL)
    assert crashes >= 1000, crashes
    assert set(ALWAYS) == set(ACCIDENTS) - {"none"}
