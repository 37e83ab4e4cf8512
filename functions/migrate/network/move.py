"""Routers that only one agent may have: taken away here, given to another, and seen to be carried there; one at a time.

Between the two requests nobody carries the router. Whatever happens in between (a worker dies, an agent refuses), it is
brought to some agent, the one here if there is no other, also when the drain is paused or cancelled meanwhile.
"""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState
from functions.migrate.network.neutron import Agent, Router
from functions.migrate.network.outcome import done, gone, set_aside
from functions.migrate.network.slice import NetworkSlice
from functions.migrate.network.targets import NoTarget
from shared.errors import Retry
from shared.operations import Act

CARRY_LIMIT = timedelta(seconds=90)
"""How long an agent may take until it is seen to carry a router: it asks Neutron for it, and sets its ports up."""


def move(slice: NetworkSlice, item: ItemStep) -> None:
    """Do what is next for a router, by where it is bound now."""
    where = next(iter(slice.neutron.agents_of_router(item.id)), None)
    if where is None:
        if item.state is ItemState.MOVING or slice.work.may_start:
            _bring_somewhere(slice, item)
    elif where.host != slice.host:
        _settle(slice, item, where)
    elif item.record.back:
        _settle_back(slice, item, where)
    elif slice.work.may_start and not slice.late:
        _depart(slice, item, where)
    elif item.state is ItemState.MOVING:  # whoever stored that intent has died before it asked for anything
        slice.later(item.put(ItemState.HELD))


def _depart(slice: NetworkSlice, item: ItemStep, here: Agent) -> None:
    """Take it away here, and give it to another at once."""
    router = slice.neutron.router(item.id)
    if router is None:
        gone(slice, item)
        return
    chosen = _next_target(slice, item, router)
    if isinstance(chosen, NoTarget):
        set_aside(slice, item, chosen)
        return
    ports = slice.neutron.ports_of_router(item.id)
    item.record.ports = {port.id: port.active for port in ports if port.host == slice.host}
    _aim(item, chosen)
    acts = (
        Act("remove router", item.id, {"host": slice.host}, {"to": chosen.host}),
        Act("add router", item.id, after={"host": chosen.host}),
    )
    in_time = slice.intend(item, ItemState.MOVING, *acts)
    if not in_time or not slice.work.may_start or slice.is_drained(chosen.host):
        _take_back(slice, item)
        return
    try:
        refusal = slice.ask(lambda: slice.neutron.remove_router(here.id, item.id))
    except Retry:
        _take_back(slice, item)
        slice.save(item)
        raise
    if refusal is not None:
        reason = f"Neutron does not take it from {slice.host}: {refusal.message}"
        set_aside(slice, item, NoTarget(reason, "look at its L3 agents, then resume the drain"))
        return
    _give(slice, item, chosen)


def _next_target(slice: NetworkSlice, item: ItemStep, router: Router) -> Agent | NoTarget:
    if item.step.attempts >= slice.policy.max_attempts:
        return NoTarget(f"given up after {item.step.attempts} tries: {item.step.error}", "look into the agents' logs")
    return slice.choose(item, router)


def _aim(item: ItemStep, agent: Agent) -> None:
    item.record.to_agent = agent.id
    item.put(to=agent.host, attempts=item.step.attempts + 1)


def _take_back(slice: NetworkSlice, item: ItemStep) -> None:
    """Neutron was not asked, or did not listen: the try does not count."""
    item.record.to_agent = None
    slice.later(item.put(ItemState.HELD, to=None, attempts=item.step.attempts - 1))


def _give(slice: NetworkSlice, item: ItemStep, agent: Agent) -> None:
    """The intent is stored: ask. What is lost is seen by the next slice; a refusal leads to another agent at once."""
    refusal = slice.ask(lambda: slice.neutron.add_router(agent.id, item.id))
    slice.later(item)
    if refusal is None or refusal.status == 409:  # bound to an agent already: the next slice sees to which
        return
    item.record.failed.append(agent.id)
    item.put(error=f"{agent.host} did not take it: {refusal.message}")
    _bring_somewhere(slice, item)


def _bring_somewhere(slice: NetworkSlice, item: ItemStep) -> None:
    """Nobody has it: give it to another agent, or back to the one here, rather than to nobody."""
    router = slice.neutron.router(item.id)
    if router is None:
        gone(slice, item)
        return
    chosen = NoTarget(item.record.back, "") if item.record.back else _next_target(slice, item, router)
    if isinstance(chosen, NoTarget):
        own = slice.look.agents.get(item.record.agent)
        if own is None or not own.serves or own.id in item.record.failed:
            _nobody(slice, item, chosen)
            return
        item.record.back, item.record.way_out = chosen.reason, chosen.way_out or item.record.way_out
        chosen = own
    _aim(item, chosen)
    if slice.intend(item, ItemState.MOVING, Act("add router", item.id, after={"host": chosen.host})):
        _give(slice, item, chosen)


def _nobody(slice: NetworkSlice, item: ItemStep, why: NoTarget) -> None:
    """All have been tried. Begin anew with the first: this one must not be left alone."""
    item.record.failed, item.record.back = [], ""
    item.put(attempts=0, error=f"NOBODY CARRIES IT: {why.reason}")
    slice.work.operation.note = f"{item.title} is without an agent, and is tried again and again: {why.reason}"
    slice.later(item)


def _settle(slice: NetworkSlice, item: ItemStep, there: Agent) -> None:
    """It is bound to another agent: see whether that carries it."""
    if item.state is not ItemState.MOVING:
        done(slice, item, there.host, "moved by others")
    elif _carries(slice, item, there):
        done(slice, item, there.host)
    elif slice.waited(item, CARRY_LIMIT):
        why = f"{there.host} has it and does not carry it after {CARRY_LIMIT.seconds} s"
        item.record.failed.append(there.id)
        item.put(error=why)
        _take_from(slice, item, there)


def _carries(slice: NetworkSlice, item: ItemStep, agent: Agent) -> bool:
    """Whether its ports have followed it, and work as they did: Neutron binds them anew when the agent asks for it."""
    ports = {port.id: port for port in slice.neutron.ports_of_router(item.id)}
    return all(
        ports[id].host == agent.host and (ports[id].active or not was_active)
        for id, was_active in item.record.ports.items()
        if id in ports
    )


def _take_from(slice: NetworkSlice, item: ItemStep, there: Agent) -> None:
    """Bring it to the next one; if there is none and it can't come back either, it stays where it is."""
    router = slice.neutron.router(item.id)
    own = slice.look.agents.get(item.record.agent)
    target = _next_target(slice, item, router) if router is not None else None
    if isinstance(target, NoTarget) and not (own and own.serves):
        why = f"{target.reason}; it stays bound to {there.host}, which does not carry it"
        set_aside(slice, item, NoTarget(why, f"look into the log of the L3 agent of {there.host}"))
        return
    if slice.intend(item, ItemState.MOVING, Act("remove router", item.id, before={"host": there.host})):
        refusal = slice.ask(lambda: slice.neutron.remove_router(there.id, item.id))
        if refusal is None:
            _bring_somewhere(slice, item)


def _settle_back(slice: NetworkSlice, item: ItemStep, here: Agent) -> None:
    if _carries(slice, item, here) or slice.waited(item, CARRY_LIMIT):
        reason = f"{item.record.back}; it is back on {slice.host}"
        item.record.back = ""
        set_aside(slice, item, NoTarget(reason, item.record.way_out or "look into the agents' logs"))
