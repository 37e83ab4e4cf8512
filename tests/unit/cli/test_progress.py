"""What the terminal, or a log file, sees of an operation that is under way."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cli.progress import LINE_SECONDS, QUIET_SECONDS, Bar, Lines, Problems, display
from cli.text import clean, count, duration
from lab.simulator.clock import SteppedClock


def document(moved: int = 0, **changes: Any) -> dict[str, Any]:
    """A drain of 20 servers with `moved` of them through."""
    steps = [{"subject": "1", "name": "web-1", "attempts": 1, "error": None}]
    summary = {
        "moved": moved, "total": 20, "memory_mb_moved": 512 * moved, "eta_seconds": 6.0 * (20 - moved), "in_flight": 2
    }  # fmt: skip
    usual = {
        "id": "7", "kind": "drain", "target": "cmp01", "state": "running", "intent": "run", "note": "", "steps": steps
    }  # fmt: skip
    return {**usual, "summary": summary, **changes}


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    """Somewhere to show it, and what was shown."""
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, color_system=None), file


def test_a_terminal_gets_a_bar_with_rate_and_eta(clock: SteppedClock) -> None:
    """Servers moved of all, MB/s since the watch began, what is under way and the time left."""
    screen, file = console(terminal=True)
    with display(screen, clock) as shown:
        assert isinstance(shown, Bar)
        shown.show(document(0))
        clock.advance(10)
        shown.show(document(5))
    text = file.getvalue()
    for part in ("drain cmp01", "5/20", "256 MB/s", "2 under way", "ETA 1 min 30 s"):
        assert part in text


def test_elsewhere_there_are_plain_lines_now_and_then(clock: SteppedClock) -> None:
    """A changed figure is told every few seconds, an unchanged one every minute."""
    screen, file = console(terminal=False)
    with display(screen, clock) as shown:
        assert isinstance(shown, Lines)
        for moved in (0, 1, 2):
            shown.show(document(moved))
        assert file.getvalue().count("\n") == 1
        clock.advance(LINE_SECONDS)
        shown.show(document(2, summary={"moved": 2, "total": 20}))
        assert file.getvalue().count("\n") == 2
        clock.advance(LINE_SECONDS)
        shown.show(document(2, summary={"moved": 2, "total": 20}))
        assert file.getvalue().count("\n") == 2
        clock.advance(QUIET_SECONDS)
        shown.show(document(2, summary={"moved": 2, "total": 20}))
    assert file.getvalue().splitlines()[-1] == "drain cmp01, 2 of 20 servers moved"


@pytest.mark.parametrize("terminal", [True, False])
def test_each_problem_is_told_once(clock: SteppedClock, terminal: bool) -> None:
    """A step's error and the operation's note are one line each, however often they are seen."""
    screen, file = console(terminal)
    failing = [{"subject": "1", "name": "web-1", "attempts": 2, "error": "NoValidHost"}]
    with display(screen, clock) as shown:
        for _ in range(3):
            shown.show(document(1, steps=failing, note="Nova does not answer"))
    text = file.getvalue()
    assert text.count("! web-1 (try 2): NoValidHost") == 1
    assert text.count("! drain of cmp01: Nova does not answer") == 1


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "halted", "paused"])
def test_the_note_of_a_result_is_no_problem_on_the_way(state: str) -> None:
    """It is printed with the result."""
    assert list(Problems().new(document(state=state, note="it is enabled already"))) == []


def test_a_problem_that_comes_back_is_told_again() -> None:
    """Another try that fails alike is news when there was none in between."""
    problems = Problems()
    failing = document(steps=[{"subject": "1", "name": "web-1", "attempts": 1, "error": "NoValidHost"}])
    assert len(list(problems.new(failing))) == 1
    assert list(problems.new(document())) == []
    assert len(list(problems.new(failing))) == 1


def test_an_operation_without_figures_can_be_watched(clock: SteppedClock) -> None:
    """An undrain has no servers to count."""
    screen, file = console(terminal=False)
    with display(screen, clock) as shown:
        shown.show(document(kind="undrain", summary={}))
    assert file.getvalue() == "undrain cmp01\n"


def test_a_drain_without_a_plan_has_no_figures_yet(clock: SteppedClock) -> None:
    """Before the first slice nobody knows how many servers there are."""
    screen, file = console(terminal=False)
    with display(screen, clock) as shown:
        shown.show(document(state="planned", summary={"moved": 0, "total": 0, "eta_seconds": 0.0}))
    assert file.getvalue() == "drain cmp01 (planned)\n"


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"state": "paused", "intent": "pause"}, "drain cmp01 (paused)"),
        ({"intent": "cancel"}, "drain cmp01 (being cancelled)"),
        ({"state": "cancelled", "intent": "cancel"}, "drain cmp01 (cancelled)"),
    ],
)
def test_the_title_says_what_is_unusual(clock: SteppedClock, changes: dict[str, Any], title: str) -> None:
    """A state other than running is in the line."""
    screen, file = console(terminal=False)
    with display(screen, clock) as shown:
        shown.show(document(**changes))
    assert file.getvalue().startswith(f"{title}, ")


def test_a_name_cannot_steer_the_terminal() -> None:
    """Control characters in a server's name, which is its owner's, do nothing."""
    assert clean("web\x1b[2J\n\x07x") == "web [2J  x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    """At most two units."""
    assert duration(seconds) == text


def test_one_is_singular() -> None:
    """1 server, 2 servers."""
    assert (count(1, "server"), count(2, "server")) == ("1 server", "2 servers")
