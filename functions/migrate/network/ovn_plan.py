"""What to write into OVN so that a host carries no gateway, and when that may not be: decisions, no I/O.

OVN binds a gateway to the living candidate of the highest priority (ovn-nb(5), Gateway_Chassis and HA_Chassis; which
chassis live, they see by BFD on their tunnels). So a host that has the lowest priority of all carries nothing while
others live, and stays there as the last resort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from functions.migrate.network.ovn_model import Candidate, Gateway, Look, Mark
from functions.migrate.network.targets import NoTarget

HIGHEST = 32767
"""The highest priority that the database takes; 0 is the lowest (ovn-nb.ovsschema)."""


WAY_OUT = "make another chassis a candidate, or let its users know that they lose it"


@dataclass(frozen=True, slots=True)
class Write:
    """What becomes of one row."""

    candidate: Candidate
    priority: int
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Carried:
    """Who carries the ports of a gateway now, and whether that is proof that a host does not."""

    elsewhere: bool
    by: Mapping[str, str]
    """Each port and the living chassis of another host that carries it."""
    why: str
    """A sentence: who carries it, or what is missing."""


def arrange(originals: Mapping[str, int], lowered: Set[str]) -> dict[str, int]:
    """The priorities with some of the candidates below all others.

    The lowered ones get 0, 1, … in their order; the others keep theirs, except those that stand in the way, which move
    up by as little as keeps their order. With none lowered it is what was there in the beginning.

    Args:
        originals: each row's priority without drains.
        lowered: those rows that are to be below all others.
    """
    if not lowered & originals.keys():
        return dict(originals)
    arranged: dict[str, int] = {}
    low = sorted((row for row in originals if row in lowered), key=lambda row: (originals[row], row))
    arranged.update((row, position) for position, row in enumerate(low))
    last, before = len(low) - 1, -1
    for row in sorted((row for row in originals if row not in lowered), key=lambda row: originals[row]):
        if originals[row] != before:  # equal ones stay equal
            last, before = max(originals[row], last + 1), originals[row]
        arranged[row] = last
    return arranged


def is_lowest(look: Look, gateway: Gateway) -> bool:
    """Whether all others have a higher priority than the host, apart from those that drains have lowered too."""
    others = [other.priority for other in look.others(gateway) if not other.lowered]
    return all(mine.priority < other for mine in look.mine(gateway) for other in others)


def to_lower(look: Look, gateway: Gateway, operation: str) -> tuple[Write, ...]:
    """What puts the host's places below all others; nothing when they are there already."""
    if is_lowest(look, gateway):
        return ()
    mine = {candidate.row for candidate in look.mine(gateway)}
    return _writes(gateway, _lowered(gateway) | mine, operation, look.host)


def to_restore(look: Look, gateway: Gateway) -> tuple[Write, ...]:
    """What puts back the host's places that a drain has lowered, and those that made room.

    As far as nobody else changed them since; nothing when no drain did."""
    mine = look.mine(gateway)
    if not any(candidate.mark and candidate.mark.lowered_by for candidate in mine):
        return ()
    return _writes(gateway, _lowered(gateway) - {candidate.row for candidate in mine})


def _lowered(gateway: Gateway) -> frozenset[str]:
    return frozenset(candidate.row for candidate in gateway.candidates if candidate.lowered)


def _writes(gateway: Gateway, lowered: Set[str], operation: str = "", host: str = "") -> tuple[Write, ...]:
    arranged = arrange({candidate.row: candidate.original for candidate in gateway.candidates}, lowered)
    writes = []
    for candidate in gateway.candidates:
        priority, original = arranged[candidate.row], candidate.original
        mark = None
        if candidate.row in lowered:
            old = candidate.mark if candidate.lowered else None
            mark = Mark(original, priority, old.lowered_by if old else operation, old.host if old else host)
        elif priority != original:
            mark = Mark(original, priority)
        if priority != candidate.priority or mark != candidate.mark:
            writes.append(Write(candidate, priority, mark))
    return tuple(writes)


def obstacle(look: Look, gateway: Gateway, operation: str = "", avoided: Set[str] = frozenset()) -> NoTarget | None:
    """Why the host can't give up a gateway, with a way out; None: it can.

    Args:
        operation: the id of the drain, which may have lowered it already.
        avoided: hosts that are being drained themselves.
    """
    if not gateway.carriers:
        return None  # nothing is carried for it at all
    others = look.others(gateway)
    if not others:
        return NoTarget(f"{look.host} is its only candidate", WAY_OUT)
    living = [other for other in others if other.alive]
    if not living:
        return NoTarget(f"no other candidate lives ({_named(others)})", f"start ovn-controller there, or {WAY_OUT}")
    if not (free := [other for other in living if not other.lowered]):
        drained = f"all other living candidates are drained ({_named(living)})"
        return NoTarget(drained, f"give one back first, or {WAY_OUT}")
    if all(other.host in avoided for other in free):
        return NoTarget(f"all other candidates are being drained ({_named(free)})", "wait for the other drains to end")
    theirs = [mine for mine in look.mine(gateway) if mine.overridden(operation)]
    if theirs and not is_lowest(look, gateway):
        return _overridden(look, gateway, theirs[0])
    return None


def _overridden(look: Look, gateway: Gateway, mine: Candidate) -> NoTarget:
    written = mine.mark.written if mine.mark else 0
    return NoTarget(
        f"found {look.host} at priority {mine.priority}, expected the {written} that this drain has set: somebody else "
        "wants it there",
        f"find out who; then lower it again: ovn-nbctl set {gateway.table} {mine.row} priority={written}",
    )


def pinned(look: Look, port: str) -> NoTarget:
    """Why nothing can be done about a port that is bound to the host by an option."""
    return NoTarget(
        f"port {port} is pinned to {look.host} by the option `chassis` of its router or port, and no other chassis is "
        "a candidate",
        "move it by hand, or let its users know that they lose it while the host is down",
    )


def next_carrier(look: Look, gateway: Gateway) -> Candidate | None:
    """Who carries a gateway when the host does not: the highest of the others that live and are not drained."""
    return next((other for other in look.others(gateway) if other.alive and not other.lowered), None)


def carried_elsewhere(look: Look, name: str) -> Carried:
    """Whether living chassis of other hosts carry all ports of a gateway.

    One look is not enough: a binding can move back. Ask again at a later one, and take it as proof when `elsewhere` is
    true and `by` is the same both times.

    Args:
        name: of a gateway that the host is or was a candidate for; one that is gone needs no carrier.
    """
    if not look.chassis:
        return Carried(False, {}, f"OVN has no chassis of {look.host}: look again with those that it had")
    gateway = look.gateway(name)
    if gateway is None:
        return Carried(True, {}, f"{name} is gone, or {look.host} is no candidate for it any more")
    if here := look.carried_here(gateway):
        return Carried(False, {}, f"{look.host} still carries {', '.join(here)}")
    if unbound := [port for port, chassis in gateway.carriers.items() if chassis is None]:
        return Carried(False, {}, f"no chassis carries {', '.join(unbound)} now")
    by = {port: chassis for port, chassis in gateway.carriers.items() if chassis is not None}
    if dead := sorted(set(by.values()) - look.alive):
        return Carried(False, {}, f"{', '.join(by)}: bound to {', '.join(dead)}, which does not live")
    told = ", ".join(f"{port} by {chassis}" for port, chassis in by.items()) or "nothing"
    return Carried(True, by, f"{name}: carried are {told}")


def _named(candidates: Iterable[Candidate]) -> str:
    return ", ".join(candidate.host or candidate.chassis for candidate in candidates)
