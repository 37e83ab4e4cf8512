"""Hard affinity groups: Nova keeps their members on one host so firmly that most of them cannot leave it.

The scheduler passes only hosts where a member is, and counts the server that is to move among them
(`ServerGroupAffinityFilter` over `InstanceGroup.get_hosts`): a group that is wholly on one host finds no other, neither
live, nor cold, nor by evacuation. `force` skips the scheduler, but then the target looks for itself
(`ComputeManager._validate_instance_group_policy`). It does not count the server, so that a lone member passes; one that
has others ends in ERROR. All of it is as Nova 2026.1 does it, read there and seen.
"""

from __future__ import annotations

from dataclasses import replace

from functions.migrate.amphora import judge_amphora
from functions.migrate.model import MOVES, Action, DrainPolicy, Verdict
from functions.migrate.obstacles import GONE, judge
from shared.fleet.snapshot import Fleet, Group, Server

SHELVE_ALL = "shelve all its members and unshelve them: they start together on another host, with downtime"
FREE_ALL = "delete the server group: then they move like all others, and nothing keeps them together any more"
SHELVE = "shelve it and unshelve it: it starts on another host, with downtime"


def verdict_of(fleet: Fleet, server: Server, policy: DrainPolicy) -> Verdict:
    """What can be done with a server of the fleet, which is on one of its hosts.

    That is `judge`, what `judge_amphora` makes of it if it is one, and its affinity group's say.
    A move of a lone member comes with `force`. One whose group has members on other hosts too is left to
    `functions.migrate.targets`: Nova lets it go to those.
    """
    host = fleet.hosts[server.host or ""]
    verdict = judge(server, host, policy, fleet.version)
    if amphora := fleet.amphorae.get(server.id):
        verdict = judge_amphora(amphora, host, policy, verdict)
    if verdict.action not in MOVES:
        return verdict
    for group in fleet.groups_of.get(server.id, ()):
        if group.policy == "affinity":
            return _in_group(group, others_of(fleet, group, server), server, verdict)  # Nova allows one group a server
    return verdict


def others_of(fleet: Fleet, group: Group, server: Server) -> list[Server]:
    """The other members that Nova counts: those on a host, also while they are being deleted."""
    members = (fleet.servers[member] for member in sorted(group.members & fleet.servers.keys() - {server.id}))
    return [other for other in members if other.host is not None and other.status not in GONE]


def _in_group(group: Group, others: list[Server], server: Server, verdict: Verdict) -> Verdict:
    name = group.name or group.id
    if not others:
        return _alone(name, server, verdict)
    if any(other.host != server.host for other in others):
        return verdict
    if all(other.task_state == "deleting" for other in others):
        return Verdict(Action.WAIT, f"kept by affinity group {name} until {others[0].name} is deleted", "wait")
    number = "1 other" if len(others) == 1 else f"{len(others)} others"
    reason = (
        f"in affinity group {name} with {number}: Nova moves none of them, its scheduler allows only the host where "
        "the others are"
    )
    # Nothing on a dead host can be shelved.
    way_out = FREE_ALL if verdict.action is Action.EVACUATE else f"{SHELVE_ALL}; or {FREE_ALL}"
    return Verdict(Action.CANNOT, reason, way_out)


def _alone(name: str, server: Server, verdict: Verdict) -> Verdict:
    if verdict.action is Action.COLD_MIGRATE:
        way_out = f"start it, then it moves live; or {SHELVE}" if server.status == "SHUTOFF" else SHELVE
        reason = f"alone in affinity group {name}: Nova's scheduler keeps it here, and no cold migration can be forced"
        return Verdict(Action.CANNOT, reason, way_out)
    # Nobody but the plan looks at the target's zone, aggregates and traits then, and whether it is enabled.
    note = f"alone in affinity group {name}: forced past Nova's scheduler"
    return replace(verdict, reason="; ".join(filter(None, (verdict.reason, note))), force=True)
