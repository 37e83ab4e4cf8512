"""The rules that a target must keep, and which of those that keep them is the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from functions.migrate.explain import Exclusion, explain
from functions.migrate.groups import Membership
from functions.migrate.room import Amounts, Mask, Room, Scores
from functions.migrate.targets import Choice
from shared.fleet.snapshot import Fleet, Host, Server

STEP = 0.02
"""Fullness within one such step counts as equal: there, the host with fewer arrivals is better."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What excludes hosts, in the operator's words."""

    one: str
    """As in "1 lacks trait X"."""
    many: str
    """As in "3 lack trait X"."""
    excluded: Mask
    movable: bool = False
    """Whether it depends on what else is placed."""


class Candidates:
    """The hosts of a fleet as targets of servers that leave their own, with all that is placed so far."""

    def __init__(
        self,
        fleet: Fleet,
        servers: Sequence[Server],
        *,
        avoid: frozenset[str] = frozenset(),
        planned: Mapping[str, str],
    ) -> None:
        """`servers`: all that will be asked for. `avoid` and `planned` as for `targets.choose`."""
        self.room = Room(fleet, [server.uses for server in servers])
        self.members = Membership(fleet, planned)
        self._fleet = fleet
        self._avoid = avoid
        held = {migration.server for migration in fleet.migrations if migration.in_flight}
        for name, host in planned.items():
            server = fleet.servers.get(name)
            if server and host in self.room.index and host != server.host and name not in held:
                self.room.put(server.uses, host)

    def place(self, server: Server, host: str) -> None:
        """Let the server be on the host for all that is chosen from now on."""
        self.room.put(server.uses, host)
        self.members.put(server, host)

    def remove(self, server: Server, host: str) -> None:
        """Undo `place`."""
        self.room.take(server.uses, host)
        self.members.take(server, host)

    def choose(
        self, server: Server, *, failed: frozenset[str] = frozenset(), tight: bool = False, only: str | None = None
    ) -> Choice:
        """The best host for the server, or the reason why there is none.

        Better is, in this order: the source's zone, the wishes of soft server groups, the fullest resource less full
        (in steps of `STEP`), fewer arrivals, less full, the name. With `tight`, fuller is better: that packs more.
        `only`: no other host is looked at.
        """
        need = self.room.row(server.uses)
        open_ = self._open(server, failed) & self.room.fits(need)
        if only is not None:
            open_ &= self.room.only([only])
        if not open_.any():
            return self._none(server, need, failed)
        left = np.flatnonzero(open_)
        for score in self._preferences(server, need, tight):
            values = score[left]
            left = left[values == values.min()]
        return Choice(self.room.names[left[0]])

    def count(self, server: Server) -> int:
        """How many hosts the server could have if nothing else was to be placed."""
        return int((self._open(server, frozenset()) & self.room.fits(self.room.row(server.uses))).sum())

    def _open(self, server: Server, failed: frozenset[str]) -> Mask:
        """The hosts that no rule but room excludes."""
        open_ = ~self._own(server)
        for rule in self._rules(server, failed):
            open_ &= ~rule.excluded
        return open_

    def _own(self, server: Server) -> Mask:
        """The host that the server leaves."""
        return self.room.only([server.host] if server.host else [])

    def _rules(self, server: Server, failed: frozenset[str]) -> Iterator[Rule]:
        """Every rule but room, in the order in which they explain an exclusion: the first one is named."""
        room = self.room
        yield Rule("is being drained", "are being drained", room.only(self._avoid))
        yield Rule("disabled", "disabled", room.mask("disabled", None, _disabled))
        yield Rule("down", "down", room.mask("closed", None, lambda host: not host.accepts))
        yield Rule("has failed already", "have failed already", room.only(failed))
        yield from self._requirements(server)
        for group, hosts in self.members.crowded(server):
            text = f"full for anti-affinity group {group.name or group.id}"
            yield Rule(text, text, room.only(hosts), movable=True)
        for group, homes in self.members.homes(server):
            text = f"away from affinity group {group.name or group.id}"
            yield Rule(text, text, ~room.only(homes), movable=True)

    def _requirements(self, server: Server) -> Iterator[Rule]:
        needs, room = server.requires, self.room
        if (zone := needs.zone) is not None:
            yield Rule(
                f"outside zone {zone}",
                f"outside zone {zone}",
                room.mask("zone", zone, lambda host: host.zone != zone),
            )
        for one, many, names, verdict in (
            ("outside aggregate", "outside aggregate", needs.aggregates, _outside),
            ("lacks trait", "lack trait", needs.traits, _without),
            ("has the forbidden trait", "have the forbidden trait", needs.forbidden_traits, _with),
        ):
            for name in sorted(names):
                yield Rule(f"{one} {name}", f"{many} {name}", room.mask(one, name, verdict(name)))
        if shunned := needs.shunned_hosts:
            text = "closed to it by an aggregate"
            yield Rule(text, text, room.only(shunned))

    def _preferences(self, server: Server, need: Amounts, tight: bool) -> Iterator[Scores]:
        home = self._fleet.hosts.get(server.host or "")
        if home is not None:
            zone = home.zone
            yield self.room.mask("other zone", zone, lambda host: host.zone != zone).astype(np.float64)
        wishes = self.members.wishes(server)
        if wishes:
            penalty = np.zeros(len(self.room.names))
            for host, amount in wishes.items():
                if host in self.room.index:
                    penalty[self.room.index[host]] = amount
            yield penalty
        fullness = self.room.fullness(need)
        if tight:
            yield -fullness
            return
        yield np.floor(fullness / STEP)
        yield self.room.inbound.astype(np.float64)
        yield fullness

    def _none(self, server: Server, need: Amounts, failed: frozenset[str]) -> Choice:
        """Why nothing is left: each host is counted at the first rule that excludes it."""
        left = ~self._own(server)
        hosts = int(left.sum())
        exclusions, crowded = [], False
        for rule in self._rules(server, failed):
            hit = left & rule.excluded
            if number := int(hit.sum()):
                exclusions.append(Exclusion(number, rule.one if number == 1 else rule.many))
                crowded = crowded or rule.movable
            left &= ~rule.excluded
        lacking = left & ~self.room.fits(need)
        best, missing = self.closest(need, lacking)
        reason, way_out = explain(hosts, exclusions, int(lacking.sum()), best, missing)
        return Choice(None, reason, way_out, missing, best, crowded or best is not None)

    def closest(self, need: Amounts, among: Mask) -> tuple[str | None, dict[str, int]]:
        """Of these hosts the one that lacks the smallest share of the need, and what it lacks."""
        numbers = np.flatnonzero(among)
        if not numbers.size:
            return None, {}
        missing = self.room.missing(need)[numbers]
        shares = (missing / np.maximum(need, 1)).max(axis=1)
        best = int(shares.argmin())
        amounts = {kind: int(missing[best, n]) for n, kind in enumerate(self.room.kinds) if missing[best, n]}
        return self.room.names[numbers[best]], amounts


def _disabled(host: Host) -> bool:
    return not host.accepts and host.status == "disabled"


def _outside(name: str) -> Callable[[Host], bool]:
    return lambda host: name not in host.aggregates


def _without(name: str) -> Callable[[Host], bool]:
    return lambda host: name not in host.traits


def _with(name: str) -> Callable[[Host], bool]:
    return lambda host: name in host.traits
