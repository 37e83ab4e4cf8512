"""What Neutron shows of a network node: its agents, what is bound to them, and who else could carry it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from functions.migrate.network import ovn_model
from functions.migrate.network.neutron import DISTRIBUTED_ONLY, SNAT, Agent, Kind, Network, Neutron, Router
from shared.errors import Rejected


@dataclass(frozen=True, slots=True)
class Look:
    """The agents of the cloud, and what is bound to those of one host: 2 requests, and one for each of these."""

    host: str
    agents: Mapping[str, Agent]
    """All L3 and DHCP agents by id."""
    routers: Mapping[str, tuple[Router, str]]
    """By id: the routers that are bound to the host's agents, with the agent."""
    networks: Mapping[str, tuple[Network, str]]

    @property
    def own(self) -> list[Agent]:
        """The host's agents, DHCP before L3."""
        found = [agent for agent in self.agents.values() if agent.host == self.host]
        return sorted(found, key=lambda agent: (agent.kind is not Kind.DHCP, agent.id))


@dataclass(frozen=True, slots=True)
class Node:
    """A look, with what the other agents carry: one more request for each agent that could take something."""

    look: Look
    holders: Mapping[str, frozenset[str]]
    """By id of a router or network: the other agents that have it."""
    loads: Mapping[str, int]
    """By agent: routers or networks that are bound to it."""
    server_ports: int = 0
    """Ports of servers on the host, if one of its agents routes for them."""
    avoided: frozenset[str] = field(default_factory=frozenset)
    """Hosts that are being drained themselves."""
    gateways: ovn_model.Look | None = None
    """What the host's chassis is a candidate for; None: no OVN is set."""


def read_look(neutron: Neutron, host: str) -> Look:
    """The agents, and what is bound to the host's."""
    agents = {agent.id: agent for kind in (Kind.DHCP, Kind.L3) for agent in neutron.agents(kind)}
    routers: dict[str, tuple[Router, str]] = {}
    networks: dict[str, tuple[Network, str]] = {}
    for agent in agents.values():
        if agent.host == host and agent.kind is Kind.L3:
            routers |= {router.id: (router, agent.id) for router in neutron.routers_on(agent.id)}
        elif agent.host == host:
            networks |= {network.id: (network, agent.id) for network in neutron.networks_on(agent.id)}
    return Look(host, agents, routers, networks)


def read_node(
    neutron: Neutron, look: Look, avoided: Iterable[str] = (), gateways: ovn_model.Look | None = None
) -> Node:
    """What the other agents carry, as far as there is something for them to take."""
    holders: dict[str, set[str]] = {}
    loads: dict[str, int] = {}
    for agent in look.agents.values():
        wanted = look.routers if agent.kind is Kind.L3 else look.networks
        if agent.host == look.host or not agent.serves or not wanted or agent.mode in DISTRIBUTED_ONLY:
            continue
        bound = neutron.routers_on(agent.id) if agent.kind is Kind.L3 else neutron.networks_on(agent.id)
        loads[agent.id] = len(bound)
        for each in bound:
            if each.id in wanted:
                holders.setdefault(each.id, set()).add(agent.id)
    routes = any(agent.mode == SNAT for agent in look.own)
    ports = len(neutron.server_ports_on(look.host)) if routes else 0
    bound_to = {id: frozenset(ids) for id, ids in holders.items()}
    return Node(look, bound_to, loads, ports, frozenset(avoided), gateways)


def must_have_agents(look: Look, gateways: ovn_model.Look | None = None) -> None:
    """Refuse a host without L3 and DHCP agents that is no chassis of OVN either.

    Raises:
        Rejected: the message names similar hosts.
    """
    if look.own or (gateways and gateways.chassis):
        return
    names = sorted({agent.host for agent in look.agents.values()})
    near = get_close_matches(look.host, names, n=3, cutoff=0.5)
    known = f"similar: {', '.join(near)}" if near else f"there are {len(names)} hosts that have"
    chassis = "" if gateways is None else ", nor a chassis in OVN (one leaves it while its ovn-controller is stopped)"
    raise Rejected(
        f"host {look.host!r} has no L3 agent and no DHCP agent{chassis}; {known}. Host names are those of "
        "`openstack network agent list`"
    )
