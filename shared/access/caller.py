"""Who knocks, what he wants, and what the roles may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.events.event import Event

TIME_EVENTS = frozenset({"io.drover.tick", "io.drover.cleanup.requested", "io.drover.trace-watch.requested"})
"""What the tick key opens the door for: the events that a schedule sends."""

READING = ("GET", "HEAD")
REQUEST = ".requested"
"""How the type of an event ends that a person may send; ticks and facts come from Drover itself."""


class Role(StrEnum):
    """What a caller is."""

    TICK = "tick"
    """A schedule: time has passed, and nothing else."""
    READER = "reader"
    """A person who looks."""
    OPERATOR = "operator"
    """A person who acts, and looks."""
    DELIVERY = "delivery"
    """An event that the broker or Drover itself vouches for."""


ACTING = frozenset({"drover_operator", "admin"})
"""Names of roles, in Keystone and in the claims of an identity provider, that may act."""
LOOKING = frozenset({"reader", *ACTING})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has proved who he is.

    `via` is the means by which he did: broker, signature, tick, keystone, oidc, or loopback where nobody is asked.
    """

    name: str
    role: Role
    via: str

    @property
    def is_person(self) -> bool:
        """Whether this is somebody who signs his requests with his own name."""
        return self.via in ("keystone", "oidc")


@dataclass(frozen=True, slots=True)
class Knock:
    """A request as the means see it: `headers` know no upper or lower case; `event` is None where there is none."""

    method: str
    headers: Mapping[str, str]
    address: str
    """The IP address at the other end; behind Knative's queue-proxy it is the pod's own."""
    event: Event | None = None

    @property
    def reads(self) -> bool:
        """Whether it only looks."""
        return self.method in READING


def may(caller: Caller, knock: Knock) -> bool:
    """Whether this caller may do this."""
    if knock.reads:
        return caller.role in (Role.READER, Role.OPERATOR)
    if caller.role == Role.DELIVERY:
        return True
    type = knock.event.type if knock.event else ""
    if caller.role == Role.TICK:
        return type in TIME_EVENTS
    if caller.role == Role.OPERATOR:
        return caller.via == "loopback" or knock.event is None or type.endswith(REQUEST)
    return False


def role_of(names: Iterable[str]) -> Role | None:
    """The role of a person whose roles, there, have these names; None when none of them means anything here."""
    found = {name.casefold() for name in names}
    if found & ACTING:
        return Role.OPERATOR
    return Role.READER if found & LOOKING else None
