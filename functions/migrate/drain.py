"""The drain: an operation that empties a hypervisor, proves that it is empty, and says what stayed and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from functions.migrate import ending, fence, rhythm, service
from functions.migrate.admission import as_fenced, check, net_services, refuse_bare_metal
from functions.migrate.cancel import cancel
from functions.migrate.events import DrainPlanned, DrainRequested
from functions.migrate.failover import LOOK, follow_failovers, is_failover, start_failover
from functions.migrate.follow import follow, set_aside
from functions.migrate.model import Action, DrainPlan, MoveState
from functions.migrate.moves import ServerMove, planned_steps
from functions.migrate.nova import ComputeService, Nova
from functions.migrate.plan import UnknownHost, plan_drains
from functions.migrate.retarget import retarget
from functions.migrate.slice import Link, Slice
from functions.migrate.stall import Abort, ask_abort, watch
from functions.migrate.start import start_moves
from functions.migrate.summary import summarise
from functions.migrate.together import documents, hosts_meant, of_one
from functions.migrate.verify import LOOKED, verify
from shared.clock import Clock, SystemClock
from shared.clouds import AnswerLost, Cloud, connect
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step

Connect = Callable[[str], Cloud]


class Links:
    """This process's connections, one for each cloud."""

    def __init__(self, connect: Connect = connect) -> None:
        self._connect = connect
        self._links: dict[str, Link] = {}

    def get(self, name: str) -> Link:
        """The connection to a cloud, made at its first use."""
        if name not in self._links:
            cloud = self._connect(name)
            self._links[name] = Link(cloud, Nova(cloud))
        return self._links[name]


class Drain:
    """The kind of operation behind `io.drover.drain.requested`."""

    name = "drain"
    requests: Sequence[type[EventData]] = (DrainRequested,)

    def __init__(self, links: Links | None = None, clock: Clock | None = None) -> None:
        self._links = links or Links()
        self._clock = clock or SystemClock()

    def prepare(self, request: EventData) -> Prepared:
        """Look whether there is such a host, and whether it may be emptied in the way that is asked for."""
        assert isinstance(request, DrainRequested)
        link = self._links.get(request.cloud)
        before = link.cloud.requests.copy()
        hosts = hosts_meant(request, link.cloud)
        fleet = link.read_fleet(hosts, self._clock.monotonic(), max_age=0.0)
        for host in hosts:
            if host not in fleet.hosts:
                raise UnknownHost(host, fleet)
        check(request, self._clock.now())
        if not request.dry_run:
            refuse_bare_metal(fleet, hosts)
        answer = None
        if request.dry_run:
            plans = tuple(
                replace(plan, notes=(*plan.notes, *filter(None, [net_services(link.cloud, plan.host)])))
                for plan in plan_drains(as_fenced(fleet, hosts, request.fenced), hosts, request.policy())
            )
            answer = DrainPlanned.model_validate(documents(plans))
        else:
            link.leave_uncounted(hosts[0], link.cloud.requests - before)
        first, *others = (
            Prepared(request.cloud, host, request.reason, request.requester, of_one(request, host, hosts), answer)
            for host in hosts
        )
        return replace(first, together=others)

    def advance(self, work: Work) -> float | None:
        """One slice: plan and take the host out of service at first, then follow and start moves, at last the proof."""
        try:
            slice = Slice(work, self._links.get(work.operation.cloud))
            with slice.at_work():
                return _advance(slice)
        except AnswerLost as error:
            raise Retry(str(error), after=2.0) from error
        except (Permanent, Rejected) as refusal:
            if work.has_ended:
                raise
            work.end(OperationState.HALTED, f"the cloud refuses what a drain needs: {refusal}")
            return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """Servers moved, what is left and why, seconds, API requests."""
        return summarise(operation, steps, self._clock.now())


SERVICES = timedelta(seconds=45)
"""Between two looks at the services; one request."""

OVERDUE = 3.0
"""So many times its forecast, and 45 s at least, and a move is suspected to hang."""

SHARES = "shares"
"""Where the memo keeps the targets that the plan has for the companions' servers, until they have plans themselves."""

DOWN_LOOKS = 2
"""Looks at the services that must find a target down before a move into it is given up."""


def _advance(slice: Slice) -> float | None:
    work = slice.work
    if "planned" not in work.memo:
        if work.cancelled:
            slice.end(OperationState.CANCELLED, "nothing had been started")
            return None
        if not work.may_start:
            return None
        _plan(slice)
    elif SHARES in work.memo and not _unplanned(slice, work.others()):
        del work.memo[SHARES]
    if "taken" not in work.memo and work.may_start:
        _take_host(slice)
    if work.resumed:
        ending.begin_again(slice)
    return _move(slice)


def _plan(slice: Slice) -> None:
    """Decide about every server, and say so before anything is changed."""
    fleet = as_fenced(slice.fleet(), slice.hosts, slice.request.fenced)
    others = slice.work.others()
    wishes = {server: host for other in others for server, host in other.memo.get(SHARES, {}).items()}
    hosts = [slice.host, *sorted(_unplanned(slice, others) & fleet.hosts.keys())]
    plan, *shares = plan_drains(fleet, hosts, slice.policy, slice.avoided, planned=slice.promised, wishes=wishes)
    if stays := net_services(slice.link.cloud, slice.host):
        slice.work.memo[ending.STAYS] = stays
    if shares:
        slice.work.memo[SHARES] = {line.id: line.to for share in shares for line in share.servers if line.to}
    slice.mark("planned")
    slice.work.memo["forecast"] = plan.seconds
    slice.remember_groups(group for line in plan.servers for group in fleet.groups_of.get(line.id, ()))
    slice.work.operation.note = _warning(plan)
    slice.add(planned_steps(plan.servers, fleet, slice.now))


def _warning(plan: DrainPlan) -> str:
    if plan.feasible:
        return ""
    stay = [line for line in plan.servers if line.action in (Action.CANNOT, Action.WAIT)]
    names = "; ".join(f"{line.name} ({line.reason})" for line in stay[:5])
    return f"the plan does not empty {plan.host}: {len(stay)} of {len(plan.servers)} servers stay for now: {names}"


def _unplanned(slice: Slice, others: Iterable[Operation]) -> set[str]:
    """The companions that have no plan yet: they are planned along, so that each leaves the others what they need.

    What the others have decided is promised already. Whoever is the first keeps the others' shares until they have
    taken them; two that plan at the same moment see the same cloud, and so come to the same plan.
    """
    return {other.target for other in others if "planned" not in other.memo}.intersection(slice.hosts)


def _take_host(slice: Slice) -> None:
    """Out of service with it; a host that is stated to be dead is forced down first."""
    if slice.request.fenced:
        fence.take_dead_host(slice, slice.request.fenced)
    else:
        service.take(slice.work, slice.nova, _service(slice))
    slice.mark("taken", "services_at", LOOKED)
    slice.save(facts=["started"])


def _service(slice: Slice) -> ComputeService:
    """The host's service, from the snapshot if that was read just now: Nova would overwrite another's reason."""
    host = slice.link.seen_just_now(slice.host, slice.work.clock.monotonic())
    if host is None:
        return slice.nova.service(slice.host)
    return ComputeService(
        id=host.service_id or "",
        host=host.name,
        zone=host.zone,
        state=host.state,
        status=host.status,
        disabled_reason=host.disabled_reason,
        forced_down=host.forced_down,
    )


def _move(slice: Slice) -> float | None:
    """Follow what runs, start what may start, and find out whether it is over."""
    work = slice.work
    if slice.unfinished():
        follow(slice)
        follow_failovers(slice)
        starts_more = any(move.state is MoveState.HELD for move in slice.moves.values())
        verify(slice, at_once=not slice.active() and not (starts_more and work.may_start))
    if work.cancelled:
        return cancel(slice)
    watch(slice)
    if not work.may_start:
        return _followed(slice)
    if why := ending.halt_reason(slice):
        return ending.halt(slice, why)
    if _hosts_died(slice):
        return _followed(slice)
    retarget(slice)
    if slice.policy.evacuate and _starts_more(slice) and fence.has_returned(slice):
        return _followed(slice)
    start_moves(slice)
    start_failover(slice)
    if slice.active():
        return _next_poll(slice)
    if slice.unfinished():
        return rhythm.next_due(slice.unfinished(), slice.now, slice.work.operation.started_at or slice.now)
    return ending.prove_empty(slice)


def _next_poll(slice: Slice) -> float:
    """By the migrations' pace, and as often as a failover's end is looked for."""
    moves = [move for move in slice.moves.values() if not is_failover(move)]
    waits = [LOOK.total_seconds()] if any(map(is_failover, slice.active())) else []
    if any(move.active for move in moves):
        waits.append(rhythm.next_poll(moves, slice.now, max(1, slice.policy.per_source - 1)))
    return min(waits)


def _starts_more(slice: Slice) -> bool:
    return any(move.state is MoveState.HELD and move.step.to for move in slice.moves.values())


def _followed(slice: Slice) -> float | None:
    """Paused or halted: come back as long as something is in flight or has not been looked at."""
    return rhythm.wind_down(slice.moves.values(), slice.now) if slice.busy() else None


def _hosts_died(slice: Slice) -> bool:
    """Look whether the source is alive and the targets still take servers, when a move takes suspiciously long."""
    if not (slice.due("services_at", SERVICES) and any(_overdue(slice, move) for move in slice.active())):
        return False
    services = {each.host: each for each in slice.nova.services()}
    slice.mark("services_at")
    own = services.get(slice.host)
    if own is not None and ending.source_died(slice, own.state, own.forced_down):
        return True
    down = {name for name, each in services.items() if each.state != "up"}
    closed = down | {name for name, each in services.items() if each.status != "enabled"}
    for move in slice.unfinished():
        if move.step.to in closed and move.state is MoveState.HELD:
            slice.later(move.put(to=None))
        elif move.step.to in down and move.active:
            _target_died(slice, move)
    return False


def _overdue(slice: Slice, move: ServerMove) -> bool:
    asked = move.record.submitted_at or move.step.started_at or slice.now
    return slice.now - asked > max(SERVICES, OVERDUE * timedelta(seconds=move.record.seconds))


def _target_died(slice: Slice, move: ServerMove) -> None:
    """Abort what can be aborted. What does not end goes on when its target is back, and holds up no other till then."""
    why = f"its target {move.step.to} went down in the middle of the move"
    move.record.target_down += 1
    slice.later(move)
    if ask_abort(slice, move, why) is not Abort.LATER and move.record.target_down >= DOWN_LOOKS:
        set_aside(slice, move, why, f"start nova-compute on {move.step.to}, which ends the move; then resume the drain")
