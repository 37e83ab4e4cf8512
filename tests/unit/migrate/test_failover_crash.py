"""A process may die or freeze anywhere in a failover: another goes on, and no amphora is failed over twice.

Every point around a commit or a request is tried with `DROVER_THOROUGH=1`; else a sample that takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.support.crashes import Died, Points
from tests.support.drains import LEASE, Drains
from tests.support.stores import copied

THOROUGH = os.environ.get("DROVER_THOROUGH") == "1"
SAMPLE = 6
"""So many points are tried, unless all are."""


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Iterator[Callable[[], Drains]]:
    """Makes clouds with stores of their own; on cmp01 a pair, half of another one, and a server."""
    stores: list[Database] = []

    def make() -> Drains:
        directory = tmp_path / str(len(stores))
        directory.mkdir()
        stores.append(copied(template, directory))
        drains = Drains(stores[-1], hosts=3)
        drains.fake.octavia.add_balancer("pair", {"MASTER": "cmp01", "BACKUP": "cmp01"})
        drains.fake.octavia.add_balancer("half", {"MASTER": "cmp02", "BACKUP": "cmp01"})
        drains.servers(1)
        return drains

    yield make
    for store in stores:
        store.close()


def _check(drains: Drains, operation: str) -> None:
    """What must be true in the end, by the cloud's own history."""
    document = drains.document(operation)
    assert document["state"] == "succeeded", document
    assert drains.fake.servers_on("cmp01") == []
    octavia = drains.fake.octavia
    assert {each.provisioning for each in octavia.balancers.values()} == {"ACTIVE"}
    for balancer in octavia.balancers:
        mine = [each for each in octavia.amphorae.values() if each.balancer == balancer]
        assert sorted(each.role or "" for each in mine) == ["BACKUP", "MASTER"]
    asked = [act.server for act in drains.acts("amphora-failover")]
    assert len(asked) == len(set(asked)) == 3
    assert len(drains.acts("live-migrate")) == 1
    written = [(entry.subject, entry.at) for entry in drains.audit() if entry.act == "fail-over"]
    for act in drains.acts("amphora-failover"):
        assert any(subject == act.server and at <= act.time for subject, at in written)
    assert all(event["data"]["action"] != "fail-over" for event in drains.news())


def _run(drains: Drains, at: int, frozen: bool) -> tuple[str, Points]:
    """A drain whose first process dies, or freezes while another takes over, at a point."""
    operation = drains.begin()

    def strike() -> None:
        if not frozen:
            raise Died
        drains.clock.advance(LEASE + 1)
        drains.run(operation, engine=drains.worker())

    points = Points(drains, at, strike, frozen=frozen)
    try:
        drains.run(operation)
    except Died:
        drains.clock.advance(LEASE + 1)
        drains.run(operation, engine=drains.worker())
    finally:
        points.stop()
    return operation, points


@pytest.mark.parametrize("frozen", [False, True])
def test_no_amphora_is_failed_over_twice(fresh: Callable[[], Drains], frozen: bool) -> None:
    """At whatever point a process stops, each amphora is replaced once, and every load balancer is whole."""
    whole = fresh()
    operation, points = _run(whole, 0, frozen)
    _check(whole, operation)
    assert points.seen >= 40
    for at in range(1, points.seen + 1, 1 if THOROUGH else max(1, points.seen // SAMPLE)):
        drains = fresh()
        operation, met = _run(drains, at, frozen)
        try:
            _check(drains, operation)
        except AssertionError as error:
            raise AssertionError(f"stopped at point {at}, {met.struck}: {error}") from error
        assert met.struck
