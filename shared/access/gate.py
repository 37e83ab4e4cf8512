"""The gate: all means together. Whoever presents something wrong is refused, whatever else he presents."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from shared.access.caller import Caller, Knock, Role, may
from shared.access.errors import Denied, Forbidden, TooMany, Unauthenticated
from shared.access.limits import PERSON, Buckets
from shared.clock import Clock


class Means(Protocol):
    """One way to say who one is."""

    @property
    def name(self) -> str:
        """For the counter of refusals."""
        ...

    @property
    def challenge(self) -> str:
        """What WWW-Authenticate says of it; empty: nothing."""
        ...

    def judge(self, knock: Knock) -> Caller | None:
        """Who it is; None when the request presents nothing of this sort.

        Raises:
            Denied: what it presents is wrong.
            Retry: that can't be said now; the request shall come again.
        """
        ...


class Admission(Protocol):
    """What a door asks before it does anything."""

    def admit(self, knock: Knock) -> Caller:
        """Who this is, if he may do what he asks for.

        Raises:
            Denied: he may not.
            Retry: that can't be said now.
        """
        ...


class Gate:
    """Lets in who proves who he is by one of the means, and may do what he asks for; without means nobody.

    Args:
        failures: counts failed attempts by address.
    """

    def __init__(self, means: Sequence[Means], failures: Buckets, clock: Clock) -> None:
        self._means = means
        self._failures = failures
        self._people = Buckets(PERSON, clock)

    def admit(self, knock: Knock) -> Caller:
        """See `Admission.admit`."""
        try:
            callers = [caller for each in self._means if (caller := each.judge(knock))]
            if not callers:
                raise self._nobody()
        except Unauthenticated as error:
            error.challenges = tuple(each.challenge for each in self._means if each.challenge)
            if error.counted and (wait := self._failures.take(knock.address)):
                text = "too many failed attempts from this address; come again"
                raise TooMany(text, error.means, "failures", wait) from None
            raise
        return self._limited(_able(callers, knock))

    def _nobody(self) -> Denied:
        if not self._means:
            return Unauthenticated(
                "nobody is let in here: no means to say who one is was configured (docs/security.md lists them)",
                "none",
                "not configured",
            )
        names = ", ".join(each.name for each in self._means)
        return Unauthenticated(f"expected somebody who says who he is; the means here: {names}", "none", "nothing")

    def _limited(self, caller: Caller) -> Caller:
        """Deliveries are not limited: a broker answers 429 by delivering again."""
        if caller.is_person and (wait := self._people.take(caller.name)):
            raise TooMany(f"too many requests of {caller.name}; come again", caller.via, "rate", wait)
        return caller


def _able(callers: Sequence[Caller], knock: Knock) -> Caller:
    """The first of them who may do this."""
    for caller in callers:
        if may(caller, knock):
            return caller
    caller = callers[0]
    if knock.reads:
        expected = "the role reader"
    elif caller.role == Role.OPERATOR:
        expected = "an event of a type that ends in .requested; others come from Drover itself"
    elif caller.role == Role.TICK:
        expected = "a tick or a clean-up, which is all that the tick key is for"
    else:
        expected = "the role drover_operator"
    raise Forbidden(f"{caller.name} may not do this; expected {expected}", caller.via, "role")


class OpenGate:
    """Lets everybody in who calls this machine by its own name: for a server on the loopback address alone.

    The Host header is looked at because a web page can have its own name point here (DNS rebinding), and a browser
    would then send whatever the page says.
    """

    def admit(self, knock: Knock) -> Caller:
        """See `Admission.admit`."""
        if not _is_loopback(knock.headers.get("Host", "")):
            raise Forbidden(
                "this Drover serves its own machine alone; expected localhost or 127.0.0.1 in the address",
                "loopback",
                "host",
            )
        return Caller("", Role.OPERATOR, "loopback")


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
