"""Server groups: where their members are or will be, and what that demands of a target.

Sources: Nova's `ServerGroupAntiAffinityFilter` (max_server_per_host), `ServerGroupAffinityFilter`, the soft weighers.
Nova counts only servers that are on a host; moves in flight and planned are counted here too, since two of them could
otherwise meet on one host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from functions.migrate.affinity import others_of
from functions.migrate.obstacles import GONE
from shared.fleet.snapshot import Fleet, Group, Server

Places = dict[str, set[str]]
"""Members by host."""


class Membership:
    """The members of server groups by host, kept up to date with what a plan places."""

    def __init__(self, fleet: Fleet, planned: Mapping[str, str]) -> None:
        self._fleet = fleet
        in_flight = (migration for migration in fleet.migrations if migration.in_flight)
        self._going = dict(planned)
        self._going.update({migration.server: migration.target for migration in in_flight if migration.target})
        self._places: dict[str, Places] = {}

    def put(self, server: Server, host: str) -> None:
        """The server will be on the host."""
        self._going[server.id] = host
        for group in self._fleet.groups_of.get(server.id, ()):
            self.places(group).setdefault(host, set()).add(server.id)

    def take(self, server: Server, host: str) -> None:
        """Undo `put`."""
        del self._going[server.id]
        for group in self._fleet.groups_of.get(server.id, ()):
            self.places(group)[host].discard(server.id)

    def places(self, group: Group) -> Places:
        """Every host that a member is on, is in flight to, or is planned for."""
        if group.id not in self._places:
            places = self._places[group.id] = {}
            for member in group.members & self._fleet.servers.keys():
                server = self._fleet.servers[member]
                if server.status in GONE:
                    continue
                for host in (server.host, self._going.get(member)):
                    if host is not None:
                        places.setdefault(host, set()).add(member)
        return self._places[group.id]

    def crowded(self, server: Server) -> Iterator[tuple[Group, set[str]]]:
        """Each anti-affinity group of the server, with the hosts that may not have it on top."""
        for group in self._groups(server, "anti-affinity"):
            there = self.places(group).items()
            yield group, {host for host, members in there if len(members | {server.id}) > group.max_per_host}

    def homes(self, server: Server) -> Iterator[tuple[Group, set[str]]]:
        """Each affinity group of the server that has members elsewhere, with the hosts of those.

        Where a member is only bound for, Nova does not let another follow before it has arrived.
        """
        for group in self._groups(server, "affinity"):
            hosts = {other.host for other in others_of(self._fleet, group, server) if other.host}
            if hosts := hosts - {server.host}:
                yield group, hosts

    def wishes(self, server: Server) -> dict[str, int]:
        """By host, how many members the soft groups of the server want far away, less those they want near."""
        minds: dict[str, int] = {}
        for policy, weight in (("soft-anti-affinity", 1), ("soft-affinity", -1)):
            for group in self._groups(server, policy):
                for host, members in self.places(group).items():
                    minds[host] = minds.get(host, 0) + weight * len(members - {server.id})
        return minds

    def _groups(self, server: Server, policy: str) -> Iterator[Group]:
        """The server's groups of this policy."""
        groups = self._fleet.groups_of.get(server.id, ())
        return iter(sorted((group for group in groups if group.policy == policy), key=lambda group: group.id))
