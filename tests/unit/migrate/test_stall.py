"""Live migrations that do not converge."""

from __future__ import annotations

from collections.abc import Callable

from lab.simulator.records import Fault
from tests.support.drains import Drains

Make = Callable[..., Drains]


def test_a_stalled_migration_is_aborted_and_put_last(drains: Drains) -> None:
    """Memory that is not less after three looks: it is aborted, and tried again when all the others are through."""
    stalled = drains.fake.add_server("cmp01", name="busy", memory_mb=16_384)
    drains.servers(8)
    drains.fake.faults["busy"] = Fault(stalled=True, times=1)
    for number in range(2, 10):
        drains.fake.faults[f"vm-{number:03}"] = Fault(seconds=40.0)
    document = drains.drain()
    assert document["state"] == "succeeded"
    first, second = drains.acts("live-migrate", stalled)
    (abort,) = drains.acts("abort")
    assert 90 <= (abort.time - first.time).total_seconds() <= 240
    assert second == drains.acts("live-migrate")[-1]
    assert second.target != first.target


def test_the_second_stall_sets_the_server_aside(drains: Drains) -> None:
    """It is aborted again, stays where it is, and the way out names the other policy."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.servers(2)
    drains.fake.faults["busy"] = Fault(stalled=True)
    document = drains.drain()
    assert document["state"] == "halted"
    assert len(drains.acts("live-migrate", server)) == len(drains.acts("abort", server)) == 2
    assert drains.left(document)["busy"].startswith("stalled: 256 MiB of memory left")
    assert "--on-stall force-complete" in document["summary"]["left"][0]["way_out"]
    assert drains.fake.server(server).task_state is None


def test_by_policy_a_stalled_migration_is_forced(drains: Drains) -> None:
    """The guest is paused until the rest is copied, and the drain succeeds."""
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    document = drains.drain(on_stall="force-complete")
    assert document["state"] == "succeeded"
    assert [act.verb for act in drains.acts()] == ["disable", "live-migrate", "force-complete"]


def test_a_force_that_does_not_help_is_followed_by_an_abort(drains: Drains) -> None:
    """Nova takes the force-complete and nothing comes of it: the migration is aborted and the server set aside."""
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    drains.fake.world.force_complete = lambda row: None  # type: ignore[method-assign]
    document = drains.drain(on_stall="force-complete")
    assert document["state"] == "halted"
    assert [act.verb for act in drains.acts()] == ["disable", "live-migrate", "force-complete", "abort"]


def test_a_force_that_nova_refuses_is_not_the_end(drains: Drains) -> None:
    """The refusal is noted and the watch goes on."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    operation = drains.begin(on_stall="force-complete")
    drains.work(40)
    drains.fake.fail_next(409, of=f"POST /compute/v2.1/servers/{server}/migrations")
    drains.work(120)
    assert "force-complete: compute refused it (409): injected" in drains.step(operation, server)["error"]
    assert drains.run(operation)["state"] == "halted"


def test_a_slow_migration_is_not_a_stalled_one(drains: Drains) -> None:
    """Memory becomes less at every look: it may take as long as it likes."""
    server = drains.fake.add_server("cmp01", name="slow", memory_mb=65_536)
    drains.fake.faults["slow"] = Fault(seconds=400.0)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.acts("abort") == []
    assert drains.step(document["id"], server)["attempts"] == 1
    assert drains.fake.requests["compute"] < 75


def test_memory_that_wavers_is_stalled_all_the_same(drains: Drains) -> None:
    """What counts is the least that was ever left: up and down a little is not less."""
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    operation = drains.begin()
    drains.work(3)
    (row,) = drains.fake.migrations
    wavering = iter([500, 512, 505, 511, 506, 509, 507, 508, 503, 504])
    row.remaining = lambda now: next(wavering) * 2**20  # type: ignore[method-assign]
    drains.work(170)
    assert len(drains.acts("abort")) == 1
    assert drains.step(operation, row.server)["state"] in ("moving", "held")


def test_memory_that_wavers_downwards_is_stalled_too(drains: Drains) -> None:
    """Once all was copied, a little less at every look is chance: it is aborted as soon as any other stalled one."""
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    drains.begin()
    drains.work(3)
    (row,) = drains.fake.migrations
    wavering = iter(range(500, 400, -4))
    row.remaining = lambda now: next(wavering) * 2**20  # type: ignore[method-assign]
    drains.work(170)
    assert len(drains.acts("abort")) == 1


def test_the_first_pass_may_be_slow(drains: Drains) -> None:
    """As long as not all memory was copied once, any bit less is progress: a large server on a slow network is left."""
    server = drains.fake.add_server("cmp01", name="large", memory_mb=262_144)
    drains.fake.faults["large"] = Fault(seconds=4000.0)
    drains.begin()
    drains.work(1500)
    assert drains.acts("abort") == []
    assert drains.fake.server(server).task_state == "migrating"


def test_an_abort_whose_answer_is_lost_is_done(drains: Drains) -> None:
    """Nova has got it: the row says `cancelled`, and it is not asked for again."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True, times=1)
    drains.fake.drop_answer_of_next("abort")
    assert drains.drain()["state"] == "succeeded"
    assert len(drains.acts("abort", server)) == 1


def test_an_abort_that_never_arrived_is_asked_for_again(drains: Drains) -> None:
    """Its answer was a 500 and nothing came of it: 30 s later it is repeated, and the server is not forgotten."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True, times=1)
    drains.fake.fail_next(500, of="DELETE")
    assert drains.drain()["state"] == "succeeded"
    assert len(drains.acts("abort", server)) == 1
    assert sum(line.startswith("DELETE") for line in drains.fake.log) == 2


def test_an_abort_that_comes_too_late_lets_it_end(drains: Drains) -> None:
    """Nova refuses the abort since the migration is through: it counts as what it is."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    operation = drains.begin()
    drains.work(5)
    (row,) = drains.fake.migrations

    def ends() -> None:
        row.stalled = False
        drains.fake.world.copied(row)
        drains.clock.advance(1)

    drains.when_requested("/migrations/1", ends)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 1


def test_a_watch_that_is_refused_looks_again(drains: Drains) -> None:
    """Nova is busy when the progress is asked for: the next look tells."""
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True, times=1)
    operation = drains.begin()
    drains.work(5)
    drains.fake.fail_next(404, of="/migrations", times=1)
    document = drains.run(operation)
    assert document["state"] in ("succeeded", "halted")
    assert len(drains.acts("abort")) == 1


def test_a_stalled_one_does_not_hold_a_paused_drain(drains: Drains) -> None:
    """What runs is followed to its end while the drain is paused, also by the watch."""
    server = drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True)
    operation = drains.begin()
    drains.work(5)
    drains.control("pause", operation)
    drains.work(300)
    assert len(drains.acts("abort", server)) == 1
    assert drains.step(operation, server)["state"] == "held"
    assert len(drains.acts("live-migrate", server)) == 1


def test_others_need_not_wait_for_a_stalled_one_for_ever(make: Make) -> None:
    """With one place at the source, a stalled migration holds the rest only until it is aborted."""
    drains = make(cap=1)
    drains.fake.add_server("cmp01", name="busy", memory_mb=16_384)
    drains.servers(4)
    drains.fake.faults["busy"] = Fault(stalled=True)
    document = drains.drain()
    assert document["state"] == "halted"
    assert document["summary"]["moved"] == 4
    assert [server.name for server in drains.fake.servers_on("cmp01")] == ["busy"]
