"""A process may die anywhere: another one goes on, nothing is done twice, and nothing is forgotten.

Every point around a commit or a request is tried with `DROVER_THOROUGH=1`; else a sample that takes seconds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lab.simulator.records import Fault
from shared.store import Database
from tests.support.crashes import Died, Points
from tests.support.drains import LEASE, Drains
from tests.support.stores import copied

WELL = ("completed", "confirmed", "done")
MOVES = ("live-migrate", "cold-migrate", "evacuate")
THOROUGH = os.environ.get("DROVER_THOROUGH") == "1"
SAMPLE = 4
"""So many points of each scene are tried, unless all are."""


@dataclass
class Scene:
    """A small drain with all that can happen in it, and what must be true at its end."""

    begin: Callable[[Drains], str]
    drive: Callable[[Drains, str], None]
    """What a person does meanwhile; called again by whoever goes on after a death."""
    state: str
    tries: dict[str, int]
    """How often each server may be moved, by name."""
    away: bool = True
    """Whether the servers leave the host."""
    verbs: dict[str, int] = field(default_factory=dict)
    """How often other things may be done."""
    sources: tuple[str, ...] = ("cmp01",)
    """The hosts that are drained."""


def _three(drains: Drains) -> None:
    drains.fake.add_server("cmp01", name="running")
    drains.fake.add_server("cmp01", name="failing", memory_mb=1024)
    drains.fake.add_server("cmp01", name="stopped", status="SHUTOFF")
    drains.fake.faults["failing"] = Fault(precheck=True, times=1)


def _begin_drain(drains: Drains) -> str:
    _three(drains)
    return drains.begin()


def _begin_cancel(drains: Drains) -> str:
    for number in range(2):
        drains.fake.add_server("cmp01", name=f"slow-{number}")
        drains.fake.faults[f"slow-{number}"] = Fault(seconds=500.0)
    return drains.begin()


def _cancel(drains: Drains, operation: str) -> None:
    if not drains.fake.migrations:
        drains.work(4, operation)
    drains.send("operation.cancel.requested", id="cancel", operation=operation, reason="no", requester="n", undo=True)


def _begin_evacuation(drains: Drains) -> str:
    drains.fake.add_server("cmp01", name="running")
    drains.fake.add_server("cmp01", name="stopped", status="SHUTOFF")
    drains.fake.kill_host("cmp01")
    return drains.begin(evacuate=True, fenced="Joe pulled the plug")


def _begin_undrain(drains: Drains) -> str:
    drains.drain()
    return drains.begin(kind="undrain")


def _begin_stalled(drains: Drains) -> str:
    drains.fake.add_server("cmp01", name="busy")
    drains.fake.faults["busy"] = Fault(stalled=True, times=1)
    return drains.begin()


def _begin_two_hosts(drains: Drains) -> str:
    drains.fake.add_host("cmp04")
    for host in ("cmp01", "cmp02"):
        drains.fake.add_server(host, name=f"on-{host}")
    return drains.begin("", hosts=["cmp01", "cmp02"])


def _begin_homecoming(drains: Drains) -> str:
    drains.run(_begin_evacuation(drains))
    return drains.begin(kind="undrain")


def _revive(drains: Drains, operation: str) -> None:
    drains.work(20, operation)
    drains.fake.revive_host("cmp01")


def _nothing(drains: Drains, operation: str) -> None:
    """Nobody interferes."""


SCENES = {
    "drain": Scene(
        _begin_drain, _nothing, "succeeded",
        {"running": 1, "failing": 2, "stopped": 1}, verbs={"disable": 1, "confirm": 1},
    ),
    "cancel": Scene(
        _begin_cancel, _cancel, "cancelled", {"slow-0": 1, "slow-1": 1}, away=False, verbs={"disable": 1, "enable": 1}
    ),
    "evacuation": Scene(
        _begin_evacuation, _nothing, "succeeded", {"running": 1, "stopped": 1}, verbs={"force-down": 1, "disable": 1}
    ),
    "undrain": Scene(_begin_undrain, _nothing, "succeeded", {}, verbs={"disable": 1, "enable": 1}),
    "two hosts": Scene(
        _begin_two_hosts, _nothing, "succeeded", {"on-cmp01": 1, "on-cmp02": 1}, verbs={"disable": 2},
        sources=("cmp01", "cmp02"),
    ),
    "homecoming": Scene(
        _begin_homecoming, _revive, "succeeded", {"running": 1, "stopped": 1}, verbs={"force-down": 2, "enable": 1}
    ),
    "stall": Scene(_begin_stalled, _nothing, "succeeded", {"busy": 2}, verbs={"disable": 1, "abort": 1}),
}  # fmt: skip


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Iterator[Callable[[], Drains]]:
    """Makes clouds with stores of their own."""
    stores: list[Database] = []

    def make() -> Drains:
        directory = tmp_path / str(len(stores))
        directory.mkdir()
        stores.append(copied(template, directory))
        return Drains(stores[-1], hosts=3)

    yield make
    for store in stores:
        store.close()


def _check(drains: Drains, scene: Scene, operation: str) -> None:
    """What must be true in the end, by the cloud's own history."""
    document = drains.document(operation)
    assert document["state"] == scene.state, document
    servers = {server.id: server for server in drains.fake.world.servers.values()}
    assert {server.name for server in servers.values()} == set(scene.tries)
    moves = Counter(servers[act.server].name for act in drains.acts() if act.server and act.verb in MOVES)
    assert all(moves[name] <= tries for name, tries in scene.tries.items()), moves
    for server in servers.values():
        assert server.task_state is None
        assert server.status == ("SHUTOFF" if server.name == "stopped" else "ACTIVE")
        assert (server.host not in scene.sources) == scene.away
    ended_well = Counter(
        row.server for row in drains.fake.migrations if row.status in ("completed", "confirmed", "done")
    )
    assert ended_well == Counter(list(servers) if scene.away else [])
    verbs = Counter(act.verb for act in drains.acts())
    assert {verb: verbs[verb] for verb in scene.verbs} == scene.verbs
    _check_records(drains)
    _check_news(drains, scene)


def _check_news(drains: Drains, scene: Scene) -> None:
    """Owners are told of every move that was asked for, and of each begin one end; nothing else."""
    asked = Counter(act.server for act in drains.acts() if act.verb in MOVES)
    told: dict[str, list[str]] = {}
    for event in drains.news():
        told.setdefault(event["data"]["server"], []).append(event["type"].rpartition(".")[2])
    for server, words in told.items():
        assert words == ["migrating", "migrated"] * (len(words) // 2), words
        assert len(words) // 2 >= asked[server]
    assert asked.keys() <= told.keys()
    arrived = [event["data"]["server"] for event in drains.news() if event["data"].get("result") == "moved"]
    assert Counter(arrived) == Counter(told.keys() if scene.away else [])


def _check_records(drains: Drains) -> None:
    """Nothing was ever done to the cloud without its line in the store, written before."""
    words = {
        "disable": "disable service", "enable": "enable service",
        "confirm": "confirm cold migration", "abort": "abort migration",
    }  # fmt: skip
    written = [(entry.act, entry.subject, entry.at) for entry in drains.audit()]
    for act in drains.acts():
        subject = act.server or act.target
        wanted = (
            ("force service down", "lift forced down") if act.verb == "force-down" else (words.get(act.verb, act.verb),)
        )
        assert any(entry[0] in wanted and entry[1] == subject and entry[2] <= act.time for entry in written), (
            act,
            written,
        )


def _chosen(points: Points) -> range:
    """The points to be tried, evenly spread."""
    return range(1, points.seen + 1, 1 if THOROUGH else max(1, points.seen // SAMPLE))


def _die() -> None:
    raise Died


def _scene_with_death(drains: Drains, scene: Scene, at: int) -> tuple[str, Points]:
    """Run a scene in which the first process dies at a point; the second one goes on when the lease has run out."""
    operation = scene.begin(drains)
    points = Points(drains, at, _die)
    try:
        scene.drive(drains, operation)
        drains.run_all()
    except Died:
        _check_records(drains)
        drains.clock.advance(LEASE + 1)
        heir = drains.worker()
        drains.engine = heir
        scene.drive(drains, operation)
        drains.run_all()
    finally:
        points.stop()
    return operation, points


@pytest.mark.parametrize("name", SCENES)
def test_a_process_may_die_anywhere(fresh: Callable[[], Drains], name: str) -> None:
    """At whatever point it dies, the next one brings the drain to the same end, with nothing done twice."""
    scene = SCENES[name]
    whole = fresh()
    operation, points = _scene_with_death(whole, scene, at=0)
    _check(whole, scene, operation)
    assert points.seen >= 8
    for at in _chosen(points):
        drains = fresh()
        operation, met = _scene_with_death(drains, scene, at)
        try:
            _check(drains, scene, operation)
        except AssertionError as error:
            raise AssertionError(f"after a death at point {at}, {met.struck}: {error}") from error
        assert met.struck


@pytest.mark.parametrize("name", ["drain", "stall"])
@pytest.mark.parametrize("to_the_end", [False, True])
def test_a_frozen_process_does_no_harm_when_it_wakes(fresh: Callable[[], Drains], name: str, to_the_end: bool) -> None:
    """Its lease is taken by another worker, which does one slice or all the rest; then it goes on where it was."""
    scene = replace(SCENES[name], verbs={"disable": 1})  # an abort that both ask for does no harm
    whole = fresh()
    operation = scene.begin(whole)
    points = Points(whole, 0, _die, frozen=True)
    whole.run(operation)
    _check(whole, scene, operation)
    for at in _chosen(points):
        drains = fresh()
        operation = scene.begin(drains)

        def thaw(drains: Drains = drains, operation: str = operation) -> None:
            drains.clock.advance(LEASE + 1)
            thief = drains.worker()
            if to_the_end:
                drains.run(operation, engine=thief)
            else:
                thief.work(0, operation)

        met = Points(drains, at, thaw, frozen=True)
        drains.run(operation)
        met.stop()
        try:
            _check(drains, scene, operation)
        except AssertionError as error:
            raise AssertionError(f"after a freeze at point {at}, {met.struck}: {error}") from error
