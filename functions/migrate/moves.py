"""A server's move as the store keeps it: a step of the drain, and what only moves need to remember."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from functions.migrate.model import ACTIVE_MOVES, UNFINISHED, Action, Move, MoveState, PlannedServer
from functions.migrate.recorded import RecordedStep
from shared.fleet.snapshot import Amphora, Fleet, Migration, Server
from shared.store import Step

ORDINARY = 3
"""The rank of a server that came during an evacuation: as one of normal priority."""

UNDER_WAY = frozenset(
    {"BUILD", "HARD_REBOOT", "MIGRATING", "PASSWORD", "REBOOT", "REBUILD", "RESIZE", "REVERT_RESIZE", "VERIFY_RESIZE"}
)
"""Statuses that a server has only for a while: what it was before, and will be, they do not say."""


class MoveRecord(BaseModel):
    """What a move must not forget, beside the columns of its step. Kept as JSON in `Step.details`."""

    model_config = ConfigDict(extra="ignore")

    before: str = ""
    """The server's status before it was moved, which it must have again at the end; empty: it was under way already
    when the drain first saw it."""
    seconds: float = 0.0
    """Forecast of the move."""
    memory_mb: int = 0
    way_out: str = ""
    """What a person can do about it, when it cannot be moved."""
    groups: list[str] = []
    project: str = ""
    """Id of the server's project."""
    rank: int = 0
    """As in `Move`."""
    told: str = ""
    """The target of the move whose begin its owner was told, as long as its end was not; else empty."""
    amphora: str = ""
    """Id of the amphora that the server is, if it is to be failed over."""
    balancer: str = ""
    """Id of that amphora's load balancer."""
    role: str = ""
    """The amphora's role."""
    force: bool = False
    """It is asked for past Nova's scheduler, as `Verdict.force` says."""
    known: list[str] = []
    """Uuids of the server's migrations that were there before our last request: none of them is its result."""
    migration: str | None = None
    """Uuid of the migration that is followed."""
    migration_id: int | None = None
    """Its number, which the abort and force-complete calls want."""
    adopted: bool = False
    """Somebody else started that migration."""
    submitted_at: datetime | None = None
    """When our last request was about to be sent."""
    arrived_at: datetime | None = None
    arrived_by: datetime | None = None
    """When the migration's row was last written, by the cloud's clock."""
    failed_targets: list[str] = []
    put_last: bool = False
    conflicts: int = 0
    """How often Nova refused the request (409) though the server looked as if it could be moved."""
    waits: int = 0
    """Looks in a row at which somebody else was working on the server."""
    waiting_since: datetime | None = None
    aborting: str = ""
    """Why we asked Nova to abort the migration; empty when we did not."""
    abort_asked_at: datetime | None = None
    abort_refused: bool = False
    """Nova would not abort it: it is followed to its end."""
    target_down: int = 0
    """Looks that found its target down while it was under way."""
    stalls: int = 0
    least_memory: int | None = None
    """The least bytes of memory that were left to copy, so far."""
    stale_polls: int = 0
    """Looks in a row that found no less."""
    looked_at: datetime | None = None
    confirmed_at: datetime | None = None
    seconds_taken: float | None = None


class ServerMove(RecordedStep[MoveRecord]):
    """One server's move. Changes are written when its step is handed to `Work.save`."""

    model = MoveRecord

    @property
    def server(self) -> str:
        """The server's id."""
        return self.step.subject

    @property
    def state(self) -> MoveState:
        return MoveState(self.step.state)

    @property
    def action(self) -> Action:
        return Action(self.step.action)

    @property
    def active(self) -> bool:
        """Whether it holds a place at its source and its target."""
        return self.state in ACTIVE_MOVES

    @property
    def unfinished(self) -> bool:
        return self.state in UNFINISHED

    def for_dispatch(self) -> Move:
        """The move as the dispatcher sees it."""
        step, record = self.step, self.record
        return Move(
            server=step.subject,
            name=step.name,
            action=self.action,
            to=step.to,
            state=self.state,
            seconds=record.seconds,
            groups=frozenset(record.groups),
            attempts=step.attempts,
            failed_targets=frozenset(record.failed_targets),
            not_before=step.not_before,
            rank=record.rank,
            put_last=record.put_last,
        )

    def carries(self, amphora: Amphora | None) -> None:
        """Note which amphora the server is, if it is one."""
        record = self.record
        record.amphora, record.balancer, record.role = (
            (amphora.id, amphora.balancer or "", amphora.role) if amphora else ("", "", "")
        )

    def forget_request(self) -> None:
        """Back to before our last request: nothing of it is followed any more."""
        record = self.record
        record.migration = record.migration_id = record.submitted_at = None
        record.arrived_at = record.arrived_by = record.looked_at = record.confirmed_at = None
        record.aborting, record.abort_asked_at, record.abort_refused = "", None, False
        record.adopted, record.target_down = False, 0
        record.least_memory, record.stale_polls = None, 0


def planned_steps(servers: Iterable[PlannedServer], fleet: Fleet, now: datetime) -> list[Step]:
    """The steps of a plan's lines, in the plan's order."""
    return [_planned_step(line, fleet, now) for line in servers]


def _planned_step(line: PlannedServer, fleet: Fleet, now: datetime) -> Step:
    server = fleet.servers[line.id]
    move = ServerMove(Step(operation_id="", subject=line.id, name=line.name, action=line.action, state=MoveState.HELD))
    move.record = MoveRecord(
        before=status_at_rest(server),
        seconds=line.seconds,
        memory_mb=server.memory_mb,
        project=server.project,
        rank=line.rank,
        way_out=line.way_out,
        groups=[group.id for group in fleet.groups_of.get(line.id, ())],
        force=line.force,
    )
    move.carries(fleet.amphorae.get(line.id))
    move.put(to=line.to)
    if line.action in (Action.CANNOT, Action.LEAVE):
        move.put(MoveState.LEFT, error=line.reason, finished_at=now)
    return move.stored()


def arrival_step(server: Server) -> Step:
    """The step of a server that came to the host during the drain; what is done with it is decided next."""
    move = ServerMove(
        Step(operation_id="", subject=server.id, name=server.name, action=Action.WAIT, state=MoveState.HELD)
    )
    move.record = MoveRecord(
        before=status_at_rest(server), memory_mb=server.memory_mb, project=server.project, rank=ORDINARY
    )
    return move.stored()


def status_at_rest(server: Server) -> str:
    """The status that the server shall have again after its move; empty when it cannot be told now."""
    return "" if server.status in UNDER_WAY else server.status


def in_flight(rows: Iterable[Migration]) -> list[Migration]:
    """Those of the rows that still work on a server."""
    return [row for row in rows if row.in_flight]
