"""Targets for all servers of a host, or of several, together: the hardest first, and a repair when one does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from functions.migrate.candidates import Candidates
from functions.migrate.targets import NOWHERE, Choice, Packing
from shared.fleet.snapshot import Fleet, Resources, Server

REPAIRS = 400
"""Exchanges that are tried at most in one plan, so that a hopeless plan is still told within seconds."""


def pack(
    fleet: Fleet,
    servers: Sequence[Server],
    *,
    avoid: frozenset[str],
    planned: Mapping[str, str],
    wishes: Mapping[str, str] = NOWHERE,
    spread: bool = False,
) -> Packing:
    """Targets for `servers`, each of which leaves its host.

    Balanced first; if then somebody stays behind, packed tightly, and the better of the two is taken. Finding the best
    packing is NP-hard, so that a full cloud may have a solution which this does not find: it then says what is missing.

    `wishes`: targets, by server id, which an earlier plan has chosen; they are kept if they still fit.

    With `spread`, no host gets more than half of them as long as others can take them, and never all if one of them
    fits elsewhere: the servers of a dead host must not bring down the next one.
    """
    candidates = Candidates(fleet, servers, avoid=avoid, planned=planned)
    ordered = _hardest_first(candidates, servers)
    share = ceil(len(servers) / 2) if spread else len(servers)
    attempt = _Attempt(candidates, wishes, share, tight=False)
    refused = attempt.run(ordered)
    if refused:
        attempt.undo()
        tight = _Attempt(candidates, wishes, share, tight=True)
        tight_refused = tight.run(ordered)
        if len(tight_refused) < len(refused):
            refused, attempt = tight_refused, tight
        else:
            tight.undo()
            attempt.redo()
    if spread:
        attempt.part()
    choices = {server.id: candidates.choose(server) for server in refused}
    return Packing(attempt.targets, choices, _missing(candidates, refused))


class _Attempt:
    """One way through all the servers."""

    def __init__(self, candidates: Candidates, wishes: Mapping[str, str], share: int, tight: bool) -> None:
        """`share`: so many on one host are enough, if others can take the rest."""
        self._candidates = candidates
        self._wishes = wishes
        self._share = share
        self._tight = tight
        self._loads: Counter[str] = Counter()
        self._repairs = REPAIRS
        self._placed: dict[str, tuple[Server, str]] = {}
        """By id: the server and its target."""

    @property
    def targets(self) -> dict[str, str]:
        """By id of the servers that have one."""
        return {name: host for name, (_, host) in self._placed.items()}

    def run(self, servers: Iterable[Server]) -> list[Server]:
        """Place the servers; gives those that found no host."""
        wished_first = sorted(servers, key=lambda server: server.id not in self._wishes)
        refused = [server for server in wished_first if not self._fit(server, repair=True)]
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

    def part(self) -> None:
        """If all are on one host, give it up for one that fits elsewhere; the smallest are tried first."""
        if len(self._placed) < 2 or len(set(self.targets.values())) > 1:
            return
        for server in sorted((placed for placed, _ in self._placed.values()), key=_size):
            host = self._remove(server)
            other = self._candidates.choose(server, failed=frozenset({host})).host
            self._place(server, other or host)
            if other is not None:
                return

    def _choose(self, server: Server) -> Choice:
        """The wished host, or one that has not got its share yet; if there is none, any."""
        if wish := self._wishes.get(server.id):
            choice = self._candidates.choose(server, only=wish)
            if choice.host is not None:
                return choice
        full = frozenset(host for host, load in self._loads.items() if load >= self._share)
        if full:
            choice = self._candidates.choose(server, failed=full, tight=self._tight)
            if choice.host is not None:
                return choice
        return self._candidates.choose(server, tight=self._tight)

    def _fit(self, server: Server, repair: bool) -> bool:
        choice = self._choose(server)
        if choice.host is None:
            return repair and choice.crowded and self._repair(server)
        self._place(server, choice.host)
        return True

    def _place(self, server: Server, host: str) -> None:
        self._candidates.place(server, host)
        self._placed[server.id] = (server, host)
        self._loads[host] += 1

    def _remove(self, server: Server) -> str:
        _, host = self._placed.pop(server.id)
        self._loads[host] -= 1
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
                elsewhere = self._choose(other).host
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


def _missing(candidates: Candidates, refused: Iterable[Server]) -> dict[str, Resources]:
    """What each of the refused lacks: each is put on its best host, so that the next one finds it taken."""
    missing: dict[str, Resources] = {}
    for server in refused:
        choice = candidates.choose(server)
        if choice.best is not None:
            missing[server.id] = choice.missing
            candidates.place(server, choice.best)
    return missing
