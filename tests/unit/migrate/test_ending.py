"""How drains end: proven empty, halted with reasons, paused, or past what the operator allowed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from lab.simulator.records import Fault
from tests.support.drains import Drains

Make = Callable[..., Drains]


def test_an_inbound_migration_keeps_the_host_from_being_empty(drains: Drains) -> None:
    """Somebody's migration to the host was under way before: it is waited for, and what it brings is moved."""
    server = drains.fake.add_server("cmp02", name="inbound")
    drains.fake.faults["inbound"] = Fault(seconds=40.0)
    drains.migrate_by_hand(server, "cmp01")
    drains.clock.advance(1)
    operation = drains.begin()
    drains.work(20)
    assert drains.document(operation)["note"] == "waits: 1 migrations of others still touch cmp01"
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", 1)
    assert drains.fake.servers_on("cmp01") == []


def test_an_inbound_migration_that_hangs_halts_the_drain(drains: Drains) -> None:
    """After half an hour a person is told; nobody waits for ever."""
    server = drains.fake.add_server("cmp02", name="inbound")
    drains.fake.faults["inbound"] = Fault(stalled=True)
    drains.migrate_by_hand(server, "cmp01")
    drains.clock.advance(1)
    document = drains.run(drains.begin(), seconds=3000)
    assert (document["state"], document["note"]) == (
        "halted", "1 migrations of others still touch cmp01, for 30 minutes now",
    )  # fmt: skip


def test_a_server_that_is_being_deleted_is_waited_for(drains: Drains) -> None:
    """It goes away by itself, and is not counted as left behind."""
    server = drains.servers(1)[0]
    drains.fake.set_status(server, "ACTIVE", "deleting")
    operation = drains.begin()
    drains.work(30)
    assert "being deleted" in drains.document(operation)["note"]
    drains.fake.delete_server(server)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["left"]) == ("succeeded", [])


def test_a_deletion_that_does_not_end_halts_the_drain(drains: Drains) -> None:
    """After three minutes a person is told which server hangs."""
    server = drains.servers(1)[0]
    drains.fake.set_status(server, "ACTIVE", "deleting")
    document = drains.drain()
    assert document["state"] == "halted"
    assert "vm-001 (being deleted)" in document["note"]
    assert drains.left(document) == {"vm-001": "being deleted"}


def test_what_others_take_away_is_not_left_behind(drains: Drains) -> None:
    """A server that could not move is deleted by its owner during the drain: the drain succeeds."""
    drains.servers(3)
    odd = drains.fake.add_server("cmp01", name="odd", status="RESCUE")
    operation = drains.begin()
    drains.work(3)
    drains.fake.delete_server(odd)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["left"]) == ("succeeded", [])
    assert drains.step(operation, odd)["state"] == "gone"


def test_the_error_budget_halts_the_drain(make: Make) -> None:
    """When two servers were set aside nothing more is started; what is in flight ends first."""
    drains = make(cap=5, hosts=6)
    for number in range(2):
        drains.fake.add_server("cmp01", name=f"bad-{number}", memory_mb=65_536)
        drains.fake.faults[f"bad-{number}"] = Fault(precheck=True)
    others = drains.servers(12)
    for number in range(3, 15):
        drains.fake.faults[f"vm-{number:03}"] = Fault(seconds=30.0)
    document = drains.drain(error_budget=2, max_attempts=1, concurrency=4)
    assert document["state"] == "halted"
    assert "2 servers could not be moved (error budget: 2): bad-0" in document["note"]
    moved = [server for server in others if drains.fake.server(server).host != "cmp01"]
    assert 0 < len(moved) < 12
    assert document["summary"]["moved"] == len(moved)
    assert {drains.fake.server(server).task_state for server in others} == {None}


def test_a_resume_goes_on_with_a_fresh_budget(make: Make) -> None:
    """What was set aside is tried again, and the drain succeeds when it works by then."""
    drains = make(hosts=3)
    bad = drains.fake.add_server("cmp01", name="bad", memory_mb=65_536)
    drains.servers(3)
    drains.fake.faults["bad"] = Fault(precheck=True)
    operation = drains.begin(error_budget=1, max_attempts=1)
    assert drains.run(operation)["state"] == "halted"
    del drains.fake.faults["bad"]
    drains.control("resume", operation)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"], document["note"]) == ("succeeded", 4, "")
    assert drains.step(operation, bad)["attempts"] == 1
    facts = [word for word in drains.facts(operation) if word not in ("migrating", "migrated")]
    assert facts == ["accepted", "started", "halted", "resumed", "completed"]


def test_nothing_starts_after_the_deadline(drains: Drains) -> None:
    """What is in flight ends, then the drain halts and says how many are left."""
    servers = drains.servers(10)
    deadline = (drains.clock.now() + timedelta(seconds=10)).isoformat()
    document = drains.drain(deadline=deadline)
    assert document["state"] == "halted"
    assert "the deadline 2026-01-01T00:00:10+00:00 has passed with" in document["note"]
    assert max(act.time for act in drains.acts("live-migrate")).isoformat() <= deadline
    assert 0 < document["summary"]["moved"] < 10
    assert len(document["summary"]["left"]) == len(servers) - document["summary"]["moved"]
    drains.control("resume", document["id"])
    again = drains.run(document["id"])
    assert (again["state"], again["summary"]["moved"]) == ("succeeded", 10)


def test_a_pause_starts_nothing_and_lets_end_what_runs(drains: Drains) -> None:
    """Two are in flight when it comes: both arrive and are looked at; the rest waits for the resume."""
    servers = drains.servers(6)
    operation = drains.begin()
    drains.work(3)
    begun = len(drains.acts("live-migrate"))
    drains.control("pause", operation)
    drains.work(600)
    document = drains.document(operation)
    assert document["state"] == "paused"
    assert len(drains.acts("live-migrate")) == begun
    assert document["summary"]["moved"] == begun
    drains.control("resume", operation)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", len(servers))


def test_a_paused_drain_asks_the_cloud_nothing(drains: Drains) -> None:
    """When what ran has ended, a pause costs no request."""
    drains.servers(4)
    operation = drains.begin()
    drains.work(3)
    drains.control("pause", operation)
    drains.work(60)
    before = drains.fake.requests["compute"]
    drains.work(3600)
    assert drains.fake.requests["compute"] == before


def test_a_drain_that_is_paused_before_it_began_changes_nothing(drains: Drains) -> None:
    """Not even the service is disabled; resumed, it begins."""
    drains.servers(1)
    operation = drains.begin()
    drains.control("pause", operation)
    drains.work(60)
    assert drains.acts() == []
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"


def test_a_pause_between_plan_and_disabling_is_heeded(drains: Drains) -> None:
    """The plan is made, and nothing is changed until the resume."""
    drains.servers(1)
    operation = drains.begin()
    drains.clock.advance(10)
    drains.when_requested("os-services", lambda: drains.control("pause", operation))
    drains.work(60)
    assert drains.document(operation)["state"] == "paused"
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"
    assert len(drains.acts("disable")) == 1


def test_the_source_dies(drains: Drains) -> None:
    """The drain halts within two minutes and says what to do, and asks little then; resumed, it goes on."""
    servers = drains.servers(3)
    drains.fake.faults["vm-001"] = Fault(seconds=60.0)
    operation = drains.begin()
    drains.work(5)
    drains.fake.kill_host("cmp01")
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert "nova-compute on cmp01 is down" in document["note"]
    assert drains.clock.monotonic() < 140
    before = drains.fake.requests["compute"]
    drains.work(3600)
    assert drains.fake.requests["compute"] - before < 200
    drains.fake.revive_host("cmp01")
    drains.clock.advance(5)
    drains.control("resume", operation)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", len(servers))


def test_a_resume_while_the_source_is_still_down_halts_at_once(drains: Drains) -> None:
    """No server is tried in vain."""
    drains.servers(3)
    drains.fake.faults["vm-001"] = Fault(seconds=60.0)
    operation = drains.begin()
    drains.work(5)
    drains.fake.kill_host("cmp01")
    drains.run(operation)
    asked = len(drains.acts("live-migrate"))
    drains.control("resume", operation)
    drains.work(30)
    assert drains.document(operation)["state"] == "halted"
    assert len(drains.acts("live-migrate")) == asked


def test_what_is_in_flight_when_a_drain_halts_is_said(drains: Drains) -> None:
    """The summary tells servers under way from those not moved yet."""
    drains.servers(3)
    drains.fake.faults["vm-001"] = Fault(seconds=60.0)
    operation = drains.begin(concurrency=1)
    drains.work(5)
    drains.fake.kill_host("cmp01")
    left = drains.left(drains.run(operation))
    assert left["vm-001"].startswith("under way to cmp0")
    assert left["vm-002"].startswith("not moved yet when the drain halted: nova-compute on cmp01 is down")


def test_a_host_that_is_down_from_the_start_is_not_drained(drains: Drains) -> None:
    """Nothing is asked of Nova; every server is named with the way out."""
    servers = drains.servers(2)
    drains.fake.kill_host("cmp01")
    document = drains.drain()
    assert document["state"] == "halted"
    assert all("cmp01 is down" in reason for reason in drains.left(document).values())
    assert all("--evacuate" in entry["way_out"] for entry in document["summary"]["left"])
    assert [act for act in drains.acts() if act.server in servers] == []
