"""Which agent takes an item: one that lives, in the right zone, with the least to carry. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from functions.migrate.network.neutron import DISTRIBUTED_ONLY, SNAT, Agent, Kind, Network, Router


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Why nobody can take it, and the cheapest thing that a person can do about it."""

    reason: str
    way_out: str


def choose(
    thing: Router | Network,
    agents: Iterable[Agent],
    *,
    host: str,
    loads: Mapping[str, int],
    avoided: Collection[str] = (),
    failed: Collection[str] = (),
) -> Agent | NoTarget:
    """The agent with the least to carry among those that can take it.

    Neutron itself looks at the zone hints only when it schedules, not when it is told (`add_router_to_l3_agent`), so
    they are kept here. The mode is checked there as well (`validate_agent_router_combination`).

    Args:
        thing: the router or network.
        agents: all that there are.
        host: the one that is drained.
        loads: what each agent carries, by id.
        avoided: hosts that are being drained themselves.
        failed: ids of agents that were tried in vain.
    """
    kind = Kind.L3 if isinstance(thing, Router) else Kind.DHCP
    others = [agent for agent in agents if agent.kind is kind and agent.host != host]
    if not (living := [agent for agent in others if agent.serves]):
        return NoTarget(f"no other {kind} is alive and enabled", f"start or enable the {kind} of another host")
    if not (free := [agent for agent in living if agent.host not in avoided]):
        return NoTarget(f"every other {kind} is on a host that is being drained", "wait for the other drains to end")
    if not (near := [agent for agent in free if not thing.zones or agent.zone in thing.zones]):
        zones = ", ".join(thing.zones)
        return NoTarget(
            f"no other {kind} is alive and enabled in its availability zone ({zones})", f"start a {kind} in {zones}"
        )
    if not (fit := [agent for agent in near if _takes(agent, thing)]):
        return NoTarget(*_unfit(thing))
    if not (left := [agent for agent in fit if agent.id not in failed]):
        names = ", ".join(sorted(agent.host for agent in fit))
        return NoTarget(
            f"every {kind} that could take it was tried in vain: {names}", f"look into the {kind}'s log on {names}"
        )
    return min(left, key=lambda agent: (loads.get(agent.id, 0), agent.host, agent.id))


def can_carry(agent: Agent, thing: Router | Network) -> bool:
    """Whether an agent that has it already can do what is needed; its zone was somebody else's choice."""
    return agent.serves and _takes(agent, thing)


def _takes(agent: Agent, thing: Router | Network) -> bool:
    if isinstance(thing, Network):
        return True
    if agent.mode in DISTRIBUTED_ONLY or (thing.distributed and agent.mode != SNAT):
        return False
    return thing.external or not agent.only_external


def _unfit(thing: Router | Network) -> tuple[str, str]:
    if isinstance(thing, Router) and thing.distributed:
        return (
            "it is distributed, and no other L3 agent is in the mode dvr_snat",
            "start an L3 agent with agent_mode = dvr_snat on another host",
        )
    return (
        "no other L3 agent takes routers without an external gateway, or all are in a dvr mode",
        "start an L3 agent that takes every router on another host",
    )
