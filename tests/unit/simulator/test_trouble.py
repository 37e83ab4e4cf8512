"""Requests that go wrong, and what happens by itself."""

from __future__ import annotations

from typing import Any

import pytest

from lab.errors import LabError
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.protocol import Dropped
from lab.simulator.script import parse
from tests.unit.simulator.conftest import Asker

LIST = "/compute/v2.1/os-services"
MIGRATE = {"os-migrateLive": {"host": "cmp02", "block_migration": "auto"}}


def obey(cloud: SimulatedCloud, **script: Any) -> None:
    """Put a script in force."""
    cloud.obey(parse(script, "the test"))


def test_the_nth_and_every_so_many(cloud: SimulatedCloud, asker: Asker) -> None:
    """From the second on every third, twice in all; other paths do not count."""
    rule = {"service": "compute", "path": "/os-services", "status": 503, "retry_after": 7}
    obey(cloud, requests=[rule | {"begin": 2, "every": 3, "times": 2}])
    statuses = []
    for _ in range(10):
        asker.get("/compute/v2.1/os-aggregates")
        statuses.append(asker.send("GET", LIST).status)
    assert [at for at, status in enumerate(statuses, start=1) if status == 503] == [2, 5]


def test_a_status_comes_with_its_retry_after(cloud: SimulatedCloud, asker: Asker) -> None:
    """429 and how long to wait; the request was not carried out."""
    server = cloud.add_server("cmp01")
    obey(cloud, requests=[{"method": "POST", "status": 429, "retry_after": 3, "service": "compute"}])
    answer = asker.send("POST", f"/compute/v2.1/servers/{server}/action", MIGRATE)
    assert (answer.status, answer.headers) == (429, {"Retry-After": "3"})
    assert cloud.history == []


@pytest.mark.parametrize(("answer", "acts"), [("lost", 1), ("dropped", 0)])
def test_answers_that_do_not_come(cloud: SimulatedCloud, asker: Asker, answer: str, acts: int) -> None:
    """`lost` was carried out, `dropped` was not."""
    server = cloud.add_server("cmp01")
    obey(cloud, requests=[{"action": "os-migrateLive", "answer": answer, "times": 1}])
    with pytest.raises(Dropped):
        asker.act(server, MIGRATE)
    assert len(cloud.history) == acts
    assert asker.act(server, MIGRATE) == (409 if acts else 202)


@pytest.mark.parametrize("newest", ["2.87", "2.95", "2.96", "2.100"])
def test_ceilings_of_older_releases(cloud: SimulatedCloud, asker: Asker, newest: str) -> None:
    """Nova names it and refuses what is newer; Drover speaks it."""
    cloud.add_server("cmp01", project="admin")
    obey(cloud, microversion=newest)
    assert asker.get("/compute/v2.1", "2.1")["version"]["version"] == newest
    minor = int(newest.split(".")[1])
    assert asker.send("GET", LIST, version=f"2.{minor + 1}").status == 406
    assert asker.send("GET", LIST, version=newest).status == 200
    assert cloud.cloud().compute_version == (2, minor)
    server = cloud.cloud().compute.get("/servers/detail")["servers"][0]
    assert ("pinned_availability_zone" in server) == (minor >= 96)
    assert ("scheduler_hints" in server) == (minor >= 100)


def test_pages_become_as_short_as_the_operator_wants(cloud: SimulatedCloud) -> None:
    """max_limit cuts what is asked for, and the next links lead through all."""
    servers = {cloud.add_server("cmp01") for _ in range(7)}
    obey(cloud, page=3)
    api = cloud.cloud().compute
    before = cloud.requests["compute"]
    found = [entry["id"] for entry in api.pages("/servers/detail", "servers", params={"all_tenants": "true"})]
    assert (len(found), set(found)) == (7, servers)
    assert cloud.requests["compute"] - before == 4  # the discovery of versions, and three pages


def test_a_host_dies_and_comes_back(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """Down between the two moments, with the time of its last report."""
    obey(cloud, timeline=[{"at": 10, "kill": "cmp02"}, {"at": 20, "revive": "cmp02"}])
    states = []
    for _ in range(3):
        (service,) = asker.get(LIST + "?host=cmp02")["services"]
        states.append(service["state"])
        clock.advance(11)
    assert states == ["up", "down", "up"]


def test_servers_appear_and_vanish(cloud: SimulatedCloud, clock: SteppedClock) -> None:
    """Three times two, each for a while."""
    boot = {"host": "cmp03", "count": 2, "lives": 24, "name": "new"}
    obey(cloud, timeline=[{"at": 0, "every": 10, "times": 3, "boot": boot}])
    counts = []
    for _ in range(6):
        clock.advance(9)
        counts.append(len(cloud.servers_on("cmp03")))
    assert counts == [2, 4, 4, 2, 0, 0]
    assert len(cloud.world.deleted) == 6


def test_owners_delete_by_pattern(cloud: SimulatedCloud, clock: SteppedClock) -> None:
    """Only the servers whose names fit go."""
    cloud.add_server("cmp01", name="web-1")
    kept = cloud.add_server("cmp01", name="db-1")
    obey(cloud, timeline=[{"at": 1, "delete": "web-*"}])
    clock.advance(5)
    assert [server.id for server in cloud.servers_on("cmp01")] == [kept]


def test_another_operator_drains_the_same_host(cloud: SimulatedCloud, clock: SteppedClock) -> None:
    """Two at once until the host is empty; the history says who it was."""
    for _ in range(5):
        cloud.add_server("cmp01")
    obey(cloud, timeline=[{"at": 0, "drain": {"host": "cmp01"}}, {"at": 0, "disable": "cmp01"}])
    for _ in range(60):
        clock.advance(1)
        assert sum(server.task_state is not None for server in cloud.servers_on("cmp01")) <= 2
    assert cloud.servers_on("cmp01") == []
    assert {act.by for act in cloud.history} == {"other-operator"}
    assert (cloud.host("cmp01").disabled, len(cloud.migrations)) == (True, 5)


def test_a_new_script_takes_the_olds_place(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """What the old one had planned does not happen; the hosts that it had killed come back."""
    obey(cloud, hosts={"cmp04": {"state": "dead"}}, timeline=[{"at": 5, "kill": "cmp02"}])
    assert not cloud.host("cmp04").up
    obey(cloud)
    clock.advance(10)
    assert cloud.host("cmp04").up
    assert cloud.host("cmp02").up


def test_a_script_for_another_fleet(cloud: SimulatedCloud) -> None:
    """Its hosts are named, and nothing is changed."""
    with pytest.raises(LabError, match="hosts that the fleet does not have: cmp77, cmp88"):
        obey(cloud, page=3, hosts={"cmp88": {"state": "dead"}}, timeline=[{"at": 0, "kill": "cmp77"}])
    assert cloud.nova.page == 1000


@pytest.mark.parametrize(
    ("fault", "dead"), [({"kill": "source"}, "cmp01"), ({"kill": "target"}, "cmp02")], ids=["source", "target"]
)
def test_a_compute_that_dies_with_the_migration(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, fault: dict[str, str], dead: str
) -> None:
    """The server stays where it was; back again, the source ends the row as `error`."""
    server = cloud.add_server("cmp01")
    obey(cloud, servers={server: fault})
    asker.act(server, MIGRATE)
    clock.advance(20)
    assert not cloud.host(dead).up
    assert cloud.server(server).host == "cmp01"
    cloud.revive_host(dead)
    clock.advance(5)
    assert cloud.server(server).task_state is None
    assert cloud.migrations[0].status == ("error" if dead == "cmp01" else "failed")


def test_names_fit_patterns(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """As in the lab: id, name, or a shell pattern for the name."""
    one, two = cloud.add_server("cmp01", name="web-1"), cloud.add_server("cmp01", name="db-1")
    obey(cloud, servers={"web-*": {"fail": "pre-check"}})
    for server in (one, two):
        asker.act(server, MIGRATE)
    clock.advance(20)
    assert [row.status for row in cloud.migrations] == ["error", "completed"]


@pytest.mark.parametrize(("spawn", "status"), [("fail", "ERROR"), ("hang", "BUILD")])
def test_boots_that_fail_or_hang(cloud: SimulatedCloud, clock: SteppedClock, spawn: str, status: str) -> None:
    """By the name that the server will have."""
    obey(cloud, servers={"new-*": {"spawn": spawn}}, timeline=[{"at": 0, "boot": {"host": "cmp01"}}])
    clock.advance(60)
    cloud.world.settle()
    assert [server.status for server in cloud.world.servers.values()] == [status]
