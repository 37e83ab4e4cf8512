"""Neutron's verbs as a network drain needs them. Each is one request, sent once; what comes of it is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.clouds.answers import readable
from shared.clouds.errors import Refused

if TYPE_CHECKING:
    from shared.clouds.connection import Cloud

DISTRIBUTED_ONLY = frozenset({"dvr", "dvr_no_external"})
"""Modes of L3 agents that no router can be given to by hand: they route for the servers of their own host."""
SNAT = "dvr_snat"
"""The mode of an L3 agent that does that and besides carries routers, and the SNAT of distributed ones."""


class Kind(StrEnum):
    """The types of agents that are drained, as Neutron calls them."""

    L3 = "L3 agent"
    DHCP = "DHCP agent"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, as far as a drain looks at it."""

    id: str
    kind: Kind
    host: str
    alive: bool
    """It has reported within Neutron's `agent_down_time`."""
    admin_up: bool
    description: str | None = None
    zone: str | None = None
    mode: str = "legacy"
    """Of an L3 agent: legacy, dvr, dvr_snat or dvr_no_external."""
    only_external: bool = False
    """It takes no router without an external gateway (`handle_internal_only_routers` is off)."""
    ha_state: str | None = None
    """active, standby or unknown, in the list of a HA router's agents."""
    reported: int | None = None
    """Routers or networks that it carries, by its own last report."""

    @property
    def serves(self) -> bool:
        """Whether it does what it is told."""
        return self.alive and self.admin_up


@dataclass(frozen=True, slots=True)
class Router:
    """A router bound to an agent."""

    id: str
    name: str
    ha: bool
    distributed: bool
    admin_up: bool
    external: bool
    """It has an external gateway."""
    zones: tuple[str, ...] = ()
    """Its availability zone hints."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network that a DHCP agent serves."""

    id: str
    name: str
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a router or of a DHCP agent."""

    id: str
    owner: str
    host: str
    active: bool


@dataclass(frozen=True, slots=True)
class Neutron:
    """The verbs. All may raise what `functions.migrate.nova.Nova`'s may: Refused, Retry, AnswerLost."""

    cloud: Cloud = field(repr=False)

    # -- looking ----------------------------------------------------------------------------------------------

    @readable
    def agents(self, kind: Kind) -> list[Agent]:
        """All agents of a kind."""
        found = self.cloud.network.pages("/v2.0/agents", "agents", params={"agent_type": str(kind)})
        return [_agent(entry) for entry in found]

    @readable
    def routers_on(self, agent: str) -> list[Router]:
        """The routers that are bound to an L3 agent; a disabled agent keeps its bindings."""
        return [_router(entry) for entry in self.cloud.network.get(f"/v2.0/agents/{agent}/l3-routers")["routers"]]

    @readable
    def networks_on(self, agent: str) -> list[Network]:
        """The networks that are bound to a DHCP agent; likewise."""
        return [_network(each) for each in self.cloud.network.get(f"/v2.0/agents/{agent}/dhcp-networks")["networks"]]

    @readable
    def agents_of_router(self, router: str) -> list[Agent]:
        """The agents that a router is bound to, of a HA router with their state; none if there is no such router."""
        return self._bound(f"/v2.0/routers/{router}/l3-agents")

    @readable
    def agents_of_network(self, network: str) -> list[Agent]:
        """The agents that a network is bound to; none if there is no such network."""
        return self._bound(f"/v2.0/networks/{network}/dhcp-agents")

    @readable
    def router(self, router: str) -> Router | None:
        """A router, wherever it is; None if there is no such router."""
        found = self._one(f"/v2.0/routers/{router}")
        return _router(found["router"]) if found else None

    @readable
    def network(self, network: str) -> Network | None:
        """A network, likewise."""
        found = self._one(f"/v2.0/networks/{network}")
        return _network(found["network"]) if found else None

    @readable
    def ports_of_router(self, router: str) -> list[Port]:
        """A router's own ports."""
        return self._ports({"device_id": router})

    @readable
    def dhcp_ports(self, network: str) -> list[Port]:
        """A network's ports of DHCP agents."""
        return self._ports({"network_id": network, "device_owner": "network:dhcp"})

    @readable
    def server_ports_on(self, host: str) -> list[Port]:
        """The ports of servers on a host."""
        return [port for port in self._ports({"binding:host_id": host}) if port.owner.startswith("compute:")]

    # -- changing ---------------------------------------------------------------------------------------------

    def add_router(self, agent: str, router: str) -> None:
        """Bind a router to an L3 agent; one that is bound to it already is left so.

        Raises:
            Refused: 404, no such router or agent, or the agent is disabled; 409, a router that is not HA has another.
            AnswerLost: also when the agent does not answer Neutron's call: then it is bound all the same.
        """
        self.cloud.network.post(f"/v2.0/agents/{agent}/l3-routers", json={"router_id": router})

    def remove_router(self, agent: str, router: str) -> None:
        """Unbind a router from an L3 agent; Neutron does not mind one that is not there."""
        self.cloud.network.delete(f"/v2.0/agents/{agent}/l3-routers/{router}")

    def add_network(self, agent: str, network: str) -> None:
        """Bind a network to a DHCP agent, unless it is bound to it already (409)."""
        try:
            self.cloud.network.post(f"/v2.0/agents/{agent}/dhcp-networks", json={"network_id": network})
        except Refused as refusal:
            if refusal.status != 409:
                raise

    def remove_network(self, agent: str, network: str) -> None:
        """Unbind a network from a DHCP agent, unless that has been done (409)."""
        try:
            self.cloud.network.delete(f"/v2.0/agents/{agent}/dhcp-networks/{network}")
        except Refused as refusal:
            if refusal.status not in (404, 409):
                raise

    def set_agent(self, agent: str, *, up: bool, description: str | None) -> None:
        """Enable or disable an agent, and say why in its description, both at once."""
        values = {"admin_state_up": up, "description": description}
        self.cloud.network.put(f"/v2.0/agents/{agent}", json={"agent": values})

    # ---------------------------------------------------------------------------------------------------------

    def _bound(self, path: str) -> list[Agent]:
        found = self._one(path)
        return [_agent(entry) for entry in found["agents"]] if found else []

    def _one(self, path: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self.cloud.network.get(path)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            return None
        return found

    def _ports(self, query: Mapping[str, str]) -> list[Port]:
        return [_port(entry) for entry in self.cloud.network.pages("/v2.0/ports", "ports", params=query)]


def _agent(entry: Mapping[str, Any]) -> Agent:
    details = entry.get("configurations") or {}
    kind = Kind(entry["agent_type"])
    reported = details.get("routers" if kind is Kind.L3 else "networks")
    return Agent(
        id=entry["id"],
        kind=kind,
        host=entry["host"],
        alive=bool(entry["alive"]),
        admin_up=bool(entry["admin_state_up"]),
        description=entry.get("description"),
        zone=entry.get("availability_zone"),
        mode=details.get("agent_mode") or "legacy",
        only_external=details.get("handle_internal_only_routers") is False,
        ha_state=entry.get("ha_state"),
        reported=reported if isinstance(reported, int) else None,
    )


def _router(entry: Mapping[str, Any]) -> Router:
    return Router(
        id=entry["id"],
        name=entry.get("name") or "",
        ha=bool(entry.get("ha")),
        distributed=bool(entry.get("distributed")),
        admin_up=entry.get("admin_state_up") is not False,
        external=bool(entry.get("external_gateway_info")),
        zones=tuple(entry.get("availability_zone_hints") or ()),
    )


def _network(entry: Mapping[str, Any]) -> Network:
    return Network(entry["id"], entry.get("name") or "", tuple(entry.get("availability_zone_hints") or ()))


def _port(entry: Mapping[str, Any]) -> Port:
    return Port(
        id=entry["id"],
        owner=entry.get("device_owner") or "",
        host=entry.get("binding:host_id") or "",
        active=entry.get("status") == "ACTIVE",
    )
