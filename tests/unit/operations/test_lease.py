"""One worker at a time: leases, fencing, and what a late worker can do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlmodel import Session

from shared.operations import Act, LeaseLost, Work
from shared.store import Database, InboxEvent, OperationState, StoreError
from tests.support.bench import LEASE, Bench
from tests.support.kinds import step


def test_a_leased_operation_is_not_claimed(bench: Bench) -> None:
    """While one worker holds it another finds nothing, waits no longer than it may, and does not spin."""
    operation_id = bench.begin()
    bench.claim(operation_id)
    sleeps: list[float] = []
    sleep = bench.clock.sleep

    def note_and_sleep(seconds: float) -> None:
        sleeps.append(seconds)
        sleep(seconds)

    bench.clock.sleep = note_and_sleep  # type: ignore[method-assign]
    assert bench.engine.work(20) is None
    assert sleeps == []
    assert bench.engine.work(40) == operation_id
    assert bench.clock.monotonic() == pytest.approx(LEASE)
    assert len(sleeps) <= LEASE + 1


def test_an_expired_lease_is_taken_over(bench: Bench) -> None:
    """A worker that died keeps its operation for one lease, not longer."""
    operation_id = bench.begin()
    bench.claim(operation_id)
    bench.clock.advance(LEASE - 1)
    assert bench.engine.work(0.1) is None
    bench.clock.advance(1)
    assert bench.engine.work(0.1) == operation_id


def test_what_else_is_written_goes_with_the_lease(bench: Bench) -> None:
    """It is stored in the one transaction with the memo that tells of it, and not at all once the lease is lost."""
    operation_id = bench.begin()
    late = bench.claim(operation_id)

    def also(id: str) -> Callable[[Session], None]:
        def write(session: Session) -> None:
            row = {"source": "s", "id": id, "type": "t", "received_at": bench.clock.now(), "outcome": "accepted"}
            session.add(InboxEvent(**row))
            late.memo["wrote"] = id

        return write

    late.save(also=also("in time"))
    assert bench.operation(operation_id).memo == {"wrote": "in time"}
    bench.clock.advance(LEASE)
    bench.claim(operation_id)
    with pytest.raises(LeaseLost):
        late.save(also=also("too late"))
    assert [row.id for row in bench.inbox() if row.source == "s"] == ["in time"]
    assert bench.operation(operation_id).memo == {"wrote": "in time"}


def test_a_stale_workers_writes_change_no_row(bench: Bench) -> None:
    """Whatever the late worker tries is refused, and nothing of it is stored: no step, act, fact or state."""
    operation_id = bench.begin()
    late = bench.claim(operation_id)
    late.add([step("a")])
    bench.clock.advance(LEASE)
    new = bench.claim(operation_id)
    before = (bench.operation(operation_id), bench.steps(), bench.acts(), bench.facts())
    late.memo["late"] = True
    late.steps["a"].state = "done"
    with pytest.raises(LeaseLost):
        late.save(late.steps["a"], acts=[Act("late", "a")], facts=["progressed"])
    with pytest.raises(LeaseLost):
        late.add([step("b")])
    with pytest.raises(LeaseLost):
        late.release(0.0)
    with pytest.raises(LeaseLost):
        late.end(OperationState.FAILED, "late")
    assert (bench.operation(operation_id), bench.steps(), bench.acts(), bench.facts()) == before
    new.save()
    new.release(None)


def test_a_stale_worker_that_drops_its_changes_is_still_stale(bench: Bench) -> None:
    """Reading the row anew does not give it the successor's lease."""
    operation_id = bench.begin()
    late = bench.claim(operation_id)
    bench.clock.advance(LEASE)
    bench.claim(operation_id)
    late.discard()
    with pytest.raises(LeaseLost):
        late.save()


def test_each_save_renews_the_lease(bench: Bench) -> None:
    """A slice that takes long, but saves now and then, is not taken over."""
    operation_id = bench.begin()
    work = bench.claim(operation_id)
    for _ in range(5):
        bench.clock.advance(LEASE - 1)
        work.save()
        assert bench.engine.work(0.1) is None


def test_a_lease_that_ran_out_unnoticed_still_counts(bench: Bench) -> None:
    """Nobody took over: the late worker's save is good, and the lease begins anew."""
    operation_id = bench.begin()
    work = bench.claim(operation_id)
    bench.clock.advance(LEASE * 3)
    work.save()
    assert bench.engine.work(0.1) is None


def test_a_lost_lease_ends_the_slice_quietly(bench: Bench) -> None:
    """The engine goes on with other work; the successor's state stands."""

    def script(work: Work) -> float | None:
        if work.operation.target == "slow":
            bench.clock.advance(LEASE)
            bench.kind.script = lambda _: None
            bench.new_engine().work(0.1, work.operation.id)
            work.memo["late"] = True
        return 10.0

    bench.kind.script = script
    operation_id = bench.begin(target="slow")
    assert bench.engine.work(0.1) == operation_id
    assert bench.operation(operation_id).memo == {}
    assert bench.operation(operation_id).next_at is None


def test_workers_share_the_work(bench: Bench) -> None:
    """Threads that work at the same time never have the same operation in hands at once."""
    held: set[str] = set()
    twice: list[str] = []
    done: list[str] = []
    guard = threading.Lock()

    def script(work: Work) -> float | None:
        with guard:
            if work.operation.id in held:
                twice.append(work.operation.id)
            held.add(work.operation.id)
        work.save()
        with guard:
            held.discard(work.operation.id)
            done.append(work.operation.id)
        work.end(OperationState.SUCCEEDED, "")
        return None

    bench.kind.script = script
    for number in range(12):
        bench.begin(str(number), target=f"cmp{number}")
    threads = [threading.Thread(target=bench.new_engine().work, args=(0.5,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert twice == []
    assert len(done) == len(set(done)) == 12


def test_a_store_that_fails_in_a_slice_is_no_bug_of_the_kind(bench: Bench) -> None:
    """The error goes to the door; nothing is counted, and the slice is done again when the lease has run out."""

    def script(work: Work) -> float | None:
        raise StoreError("gone")

    bench.kind.script = script
    operation_id = bench.begin()
    with pytest.raises(StoreError):
        bench.engine.work(1)
    assert bench.operation(operation_id).failures == 0
    bench.kind.script = lambda work: None
    bench.clock.advance(LEASE)
    assert bench.engine.work(0.1) == operation_id


def test_a_worker_that_dies_leaves_the_others_running(bench: Bench, database: Database) -> None:
    """An error that can't even be stored is logged; other operations get their slices."""

    def script(work: Work) -> float | None:
        if work.operation.target == "bad":
            work.discard = lambda: 1 / 0  # type: ignore[assignment,method-assign]
            raise RuntimeError("bug")
        work.end(OperationState.SUCCEEDED, "")
        return None

    bench.kind.script = script
    bad = bench.begin("1", target="bad")
    bench.clock.advance(1)
    good = bench.begin("2", target="good")
    bench.engine.work(1)
    assert bench.operation(good).state == "succeeded"
    assert bench.operation(bad).lease_token is not None


def test_other_operations_are_seen_through_work(bench: Bench) -> None:
    """A slice can ask which targets and steps the other living operations of its kind have on this cloud."""
    first, second = bench.begin("1", target="a"), bench.begin("2", target="b")
    ended = bench.begin("3", target="c")
    work = bench.claim(ended)
    work.end(OperationState.SUCCEEDED, "")
    work = bench.claim(first)
    work.add([step("x", "moving"), step("y")])
    other = bench.claim(second)
    assert other.other_targets() == ["a"]
    assert [row.subject for row in other.other_steps(["moving"])] == ["x"]
    assert work.other_targets() == ["b"]
    assert work.living("walk") == bench.operation(first)
    assert work.living("climb") is None
