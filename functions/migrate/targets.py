"""The target of a server: which host it goes to, or why there is none.

`choose` answers for one server at run time (a retry, a server that came during the drain), with the fleet freshly read.
A whole host is planned by `functions.migrate.plan`, on the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.fleet.snapshot import NOTHING, Fleet, Resources, Server

NOWHERE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Choice:
    """A target, or why there is none."""

    host: str | None
    reason: str = ""
    """Without a target: what excluded how many hosts."""
    way_out: str = ""
    missing: Resources = field(default_factory=lambda: NOTHING)
    """By resource class, what the best of the hosts lacks which only lack room; empty when there is no such host."""
    best: str | None = None
    """That host."""
    crowded: bool = False
    """Whether some host is excluded only by what else is placed: by room, or by members of a server group."""


@dataclass(frozen=True, slots=True)
class Packing:
    """The targets of the servers that have one, and why the others have none."""

    targets: Mapping[str, str]
    """By server id."""
    refused: Mapping[str, Choice]
    """By server id."""
    missing: Mapping[str, Resources]
    """By id of the refused, then by resource class: what the best host lacks for it, with the others on top."""


def choose(
    fleet: Fleet,
    server: Server,
    *,
    avoid: frozenset[str] = frozenset(),
    failed: frozenset[str] = frozenset(),
    planned: Mapping[str, str] = NOWHERE,
) -> Choice:
    """The best target of one server that leaves its host now.

    `avoid`: hosts that are being emptied. `failed`: targets that were tried in vain. `planned`: by server id, the
    targets of moves that are decided but not yet in flight, of this drain and of others; they take room, and count for
    server groups (one that is in flight after all is counted once, at its migration's target). A server that is already
    in flight must not be asked for.
    """
    from functions.migrate.candidates import Candidates  # numpy is loaded only when a target is needed

    others = {member: host for member, host in planned.items() if member != server.id}
    candidates = Candidates(fleet, (server,), avoid=avoid, planned=others)
    return candidates.choose(server, failed=failed)
