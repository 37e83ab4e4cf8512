"""The events of network drains: what `migrate` takes, and the facts that it sends."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from functions.migrate.network.model import NetworkPolicy
from functions.migrate.request import CloudRequest
from shared.events import EventData, OperationAccepted, OperationFact, OperationsDue

_DEFAULTS = NetworkPolicy()
_HOST = "Name of the host, as `openstack network agent list` shows it."


class NetworkDrainRequested(CloudRequest):
    """Take what a host's DHCP and L3 agents carry to other agents, and disable these; also its gateways of OVN."""

    event_type: ClassVar[str] = "io.drover.network-drain.requested"
    host: str = Field(description=_HOST, min_length=1, max_length=255)
    dry_run: bool = Field(default=False, description="Answer with the plan, and change nothing.")
    concurrency: int = Field(
        default=_DEFAULTS.at_once,
        description="Networks and HA routers that get another agent at the same time. Other items go one by one.",
        ge=1,
        le=100,
    )
    max_attempts: int = Field(
        default=_DEFAULTS.max_attempts, description="Tries of one item before it is set aside.", ge=1, le=20
    )
    error_budget: int = Field(
        default=_DEFAULTS.error_budget, description="Items set aside before the drain halts.", ge=1, le=10_000
    )
    deadline: AwareDatetime | None = Field(
        default=None, description="Nothing new starts after it, and the drain halts."
    )

    def policy(self) -> NetworkPolicy:
        """The limits of this drain."""
        return NetworkPolicy(self.concurrency, self.max_attempts, self.error_budget, self.deadline)


class NetworkUndrainRequested(CloudRequest):
    """Give a network node back: enable its agents and restore its OVN priorities, as far as a drain has changed them.

    Networks and routers that have moved stay where they are; HA routers have this node's agents to fail over to again.
    """

    event_type: ClassVar[str] = "io.drover.network-undrain.requested"
    host: str = Field(description=_HOST, min_length=1, max_length=255)


class NetworkDrainPlanned(EventData):
    """Answers a network drain's request with `dry_run`: what would be done. Nothing was changed."""

    event_type: ClassVar[str] = "io.drover.network-drain.planned"
    host: str = Field(description="The host that would be emptied.")
    feasible: bool = Field(description="Whether it would carry nothing any more.")
    items: list[dict[str, Any]] = Field(
        description="sort (network, ha-router, ovn-gateway, router), id, name, action (hand-over, fail-over, lower, "
        "move, cannot), to (the host that takes it), reason and way_out of each, in the order in which they would go."
    )
    agents: list[dict[str, Any]] = Field(
        description="id, kind, action (disable, leave, cannot), reason and way_out of each of the host's agents."
    )


class NetworkDrainAccepted(OperationAccepted):
    """A network drain was stored, or one of the same host goes on already: then it answers with that one."""

    event_type: ClassVar[str] = "io.drover.network-drain.accepted"


class NetworkDrainStarted(OperationFact):
    """The plan is stored, and the first item is about to be brought away."""

    event_type: ClassVar[str] = "io.drover.network-drain.started"


class NetworkDrainProgressed(OperationFact):
    """A slice of the network drain has ended and the next one is due; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.network-drain.progressed"


class NetworkDrainDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.network-drain.due"


class NetworkDrainPaused(OperationFact):
    """Somebody paused the network drain."""

    event_type: ClassVar[str] = "io.drover.network-drain.paused"


class NetworkDrainResumed(OperationFact):
    """Somebody resumed the network drain."""

    event_type: ClassVar[str] = "io.drover.network-drain.resumed"


class NetworkDrainHalted(OperationFact):
    """The network drain stopped itself and waits for a person; `note` says why."""

    event_type: ClassVar[str] = "io.drover.network-drain.halted"


class NetworkDrainCompleted(OperationFact):
    """The host carries nothing, seen twice in a row; `summary.unseen` says what Neutron and OVN do not show."""

    event_type: ClassVar[str] = "io.drover.network-drain.completed"


class NetworkDrainFailed(OperationFact):
    """The network drain could not be done; `note` says why, `summary.left` what stayed."""

    event_type: ClassVar[str] = "io.drover.network-drain.failed"


class NetworkDrainCancelled(OperationFact):
    """Somebody cancelled the network drain; `note` says whether agents stay disabled and priorities low."""

    event_type: ClassVar[str] = "io.drover.network-drain.cancelled"


class NetworkUndrainAccepted(OperationFact):
    """The request to give a network node back was stored."""

    event_type: ClassVar[str] = "io.drover.network-undrain.accepted"


class NetworkUndrainDue(OperationsDue):
    """Sent by the keeper at a tick, so that this function may sleep in between; a hint, which may be lost."""

    event_type: ClassVar[str] = "io.drover.network-undrain.due"


class NetworkUndrainCompleted(OperationFact):
    """What a drain had changed is as before; `note` names it."""

    event_type: ClassVar[str] = "io.drover.network-undrain.completed"


class NetworkUndrainFailed(OperationFact):
    """The host was not given back; `note` says why."""

    event_type: ClassVar[str] = "io.drover.network-undrain.failed"


class NetworkUndrainCancelled(OperationFact):
    """Somebody cancelled the request before anything was done."""

    event_type: ClassVar[str] = "io.drover.network-undrain.cancelled"


REQUESTS: tuple[type[EventData], ...] = (NetworkDrainRequested, NetworkUndrainRequested)
FACTS: tuple[type[EventData], ...] = (
    NetworkDrainPlanned, NetworkDrainAccepted, NetworkDrainStarted, NetworkDrainProgressed, NetworkDrainDue,
    NetworkDrainPaused, NetworkDrainResumed, NetworkDrainHalted, NetworkDrainCompleted, NetworkDrainFailed,
    NetworkDrainCancelled, NetworkUndrainAccepted, NetworkUndrainDue, NetworkUndrainCompleted, NetworkUndrainFailed,
    NetworkUndrainCancelled,
)  # fmt: skip
