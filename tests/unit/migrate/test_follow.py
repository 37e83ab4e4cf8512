"""What is made of the migrations that Nova shows: of ours, of others', and of those that it does not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from lab.simulator.records import Fault
from tests.support.drains import Drains

Make = Callable[..., Drains]


@pytest.mark.parametrize(
    "fault", [Fault(precheck=True, times=1), Fault(prepare=True, times=1), Fault(fails=True, times=1)]
)
def test_a_failed_move_is_tried_elsewhere(drains: Drains, fault: Fault) -> None:
    """The second try goes to another host, after a while, and the error is not kept once it went well."""
    server = drains.servers(3)[0]
    drains.fake.faults[server] = fault
    document = drains.drain()
    assert document["state"] == "succeeded"
    first, second = drains.acts("live-migrate", server)
    assert first.target != second.target
    assert (second.time - first.time).total_seconds() >= 5
    step = drains.step(document["id"], server)
    assert (step["state"], step["attempts"], step["error"], step["to"]) == ("done", 2, None, second.target)


def test_three_failures_set_a_server_aside_and_the_others_go_on(make: Make) -> None:
    """Each try goes to another host, with a longer wait each time; then the server is named and the drain halts."""
    drains = make(hosts=6)
    server = drains.fake.add_server("cmp01", name="stubborn", memory_mb=65_536)
    others = drains.servers(12)
    drains.fake.faults["stubborn"] = Fault(precheck=True)
    document = drains.drain()
    tries = drains.acts("live-migrate", server)
    assert len({act.target for act in tries}) == 3
    gaps = [(later.time - earlier.time).total_seconds() for earlier, later in pairwise(tries)]
    assert gaps[0] >= 5
    assert gaps[1] >= 10
    assert document["state"] == "halted"
    assert drains.step(document["id"], server)["state"] == "failed"
    assert "the fault of stubborn" in drains.left(document)["stubborn"]
    assert "stubborn" in document["note"]
    assert all(drains.fake.server(other).host != "cmp01" for other in others)
    assert max(act.time for act in drains.acts("live-migrate")) > tries[-1].time


def test_an_earlier_failure_is_not_taken_for_the_next_try(drains: Drains) -> None:
    """The second request never arrives: the first one's migration in `error` is not its result."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(precheck=True, times=1)
    operation = drains.begin()
    drains.work(4)
    assert drains.step(operation, server)["state"] == "held"
    drains.fake.fail_next(500, of=f"POST /compute/v2.1/servers/{server}")
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 2
    assert len([entry for entry in drains.audit(operation) if entry.act == "move failed"]) == 1


def test_a_server_without_other_targets_tries_the_same_again(make: Make) -> None:
    """Where all hosts have failed, one that has failed is better than none."""
    drains = make(hosts=2)
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(precheck=True, times=2)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert [act.target for act in drains.acts("live-migrate")] == ["cmp02"] * 3


def test_a_target_that_fills_up_is_replaced(make: Make) -> None:
    """Nova finds no room on the named host any more: a fresh look names another one."""
    drains = make(hosts=3)
    servers = drains.servers(2, memory_mb=8192)
    operation = drains.begin(concurrency=1)
    drains.work(1)
    waiting = next(server for server in servers if not drains.acts("live-migrate", server))
    planned = drains.step(operation, waiting)["to"]
    drains.fake.add_server(planned, name="flood", memory_mb=262_144)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, waiting)["to"] not in (planned, "cmp01")


def test_a_failed_cold_migration_leaves_the_server_to_a_person(drains: Drains) -> None:
    """After a failed copy Nova puts it into ERROR: it is not touched again, and the reason is Nova's."""
    server = drains.fake.add_server("cmp01", name="stopped", status="SHUTOFF")
    drains.fake.faults["stopped"] = Fault(fails=True)
    document = drains.drain()
    assert document["state"] == "halted"
    assert drains.left(document)["stopped"] == "in ERROR: the copy of the disk failed"
    assert len(drains.acts("cold-migrate", server)) == 1


def test_the_reason_is_not_worth_an_error(drains: Drains) -> None:
    """Where Nova does not tell why a migration failed, its status has to do."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(precheck=True)
    drains.fake.fail_next(404, of="os-instance-actions", times=20)
    document = drains.drain()
    assert document["state"] == "halted"
    assert "ended in status error" in drains.step(document["id"], server)["error"]


def test_a_migration_that_runs_when_the_drain_begins_is_adopted(drains: Drains) -> None:
    """It is followed and not asked for again, and ends without remark."""
    server = drains.servers(1)[0]
    drains.migrate_by_hand(server, "cmp03")
    drains.clock.advance(1)
    document = drains.drain()
    assert (document["state"], document["note"]) == ("succeeded", "")
    assert len(drains.acts("live-migrate")) == 1
    step = drains.step(document["id"], server)
    assert (step["state"], step["to"], step["attempts"], step["error"]) == ("done", "cmp03", 0, None)
    assert document["summary"]["seconds"] < 30


def test_a_migration_that_others_start_meanwhile_is_adopted(drains: Drains) -> None:
    """Somebody moves a server that waits for its turn: theirs is followed, with the target that Nova chose."""
    servers = drains.servers(4)
    operation = drains.begin(concurrency=1)
    drains.work(1)
    waiting = [server for server in servers if not drains.acts("live-migrate", server)][-1]
    drains.act_by_hand(waiting, {"os-migrateLive": {"host": None, "block_migration": "auto"}})
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert Counter(act.server for act in drains.acts("live-migrate"))[waiting] == 1
    assert "adopt migration" in [entry.act for entry in drains.audit(operation) if entry.subject == waiting]
    assert drains.step(operation, waiting)["to"] == drains.fake.server(waiting).host


def test_an_adopted_migration_that_fails_is_followed_by_our_own(drains: Drains) -> None:
    """Somebody else's failure does not count as one of our tries."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(fails=True, times=1)
    drains.migrate_by_hand(server, "cmp03")
    drains.clock.advance(1)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["attempts"] == 1


def test_a_foreign_cold_migration_is_confirmed(drains: Drains) -> None:
    """Somebody has begun to migrate a stopped server: the drain brings it to its end."""
    server = drains.fake.add_server("cmp01", status="SHUTOFF")
    drains.act_by_hand(server, {"migrate": {"host": "cmp03"}})
    drains.clock.advance(1)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert (drains.fake.server(server).host, drains.fake.server(server).status) == ("cmp03", "SHUTOFF")
    assert len(drains.acts("confirm")) == 1


def test_a_resize_is_its_owners_to_confirm(drains: Drains) -> None:
    """It leaves the host, but a revert would bring it back: the drain halts and says who must act."""
    server = drains.fake.add_server("cmp01", name="growing", status="SHUTOFF")
    operation = drains.begin()
    drains.act_by_hand(server, {"migrate": {"host": "cmp03"}})
    drains.clock.advance(1)
    drains.fake.migrations[0].kind = "resize"
    document = drains.run(operation)
    assert drains.acts("confirm") == []
    assert document["state"] == "halted"
    assert "neither confirmed nor reverted" in document["note"]
    assert drains.left(document).keys() == {"growing"}
    drains.act_by_hand(server, {"confirmResize": None})
    drains.clock.advance(5)
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"


def test_a_resize_before_the_drain_is_seen_at_the_end(drains: Drains) -> None:
    """A server that was resized away from the host, and not confirmed, is no reason to call the host free."""
    server = drains.fake.add_server("cmp01", status="SHUTOFF")
    drains.act_by_hand(server, {"migrate": {"host": "cmp03"}})
    drains.clock.advance(10)
    drains.fake.migrations[0].kind = "resize"
    document = drains.drain()
    assert document["state"] == "halted"
    assert f"a revert would bring back, unconfirmed: {server}" in document["note"]


def test_a_server_that_others_have_moved_away_is_not_moved_again(drains: Drains) -> None:
    """It waited for its turn while somebody moved it, from begin to end between two looks."""
    servers = drains.servers(3)
    operation = drains.begin(concurrency=1)
    drains.engine.work(0)
    waiting = [server for server in servers if not drains.acts("live-migrate", server)]
    drains.migrate_by_hand(waiting[1], "cmp04")
    drains.clock.advance(30)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert Counter(act.server for act in drains.acts("live-migrate")) == Counter(servers)
    assert drains.fake.server(waiting[1]).host == "cmp04"
    assert drains.step(operation, waiting[1])["state"] == "done"


def test_a_server_that_left_before_the_drain_and_came_back_is_moved(drains: Drains) -> None:
    """An old migration away from the host is not taken for what happens now."""
    server = drains.servers(1)[0]
    drains.migrate_by_hand(server, "cmp02")
    drains.clock.advance(60)
    drains.fake.server(server).host = "cmp01"  # shelved and unshelved: no migration says so
    drains.fake.world.allocations[server] = ("cmp01", drains.fake.server(server).uses)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert len(drains.acts("live-migrate", server)) == 2


def test_a_migration_that_somebody_aborts_is_a_failed_try(drains: Drains) -> None:
    """The server is tried again elsewhere."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(seconds=30.0)
    operation = drains.begin()
    drains.work(5)
    (row,) = drains.fake.migrations
    drains.fake.cloud().compute.delete(f"/servers/{server}/migrations/{row.id}")
    drains.fake.faults.pop(server)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 2
    failed = [entry for entry in drains.audit(operation) if entry.act == "move failed"]
    assert failed[0].after["error"] == "somebody else aborted the migration"


def test_a_request_that_nova_forgets_counts_as_failed(drains: Drains) -> None:
    """Accepted with 202, and no migration ever comes of it: after 90 s it is tried again."""
    server = drains.servers(1)[0]
    accept = drains.fake.world.live_migrate

    def forget(record: object, host: object, **how: object) -> None:
        drains.fake.world.live_migrate = accept  # type: ignore[method-assign]

    drains.fake.world.live_migrate = forget  # type: ignore[method-assign, assignment]
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["attempts"] == 2
    assert document["summary"]["seconds"] >= 90
    failed = [entry for entry in drains.audit(document["id"]) if entry.act == "move failed"]
    assert "no migration came of it" in failed[0].after["error"]


def test_a_request_that_hangs_in_its_task_counts_as_failed(drains: Drains) -> None:
    """Nova has begun a task and never writes a migration: the reason names the task."""
    server = drains.servers(1)[0]

    def hang(record: object, host: object, **how: object) -> None:
        drains.fake.set_status(server, "ACTIVE", "migrating")

    drains.fake.world.live_migrate = hang  # type: ignore[method-assign, assignment]
    operation = drains.begin()
    drains.work(120)
    failed = [entry for entry in drains.audit(operation) if entry.act == "move failed"]
    assert "its task_state is migrating" in failed[0].after["error"]
    assert len(drains.acts("live-migrate")) == 1


def test_a_server_that_vanishes_without_a_trace_is_looked_up(drains: Drains) -> None:
    """No migration shows, and it is not on the host any more: the server itself tells where it is."""
    server = drains.servers(1)[0]

    def teleport(record: object, host: str, **how: object) -> None:
        drains.fake.server(server).host = host
        drains.fake.server(server).updated = drains.clock.now()

    drains.fake.world.live_migrate = teleport  # type: ignore[method-assign, assignment]
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["state"] == "done"


def test_a_confirm_that_nova_refuses_is_asked_for_again(drains: Drains) -> None:
    """The first one gets a 409; the next look sees that nothing came of it."""
    server = drains.fake.add_server("cmp01", status="SHUTOFF")
    operation = drains.begin()
    drains.work(1)
    drains.fake.fail_next(409, of=f"POST /compute/v2.1/servers/{server}")
    document = drains.run(operation)
    assert (document["state"], drains.fake.server(server).status) == ("succeeded", "SHUTOFF")
    assert sum(f"POST /compute/v2.1/servers/{server}" in line for line in drains.fake.log) == 3


def test_a_server_deleted_while_it_moves_is_gone(drains: Drains) -> None:
    """Its migration ends in error and the server is nowhere: that is no failure of the drain."""
    server, other = drains.servers(2)
    drains.fake.faults[server] = Fault(seconds=20.0)
    operation = drains.begin()
    drains.work(6)
    drains.fake.delete_server(server)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["state"] == "gone"
    assert (document["summary"]["moved"], document["summary"]["left"]) == (1, [])
    assert drains.fake.server(other).host != "cmp01"


def test_a_server_deleted_in_its_last_try_is_gone(drains: Drains) -> None:
    """Also when no try is left: nobody is told to look at a server that does not exist."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(seconds=20.0)
    operation = drains.begin(max_attempts=1)
    drains.work(6)
    drains.fake.delete_server(server)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["left"]) == ("succeeded", [])
