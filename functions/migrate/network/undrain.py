"""Giving a network node back: its agents and OVN's priorities, as far as a network drain has changed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from functions.migrate.drain import Links
from functions.migrate.network import marks, restore
from functions.migrate.network.events import NetworkUndrainRequested
from functions.migrate.network.neutron import Neutron
from functions.migrate.network.view import must_have_agents, read_look
from shared.clouds import AnswerLost
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step

if TYPE_CHECKING:
    from functions.migrate.network.ovn import Ovn

AGAIN = 1.0
"""Seconds until what there was no time for is gone on with."""

STAYS = "networks and routers that were moved stay where they are; new ones and HA routers can come here again"


class NetworkUndrain:
    """The kind of operation behind `io.drover.network-undrain.requested`; it takes one slice, or few."""

    name = "network-undrain"
    requests: Sequence[type[EventData]] = (NetworkUndrainRequested,)

    def __init__(self, links: Links | None = None, ovn: restore.FindOvn = restore.find_ovn) -> None:
        self._links = links or Links()
        self._ovn = ovn

    def prepare(self, request: EventData) -> Prepared:
        """Look whether the host has agents or is a chassis."""
        assert isinstance(request, NetworkUndrainRequested)
        look = read_look(Neutron(self._links.get(request.cloud).cloud), request.host)
        ovn = self._ovn(request.cloud)
        must_have_agents(look, ovn.gateways(request.host) if ovn else None)
        parameters = request.model_dump(mode="json")
        return Prepared(request.cloud, request.host, request.reason, request.requester, parameters)

    def advance(self, work: Work) -> float | None:
        """Enable the agents that a drain has disabled, and restore the priorities that it has lowered."""
        if work.cancelled:
            work.end(OperationState.CANCELLED, "nothing had been changed")
        elif work.may_start:
            host = work.operation.target
            if drain := work.living("network-drain"):
                raise Permanent(f"a network drain of {host} is {drain.state}: end it: drover ops cancel {drain.id}")
            try:
                cloud = work.operation.cloud
                note = _give_back(work, Neutron(self._links.get(cloud).cloud), self._ovn(cloud))
            except AnswerLost as error:
                raise Retry(str(error), after=2.0) from error
            except Rejected as error:  # the agents have been removed since the request
                raise Permanent(str(error)) from error
            if note is None:
                return AGAIN
            work.end(OperationState.SUCCEEDED, note)
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """There is nothing to count."""
        return {}


def _give_back(work: Work, neutron: Neutron, ovn: Ovn | None) -> str | None:
    """Enable them, and restore OVN's priorities; what was done, or None when there was no time for all of it.

    Raises:
        Permanent: nothing was a drain's doing, and an agent is disabled by somebody else.
    """
    host, memo = work.operation.target, work.memo
    look = read_look(neutron, host)
    gateways = ovn.gateways(host) if ovn else None
    must_have_agents(look, gateways)
    given, others = marks.give_back(work, neutron, look.own)
    memo["given"] = [*memo.get("given", ()), *given]
    if ovn and gateways:
        work.save()  # OVN may not answer, and what was enabled must be told all the same
        if not restore.give_back(work, ovn, gateways):
            return None
    return _note(work, host, others)


def _note(work: Work, host: str, others: Sequence[str]) -> str:
    enabled = work.memo["given"]
    parts = [f"enabled: {', '.join(enabled)} of {host}; {STAYS}"] if enabled else []
    parts += filter(None, [restore.told(work)])
    if not parts and others:
        raise Permanent(
            f"{', '.join(others)} of {host} is disabled, but not by a network drain: whoever disabled it enables it: "
            "openstack network agent set --enable ID"
        )
    if others:
        parts.append(f"disabled by somebody else, who enables it: {', '.join(others)}")
    return "; ".join(parts) or f"the agents of {host} are enabled already"
