"""Many runs at once, one store for each process of the tests."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from tests.chaos.accidents import ACCIDENTS
from tests.chaos.run import Case, play
from tests.chaos.stage import Store
from tests.support.stores import migrated_file

CHUNK = 8
"""Runs that a process takes at a time."""

_store: Store | None = None


def open_store(directory: Path) -> Store:
    """A store that is emptied for each run."""
    return Store(migrated_file(directory), directory)


def _begin(base: str) -> None:
    global _store
    os.nice(5)  # whoever else is on this machine goes first
    structlog.reset_defaults()
    _store = open_store(Path(tempfile.mkdtemp(dir=base)))
    gc.set_threshold(50_000, 20, 20)  # a run leaves little
    gc.freeze()  # all that was imported stays: looking through it again and again costs a tenth of the time


def _one(case: Case) -> tuple[str, bool]:
    """What is wrong with a run; empty for nothing. A crash of the suite itself is told as well."""
    assert _store is not None
    try:
        verdict = play(case, _store)
    except Exception:
        return f"{case}: {traceback.format_exc(limit=-6)}", True
    return (str(verdict), True) if verdict.wrong else ("", False)


class Pool:
    """Processes that do runs, as many as the machine has processors, but at most `DROVER_CHAOS_JOBS` (2)."""

    runs = 0
    """So many were done, by all pools."""

    def __init__(self, base: Path) -> None:
        jobs = min(int(os.environ.get("DROVER_CHAOS_JOBS", "2")), os.cpu_count() or 1)
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(str(base),))

    def failures(self, cases: Iterable[Case]) -> list[str]:
        """Do these runs; what is wrong with those that failed."""
        todo = list(cases)
        Pool.runs += len(todo)
        return [text for text, wrong in self._executor.map(_one, todo, chunksize=CHUNK) if wrong]

    def close(self) -> None:
        """End the processes."""
        self._executor.shutdown(cancel_futures=True)


def cases(scene: str, accident: str, store: Store, skewed: bool = False, whole: bool = False) -> list[Case]:
    """One case for each touch (or each delivery) of a scene that this accident can happen at.

    Args:
        whole: also the touches at which only something is read, which are as the ones before them.
    """
    recorded: Any = play(Case(scene, skewed=skewed), store)
    assert not recorded.wrong, f"without any accident: {recorded}"
    what = ACCIDENTS[accident]
    if what.delivery:
        return [Case(scene, accident, at, skewed) for at in range(1, recorded.deliveries + 1)]
    numbered = enumerate(recorded.touches, 1)
    return [
        Case(scene, accident, at, skewed) for at, touch in numbered if what.applies(touch) and (whole or touch.matters)
    ]
