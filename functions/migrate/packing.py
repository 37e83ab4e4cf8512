"""Targets for all servers of a host together: the hardest first, and a repair when one does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from functions.migrate.candidates import Candidates
from functions.migrate.targets import Packing
from shared.fleet.snapshot import Fleet, Server

REPAIRS = 400
"""Exchanges that are tried at most in one plan, so that a hopeless plan is still told within seconds."""


def pack(
    fleet: Fleet,
    source: str,
    servers: Sequence[Server],
    *,
    avoid: frozenset[str],
    planned: Mapping[str, str],
) -> Packing:
    """Targets for `servers`, which all leave `source`.

    Balanced first; if then somebody stays behind, packed tightly, and the better of the two is taken. Finding the best
    packing is NP-hard, so that a full cloud may have a solution which this does not find: it then says what is missing.
    """
    candidates = Candidates(fleet, source, servers, avoid=avoid, planned=planned)
    ordered = _hardest_first(candidates, servers)
    balanced = _Attempt(candidates, tight=False)
    refused = balanced.run(ordered)
    targets = balanced.targets
    if refused:
        balanced.undo()
        tight = _Attempt(candidates, tight=True)
        tight_refused = tight.run(ordered)
        if len(tight_refused) < len(refused):
            refused, targets = tight_refused, tight.targets
        else:
            tight.undo()
            balanced.redo()
    choices = {server.id: candidates.choose(server) for server in refused}
    return Packing(targets, choices, _missing(candidates, refused))


class _Attempt:
    """One way through all the servers."""

    def __init__(self, candidates: Candidates, tight: bool) -> None:
        self._candidates = candidates
        self._tight = tight
        self._repairs = REPAIRS
        self._placed: dict[str, tuple[Server, str]] = {}
        """By id: the server and its target."""

    @property
    def targets(self) -> dict[str, str]:
        """By id of the servers that have one."""
        return {name: host for name, (_, host) in self._placed.items()}

    def run(self, servers: Iterable[Server]) -> list[Server]:
        """Place the servers; gives those that found no host."""
        refused = [server for server in servers if not self._fit(server, repair=True)]
        # A repair may have made room for one that was refused before it.
        return [server for server in refused if not self._fit(server, repair=False)]

    def undo(self) -> None:
        """Take all that is placed away again."""
        for server, host in self._placed.values():
            self._candidates.remove(server, host)

    def redo(self) -> None:
        """After `undo`: put all of it back."""
        for server, host in self._placed.values():
            self._candidates.place(server, host)

    def _fit(self, server: Server, repair: bool) -> bool:
        choice = self._candidates.choose(server, tight=self._tight)
        if choice.host is None:
            return repair and choice.crowded and self._repair(server)
        self._place(server, choice.host)
        return True

    def _place(self, server: Server, host: str) -> None:
        self._candidates.place(server, host)
        self._placed[server.id] = (server, host)

    def _remove(self, server: Server) -> str:
        _, host = self._placed.pop(server.id)
        self._candidates.remove(server, host)
        return host

    def _repair(self, server: Server) -> bool:
        """Give the server the host of one that is placed already and fits elsewhere; the smallest are tried first."""
        for other in sorted((placed for placed, _ in self._placed.values()), key=_size):
            if self._repairs == 0:
                return False
            self._repairs -= 1
            host = self._remove(other)
            if self._candidates.choose(server, only=host).host is not None:
                self._place(server, host)
                elsewhere = self._candidates.choose(other, tight=self._tight).host
                if elsewhere is not None:
                    self._place(other, elsewhere)
                    return True
                self._remove(server)
            self._place(other, host)
        return False


def _hardest_first(candidates: Candidates, servers: Iterable[Server]) -> list[Server]:
    """Fewest hosts to choose from first, then the largest."""

    def hardness(server: Server) -> tuple[int, int, int, str]:
        memory, cpus = _size(server)
        return candidates.count(server), -memory, -cpus, server.id

    return sorted(servers, key=hardness)


def _size(server: Server) -> tuple[int, int]:
    return server.memory_mb, server.uses.get("VCPU", 0) + server.uses.get("PCPU", 0)


def _missing(candidates: Candidates, refused: Iterable[Server]) -> dict[str, int]:
    """What the refused lack together: each is put on its best host, so that the next one finds it taken."""
    missing: dict[str, int] = {}
    for server in refused:
        choice = candidates.choose(server)
        if choice.best is None:
            continue
        for kind, amount in choice.missing.items():
            missing[kind] = missing.get(kind, 0) + amount
        candidates.place(server, choice.best)
    return missing
