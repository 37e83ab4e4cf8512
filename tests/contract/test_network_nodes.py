"""L3 and DHCP agents of network nodes: what Neutron writes down, tells and refuses when they are to be emptied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stage import Stage
from tests.contract.test_network import refused

Agents = dict[str, str]
"""Ids by host."""


class Nodes:
    """The two network nodes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._routers: list[str] = []
        self.l3 = self._agents("L3 agent")
        self.dhcp = self._agents("DHCP agent")

    def _agents(self, kind: str) -> Agents:
        found = self._stage.ok(self._stage.neutron("GET", "/agents", agent_type=kind))["agents"]
        assert [(agent["alive"], agent["admin_state_up"]) for agent in found] == [(True, True)] * 2
        return {agent["host"]: agent["id"] for agent in found}

    def router(self, *, ha: bool) -> str:
        """A new router that no agent has yet."""
        wish = {"name": "contract", "ha": ha}
        self._routers.append(self._stage.ok(self._stage.neutron("POST", "/routers", {"router": wish}))["router"]["id"])
        return self._routers[-1]

    def enable(self, agent: str, up: bool) -> None:
        """Set an agent's admin_state_up."""
        self._stage.ok(self._stage.neutron("PUT", f"/agents/{agent}", {"agent": {"admin_state_up": up}}))

    def states(self, router: str) -> dict[str, str | None]:
        """HA state by host, of the agents that a router is bound to."""
        found = self._stage.ok(self._stage.neutron("GET", f"/routers/{router}/l3-agents"))["agents"]
        return {agent["host"]: agent["ha_state"] for agent in found}

    def servers(self) -> set[str]:
        """The hosts whose DHCP agents the network is bound to."""
        network = self._stage.network
        found = self._stage.ok(self._stage.neutron("GET", f"/networks/{network}/dhcp-agents"))["agents"]
        return {agent["host"] for agent in found}

    def clear(self) -> None:
        """Delete the routers."""
        for router in self._routers:
            self._stage.neutron("DELETE", f"/routers/{router}")


@pytest.fixture
def nodes(stage: Stage) -> Iterator[Nodes]:
    """Two network nodes with nothing on them."""
    with stage.backstage.network_nodes():
        found = Nodes(stage)
        yield found
        found.clear()


def test_a_legacy_router_moves(stage: Stage, nodes: Nodes) -> None:
    """It may have one agent only, stays bound to one that is disabled, and must leave it before it gets another."""
    router = nodes.router(ha=False)
    first, second = (f"/agents/{nodes.l3[host]}/l3-routers" for host in ("net01", "net02"))
    wish = {"router_id": router}
    for _ in range(2):
        assert stage.neutron("POST", first, wish).status_code == 201
    assert nodes.states(router) == {"net01": None}
    taken = refused(stage.neutron("POST", second, wish))
    assert taken == (
        409, "RouterHostedByL3Agent",
        f"The router {router} has been already hosted by the L3 Agent {nodes.l3['net01']}.",
    )  # fmt: skip
    nodes.enable(nodes.l3["net01"], False)
    assert nodes.states(router) == {"net01": None}
    assert [each["id"] for each in stage.ok(stage.neutron("GET", first))["routers"]] == [router]
    assert refused(stage.neutron("POST", first, wish))[:2] == (404, "InvalidL3Agent")
    assert stage.neutron("DELETE", f"{first}/{router}").status_code == 204
    assert nodes.states(router) == {}
    assert stage.neutron("POST", second, wish).status_code == 201
    assert nodes.states(router) == {"net02": None}
    nodes.enable(nodes.l3["net01"], True)


def test_a_ha_router_fails_over(stage: Stage, nodes: Nodes) -> None:
    """With its active agent disabled the other becomes active; the disabled one shows standby, and stays bound."""
    router = nodes.router(ha=True)
    for agent in nodes.l3.values():
        assert stage.neutron("POST", f"/agents/{agent}/l3-routers", {"router_id": router}).status_code == 201
    stage.until("one is active", lambda: sorted(map(str, nodes.states(router).values())) == ["active", "standby"])
    active = next(host for host, state in nodes.states(router).items() if state == "active")
    other = next(host for host in nodes.l3 if host != active)
    nodes.enable(nodes.l3[active], False)
    stage.until("the other is active", lambda: nodes.states(router) == {active: "standby", other: "active"})
    nodes.enable(nodes.l3[active], True)
    stage.until("it is standby", lambda: nodes.states(router) == {active: "standby", other: "active"})


def test_a_network_gets_a_second_dhcp_agent_first(stage: Stage, nodes: Nodes) -> None:
    """Several agents may have it; a disabled one keeps it and gets no other; it is taken away by hand."""
    first, second = (f"/agents/{nodes.dhcp[host]}/dhcp-networks" for host in ("net01", "net02"))
    wish = {"network_id": stage.network}
    assert stage.neutron("POST", first, wish).status_code == 201
    assert refused(stage.neutron("POST", first, wish))[:2] == (409, "NetworkHostedByDHCPAgent")
    assert stage.neutron("POST", second, wish).status_code == 201
    assert nodes.servers() == {"net01", "net02"}
    nodes.enable(nodes.dhcp["net01"], False)
    assert nodes.servers() == {"net01", "net02"}
    assert [each["id"] for each in stage.ok(stage.neutron("GET", first))["networks"]] == [stage.network]
    assert stage.neutron("DELETE", f"{first}/{stage.network}").status_code == 204
    assert nodes.servers() == {"net02"}
    assert refused(stage.neutron("POST", first, wish))[:2] == (404, "InvalidDHCPAgent")
    nodes.enable(nodes.dhcp["net01"], True)
    assert stage.neutron("DELETE", f"{second}/{stage.network}").status_code == 204


def test_a_ha_router_has_a_port_for_each_agent(stage: Stage, nodes: Nodes) -> None:
    """Bound to the agent's host, as long as the router is bound to the agent, whether that is enabled or not."""
    router = nodes.router(ha=True)

    def hosts() -> list[str]:
        ports = stage.ok(stage.neutron("GET", "/ports", device_id=router))["ports"]
        found = sorted(p["binding:host_id"] for p in ports if p["device_owner"] == "network:router_ha_interface")
        # Neutron may make one for an agent that asks while it is taken away: it stays, and is bound to no host.
        return [host for host in found if host]

    paths = {host: f"/agents/{agent}/l3-routers" for host, agent in nodes.l3.items()}
    for host in ("net01", "net02"):
        assert stage.neutron("POST", paths[host], {"router_id": router}).status_code == 201
    stage.until("both have asked for it", lambda: hosts() == ["net01", "net02"])
    nodes.enable(nodes.l3["net01"], False)
    assert hosts() == ["net01", "net02"]
    nodes.enable(nodes.l3["net01"], True)
    assert stage.neutron("DELETE", f"{paths['net01']}/{router}").status_code == 204
    assert hosts() == ["net02"]


def test_an_agents_description_holds_a_reason(stage: Stage, nodes: Nodes) -> None:
    """255 characters of it, set and taken away together with admin_state_up; one more is refused."""
    path = f"/agents/{nodes.l3['net01']}"
    before = stage.ok(stage.neutron("GET", path))["agent"]["description"]
    for up, text in ((False, "x" * 255), (True, before)):
        values = {"admin_state_up": up, "description": text}
        found = stage.ok(stage.neutron("PUT", path, {"agent": values}))["agent"]
        assert (found["admin_state_up"], found["description"]) == (up, text)
    assert stage.neutron("PUT", path, {"agent": {"description": "x" * 256}}).status_code == 400
