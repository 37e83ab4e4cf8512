"""New decisions on the way."""

from __future__ import annotations

from collections.abc import Callable

from lab.simulator.records import Fault
from tests.support.drains import Drains

Make = Callable[..., Drains]


def test_a_server_that_somebody_works_on_is_waited_for(drains: Drains) -> None:
    """With a task under way at the plan it moves when the task is over; the others do not wait for it."""
    busy, other = drains.servers(2)
    drains.fake.set_status(busy, "ACTIVE", "image_snapshot")
    operation = drains.begin()
    drains.work(100)
    assert drains.fake.server(other).host != "cmp01"
    assert "image_snapshot" in drains.step(operation, busy)["error"]
    drains.fake.set_status(busy, "ACTIVE")
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", 2)


def test_a_wait_that_does_not_end_is_given_up(drains: Drains) -> None:
    """After half an hour the server stays with its reason, and the looks at it became seldom."""
    (busy,) = drains.servers(1)
    drains.fake.set_status(busy, "ACTIVE", "image_snapshot")
    operation = drains.begin()
    document = drains.run(operation, seconds=3000)
    assert document["state"] == "halted"
    assert 1800 <= drains.clock.monotonic() <= 2400
    assert "for 3" in drains.left(document)["vm-001"]
    assert "minutes" in drains.left(document)["vm-001"]
    fleets = sum("os-hypervisors" in line for line in drains.fake.log)
    assert fleets <= 10


def test_a_server_for_which_room_becomes_free_is_moved(make: Make) -> None:
    """A late arrival fits nowhere at first: it is looked at again before it is given up."""
    drains = make(hosts=2)
    drains.servers(1)
    blocker = drains.fake.add_server("cmp02", name="blocker", memory_mb=200_000)
    drains.fake.faults["vm-001"] = Fault(seconds=150.0)
    operation = drains.begin()
    drains.work(5)
    late = drains.fake.add_server("cmp01", name="late", memory_mb=100_000)
    drains.until(lambda: "no host can take it" in (drains.error_of(operation, late) or ""))
    drains.fake.delete_server(blocker)
    document = drains.run(operation)
    assert (document["state"], document["summary"]["moved"]) == ("succeeded", 2)


def test_a_server_that_fits_nowhere_is_set_aside(make: Make) -> None:
    """After three looks it is named with what is missing, and what would help."""
    drains = make(hosts=2)
    drains.servers(1)
    drains.fake.faults["vm-001"] = Fault(seconds=100.0)
    operation = drains.begin()
    drains.work(5)
    drains.fake.add_server("cmp01", name="late", memory_mb=300_000)
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert "no host can take it" in drains.left(document)["late"]
    assert "memory" in document["summary"]["left"][0]["way_out"]
    assert document["summary"]["moved"] == 1


def test_a_late_arrival_that_cannot_move_is_left_with_its_reason(drains: Drains) -> None:
    """What came during the drain is judged as what was there from the start."""
    drains.servers(1)
    operation = drains.begin()
    drains.one_slice(operation)
    drains.fake.add_server("cmp01", name="late", status="RESCUE")
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert drains.left(document)["late"] == "in RESCUE"
    assert document["summary"]["left"][0]["way_out"] == "unrescue it first"


def test_a_target_that_died_gets_nothing_more(make: Make) -> None:
    """Moves that wait for a host that is down by now are planned anew; its service is looked at every 90 s."""
    drains = make(hosts=3, seconds=20.0)
    drains.servers(12)
    operation = drains.begin()
    drains.work(30)
    drains.fake.kill_host("cmp02")
    document = drains.run(operation)
    dead = [act for act in drains.acts("live-migrate") if act.target == "cmp02"]
    assert len(dead) <= 8
    assert document["state"] in ("succeeded", "halted")
    on_dead = [server.name for server in drains.fake.servers_on("cmp02") if server.status == "ERROR"]
    assert set(drains.left(document)) == set(on_dead)
    assert drains.fake.servers_on("cmp01") == []


def test_a_queued_move_to_a_dead_target_is_aborted_and_goes_elsewhere(make: Make) -> None:
    """It waits in Nova's queue behind a slow one when its target dies: it is taken out of the queue."""
    drains = make(hosts=3)
    slow = drains.fake.add_server("cmp01", name="slow", memory_mb=65_536)
    queued = drains.fake.add_server("cmp01", name="queued")
    drains.fake.faults["slow"] = Fault(seconds=200.0)
    operation = drains.begin()
    drains.work(5)
    target = drains.step(operation, queued)["to"]
    assert target != drains.step(operation, slow)["to"]
    drains.fake.kill_host(target)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert [act.server for act in drains.acts("abort")] == [queued]
    assert drains.fake.server(queued).host not in ("cmp01", target)


def test_a_target_that_dies_under_a_running_copy_is_reported(make: Make) -> None:
    """The guest ends on a host without a nova-compute, in ERROR: that is said, and nothing is called moved."""
    drains = make(hosts=3)
    server = drains.fake.add_server("cmp01", name="unlucky")
    drains.fake.faults["unlucky"] = Fault(seconds=20.0)
    operation = drains.begin()
    drains.work(5)
    target = drains.step(operation, server)["to"]
    drains.fake.kill_host(target)
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert f"moved to {target}, and is in ERROR since" in drains.left(document)["unlucky"]
    assert document["summary"]["moved"] == 0


def test_a_target_that_is_disabled_meanwhile_is_replaced(make: Make) -> None:
    """Another host taken into maintenance is not asked for, once its service was looked at."""
    drains = make(hosts=3, seconds=20.0)
    drains.servers(16)
    operation = drains.begin()
    drains.work(30)
    drains.fake.host("cmp03").disabled = True
    looks = sum("os-services" in line for line in drains.fake.log)
    drains.until(lambda: sum("os-services" in line for line in drains.fake.log) > looks)
    begun = drains.clock.now()
    assert drains.run(operation)["state"] == "succeeded"
    assert "cmp03" not in {act.target for act in drains.acts("live-migrate") if act.time > begun}
