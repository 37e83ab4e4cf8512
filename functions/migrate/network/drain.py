"""The network drain: an operation that takes everything a network node carries to other agents, and proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from functions.migrate.drain import Links
from functions.migrate.network import lower, marks, restore
from functions.migrate.network.close import AGENTS, EMPTY, FAILING_OVER, POLL, ROUND, SHORT, close, names
from functions.migrate.network.events import NetworkDrainPlanned, NetworkDrainRequested
from functions.migrate.network.items import ItemStep, planned_steps
from functions.migrate.network.model import ItemState, NodePlan, Sort
from functions.migrate.network.move import move
from functions.migrate.network.neutron import Neutron
from functions.migrate.network.plan import ORDER, plan_node
from functions.migrate.network.second import hand_over, stand_by
from functions.migrate.network.slice import NetworkSlice
from functions.migrate.network.summary import summarise
from functions.migrate.network.view import must_have_agents, read_look, read_node
from shared.clock import Clock, SystemClock
from shared.clouds import AnswerLost
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Act, Prepared, Work
from shared.store import Operation, OperationState, Step

AGAIN = 10.0
"""Seconds until a cloud that refuses is asked again, when a router may be without an agent."""

FOLLOW_LIMIT = timedelta(minutes=10)
"""How long a cancelled drain follows what is under way; after that it ends and says so."""


class NetworkDrain:
    """The kind of operation behind `io.drover.network-drain.requested`."""

    name = "network-drain"
    requests: Sequence[type[EventData]] = (NetworkDrainRequested,)

    def __init__(
        self, links: Links | None = None, clock: Clock | None = None, ovn: restore.FindOvn = restore.find_ovn
    ) -> None:
        self._links = links or Links()
        self._clock = clock or SystemClock()
        self._ovn = ovn

    def prepare(self, request: EventData) -> Prepared:
        """Look whether the host has agents or is a chassis; for a dry run, plan."""
        assert isinstance(request, NetworkDrainRequested)
        now = self._clock.now()
        if request.deadline is not None and request.deadline <= now:
            raise Rejected(f"the deadline {request.deadline.isoformat()} has passed already; it is {now.isoformat()}")
        neutron = Neutron(self._links.get(request.cloud).cloud)
        look, ovn = read_look(neutron, request.host), self._ovn(request.cloud)
        gateways = ovn.gateways(request.host) if ovn else None
        must_have_agents(look, gateways)
        answer = planned(plan_node(read_node(neutron, look, gateways=gateways))) if request.dry_run else None
        parameters = request.model_dump(mode="json")
        return Prepared(request.cloud, request.host, request.reason, request.requester, parameters, answer)

    def advance(self, work: Work) -> float | None:
        """One slice: plan at first, then bring away what the host carries, at last the proof."""
        try:
            cloud = work.operation.cloud
            slice = NetworkSlice(work, self._links.get(cloud).cloud, self._ovn(cloud))
            with slice.at_work():
                return _advance(slice)
        except AnswerLost as error:
            raise Retry(str(error), after=2.0) from error
        except (Permanent, Rejected) as refusal:
            if work.has_ended:
                raise
            if _is_someone_alone(work) and not work.cancelled:  # a halt would leave a router without an agent
                raise Retry(f"the cloud refuses what a network drain needs: {refusal}", after=AGAIN) from refusal
            work.end(OperationState.HALTED, f"the cloud refuses what a network drain needs: {refusal}")
            return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """Items that others carry now, what is left and why, seconds, API requests."""
        return summarise(operation, steps, self._clock.now())


def _is_someone_alone(work: Work) -> bool:
    return any(step.state == ItemState.MOVING for step in work.steps.values())


def planned(plan: NodePlan) -> NetworkDrainPlanned:
    """The plan as the event tells it."""
    items = [{name: value for name, value in asdict(item).items() if name not in ("agent", "to_agent")}
             for item in plan.items]  # fmt: skip
    agents = [asdict(agent) for agent in plan.agents]
    return NetworkDrainPlanned(host=plan.host, feasible=plan.feasible, items=items, agents=agents)


def _advance(slice: NetworkSlice) -> float | None:
    work = slice.work
    if "planned" not in work.memo:
        if work.cancelled:
            slice.end(OperationState.CANCELLED, "nothing had been started")
            return None
        if not work.may_start:
            return None
        _plan(slice)
    if work.resumed:
        _begin_again(slice)
    if work.may_start:
        _take_up(slice)
    _follow(slice, *(sort for sort in ORDER if sort is not Sort.OVN_GATEWAY))
    if not _is_someone_alone(work):  # a router without an agent must not wait for OVN's databases, which may be away
        if work.may_start and lower.take_up(slice):
            work.memo[EMPTY] = 0
        _follow(slice, Sort.OVN_GATEWAY)
    if work.cancelled:
        return _cancel(slice)
    if not work.may_start:
        return POLL if slice.in_flight() else None
    if why := _halt_reason(slice):
        return _halt(slice, why)
    return _go_on(slice)


def _follow(slice: NetworkSlice, *sorts: Sort) -> None:
    for item in slice.of(*sorts):
        if item.in_flight:
            step(slice, item)


def step(slice: NetworkSlice, item: ItemStep) -> None:
    """Do what is next for one item, in the manner of its sort."""
    match item.sort:
        case Sort.NETWORK:
            hand_over(slice, item)
        case Sort.HA_ROUTER:
            stand_by(slice, item)
        case Sort.ROUTER:
            move(slice, item)
        case Sort.OVN_GATEWAY:
            lower.lower(slice, item)


def _plan(slice: NetworkSlice) -> None:
    """Decide about everything, and say so before anything is changed."""
    must_have_agents(slice.look, slice.gateways)
    plan = plan_node(read_node(slice.neutron, slice.look, slice.avoided, slice.gateways))
    steps = planned_steps(plan.items, slice.now)
    if not plan.feasible:
        stay = [ItemStep(each) for each in steps if each.state == ItemState.LEFT]
        parts = [names(stay), *(f"{each.kind} ({each.reason})" for each in plan.agents if each.action == "cannot")]
        slice.work.operation.note = f"the plan does not empty {plan.host}: {'; '.join(filter(None, parts))}"
    slice.add(steps)  # whoever dies here plans again, and leaves these as they are
    slice.work.memo["planned"] = slice.now.isoformat()
    slice.save(facts=["started"])


def _take_up(slice: NetworkSlice) -> None:
    """What was bound to the host's agents since the plan, by the scheduler or by others; also what was there before."""
    bound = {**slice.look.networks, **slice.look.routers}
    if new := bound.keys() - slice.items.keys():
        plan = plan_node(read_node(slice.neutron, slice.look, slice.avoided), known=slice.items.keys())
        steps = planned_steps(plan.items, slice.now)
        slice.add(steps, *(Act("item came during the drain", id) for id in sorted(new)))
        slice.work.memo[EMPTY] = 0
    for item in slice.ended(ItemState.DONE, ItemState.GONE):
        if slice.thing(item) is not None and item.sort is not Sort.HA_ROUTER:
            item.record.failed, item.record.to_agent, item.record.added = [], None, []
            item.put(ItemState.HELD, to=None, attempts=0, error=None, finished_at=None)
            slice.later(item, acts=[Act("item came back", item.id)])
            slice.work.memo[EMPTY] = 0


def _go_on(slice: NetworkSlice) -> float | None:
    """Start what may start: networks, HA routers, OVN gateways, then the other routers one by one; then the end."""
    for sort in ORDER:
        waiting = [item for item in slice.of(sort) if item.state is ItemState.HELD or _half_done(item)]
        for item in waiting:
            flying = sum(each.in_flight for each in slice.of(sort))
            if flying >= _at_once(slice, item) or slice.late or not slice.work.may_start:
                break
            step(slice, item)
        if any(item.in_flight for item in slice.of(sort)):
            return SHORT if sort is Sort.OVN_GATEWAY else POLL
        if any(item.state is ItemState.HELD or _half_done(item) for item in slice.of(sort)):
            return SHORT
    return close(slice)


def _at_once(slice: NetworkSlice, item: ItemStep) -> int:
    """How many of its sort may be under way with it: of what stands still for a moment, it alone."""
    alone = item.sort is Sort.ROUTER or (item.sort is Sort.OVN_GATEWAY and lower.is_carried_here(slice, item))
    return 1 if alone else slice.policy.at_once


def _half_done(item: ItemStep) -> bool:
    """A network that another agent carries as well, and that is to be taken away here."""
    return item.sort is Sort.NETWORK and item.state is ItemState.READY


def _halt_reason(slice: NetworkSlice) -> str:
    """Why nothing of what is left may be started: the error budget is used up, or the deadline has passed."""
    held = [item for item in slice.items.values() if item.state is ItemState.HELD]
    failed = slice.ended(ItemState.FAILED)
    budget = slice.policy.error_budget
    if held and len(failed) >= budget:
        return f"{len(failed)} items could not be brought away (error budget: {budget}): {names(failed)}"
    if held and slice.policy.deadline is not None and slice.now >= slice.policy.deadline:
        moment = slice.policy.deadline.isoformat(timespec="seconds")
        return f"the deadline {moment} has passed with {len(held)} items left; resume it to go on without a deadline"
    return ""


def _halt(slice: NetworkSlice, why: str) -> float | None:
    """Start nothing more; what is under way is followed to its end, then the drain halts."""
    if slice.in_flight():
        slice.work.operation.note = why
        return POLL
    slice.end(OperationState.HALTED, why)
    return None


def _begin_again(slice: NetworkSlice) -> None:
    """Somebody resumed the drain: what stayed behind is looked at anew, with a fresh error budget."""
    for item in slice.ended(ItemState.FAILED, ItemState.LEFT):
        item.record.failed, item.record.to_agent, item.record.way_out, item.record.back = [], None, "", ""
        item.put(ItemState.HELD, to=None, attempts=0, error=None, finished_at=None)
        slice.later(item, acts=[Act("try item again", item.id)])
    memo = slice.work.memo
    if slice.policy.deadline is not None and slice.now >= slice.policy.deadline:
        memo["deadline_lifted"] = True
        slice.policy = replace(slice.policy, deadline=None)
    for agent in [id for id in memo.get(AGENTS, {}) if id in slice.look.agents and slice.look.agents[id].admin_up]:
        del memo[AGENTS][agent]
    for key in (FAILING_OVER, ROUND):
        memo.pop(key, None)
    memo[EMPTY] = 0


def _cancel(slice: NetworkSlice) -> float | None:
    """Follow what is under way to its end, and give the agents back if that is wanted."""
    if slice.in_flight() and not slice.since("cancelled_at", FOLLOW_LIMIT):
        return POLL
    for item in slice.unfinished():
        where = f"; {item.step.to} has it as well" if item.record.added and item.step.to else ""
        item.record.way_out = f"drain the host again: drover drain-network {slice.host}"
        item.put(ItemState.LEFT, error=f"not brought away when the drain was cancelled{where}", finished_at=slice.now)
        slice.later(item)
    if slice.work.operation.intent_options.get("undo"):
        return _undo(slice)
    ours = any(each["ours"] for each in slice.work.memo.get(AGENTS, {}).values())
    back = f"`drover undrain-network {slice.host}`"
    notes = [f"the agents of {slice.host} stay disabled: {back} enables them"] if ours else []
    if any(item.sort is Sort.OVN_GATEWAY and item.step.attempts for item in slice.ended(ItemState.DONE)):
        notes.append(f"{slice.host} keeps the lowest priority in OVN: {back} restores what was there")
    slice.end(OperationState.CANCELLED, "; ".join(notes))
    return None


def _undo(slice: NetworkSlice) -> float | None:
    """Enable the agents again, and restore the priorities that this drain has lowered; then it has ended."""
    work = slice.work
    slice.save()
    given, _ = marks.give_back(work, slice.neutron, slice.look.own)
    enabled = work.memo["enabled"] = [*work.memo.get("enabled", ()), *given]
    if slice.gateways and slice.ovn:
        slice.save()  # OVN may not answer, and what was enabled must be told all the same
        if not restore.give_back(work, slice.ovn, slice.gateways, lowered_by=work.operation.id):
            return SHORT
    note = f"{' and '.join(enabled)} enabled again" if enabled else ""
    slice.end(OperationState.CANCELLED, "; ".join(filter(None, [note, restore.told(work)])))
    return None
