"""OVN gateways: the host gets the lowest priority, and another chassis is seen to carry them.

OVN moves a gateway by itself once the priorities say so. What the host does not carry anyway is lowered several at
once; what it does carry one at a time, and the next one not before another chassis is bound to the last.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from functions.migrate.network.items import ItemStep, planned_steps
from functions.migrate.network.model import ItemState, Sort
from functions.migrate.network.outcome import done, set_aside
from functions.migrate.network.ovn_model import Gateway, Look
from functions.migrate.network.ovn_plan import (
    Carried,
    carried_elsewhere,
    is_lowest,
    next_carrier,
    obstacle,
    pinned,
    to_lower,
    to_restore,
)
from functions.migrate.network.plan import gateway_items
from functions.migrate.network.restore import is_lowered_by, written
from functions.migrate.network.slice import NetworkSlice
from functions.migrate.network.targets import NoTarget
from shared.errors import Permanent, Retry
from shared.operations import Act

CARRY_LIMIT = timedelta(seconds=60)
"""How long the other chassis may take: OVN needs well under a second, a large cloud's northd some more."""

UNSET = NoTarget(
    "the addresses of OVN's databases are not set any more", "set DROVER_OVN_NB and DROVER_OVN_SB; resume the drain"
)


def take_up(slice: NetworkSlice) -> bool:
    """Gateways that came since the plan, or came back, are looked at anew; whether there were any."""
    look = slice.gateways
    if look is None:
        for item in slice.of(Sort.OVN_GATEWAY):
            if item.state not in (ItemState.LEFT, ItemState.FAILED):
                set_aside(slice, item, UNSET)
        return False
    found = gateway_items(look, slice.avoided, known=slice.items.keys())
    if found:
        slice.add(planned_steps(found, slice.now), *(Act("item came during the drain", item.id) for item in found))
    back = [item for item in slice.of(Sort.OVN_GATEWAY) if _is_back(look, item)]
    for item in back:
        item.record.to_agent, item.record.back = None, ""
        item.put(ItemState.HELD, to=None, attempts=0, error=None, finished_at=None)
        slice.later(item, acts=[Act("item came back", item.id)])
    return bool(found or back)


def _is_back(look: Look, item: ItemStep) -> bool:
    if item.state is ItemState.GONE:
        return look.gateway(item.id) is not None or item.id in look.pinned
    return item.state is ItemState.DONE and not carried_elsewhere(look, item.id).elsewhere


def is_carried_here(slice: NetworkSlice, item: ItemStep) -> bool:
    """Whether the host carries it now, so that its users notice that it goes."""
    gateway = slice.gateways.gateway(item.id) if slice.gateways else None
    return bool(slice.gateways and gateway and slice.gateways.carried_here(gateway))


def lower(slice: NetworkSlice, item: ItemStep) -> None:
    """Do what is next for a gateway, by what OVN shows."""
    look = slice.gateways
    if look is None:
        set_aside(slice, item, UNSET)
    elif item.id in look.pinned:
        set_aside(slice, item, pinned(look, item.id))
    elif (gateway := look.gateway(item.id)) is None:
        why = f"it is gone, or {slice.host} is no candidate for it any more"
        item.put(ItemState.GONE, error=why, finished_at=slice.now)
        slice.later(item, acts=[Act(f"{item.sort} is gone", item.id)])
    else:
        _lower(slice, item, look, gateway)


def _lower(slice: NetworkSlice, item: ItemStep, look: Look, gateway: Gateway) -> None:
    carried, lowest = carried_elsewhere(look, gateway.name), is_lowest(look, gateway)
    # Neutron may rank the candidates anew meanwhile, with other numbers: what counts is that it is carried elsewhere
    ranked_anew = any(mine.overridden(slice.work.operation.id) for mine in look.mine(gateway))
    if item.record.back:
        _bring_back(slice, item, look, gateway)
    elif carried.elsewhere and (lowest or ranked_anew):
        done(slice, item, _host_of(gateway, carried))
    elif item.state is ItemState.LOWERING and lowest:
        _wait(slice, item, look, gateway, carried)
    elif slice.work.may_start and not slice.late:
        _ask(slice, item, look, gateway)
    elif item.state is ItemState.LOWERING:  # whoever stored that intent has died before it wrote anything
        slice.later(item.put(ItemState.HELD))


def _host_of(gateway: Gateway, carried: Carried) -> str | None:
    """The host that carries it now; of several (the ports of a group may differ for a moment) the first."""
    hosts = {candidate.chassis: candidate.host for candidate in gateway.candidates}
    return next((hosts.get(chassis) or chassis for chassis in carried.by.values()), None)


def _ask(slice: NetworkSlice, item: ItemStep, look: Look, gateway: Gateway) -> None:
    """Write the intent, then the priorities."""
    operation = slice.work.operation.id
    if why := obstacle(look, gateway, operation, slice.avoided) or _tried(slice, item):
        set_aside(slice, item, why)
        return
    other, writes = next_carrier(look, gateway), to_lower(look, gateway, operation)
    item.record.to_agent = other.chassis if other else None
    item.put(to=other.host if other else None, attempts=item.step.attempts + 1)
    acts = [Act("lower gateway", item.id, gateway.priorities, written(gateway, writes))] if writes else []
    in_time = slice.intend(item, ItemState.LOWERING, *acts)
    if not in_time or not slice.work.may_start:
        _take_back(slice, item)
        return
    assert slice.ovn is not None  # it gave the look
    try:
        slice.ovn.lower(look, gateway, operation)
    except Retry:  # also when somebody else changed it meanwhile
        _take_back(slice, item)
        slice.save(item)
        raise
    except Permanent as refusal:
        set_aside(slice, item, NoTarget(str(refusal), "look into it, then resume the drain"))


def _tried(slice: NetworkSlice, item: ItemStep) -> NoTarget | None:
    if item.step.attempts < slice.policy.max_attempts:
        return None
    return NoTarget(
        f"given up after {item.step.attempts} tries", "see who else writes its priorities; resume the drain"
    )


def _take_back(slice: NetworkSlice, item: ItemStep) -> None:
    """Nothing was written: the try does not count."""
    slice.later(item.put(ItemState.HELD, to=None, attempts=item.step.attempts - 1))


def _wait(slice: NetworkSlice, item: ItemStep, look: Look, gateway: Gateway, carried: Carried) -> None:
    """The priorities are as they should be, and OVN has not followed yet."""
    if why := obstacle(look, gateway, slice.work.operation.id):
        item.record.back, item.record.way_out = why.reason, why.way_out
    elif slice.waited(item, CARRY_LIMIT):
        seconds, others = CARRY_LIMIT.total_seconds(), item.step.to or "the other candidates"
        item.record.back = f"{carried.why}, {seconds:.0f} s after {slice.host} got the lowest priority"
        item.record.way_out = f"look into the logs of ovn-northd, and of ovn-controller on {others}"
    if item.record.back:
        _bring_back(slice, item, look, gateway)
    else:
        slice.work.operation.note = f"waits: {carried.why}"


def _bring_back(slice: NetworkSlice, item: ItemStep, look: Look, gateway: Gateway) -> None:
    """Nobody else carries it: what this drain has lowered gets its priority back, rather than that nobody does."""
    if is_lowered_by(look, gateway, slice.work.operation.id):
        act = Act("restore gateway", item.id, gateway.priorities, written(gateway, to_restore(look, gateway)))
        if not slice.intend(item, ItemState.LOWERING, act):
            return
        assert slice.ovn is not None  # it gave the look
        slice.ovn.restore(look, gateway)
    reason, item.record.back = item.record.back, ""
    set_aside(slice, item, NoTarget(reason, item.record.way_out))


def stay(slice: NetworkSlice) -> list[ItemStep]:
    """What was set aside and is not seen to be carried elsewhere."""
    look = slice.gateways
    items = [item for item in slice.ended(ItemState.LEFT, ItemState.FAILED) if item.sort is Sort.OVN_GATEWAY]
    if look is None:
        return items
    return [item for item in items if item.id in look.pinned or not carried_elsewhere(look, item.id).elsewhere]


def carriers(slice: NetworkSlice) -> str:
    """A short word for who carries all of the host's gateways now: the same twice in a row is the proof."""
    look = slice.gateways
    if look is None:
        return ""
    by = {gateway.name: dict(carried_elsewhere(look, gateway.name).by) for gateway in look.gateways}
    return hashlib.sha256(json.dumps(by, sort_keys=True).encode()).hexdigest()[:16]
