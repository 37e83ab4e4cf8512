"""What several agents may have at once: another one gets it first, and only then is it taken away here.

Networks are taken away here at once; HA routers stay bound, and go to the other agent when this one is disabled.
"""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState, Sort
from functions.migrate.network.neutron import Agent, Network, Port, Router
from functions.migrate.network.outcome import gone, set_aside, took_away
from functions.migrate.network.slice import NetworkSlice
from functions.migrate.network.targets import NoTarget
from shared.errors import Retry
from shared.operations import Act

CARRY_LIMIT = timedelta(seconds=90)
"""How long an agent may take until it is seen to carry what it was given; three of its reports."""

HA_PORT = "network:router_ha_interface"
"""The owner of the ports by which a HA router's agents agree; one for each, ACTIVE when its agent has set it up."""


def hand_over(slice: NetworkSlice, item: ItemStep) -> None:
    """A network: give it to another agent, see that it serves it, take it away here."""
    network = slice.thing(item)
    if network is None:
        holders = slice.neutron.agents_of_network(item.id)
        took_away(slice, item, slice.neutron.network(item.id) is not None, [each.host for each in holders])
    elif (other := second_agent(slice, item, network)) is not None and _may_remove(slice, item):
        _remove_here(slice, item, other)


def stand_by(slice: NetworkSlice, item: ItemStep) -> None:
    """A HA router: see that another agent can carry it, so that this one may be disabled."""
    router = slice.thing(item)
    if router is None:
        holders = slice.neutron.agents_of_router(item.id)
        took_away(slice, item, slice.neutron.router(item.id) is not None, [each.host for each in holders])
    else:
        second_agent(slice, item, router)


def second_agent(slice: NetworkSlice, item: ItemStep, thing: Network | Router) -> Agent | None:
    """The other agent that carries the item for certain; one that is to is asked for, or waited for, meanwhile."""
    holders = _holders(slice, item)
    able = [each for each in holders if slice.is_able(each, thing) and each.id not in item.record.failed]
    able.sort(key=lambda each: each.id != item.record.to_agent)
    if able:
        ports = _ports(slice, item)
        for each in able:
            if _carries(ports, slice.host, each.host):
                _found(slice, item, each)
                return each
        _wait(slice, item, able[0])
    elif slice.work.may_start and not slice.late:
        _give(slice, item, thing)
    elif item.state is ItemState.ADDING:
        slice.later(item.put(ItemState.HELD))  # whoever asked for it has died before, and now nothing may start
    return None


def _holders(slice: NetworkSlice, item: ItemStep) -> list[Agent]:
    neutron = slice.neutron
    return neutron.agents_of_network(item.id) if item.sort is Sort.NETWORK else neutron.agents_of_router(item.id)


def _ports(slice: NetworkSlice, item: ItemStep) -> list[Port]:
    if item.sort is Sort.NETWORK:
        return slice.neutron.dhcp_ports(item.id)
    return [port for port in slice.neutron.ports_of_router(item.id) if port.owner == HA_PORT]


def _carries(ports: list[Port], here: str, there: str) -> bool:
    """Whether the agent there has a working port for it, if the one here has: no port is due where no subnet has
    DHCP, and of a host that is dead nothing can be said."""
    if not any(port.active and port.host == here for port in ports):
        return True
    return any(port.active and port.host == there for port in ports)


def _found(slice: NetworkSlice, item: ItemStep, other: Agent) -> None:
    if item.state is ItemState.REMOVING:
        return
    item.record.to_agent = other.id
    slice.later(item.put(ItemState.READY, to=other.host, error=None))


def _wait(slice: NetworkSlice, item: ItemStep, other: Agent) -> None:
    """It has it, and is not seen to carry it yet."""
    if item.state is not ItemState.ADDING:
        item.record.to_agent, item.record.asked_at = other.id, slice.work.clock.now()
        slice.later(item.put(ItemState.ADDING, to=other.host))
    elif slice.waited(item, CARRY_LIMIT):
        _give_up(slice, item, other, f"{other.host} has it and does not carry it after {CARRY_LIMIT.seconds} s")


def _give(slice: NetworkSlice, item: ItemStep, thing: Network | Router) -> None:
    """Ask an agent to carry it as well."""
    chosen = slice.choose(item, thing)
    if isinstance(chosen, NoTarget) or item.step.attempts >= slice.policy.max_attempts:
        set_aside(slice, item, chosen if isinstance(chosen, NoTarget) else _tried(item))
        return
    record = item.record
    record.to_agent = chosen.id
    if chosen.id not in record.added:
        record.added.append(chosen.id)
    item.put(to=chosen.host, attempts=item.step.attempts + 1)
    asked_in_time = slice.intend(
        item, ItemState.ADDING, Act(f"add {_noun(item)}", item.id, after={"host": chosen.host})
    )
    if not asked_in_time or not slice.work.may_start or slice.is_drained(chosen.host):
        _take_back(slice, item, chosen)
        return
    add = slice.neutron.add_network if item.sort is Sort.NETWORK else slice.neutron.add_router
    try:
        refusal = slice.ask(lambda: add(chosen.id, item.id))
    except Retry:
        _take_back(slice, item, chosen)
        slice.save(item)
        raise
    if refusal is not None:
        if refusal.status == 404 and not _exists(slice, item):
            gone(slice, item)
        else:
            _give_up(slice, item, chosen, f"{chosen.host} did not get it: {refusal.message}")


def _take_back(slice: NetworkSlice, item: ItemStep, chosen: Agent) -> None:
    """Neutron was not asked, or did not listen: the try does not count."""
    item.record.to_agent = None
    item.record.added.remove(chosen.id)
    slice.later(item.put(ItemState.HELD, to=None, attempts=item.step.attempts - 1))


def _noun(item: ItemStep) -> str:
    return "network" if item.sort is Sort.NETWORK else "router"


def _exists(slice: NetworkSlice, item: ItemStep) -> bool:
    neutron = slice.neutron
    return (neutron.network(item.id) if item.sort is Sort.NETWORK else neutron.router(item.id)) is not None


def _give_up(slice: NetworkSlice, item: ItemStep, other: Agent, why: str) -> None:
    """Try another one; what this drain has given to an agent in vain is taken from it again."""
    record = item.record
    record.failed.append(other.id)
    record.to_agent = None
    item.put(ItemState.HELD, to=None, error=why)
    if other.id not in record.added:
        slice.later(item)
        return
    record.added.remove(other.id)
    remove = slice.neutron.remove_network if item.sort is Sort.NETWORK else slice.neutron.remove_router
    if slice.intend(item, ItemState.HELD, Act(f"remove {_noun(item)}", item.id, before={"host": other.host})):
        slice.ask(lambda: remove(other.id, item.id))


def _tried(item: ItemStep) -> NoTarget:
    return NoTarget(
        f"given up after {item.step.attempts} tries: {item.step.error}",
        "look into the agents' logs, then resume the drain",
    )


def _may_remove(slice: NetworkSlice, item: ItemStep) -> bool:
    return item.state is ItemState.REMOVING or (slice.work.may_start and not slice.late)


def _remove_here(slice: NetworkSlice, item: ItemStep, other: Agent) -> None:
    act = Act(f"remove {_noun(item)}", item.id, {"host": slice.host}, {"host": other.host})
    if not slice.intend(item, ItemState.REMOVING, act):
        return
    refusal = slice.ask(lambda: slice.neutron.remove_network(item.record.agent, item.id))
    if refusal is not None:
        reason = f"Neutron does not take it from {slice.host}: {refusal.message}"
        set_aside(slice, item, NoTarget(reason, "look at its DHCP agents, then resume the drain"))
