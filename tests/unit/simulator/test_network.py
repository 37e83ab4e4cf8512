"""Routers and networks on agents that are disabled, that die, and that take over."""

from __future__ import annotations

from typing import Any

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.network import FAILOVER, SYNC, Agent
from tests.unit.simulator.conftest import Asker

AGENTS = "/network/v2.0/agents"


@pytest.fixture
def agents(cloud: SimulatedCloud) -> list[Agent]:
    """Two L3 agents on network nodes."""
    return [cloud.network.add_agent("l3", host) for host in ("net01", "net02")]


def disable(asker: Asker, agent: Agent, up: bool = False) -> int:
    """Set admin_state_up; gives the status."""
    return asker.send("PUT", f"{AGENTS}/{agent.id}", {"agent": {"admin_state_up": up}}).status


def states(asker: Asker, router: str) -> list[tuple[str, str]]:
    """Hosts and HA states of a router."""
    found = asker.get(f"/network/v2.0/routers/{router}/l3-agents")["agents"]
    return [(agent["host"], agent["ha_state"]) for agent in found]


def test_a_ha_router_fails_over(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, agents: list[Agent]) -> None:
    """The other agent is active a few seconds after the first was disabled; nobody in between."""
    router = cloud.network.add_router("r", agents, ha=True)
    assert states(asker, router.id) == [("net01", "active"), ("net02", "standby")]
    assert disable(asker, agents[0]) == 200
    clock.advance(SYNC + 0.1)
    assert states(asker, router.id) == [("net01", "standby"), ("net02", "standby")]
    clock.advance(FAILOVER)
    assert states(asker, router.id) == [("net01", "standby"), ("net02", "active")]
    assert router.active == agents[1].id


def test_a_legacy_router_is_lost_with_its_agent(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, agents: list[Agent]
) -> None:
    """A disabled agent drops it though it stays bound; enabled again it carries it again."""
    router = cloud.network.add_router("r", agents[:1])
    disable(asker, agents[0])
    clock.advance(60)
    assert states(asker, router.id) == [("net01", None)]
    assert router.active is None
    disable(asker, agents[0], True)
    clock.advance(60)
    asker.get(AGENTS)
    assert router.active == agents[0].id


def test_a_legacy_router_is_moved_by_hand(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, agents: list[Agent]
) -> None:
    """It must leave the first agent before the second may have it, which carries it a moment later."""
    router = cloud.network.add_router("r", agents[:1])
    path = [f"{AGENTS}/{agent.id}/l3-routers" for agent in agents]
    wish = {"router_id": router.id}
    refused = asker.send("POST", path[1], wish)
    assert (refused.status, refused.document["NeutronError"]["type"]) == (409, "RouterHostedByL3Agent")
    for _ in range(2):
        assert asker.send("DELETE", f"{path[0]}/{router.id}").status == 204
    assert asker.send("POST", path[1], wish).status == 201
    assert asker.send("POST", path[1], wish).status == 201
    assert router.active is None
    clock.advance(SYNC)
    assert [each["id"] for each in asker.get(path[1])["routers"]] == [router.id]
    assert router.active == agents[1].id


def test_an_agent_that_does_nothing(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, agents: list[Agent]
) -> None:
    """500, though the router is bound to it from then on; the same request is 201; nobody carries the router."""
    router = cloud.network.add_router("r", [])
    agents[0].mute = True
    path, wish = f"{AGENTS}/{agents[0].id}/l3-routers", {"router_id": router.id}
    assert asker.send("POST", path, wish).status == 500
    assert asker.send("POST", path, wish).status == 201
    clock.advance(60)
    assert [each["id"] for each in asker.get(path)["routers"]] == [router.id]
    assert router.active is None
    assert asker.send("DELETE", f"{AGENTS}/{agents[0].id}").status == 204
    assert asker.get(f"/network/v2.0/routers/{router.id}/l3-agents")["agents"] == []


def test_a_disabled_agent_takes_nothing(cloud: SimulatedCloud, asker: Asker, agents: list[Agent]) -> None:
    """404, as Neutron words it."""
    router = cloud.network.add_router("r", [])
    disable(asker, agents[0])
    refused = asker.send("POST", f"{AGENTS}/{agents[0].id}/l3-routers", {"router_id": router.id})
    assert (refused.status, refused.document["NeutronError"]["type"]) == (404, "InvalidL3Agent")


def test_a_dead_agents_router(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker, agents: list[Agent]) -> None:
    """Standby as soon as it is not alive, if another is; unknown when all are gone and it was the last active."""
    router = cloud.network.add_router("r", agents, ha=True)
    cloud.network.set_dead(agents[0], True)
    clock.advance(SYNC)
    assert states(asker, router.id) == [("net01", "standby"), ("net02", "standby")]
    clock.advance(FAILOVER)
    assert states(asker, router.id) == [("net01", "standby"), ("net02", "active")]
    cloud.network.set_dead(agents[1], True)
    clock.advance(60)
    assert states(asker, router.id) == [("net01", "standby"), ("net02", "unknown")]


def test_agents_die_with_their_host(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """A compute that is a network node as well takes its agents with it, and brings them back."""
    here, there = (cloud.network.add_agent("l3", host) for host in ("cmp01", "cmp02"))
    ha, legacy = cloud.network.add_router("ha", [here, there], ha=True), cloud.network.add_router("legacy", [here])
    cloud.kill_host("cmp01")
    clock.advance(SYNC)
    assert asker.get(f"{AGENTS}?alive=false&agent_type=L3 agent")["agents"][0]["id"] == here.id
    clock.advance(FAILOVER)
    assert states(asker, ha.id) == [("cmp01", "standby"), ("cmp02", "active")]
    assert legacy.active is None
    cloud.revive_host("cmp01")
    clock.advance(60)
    assert states(asker, ha.id) == [("cmp01", "standby"), ("cmp02", "active")]
    assert legacy.active == here.id


def test_networks_get_a_second_agent_first(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """Both serve for a while; twice the same is a conflict."""
    one, two = (cloud.network.add_agent("dhcp", host) for host in ("net01", "net02"))
    network = cloud.network.add_network("n", [one])
    wish = {"network_id": network.id}
    path = [f"{AGENTS}/{agent.id}/dhcp-networks" for agent in (one, two)]
    assert asker.send("POST", path[1], wish).status == 201
    assert asker.send("POST", path[1], wish).document["NeutronError"]["type"] == "NetworkHostedByDHCPAgent"
    clock.advance(SYNC)
    hosts = [each["host"] for each in asker.get(f"/network/v2.0/networks/{network.id}/dhcp-agents")["agents"]]
    assert hosts == ["net01", "net02"]
    assert network.serving == {one.id, two.id}
    assert asker.send("DELETE", f"{path[0]}/{network.id}").status == 204
    assert asker.send("DELETE", f"{path[0]}/{network.id}").status == 409
    assert network.serving == {two.id}


def test_ovn_agents_cannot_be_disabled(cloud: SimulatedCloud, asker: Asker) -> None:
    """400; the description may be set."""
    agent = cloud.network.add_agent("ovn-gateway", "net01")
    assert disable(asker, agent) == 400
    assert asker.send("PUT", f"{AGENTS}/{agent.id}", {"agent": {"description": "x"}}).status == 200


def test_every_compute_has_an_agent(cloud: SimulatedCloud, asker: Asker) -> None:
    """It dies with its host; lists can be filtered and paged."""
    cloud.kill_host("cmp02")

    def hosts(query: str) -> Any:
        return [agent["host"] for agent in asker.get(f"{AGENTS}?{query}")["agents"]]

    assert hosts("alive=false") == ["cmp02"]
    first = asker.get(f"{AGENTS}?limit=3")
    assert len(first["agents"]) == 3
    assert hosts(f"limit=3&marker={first['agents'][-1]['id']}") == ["cmp04"]
