"""Nova's word is not enough: the servers themselves are looked at."""

from __future__ import annotations

import pytest

from lab.simulator.records import Fault
from tests.support.drains import Drains


def _after_arrival(drains: Drains, change: object) -> None:
    """Let something be different the moment a live migration is through."""
    copied = drains.fake.world.copied

    def different(row: object) -> None:
        copied(row)  # type: ignore[arg-type]
        change(row)  # type: ignore[operator]

    drains.fake.world.copied = different  # type: ignore[method-assign]


def test_completed_with_the_old_host_is_waited_for(drains: Drains) -> None:
    """The server's own record lags behind its migration's: after half a minute it is in order, and all is well."""
    (server,) = drains.servers(1)
    operation = drains.begin()
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "host", "cmp01"))
    drains.work(35)
    assert drains.document(operation)["state"] == "running"
    drains.fake.server(server).host = "cmp02"
    drains.fake.server(server).updated = drains.clock.now()
    assert drains.run(operation)["state"] == "succeeded"


def test_completed_with_the_old_host_for_a_minute_is_a_failure(drains: Drains) -> None:
    """Nova says completed, and the server is still here: the drain halts and does not wait for ever."""
    (server,) = drains.servers(1)
    operation = drains.begin()
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "host", "cmp01"))
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert "still here" in drains.step(operation, server)["error"]
    assert drains.clock.monotonic() >= 60
    assert len(drains.acts("live-migrate")) == 1


def test_a_server_in_error_after_its_move_is_not_moved_well(drains: Drains) -> None:
    """The host is empty, and yet the drain halts and names the server, its new host and Nova's fault."""
    (server,) = drains.servers(1)

    def broken(row: object) -> None:
        record = drains.fake.world.servers[server]
        record.status, record.fault = "ERROR", "the guest is gone"

    _after_arrival(drains, broken)
    document = drains.drain()
    assert document["state"] == "halted"
    assert "cmp01 is empty, but vm-001" in document["note"]
    to = drains.fake.server(server).host
    assert drains.left(document)["vm-001"] == f"moved to {to}, and is in ERROR since: the guest is gone"


def test_a_server_in_error_that_was_mended_is_done_after_a_resume(drains: Drains) -> None:
    """A person mends it and resumes: the drain looks again, and succeeds without moving anything."""
    (server,) = drains.servers(1)
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "status", "ERROR"))
    operation = drains.begin()
    drains.run(operation)
    drains.fake.set_status(server, "ACTIVE")
    drains.control("resume", operation)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["left"]) == ("succeeded", [])
    assert len(drains.acts("live-migrate")) == 1


def test_another_status_than_before_is_remarked(drains: Drains) -> None:
    """Its owner stops it right after the move: it counts as moved, and the drain's note says what is different."""
    (server,) = drains.servers(1)
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "status", "SHUTOFF"))
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert "its status was ACTIVE and is SHUTOFF" in document["note"]


def test_a_task_after_the_move_is_waited_for(drains: Drains) -> None:
    """With a task under way a server is not done; when it is over, it is."""
    (server,) = drains.servers(1)
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "task_state", "image_uploading"))
    operation = drains.begin()
    drains.work(200)
    assert drains.document(operation)["state"] == "running"
    before = drains.fake.requests["compute"]
    drains.work(100)
    assert drains.fake.requests["compute"] - before < 25
    drains.fake.set_status(server, "ACTIVE")
    assert drains.run(operation)["state"] == "succeeded"


def test_a_task_that_never_ends_halts_the_drain(drains: Drains) -> None:
    """After ten minutes a person is told; task_state is not reset."""
    (server,) = drains.servers(1)
    _after_arrival(drains, lambda row: setattr(drains.fake.world.servers[server], "task_state", "migrating"))
    document = drains.drain()
    assert document["state"] == "halted"
    assert "still busy there: MIGRATING, task_state migrating" in drains.left(document)["vm-001"]
    assert drains.clock.monotonic() < 900
    assert [act.verb for act in drains.acts()] == ["disable", "live-migrate"]


def test_a_server_deleted_right_after_its_move_is_gone(drains: Drains) -> None:
    """The list of changes says so."""
    (server,) = drains.servers(1)
    _after_arrival(drains, lambda row: drains.fake.world.after(0.5, lambda: drains.fake.delete_server(server)))
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["state"] == "gone"
    assert drains.step(document["id"], server)["error"] == "deleted during the drain"


def test_a_server_that_no_list_shows_is_gone_in_the_end(drains: Drains) -> None:
    """Neither the list of changes nor its target has it for a minute: it is not in this cloud any more."""
    (server,) = drains.servers(1)
    operation = drains.begin()
    drains.work(1.5)
    drains.clock.advance(5)
    vanished = drains.fake.world.servers.pop(server)
    vanished.host = None
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["error"] == "not in this cloud any more"


def test_a_change_that_the_list_misses_is_found_at_the_target(drains: Drains) -> None:
    """The server's record was written long before the list begins: it is looked for where it should be."""
    (server,) = drains.servers(1)

    def backdate(row: object) -> None:
        drains.fake.world.servers[server].updated = drains.fake.world.servers[server].created

    drains.clock.advance(7200)
    _after_arrival(drains, backdate)
    operation = drains.begin()
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["state"] == "done"


def test_a_shelved_server_is_on_no_host(drains: Drains) -> None:
    """Its owner shelves it after the plan: nothing is moved, and it does not count."""
    servers = drains.servers(2)
    operation = drains.begin(concurrency=1)
    drains.work(1)
    waiting = next(server for server in servers if not drains.acts("live-migrate", server))
    drains.fake.set_status(waiting, "SHELVED_OFFLOADED")
    drains.fake.server(waiting).host = None
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, waiting)["error"] == "on no host any more: SHELVED_OFFLOADED"
    assert document["summary"]["total"] == 1


@pytest.mark.parametrize("number", [1, 3])
def test_servers_that_arrive_during_the_drain_are_moved(drains: Drains, number: int) -> None:
    """They are caught while others are still in flight, moved as the others, and on record."""
    drains.servers(1)
    drains.fake.faults["vm-001"] = Fault(seconds=200.0)
    operation = drains.begin()
    drains.work(5)
    late = [drains.fake.add_server("cmp01", name=f"late-{n}") for n in range(number)]
    drains.until(lambda: len(drains.document(operation)["steps"]) == 1 + number)
    assert drains.step(operation, drains.fake.servers_on("cmp01")[0].id)["state"] == "moving"
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", number + 1)
    acts = [entry.subject for entry in drains.audit(operation) if entry.act == "server came during the drain"]
    assert sorted(acts) == sorted(late)
    assert all(len(drains.acts("live-migrate", server)) == 1 for server in late)


def test_a_server_that_arrives_at_the_last_moment_is_moved(drains: Drains) -> None:
    """It comes between the two reads that shall prove the host empty: the proof begins anew."""
    drains.servers(1)
    operation = drains.begin()
    drains.when_requested("host=cmp01", lambda: None)
    late: list[str] = []
    while not late:
        drains.work(0.4)
        if any("host=cmp01" in line for line in drains.fake.log):
            late.append(drains.fake.add_server("cmp01", name="late"))
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", 2)
    assert drains.fake.servers_on("cmp01") == []


def test_a_server_that_comes_back_is_moved_again(drains: Drains) -> None:
    """Somebody migrates a server back to the host that is being emptied."""
    first = drains.servers(2)[0]
    drains.fake.faults["vm-002"] = Fault(seconds=300.0)
    operation = drains.begin()
    drains.until(lambda: drains.step(operation, first)["state"] == "done")
    drains.fake.host("cmp01").disabled = False
    drains.migrate_by_hand(first, "cmp01")
    drains.clock.advance(10)
    drains.fake.host("cmp01").disabled = True
    assert drains.fake.server(first).host == "cmp01"
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.fake.server(first).host != "cmp01"
    assert len(drains.acts("live-migrate", first)) == 3
    assert "server came back" in [entry.act for entry in drains.audit(operation)]


def test_a_server_that_comes_back_before_it_was_looked_at_is_moved_again(drains: Drains) -> None:
    """There and back between two looks is no broken promise of Nova's."""
    first = drains.servers(2)[0]
    drains.fake.faults["vm-002"] = Fault(seconds=60.0)
    operation = drains.begin()
    drains.until(lambda: drains.step(operation, first)["state"] == "arrived")
    drains.fake.host("cmp01").disabled = False
    drains.migrate_by_hand(first, "cmp01")
    drains.clock.advance(10)
    drains.fake.host("cmp01").disabled = True
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", 2)
    assert drains.fake.servers_on("cmp01") == []


def test_few_looks_while_many_move(drains: Drains) -> None:
    """Servers are not polled one by one: lists every 90 s, however many move."""
    drains.servers(30)
    drains.drain()
    lists = [line for line in drains.fake.log if "servers/detail" in line]
    assert len(lists) <= 6
