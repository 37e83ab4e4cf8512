"""Targets for all servers of a host together: the hardest first, and a repair when one does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from functions.migrate.candidates import Candidates
from functions.migrate.room import Lump
from functions.migrate.targets import Choice, Packing
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
    lumps = _hardest_first(candidates, _lumps(fleet, servers))
    placed, refused = _Attempt(candidates, tight=False).run(lumps)
    if refused:
        _clear(candidates, placed)
        tight_placed, tight_refused = _Attempt(candidates, tight=True).run(lumps)
        if _number(tight_refused) < _number(refused):
            placed, refused = tight_placed, tight_refused
        else:
            _clear(candidates, tight_placed)
            for lump, host in placed.items():
                candidates.place(lump, host)
    targets = {server.id: host for lump, host in placed.items() for server in lump.servers}
    reasons = {lump: candidates.choose(lump) for lump in refused}
    choices = {server.id: reasons[lump] for lump in refused for server in lump.servers}
    return Packing(targets, choices, _missing(candidates, reasons))


class _Attempt:
    """One way through all the lumps."""

    def __init__(self, candidates: Candidates, tight: bool) -> None:
        self._candidates = candidates
        self._tight = tight
        self._repairs = REPAIRS
        self._placed: dict[Lump, str] = {}

    def run(self, lumps: Iterable[Lump]) -> tuple[dict[Lump, str], list[Lump]]:
        """The placed lumps with their hosts, and those that found none."""
        refused = [lump for lump in lumps if not self._fit(lump, repair=True)]
        # A repair may have made room for one that was refused before it.
        return self._placed, [lump for lump in refused if not self._fit(lump, repair=False)]

    def _fit(self, lump: Lump, repair: bool) -> bool:
        choice = self._candidates.choose(lump, tight=self._tight)
        if choice.host is None:
            return repair and choice.crowded and self._repair(lump)
        self._place(lump, choice.host)
        return True

    def _place(self, lump: Lump, host: str) -> None:
        self._candidates.place(lump, host)
        self._placed[lump] = host

    def _repair(self, lump: Lump) -> bool:
        """Give the lump the host of one that is placed already and fits elsewhere; the smallest are tried first."""
        for other in sorted(self._placed, key=_size):
            if self._repairs == 0:
                return False
            self._repairs -= 1
            host = self._placed.pop(other)
            self._candidates.remove(other, host)
            if self._candidates.choose(lump, only=host).host is not None:
                self._place(lump, host)
                elsewhere = self._candidates.choose(other, tight=self._tight).host
                if elsewhere is not None:
                    self._place(other, elsewhere)
                    return True
                del self._placed[lump]
                self._candidates.remove(lump, host)
            self._place(other, host)
        return False


def _lumps(fleet: Fleet, servers: Sequence[Server]) -> list[Lump]:
    """The servers, those joined that an affinity group (or a chain of them) keeps together."""
    lump_of = {server.id: [server] for server in servers}
    for group in fleet.groups.values():
        if group.policy != "affinity":
            continue
        joined: list[Server] = []
        for member in sorted(group.members & lump_of.keys()):
            if lump_of[member] is not joined:
                joined.extend(lump_of[member])
                for server in lump_of[member]:
                    lump_of[server.id] = joined
    unique = {id(lump): lump for lump in lump_of.values()}
    return [Lump(tuple(lump)) for lump in unique.values()]


def _hardest_first(candidates: Candidates, lumps: list[Lump]) -> list[Lump]:
    """Fewest hosts to choose from first, then the largest."""
    size = {lump: _size(lump) for lump in lumps}
    return sorted(lumps, key=lambda lump: (candidates.count(lump), -size[lump][0], -size[lump][1], lump.servers[0].id))


def _size(lump: Lump) -> tuple[int, int]:
    return lump.uses.get("MEMORY_MB", 0), lump.uses.get("VCPU", 0) + lump.uses.get("PCPU", 0)


def _number(lumps: Iterable[Lump]) -> int:
    return sum(len(lump.servers) for lump in lumps)


def _clear(candidates: Candidates, placed: Mapping[Lump, str]) -> None:
    for lump, host in placed.items():
        candidates.remove(lump, host)


def _missing(candidates: Candidates, refused: Mapping[Lump, Choice]) -> dict[str, int]:
    """What the refused lack together: each is put on its best host, so that the next one finds it taken."""
    missing: dict[str, int] = {}
    for lump in refused:
        choice = candidates.choose(lump)
        if choice.best is None:
            continue
        for kind, amount in choice.missing.items():
            missing[kind] = missing.get(kind, 0) + amount
        candidates.place(lump, choice.best)
    return missing
