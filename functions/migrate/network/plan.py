"""The plan of a network drain: what the host carries, and who takes it. Pure: one node in, one plan out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Set

from functions.migrate.network.model import ACTION_OF, Action, Item, NodePlan, PlannedAgent, Sort
from functions.migrate.network.neutron import DISTRIBUTED_ONLY, SNAT, Agent, Network, Router
from functions.migrate.network.ovn_model import Gateway, Look
from functions.migrate.network.ovn_plan import next_carrier, obstacle, pinned
from functions.migrate.network.targets import NoTarget, can_carry, choose
from functions.migrate.network.view import Node

ORDER = (Sort.NETWORK, Sort.HA_ROUTER, Sort.OVN_GATEWAY, Sort.ROUTER)
"""What nobody notices first; what stands still for a moment last."""


def plan_node(node: Node, known: Collection[str] = ()) -> NodePlan:
    """Decide about everything that the host's agents and its chassis carry, except for what is known already."""
    look, loads = node.look, Counter(node.loads)
    bound: dict[str, tuple[Network | Router, str]] = {**look.networks, **look.routers}
    things = [pair for id, pair in bound.items() if id not in known]
    things.sort(key=lambda each: (each[0].name, each[0].id))
    items = [_item(node, thing, agent, loads) for thing, agent in things]
    items += gateway_items(node.gateways, node.avoided, known) if node.gateways else []
    items.sort(key=lambda item: ORDER.index(item.sort))
    return NodePlan(look.host, tuple(items), tuple(planned_agent(agent, node.server_ports) for agent in look.own))


def gateway_items(look: Look, avoided: Set[str] = frozenset(), known: Collection[str] = ()) -> list[Item]:
    """Decide about everything that OVN may have the host carry, except for what is known already.

    What the host does not carry now comes first: its users don't notice, and the host can't get it meanwhile.
    """
    agent = ", ".join(sorted(look.chassis))
    items = [_gateway_item(look, gateway, agent, avoided) for gateway in look.gateways if gateway.name not in known]
    for port in look.pinned:
        if port not in known:
            why = pinned(look, port)
            items.append(Item(Sort.OVN_GATEWAY, port, port, agent, Action.CANNOT, None, None, why.reason, why.way_out))
    return items


def _gateway_item(look: Look, gateway: Gateway, agent: str, avoided: Set[str]) -> Item:
    sort, name = Sort.OVN_GATEWAY, gateway.name.partition(":")[2]
    if why := obstacle(look, gateway, avoided=avoided):
        return Item(sort, gateway.name, name, agent, Action.CANNOT, None, None, why.reason, why.way_out)
    other = next_carrier(look, gateway)
    to, chassis = (other.host, other.chassis) if other else (None, None)
    why_so = "" if look.carried_here(gateway) else f"{look.host} does not carry it now, and must not get it"
    return Item(sort, gateway.name, name, agent, ACTION_OF[sort], to, chassis, why_so)


def sort_of(thing: Router | Network) -> Sort:
    """How it is brought away."""
    if isinstance(thing, Network):
        return Sort.NETWORK
    return Sort.HA_ROUTER if thing.ha else Sort.ROUTER


def _item(node: Node, thing: Router | Network, agent: str, loads: Counter[str]) -> Item:
    sort = sort_of(thing)
    able = [] if sort is Sort.ROUTER else [
        other for id in node.holders.get(thing.id, ())
        if can_carry(other := node.look.agents[id], thing) and other.host not in node.avoided
    ]  # fmt: skip
    if able:
        there = min(able, key=lambda each: (each.host, each.id))
        why = "serves it already" if sort is Sort.NETWORK else "stands by already"
        return Item(sort, thing.id, thing.name, agent, ACTION_OF[sort], there.host, there.id, f"{there.host} {why}")
    chosen = choose(thing, node.look.agents.values(), host=node.look.host, loads=loads, avoided=node.avoided)
    if isinstance(chosen, NoTarget):
        return Item(sort, thing.id, thing.name, agent, Action.CANNOT, None, None, chosen.reason, chosen.way_out)
    loads[chosen.id] += 1
    return Item(sort, thing.id, thing.name, agent, ACTION_OF[sort], chosen.host, chosen.id, _why(sort, thing))


def _why(sort: Sort, thing: Router | Network) -> str:
    if sort is Sort.HA_ROUTER:
        return "gets a second agent first"
    if isinstance(thing, Router) and sort is Sort.ROUTER:
        what = "its SNAT stands" if thing.distributed else "it stands"
        return f"{what} still for some seconds"
    return ""


def planned_agent(agent: Agent, server_ports: int) -> PlannedAgent:
    """What becomes of one of the host's agents."""
    if agent.mode in DISTRIBUTED_ONLY:
        why = f"in the mode {agent.mode} it routes for the host's own servers only: it goes with them"
        return PlannedAgent(agent.id, agent.kind, "leave", why)
    if agent.mode == SNAT and server_ports:
        why = f"in the mode {SNAT} it also routes for the host's own servers, which have {server_ports} ports"
        return PlannedAgent(agent.id, agent.kind, "cannot", why, f"drain its servers first: drover drain {agent.host}")
    if not agent.admin_up:
        return PlannedAgent(agent.id, agent.kind, "disable", "disabled already")
    return PlannedAgent(agent.id, agent.kind, "disable", "" if agent.alive else "it does not report: it looks dead")
