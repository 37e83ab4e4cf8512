"""The servers in the orders in which they are asked for, so that no list walks through all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lab.simulator.records import Server


class Servers(dict[str, Server]):
    """All servers by id; those of one host, of one project, and those changed since a time are found at once.

    A server that is taken out by `pop` is gone from all orders.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hosts: dict[str | None, dict[int, Server]] = {}
        self._projects: dict[str, dict[int, Server]] = {}
        self._rows: list[Server] = []
        self._changes: list[tuple[datetime, Server]] = []
        self._since: datetime | None = None
        """Before this time the changes were not noted."""

    def add(self, server: Server) -> None:
        """A new server, the newest of all."""
        self[server.id] = server
        self._rows.append(server)
        server.number = len(self._rows)
        server.watcher = self
        self._hosts.setdefault(server.host, {})[server.number] = server
        self._projects.setdefault(server.project, {})[server.number] = server
        if self._since is None or server.updated > self._since:
            self.changed(server)

    def pop(self, id: str, *default: Any) -> Any:
        """Take a server out, of the host's and the project's list too."""
        server = self.get(id)
        if server is not None:
            self._hosts.get(server.host, {}).pop(server.number, None)
            self._projects.get(server.project, {}).pop(server.number, None)
        return super().pop(id, *default)

    def seal(self, time: datetime) -> None:
        """Forget the changes up to now: those before it are found by looking at every server."""
        self._changes.clear()
        self._since = time

    def moved(self, server: Server, old: str | None) -> None:
        """As `Watcher`."""
        if self.get(server.id) is not server:
            return
        self._hosts.get(old, {}).pop(server.number, None)
        self._hosts.setdefault(server.host, {})[server.number] = server

    def changed(self, server: Server) -> None:
        """As `Watcher`."""
        self._changes.append((server.updated, server))

    def on(self, host: str | None) -> list[Server]:
        """Those on a host, newest first."""
        found = self._hosts.get(host, {})
        return [found[number] for number in sorted(found, reverse=True)]

    def count_on(self, host: str) -> int:
        """How many there are on a host."""
        return len(self._hosts.get(host, ()))

    def of(self, project: str) -> list[Server]:
        """Those of a project, newest first."""
        found = self._projects.get(project, {})
        return list(reversed(found.values()))

    def newest_first(self, before: int | None = None) -> Iterator[Server]:
        """All, on from the one after the row numbered `before`."""
        start = len(self._rows) if before is None else before - 1
        for at in range(start - 1, -1, -1):
            server = self._rows[at]
            if self.get(server.id) is server:
                yield server

    def since(self, time: datetime, gone: dict[str, Server]) -> list[Server]:
        """Those changed at `time` or later, newest first; with those of `gone`, which were deleted."""
        if self._since is not None and time <= self._since:
            found = [server for server in self._rows if server.updated >= time]
        else:
            found = self._recent(time)
        there = [server for server in found if self.get(server.id) is server or gone.get(server.id) is server]
        return sorted(there, key=lambda server: -server.number)

    def _recent(self, time: datetime) -> list[Server]:
        """From the notes; they are in order but for those that a test has written by hand, so all count that may."""
        found: dict[str, Server] = {}
        for noted, server in reversed(self._changes):
            if noted >= time:
                if server.updated >= time:
                    found[server.id] = server
            else:
                break
        return list(found.values())
