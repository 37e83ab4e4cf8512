"""Several hosts of the real OpenStack are drained by one request, and none of them takes another's servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended
from tests.lab.support.look import Look

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

RACK = ("cmp01", "cmp02")
SERVERS = 3
"""On each of them, and a pair of an anti-affinity group."""
SECONDS = 240.0


@dataclass(frozen=True)
class Emptied:
    """What was planned, what was done, and what Nova says of it."""

    look: Look
    plans: list[dict[str, Any]]
    """By names, by an aggregate and by a file."""
    unknown: Ended
    before: dict[str, dict[str, Any]]
    drain: Ended
    after: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def emptied(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    """One drain of two hosts, which all tests of this file look at."""
    lab_session.reset()
    lab_session.fill(",".join(RACK), SERVERS, name="vm")
    lab_session.fill(",".join(RACK), 1, name="pair", policy="anti-affinity")
    directory = tmp_path_factory.mktemp("many")
    drover, look = Drover(lab_session.clouds_yaml, directory), Look(lab_session)
    _rack(lab_session, directory / "rack.yaml")
    words: list[list[str]] = [[*RACK], ["--aggregate", "rack-7"], ["--rack", str(directory / "rack.yaml")]]
    plans = [drover.run("drain", *each, "--dry-run", "--json").document for each in words]
    unknown = drover.run("drain", RACK[0], "cmp99", "--reason", "many")
    before = look.servers()
    drain = drover.run("drain", *RACK, "--reason", "many", "--json", seconds=SECONDS)
    yield Emptied(look, plans, unknown, before, drain, look.servers())
    drover.close()
    lab_session.reset()


def _rack(lab: LabUnderTest, path: Path) -> None:
    """The same hosts as an aggregate and as a file."""
    aggregate = lab.conn.compute.create_aggregate(name="rack-7")
    for host in RACK:
        lab.conn.compute.add_host_to_aggregate(aggregate, host)
    path.write_text("hosts:\n" + "".join(f"  - {host}\n" for host in RACK))


def test_one_plan_however_the_hosts_are_named(emptied: Emptied) -> None:
    """It is feasible for both, no companion is a target, and the pair is kept apart."""
    first, *others = emptied.plans
    assert [(each["host"], each["feasible"]) for each in first["hosts"]] == [(host, True) for host in RACK]
    assert len(first["servers"]) == 2 * (SERVERS + 1)
    assert not {line["to"] for line in first["servers"]} & set(RACK)
    pair = [line["to"] for line in first["servers"] if line["name"].startswith("pair")]
    assert len(set(pair)) == 2
    assert all(plan == first for plan in others)


def test_an_unknown_host_stops_all(emptied: Emptied) -> None:
    """Exit code 2, and the known one was not touched: its servers were there afterwards."""
    assert emptied.unknown.code == 2
    assert "cmp99" in emptied.unknown.stderr
    assert {server["host"] for server in emptied.before.values()} == set(RACK)


def test_both_hosts_are_empty(emptied: Emptied) -> None:
    """Each server was moved once, live, and never to the other host."""
    assert emptied.drain.code == 0, emptied.drain.stderr
    operations = emptied.drain.document["operations"]
    assert [(each["target"], each["state"]) for each in operations] == [(host, "succeeded") for host in RACK]
    for host in RACK:
        assert emptied.look.servers_on(host) == []
        assert emptied.look.service(host)["status"] == "disabled"
    assert {server["status"] for server in emptied.after.values()} == {"ACTIVE"}
    assert set(emptied.look.moves().values()) == {1}
    assert not {row["dest_compute"] for row in emptied.look.migrations()} & set(RACK)


def test_the_plan_was_what_was_done(emptied: Emptied) -> None:
    """Every server is where the dry run has said."""
    planned = {line["name"]: line["to"] for line in emptied.plans[0]["servers"]}
    assert {name: server["host"] for name, server in emptied.after.items()} == planned
