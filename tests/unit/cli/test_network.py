"""`drover drain-network` and `drover undrain-network`, with the real kinds on a simulated cloud."""

from __future__ import annotations

import pytest

from cli.engine import Parts
from functions.migrate.drain import Links
from functions.migrate.network.drain import NetworkDrain
from functions.migrate.network.undrain import NetworkUndrain
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from tests.unit.cli.conftest import Run, Served

WHY = ("--reason", "kernel update")


@pytest.fixture
def cloud(clock: SteppedClock) -> SimulatedCloud:
    """Two network nodes, of which the first carries a network and two routers."""
    cloud = SimulatedCloud(clock)
    l3 = [cloud.network.add_agent("l3", host) for host in ("net01", "net02")]
    dhcp = [cloud.network.add_agent("dhcp", host) for host in ("net01", "net02")]
    cloud.network.add_router("lan", l3[:1])
    cloud.network.add_router("edge", l3, ha=True)
    cloud.network.add_network("tenants", dhcp[:1])
    return cloud


@pytest.fixture
def parts(cloud: SimulatedCloud, clock: SteppedClock) -> Parts:
    """The real kinds."""
    links = Links(lambda name: cloud.cloud(name))
    return Parts(kinds=lambda _function: [NetworkDrain(links, clock), NetworkUndrain(links)], clock=clock)


def test_a_dry_run_shows_the_plan(run: Run, cloud: SimulatedCloud) -> None:
    """Every item with its target, the agents, and that nothing was changed."""
    outcome = run("drain-network", "net01", "--dry-run")
    assert outcome.code == 0
    for word in ("tenants", "hand-over", "edge", "fail-over", "lan", "move", "net02", "L3 agent", "disable"):
        assert word in outcome.out
    assert "Feasible: net01 would be empty (3 items, 2 agents). Nothing was changed." in outcome.out
    assert cloud.history == []


def test_an_infeasible_dry_run_exits_1(run: Run, cloud: SimulatedCloud) -> None:
    """With the reason and the way out; in JSON it is the event's own document."""
    for agent in cloud.network.agents.values():
        agent.dead = agent.host == "net02"
    outcome = run("drain-network", "net01", "--dry-run")
    assert outcome.code == 1
    assert "Not feasible" in outcome.out
    assert run("drain-network", "net01", "--dry-run", "--json").json["feasible"] is False


def test_it_is_followed_to_its_end_and_given_back(run: Run, cloud: SimulatedCloud) -> None:
    """Exit code 0 twice, the result in items, and the command that gives the node back."""
    outcome = run("drain-network", "net01", *WHY)
    assert outcome.code == 0
    assert "net01 is empty." in outcome.out
    assert "3 of 3 items" in outcome.out
    assert "drover undrain-network net01 --cloud lab" in outcome.out
    assert "network-drain net01" in outcome.err
    assert not any(agent.admin_up for agent in cloud.network.agents.values() if agent.host == "net01")
    back = run("undrain-network", "net01", "--reason", "done")
    assert back.code == 0
    assert "net01 is in service again." in back.out
    assert all(agent.admin_up for agent in cloud.network.agents.values())


def test_what_stays_is_named(run: Run, cloud: SimulatedCloud) -> None:
    """Exit code 3, a table of what is left, and the commands to go on."""
    for agent in cloud.network.agents.values():
        agent.dead = agent.host == "net02" and agent.kind == "l3"
    outcome = run("drain-network", "net01", *WHY)
    assert outcome.code == 3
    assert "2 items left on net01" in outcome.out
    assert "drover ops resume" in outcome.out


def test_the_served_one_does_it_as_well(run: Run, served: Served, cloud: SimulatedCloud) -> None:
    """`--url` sends the event there, and follows what comes of it."""
    outcome = run("drain-network", "net01", *WHY, "--url", "http://drover.test", "--cloud", "lab", parts=served.parts)
    assert outcome.code == 0, outcome.err
    assert "3 of 3 items" in outcome.out


@pytest.mark.parametrize(
    ("words", "told"),
    [(("net99", *WHY), "net01"), (("net01",), "--reason"), (("net01", *WHY, "--deadline", "soon"), "--deadline")],
)
def test_wrong_input_exits_2(run: Run, words: tuple[str, ...], told: str) -> None:
    """Nothing is stored, and the message says what to change."""
    outcome = run("drain-network", *words)
    assert outcome.code == 2
    assert told in outcome.err


def test_the_same_again_goes_on_with_it(run: Run) -> None:
    """A second request is answered with the operation that lives, and says so."""
    first = run("drain-network", "net01", *WHY, "--no-wait", "--json").json["id"]
    again = run("drain-network", "net01", "--reason", "me too", "--json")
    assert again.json["id"] == first
    assert "already" in again.err
