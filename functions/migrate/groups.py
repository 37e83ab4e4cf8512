"""Server groups: where their members are or will be, and what that demands of a target.

Sources: Nova's `ServerGroupAntiAffinityFilter` (max_server_per_host), `ServerGroupAffinityFilter`, the soft weighers.
Nova counts only servers that are on a host; moves in flight and planned are counted here too, since two of them could
otherwise meet on one host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from functions.migrate.obstacles import GONE
from functions.migrate.room import Lump
from shared.fleet.snapshot import Fleet, Group

Places = dict[str, set[str]]
"""Members by host."""


class Membership:
    """The members of server groups by host, kept up to date with what a plan places."""

    def __init__(self, fleet: Fleet, source: str | None, planned: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._source = source
        in_flight = (migration for migration in fleet.migrations if migration.in_flight)
        self._going = dict(planned)
        self._going.update({migration.server: migration.target for migration in in_flight if migration.target})
        self._places: dict[str, Places] = {}

    def put(self, lump: Lump, host: str) -> None:
        """The servers will be on the host."""
        for server in lump.servers:
            self._going[server.id] = host
            for group in self._fleet.groups_of.get(server.id, ()):
                self.places(group).setdefault(host, set()).add(server.id)

    def take(self, lump: Lump, host: str) -> None:
        """Undo `put`."""
        for server in lump.servers:
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

    def crowded(self, lump: Lump) -> Iterator[tuple[Group, set[str]]]:
        """Each anti-affinity group of the lump, with the hosts that may not have it on top."""
        for group, movers in self._groups(lump, "anti-affinity"):
            if len(movers) > group.max_per_host:
                yield group, set(self._fleet.hosts)
            else:
                there = self.places(group).items()
                yield group, {host for host, members in there if len(members | movers) > group.max_per_host}

    def homes(self, lump: Lump) -> Iterator[tuple[Group, set[str]]]:
        """Each affinity group of the lump whose other members have a home, with the hosts of those.

        Members that are still on the source have none yet: they will follow.
        """
        for group, movers in self._groups(lump, "affinity"):
            hosts = set()
            for member in group.members - movers:
                server = self._fleet.servers.get(member)
                if server is None or server.status in GONE:
                    continue
                host = self._going.get(member, server.host)
                if host not in (None, self._source):
                    hosts.add(host)
            if hosts:
                yield group, hosts

    def wishes(self, lump: Lump) -> dict[str, int]:
        """By host, how many members the soft groups of the lump want far away, less those they want near."""
        minds: dict[str, int] = {}
        for policy, weight in (("soft-anti-affinity", 1), ("soft-affinity", -1)):
            for group, movers in self._groups(lump, policy):
                for host, members in self.places(group).items():
                    minds[host] = minds.get(host, 0) + weight * len(members - movers)
        return minds

    def _groups(self, lump: Lump, policy: str) -> Iterator[tuple[Group, set[str]]]:
        """The lump's groups of this policy, each with its members in the lump."""
        seen = {
            group.id: group
            for server in lump.servers
            for group in self._fleet.groups_of.get(server.id, ())
            if group.policy == policy
        }
        for name in sorted(seen):
            yield seen[name], set(lump.ids & seen[name].members)
