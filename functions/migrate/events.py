"""The events of `migrate`: what it takes, and the facts that it sends."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from functions.migrate.model import DrainPolicy, OnStall
from functions.migrate.network import events as network
from functions.migrate.request import CloudRequest
from shared.events import EventData, OperationAccepted, OperationFact, OperationsDue

_DEFAULTS = DrainPolicy()


MOST_HOSTS = 50
"""That one request drains: a rack, with room to spare."""

_Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class DrainRequested(CloudRequest):
    """Empty a hypervisor: disable its service, move every server away, and prove that it is empty.

    Or several, which `hosts` or `aggregate` names: by one plan, in which none is another's target. Each has an
    operation of its own; all of them are accepted, or none.
    """

    event_type: ClassVar[str] = "io.drover.drain.requested"

    host: str = Field(
        default="", description="Name of the host, as `openstack compute service list` shows it.", max_length=255
    )
    hosts: list[_Name] = Field(
        default_factory=list, description="Instead of `host`: the names of several.", max_length=MOST_HOSTS
    )
    aggregate: _Name | None = Field(
        default=None, description="Instead of `host`: the name of a host aggregate, all of whose hosts are meant."
    )
    dry_run: bool = Field(default=False, description="Answer with the plan, and change nothing.")
    allow_downtime: bool = Field(
        default=False, description="Cold-migrate running servers that cannot be live-migrated."
    )
    evacuate: bool = Field(
        default=False,
        description="The host is dead: build its servers again elsewhere. Needs `fenced`.",
    )
    fenced: str | None = Field(
        default=None,
        description="Who made sure that the host is off, and how: it goes on record. Drover forces the service down.",
        min_length=8,
        max_length=200,
    )
    concurrency: int = Field(
        default=_DEFAULTS.per_source,
        description="Moves submitted at once from the host: max_concurrent_live_migrations + 1.",
        ge=1,
        le=100,
    )
    inbound: int = Field(default=_DEFAULTS.per_target, description="Moves at once into one host.", ge=1, le=100)
    cloud_limit: int = Field(
        default=_DEFAULTS.per_cloud, description="Migrations at once in the whole cloud.", ge=1, le=10_000
    )
    max_attempts: int = Field(
        default=_DEFAULTS.max_attempts, description="Tries of one server before it is set aside.", ge=1, le=20
    )
    error_budget: int = Field(
        default=_DEFAULTS.error_budget, description="Servers set aside before the drain halts.", ge=1, le=10_000
    )
    on_stall: OnStall = Field(
        default=_DEFAULTS.on_stall, description="What to do when a server's memory does not become less."
    )
    deadline: AwareDatetime | None = Field(
        default=None, description="Nothing new starts after it, and the drain halts."
    )

    @model_validator(mode="after")
    def _means_hosts(self) -> DrainRequested:
        """One way to name them; the operation of one of several hosts keeps both its own name and all."""
        ways = [bool(self.host) and self.host not in self.hosts, bool(self.hosts), self.aggregate is not None]
        if sum(ways) != 1:
            raise ValueError("name the hosts in one way: found none or several of `host`, `hosts` and `aggregate`")
        return self

    @model_validator(mode="after")
    def _fenced_needs_evacuate(self) -> DrainRequested:
        if self.fenced and not self.evacuate:
            raise ValueError("`fenced` is a statement about a dead host; it is only taken together with `evacuate`")
        return self

    def policy(self) -> DrainPolicy:
        """The limits of this drain."""
        return DrainPolicy(
            allow_downtime=self.allow_downtime,
            evacuate=self.evacuate,
            per_source=self.cloud_limit if self.evacuate else self.concurrency,  # a dead source has no queue
            per_target=self.inbound,
            per_cloud=self.cloud_limit,
            max_attempts=self.max_attempts,
            error_budget=self.error_budget,
            on_stall=self.on_stall,
            deadline=self.deadline,
        )


class UndrainRequested(CloudRequest):
    """Give a drained host back: enable its service, if the reason it is disabled for is still a drain's.

    One that was evacuated is waited for: its nova-compute must be back and have cleaned up what lives elsewhere now.
    """

    event_type: ClassVar[str] = "io.drover.undrain.requested"
    host: _Name = Field(description="Name of the host, as `openstack compute service list` shows it.")


class DrainPlanned(EventData):
    """Answers a drain request with `dry_run`: what would be done. Nothing was changed."""

    event_type: ClassVar[str] = "io.drover.drain.planned"
    host: str = Field(description="The host that would be emptied; of several, all their names.")
    feasible: bool = Field(description="Whether it would be empty, or all of them.")
    servers: list[dict[str, Any]] = Field(
        description="host, id, name, action, to, reason, way_out and seconds of each server, by host in the order of "
        "the moves."
    )
    shortfall: dict[str, Any] | None = Field(description="What would not fit, and by how much.")
    seconds: float = Field(description="Forecast of the whole drain.")
    hosts: list[dict[str, Any]] = Field(
        default_factory=list, description="Of several hosts: host, feasible, shortfall and seconds of each."
    )
    notes: list[str] = Field(default_factory=list, description="What else should be known of the host, or the hosts.")


class DrainAccepted(OperationAccepted):
    """A drain was stored, or one of the same host goes on already: then it answers with that one."""

    event_type: ClassVar[str] = "io.drover.drain.accepted"


class DrainStarted(OperationFact):
    """The host's service is disabled, and the moves begin."""

    event_type: ClassVar[str] = "io.drover.drain.started"


class DrainProgressed(OperationFact):
    """A slice of the drain has ended and the next one is due; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.drain.progressed"


class DrainDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.drain.due"


class DrainPaused(OperationFact):
    """Somebody paused the drain."""

    event_type: ClassVar[str] = "io.drover.drain.paused"


class DrainResumed(OperationFact):
    """Somebody resumed the drain."""

    event_type: ClassVar[str] = "io.drover.drain.resumed"


class DrainHalted(OperationFact):
    """The drain stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.drain.halted"


class DrainCompleted(OperationFact):
    """The host is empty, seen twice in a row."""

    event_type: ClassVar[str] = "io.drover.drain.completed"


class DrainFailed(OperationFact):
    """The drain could not be done; `note` says why, `summary.left` what stayed."""

    event_type: ClassVar[str] = "io.drover.drain.failed"


class DrainCancelled(OperationFact):
    """Somebody cancelled the drain; `note` says what could not be aborted."""

    event_type: ClassVar[str] = "io.drover.drain.cancelled"


class UndrainAccepted(OperationFact):
    """The request to give a host back was stored."""

    event_type: ClassVar[str] = "io.drover.undrain.accepted"


class UndrainDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.undrain.due"


class UndrainCompleted(OperationFact):
    """The host's service is enabled."""

    event_type: ClassVar[str] = "io.drover.undrain.completed"


class UndrainFailed(OperationFact):
    """The host was not enabled; `note` says why."""

    event_type: ClassVar[str] = "io.drover.undrain.failed"


class _ServerNews(EventData):
    """What every word about a server's move says."""

    operation: str = Field(description="Id of the drain.")
    cloud: str = Field(description="Name of the cloud.")
    server: str = Field(description="The server's id.")
    name: str = Field(description="Its name.")
    project: str = Field(description="Id of the project that it belongs to.")
    source: str = Field(description="The host that it leaves.")
    target: str = Field(description="The host that it goes to.")
    action: str = Field(description="live-migrate, cold-migrate or evacuate.")
    attempt: int = Field(description="Which try it is, from 1 on.")
    reason: str = Field(description="Why its host is drained.")


class ServerMigrating(_ServerNews):
    """A server is about to be moved. What has become of it is told by one `io.drover.server.migrated` later."""

    event_type: ClassVar[str] = "io.drover.server.migrating"


class ServerMigrated(_ServerNews):
    """What has become of a server that was about to be moved."""

    event_type: ClassVar[str] = "io.drover.server.migrated"
    result: Literal["moved", "not moved", "failed", "gone"] = Field(
        description="moved: it is on the target and well. not moved: it is where it was. failed: given up, or not "
        "well. gone: deleted, or taken away by others."
    )
    error: str = Field(default="", description="What went wrong.")
    again: bool = Field(default=False, description="Whether it will be tried again.")


REQUESTS: tuple[type[EventData], ...] = (DrainRequested, UndrainRequested, *network.REQUESTS)
FACTS: tuple[type[EventData], ...] = (
    DrainPlanned, DrainAccepted, DrainStarted, DrainProgressed, DrainDue, DrainPaused, DrainResumed, DrainHalted,
    DrainCompleted, DrainFailed, DrainCancelled, UndrainAccepted, UndrainDue, UndrainCompleted, UndrainFailed,
    ServerMigrating, ServerMigrated, *network.FACTS,
)  # fmt: skip
