"""The end of a network drain: agents are disabled, HA routers fail over, and the proof that nothing is left.

Empty means, twice in a row: no network is bound to the host's DHCP agents, no router to its L3 agents but HA ones, and
each of these is standby here and active elsewhere. Bindings of HA routers stay, so that the host can take them again.
Of OVN: living chassis of other hosts carry each gateway that the host is a candidate for, the same both times.
"""

from __future__ import annotations

from datetime import timedelta

from functions.migrate.network import lower, marks
from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState, Sort
from functions.migrate.network.neutron import SNAT, Agent
from functions.migrate.network.outcome import done
from functions.migrate.network.plan import planned_agent
from functions.migrate.network.slice import NetworkSlice
from shared.store import OperationState

READS = 2
"""Looks in a row that must find nothing."""

SHORT = 1.0
"""Seconds until the next look when there is something to be done at once."""

POLL = 3.0
"""Seconds between two looks at what others are doing."""

FAILOVER_LIMIT = timedelta(seconds=120)
"""How long the other agents may take to become active: VRRP takes seconds, their reports to Neutron some more."""

AGENTS = "agents"
"""Where the memo keeps the agents that were disabled: by id, `ours`, whether a drain did it, and `seen` to be so."""

FAILING_OVER = "failing_over_since"
EMPTY = "empty_reads"
CARRIERS = "ovn_carriers"
"""Where the memo keeps who carried the OVN gateways at the last look."""
ROUND = "over_in_this_round"
"""Where the memo keeps the HA routers that this look has found to be active elsewhere."""


def close(slice: NetworkSlice) -> float | None:
    """Nothing is left to be brought away: disable the agents, wait for the others, prove it, or say why not."""
    if slice.touched:
        return SHORT  # on what this slice has seen before it asked for something nothing may be decided
    if _other_vanished(slice):
        return SHORT
    blocked: list[str] = []
    for agent in slice.look.own:
        why = _hindrance(slice, agent)
        if why:
            state = "is disabled, and has what nobody else takes" if _is_taken(slice, agent.id) else "stays enabled"
            blocked.append(f"its {agent.kind} {state}: {why}")
        elif (after := _take(slice, agent)) is not None:
            return after
        if slice.work.has_ended or not slice.work.may_start:
            return None
    waiting = _waiting(slice)
    if waiting is None:
        return SHORT
    if waiting:
        return _wait(slice, waiting)
    slice.work.memo.pop(FAILING_OVER, None)
    if here := lower.stay(slice):
        blocked.append(f"nobody else carries {names(here)}")
    if blocked:
        slice.end(OperationState.HALTED, f"{slice.host} is not empty; {'; '.join(blocked)}")
        return None
    return _count(slice)


def _other_vanished(slice: NetworkSlice) -> bool:
    """HA routers whose other agent can't carry them any more, before this one is disabled: they are looked at anew."""
    found = False
    for item in slice.of(Sort.HA_ROUTER):
        router = slice.thing(item)
        if item.state is not ItemState.READY or router is None or _is_taken(slice, item.record.agent):
            continue
        other = slice.look.agents.get(item.record.to_agent or "")
        if other is None or not slice.is_able(other, router):
            slice.later(item.put(ItemState.HELD))
            found = True
    return found


def _hindrance(slice: NetworkSlice, agent: Agent) -> str:
    """Why an agent must not be disabled: something that only it carries would be lost."""
    stay = [item for item in slice.ended(ItemState.LEFT, ItemState.FAILED) if item.record.agent == agent.id]
    if stay := [item for item in stay if slice.thing(item) is not None]:
        return names(stay)
    if agent.mode != SNAT or _is_taken(slice, agent.id):
        return ""
    planned = planned_agent(agent, len(slice.neutron.server_ports_on(slice.host)))
    return f"{planned.reason} ({planned.way_out})" if planned.action == "cannot" else ""


def _take(slice: NetworkSlice, agent: Agent) -> float | None:
    """Disable an agent, once; seconds until the next look if something was asked for.

    One that somebody has enabled again meanwhile is a matter between people: the drain halts.
    """
    if planned_agent(agent, 0).action == "leave":
        return None
    taken = slice.work.memo.setdefault(AGENTS, {})
    known = taken.get(agent.id)
    if known and not agent.admin_up:
        known["seen"] = True
        return None
    if known and known["seen"]:
        note = (
            f"somebody has enabled the {agent.kind} of {slice.host} again; resume this drain to disable it once more, "
            "or cancel it"
        )
        slice.end(OperationState.HALTED, note)
        return None
    taken[agent.id] = {"ours": agent.admin_up or marks.is_ours(agent), "seen": not agent.admin_up}
    slice.save()
    if not slice.work.may_start:
        return None
    marks.disable(slice.work, slice.neutron, agent)
    return SHORT


def _waiting(slice: NetworkSlice) -> list[ItemStep] | None:
    """The HA routers that are to fail over and have not; None when there was no time to look at all of them.

    Each takes a request. Those that were seen to be over are not asked about again in the same round.
    """
    seen: list[str] = slice.work.memo.setdefault(ROUND, [])
    found = []
    for item in slice.of(Sort.HA_ROUTER):
        if item.id in seen or slice.thing(item) is None or not _is_taken(slice, item.record.agent):
            continue
        if slice.late:
            return None
        if _failed_over(slice, item):
            seen.append(item.id)
        else:
            found.append(item)
    return found


def _is_taken(slice: NetworkSlice, agent: str) -> bool:
    """Whether an agent is disabled by now, so that its HA routers have to be active elsewhere."""
    return agent in slice.work.memo.get(AGENTS, {})


def _failed_over(slice: NetworkSlice, item: ItemStep) -> bool:
    """Whether it is active elsewhere and not here; one that its owner has switched off is active nowhere."""
    router = slice.look.routers[item.id][0]
    found = slice.neutron.agents_of_router(item.id)
    here = [agent for agent in found if agent.host == slice.host]
    active = [agent for agent in found if agent.host != slice.host and agent.serves and agent.ha_state == "active"]
    over = not router.admin_up or (bool(active) and all(agent.ha_state != "active" for agent in here))
    if over and item.state is not ItemState.DONE:
        done(slice, item, active[0].host if active else None, None if active else "it is switched off")
    elif not over and item.state is ItemState.DONE:
        slice.later(item.put(ItemState.READY, finished_at=None))
    return over


def _wait(slice: NetworkSlice, waiting: list[ItemStep]) -> float | None:
    slice.work.memo[EMPTY] = 0
    what = f"{names(waiting)}: not active on any other agent"
    if slice.since(FAILING_OVER, FAILOVER_LIMIT):
        seconds = FAILOVER_LIMIT.total_seconds()
        slice.end(
            OperationState.HALTED,
            f"{what}, {seconds:.0f} s after the one of {slice.host} was disabled; look into the agents' logs; cancel "
            f"this drain with --undo to enable the one of {slice.host} again",
        )
        return None
    slice.work.operation.note = f"waits: {what}"
    return POLL


def _count(slice: NetworkSlice) -> float | None:
    memo, carriers = slice.work.memo, lower.carriers(slice)
    memo[EMPTY] = memo.get(EMPTY, 0) + 1 if carriers == memo.get(CARRIERS, carriers) else 1
    memo[CARRIERS] = carriers
    memo.pop(ROUND, None)
    if memo[EMPTY] < READS:
        return SHORT
    stay = slice.ended(ItemState.LEFT, ItemState.FAILED)
    odd = [item for item in slice.ended(ItemState.DONE) if item.step.error]
    if stay:
        slice.end(OperationState.HALTED, f"{slice.host} is empty, but {names(stay)}")
    else:
        slice.end(OperationState.SUCCEEDED, "; ".join(filter(None, [names(odd), _still_reported(slice)])))
    return None


def _still_reported(slice: NetworkSlice) -> str:
    """What the agents themselves have said last; their reports come every half minute, and dead ones send none."""
    told = [f"the {agent.kind} still reports {agent.reported}" for agent in slice.look.own
            if agent.alive and agent.reported and not agent.admin_up]  # fmt: skip
    return f"{', '.join(told)} in its last report" if told else ""


def names(items: list[ItemStep]) -> str:
    """Some of these by name, with what is wrong."""
    shown = [f"{item.title}{f' ({item.step.error})' if item.step.error else ''}" for item in items[:5]]
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return "; ".join(shown) + more
