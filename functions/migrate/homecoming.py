"""Giving an evacuated host back: not before it has cleaned up, so that no server lives twice.

When its nova-compute starts, it destroys the guests that were evacuated meanwhile and marks their migrations, from
`done` to `completed` (`ComputeManager._destroy_evacuated_instances`). Until then Nova refuses to lift forced_down.
"""

from __future__ import annotations

from functions.migrate import service
from functions.migrate.nova import ComputeService, Nova
from shared.clouds import Cloud, Refused
from shared.fleet.reader import read_migrations
from shared.operations import Act, Work

LIFTED = "lifted"
"""Where the memo keeps that forced_down was taken back."""


def come_home(work: Work, cloud: Cloud, nova: Nova) -> str | None:
    """Take forced_down back if a drain has set it, and enable the service, as soon as both are safe.

    Returns:
        What was done, in a sentence; None when it has to wait: the operation's note says for what.

    Raises:
        Permanent: it is disabled for somebody else's reason.
    """
    found = nova.service(work.operation.target)
    if not service.is_ours(found):
        return service.give_back(work, nova)
    why = ""
    if found.forced_down:
        why = _unsettled(cloud, found.host) or _not_ours(found) or _lift(work, nova, found)
    if not why and service.is_fenced(found):
        why = _silent(nova.service(found.host))
    if why:
        work.operation.note = f"waits: {why}"
        return None
    return service.give_back(work, nova)


def _unsettled(cloud: Cloud, host: str) -> str:
    rows = [row for row in read_migrations(cloud, host=host) if row.kind == "evacuation" and row.source == host]
    if flying := sum(row.in_flight for row in rows):
        return f"{_servers(flying)} still being evacuated from {host}"
    if left := sum(row.status == "done" for row in rows):
        return (
            f"{host} has not cleaned up {_servers(left)} evacuated from it: start its nova-compute, which removes what "
            "lives elsewhere now"
        )
    return ""


def _not_ours(found: ComputeService) -> str:
    if service.is_fenced(found):
        return ""
    return (
        f"{found.host} was forced down by somebody else, who takes it back: "
        f"openstack compute service set --up {found.host} nova-compute"
    )


def _lift(work: Work, nova: Nova, found: ComputeService) -> str:
    """Take forced_down back; why not, if Nova refuses."""
    work.memo[LIFTED] = True
    work.save(acts=[Act("lift forced down", found.host, {"forced_down": True}, {"forced_down": False})])
    try:
        nova.force_down(found, False)
    except Refused as refusal:
        if refusal.status != 400:
            raise
        return f"Nova does not take back yet that {found.host} is down: {refusal.message}"
    return ""


def _silent(found: ComputeService) -> str:
    if found.state == "up":
        return ""
    return f"the nova-compute of {found.host} does not report: start it"


def _servers(number: int) -> str:
    return "1 server" if number == 1 else f"{number} servers"
