"""The drain: an operation that empties a hypervisor, proves that it is empty, and says what stayed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from functions.migrate import ending, rhythm, service
from functions.migrate.events import DrainPlanned, DrainRequested
from functions.migrate.follow import follow
from functions.migrate.model import Action, DrainPlan, MoveState
from functions.migrate.moves import ServerMove, planned_steps
from functions.migrate.nova import ComputeService, Nova
from functions.migrate.plan import document, plan_drain
from functions.migrate.retarget import retarget
from functions.migrate.slice import Link, Slice
from functions.migrate.stall import ask_abort, watch
from functions.migrate.start import start_moves
from functions.migrate.summary import summarise
from functions.migrate.verify import sweep, verify
from shared.clock import Clock, SystemClock
from shared.clouds import AnswerLost, Cloud, Refused, connect
from shared.errors import Rejected, Retry
from shared.events import EventData
from shared.fleet.snapshot import Host
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
        asked = link.cloud.requests.copy()
        fleet = link.read_fleet(request.host, self._clock.monotonic(), max_age=0.0)
        link.uncounted = link.cloud.requests - asked
        plan = plan_drain(fleet, request.host, request.policy())  # also tells an unknown host
        host = fleet.hosts[request.host]
        _check_evacuation(request, host)
        return Prepared(
            cloud=request.cloud,
            target=request.host,
            reason=request.reason,
            requester=request.requester,
            parameters=request.model_dump(mode="json"),
            answer=DrainPlanned.model_validate(document(plan)) if request.dry_run else None,
        )

    def advance(self, work: Work) -> float | None:
        """One slice: plan and take the host out of service at first, then follow and start moves, at last the proof."""
        link = self._links.get(work.operation.cloud)
        asked = link.cloud.requests.copy()
        slice = Slice(work, link)
        try:
            return self._advance(slice)
        except AnswerLost as error:
            raise Retry(str(error), after=2.0) from error
        except Refused as refusal:
            work.end(OperationState.HALTED, f"the cloud refuses what a drain needs: {refusal}")
            return None
        finally:
            _count(work, link.cloud.requests - asked + link.uncounted)
            link.uncounted = Counter()

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """Servers moved, what is left and why, seconds, API requests."""
        return summarise(operation, steps, self._clock.now())

    def _advance(self, slice: Slice) -> float | None:
        work = slice.work
        if "planned" not in work.memo:
            if work.cancelled:
                work.end(OperationState.CANCELLED, "nothing had been started")
                return None
            if not work.may_start:
                return None
            _plan(slice)
        if "taken" not in work.memo and work.may_start:
            _take_host(slice)
        if work.resumed:
            ending.begin_again(slice)
        return _move(slice)


def _plan(slice: Slice) -> None:
    """Decide about every server, and say so before anything is changed."""
    fleet = slice.fleet()
    plan = plan_drain(fleet, slice.host, slice.policy, slice.avoided())
    ids = {line.id for line in plan.servers}
    memo = slice.work.memo
    memo["planned"] = slice.now.isoformat()
    memo["forecast"] = plan.seconds
    memo["groups"] = {
        group.id: sorted(group.members) for group in fleet.groups.values() if not ids.isdisjoint(group.members)
    }
    slice.work.operation.note = _warning(plan)
    steps = planned_steps(plan.servers, fleet, slice.now)
    slice.work.add(steps)
    slice.moves = {step.subject: ServerMove(step) for step in steps}


def _warning(plan: DrainPlan) -> str:
    if plan.feasible:
        return ""
    stay = [line for line in plan.servers if line.action in (Action.CANNOT, Action.WAIT)]
    names = "; ".join(f"{line.name} ({line.reason})" for line in stay[:5])
    return f"the plan does not empty {plan.host}: {len(stay)} of {len(plan.servers)} servers stay for now: {names}"


def _take_host(slice: Slice) -> None:
    """Out of service with it; a host that is stated to be dead is forced down first."""
    work, nova = slice.work, slice.nova
    current = nova_service(slice)
    if slice.policy.evacuate and slice.request.fenced and not current.forced_down:
        service.force_down(work, nova, current, slice.request.fenced)
        slice.link.fleet = None
        _plan_again(slice)
    service.take(work, nova, current)
    work.memo["taken"] = work.memo["swept_at"] = work.memo["verified_at"] = slice.now.isoformat()
    work.save(facts=["started"])


def _plan_again(slice: Slice) -> None:
    """What can be evacuated shows only when the service is down."""
    for move in slice.moves.values():
        if move.state in (MoveState.LEFT, MoveState.HELD):
            slice.save(move.put(MoveState.HELD, action=Action.WAIT, to=None, error=None, finished_at=None))


def nova_service(slice: Slice) -> ComputeService:
    """The host's service, from the snapshot that was just read where there is one."""
    host = slice.fleet().hosts[slice.host]
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
        starts_more = any(move.state is MoveState.HELD for move in slice.moves.values())
        verify(slice, at_once=not slice.active() and not (starts_more and work.may_start))
    if work.cancelled:
        return ending.cancel(slice)
    if not work.may_start:
        return _followed(slice)
    if why := ending.halt_reason(slice):
        return ending.halt(slice, why)
    if _hosts_died(slice):
        return _followed(slice)
    watch(slice)
    retarget(slice)
    start_moves(slice)
    if slice.active():
        return rhythm.next_poll(list(slice.moves.values()), slice.now)
    if slice.unfinished():
        return rhythm.next_due(slice.unfinished(), slice.now)
    return ending.prove_empty(slice)


def _followed(slice: Slice) -> float | None:
    """Paused or halted: come back as long as something is in flight or has not been looked at."""
    busy = slice.active() or any(move.state is MoveState.ARRIVED for move in slice.moves.values())
    return ending.WIND_DOWN if busy else None


def _hosts_died(slice: Slice) -> bool:
    """Look now and then whether the source or a target has died meanwhile (two requests every 90 s)."""
    if sweep(slice, at_once=False) is None:
        return False
    services = {each.host: each for each in slice.nova.services()}
    own = services.get(slice.host)
    if own is not None and ending.source_died(slice, own.state, own.forced_down):
        return True
    down = {name for name, each in services.items() if each.state != "up"}
    for move in slice.unfinished():
        if move.step.to in down and move.state is MoveState.HELD:
            slice.save(move.put(to=None))
        elif move.step.to in down and move.state is MoveState.MOVING and not move.record.aborting:
            ask_abort(slice, move, f"its target {move.step.to} is down")
    return False


def _check_evacuation(request: DrainRequested, host: Host) -> None:
    """A host whose servers may still run must not be evacuated: their disks would be written twice."""
    if not request.evacuate or host.forced_down or request.fenced:
        return
    raise Rejected(
        f"{host.name} is not forced down (its service is {host.state}), so it may still be running its servers. Make "
        f"sure that it is off, then say so: --fenced 'WHO switched it off, HOW'; or: openstack compute service set "
        f"--down {host.name} nova-compute"
    )


def _count(work: Work, asked: Counter[str]) -> None:
    """Add up the API requests by service; written with the operation's next save."""
    total = work.memo.setdefault("requests", {})
    for name, number in asked.items():
        total[name] = total.get(name, 0) + number
