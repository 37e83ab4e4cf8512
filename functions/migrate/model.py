"""The words of a drain: what is decided for a server, for a host, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What a drain does with one server."""

    LIVE_MIGRATE = "live-migrate"
    """Moves while it runs."""
    COLD_MIGRATE = "cold-migrate"
    """Moves while it is stopped; a running server is stopped for it, only with `allow_downtime`."""
    EVACUATE = "evacuate"
    """Is built again elsewhere, from a host that is proven dead."""
    FAIL_OVER = "fail-over"
    """An amphora of Octavia's: Octavia builds a new one wherever Nova's scheduler puts it, and deletes this one."""
    WAIT = "wait"
    """Somebody else works on it right now (a task or a migration is under way): look again later."""
    LEAVE = "leave"
    """Needs no move: it holds nothing on the host, or will not come back here (being deleted)."""
    CANNOT = "cannot"
    """No way to move it as it is; `reason` and `way_out` say why and what a person can do."""


MOVES = frozenset({Action.LIVE_MIGRATE, Action.COLD_MIGRATE, Action.EVACUATE})
"""The actions that ask Nova to move a server, to a named target."""

AWAY = MOVES | {Action.FAIL_OVER}
"""The actions by which a server leaves the host."""


class OnStall(StrEnum):
    """What is done with a live migration whose memory does not become less."""

    FORCE = "force-complete"
    """Pause the guest until the rest is copied: it ends, at the price of a standstill."""
    ABORT = "abort"
    """Abort it, put the server last, and try again once."""


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """The limits of one drain; every one has a default, so that none is ever unlimited."""

    allow_downtime: bool = False
    evacuate: bool = False
    per_source: int = 2
    """Moves in flight from the host: Nova's max_concurrent_live_migrations (1 by default) + 1 waiting in its queue."""
    per_target: int = 2
    """Moves in flight into one host."""
    per_cloud: int = 20
    """Migrations in flight in the whole cloud, whoever started them."""
    max_attempts: int = 3
    """Tries of one server, each on another target, before it is set aside."""
    error_budget: int = 3
    """Servers set aside before the drain halts."""
    on_stall: OnStall = OnStall.ABORT
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be done with a server as it is, before any target is looked for."""

    action: Action
    reason: str = ""
    """In the operator's words; empty when there is nothing to explain."""
    way_out: str = ""
    """The cheapest thing that a person can do about it."""
    force: bool = False
    """Whether the move has to be asked for past Nova's scheduler, which would refuse it."""


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """One server's line of a plan."""

    id: str
    name: str
    action: Action
    to: str | None
    """The named target; None unless `action` is a move."""
    reason: str
    way_out: str
    seconds: float
    """Forecast of the move alone."""
    force: bool = False
    """As in `Verdict`."""
    rank: int = 0
    """As in `Move`."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What does not fit anywhere, and by how much."""

    servers: tuple[str, ...]
    """Ids of the servers without a target."""
    missing: dict[str, int]
    """By resource class: how much more the best candidates would have to have."""
    text: str
    """One sentence for the operator."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What a drain of one host would do, and whether the host would be empty after it."""

    host: str
    feasible: bool
    """Whether every server leaves: nothing `cannot`, nothing without a target."""
    servers: tuple[PlannedServer, ...]
    """In the order in which they would start: the most urgent first, then the longest."""
    shortfall: Shortfall | None
    seconds: float
    """Forecast of the whole drain, with the host's moves `per_source` - 1 at a time and one failover."""
    notes: tuple[str, ...] = ()
    """What else whoever reads the plan should know of the host, a sentence each."""


class MoveState(StrEnum):
    """Where one server's move is."""

    HELD = "held"
    """Waits for its turn (or, with `not_before`, for its back-off)."""
    SUBMITTING = "submitting"
    """The intent is stored; whether Nova got the request is known only from Nova."""
    MOVING = "moving"
    """Nova has accepted it."""
    CONFIRMING = "confirming"
    """A cold migration in VERIFY_RESIZE is being confirmed."""
    ARRIVED = "arrived"
    """Nova says that the move is complete; the server itself has not been looked at yet."""
    DONE = "done"
    """On another host, in the status it had, with nothing under way."""
    LEFT = "left"
    """Stays, for the stated reason: `leave`, `cannot`, or a move that was given up."""
    FAILED = "failed"
    """Set aside after `max_attempts`."""
    GONE = "gone"
    """Deleted, or taken away by somebody else, during the drain."""


UNFINISHED = frozenset(
    {MoveState.HELD, MoveState.SUBMITTING, MoveState.MOVING, MoveState.CONFIRMING, MoveState.ARRIVED}
)
"""States after which something is still to come."""

ACTIVE_MOVES = frozenset({MoveState.SUBMITTING, MoveState.MOVING, MoveState.CONFIRMING})
"""States in which the move holds a place at its source and its target."""


@dataclass(frozen=True, slots=True)
class Move:
    """One server's move as the dispatcher sees it."""

    server: str
    name: str
    action: Action
    to: str | None
    state: MoveState
    seconds: float
    groups: frozenset[str] = frozenset()
    """Ids of the server's groups."""
    attempts: int = 0
    failed_targets: frozenset[str] = frozenset()
    not_before: datetime | None = None
    rank: int = 0
    """Its urgency: the lower, the sooner it starts (`functions.migrate.urgency`)."""
    put_last: bool = False
    """A stalled move that was aborted: tried again when all the others are through."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What the dispatcher wants started now."""

    start: tuple[Move, ...]
    waiting: dict[str, str] = field(default_factory=dict)
    """For each held server, why it does not start now."""
