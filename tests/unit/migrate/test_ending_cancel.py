"""A drain that is cancelled."""

from __future__ import annotations

from collections.abc import Callable

from lab.simulator.records import Fault
from tests.support.drains import Drains

Make = Callable[..., Drains]


def _begun(drains: Drains, seconds: float = 300.0, number: int = 4) -> str:
    """A drain with two slow moves in flight: one runs, one is queued."""
    drains.servers(number)
    for index in range(1, number + 1):
        drains.fake.faults[f"vm-{index:03}"] = Fault(seconds=seconds)
    operation = drains.begin()
    drains.work(5)
    return operation


def test_a_cancel_aborts_what_runs_and_what_is_queued(drains: Drains) -> None:
    """No server has moved, none is busy, the host stays disabled, and the note says how to enable it."""
    operation = _begun(drains)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert (document["state"], document["note"]) == (
        "cancelled", "cmp01 stays disabled: `drover undrain cmp01` enables it",
    )  # fmt: skip
    assert len(drains.acts("abort")) == 2
    assert [(server.task_state, server.status) for server in drains.fake.servers_on("cmp01")] == [(None, "ACTIVE")] * 4
    assert set(drains.left(document).values()) == {
        "aborted: the drain was cancelled", "not moved when the drain was cancelled",
    }  # fmt: skip
    assert drains.fake.host("cmp01").disabled


def test_a_cancel_aborts_what_is_queued_before_what_runs(drains: Drains) -> None:
    """Otherwise it would begin in the place of what was aborted before it."""
    operation = _begun(drains)
    running, queued = (row.server for row in drains.fake.migrations)
    drains.control("cancel", operation)
    assert drains.run(operation)["state"] == "cancelled"
    assert [act.server for act in drains.acts("abort")] == [queued, running]


def test_a_cancel_looks_soon_at_what_it_has_aborted(drains: Drains) -> None:
    """However long the moves had been under way: an abort takes Nova a few seconds, and so it takes the drain."""
    operation = _begun(drains, seconds=3600.0)
    drains.work(900)
    drains.control("cancel", operation)
    asked = drains.clock.now()
    assert drains.run(operation)["state"] == "cancelled"
    assert (drains.clock.now() - asked).total_seconds() < 10


def test_a_cancel_with_undo_gives_the_host_back(drains: Drains) -> None:
    """We disabled it, so we enable it."""
    operation = _begun(drains)
    drains.control("cancel", operation, undo=True)
    document = drains.run(operation)
    assert (document["state"], document["note"]) == ("cancelled", "cmp01 is enabled")
    assert not drains.fake.host("cmp01").disabled
    assert "enable service" in [entry.act for entry in drains.audit(operation)]


def test_undo_leaves_what_somebody_else_disabled(drains: Drains) -> None:
    """The host was disabled before the drain: it stays so."""
    drains.fake.host("cmp01").disabled = True
    drains.fake.host("cmp01").disabled_reason = "bad RAM"
    operation = _begun(drains)
    drains.control("cancel", operation, undo=True)
    assert drains.run(operation)["state"] == "cancelled"
    assert drains.fake.host("cmp01").disabled_reason == "bad RAM"
    assert drains.acts("enable") == []


def test_undo_is_not_done_over_another_reason(drains: Drains) -> None:
    """Somebody changed the reason meanwhile: the host stays disabled, and the note says why."""
    operation = _begun(drains)
    drains.fake.host("cmp01").disabled_reason = "bad RAM"
    drains.control("cancel", operation, undo=True)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert "not enabled again: cmp01 is disabled, but not by a drain" in document["note"]


def test_a_lost_answer_to_the_undo_is_made_good(drains: Drains) -> None:
    """The enabling is looked up, and done once."""
    operation = _begun(drains)
    drains.fake.drop_answer_of_next("enable")
    drains.control("cancel", operation, undo=True)
    assert drains.run(operation)["state"] == "cancelled"
    assert len(drains.acts("enable")) == 1


def test_a_cold_migration_cannot_be_aborted(drains: Drains) -> None:
    """It is followed to its end and confirmed; the note names it."""
    server = drains.fake.add_server("cmp01", name="stopped", status="SHUTOFF")
    drains.fake.faults["stopped"] = Fault(seconds=30.0)
    operation = drains.begin()
    drains.work(5)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert "could not be aborted: stopped" in document["note"]
    assert drains.fake.server(server).status == "SHUTOFF"
    assert drains.fake.server(server).host != "cmp01"
    assert document["summary"]["moved"] == 1
    assert document["summary"]["left"] == []


def test_a_move_that_has_just_been_asked_for_is_aborted_when_it_shows(drains: Drains) -> None:
    """Nova does not abort what is not queued yet: it is asked when it is, and not called impossible."""
    drains.servers(1)
    drains.fake.faults["vm-001"] = Fault(seconds=60.0)
    operation = drains.begin()
    drains.one_slice(operation)
    drains.clock.advance(0.3)
    assert drains.fake.migrations[0].status == "accepted"
    drains.control("cancel", operation)
    document = drains.run(operation, engine=drains.worker())
    assert document["state"] == "cancelled"
    assert len(drains.acts("abort")) == 1
    assert "could not be aborted" not in document["note"]


def test_a_busy_nova_does_not_make_an_abort_impossible(drains: Drains) -> None:
    """503 on the abort: it is asked for again."""
    operation = _begun(drains, number=1)
    drains.fake.fail_next(503, of="DELETE", times=2)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert len(drains.acts("abort")) == 1
    assert "could not be aborted" not in document["note"]


def test_what_arrives_before_the_abort_is_moved(drains: Drains) -> None:
    """Nova refuses the abort since the migration is through: the server is looked at, and counts as moved."""
    operation = _begun(drains, number=1)

    def ends() -> None:
        (row,) = drains.fake.migrations
        drains.fake.world.copied(row)
        drains.clock.advance(1)

    drains.when_requested("DELETE", ends)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("cancelled", 1)
    assert "could not be aborted: vm-001" in document["note"]


def test_a_cancel_with_arrived_servers_looks_at_them_first(drains: Drains) -> None:
    """A server that has arrived and was not looked at yet is not called left behind."""
    drains.servers(6)
    operation = drains.begin()
    drains.work(8)
    assert "arrived" in {step["state"] for step in drains.document(operation)["steps"]}
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert document["summary"]["moved"] == 6 - len(drains.fake.servers_on("cmp01"))
    assert len(document["summary"]["left"]) == len(drains.fake.servers_on("cmp01"))


def test_a_cancel_ends_even_if_a_migration_hangs(drains: Drains) -> None:
    """The source is dead, so its migration neither ends nor is aborted: after a quarter of an hour that is said."""
    operation = _begun(drains, number=1)
    drains.fake.kill_host("cmp01")
    drains.control("cancel", operation)
    document = drains.run(operation, seconds=1500)
    assert document["state"] == "cancelled"
    assert drains.left(document)["vm-001"].startswith("still under way to cmp0")


def test_a_cancel_before_the_first_slice_changes_nothing(drains: Drains) -> None:
    """Nothing was planned, nothing is disabled."""
    drains.servers(2)
    operation = drains.begin()
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert (document["state"], document["note"]) == ("cancelled", "nothing had been started")
    assert drains.acts() == []


def test_a_halted_and_a_paused_drain_can_be_cancelled(drains: Drains) -> None:
    """Whatever it waits for, a cancel ends it, and undoes what is wanted."""
    drains.fake.add_server("cmp01", status="RESCUE")
    halted = drains.begin()
    assert drains.run(halted)["state"] == "halted"
    drains.control("cancel", halted, undo=True)
    assert drains.run(halted)["state"] == "cancelled"
    paused = drains.begin()
    drains.work(0.5)
    drains.control("pause", paused)
    drains.control("cancel", paused, undo=True)
    assert drains.run(paused)["state"] == "cancelled"
    assert not drains.fake.host("cmp01").disabled


def test_a_failed_try_under_a_cancel_is_not_repeated(drains: Drains) -> None:
    """The migration fails by itself while it is being cancelled."""
    drains.servers(1)
    drains.fake.faults["vm-001"] = Fault(fails=True, seconds=10.0)
    operation = drains.begin()
    drains.work(5)
    drains.fake.fail_next(503, of="DELETE", times=9)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert len(drains.acts("live-migrate")) == 1
