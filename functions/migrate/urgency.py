"""Who is rescued first from a dead host: what the owners say counts first, then that each group has a member again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from functions.migrate.obstacles import is_dead
from shared.fleet.snapshot import Fleet, Group, Server

KEY = "drover:priority"
"""The key of a server's metadata."""

PRIORITIES: Mapping[str, int] = {"high": 0, "normal": 1, "low": 2}
"""Its values. A server without one, or with another, counts as normal."""


def priority(server: Server) -> int:
    """0 is the most urgent."""
    return PRIORITIES.get(server.metadata.get(KEY, "").strip().lower(), PRIORITIES["normal"])


def ranks(fleet: Fleet, evacuees: Iterable[Server]) -> dict[str, int]:
    """The rank of each server, by its id: the lower, the sooner it is evacuated.

    First by priority. Of each priority those come first that give a server group its first living member again, one a
    group: whatever a group is for, it is better served by one than by none.
    """
    found: dict[str, int] = {}
    served: set[str] = set()
    for server in sorted(evacuees, key=lambda one: (priority(one), one.memory_mb, one.id)):
        waiting = [group for group in fleet.groups_of.get(server.id, ()) if group.id not in served]
        first = any(not _lives(fleet, group) for group in waiting)
        served.update(group.id for group in waiting)
        found[server.id] = 2 * priority(server) + (not first)
    return found


def note(server: Server) -> str:
    """What is to be said about a server's priority in its line of the plan; empty when there is nothing."""
    value = server.metadata.get(KEY)
    if value is None:
        return ""
    if value.strip().lower() in PRIORITIES:
        return f"priority {value.strip().lower()}"
    return f"its {KEY} is {value!r}, expected {', '.join(PRIORITIES)}: it counts as normal"


def _lives(fleet: Fleet, group: Group) -> bool:
    """Whether a member of the group runs on a host that is not dead."""
    members = (fleet.servers.get(member) for member in group.members)
    places = (fleet.hosts.get(server.host or "") for server in members if server and server.status == "ACTIVE")
    return any(host is not None and not is_dead(host) for host in places)
