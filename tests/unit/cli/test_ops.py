"""`drover ops` on the store of this machine."""

from __future__ import annotations

import pytest

from lab.simulator.clock import SteppedClock
from shared.operations import Work
from shared.store import OperationState
from tests.unit.cli.conftest import Run
from tests.unit.cli.support import Emptying

DRAIN = ("drain", "cmp01", "--reason", "new memory")


@pytest.fixture
def operation(run: Run) -> str:
    """A drain that is stored, and nobody works on it."""
    return run(*DRAIN, "--no-wait").out.strip()


def test_list_shows_operations_for_people(run: Run, operation: str) -> None:
    """One line for each, with its whole id."""
    outcome = run("ops", "list", "--state", "planned", "--target", "cmp01")
    assert outcome.code == 0
    assert operation in outcome.out
    assert "new memory" in outcome.out


def test_list_says_when_there_are_none(run: Run, operation: str) -> None:
    """An empty list is a sentence."""
    assert "no operations" in run("ops", "list", "--state", "failed").out


def test_list_pages(run: Run, operation: str) -> None:
    """A full page names the command for the next one."""
    run("undrain", "cmp01", "--reason", "x")
    first = run("ops", "list", "--limit", "1")
    before = first.out.split("--before ")[1].strip()
    assert operation in first.out + run("ops", "list", "--before", before).out


def test_show_is_the_operation_with_its_steps(run: Run, operation: str) -> None:
    """The steps of a finished drain are listed."""
    run("ops", "watch", operation)
    outcome = run("ops", "show", operation)
    assert outcome.code == 0
    for text in ("web-1", "live-migrate", "cmp02", "succeeded", "new memory"):
        assert text in outcome.out
    assert run("ops", "show", operation, "--json").json["id"] == operation


def test_watch_carries_the_operation_on(run: Run, kind: Emptying, operation: str) -> None:
    """Without anybody else, `watch` does the work, and exits as the drain would have."""
    assert run("ops", "watch", operation, "--json").json["state"] == "succeeded"
    assert kind.slices == 4


def test_pause_takes_effect_though_nobody_works_on_it(run: Run, operation: str) -> None:
    """The operation is paused at once, and the message says how to go on."""
    outcome = run("ops", "pause", operation, "--reason", "customer called")
    assert outcome.code == 0
    assert f"drover ops resume {operation}" in outcome.err
    assert run("ops", "show", operation, "--json").json["state"] == "paused"


def test_a_paused_operation_exits_3(run: Run, operation: str) -> None:
    """Watching it does not start it again, and says so by its exit code."""
    run("ops", "pause", operation)
    outcome = run("ops", "watch", operation)
    assert outcome.code == 3
    assert "paused" in outcome.out


def test_resume_goes_on_to_the_end(run: Run, operation: str) -> None:
    """A resumed drain is followed like a new one, though its state is still paused when the watch begins."""
    run("ops", "pause", operation)
    outcome = run("ops", "resume", operation)
    assert outcome.code == 0
    assert "cmp01 is empty" in outcome.out


def test_resume_without_waiting(run: Run, kind: Emptying, operation: str) -> None:
    """Only the wish is stored."""
    run("ops", "pause", operation)
    before = kind.slices
    assert run("ops", "resume", operation, "--no-wait").code == 0
    assert kind.slices == before


def test_cancel_ends_it_and_exits_0(run: Run, operation: str) -> None:
    """Cancelled is what was asked for."""
    outcome = run("ops", "cancel", operation, "--undo", "--json")
    assert outcome.code == 0
    assert outcome.json["state"] == "cancelled"


def test_a_cancel_that_halts_exits_3(run: Run, kind: Emptying, operation: str, clock: SteppedClock) -> None:
    """When cancelling itself goes wrong, the command does not wait for ever, and says that a person is needed."""

    def halt(work: Work) -> float | None:
        work.end(OperationState.HALTED, "the cloud refuses it")
        return None

    kind.advance = halt  # type: ignore[method-assign]
    outcome = run("ops", "cancel", operation)
    assert outcome.code == 3
    assert "the cloud refuses it" in outcome.out
    assert f"drover ops cancel {operation}" in outcome.out


def test_cancel_without_waiting_says_who_has_to_work_on_it(run: Run, operation: str) -> None:
    """The wish is stored, and the command that carries it out is named."""
    outcome = run("ops", "cancel", operation, "--no-wait")
    assert outcome.code == 0
    assert f"drover ops watch {operation}" in outcome.err
    assert run("ops", "watch", operation).code == 1


def test_what_has_ended_cannot_be_paused(run: Run, operation: str) -> None:
    """It is wrong input, with the state in the message."""
    run("ops", "watch", operation)
    outcome = run("ops", "pause", operation)
    assert outcome.code == 2
    assert "succeeded already" in outcome.err


def test_pause_says_when_something_still_runs(run: Run, kind: Emptying, operation: str) -> None:
    """What is in flight is not lost from sight."""

    def busy(work: Work) -> None:
        work.memo["in_flight"] = 1
        work.save()

    kind.hook = busy
    assert f"drover ops watch {operation}" in run("ops", "pause", operation).err


def test_pausing_a_halted_operation_says_why_it_halted(run: Run, kind: Emptying, operation: str) -> None:
    """Nothing changes, and the halt's reason is repeated."""
    kind.hook = lambda work: work.end(OperationState.HALTED, "over budget")
    assert run("ops", "watch", operation).code == 3
    outcome = run("ops", "pause", operation)
    assert "over budget" in outcome.err
