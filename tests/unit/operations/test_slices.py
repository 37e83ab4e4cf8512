"""What a slice does with a kind's results and errors, and with what people ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.errors import Permanent, Retry
from shared.operations import Act, Work
from shared.operations.engine import BUG_DELAY, BUG_LIMIT
from shared.store import Intent, Operation, OperationState
from tests.support.bench import Bench
from tests.support.kinds import Walk, step, walk


def idle(work: Work) -> float | None:
    """A slice that finds nothing to do."""
    return None


def test_a_slice_runs_the_operation(bench: Bench) -> None:
    """The first slice starts it; the end frees the target, the lease and the queue, and sends the fact."""
    operation_id = bench.begin()
    started = bench.clock.now()
    assert bench.engine.work(1) == operation_id
    operation = bench.operation(operation_id)
    assert (operation.state, operation.active_key, operation.next_at) == ("succeeded", None, None)
    assert (operation.started_at, operation.finished_at) == (started, started)
    assert (operation.lease_token, operation.lease_until) == (None, None)
    assert bench.facts() == ["completed"]
    assert bench.acts() == ["accept walk", "walk completed"]
    assert bench.engine.work(1) is None


def test_slices_follow_each_other_as_the_kind_asks(bench: Bench) -> None:
    """The next slice comes after as many seconds as the kind says, within the time of one call."""
    times: list[float] = []

    def script(work: Work) -> float | None:
        times.append(bench.clock.monotonic())
        return 5.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(12)
    assert times == pytest.approx([0, 5, 10])
    assert (bench.operation(operation_id).next_at or datetime.max) > bench.clock.now()


def test_what_is_due_longest_comes_first(bench: Bench) -> None:
    """Operations take turns; one that is always due does not starve the others."""
    order: list[str] = []

    def script(work: Work) -> float | None:
        order.append(work.operation.target)
        bench.clock.advance(1)
        return 0.0

    bench.kind.script = script
    for name in "abc":
        bench.begin(name, target=name)
        bench.clock.advance(1)
    bench.engine.work(5.5)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_request_that_comes_during_a_wait_is_seen(bench: Bench) -> None:
    """While the worker waits for one operation, another becomes due earlier and is not kept waiting."""
    bench.kind.script = lambda work: 20.0
    bench.begin("1", target="a")
    seen: list[float] = []
    sleep = bench.clock.sleep

    def on_sleep(seconds: float) -> None:
        sleep(seconds)
        if bench.clock.monotonic() >= 5 and not seen:
            seen.append(bench.clock.monotonic())
            bench.begin("2", target="b")

    bench.clock.sleep = on_sleep  # type: ignore[method-assign]
    slices: list[tuple[str, float]] = []

    def script(work: Work) -> float | None:
        slices.append((work.operation.target, bench.clock.monotonic()))
        return 20.0

    bench.kind.script = script
    bench.engine.work(25)
    assert ("b", seen[0]) in slices


def test_a_normal_end_saves_the_memo_and_the_note(bench: Bench) -> None:
    """What the kind remembers is stored at the slice's end without a save of its own; the note lasts one slice."""

    def script(work: Work) -> float | None:
        work.memo["slices"] = work.memo.get("slices", 0) + 1
        if work.memo["slices"] == 1:
            work.operation.note = "waiting for the window"
        return 10.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    assert bench.operation(operation_id).note == "waiting for the window"
    bench.clock.advance(10)
    bench.engine.work(1)
    assert (bench.operation(operation_id).note, bench.operation(operation_id).memo) == ("", {"slices": 2})


def test_steps_keep_their_order_and_their_first_form(bench: Bench) -> None:
    """Steps get positions as they come; adding a subject twice changes nothing; saving one updates its row."""

    def script(work: Work) -> float | None:
        work.add([step("b"), step("a")], Act("plan", "cmp01"))
        work.add([step("c"), step("a", "other")])
        work.steps["a"].details = {"progress": 1}
        work.save(work.steps["a"])
        work.steps["a"].details["progress"] = 2
        work.steps["a"].state = "done"
        work.save(work.steps["a"])
        return None

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    rows = sorted(bench.steps(), key=lambda row: row.position)
    assert [(row.subject, row.position, row.state) for row in rows] == [
        ("b", 0, "planned"),
        ("a", 1, "done"),
        ("c", 2, "planned"),
    ]
    assert rows[1].details == {"progress": 2}
    bench.clock.advance(1)
    bench.ask("resume", operation_id, "r")
    assert bench.acts() == ["accept walk", "plan"]


def test_retry_comes_back_later_and_says_why(bench: Bench) -> None:
    """The note tells the reason, until a slice goes well again."""

    def script(work: Work) -> float | None:
        if bench.clock.monotonic() < 10:
            raise Retry("Nova answers 503", 10.0)
        return None

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.note, operation.failures) == ("running", "Nova answers 503", 0)
    assert (operation.next_at, operation.lease_token) == (datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC), None)
    bench.clock.advance(10)
    bench.engine.work(1)
    assert bench.operation(operation_id).note == ""


def test_permanent_fails_the_operation(bench: Bench) -> None:
    """It ends as failed with the message as its note, and the fact is sent."""

    def script(work: Work) -> float | None:
        raise Permanent("the host is gone")

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.note, operation.next_at) == ("failed", "the host is gone", None)
    assert bench.facts() == ["failed"]


@pytest.mark.parametrize("error", [Retry("later"), Permanent("never"), RuntimeError("bug")])
def test_an_error_drops_what_was_not_saved(bench: Bench, error: Exception) -> None:
    """As after a crash: the saved half stands, the unsaved half is gone, also from the facts that follow."""

    def script(work: Work) -> float | None:
        work.memo["saved"] = 1
        work.add([step("a")])
        work.memo["unsaved"] = 1
        work.steps["a"].state = "half"
        raise error

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    assert bench.operation(operation_id).memo == {"saved": 1}
    assert [row.state for row in bench.steps()] == ["planned"]


def test_a_bug_backs_off_and_halts_after_five(bench: Bench) -> None:
    """Each unexpected error doubles the wait; the fifth in a row halts the operation until a person resumes it."""

    def script(work: Work) -> float | None:
        raise ZeroDivisionError("at https://user:secret@nova/")

    bench.kind.script = script
    operation_id = bench.begin()
    for number in range(1, BUG_LIMIT):
        assert bench.engine.work(0.5) == operation_id
        operation = bench.operation(operation_id)
        assert (operation.state, operation.failures) == ("running", number)
        assert operation.next_at is not None
        assert (operation.next_at - bench.clock.now()).total_seconds() == BUG_DELAY * 2 ** (number - 1)
        bench.clock.advance(BUG_DELAY * 2 ** (number - 1))
    bench.engine.work(0.5)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.intent, operation.next_at, operation.failures) == ("halted", "pause", None, 0)
    assert "unexpected ZeroDivisionError 5 times in a row" in operation.note
    assert "secret" not in operation.note
    assert bench.facts() == ["halted"]
    bench.kind.script = Walk().script
    bench.ask("resume", operation_id, "r")
    bench.engine.work(1)
    assert bench.operation(operation_id).state == "succeeded"


def test_a_good_slice_forgives_bugs(bench: Bench) -> None:
    """Only errors in a row count."""
    outcomes = iter([True, True, False, True, True, True, True, False])

    def script(work: Work) -> float | None:
        if next(outcomes):
            raise RuntimeError
        return 1.0

    bench.kind.script = script
    operation_id = bench.begin()
    for _ in range(8):
        bench.engine.work(0.1)
        bench.clock.advance(100)
    assert bench.operation(operation_id).state == "running"
    assert bench.operation(operation_id).failures == 0


@pytest.mark.parametrize("value", [object(), {1, 2}, float], ids=["object", "set", "class"])
def test_a_memo_that_cannot_be_stored_is_a_bug(bench: Bench, value: object) -> None:
    """The operation halts instead of being tried for ever."""

    def script(work: Work) -> float | None:
        work.memo["bad"] = value
        return 1.0

    bench.kind.script = script
    operation_id = bench.begin()
    for _ in range(BUG_LIMIT):
        bench.engine.work(0.1)
        bench.clock.advance(100)
    assert bench.operation(operation_id).state == "halted"


def test_a_bug_in_the_summary_does_not_keep_an_operation_from_ending(bench: Bench) -> None:
    """The fact goes out with an empty summary."""
    bench.kind.bad_summary = True
    operation_id = bench.begin()
    bench.engine.work(1)
    assert bench.operation(operation_id).state == "succeeded"
    assert bench.outbox()[-1].event["data"]["summary"] == {}


def test_error_texts_with_anything_in_them_are_stored(bench: Bench) -> None:
    """A cloud's message with NUL or half of a surrogate pair does not keep the operation from failing."""

    def script(work: Work) -> float | None:
        work.add([step("a")])
        work.steps["a"].error = "nul \0"
        work.save(work.steps["a"])
        raise Permanent("nul \0, half \ud800")

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    assert bench.operation(operation_id).note == "nul \\u0000, half \\ud800"
    assert bench.steps()[0].error == "nul \\u0000"


@pytest.mark.parametrize("error", [Retry("later"), Permanent("never"), RuntimeError("bug")])
def test_an_error_behind_the_end_changes_nothing(bench: Bench, error: Exception) -> None:
    """What has ended stays as it ended."""

    def script(work: Work) -> float | None:
        work.end(OperationState.SUCCEEDED, "well done")
        raise error

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(1)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.note, operation.next_at) == ("succeeded", "well done", None)
    assert bench.facts() == ["completed"]


def test_pause_and_resume(bench: Bench) -> None:
    """Paused, it is followed but may not start anything; resumed, it knows so in one slice."""
    seen: list[tuple[str, bool, bool]] = []

    def script(work: Work) -> float | None:
        seen.append((str(work.operation.state), work.may_start, work.resumed))
        return 5.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(0.1)
    assert bench.ask("pause", operation_id, "p").data["intent"] == "pause"
    bench.engine.work(0.1)
    assert bench.ask("resume", operation_id, "r").data["message"] == "It goes on, with a fresh error budget."
    bench.engine.work(6)
    assert seen == [
        ("running", True, False),
        ("paused", False, False),
        ("running", True, True),
        ("running", True, False),
    ]
    assert bench.facts() == ["paused", "resumed"]


def test_a_pause_before_the_first_slice(bench: Bench) -> None:
    """Nothing has started; the time of the start is that of the resume."""
    bench.kind.script = idle
    operation_id = bench.begin()
    bench.ask("pause", operation_id, "p")
    bench.engine.work(0.1)
    assert (bench.operation(operation_id).state, bench.operation(operation_id).started_at) == ("paused", None)
    bench.clock.advance(60)
    bench.ask("resume", operation_id, "r")
    bench.engine.work(0.1)
    assert bench.operation(operation_id).started_at == bench.clock.now()


@pytest.mark.parametrize("error", [Retry("later", 1.0), RuntimeError("bug")])
def test_a_resume_is_known_until_a_slice_has_gone_well(bench: Bench, error: Exception) -> None:
    """The slice after the resume fails: the next one still gives the fresh error budget."""
    bench.kind.script = idle
    operation_id = bench.begin()
    bench.ask("pause", operation_id, "p")
    bench.engine.work(0.1)
    seen: list[bool] = []

    def script(work: Work) -> float | None:
        seen.append(work.resumed)
        if len(seen) == 1:
            raise error
        return 1.0

    bench.kind.script = script
    bench.ask("resume", operation_id, "r")
    bench.engine.work(8)
    assert seen[:3] == [True, True, False]


def test_requests_reach_a_running_slice_with_its_next_save(bench: Bench) -> None:
    """A pause that comes in while a slice runs is seen there, and the state follows in a slice that is due at once."""
    seen: list[bool] = []

    def script(work: Work) -> float | None:
        if not seen:
            bench.ask("pause", work.operation.id, "p")
            seen.append(work.may_start)
            work.save()
        seen.append(work.may_start)
        return 100.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(0.1)
    assert seen == [True, False, False]
    assert bench.operation(operation_id).state == "paused"


@pytest.mark.parametrize("after", [None, 1000.0])
def test_a_request_during_the_last_moments_of_a_slice_is_not_lost(bench: Bench, after: float | None) -> None:
    """The kind never saw the cancel, and wanted to sleep long or for ever: the operation is due at once."""

    def script(work: Work) -> float | None:
        if work.cancelled:
            work.end(OperationState.CANCELLED, "as asked")
        else:
            bench.ask("cancel", work.operation.id, "c", undo=True)
        return after

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(0.1)
    operation = bench.operation(operation_id)
    assert operation.state == "cancelled"
    assert operation.intent_options == {"undo": True, "why": "cancel it"}


def test_a_cancel_that_comes_too_late_changes_nothing(bench: Bench) -> None:
    """The slice ends the operation while the cancel comes in: it stays as it ended and is never touched again."""
    slices: list[str] = []

    def script(work: Work) -> float | None:
        slices.append(work.operation.id)
        bench.ask("cancel", work.operation.id, f"c{len(slices)}")
        work.end(OperationState.SUCCEEDED, "")
        return 0.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(5)
    assert len(slices) == 1
    operation = bench.operation(operation_id)
    assert (operation.state, operation.next_at) == ("succeeded", None)
    answer = bench.ask("cancel", operation_id, "late")
    assert "has succeeded already" in answer.data["reason"]


def test_an_operation_whose_worker_died_behind_the_end_is_not_worked_on(bench: Bench) -> None:
    """The end is stored before the lease is given back; a crash between the two leaves nothing to do."""
    operation_id = bench.begin()
    work = bench.claim(operation_id)
    work.end(OperationState.SUCCEEDED, "")
    bench.clock.advance(1000)
    assert bench.engine.work(1) is None
    assert bench.facts() == ["completed"]


def halt(bench: Bench, note: str = "3 servers failed") -> str:
    """An operation that has halted itself."""

    def script(work: Work) -> float | None:
        if work.may_start:
            work.end(OperationState.HALTED, note)
        return 10.0

    bench.kind.script = script
    operation_id = bench.begin()
    bench.engine.work(0.1)
    assert bench.operation(operation_id).state == "halted"
    return operation_id


def test_halted_it_waits_for_a_person(bench: Bench) -> None:
    """It is followed, starts nothing, keeps its reason, and goes on only after a resume."""
    operation_id = halt(bench)
    bench.engine.work(60)
    assert bench.operation(operation_id).state == "halted"
    assert "halted already: 3 servers failed" in bench.ask("pause", operation_id, "p").data["message"]
    bench.kind.script = Walk().script
    bench.ask("resume", operation_id, "r")
    bench.engine.work(0.1)
    assert bench.operation(operation_id).state == "succeeded"


def test_why_it_halted_stays(bench: Bench) -> None:
    """Neither a cloud that does not answer nor a bug covers the reason of the halt."""
    operation_id = halt(bench)

    def unreachable(work: Work) -> float | None:
        raise Retry("the cloud does not answer", 10)

    bench.kind.script = unreachable
    bench.engine.work(12)
    assert bench.operation(operation_id).note == "3 servers failed"

    def bug(work: Work) -> float | None:
        raise RuntimeError("bug")

    bench.kind.script = bug
    bench.engine.work(200)
    assert bench.operation(operation_id).note.startswith("3 servers failed; then unexpected RuntimeError")


def test_a_resume_that_meets_a_halt_counts(bench: Bench) -> None:
    """A halted operation is followed in a slice while somebody resumes it: the slice's writes do not undo that."""
    operation_id = halt(bench)
    bench.clock.advance(10)
    work = bench.claim(operation_id)
    bench.ask("resume", operation_id, "r")
    work.save()
    work.end(OperationState.HALTED, "again")
    work.release(None)
    seen: list[bool] = []
    bench.kind.script = lambda work: seen.append(work.resumed)
    bench.engine.work(0.1)
    assert seen == [True]
    assert bench.operation(operation_id).state == "running"


@pytest.mark.parametrize("seen", [True, False], ids=["seen by the slice", "not seen"])
def test_a_cancel_that_meets_a_halt_counts(bench: Bench, seen: bool) -> None:
    """It halts in the moment of the cancel: the cancel stays, and the next slice acts on it."""
    operation_id = bench.begin()
    work = bench.claim(operation_id)
    work.operation.state = OperationState.RUNNING
    bench.ask("cancel", operation_id, "c")
    if seen:
        work.save()
    work.end(OperationState.HALTED, "3 servers failed")
    work.release(None)
    bench.engine.work(0.1)
    assert bench.operation(operation_id).state == "cancelled"


def test_a_cancel_that_fails_can_be_repeated(bench: Bench) -> None:
    """A bug in the cancelling halts it; it can't be resumed, the message says how to go on, and that works."""

    def bug(work: Work) -> float | None:
        raise RuntimeError("bug")

    bench.kind.script = bug
    operation_id = bench.begin()
    bench.ask("cancel", operation_id, "c1")
    bench.engine.work(200)
    for _ in range(BUG_LIMIT):
        bench.clock.advance(100)
        bench.engine.work(0.1)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.intent) == ("halted", "cancel")
    assert "cancel it once more" in bench.ask("resume", operation_id, "r").data["reason"]
    bench.kind.script = Walk().script
    bench.ask("cancel", operation_id, "c2")
    bench.engine.work(0.1)
    assert bench.operation(operation_id).state == "cancelled"


def test_control_answers_tell_what_happens(bench: Bench) -> None:
    """Each answer is true of the state that the operation is in."""
    bench.kind.script = lambda work: 10.0
    operation_id = bench.begin()
    bench.engine.work(0.1)
    assert "Nothing to resume" in bench.ask("resume", operation_id, "c1").data["message"]
    assert "Nothing new starts" in bench.ask("pause", operation_id, "c2").data["message"]
    assert bench.ask("resume", operation_id, "c3").data["message"] == "It goes on."
    assert bench.operation(operation_id).intent == Intent.RUN
    assert "It ends" in bench.ask("cancel", operation_id, "c4").data["message"]
    assert "cannot be taken back" in bench.ask("pause", operation_id, "c5").data["reason"]
    assert bench.acts() == ["accept walk", "pause operation", "resume operation", "cancel operation"]


def test_operations_of_other_kinds_are_left_alone(bench: Bench) -> None:
    """A worker touches only the kinds that it serves; those of others are neither claimed nor waited for."""
    operation_id = bench.begin()
    with bench.database.transaction() as session:
        stored = session.get(Operation, operation_id)
        assert stored is not None
        stored.kind = "climb"
    assert bench.engine.work(100) is None
    assert bench.clock.monotonic() == 0
    assert bench.engine.handle(walk("2", target="cmp02")) is not None
